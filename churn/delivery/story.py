"""The story of a training run, in sentences and tables of text: what the page shows, nothing about single customers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from churn.delivery.labels import LEAVE_MODELS, LOWER_IS_BETTER, SILENT_MODELS, metric_label, model_label
from churn.delivery.wording import count, counted, interval, is_known, money, number, percent, signed
from churn.timeline.population import REASONS

TOLD_METRICS = ("auroc", "average_precision", "lift_at_10", "capture_at_10", "brier", "ece")
DECIDING = "auroc"
CLAIMED_SILENT = 0.66
"""Two thirds tell nobody: what large surveys of customers claim. Shown beside the user's own figure, never built in."""

Table = dict[str, Any]


def tiles(result: Mapping[str, Any], *, currency: str) -> list[dict[str, str]]:
    """Returns the figures that answer first: how many leave, what calling brings, how well it ranks, who was silent."""
    latest, population = list(result["population"].items())[-1]
    gain, model = result["gain"], result["metrics"]["model"][DECIDING]
    best = _best_baseline(result, LEAVE_MODELS)
    silent = result["silence"].get("share")
    told = [
        {
            "title": "Customers who leave", "value": percent(population["leave_rate"]),
            "note": f"{count(population['leavers'])} of {count(population['eligible'])} customers within "
            f"{result['target']['horizon_days']} days of {latest}",
        },
        {
            "title": f"Calling the top {count(gain['budget'])}", "value": money(gain["gain"], currency),
            "note": f"expected per list, against {money(gain['random_gain'], currency)} for the same calls at random",
        },
        {
            "title": "Leaver ranked above stayer", "value": percent(model["mean"]),
            "note": f"of all pairs (AUROC); best simple rule {percent(_mean(result, best, DECIDING))}",
        },
    ]  # fmt: skip
    if is_known(silent):
        note = f"of the leavers who could be heard; surveys claim {percent(CLAIMED_SILENT)}"
        told.append({"title": "Had said nothing", "value": percent(silent), "note": note})
    return told


