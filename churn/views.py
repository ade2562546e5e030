"""What each command's result looks like in a terminal: lines of plain text, made of results, never of markup."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from churn.delivery.believed import verdict_on
from churn.delivery.labels import SILENT_MODELS
from churn.delivery.unsaid import unsaid
from churn.tables.findings import plural
from churn.timeline.population import REASONS

if TYPE_CHECKING:
    from churn.jobs.score import Scored

_MARKS = {"error": "error  ", "warning": "warning", "info": "info   "}
_TOP = 5
Command = Callable[[str], str]
"""Makes a command line to copy of its words."""


def check_lines(told: Mapping[str, Any], *, command: Command) -> list[str]:
    """The usability report: history, findings, horizon, population, and the answer."""
    history = told["history"]
    lines = [
        f"History   {history['first']} to {history['last']}, {plural(history['customers'], 'customer')}, "
        f"{history['active_customers']:,} of them ever active",
        "", f"Findings  {len(told['findings'])}", *(line for finding in told["findings"] for line in _finding(finding)),
    ]  # fmt: skip
    if told["sample"]:
        taken, whole = f"{told['sample']['customers']:,}", f"{told['sample']['of_customers']:,}"
        lines += ["", f"Sample    what follows is told of {taken} of the {whole} customers, a sample of every stratum",
                  "          that churn train would learn from: [engine] training_customers"]  # fmt: skip
    if told["horizon"]:
        lines += ["", *_horizon(told["horizon"])]
    if told["population"]:
        lines += ["", *_population(told["population"])]
    answer = f"yes: {command('train')}" if told["is_usable"] else "no: mend what follows, or every finding marked error"
    return [*lines, "", f"Enough for a model?  {answer}", *(f"  {problem}" for problem in told["problems"])]


def training_lines(told: Mapping[str, Any], *, command: Command) -> list[str]:
    """The verdict, the metrics beside every simple rule, silence, ablation, gain, and the next commands."""
    target, training = told["target"], told["training_cutoffs"]
    leaving = {name: row for name, row in told["metrics"].items() if name not in SILENT_MODELS}
    return [
        told["verdict"]["sentence"], "",
        f"Horizon {target['horizon_days']} d, gap {target['gap_days']} d, population {target['population']}; "
        f"trained on {training['rows']:,} rows at {training['count']} cutoffs, tested at {', '.join(told['cutoffs'])}",
        "", *_metrics(leaving, "Who leaves", "model"), "", *_reliability(told["reliability"]),
        "", *_silence(told), *_unsaid(told), "", *_leak(told["leak"]),
        "", _gain(told["gain"]), *(f"note: {note}" for note in told["notes"]),
        "", f"model   {told['bundle']}", f"run     {told['run_id'] or 'not tracked'}",
        "", "next:", *(f"  {command(words)}" for words in ("score --out scores.csv", "report", "ui")),
    ]  # fmt: skip


def _reliability(told: Mapping[str, Any]) -> list[str]:
    """Foretold and observed leaving at each test cutoff, and whether chance explains the difference."""
    lines = [f"{'Foretold and observed':<40} {'foretold':>9} {'with its error':>15} {'left':>7}  {'by chance':>15}"]
    for cutoff, entry in told["by_cutoff"].items():
        by_chance = f"{_percent(entry['low'])} to {_percent(entry['high'])}"
        could = f"{_percent(entry['foretold_low'])} to {_percent(entry['foretold_high'])}"
        row = (
            f"  {cutoff:<38} {_percent(entry['foretold']):>9} {could:>15} {_percent(entry['left']):>7}  {by_chance:>15}"
        )
        lines.append(f"{row}  {verdict_on(entry)}".rstrip())
    return lines


def _leak(leak: Mapping[str, Any]) -> list[str]:
    """What the leak alarm looked at and what it found."""
    travel, lines = leak["time_travel"], []
    if leak["strongest"]:
        name, value = next(iter(leak["strongest"].items()))
        lines.append(
            f"Leak alarm: the strongest signal alone is {name}, AUROC {value:.3f}; alarm above {leak['most']:g}"
        )
    same = f"{', '.join(travel['changed'])} changed" if travel["changed"] else "all the same"
    lines.append(
        f"Time travel: {travel['signals']} signals of {travel['rows']:,} customers at {travel['cutoff']}, computed "
        f"again without all that came later: {same}"
    )
    lines.append("Neither sees what was written into earlier rows or undated attributes afterwards: ask who fills them")
    return lines


def _silence(told: Mapping[str, Any]) -> list[str]:
    """What silence adds, or why it isn't modelled."""
    silence = told["silence"]
    lines = []
    if silence["is_modelled"]:
        silent = {name: row for name, row in told["metrics"].items() if name in SILENT_MODELS}
        lines += [*_metrics(silent, "Who leaves silently, among the quiet", "model_silent"), ""]
        if silence["share"] is not None:
            lines.append(
                f"Of the leavers in this backtest that could be heard, {silence['share']:.0%} had said nothing."
            )
    else:
        lines.append(f"p_silent is null: {silence['why']}.")
    groups = (("eligible", "all eligible"), ("quiet", "the quiet"))
    return lines + [_adds(told["ablation"][name], title) for name, title in groups if name in told["ablation"]]


