"""Levels: how likely leaving is in itself at a moment, whoever the customers are, and what that will be at the next.

Who leaves and how many leave are learnt apart. Between cutoffs the base's readiness to leave goes up and down with
seasons and fashions; a model that may tell cutoffs from one another explains that by whatever its signals happen to
show of the date, and repeats it when the date is another. So the members of the leave factor learn within cutoffs
alone, each of which has a level of its own, and the level of the next cutoff is forecast from those of the earlier
ones: from a year ago where a year is there, from lately, from how it moved as the records grew older, and from the
mean where none of these tells much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import brentq
from scipy.special import expit, logit

from churn.tables.history import DAY, Int64, moments_of
from churn.timeline.solving import on_one_thread

Floats = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

SEASON, SEASON_WIDTH = 0.3, 1.0
"""How far seasons move the level (log odds), and how smoothly: radians of the year's circle, a radian being 58 days."""
DRIFT, DRIFT_DAYS = 0.2, 480
"""How far the level wanders by itself (log odds), and after how many days it has forgotten most of where it was."""
AGEING, AGEING_WIDTH, YOUNG_DAYS = 0.15, 0.2, 180
"""How far the level rises as the records grow older, and how far a base may differ from that: log odds for each unit of
the logarithm of their age. They are taken to be YOUNG_DAYS old at the first cutoff. Young records hold only customers
seen twice within a short time, who stay more often than that short time tells; without a slope the forecast takes this
for a season or for what is usual, and is too low for years (docs/decisions/024). Records are young everywhere at first,
so a rise is what is expected before any level is known (docs/decisions/026)."""
NOISE = 0.05
"""What a level differs from its neighbours' by, beyond the chance of who is in it (log odds)."""
MOST_ROWS = 200_000
"""More rows tell the levels no better: so many of thirty cutoffs leave an error of .03 log odds."""
_YEAR = 365.25
_STEPS = 25


