"""How well a prediction ranks the customers, and how far its probabilities can be believed.

The ranking metrics are read off the gains curve (`gains.py`); scikit-learn is their oracle in the tests. With one class
only, a metric that compares the classes is NaN. No metric depends on the order of the rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import logit, xlogy

from churn.models.calibration import fit_logistic
from churn.models.gains import (
    Floats,
    Gains,
    auroc_of,
    average_precision_of,
    capture_of,
    checked_outcome,
    checked_score,
    cumulate,
    gains,
    rank_rows,
    read_at,
)

SHARES: tuple[float, ...] = (0.05, 0.10, 0.20)
BINS = 15
PERFECT_DRAWS = 100
# Cells of one (draws, rows) matrix held at a time: 0.8 MB stays in the processor's cache, 15 % faster than 8 MB.
CELLS = 100_000
# The smallest distance from 0 and 1 at which a probability is judged, as in sklearn.metrics.log_loss.
EPSILON = float(np.finfo(np.float64).eps)


def auroc(y: npt.ArrayLike, score: npt.ArrayLike, *, weight: npt.ArrayLike | None = None) -> float:
    """Returns P(a leaver scores above a stayer), ties counting one half; NaN with one class only.

    >>> auroc([0, 1, 0, 1], [0.1, 0.9, 0.5, 0.5])
    0.875
    """
    return float(auroc_of(_curve(y, score, weight))[0])


def average_precision(y: npt.ArrayLike, score: npt.ArrayLike, *, weight: npt.ArrayLike | None = None) -> float:
    """Returns the mean precision over the leavers; NaN with one class only.

    Tied rows are one step, as in `sklearn.metrics.average_precision_score`.

    >>> average_precision([0, 1, 0, 1], [0.1, 0.9, 0.5, 0.6])
    1.0
    """
    return float(average_precision_of(_curve(y, score, weight))[0])


def capture_at(y: npt.ArrayLike, score: npt.ArrayLike, *, share: float, weight: npt.ArrayLike | None = None) -> float:
    """Returns the share of all leavers found in the highest `share` of the rows (recall); NaN with one class only.

    Ties count by the expected value over their random order, and so does the row that `share` cuts through.

    >>> capture_at([0, 1, 0, 1], [0.1, 0.9, 0.5, 0.5], share=0.5)
    0.75
    """
    return float(capture_of(_curve(y, score, weight), shares=(share,))[0, 0])


def lift_at(y: npt.ArrayLike, score: npt.ArrayLike, *, share: float, weight: npt.ArrayLike | None = None) -> float:
    """Returns the leave rate of the highest `share` of the rows over that of all; NaN with one class only.

    >>> lift_at([0, 1, 0, 1], [0.1, 0.9, 0.5, 0.5], share=0.25)
    2.0
    """
    return capture_at(y, score, share=share, weight=weight) / share


def brier_losses(y: Floats, *, p: Floats) -> Floats:
    """Returns the squared error of each probability, shape (n,)."""
    return np.square(p - y)


def log_losses(y: Floats, *, p: Floats) -> Floats:
    """Returns minus the log likelihood of each row in nats, shape (n,); probabilities are kept off 0 and 1 by 2e-16."""
    kept = np.clip(p, EPSILON, 1 - EPSILON)
    losses: Floats = -(xlogy(y, kept) + xlogy(1 - y, 1 - kept))
    return losses


def brier(y: npt.ArrayLike, p: npt.ArrayLike, *, weight: npt.ArrayLike | None = None) -> float:
    """Returns the mean squared error of the probabilities, between 0 and 1; NaN without rows.

    >>> brier([0, 1], [0.5, 1.0])
    0.125
    """
    outcome, probability = _probabilities(y, p)
    return _mean(brier_losses(outcome, p=probability), weight)


def log_loss(y: npt.ArrayLike, p: npt.ArrayLike, *, weight: npt.ArrayLike | None = None) -> float:
    """Returns the mean log loss in nats; NaN without rows.

    >>> round(log_loss([0, 1], [0.5, 0.5]), 4)
    0.6931
    """
    outcome, probability = _probabilities(y, p)
    return _mean(log_losses(outcome, p=probability), weight)


def ece_of(excess: Floats, *, rows: Floats, bins: int) -> Floats:
    """Returns the expected calibration error of each weighting, shape (weightings,).

    Args:
        excess: cumulated weight x (p - y) in the order of p at the edges of ties, shape (weightings, ties + 1).
        rows: cumulated weight, same shape.
        bins: number of bins of equal weight. A tie across an edge is shared out: its expected value over random orders.
    """
    total = rows[:, -1:]
    at_edges = read_at(excess, rows=rows, depth=total * np.linspace(0, 1, bins + 1))
    error = np.full(rows.shape[0], np.nan)
    np.divide(np.abs(np.diff(at_edges, axis=1)).sum(axis=1), total[:, 0], out=error, where=total[:, 0] > 0)
    return error


def ece(y: npt.ArrayLike, p: npt.ArrayLike, *, bins: int = BINS, weight: npt.ArrayLike | None = None) -> float:
    """Returns the expected calibration error over bins of equal mass: mean |leave rate - mean p|; NaN without rows.

    It never is 0, not even for a perfect model: read it beside `perfect_ece`. Source: Roelofs et al. 2022 (equal-mass
    bins); Naeini, Cooper, Hauskrecht 2015.

    >>> round(ece([0, 1, 1, 1], [0.75] * 4), 3)
    0.0
    """
    outcome, probability = _probabilities(y, p)
    order = _canonical(outcome, probability)
    ranking = rank_rows(outcome[order], score=probability[order])
    ranked_weight = _weights(weight, outcome.size)[order][ranking.order][np.newaxis, :]
    residual = probability[order][ranking.order] - ranking.y
    excess = cumulate(ranked_weight * residual, edges=ranking.edges)
    return float(ece_of(excess, rows=cumulate(ranked_weight, edges=ranking.edges), bins=bins)[0])


def perfect_ece(p: npt.ArrayLike, *, bins: int = BINS, draws: int = PERFECT_DRAWS, seed: int = 0) -> float:
    """Returns the mean ECE of a perfectly calibrated model with these probabilities: y ~ Bernoulli(p), simulated.

    An ECE near this figure is noise of the sample size, not miscalibration. Source: Broecker and Smith 2007
    (consistency resampling). NaN without rows.
    """
    errors = perfect_eces(p, bins=bins, draws=draws, seed=seed)
    return float(errors.mean()) if errors.size else float("nan")


def perfect_eces(p: npt.ArrayLike, *, bins: int = BINS, draws: int = PERFECT_DRAWS, seed: int = 0) -> Floats:
    """Returns the ECE of a perfectly calibrated model in each simulation, shape (draws,); empty without rows."""
    probability = np.sort(np.asarray(p, dtype=np.float64))[::-1]
    if not probability.size:
        return np.empty(0)
    rng = np.random.default_rng(seed)
    edges = rank_rows(np.zeros_like(probability), score=probability).edges
    errors = []
    step = max(1, CELLS // probability.size)
    for first in range(0, draws, step):
        drawn = rng.random((min(step, draws - first), probability.size)) < probability
        excess = cumulate(probability - drawn, edges=edges)
        rows = np.broadcast_to(edges.astype(np.float64), excess.shape)
        errors.append(ece_of(excess, rows=rows, bins=bins))
    return np.concatenate(errors)


def calibration_slope(y: npt.ArrayLike, p: npt.ArrayLike) -> tuple[float, float]:
    """Returns (slope, intercept) of the logistic regression of y on logit p: (1, 0) when p is right.

    A slope below 1 says the probabilities are too extreme, above 1 too timid. (NaN, NaN) where no finite fit exists:
    one class only, one probability only, or classes that p separates. Source: Cox 1958; Van Calster et al. 2019.
    """
    outcome, probability = _probabilities(y, p)
    leavers, stayers = probability[outcome == 1], probability[outcome == 0]
    if not leavers.size or not stayers.size:
        return float("nan"), float("nan")
    if stayers.max() <= leavers.min() or leavers.max() <= stayers.min():
        return float("nan"), float("nan")
    order = _canonical(outcome, probability)
    margin = logit(np.clip(probability, EPSILON, 1 - EPSILON))[order]
    (slope,), intercept = fit_logistic((margin,), target=outcome[order], weight=np.ones(outcome.size))
    return slope, intercept


def calibration_in_the_large(y: npt.ArrayLike, p: npt.ArrayLike, *, weight: npt.ArrayLike | None = None) -> float:
    """Returns mean p - mean y: above 0 when too much leaving is predicted; NaN without rows.

    >>> calibration_in_the_large([0, 1], [0.5, 0.75])
    0.125
    """
    outcome, probability = _probabilities(y, p)
    return _mean(probability - outcome, weight)


def _curve(y: npt.ArrayLike, score: npt.ArrayLike, weight: npt.ArrayLike | None) -> Gains:
    ranking = rank_rows(y, score=score)
    return gains(ranking, weight=_weights(weight, ranking.y.size)[ranking.order][np.newaxis, :])


def _weights(weight: npt.ArrayLike | None, size: int) -> Floats:
    """Returns one weight a row, 1 by default; raises ValueError for a wrong length, a negative weight or NaN."""
    if weight is None:
        return np.ones(size)
    values = np.asarray(weight, dtype=np.float64)
    if values.shape != (size,) or not (values >= 0).all():
        raise ValueError(f"weights must be {size} numbers of at least 0")
    return values


def _probabilities(y: npt.ArrayLike, p: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Returns outcome and probabilities as floats; raises ValueError for a probability outside 0 to 1."""
    outcome = checked_outcome(y)
    probability = checked_score(p, like=outcome)
    if ((probability < 0) | (probability > 1)).any():
        raise ValueError("a probability lies outside 0 to 1")
    return outcome, probability


def _canonical(outcome: Floats, probability: Floats) -> npt.NDArray[np.int64]:
    """Returns the order in which floating-point sums are taken: the same bytes, whatever the order of the rows."""
    return np.lexsort((outcome, probability)).astype(np.int64)


def _mean(values: Floats, weight: npt.ArrayLike | None) -> float:
    """Returns the weighted mean, summed in an order of its own, so that the order of the rows never shows."""
    weights = _weights(weight, values.size)
    total = float(weights.sum())
    return float(np.sort(weights * values).sum()) / total if total > 0 else float("nan")