def _unsaid(told: Mapping[str, Any]) -> list[str]:
    """Who speaks when something goes wrong, and what nobody told."""
    found = unsaid(told)
    return [] if found is None else ["", *(found[name] for name in ("voice", "sentence") if found[name])]


def _gain(gain: Mapping[str, Any]) -> str:
    return (
        f"Calling the top {gain['budget']:,} of a list: {gain['gain']:,.0f} {gain['currency']} expected, "
        f"{gain['random_gain']:,.0f} at random (cost {gain['cost']:g} a call, "
        f"{gain['success_rate']:.0%} of called leavers stay)"
    )


def score_summary(scored: Scored, out: Path | None, *, table: str | None = None, currency: str = "") -> dict[str, Any]:
    """What a scored list holds, in numbers."""
    return {
        "out": None if out is None else str(out), "table": table, "is_unchanged": scored.is_unchanged,
        "model_id": scored.model_id, "cutoff": scored.cutoff, "reasons": scored.explained, "currency": currency,
        **scored.tally.to_dict(), "warnings": list(scored.warnings),
    }  # fmt: skip


def score_lines(told: Mapping[str, Any], *, command: Command) -> list[str]:
    """How many were scored, what they hold, why the others were not, and what to do next."""
    places = [*filter(None, [told["out"], told["table"] and f"the table {told['table']}"])]
    lines = [
        f"{'unchanged' if told['is_unchanged'] else 'wrote'} {' and '.join(places)}: {told['rows']:,} customers at "
        f"{told['cutoff']}, {told['scored']:,} scored by model {told['model_id']}"
    ]
    if told["is_unchanged"]:
        lines.append("  it was made of the same tables, model and settings; remove it to make it anew")
    if told["out"] and told["out"].lower().endswith(".xlsx"):
        lines.append("  its sheet has the customers with reasons; with --customers, the whole list")
    if told["scored"]:
        lines += _scored(told)
    not_scored = told["rows"] - told["scored"]
    if not_scored:
        lines += ["", f"Not scored         {not_scored:,} ({not_scored / told['rows']:.1%} of the list)"]
        lines += [f"  {count:>9,}  {REASONS.get(why, why)} ({why})" for why, count in told["not_scored"].items()]
    return [*lines, "", "next:", *(f"  {command(words)}" for words in _next(told))]


def _scored(told: Mapping[str, Any]) -> list[str]:
    scored, currency = told["scored"], f" {told['currency']}".rstrip()
    drivers = list(told["drivers"].items())[:_TOP]
    share = f"{told['expected_leavers'] / scored:.1%} of the scored"
    about = f"{told['fewest_leavers']:,.0f} to {told['most_leavers']:,.0f}"
    return [
        "",
        f"Expected to leave  {told['expected_leavers']:,.0f} ({share}); {about} as far as the level can be foretold",
        f"Value at risk      {told['value_at_risk']:,.0f}{currency}",
        "Bands              " + _shares(told["bands"], scored),
        "Voice              " + _shares(told["voice"], scored),
        f"Reasons            {told['explained']:,} customers, {_whose(told['reasons'])}",
        *(["Frequent drivers   " + _shares(dict(drivers), told["explained"])] if drivers else []),
    ]  # fmt: skip


def _whose(reasons: str) -> str:
    kind, _, number = reasons.partition(":")
    if kind == "all":
        return "everybody whose risk something raises"
    if kind == "above":
        return f"those with p_leave above {float(number):g}"
    return f"the {int(number):,} with the highest value at risk (others: --reasons all, top:N or above:P)"


