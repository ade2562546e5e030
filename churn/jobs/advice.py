"""Advice: what each horizon and each gap would mean for whoever acts on the list, from a baseline of seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from churn.config import Config
from churn.models.frame import learn_prior, outcomes_of, rows_at, why_not
from churn.models.known import Known
from churn.models.metrics import auroc
from churn.models.target import Target
from churn.tables.history import DAY
from churn.timeline.horizon import learning_ends
from churn.timeline.outcomes import active_days
from churn.timeline.population import ELIGIBLE
from churn.timeline.rhythm import Float64, p_no_visit_or_gone, season_factor

GAPS = (0, 30)
"""Leaving noticed, and leaving foretold."""
CALLED_SHARE = 0.10
"""Of the list, where no contact budget is given."""


def horizon_advice(config: Config, known: Known, target: Target, days: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Returns `outlook` for each horizon whose window fits into what may be learnt from, by its days."""
    return {
        each: told for each in days
        if (told := outlook(config, known, replace(target, horizon_days=each))) is not None
    }  # fmt: skip


def gap_advice(config: Config, known: Known, target: Target) -> list[dict[str, Any]]:
    """Returns `outlook` with leaving noticed (gap 0), foretold (gap 30), and with the gap that is set."""
    gaps = sorted({*GAPS, target.gap_days})
    told = [outlook(config, known, replace(target, gap_days=gap)) for gap in gaps]
    return [found for found in told if found is not None]


def outlook(config: Config, known: Known, target: Target) -> dict[str, Any] | None:
    """Returns what acting on a list would have meant at the last moment that teaches nothing about the test cutoffs.

    customers and leavers in the list; the AUROC of MBG/NBD, a baseline that a model should exceed; how many leave of
    the first customers that can be called, and of as many at random; the share of leavers who still came before the
    window opened, and could have been met. None where nobody is eligible or the window doesn't fit.

    Args:
        config: the project, for its contact budget.
        known: what is known of the customers.
        target: what would be predicted.
    """
    ends = learning_ends(starts=known.starts, settled=known.settled)
    at = ends - target.span_days * DAY
    at -= at % DAY
    if at <= known.starts or target.is_contractual:
        return None
    cutoff, prior = target.cutoff(at), learn_prior(known, at)
    codes = np.flatnonzero(why_not(known, target, cutoff, prior=prior) == ELIGIBLE)
    if not len(codes):
        return None
    frame = rows_at(known, cutoff, codes=codes, prior=prior)
    left = outcomes_of(known, target, frame, known_by=ends, prior=prior)["has_left"].to_numpy(np.float64)
    days, tenure, age = (frame[name].to_numpy(np.float64) for name in ("active_days", "tenure_days", "age_days"))
    p = p_no_visit_or_gone(
        days, tenure, age, prior, window_days=target.horizon_days, gap_days=target.gap_days,
        season=season_factor(prior, cutoff.opens, cutoff.closes),
    )  # fmt: skip
    called = min(config.contact.budget or max(1, round(CALLED_SHARE * len(p))), len(p))
    found = auroc(left, p)
    met = active_days(known.active, cutoff.at, cutoff.opens, ends)[codes] > 0
    return {
        "horizon_days": target.horizon_days, "gap_days": target.gap_days, "cutoff": cutoff.label, "customers": len(p),
        "leavers": int(left.sum()), "leave_rate": float(left.mean()), "auroc": found if np.isfinite(found) else None,
        "called": called, "leavers_called": _leavers_among(left, p, called),
        "leavers_at_random": float(left.mean() * called),
        "still_came": float(met[left > 0].mean()) if left.any() else None,
    }  # fmt: skip


def _leavers_among(left: Float64, p: Float64, called: int) -> int:
    """Leavers among those with the highest risk; ties are broken by the order of the customers."""
    return int(left[np.argsort(-p, kind="stable")[:called]].sum())
