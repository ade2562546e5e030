"""Figures of the recovery benchmark told: each beside its target, company by company, and the means over companies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from figures import Check, Part, Table, interval, number
from recovery_speakers import voice_tables, with_seen_share

Found = dict[str, Any]
ENOUGH_CUSTOMERS = 5_000
"""Of fewer customers nothing is judged: the intervals are wider than the targets are far."""
TARGETED_CUSTOMERS = 50_000
"""The targets of the means speak of companies of this size; where some are measured, smaller ones stand beside them."""
CAPTURED, HEARD, VOICED, VOCAL, NAMED = 0.95, 0.5, 0.95, 0.90, 0.90
MOST_ECE = 0.005
MOST_FALL = 0.02
AT_CHANCE = 0.5
NOTHING = "-"
WIDEST = 1.0
AT_MOST = 1.0
HEADER = ("what", "who", "AUROC", "lift@10 %", "Brier", "of the ceiling's advantage", "of it beyond the best rule")
WHO = {
    "model": "model", "operations": "operations alone", "baseline": "best rule", "ceiling": "observable ceiling",
    "oracle": "oracle",
}  # fmt: skip
OUTCOMES = {
    "leave": "p_leave", "silent": "p_silent on the quiet", "later": "p_leave, gap 30",
    "later_silent": "p_silent on the quiet, gap 30",
}  # fmt: skip
MEANS = (
    ("leave", ("leave", "share"), CAPTURED, "p_leave: share of the ceiling's AUROC beyond .5"),
    ("silent", ("silent", "share"), CAPTURED, "p_silent on the quiet: the same"),
    ("latent", ("latent", "share"), HEARD, "of what the latent state adds to operations alone"),
    ("voice", ("voice", "share"), VOICED, "voice model: share of the known personality's AUROC beyond .5"),
    ("vocal", ("vocal", "share"), VOCAL, "silent against vocal leavers, gap 30: share of the ceiling's"),
    (
        "causes",
        ("causes", "removal", "share"),
        NAMED,
        "kind of incident that drove her away: share of the posterior's hits",
    ),
)


def parts_of(found: Sequence[Found]) -> list[Part]:
    """Returns a part per company, and before them the means over the companies with signal."""
    found = [{**one, "voice": with_seen_share(one["voice"])} for one in found]
    return [overall(found), *(company_part(one) for one in found)]


def overall(found: Sequence[Found]) -> Part:
    """Returns the means over the companies with signal beside their targets, with a line per company.

    Judged are the companies as large as the targets mean; the means of smaller ones are told without a target. Where
    none is as large, all are judged.
    """
    signal = [one for one in found if one["plan"]["regime"] != "no_signal"]
    large = [one for one in signal if one["plan"]["customers"] >= TARGETED_CUSTOMERS]
    judged = large or signal
    checks = _means(judged, is_judged=any(_is_large(one) for one in judged))
    if large:
        smaller = _means([one for one in signal if one not in large], is_judged=False)
        checks += [
            Check(f"{check.what}; smaller companies", check.measured, "none")
            for check in smaller
            if check.measured != NOTHING
        ]
    header = ("company", *(name for name, *_ in MEANS), "posterior's hits", "latest incident's", "ours")
    rows = [_summary(one) for one in found]
    size = f" of {TARGETED_CUSTOMERS:,} customers" if large else ""
    return Part(
        "means", f"Over all companies with signal{size}, how much of what could be known is found", checks, header, rows
    )


def _means(found: Sequence[Found], *, is_judged: bool) -> list[Check]:
    """The means of some companies beside their targets."""
    checks = []
    for _, path, least, what in MEANS:
        mean, half, count = mean_of(_at(one, path) for one in found)
        if mean is None:
            checks.append(Check(what, NOTHING, f"at least {least:.0%}"))
            continue
        told = f"{mean:.1%} ± {half:.1%} ({_companies(count)})"
        checks.append(Check(what, told, f"at least {least:.0%}", mean >= least if is_judged else None))
    return [*checks, *_of_what_can_be_seen(found), _above_latest(found, is_judged=is_judged)]


def company_part(one: Found) -> Part:
    """Returns everything measured of one company."""
    plan = one["plan"]
    title = (
        f"{plan['customers']:,} customers over {plan['months']} months, horizon {plan['horizon_days']} days; "
        f"{one['train_rows']:,} rows, eligible at "
        + ", ".join(f"{label} {count:,}" for label, count in one["eligible"].items())
        + f"; {one['leave']['rows']:,} of them put to oracle and ceiling"
    )
    more = (_ablation(one), _causes(one), _drivers(one), *voice_tables(one["voice"]))
    return Part(
        name_of(one), title, [check for check in _checks(one) if check is not None], HEADER,
        [row for name, about in OUTCOMES.items() for row in _contest_rows(about, one.get(name))],
        _notes(one), more=[table for table in more if table],
    )  # fmt: skip


def mean_of(figures: Iterable[dict[str, Any] | None]) -> tuple[float | None, float, int]:
    """Returns the mean of some figures, half the width of its 95 % interval, and how many there are.

    A figure whose own interval is wider than 1 says nothing, and would drown the others: it isn't counted. Nor is a
    share that lies above 1 with its whole interval: what it is a share of is no bound, and it would flatter the mean.

    >>> mean_of([{"mean": 0.9, "low": 0.8, "high": 1.0}, None])
    (0.9, 0.09999999999999998, 1)
    """
    told = [
        one
        for one in figures
        if one and one["low"] is not None and one["high"] - one["low"] <= WIDEST and one["low"] <= AT_MOST
    ]
    if not told:
        return None, 0.0, 0
    halves = [(one["high"] - one["low"]) / 2 for one in told]
    return sum(one["mean"] for one in told) / len(told), sum(half**2 for half in halves) ** 0.5 / len(told), len(told)


def _checks(one: Found) -> list[Check | None]:
    regime, is_judged = one["plan"]["regime"], _is_large(one)
    if regime == "no_signal":
        promoted = one["judged"]["verdict"]["is_promoted"]
        return [Check("promoted where there is no signal", "yes" if promoted else "no", "no", not promoted)]
    best = one["judged"]["verdict"]["best_baseline"]
    less = one["difference"]
    checks: list[Check | None] = [
        Check(f"AUROC beside the best rule ({best})", interval(less, is_difference=True), "not below",
              less["mean"] >= 0 if is_judged else None),
        _calibration(one), _lead(one), _cause_check(one), *_driver_checks(one),
    ]  # fmt: skip
    if regime == "mute":
        heard = [line for line in one["said"] if "constant share" in line or "voice" in line or "heard" in line]
        checks.append(Check("says what it can't hear", heard[0] if heard else "nothing", "a sentence", bool(heard)))
    if regime == "drifting":
        checks.append(_falling(one))
    return checks


def _calibration(one: Found) -> Check:
    told = one["metrics"]["model"]
    ours, perfect = told["ece"]["mean"], told["ece_perfect"]["mean"]
    is_judged = _is_large(one) and one["plan"]["regime"] != "drifting"
    return Check(
        "ECE beside a perfect model's", f"{ours:.4f} beside {perfect:.4f}", f"at most {MOST_ECE} more",
        ours - perfect <= MOST_ECE if is_judged else None,
    )  # fmt: skip


def _lead(one: Found) -> Check | None:
    lead = one["judged"]["lead_time"]
    if lead is None:
        return None
    days, count = lead["median_days"], lead["customers"]
    return Check("from the first alert to the last activity", f"median {days:+.0f} days, {count} leavers", "none")


def _of_what_can_be_seen(found: Sequence[Found]) -> list[Check]:
    """How much can be known of who speaks from what customers told before, and how much of that the voice model has."""
    checks = []
    for name, what in (
        ("seen_share", "who knows the equations, and what she told before: the same share of the known personality's"),
        ("share_of_seen", "voice model: share of who knows the equations, and what she told before"),
    ):
        mean, half, count = mean_of(_at(one, ("voice", name)) for one in found)
        told = NOTHING if mean is None else f"{mean:.1%} ± {half:.1%} ({_companies(count)})"
        checks.append(Check(what, told, "none"))
    return checks


def _companies(count: int) -> str:
    return f"{count} {'company' if count == 1 else 'companies'}"


def name_of(one: Found) -> str:
    """Returns the name of a company with its size, since the same one is measured at several."""
    return f"{one['plan']['name']} ({one['plan']['customers']:,})"


def _above_latest(found: Sequence[Found], *, is_judged: bool) -> Check:
    """How much more often the kind that is named is right than the latest incident, the mean over the companies."""
    mean, half, count = mean_of(_at(one, ("causes", "removal", "above_latest")) for one in found)
    what, target = "hits of the kind that is named, above the latest incident's", "interval above 0"
    if mean is None:
        return Check(what, NOTHING, target)
    told = f"{mean:+.3f} ± {half:.3f} ({_companies(count)})"
    return Check(what, told, target, mean - half > 0 if is_judged else None)


def _cause_check(one: Found) -> Check | None:
    named = one["causes"].get("removal")
    if named is None:
        return None
    above = named["above_latest"]
    what = "hits of the kind that is named, above the latest incident's"
    return Check(what, interval(above, is_difference=True), "none: see the means")


def _driver_checks(one: Found) -> list[Check]:
    signals = one["drivers"].get("signals")
    if signals is None:
        return []
    found = []
    for name, what, sign in (
        ("speaking", "service and feedback push vocal leavers more than silent ones", -1),
        ("fading", "spend, visits and rhythm push silent leavers more than vocal ones", 1),
    ):
        told = signals[name]["difference"]
        edge = told["low"] if sign > 0 else -told["high"]
        shown = interval(told, is_difference=True)
        found.append(
            Check(what + ", silent minus vocal", shown, "interval off 0", edge > 0 if _is_large(one) else None)
        )
    ahead = one["drivers"].get("ahead")
    if ahead is not None:
        what = f"fading alone, of {ahead['silent']} silent and {ahead['vocal']} vocal leavers whose exit lies ahead"
        found.append(Check(what, interval(ahead["signals"]["fading"]["difference"], is_difference=True), "none"))
    return found


def _falling(one: Found) -> Check:
    """Whether answering or telling has fallen beyond chance while the ranking has not."""
    first, *_, last = one["metrics"]["model"]["auroc"]["by_cutoff"].values()
    change = one["coverage"].get("answered_change") or one["coverage"]["told_change"]
    shown = f"answers {interval(change, is_difference=True)}; AUROC {first:.3f}, then {last:.3f}"
    is_met = change["high"] < 0 and last >= first - MOST_FALL
    return Check("the fall in voice shows before the metrics fall", shown, "answers fall, AUROC holds", is_met)


def _contest_rows(about: str, told: Found | None) -> list[tuple[str, ...]]:
    if not told or "scores" not in told:
        return []
    rows = []
    for name, who in WHO.items():
        if name not in told["scores"]:
            continue
        score, is_model = told["scores"][name], name == "model"
        shown = f"{who} ({told['baseline']})" if name == "baseline" else who
        figures = (interval(score["auroc"]), number(score["lift_at_10"], 2), number(score["brier"]))
        shares = (_share(told), _share(told, "share_beyond_baseline")) if is_model else ("", "")
        rows.append((about if is_model else "", shown, *figures, *shares))
    return rows


def _share(told: Found, name: str = "share") -> str:
    """A share as text: a dash where the ceiling is no better than chance, and there is nothing to share in."""
    return "-" if _is_at_chance(told) or told[name]["mean"] is None else interval(told[name])


def _is_at_chance(told: Found) -> bool:
    ceiling = told.get("scores", {}).get("ceiling", {})
    edge = ceiling.get("auroc", ceiling).get("low")
    return edge is not None and edge <= AT_CHANCE


def _ablation(one: Found) -> Table | None:
    told = one["judged"]["ablation"]
    if not told:
        return None
    rows = [
        (group, *(interval(told[group][family]["auroc"]) for family in ("operations", "feedback", "both")),
         interval(told[group]["feedback_adds"]["auroc"], is_difference=True))
        for group in told
    ]  # fmt: skip
    header = ("rows", "operations alone", "the rest alone", "both", "added to operations")
    return Table("AUROC by what is looked at, over all eligible:", header, rows)


def _causes(one: Found) -> Table | None:
    hits = one["causes"].get("hits")
    if hits is None:
        return None
    about = f"Why {one['causes']['rows']} silent leavers with a cause left; how often each way names the true kind:"
    return Table(about, ("way", "hit rate"), [(name, interval(hit)) for name, hit in hits.items()])


def _drivers(one: Found) -> Table | None:
    signals = one["drivers"].get("signals")
    if signals is None:
        return None
    about = (
        f"Mean drivers (log odds) of {one['drivers']['silent']} silent and {one['drivers']['vocal']} vocal leavers; "
        "fading is spend, visits and rhythm together, speaking is service and feedback:"
    )
    rows = [
        (name, f"{told['silent']:+.3f}", f"{told['vocal']:+.3f}", interval(told["difference"], is_difference=True))
        for name, told in signals.items()
    ]
    return Table(about, ("signal", "silent", "vocal", "silent minus vocal"), rows)


def _notes(one: Found) -> list[str]:
    notes = [one["judged"]["verdict"]["sentence"]]
    latent, vocal = one["latent"], one.get("vocal", {})
    if latent and one["plan"]["regime"] != "no_signal":
        scores = ", ".join(f"{name} {interval(score)}" for name, score in latent["scores"].items())
        notes.append(
            f"On the {latent['rows']:,} quiet of the last cutoff: {scores}; the latent state adds "
            f"{interval(latent['adds'], is_difference=True)}, of which we have {_share(latent)}."
        )
    if "scores" in vocal:
        scores = ", ".join(f"{name} {interval(score)}" for name, score in vocal["scores"].items())
        notes.append(
            f"Silent against vocal, {vocal['rows']:,} quiet leavers, {vocal['vocal']:,} of them vocal (gap 30): "
            f"{scores}; share {_share(vocal)}."
        )
    return [*notes, *(f"It says: {line}" for line in one["said"] if "constant share" in line or "voice" in line)]


def _summary(one: Found) -> tuple[str, ...]:
    hits = one["causes"].get("hits", {})
    ways = ("posterior", "latest incident", "without the kind")
    return (
        name_of(one), *(interval(told) if (told := _at(one, path)) else "-" for _, path, *_ in MEANS),
        *(number(hits[way]["mean"]) if way in hits else "-" for way in ways),
    )  # fmt: skip


def _at(one: Found, path: tuple[str, ...]) -> dict[str, Any] | None:
    """A figure by its place; none where the ceiling itself is no better than chance: there is nothing to share in."""
    told: Any = one
    for step in path:
        told = told.get(step) if isinstance(told, dict) else None
    return None if _is_at_chance(one.get(path[0], {})) or (told or {}).get("mean") is None else told


def _is_large(one: Found) -> bool:
    return bool(one["plan"]["customers"] >= ENOUGH_CUSTOMERS)
