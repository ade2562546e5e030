"""Derived features: ratios, changes and rhythm from what the walk back has read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from churn.signals.recipes import Recipe
from churn.tables.history import DAY, Int64
from churn.timeline import rhythm

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moment:
    """What derived features need beside the base features.

    Attributes:
        season: the base's season factor of each row's outcome window, shape (rows,).
        prior: the base's prior over rates.
        horizon_days: length of the outcome window.
        gap_days: days between the cutoff and the outcome window.
    """

    season: Float64
    prior: rhythm.Prior
    horizon_days: int
    gap_days: int


def season_of(cutoffs: Int64, *, prior: rhythm.Prior, gap_days: int, horizon_days: int) -> Float64:
    """Returns the season factor of each cutoff's outcome window, shape (cutoffs,)."""
    opens = cutoffs + gap_days * DAY
    factors = [rhythm.season_factor(prior, int(start), int(start) + horizon_days * DAY) for start in opens]
    return np.asarray(factors, np.float64)


def derive(recipe: Recipe, parts: Sequence[Float64], moment: Moment) -> Float64:
    """Returns the feature of a derived recipe from the features of `recipe.of`, shape (rows,); null where a part is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return DERIVED_HOWS[recipe.how](recipe, parts, moment)


def _ratio(above: Float64, below: Float64) -> Float64:
    return np.where(below == 0, np.nan, above / below)


def _share(recipe: Recipe, parts: Sequence[Float64], moment: Moment) -> Float64:
    return _ratio(parts[0], parts[0] + parts[1])


def _lengths(recipe: Recipe) -> tuple[int, int]:
    short, long = (part.window for part in recipe.of)
    if short is None or long is None or short >= long:
        raise ValueError(f"{recipe.name}: needs a short window and a long one that holds it, not {short} and {long}")
    return short, long


def _rate_ratio(recipe: Recipe, parts: Sequence[Float64], moment: Moment) -> Float64:
    short, long = _lengths(recipe)
    return _ratio(parts[0] * long, parts[1] * short)


def _baseline_ratio(recipe: Recipe, parts: Sequence[Float64], moment: Moment) -> Float64:
    short, long = _lengths(recipe)
    return _ratio(parts[0] * (long - short), (parts[1] - parts[0]) * short)


def _stopped(recipe: Recipe, parts: Sequence[Float64], moment: Moment) -> Float64:
    stopped = (parts[0] == 0) & (parts[1] > 0)
    return np.where(np.isnan(parts[0] + parts[1]), np.nan, stopped)


def _is_zero(recipe: Recipe, parts: Sequence[Float64], moment: Moment) -> Float64:
    return np.where(np.isnan(parts[0]), np.nan, parts[0] == 0)


def _tenure(parts: Sequence[Float64]) -> tuple[Float64, Float64]:
    """Active days, null for customers without any, and the days from the first to the last of them."""
    days, since_first, since_last = parts
    return np.where(days > 0, days, np.nan), since_first - since_last


def _own_gap(recipe: Recipe, parts: Sequence[Float64], moment: Moment) -> Float64:
    return rhythm.own_gap(*_tenure(parts), moment.prior)


def _p_no_visit(recipe: Recipe, parts: Sequence[Float64], moment: Moment) -> Float64:
    return _in_the_window(rhythm.p_no_visit, parts, moment)


def _p_no_visit_or_gone(recipe: Recipe, parts: Sequence[Float64], moment: Moment) -> Float64:
    days, tenure = _tenure(parts)
    answer = np.empty(len(days), np.float64)
    for season in np.unique(moment.season):
        rows = moment.season == season
        answer[rows] = rhythm.p_no_visit_or_gone(
            days[rows], tenure[rows], parts[1][rows], moment.prior, window_days=moment.horizon_days,
            gap_days=moment.gap_days, season=float(season),
        )  # fmt: skip
    return answer


def _expected_days(recipe: Recipe, parts: Sequence[Float64], moment: Moment) -> Float64:
    return _in_the_window(rhythm.expected_days, parts, moment)


def _in_the_window(ask: Callable[..., Float64], parts: Sequence[Float64], moment: Moment) -> Float64:
    """What rhythm says of the outcome window, whose season is one number for all rows of a cutoff."""
    days, tenure = _tenure(parts)
    answer = np.empty(len(days), np.float64)
    for season in np.unique(moment.season):
        rows = moment.season == season
        answer[rows] = ask(
            days[rows], tenure[rows], moment.prior, window_days=moment.horizon_days, season=float(season)
        )
    return answer


DERIVED_HOWS: dict[str, Callable[[Recipe, Sequence[Float64], Moment], Float64]] = {
    "ratio": lambda recipe, parts, moment: _ratio(parts[0], parts[1]),
    "difference": lambda recipe, parts, moment: parts[0] - parts[1],
    "share": _share,
    "rate_ratio": _rate_ratio,
    "baseline_ratio": _baseline_ratio,
    "stopped": _stopped,
    "is_zero": _is_zero,
    "own_gap": _own_gap,
    "p_no_visit": _p_no_visit,
    "p_no_visit_or_gone": _p_no_visit_or_gone,
    "expected_days": _expected_days,
    "season": lambda recipe, parts, moment: moment.season,
}
"""What a derived recipe's `how` may be."""
