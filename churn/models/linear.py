"""The linear member of the leave factor: a ridge logistic regression on signals straightened by their own quantiles.

Trees cut; what rises a little with every signal they learn only in many steps. Each signal is mapped to the normal
score of its rank in training (a piecewise linear curve through its quantiles, so neither its scale nor its extremes
matter), and one coefficient makes that curve its effect in log odds. A null says nothing: effect 0, the mean. What is
kept are the effects at the quantiles: numbers, no object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from numba import njit
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit, ndtri

from churn.models.view import Signals, View, view_of
from churn.timeline.solving import on_one_thread

Floats = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float32] | Floats

SEASON_FEATURE = "season_factor"
"""The same for everybody at a cutoff: a straight line through the few seasons seen would run on into the unseen."""

STRENGTH = 0.01
"""One over the ridge's weight. A ten times stronger and a three times weaker ridge forecast as well (measured)."""

MOST_ROWS = 30_000
"""More rows, evenly thinned out, tell a coefficient per signal no better."""

LEAST_TOLD = 50
"""A signal that fewer rows tell has no curve."""

_QUANTILES = np.linspace(0, 1, 33)
_BLOCK_ROWS = 1024
_UNHELD = 10.0
_OUTERMOST = 0.002
"""Ranks are taken for no more extreme than this: the last quantile is one row."""
_MOST_STEPS, _FLAT, _WELL = 100, 1e-10, 0.1
"""Steps, seven as a rule; the gradient per row at which they end, which tells coefficients to nine digits; and to what
part of itself a step that does well brings the gradient."""


@dataclass(frozen=True, slots=True)
class Curve:
    """What one signal adds to the log odds, depending on its value: linear between the corners, level beyond them.

    Attributes:
        name: of the feature.
        at: values of the feature, rising.
        effect: log odds there, less their mean over the training rows that tell the signal.
    """

    name: str
    at: tuple[float, ...]
    effect: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raises ValueError unless the corners are finite and rise."""
        is_curve = len(self.at) == len(self.effect) > 0 and np.isfinite([*self.at, *self.effect]).all()
        if not is_curve or (np.diff(self.at) <= 0).any():
            raise ValueError(f"curve of {self.name}: expected rising values and as many finite effects")


@dataclass(frozen=True, slots=True)
class LinearMember:
    """A sum of curves and what it counts in the ensemble.

    Attributes:
        weight: of its log odds; 0 where nothing could be fitted.
        intercept: its log odds for nobody in particular: the effects of the training rows are 0 on average.
        curves: one per signal that is a number.
    """

    weight: float = 0.0
    intercept: float = 0.0
    curves: tuple[Curve, ...] = ()


def fit_linear(
    features: Signals, *, y: Bool, weight: float, categories: Sequence[str] = (),
    at: npt.NDArray[np.int64] | None = None,
) -> LinearMember:  # fmt: skip
    """Returns the member fitted on (at most `MOST_ROWS` of) the rows; the same for any number of threads.

    Columns of `categories` are left to the trees; the season belongs to the level. Given the cutoffs of the rows, each
    has a level of its own, which is no part of the member: its effects tell customers of one cutoff apart.

    Args:
        features: signals as numbers, shape (rows, columns), in the order that their customers define.
        y: who left, shape (rows,).
        weight: what it will count in the ensemble.
        categories: names of columns that are codes of categories.
        at: cutoff of each row, microseconds UTC, shape (rows,).
    """
    few = np.arange(0, len(y), -(-len(y) // MOST_ROWS) or 1)
    outcome, view = y[few], view_of(features)
    sample = View(view.values, view.places, view.rows[few])
    moments = np.array([], np.int64) if at is None else np.unique(at[few])
    design = np.empty((len(few), len(view.columns) + len(moments) + 1), order="F")
    columns: list[tuple[str, Floats, Floats]] = []
    for name in view.columns:
        value = sample.column(name)
        found = None if name in categories or name == SEASON_FEATURE else _normal_scores(value)
        if found is not None:
            corners, score = found
            columns.append((name, corners, _standardised(value, corners, score, out=design[:, len(columns)])))
    if not columns or outcome.all() or not outcome.any():
        return LinearMember()
    levels = 0 if at is None else _add_levels(design[:, len(columns) :], at[few], moments)
    coefficients = _coefficients(design[:, : len(columns) + levels + 1], outcome.astype(np.float64))
    curves = tuple(
        Curve(name, tuple(corners.tolist()), tuple((float(coefficient) * score).tolist()))
        for (name, corners, score), coefficient in zip(columns, coefficients, strict=False)
    )
    return LinearMember(weight, 0.0 if at is not None else float(coefficients[-1]), curves)


def linear_margin(features: Signals, member: LinearMember) -> Floats:
    """Returns the member's log odds per row, shape (rows,): alike alone and in a list."""
    margin = np.full(len(features), member.intercept)
    for curve in member.curves:
        add_effect(features, curve, weight=1.0, out=margin)
    return margin


def add_effect(features: Signals, curve: Curve, *, weight: float, out: Floats) -> None:
    """Adds `weight` times the curve's effect on each row to `out`, shape (rows,); a null adds nothing."""
    values = features[curve.name].to_numpy() if isinstance(features, pd.DataFrame) else features.column(curve.name)
    at, effect = np.asarray(curve.at), weight * np.asarray(curve.effect)
    _add(values, at.astype(values.dtype), at, effect, _slopes(at, effect), out)


