"""The gains curve: how many leavers are among the first rows, counted from the highest score down.

Every ranking metric is read off this one curve. It is cut at the *ends of ties*, so the order in which equal scores
happen to stand never matters, and it takes many weightings of the same rows at once: that makes the bootstrap of
`intervals.py` fast while the point metrics of `metrics.py` keep the same single definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ranking:
    """Rows from the highest score to the lowest.

    Attributes:
        order: row numbers in ranked order, shape (n,).
        y: outcome of the rows in ranked order, 0 or 1, shape (n,).
        edges: 0, then the end of every run of equal scores: rows `edges[i]` up to `edges[i + 1]` tie; shape (ties +
            1,).
    """

    order: Ints
    y: Floats
    edges: Ints


@dataclass(frozen=True)
class Gains:
    """Cumulated from the highest score down, at the edges of ties; one line per weighting, first column 0.

    Attributes:
        leavers: weight of the rows with y = 1 so far, shape (weightings, ties + 1).
        rows: weight of all rows so far, same shape.
    """

    leavers: Floats
    rows: Floats


def checked_outcome(y: npt.ArrayLike) -> Floats:
    """Returns the outcome as floats 0 and 1, shape (n,).

    Raises:
        ValueError: a value other than 0 or 1 (NaN included), or more than one dimension.
    """
    outcome = np.asarray(y, dtype=np.float64)
    if outcome.ndim != 1 or not np.isin(outcome, (0.0, 1.0)).all():
        raise ValueError("y must be one-dimensional and hold only 0 and 1")
    return outcome


def checked_score(score: npt.ArrayLike, *, like: Floats) -> Floats:
    """Returns the score as floats, shape (n,).

    Raises:
        ValueError: the length differs from `like`, or a score is NaN.
    """
    values = np.asarray(score, dtype=np.float64)
    if values.shape != like.shape:
        raise ValueError(f"scores have shape {values.shape}, outcomes {like.shape}")
    if np.isnan(values).any():
        raise ValueError("a score is NaN: only scored customers can be judged")
    return values


def rank_rows(y: npt.ArrayLike, *, score: npt.ArrayLike) -> Ranking:
    """Returns the rows ranked by score, highest first, with the edges of ties.

    >>> rank_rows([0, 1, 1], score=[0.1, 0.7, 0.1]).edges.tolist()
    [0, 1, 3]
    """
    outcome = checked_outcome(y)
    values = checked_score(score, like=outcome)
    order = np.argsort(-values, kind="stable").astype(np.int64)
    ranked = values[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) + 1 if ranked.size else np.empty(0, np.int64)
    return Ranking(order=order, y=outcome[order], edges=np.concatenate(([0], ends)).astype(np.int64))


def cumulate(values: Floats, *, edges: Ints) -> Floats:
    """Returns the running sums of each line of `values` (weightings, n) at the edges: shape (weightings, ties + 1)."""
    total = np.zeros((values.shape[0], values.shape[1] + 1))
    np.cumsum(values, axis=1, out=total[:, 1:])
    return total if edges.size == total.shape[1] else np.take(total, edges, axis=1)


def gains(ranking: Ranking, *, weight: Floats | None = None) -> Gains:
    """Returns the gains curve for each weighting of the rows.

    Args:
        ranking: from `rank_rows`.
        weight: in *ranked* order, shape (weightings, n); None counts every row once. Whole numbers keep every sum
            exact.
    """
    if weight is None:
        weight = np.ones((1, ranking.y.size))
    return Gains(leavers=cumulate(weight * ranking.y, edges=ranking.edges), rows=cumulate(weight, edges=ranking.edges))


def read_at(curve: Floats, *, rows: Floats, depth: Floats) -> Floats:
    """Returns each line of `curve` read at the given depths, shape (weightings, depths).

    Inside a tie the curve is a straight line: that is the expected value over a random order of the tied rows.

    Args:
        curve: cumulated values, shape (weightings, ties + 1).
        rows: cumulated weight, same shape.
        depth: weight of the rows to go down to, shape (weightings, depths).
    """
    lines = [np.interp(at, under, line) for at, under, line in zip(depth, rows, curve, strict=True)]
    return np.array(lines, dtype=np.float64).reshape(depth.shape)


def auroc_of(curve: Gains) -> Floats:
    """Returns the area under the ROC curve of each weighting, ties counting one half; NaN with one class only."""
    stayers = curve.rows - curve.leavers
    trapezoids = np.diff(stayers, axis=1) * (curve.leavers[:, 1:] + curve.leavers[:, :-1]) / 2
    return _where_both(curve, trapezoids.sum(axis=1), curve.leavers[:, -1] * stayers[:, -1])


def average_precision_of(curve: Gains) -> Floats:
    """Returns the average precision of each weighting, ties taken as one step; NaN with one class only."""
    precision = np.zeros_like(curve.rows[:, 1:])
    np.divide(curve.leavers[:, 1:], curve.rows[:, 1:], out=precision, where=curve.rows[:, 1:] > 0)
    steps = np.diff(curve.leavers, axis=1) * precision
    return _where_both(curve, steps.sum(axis=1), curve.leavers[:, -1])


def capture_of(curve: Gains, *, shares: Sequence[float]) -> Floats:
    """Returns the share of all leavers found in the first `shares` of the rows, shape (weightings, shares)."""
    depth = curve.rows[:, -1:] * np.asarray(shares, dtype=np.float64)
    found = read_at(curve.leavers, rows=curve.rows, depth=depth)
    return np.column_stack([_where_both(curve, column, curve.leavers[:, -1]) for column in found.T])


def _where_both(curve: Gains, numerator: Floats, denominator: Floats) -> Floats:
    """Returns the quotient where both classes have weight, NaN elsewhere."""
    leavers, rows = curve.leavers[:, -1], curve.rows[:, -1]
    quotient = np.full(leavers.shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=(leavers > 0) & (leavers < rows))
    return quotient