def verdict(result: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the verdict with the best rule called as people call it."""
    told = result["verdict"]
    best = told.get("best_baseline", "")
    sentence = told["sentence"].replace(f" ({best})", f", “{model_label(best)}”") if best else told["sentence"]
    return {"is_promoted": told["is_promoted"], "sentence": sentence}


def answer(result: Mapping[str, Any], *, currency: str) -> str:
    """Returns what the run means for the next list, in one or two sentences."""
    gain, target = result["gain"], result["target"]
    horizon, calls = target["horizon_days"], count(gain["budget"])
    if result["verdict"].get("is_too_good"):
        return (
            "Do not act on this model: nobody knows that well who will leave. Probably a column was filled in or "
            "overwritten after the fact: find it among what moves the risks most, leave it out or date it, and train "
            "again."
        )
    if not result["verdict"]["is_promoted"]:
        return (
            "Do not act on this model yet: a simple rule does the job about as well. More history, or tables that are "
            "missing today (incidents, feedback, invitations), may change that."
        )
    if not is_known(gain["gain"]) or gain["gain"] <= 0:
        return (
            f"The list tells who will leave within {horizon} days, but at {number(gain['cost'], digits=2)} {currency} "
            f"a call with {percent(gain['success_rate'])} success, calling the top {calls} does not pay."
        )
    return (
        f"Calling the top {calls} of each list is worth {money(gain['gain'], currency)} in expected spend over "
        f"{horizon} days, if a call costs {number(gain['cost'], digits=2)} {currency} and keeps "
        f"{percent(gain['success_rate'])} of the leavers it reaches. Test that success rate with a "
        "control group before you rely on it."
    )


def comparison(result: Mapping[str, Any], *, silent: bool = False) -> Table:
    """Returns the metrics of the model beside every baseline, with intervals; the best of each column marked."""
    group = SILENT_MODELS if silent else LEAVE_MODELS
    names = [name for name in group if name in result["metrics"]]
    best = {metric: _best(result, names, metric) for metric in TOLD_METRICS}
    rows = []
    for name in names:
        cells = [
            _cell(result["metrics"][name].get(metric, {}), best=best[metric], metric=metric) for metric in TOLD_METRICS
        ]
        against = result["differences"].get(name, {}).get(DECIDING, {})
        cells.append({"value": signed(against.get("mean")), "note": interval(against, is_signed=True)})
        rows.append({"title": model_label(name), "is_ours": name.startswith("model"), "cells": cells})
    columns = [metric_label(metric) for metric in TOLD_METRICS] + [f"Model minus rule, {metric_label(DECIDING)}"]
    return {"columns": columns, "rows": rows}


def comparison_sentence(result: Mapping[str, Any], *, silent: bool = False) -> str:
    """Returns whether the model beats the best baseline beyond chance, in one sentence."""
    best = _best_baseline(result, SILENT_MODELS if silent else LEAVE_MODELS)
    if best is None:
        return ""
    against = result["differences"].get(best, {}).get(DECIDING, {})
    told = f"{signed(against.get('mean'))} {interval(against, is_signed=True)} AUROC"
    rule = f"the strongest rule, “{model_label(best)}”"
    if not is_known(against.get("low")) or not is_known(against.get("high")):
        return f"Whether the model beats {rule} cannot be judged on these cutoffs."
    if against["low"] > 0:
        return f"The model beats {rule}, by {told}: more than chance explains."
    if against["high"] < 0:
        return f"The model is worse than {rule}, by {told}: use the rule."
    return f"Between the model and {rule} there is no more than chance: {told}."


def voices(result: Mapping[str, Any]) -> Table:
    """Returns, per test cutoff, how many customers were quiet, already vocal or unobservable, and who left silently."""
    columns = ["Eligible", "Left", "Quiet", "Already vocal", "Unobservable", "Treated", "Silent among quiet leavers"]
    keys = ("eligible", "leavers", "quiet", "already_vocal", "unobservable", "treated")
    rows = []
    for cutoff, found in result["population"].items():
        cells = [{"value": count(found.get(key))} for key in keys]
        cells.append({"value": percent(found.get("silent_share"), digits=1)})
        rows.append({"title": cutoff, "cells": cells})
    return {"first": "Cutoff", "columns": columns, "rows": rows}


def silence_sentence(result: Mapping[str, Any]) -> str:
    """Returns the share of leavers who had said nothing beside the published claim, or why it is not known."""
    silence = result["silence"]
    if not is_known(silence.get("share")):
        why = silence.get("why") or "nobody who left could be heard"
        return f"How many left without a word is not known here: {why.rstrip('.')}."
    sentence = (
        f"Of the leavers in this backtest, {percent(silence['share'])} had said nothing. Surveys claim that "
        f"{percent(CLAIMED_SILENT)} of customers tell nobody about a bad experience: a claim to test, not a law, and "
        "not quite the same question, since not every leaver had one."
    )
    if silence.get("is_modelled"):
        return sentence
    return f"{sentence} A silent model of its own was not learnt: {silence.get('why', '').rstrip('.')}."


def additions(result: Mapping[str, Any]) -> list[Table]:
    """Returns what feedback, incidents and silence add to operations alone, for all eligible and for the quiet."""
    titles = {"eligible": "Who leaves, all eligible customers", "quiet": "Who leaves silently, quiet customers"}
    lines = {
        "operations": "Operations alone (spend, visits, rhythm)",
        "feedback": "Feedback, service, incidents and silence alone",
        "both": "Both together",
    }
    told = []
    for group, title in titles.items():
        found = result["ablation"].get(group)
        if not found:
            continue
        rows = [
            {"title": line, "cells": [_cell(found[name].get(metric, {}), metric=metric) for metric in TOLD_METRICS]}
            for name, line in lines.items() if name in found
        ]  # fmt: skip
        columns = [metric_label(metric) for metric in TOLD_METRICS]
        told.append({"title": title, "sentence": _adds(found), "columns": columns, "rows": rows})
    return told


def calibration_sentence(result: Mapping[str, Any]) -> str:
    """Returns how far the probabilities can be believed, in plain words."""
    ours = {name: figure.get("mean") for name, figure in result["metrics"]["model"].items()}
    large, ece, perfect = ours.get("calibration_in_the_large"), ours.get("ece"), ours.get("ece_perfect")
    if not is_known(large) or not is_known(ece):
        return "These cutoffs do not tell whether the probabilities can be believed."
    side = "more" if large > 0 else "less"
    points = number(abs(100 * large), digits=1)
    sentence = f"On average the model foretells {points} percentage points {side} leaving than came true."
    if is_known(perfect):
        sentence += (
            f" Predicted risks are off by {number(100 * ece, digits=1)} points on average; those of a perfect model "
            f"would be off by {number(100 * perfect, digits=1)} on as many customers, by chance alone."
        )
    slope = ours.get("calibration_slope")
    if is_known(slope) and abs(slope - 1) > 0.15:
        sentence += " High risks are overstated and low ones understated." if slope < 1 else " The risks are too timid."
    return sentence


def left_out(result: Mapping[str, Any]) -> Table:
    """Returns, per rule and cutoff, how many customers got no prediction."""
    population = result["population"]
    found: set[str] = {reason for cutoff in population.values() for reason in cutoff["removed"]}
    reasons = [reason for reason in REASONS if reason in found] + sorted(found - set(REASONS))
    rows = [
        _removed(REASONS.get(reason, reason), [cutoff["removed"].get(reason, 0) for cutoff in population.values()])
        for reason in reasons
    ]
    rows.append(
        {
            **_removed("eligible: they are predicted", [cutoff["eligible"] for cutoff in population.values()]),
            "is_ours": True,
        }
    )
    return {"first": "Why", "columns": list(population), "rows": rows}


def definition(result: Mapping[str, Any]) -> list[str]:
    """Returns what "leaving" means in this run, sentence by sentence."""
    target, training = result["target"], result["training_cutoffs"]
    coming = "an order with a positive amount that is no return" if target["activity"] == "purchases" else "a visit"
    gap = target["gap_days"]
    window = f"the {target['horizon_days']} days that begin {f'{gap} days after' if gap else 'at'} the cutoff"
    partial = ", or does so markedly less than her own season-adjusted rhythm" if "partial" in target["leave"] else ""
    leaves = f"she has no activity in {window}{partial}, or closes her account"
    who = f"the population {target['population']} set in churn.toml"
    if target["population"] == "rhythm":
        who = "whoever has her own rhythm (two active days or more) and is not gone by it"
    if target["population"] == "contract":
        who = f"whoever has a running contract that ends in {window}"
        leaves = "she does not renew that contract within 30 days of its end; a failed payment is not leaving"
    return [
        f"A customer is active with {coming}; she leaves if {leaves}.",
        f"Predicted is {who}; closed and opted-out accounts never.",
        "Every signal uses only what was known before its cutoff; whatever became known later is invisible to it.",
        "She leaves silently if she has not told the company that something is wrong, neither before the cutoff nor "
        "until the window ends.",
        f"Learnt from {count(training['rows'])} rows at {counted(training['count'], 'cutoff')} from "
        f"{training['first']} to {training['last']}; tested at {', '.join(result['cutoffs'])}, each time by a model "
        "that knew only what was settled by then.",
    ]  # fmt: skip


def horizons(result: Mapping[str, Any]) -> Table:
    """Returns the candidates for the horizon, the chosen one marked."""
    rows = [
        {
            "title": counted(row["days"], "day"), "is_ours": row["days"] == result["target"]["horizon_days"],
            "cells": [
                *({"value": percent(row[share])} for share in ("covers_gaps", "leave_rate", "comeback")),
                {"value": "yes" if row["is_enough_history"] else "no"},
            ],
        }
        for row in result["horizon"]["candidates"]
    ]  # fmt: skip
    columns = ["Gaps covered (80 % wanted)", "Would leave", "Come back later (25 % at most)", "Enough history"]
    return {"first": "Horizon", "columns": columns, "rows": rows}


def lead_sentence(result: Mapping[str, Any]) -> str:
    """Returns how early the alert came, or an empty text where nobody could be alerted."""
    lead = result["lead_time"]
    if not lead or not is_known(lead["median_days"]):
        return ""
    days, who = number(abs(lead["median_days"]), digits=0), counted(lead["customers"], "leaver")
    if lead["median_days"] >= 0:
        return f"For half of the {who} on a list, the first alert came {days} days or more before the last activity."
    return (
        f"For half of the {who} on a list, the first alert came no later than {days} days after the last activity: "
        "they had stopped coming, though nobody could be sure yet that it was more than a pause."
    )


def _adds(found: Mapping[str, Any]) -> str:
    adds = found.get("feedback_adds", {}).get(DECIDING, {})
    if not is_known(adds.get("low")):
        return ""
    told = f"{signed(adds['mean'])} {interval(adds, is_signed=True)} AUROC"
    if adds["low"] > 0:
        return f"Feedback, service, incidents and silence add {told} to operations alone: they are worth collecting."
    if adds["high"] < 0:
        return f"Feedback, service, incidents and silence add {told} to operations alone: they make it worse."
    return f"Feedback, service, incidents and silence add {told} to operations alone: no more than chance explains."


def _removed(title: str, counts: Sequence[int]) -> dict[str, Any]:
    return {"title": title, "cells": [{"value": count(value)} for value in counts]}


def _cell(figure: Mapping[str, Any], *, metric: str, best: float | None = None) -> dict[str, Any]:
    digits = 2 if metric.startswith("lift") else 3
    mean = figure.get("mean")
    is_best = best is not None and number(mean, digits=digits) == number(best, digits=digits)
    return {"value": number(mean, digits=digits), "note": interval(figure, digits=digits), "is_best": is_best}


def _best(result: Mapping[str, Any], names: Sequence[str], metric: str) -> float | None:
    means: list[float] = [mean for name in names if is_known(mean := _mean(result, name, metric))]
    if not means:
        return None
    return min(means) if metric in LOWER_IS_BETTER else max(means)


def _best_baseline(result: Mapping[str, Any], group: Mapping[str, str]) -> str | None:
    rules = [name for name in group if not name.startswith("model") and is_known(_mean(result, name, DECIDING))]
    return max(rules, key=lambda name: _mean(result, name, DECIDING), default=None)


def _mean(result: Mapping[str, Any], name: str | None, metric: str) -> Any:
    return result["metrics"].get(name, {}).get(metric, {}).get("mean")