def _next(told: Mapping[str, Any]) -> list[str]:
    out = told["out"]
    if out is None or out.lower().endswith(".xlsx"):
        return ["why CUSTOMER_ID"]
    return ["report --scores " + quote(out), "why CUSTOMER_ID"]


def why_lines(told: Mapping[str, Any]) -> list[str]:
    """One customer's risk, what raises and lowers it, and her latest events."""
    score = told["score"]
    lines = [f"{score['customer_id']} at {score['cutoff']}"]
    if score["status"] == "scored":
        silent = "null" if score["p_silent"] is None else f"{score['p_silent']:.1%}"
        lines += [
            f"  leaves {score['p_leave']:.1%} ({score['p_leave_low']:.1%} to {score['p_leave_high']:.1%} as far as the "
            f"base's level can be foretold), silently {silent}; voice: {score['voice_status']}",
            f"  band {score['band']}: higher than {int(score['percentile'])} % of the training population",
            f"  P(no activity | her own rhythm) {score['p_no_visit_by_rhythm']:.1%}; "
            f"value at risk {score['value_at_risk']:,.2f}",
        ]
        for title, key in (("raises her risk", "raises"), ("lowers it", "lowers")):
            lines += ["", title + " (probability points, not additive)"]
            lines += [
                f"  {100 * item['points']:+5.1f}  {item['signal']:<10} {item['reason']}  -> {item['owner']}"
                for item in told[key]
            ] or ["  nothing"]
        if told["incidents"]:
            lines += ["", "what went wrong in the last year: her risk with it less her risk without (not additive)"]
            lines += [f"  {100 * one['points']:+5.1f}  {one['count']} x {one['kind']}" for one in told["incidents"]]
    else:
        lines.append(f"  not scored: {REASONS.get(score['why_not_scored'], score['why_not_scored'])}")
    lines += ["", "latest events"] + [
        f"  {event['time']}  {event['table']:<13} {event['detail']}" for event in told["events"]
    ]
    return lines


def demo_lines(told: Mapping[str, Any], *, command: Callable[..., str]) -> list[str]:
    """What the demo made, and three commands to try."""
    top, config = told["top"], Path(told["config"])
    why, ui = command(f"why {quote(top['customer_id'])}", config=config), command("ui", config=config)
    return [
        told["training"]["verdict"]["sentence"], "",
        f"scored  {told['scored']:,} of {told['customers']:,} customers: {told['scores']}", f"report  {told['report']}",
        f"model   {told['training']['bundle']}",
        f"first   {top['customer_id']}: leaves {top['p_leave']:.0%}. {top['reason'] or ''}",
        "", "try next:", f"  {why}", f"  {ui}", f"  {command('init mine --from FOLDER_WITH_YOUR_FILES')}",
    ]  # fmt: skip


def _finding(finding: Mapping[str, Any]) -> list[str]:
    place = f"{finding['table']}.{finding['column']}" if finding["column"] else finding["table"]
    rows = f" (rows {', '.join(map(str, finding['rows']))})" if finding["rows"] else ""
    lines = [f"  {_MARKS[finding['severity']]} {finding['code']:<24} {place}: {finding['message']}{rows}"]
    return [*lines, f"{'':<35}{finding['fix']}"] if finding["fix"] else lines


def _horizon(horizon: Mapping[str, Any]) -> list[str]:
    origin = "proposed" if horizon["proposed"] else "set in churn.toml"
    is_candidate = any(row["days"] == horizon["days"] for row in horizon["candidates"])
    compared = "" if is_candidate else "; for comparison the usual ones:"
    called = f"{horizon['outlook']['called']:,}" if horizon["outlook"] else "first"
    lines = [
        f"Horizon   {horizon['days']} days ({origin}){compared}",
        "   days  gaps covered  come back  enough history  list of     in the list  leave rate  quick AUROC  "
        f"leave of the {called}",
    ]
    for row in horizon["candidates"]:
        mark = "*" if row["days"] == horizon["days"] else " "
        shares = f"{_percent(row['covers_gaps']):>12}  {_percent(row['comeback']):>9}"
        enough = "yes" if row["is_enough_history"] else "no"
        lines.append(f" {mark} {row['days']:>4}  {shares}  {enough:>14}{_outlook(row['outlook'])}")
    if not is_candidate and horizon["outlook"]:
        lines.append(f" * {horizon['days']:>4}  {'':>12}  {'':>9}  {'':>14}{_outlook(horizon['outlook'])}")
    if horizon["proposed"] and not horizon["is_good"]:
        lines.append(
            "  no candidate meets every condition (80 % of gaps covered, at most 25 % come back): "
            "this is the longest that fits"
        )
    return lines + _gaps(horizon["gaps"])


