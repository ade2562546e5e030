"""The verdict: what the backtest's predictions are worth beside the simple rules, with intervals, in a user's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from churn.config import Contact
from churn.models.backtest import SILENCE_BASELINES
from churn.models.baselines import BASELINES
from churn.models.intervals import Bootstrap, bootstrap
from churn.models.leak import TOO_GOOD
from churn.models.profit import empc, gain_at_budget
from churn.models.reliability import reliability
from churn.tables.history import DAY

ALERT_SHARE = 0.10
DECIDING = "auroc"


def judge(
    predictions: pd.DataFrame,
    *,
    labels: Mapping[int, str],
    contact: Contact,
    currency: str,
    seed: int,
    allow_leak: bool = False,
) -> dict[str, Any]:
    """Returns metrics, differences, reliability, ablation, gain, lead time and verdict, as in `churn train --json`.

    Args:
        predictions: the rows of `run_backtest`.
        labels: the label of each test cutoff by its moment.
        contact: what a call costs and brings.
        currency: of the gain.
        seed: of the bootstrap.
        allow_leak: promotes a model that is too good to be true.
    """
    everybody = _compared(predictions, "has_left", _leave_models(predictions), labels=labels, seed=seed)
    metrics, differences = dict(everybody.metrics), dict(everybody.differences)
    quiet = predictions[(predictions["voice_status"] == "quiet") & predictions["p_silent"].notna()]
    quiet = quiet.assign(is_silent=quiet["has_left"] & ~quiet["has_spoken"])
    if len(quiet):
        heard = _compared(quiet, "is_silent", _silent_models(quiet), labels=labels, seed=seed)
        metrics |= {"model_silent": heard.metrics["model"]} | {name: heard.metrics[name] for name in SILENCE_BASELINES}
        differences |= {name: heard.differences[name] for name in SILENCE_BASELINES}
    return {
        "metrics": metrics,
        "differences": differences,
        "reliability": reliability(predictions, labels=labels),
        "ablation": _ablation(predictions, quiet, labels=labels, seed=seed),
        "gain": _gain(predictions, contact, currency),
        "lead_time": _lead_time(predictions),
        "verdict": _verdict(metrics, differences, allow_leak=allow_leak),
    }


def _leave_models(predictions: pd.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    models = {"model": _pair(predictions, "p_leave", "margin")}
    return models | {name: _pair(predictions, f"p:{name}", f"rank:{name}") for name in BASELINES}


def _silent_models(quiet: pd.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    models = {"model": _pair(quiet, "p_silent", "p_silent")}
    return models | {name: _pair(quiet, f"p:{name}", f"rank:{name}") for name in SILENCE_BASELINES}


def _pair(predictions: pd.DataFrame, p: str, rank: str) -> tuple[np.ndarray, np.ndarray]:
    return predictions[p].to_numpy(np.float64), predictions[rank].to_numpy(np.float64)


def _compared(
    rows: pd.DataFrame, outcome: str, models: dict[str, tuple[np.ndarray, np.ndarray]], *,
    labels: Mapping[int, str], seed: int, reference: str = "model",
) -> Bootstrap:  # fmt: skip
    return bootstrap(
        rows["customer"].to_numpy(),
        cutoffs=rows["at"].to_numpy(),
        y=rows[outcome].to_numpy(np.float64),
        predictions={name: p for name, (p, _) in models.items()},
        ranks={name: rank for name, (_, rank) in models.items()},
        cutoff_names=[labels[at] for at in sorted(rows["at"].unique())],
        reference=reference,
        seed=seed,
    )


def _ablation(
    predictions: pd.DataFrame, quiet: pd.DataFrame, *, labels: Mapping[int, str], seed: int
) -> dict[str, Any]:
    """What feedback, silence and things that went wrong add to operations alone: on everybody, and on the quiet."""
    if "p:operations" not in predictions:
        return {}
    families = {"both": "p_leave", "operations": "p:operations", "feedback": "p:feedback"}
    result = {"eligible": _contest(predictions, "has_left", families, labels=labels, seed=seed)}
    if len(quiet):
        families = {"both": "p_silent", "operations": "s:operations", "feedback": "s:feedback"}
        result["quiet"] = _contest(quiet, "is_silent", families, labels=labels, seed=seed)
    return result


def _contest(
    rows: pd.DataFrame, outcome: str, families: dict[str, str], *, labels: Mapping[int, str], seed: int
) -> dict[str, Any]:
    models = {name: _pair(rows, column, column) for name, column in families.items()}
    found = _compared(rows, outcome, models, labels=labels, seed=seed, reference="both")
    return {**found.metrics, "feedback_adds": found.differences["operations"]}


def _gain(predictions: pd.DataFrame, contact: Contact, currency: str) -> dict[str, Any]:
    """Gain of contacting the top of each cutoff's list, mean over the cutoffs; value is the expected spend kept."""
    gains, random, profits, contacted = [], [], [], []
    for _, rows in predictions.groupby("at"):
        y, p = rows["has_left"].to_numpy(np.float64), rows["p_leave"].to_numpy()
        value = np.maximum(rows["expected_spend"].to_numpy(np.float64), 0)
        budget = contact.budget or max(1, round(ALERT_SHARE * len(rows)))
        found = gain_at_budget(y, p, budget=budget, cost=contact.cost, success_rate=contact.success_rate, value=value)
        gains.append(found.expected)
        random.append(found.random)
        contacted.append(found.contacted)
        profits.append(empc(y, p))
    return {
        "budget": round(float(np.mean(contacted))), "cost": contact.cost, "success_rate": contact.success_rate,
        "currency": currency, "gain": float(np.mean(gains)), "random_gain": float(np.mean(random)),
        "empc": float(np.mean(profits)),
    }  # fmt: skip