def _add_levels(design: Floats, at: npt.NDArray[np.int64], moments: npt.NDArray[np.int64]) -> int:
    """Writes a column for each cutoff, so large that the ridge hardly holds its level back; returns how many."""
    for number, moment in enumerate(moments):
        design[:, number] = np.where(at == moment, _UNHELD, 0.0)
    return len(moments)


def _coefficients(design: Floats, outcome: Floats) -> Floats:
    """The coefficients of a ridge logistic regression, the last one that of the intercept, which the ridge leaves be.

    Newton's method (Hastie, Tibshirani, Friedman 2009, 4.4.1): for two hundred columns three times as fast as the
    descent by gradients that scikit-learn begins with, and it ends where the loss is least and not on the way there.
    scikit-learn has it, too, at three times the time: the curvature, most of it, need only be roughly right, and the
    last one serves as long as steps do well by it (Shamanskii 1967).
    """
    rows, columns = design.shape
    design[:, -1] = 1.0
    ridge = np.append(np.full(columns - 1, 1 / STRENGTH), 0.0)
    found, single = np.zeros(columns), design.astype(np.float32)
    with on_one_thread():  # the last bits of BLAS's sums depend on the number of its threads
        margin = design @ found
        factor, before = None, np.inf
        for _ in range(_MOST_STEPS):
            p = expit(margin)
            gradient = design.T @ (p - outcome) + ridge * found
            steepest = float(np.abs(gradient).max())
            if steepest < _FLAT * rows:
                break
            if factor is None or steepest > _WELL * before:
                weighted = single * np.sqrt(p * (1 - p)).astype(np.float32)[:, None]
                curvature = (weighted.T @ weighted).astype(np.float64)
                curvature[np.diag_indices(columns)] += ridge
                factor = cho_factor(curvature)
            step, before = cho_solve(factor, gradient), steepest
            found, margin = _shortened(design, outcome, ridge, found=found, step=step, margin=margin)
    return found


def _shortened(
    design: Floats, outcome: Floats, ridge: Floats, *, found: Floats, step: Floats, margin: Floats
) -> tuple[Floats, Floats]:
    """The coefficients after a step that was halved until the loss doesn't rise, and their margins."""

    def loss(found: Floats, margin: Floats) -> float:
        return float((np.logaddexp(0, margin) - outcome * margin).sum() + (ridge * found**2).sum() / 2)

    before, along = loss(found, margin), design @ step
    most = before + _FLAT * abs(before)
    while loss(found - step, margin - along) > most:
        step, along = step / 2, along / 2
    return found - step, margin - along


def _standardised(value: Floats, corners: Floats, score: Floats, *, out: Floats) -> Floats:
    """Writes the score of each value to `out`, with mean 0 and spread 1 over those that are told, and 0 for a null.

    Returns the scores at the corners, on the same scale.
    """
    is_told = ~np.isnan(value)
    out[:] = 0.0
    _add(value, corners, corners, score, _slopes(corners, score), out)
    told = int(is_told.sum())
    mean = float(out.sum()) / told
    spread = float(np.sqrt(np.square(out).sum() / told - mean**2))  # of normal scores, which lie about 0: well told
    np.subtract(out, mean, out=out, where=is_told)
    out /= spread
    return (score - mean) / spread


def _slopes(at: Floats, effect: Floats) -> Floats:
    return np.append(np.diff(effect) / np.diff(at), 0.0)


def _normal_scores(value: Floats) -> tuple[Floats, Floats] | None:
    """The distinct quantiles of a signal and the normal scores of their ranks; ties have the mean of theirs."""
    told = value[np.isfinite(value)].astype(np.float32)  # compared with signals, which are float32
    if len(told) < LEAST_TOLD:
        return None
    told.sort()
    part, low = np.modf(_QUANTILES * (len(told) - 1))
    below, above = (told[np.minimum(low.astype(int) + more, len(told) - 1)].astype(np.float64) for more in (0, 1))
    quantiles = (below + part * (above - below)).astype(np.float32)
    at, place = np.unique(quantiles.astype(np.float64), return_inverse=True)
    if len(at) < 2:
        return None
    score = ndtri(np.clip(_QUANTILES, _OUTERMOST, 1 - _OUTERMOST))
    return at, np.bincount(place, score) / np.bincount(place)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add(values: Numbers, corners: Numbers, at: Floats, effect: Floats, slope: Floats, out: Floats) -> None:
    """Adds to `out` the effect at each value. Its place among the corners is counted, not searched for: a search
    branches at random, while counting is done for many rows at once."""
    passed = np.empty(_BLOCK_ROWS, np.int32)
    for start in range(0, len(values), _BLOCK_ROWS):
        block = values[start : start + _BLOCK_ROWS]
        place = passed[: len(block)]
        place[:] = -1
        for corner in corners:
            for row in range(len(block)):
                place[row] += np.int32(block[row] >= corner)
        for row in range(len(block)):
            x, low = float(block[row]), place[row]
            if low < 0:
                out[start + row] += 0.0 if np.isnan(x) else effect[0]
            else:
                out[start + row] += effect[low] + slope[low] * (min(x, at[-1]) - at[low])
