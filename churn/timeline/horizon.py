"""Horizon: how long to wait before silence means leaving, proposed from the data with the figures behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from churn.tables.history import DAY, Events
from churn.timeline.cutoffs import happened_in, seen_at
from churn.timeline.rhythm import Float64, pace

CANDIDATES = (7, 14, 28, 60, 91, 182, 365)
GAP_QUANTILE = 0.80
MOST_COMEBACK = 0.25


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate horizon with what speaks for and against it.

    Attributes:
        days: the horizon.
        covers_gaps: share of gaps (Kaplan-Meier, one weight per customer) not longer than the horizon.
        leave_rate: share of recently active customers without activity in the window.
        comeback: share of those leavers who are active again in the next window of the same length.
        is_enough_history: whether the data holds training and three test windows.
    """

    days: int
    covers_gaps: float
    leave_rate: float
    comeback: float
    is_enough_history: bool

    @property
    def is_good(self) -> bool:
        """Whether the horizon meets every condition."""
        return self.covers_gaps >= GAP_QUANTILE and self.comeback <= MOST_COMEBACK and self.is_enough_history


def learning_ends(*, starts: int, settled: int) -> int:
    """Returns the moment up to which a horizon may be learnt: after 60 % of the history, before every test cutoff."""
    return starts + (settled - starts) * 6 // 10


def propose_horizon(
    active: Events, *, starts: int, settled: int, gap_days: int = 0
) -> tuple[int, tuple[Candidate, ...], bool]:
    """Returns the proposed horizon in days, the table of candidates, and whether the proposal meets every condition.

    The smallest candidate that covers 80 % of gaps, of whose leavers at most 25 % come back in the next window, and
    that leaves enough history; else the largest with enough history (False: say so). Only what is visible at
    `learning_ends` counts, so the test period teaches nothing.

    Args:
        active: the activity.
        starts: when it begins, microseconds UTC.
        settled: up to when outcomes are observed.
        gap_days: days between a cutoff and its window.
    """
    ends = learning_ends(starts=starts, settled=settled)
    lengths, weights, is_complete = _gaps(active, ends)
    candidates = tuple(
        Candidate(days, _share_covered(lengths, weights, is_complete, days), *_leaving(active, ends, days),
                  _has_history(starts, settled, days, gap_days))
        for days in CANDIDATES
    )  # fmt: skip
    good = [candidate.days for candidate in candidates if candidate.is_good]
    if good:
        return good[0], candidates, True
    feasible = [candidate.days for candidate in candidates if candidate.is_enough_history]
    return (feasible[-1] if feasible else CANDIDATES[0]), candidates, False


def _has_history(starts: int, settled: int, days: int, gap_days: int) -> bool:
    """A warm-up and two training windows in the first 60 %, three tests a third of a horizon apart in the rest."""
    span = (settled - starts) / DAY
    return 0.6 * span >= days + 2 * (days + gap_days) and 0.4 * span >= (days + gap_days) + 2 * days / 3


def _gaps(active: Events, ends: int) -> tuple[Float64, Float64, np.ndarray]:
    """All gaps between active days, the running one (censored at `ends`) too, each customer weighing one in total."""
    visible = seen_at(active, ends)
    code, day = active.customer[visible], active.columns["day"][visible]
    is_new = (np.diff(code, prepend=-1) != 0) | (np.diff(day, prepend=-1) != 0)
    code, day = code[is_new], day[is_new]
    is_last = np.diff(code, append=-1) != 0
    # East of Greenwich the last local day may be the one after `ends` in UTC: that gap is 0, not -1.
    until = np.where(is_last, np.maximum(ends // DAY, day), np.append(day[1:], 0))
    per_customer = np.bincount(code)[code] if len(code) else np.zeros(0)
    is_told = per_customer > 1
    return (until - day).astype(float)[is_told], (1 / np.maximum(per_customer, 1))[is_told], ~is_last[is_told]


def _share_covered(lengths: Float64, weights: Float64, is_complete: np.ndarray, days: int) -> float:
    """1 - the weighted Kaplan-Meier estimate of P(gap > days)."""
    if not len(lengths):
        return 0.0
    order = np.argsort(lengths, kind="stable")
    length, weight, complete = lengths[order], weights[order], is_complete[order]
    values, first = np.unique(length, return_index=True)
    at_risk = weight[::-1].cumsum()[::-1][first]
    ended = np.add.reduceat(weight * complete, first)
    survival = np.cumprod(1 - ended / at_risk)
    covered = values <= days
    return float(1 - survival[covered][-1]) if covered.any() else 0.0


def _leaving(active: Events, ends: int, days: int) -> tuple[float, float]:
    """Leave rate among those active in the 2H before a window, and how many leavers come back in the next window."""
    opens = ends - 2 * days * DAY
    seen = pace(active, opens)
    is_active = (seen.days >= 2) & (seen.last >= opens - 2 * days * DAY)
    closes = opens + days * DAY
    came = active.whose(happened_in(active, opens, closes, known_by=ends))
    came_later = active.whose(happened_in(active, closes, ends, known_by=ends))
    left = is_active & ~came
    rate = float(left.sum() / is_active.sum()) if is_active.any() else float("nan")
    return rate, float((left & came_later).sum() / left.sum()) if left.any() else float("nan")