@dataclass(frozen=True, slots=True)
class Levels:
    """The forecast of the level at any moment, a sum over the cutoffs that were learnt from.

    Attributes:
        mean: the level at no moment in particular, log odds; for records as young as at the first cutoff.
        at: the cutoffs, microseconds UTC.
        weight: what each counts, times how near it lies in time, in the year and in the records' age.
    """

    mean: float = 0.0
    at: tuple[int, ...] = ()
    weight: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError unless there is one finite weight for each cutoff."""
        if len(self.at) != len(self.weight) or not np.isfinite([self.mean, *self.weight]).all():
            raise ValueError("levels: expected one finite weight for each cutoff, and a finite mean")

    def forecast(self, at: int) -> float:
        """Returns the level at a moment (microseconds UTC), log odds.

        >>> Levels(-1.5).forecast(0)
        -1.5
        """
        if not self.at:
            return self.mean
        moment, first = np.array([at], np.int64), min(self.at)
        near = _likeness(moment, np.array(self.at, np.int64), first=first)[0]
        return self.mean + AGEING * float(_aged(moment, first=first)[0]) + float((near * np.array(self.weight)).sum())


def fit_levels(margin: Floats, *, y: Bool, at: Int64) -> Levels:
    """Returns the forecast learnt from the cutoffs of some rows.

    A Gaussian process over the cutoffs' levels (Rasmussen, Williams 2006, chapter 2) with a season, a drift, a slope in
    the logarithm of the records' age and the chance of who was there; how much of each is not fitted to the base, which
    has too few years to tell.

    Args:
        margin: log odds of the rows but for their level, shape (rows,).
        y: who left, shape (rows,).
        at: cutoff of each row, microseconds UTC, shape (rows,).
    """
    moments, place = moments_of(at)
    first = int(moments[0])
    order = np.argsort(place, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(place[order])) + 1)
    level = np.array([level_of(margin[rows], share=_share(y[rows])) for rows in parts])
    chance = np.array([1 / _spread(margin[rows] + found) for rows, found in zip(parts, level, strict=True)])
    beyond_age = level - AGEING * _aged(moments, first=first)
    with on_one_thread():  # the last bits of LAPACK's sums depend on the number of its threads
        factor = cho_factor(_likeness(moments, moments, first=first) + np.diag(chance + NOISE**2))
        ones, told = cho_solve(factor, np.column_stack([np.ones(len(level)), beyond_age])).T
        mean = float(told.sum() / ones.sum())
    return Levels(mean, tuple(moments.tolist()), tuple((told - mean * ones).tolist()))


def enough_rows(at: Int64, *, most: int = MOST_ROWS) -> Bool:
    """Returns which rows are enough to tell levels from, shape (rows,): of every cutoff the same share, about `most`.

    >>> enough_rows(np.array([1, 2, 1, 2]), most=2).tolist()
    [True, True, False, False]
    """
    chosen = np.zeros(len(at), bool)
    chosen[np.argsort(at, kind="stable")[:: -(-len(at) // most) or 1]] = True
    return chosen


def level_of(margin: Floats, *, share: float) -> float:
    """Returns what must be added to the margins so that their mean probability is `share`, log odds."""
    aim = float(logit(share))

    def surplus(level: float) -> float:
        return float(expit(margin + level).mean()) - share

    return float(brentq(surplus, aim - float(margin.max()) - 1, aim - float(margin.min()) + 1, xtol=1e-12))


def level_steps(margin: Floats, *, outcome: Floats, place: Int64, start: Floats) -> Floats:
    """Returns the level of each cutoff after two steps of Newton's method from `start`, shape (cutoffs,).

    Args:
        margin: log odds of the rows but for their level, shape (rows,).
        outcome: 1 for who left, 0 for the others, shape (rows,).
        place: the cutoff of each row, by its number, shape (rows,).
        start: a guess of the levels.
    """
    level = start
    for _ in range(2):
        p = expit(margin + level[place])
        spread = np.bincount(place, p * (1 - p)) + 1e-12
        level = level + np.clip(np.bincount(place, outcome - p) / spread, -2, 2)
    return level


def starts_of(y: Bool, at: Int64) -> Floats:
    """Returns for each row the log odds of leaving at its cutoff, shape (rows,)."""
    place = moments_of(at)[1]
    leavers, rows = np.bincount(place, y), np.bincount(place)
    return np.asarray(logit((leavers + 0.5) / (rows + 1))[place])


def within(margin: Floats, *, y: Bool, at: Int64) -> Floats:
    """Returns the margins, each cutoff's raised or lowered to the share that left at it: judged so, only order and
    steepness within a cutoff count."""
    raised = np.array(margin, np.float64)
    for moment in np.unique(at):
        rows = at == moment
        raised[rows] += level_of(raised[rows], share=_share(y[rows]))
    return raised


def slope_of(margin: Floats, *, y: Bool, at: Int64) -> tuple[float, float]:
    """Returns the slope of the outcome on the margins within cutoffs, each with a level of its own, and its error.

    A logistic regression by Newton's method, the levels profiled out. Margins that don't differ within cutoffs, or
    outcomes that they part from one another without fail, have no slope: NaN, and an infinite error.
    """
    place = moments_of(at)[1]
    level, slope, outcome = np.zeros(place.max(initial=-1) + 1), 0.0, y.astype(np.float64)
    for _ in range(_STEPS):
        p = expit(level[place] + slope * margin)
        rest, spread = outcome - p, p * (1 - p) + 1e-12
        both, mixed = np.bincount(place, spread), np.bincount(place, spread * margin)
        curvature = float((spread * margin**2).sum() - (mixed**2 / both).sum())
        if not curvature > 1e-9:
            return float("nan"), float("inf")
        tilt = np.bincount(place, rest)
        step = float((rest * margin).sum() - (mixed * tilt / both).sum()) / curvature
        level += np.clip((tilt - mixed * step) / both, -2, 2)
        slope += float(np.clip(step, -1, 1))
        if abs(step) < 1e-10:
            break
    return slope, float(curvature**-0.5)


def _share(y: Bool) -> float:
    """The share that left, kept off 0 and 1."""
    return (float(y.sum()) + 0.5) / (len(y) + 1)


def _spread(margin: Floats) -> float:
    p = expit(margin)
    return float((p * (1 - p)).sum())


def _likeness(one: Int64, other: Int64, *, first: int) -> Floats:
    """How alike the levels of two moments are, shape (one, other): their covariance; `first` is the first cutoff."""
    days = np.abs(one[:, None] - other[None, :]) / DAY
    season = np.exp(-2 * np.square(np.sin(np.pi * days / _YEAR) / SEASON_WIDTH))
    drift = np.exp(-days / DRIFT_DAYS)
    ageing = np.outer(_aged(one, first=first), _aged(other, first=first))
    likeness: Floats = SEASON**2 * season + DRIFT**2 * drift + AGEING_WIDTH**2 * ageing
    return likeness


def _aged(at: Int64, *, first: int) -> Floats:
    """How much older the records have grown since the first cutoff: the logarithm of their ages' ratio, from 0 up."""
    aged: Floats = np.log1p(np.maximum(at - first, 0) / DAY / YOUNG_DAYS)
    return aged