def _outlook(told: Mapping[str, Any] | None) -> str:
    """What acting on a list would mean, in the columns of the horizon's table; empty where it can't be told."""
    if told is None:
        return ""
    leavers = f"{told['leavers_called']:,} (at random {told['leavers_at_random']:,.0f})"
    rate = f"{_percent(told['leave_rate']):>10}  {_number(told['auroc']):>11}"
    return f"  {told['cutoff']}  {told['customers']:>11,}  {rate}  {leavers}"


def _gaps(gaps: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a gap between the list and the outcome window changes: leaving noticed, or foretold."""
    if not gaps:
        return []
    lines = [
        "", "Gap       days between the list and the window in which nobody comes",
        "   0: leaving is noticed. Who leaves has made her last visit: easier to tell, and harder to turn round.",
        "  30: leaving is foretold. Who leaves may still come for a month: harder to tell, and there is time to act.",
    ]  # fmt: skip
    for told in gaps:
        came = (
            ""
            if told["still_came"] is None or not told["gap_days"]
            else (f"; {_percent(told['still_came'])} of the leavers still came in those {told['gap_days']} days")
        )
        lines.append(
            f"  gap_days = {told['gap_days']}: {_percent(told['leave_rate'])} leave, quick AUROC "
            f"{_number(told['auroc'])}, {told['leavers_called']:,} of the first {told['called']:,} leave{came}"
        )
    return lines


def _population(population: Mapping[str, Any]) -> list[str]:
    lines = [
        f"Population at {population['cutoff']} ({population['training_cutoffs']} training cutoffs)",
        f"  {population['eligible']:>8,} eligible",
    ]
    lines += [
        f"  {count:>8,} left out: {REASONS.get(reason, reason)} ({reason})"
        for reason, count in population["removed"].items()
    ]
    lines.append(f"  {population['leavers']:>8,} of the eligible leave ({_percent(population['leave_rate'])})")
    heard = population["quiet"] + population["already_vocal"]
    if population["has_voice"]:
        lines.append(
            f"  {heard:>8,} can be heard: {population['quiet']:,} quiet, {population['already_vocal']:,} "
            f"already vocal; {population['unobservable']:,} unobservable; "
            f"{population['silent_leavers']:,} quiet ones leave silently"
        )
    else:
        lines.append("         0 can be heard: no table carries their own voice, so p_silent will be null")
    little = _percent(population["silence_says_little"])
    return [*lines, f"  for {little} a silent window says little: they would often skip it anyway"]


def _metrics(metrics: Mapping[str, Any], title: str, ours: str) -> list[str]:
    lines = [f"{title:<40} {'AUROC':>20} {'AP':>7} {'lift@10':>8} {'Brier':>7} {'ECE':>6}"]
    for name, told in metrics.items():
        auroc = told["auroc"]
        interval = f"{_number(auroc['mean'])} [{_number(auroc['low'])}, {_number(auroc['high'])}]"
        row = [_number(told[key]["mean"]) for key in ("average_precision", "lift_at_10", "brier", "ece")]
        mark = ">" if name == ours else " "
        lines.append(f"{mark} {name:<38} {interval:>20} {row[0]:>7} {row[1]:>8} {row[2]:>7} {row[3]:>6}")
    return lines


def _adds(ablation: Mapping[str, Any], title: str) -> str:
    adds, alone, both = ablation["feedback_adds"]["auroc"], ablation["operations"]["auroc"], ablation["both"]["auroc"]
    is_noise = adds["low"] is not None and adds["low"] <= 0 <= adds["high"]
    return (
        f"On {title}, incidents, service, feedback and silence add {adds['mean']:+.3f} AUROC "
        f"[{adds['low']:+.3f}, {adds['high']:+.3f}] to operations alone ({alone['mean']:.3f} -> {both['mean']:.3f})"
        f"{': no more than chance explains' if is_noise else ''}"
    )


def _shares(counts: Mapping[str, int], whole: int) -> str:
    return ", ".join(f"{name} {count / whole:.0%}" for name, count in counts.items()) or "none"


def _percent(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.1%}"


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.3f}"
