"""Levels: how likely leaving is in itself at a moment, whoever the customers are, and what that will be at the next.

Who leaves and how many leave are learnt apart. Between cutoffs the base's readiness to leave goes up and down with
seasons and fashions; a model that may tell cutoffs from one another explains that by whatever its signals happen to
show of the date, and repeats it when the date is another. So the members of the leave factor learn within cutoffs
alone, each of which has a level of its own, and the level of the next cutoff is forecast from those of the earlier
ones: from a year ago where a year is there, from lately, from how it moved as the records grew older, and from the
mean where none of these tells much.

Lately are above all the windows that are still open. How many haven't come in the first three of eight weeks tells
much of how many won't in all eight, held against the first three weeks of windows that are over (docs/decisions/028).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy.linalg import block_diag, cho_factor, cho_solve
from scipy.optimize import brentq
from scipy.special import expit, logit

from churn.tables.history import DAY, Int64, moments_of
from churn.timeline.solving import on_one_thread

Floats = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

SEASON, SEASON_WIDTH = 0.4, 1.0
"""How far seasons move the level (log odds), and how smoothly: radii of the year's circle, a radius being 58 days."""
DRIFT, DRIFT_DAYS = 0.2, 240
"""How far the level wanders by itself (log odds), and after how many days it has forgotten most of where it was."""
AGEING, AGEING_WIDTH, YOUNG_DAYS = 0.15, 0.2, 180
"""How far the level rises as the records grow older, and how far a base may differ from that: log odds for each unit of
the logarithm of their age. They are taken to be YOUNG_DAYS old at the first cutoff. Young records hold only customers
seen twice within a short time, who stay more often than that short time tells; without a slope the forecast takes this
for a season or for what is usual, and is too low for years (docs/decisions/024). Records are young everywhere at first,
so a rise is what is expected before any level is known (docs/decisions/026)."""
NOISE = 0.05
"""What a level differs from its neighbours' by, beyond the chance of who is in it (log odds)."""
UNSEEN = 0.3
"""What a window's level differs by from what its first days tell, when nearly all of it is still to come (log odds)."""
MOST_HELD = 100
"""Open windows are held against the first days of so many windows that are over at most, spread over all of them."""
MOST_ROWS = 200_000
"""More rows tell the levels no better: so many of thirty cutoffs leave an error of .03 log odds."""
ERRORS, ERRORS_EVERY = 14, 28
"""The forecast's error is told at so many moments after the last window, so many days apart: for a year."""
_YEAR = 365.25
_STEPS = 25
_MOMENTS = 3
"""A window is likened to others by so many moments of it."""


@dataclass(frozen=True, slots=True)
class Levels:
    """The forecast of the level at any moment, a sum over the windows that were learnt from.

    Attributes:
        mean: the level at no moment in particular, log odds.
        window: days of the window that is forecast.
        at: the cutoffs of the windows learnt from, microseconds UTC.
        days: how much of each was learnt from; the first days of a window tell, too.
        weight: what each counts, times how near it lies in time, in the year and in the records' age.
        errors: standard error of the forecast at the last of these cutoffs and every four weeks after it, log odds.
    """

    mean: float = 0.0
    window: float = 0.0
    at: tuple[int, ...] = ()
    days: tuple[float, ...] = ()
    weight: tuple[float, ...] = ()
    errors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError unless there are one finite length and weight for each window."""
        finite = np.isfinite([self.mean, self.window, *self.days, *self.weight, *self.errors]).all()
        if not len(self.at) == len(self.days) == len(self.weight) or not finite:
            raise ValueError(
                "levels: expected one finite weight and length for each window, a finite mean, finite errors"
            )

    def forecast(self, at: int) -> float:
        """Returns the level at a moment (microseconds UTC), log odds.

        >>> Levels(-1.5).forecast(0)
        -1.5
        """
        if not self.at:
            return self.mean
        one = _Windows(np.array([at]), np.array([self.window]))
        others = _Windows(np.array(self.at), np.array(self.days))
        near = _likeness(one, others, first=min(self.at))[0]
        rise = AGEING * float(_aged(one.at, first=min(self.at))[0])
        return self.mean + rise + float((near * np.array(self.weight)).sum())

    def error(self, at: int) -> float:
        """Returns the forecast's standard error at a moment (microseconds UTC), log odds; 0 where none was told.

        >>> round(Levels(-1.5, 30.0, (0,), (30.0,), (0.1,), (0.2, 0.4)).error(14 * DAY), 3)
        0.3
        """
        if not self.errors:
            return 0.0
        days = (at - max(self.at)) / DAY
        return float(np.interp(days, ERRORS_EVERY * np.arange(len(self.errors)), self.errors))


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """A cutoff whose window is not over at the moment of learning, and what has come of it so far.

    Attributes:
        at: the cutoff, microseconds UTC.
        days: of its window that are told of: whole weeks, so that each weekday counts alike.
        margin: log odds of its rows but for their level, shape (rows,).
        is_absent: who of them has not come in these days, shape (rows,).
    """

    at: int
    days: int
    margin: Floats
    is_absent: Bool


@dataclass(frozen=True, slots=True)
class _Windows:
    """Outcome windows or their first days: cutoffs (microseconds UTC) and lengths (days), shape (windows,)."""

    at: Int64
    days: Floats


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows of one cutoff with what came of them: in the whole window, in its first days.

    Attributes:
        at: the cutoff, microseconds UTC.
        margin: shape (rows,).
        outcomes: who left, or had not come in the first days; each of shape (rows,).
        kinds: by which length of window each outcome is told.
    """

    at: int
    margin: Floats
    outcomes: Sequence[Bool]
    kinds: Sequence[int]

    def levels(self) -> Floats:
        """The level of each outcome, log odds."""
        return np.array([level_of(self.margin, share=_share(outcome)) for outcome in self.outcomes])

    def chance(self, levels: Floats) -> Floats:
        """How the chance of who is there moves the levels together, shape (outcomes, outcomes): their covariance.

        Who hasn't come in a whole window hadn't in its first days either: the covariance of two shares of the same rows
        is that of the smaller with what is left of the larger (exactly so where all rows are as likely). Customers of
        several cutoffs are taken to be others.
        """
        p = expit(self.margin + levels[:, None])
        both = p @ (1 - p).T
        return np.asarray(1 / np.maximum(both, both.T))