def _lead_time(predictions: pd.DataFrame) -> dict[str, Any] | None:
    """Days from the first alert (top tenth of a cutoff's list) to the last activity before leaving, of the leavers.

    Above 0 she came at least once more: there was an occasion to act. Below 0 the alert came too late.
    """
    limit = predictions.groupby("at")["margin"].transform(lambda margin: margin.quantile(1 - ALERT_SHARE))
    alerts = predictions[predictions["margin"] >= limit].groupby("customer")["at"].min()
    left = predictions[predictions["has_left"]].sort_values("at").groupby("customer").last()
    last_activity = left["at"] - left["days_since_last"] * DAY
    days = ((last_activity - alerts) / DAY).dropna()
    if not len(days):
        return None
    return {"median_days": float(days.median()), "customers": len(days)}


def _verdict(metrics: Mapping[str, Any], differences: Mapping[str, Any], *, allow_leak: bool) -> dict[str, Any]:
    """Better than the best simple rule beyond chance, or not, or too good; only the first is promoted."""
    best = max(BASELINES, key=lambda name: metrics[name][DECIDING]["mean"] or 0.0)
    ours, theirs = metrics["model"][DECIDING]["mean"], metrics[best][DECIDING]["mean"]
    against = differences[best][DECIDING]
    if ours is None or against["low"] is None:
        sentence = "Cannot be judged: no test cutoff has both customers who leave and who stay. Not promoted."
        return {"is_promoted": False, "is_too_good": False, "best_baseline": best, "sentence": sentence}
    told = (
        f"AUROC {ours:.3f} against {theirs:.3f} of the best simple rule ({best}), "
        f"difference {against['mean']:+.3f} [{against['low']:+.3f}, {against['high']:+.3f}]"
    )
    is_better, is_worse = against["low"] > 0, against["high"] < 0
    is_too_good = ours > TOO_GOOD and not allow_leak
    if is_too_good:
        sentence = (
            f"Too good to be true: {told}. Above {TOO_GOOD:g} something in the tables probably knows the future: see "
            "what moves its risks most. Not promoted; --allow-leak trusts it."
        )
    elif is_better:
        sentence = f"Better than every simple rule: {told}{_worse_brier(metrics)}."
    elif is_worse:
        sentence = f"Worse than the baseline: {told}. Not promoted."
    else:
        sentence = f"No better than the baseline: {told}, no more than chance explains. Not promoted."
    return {
        "is_promoted": is_better and not is_too_good, "is_too_good": is_too_good, "best_baseline": best,
        "sentence": sentence,
    }  # fmt: skip


def _worse_brier(metrics: Mapping[str, Any]) -> str:
    """What must be said beside a better ranking: that a simple rule's probabilities are closer to the truth."""
    best = min(BASELINES, key=lambda name: metrics[name]["brier"]["mean"])
    ours, theirs = metrics["model"]["brier"]["mean"], metrics[best]["brier"]["mean"]
    return (
        f"; but Brier {ours:.3f} against {theirs:.3f} of {best}: trust its order, not its level"
        if ours > theirs
        else ""
    )
