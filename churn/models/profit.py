"""What a prediction is worth: gain at the contact budget, and expected maximum profit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betainc
from sklearn.isotonic import isotonic_regression

from churn.models.gains import checked_outcome, checked_score, cumulate, gains, rank_rows, read_at


@dataclass(frozen=True)
class Gain:
    """Expected net gain of one round of contacts, in the unit of `value` and `cost`.

    Attributes:
        contacted: how many customers are contacted: the budget, or everybody if fewer.
        expected: gain of contacting the highest ranked.
        random: gain of contacting as many at random.
    """

    contacted: int
    expected: float
    random: float


def gain_at_budget(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    *,
    budget: int,
    cost: float,
    success_rate: float,
    value: npt.ArrayLike | None = None,
) -> Gain:
    """Returns the expected net gain of contacting the `budget` customers highest by p x value.

    Gain = sum over the contacted of (success_rate x y x value - cost). Ties count by the expected value over their
    random order. It assumes that a contact never drives anybody away.

    Args:
        y: 1 for the customers who left, 0 for the others, shape (n,).
        p: probability, or any score if there is no value, shape (n,).
        budget: how many customers can be contacted.
        cost: of one contact.
        success_rate: share of the contacted leavers who stay because of it, 0 to 1.
        value: worth of keeping each customer, at least 0, shape (n,); None counts each as 1 (cost in the same unit).

    Raises:
        ValueError: lengths that differ, a negative budget, cost or value, a success rate outside 0 to 1.

    >>> gain_at_budget([1, 0, 1, 0], [0.9, 0.8, 0.2, 0.1], budget=1, cost=0.1, success_rate=0.5)
    Gain(contacted=1, expected=0.4, random=0.15)
    """
    outcome = checked_outcome(y)
    worth = np.ones(outcome.size) if value is None else checked_score(value, like=outcome)
    if budget < 0 or cost < 0 or not 0 <= success_rate <= 1 or (worth < 0).any():
        raise ValueError("budget, cost and value must be at least 0, the success rate between 0 and 1")
    score = checked_score(p, like=outcome) * worth
    # Ties are summed in the order of what they save, so that the order of the rows never shows.
    canonical = np.lexsort((outcome * worth, score))
    ranking = rank_rows(outcome[canonical], score=score[canonical])
    contacted = min(budget, outcome.size)
    saved = cumulate((outcome * worth)[canonical][ranking.order][np.newaxis, :], edges=ranking.edges)
    rows = gains(ranking).rows
    highest = float(read_at(saved, rows=rows, depth=np.array([[float(contacted)]]))[0, 0])
    average = float(saved[0, -1]) * contacted / max(outcome.size, 1)
    spent = cost * contacted
    return Gain(contacted, success_rate * highest - spent, success_rate * average - spent)


def empc(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    *,
    alpha: float = 6.0,
    beta: float = 14.0,
    clv: float = 200.0,
    d: float = 10.0,
    f: float = 1.0,
) -> float:
    """Returns the expected maximum profit per customer for customer churn (EMPC), exact; NaN with one class only.

    The share gamma of contacted leavers who accept the offer and stay is Beta(alpha, beta); for every gamma the best
    number of customers is contacted, and the profit is averaged over gamma. Source: Verbraken, Verbeke, Baesens 2013.

    The best thresholds are the corners of the ROC convex hull, and the slopes of that hull are the isotonic regression
    of y on the score (Fawcett, Niculescu-Mizil 2007). A customer on a hull segment of leave rate q is worth contacting
    iff gamma > bar = (q f + (1 - q)(d + f)) / (q (clv - d)), so

        EMPC = mean over customers of  integral from bar to 1 of  q (clv - d) (gamma - bar)  dBeta(gamma).

    Args:
        y: 1 for the customers who left, 0 for the others, shape (n,).
        p: probability or any score, shape (n,).
        alpha, beta: of the Beta distribution of gamma; default mean 0.3.
        clv: value of a customer who is kept.
        d: cost of the offer: contacted stayers all take it, leavers only if they accept.
        f: cost of the contact.

    Raises:
        ValueError: unless alpha, beta > 0, 0 <= d < clv and f >= 0.
    """
    if not (alpha > 0 and beta > 0 and 0 <= d < clv and f >= 0):
        raise ValueError("EMPC needs alpha, beta > 0, 0 <= d < clv and f >= 0")
    curve = gains(rank_rows(y, score=p))
    rows, leavers = np.diff(curve.rows[0]), np.diff(curve.leavers[0])
    if not 0 < leavers.sum() < rows.sum():
        return float("nan")
    rate = np.asarray(isotonic_regression(leavers / rows, sample_weight=rows, increasing=False), dtype=np.float64)
    bar = np.ones_like(rate)
    np.divide(rate * f + (1 - rate) * (d + f), rate * (clv - d), out=bar, where=rate > 0)
    bar = np.minimum(bar, 1.0)
    mean = alpha / (alpha + beta)
    above = mean * (1 - betainc(alpha + 1, beta, bar)) - bar * (1 - betainc(alpha, beta, bar))
    return float((rows * rate * (clv - d) * above).sum() / rows.sum())