def fit_levels(
    margin: Floats, *, y: Bool, at: Int64, window: float, still_open: Sequence[OpenWindow] = (),
    was_absent: Mapping[int, Bool] = MappingProxyType({}),
) -> Levels:  # fmt: skip
    """Returns the forecast learnt from the cutoffs of some rows.

    A Gaussian process over windows (Rasmussen, Williams 2006, chapters 2 and 4): the level of a window is the mean
    over its days of a season and a drift, and a slope in the logarithm of the records' age, with the chance of who was
    there. The first days of a window have a mean of their own, since fewer have come by then, which windows that are
    over tell, and differ by what the rest may bring; they are taken to move as far as the whole window does. How much
    of each is not fitted to the base, which has too few years to tell.

    Args:
        margin: log odds of the rows but for their level, shape (rows,).
        y: who left, shape (rows,).
        at: cutoff of each row, microseconds UTC, shape (rows,).
        window: days of an outcome window.
        still_open: later cutoffs, whose windows are not over.
        was_absent: for each number of days these tell of, which of the rows had not come in so many days of their
            windows, shape (rows,).
    """
    lengths = np.array([window, *was_absent])
    closed = _by_moment(at)
    held = set(range(len(closed))[:: -(-len(closed) // MOST_HELD)])
    groups = []
    for number, (moment, rows) in enumerate(closed):
        first_days = [absent[rows] for absent in was_absent.values()] if number in held else []
        groups.append(_Group(moment, margin[rows], [y[rows], *first_days], range(1 + len(first_days))))
    kind_of = {days: kind for kind, days in enumerate(was_absent, start=1)}
    groups += [_Group(each.at, each.margin, [each.is_absent], [kind_of[each.days]]) for each in still_open]
    level = [group.levels() for group in groups]
    kind = np.concatenate([group.kinds for group in groups])
    windows = _Windows(np.repeat([group.at for group in groups], [len(part) for part in level]), lengths[kind])
    unseen = UNSEEN**2 * np.maximum(1 - windows.days / window, 0)
    first = groups[0].at
    beyond_age = np.concatenate(level) - AGEING * _aged(windows.at, first=first)
    means = np.eye(len(lengths))[kind]
    with on_one_thread():  # the last bits of BLAS's and LAPACK's sums depend on the number of their threads
        chance = block_diag(*(group.chance(part) + NOISE**2 for group, part in zip(groups, level, strict=True)))
        factor = cho_factor(_likeness(windows, windows, first=first) + chance + np.diag(unseen))
        told_means, told_level = cho_solve(factor, means), cho_solve(factor, beyond_age)
        mean = np.linalg.solve(means.T @ told_means, means.T @ told_level)
        weight = told_level - told_means @ mean
        asked = _Windows(windows.at.max() + ERRORS_EVERY * DAY * np.arange(ERRORS), np.full(ERRORS, float(window)))
        near = _likeness(asked, windows, first=first)
        untold = (np.arange(len(lengths)) == 0) - near @ told_means
        variance = (
            np.diag(_likeness(asked, asked, first=first)) + NOISE**2
            - (near * cho_solve(factor, near.T).T).sum(axis=1)
            + (untold * np.linalg.solve(means.T @ told_means, untold.T).T).sum(axis=1)
        )  # fmt: skip
    parts = (windows.at, windows.days, weight, np.sqrt(np.maximum(variance, 0)))
    return Levels(float(mean[0]), window, *(tuple(each.tolist()) for each in parts))


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


def _by_moment(at: Int64) -> list[tuple[int, Int64]]:
    """The cutoffs in time order, each with its rows."""
    moments, place = moments_of(at)
    order = np.argsort(place, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(place[order])) + 1)
    return list(zip(moments.tolist(), parts, strict=True))


def _share(y: Bool) -> float:
    """The share that left, kept off 0 and 1."""
    return (float(y.sum()) + 0.5) / (len(y) + 1)


def _likeness(one: _Windows, other: _Windows, *, first: int) -> Floats:
    """How alike the levels of windows are, shape (one, other): their covariance; `first` is the first cutoff."""
    apart = (one.at[:, None] - other.at[None, :]) / DAY
    likeness = AGEING_WIDTH**2 * np.outer(_aged(one.at, first=first), _aged(other.at, first=first))
    inside = (np.arange(_MOMENTS) + 0.5) / _MOMENTS
    for here in inside:
        for there in inside:
            days = np.abs(apart + here * one.days[:, None] - there * other.days[None, :])
            chord = 2 * 3**0.5 / SEASON_WIDTH * np.abs(np.sin(np.pi * days / _YEAR))
            season = SEASON**2 * (1 + chord) * np.exp(-chord)  # Matern 3/2 over the chord of the year's circle
            likeness += (season + DRIFT**2 * np.exp(-days / DRIFT_DAYS)) / _MOMENTS**2
    return np.asarray(likeness)


def _aged(at: Int64, *, first: int) -> Floats:
    """How much older the records have grown since the first cutoff: the logarithm of their ages' ratio, from 0 up."""
    aged: Floats = np.log1p(np.maximum(at - first, 0) / DAY / YOUNG_DAYS)
    return aged
