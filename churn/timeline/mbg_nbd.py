"""MBG/NBD: the classical model of buying and silently stopping, and its exact probability of seeing nobody.

While active a customer buys at her own Poisson rate (gamma over customers, shape r, rate alpha); after every purchase,
the first included, she drops out with her own probability (beta over customers, a and b). Source: Batislam, Denizel,
Filiztekin 2007.

Everywhere below: `frequency` x = active days after the first, `recency_age` t_x = days from first to last activity,
`age` T = days from first activity to the cutoff. Only what happened before the cutoff enters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, betaln, digamma, expit, gammaln, hyp2f1

from churn.timeline.solving import solved

Floats = npt.NDArray[np.float64]

MAX_ROWS = 50_000
# Natural logs. Beyond e^7 the spread between customers is below 3 %: the likelihood is flat and drifts without end.
LOG_BOUND = 7.0
# For the rare rows whose series overflows: 200 nodes agree with it to 1e-6 over the whole range of parameters.
NODES = 200
# Shape r, rate alpha (in median ages), a, b: one start with hardly any dropout, one with much.
STARTS: tuple[tuple[float, float, float, float], ...] = ((1.0, 0.3, 0.3, 3.0), (0.5, 0.1, 1.0, 1.0))


@dataclass(frozen=True)
class MbgNbd:
    """The four parameters.

    Attributes:
        r: shape of the gamma distribution of rates.
        alpha: its rate, in days: the mean customer buys every alpha / r days.
        a, b: beta distribution of the dropout probability after a purchase, mean a / (a + b).
    """

    r: float
    alpha: float
    a: float
    b: float


def fit_mbg_nbd(frequency: npt.ArrayLike, *, recency_age: npt.ArrayLike, age: npt.ArrayLike) -> MbgNbd:
    """Returns the maximum likelihood fit; the same numbers for any order of the rows.

    Above 50,000 customers every k-th of the sorted histories is used: a sample stratified by history, without a seed.
    Time is measured in median ages while fitting, so that days and seconds fit alike.

    Raises:
        ValueError: no rows, lengths that differ, or a history that is none (needs 0 <= recency_age <= age and age > 0).
    """
    x, t_x, total = _checked(frequency, recency_age, age)
    if not x.size:
        raise ValueError("MBG/NBD needs at least one customer")
    histories = np.column_stack([x, t_x, total])
    histories = histories[np.lexsort(histories.T[::-1])]
    if x.size > MAX_ROWS:
        histories = histories[np.linspace(0, x.size - 1, MAX_ROWS).round().astype(np.int64)]
    unit = float(np.median(histories[:, 2]))
    distinct, count = np.unique(histories, axis=0, return_counts=True)
    x, t_x, total = distinct[:, 0], distinct[:, 1] / unit, distinct[:, 2] / unit
    weight = count / histories.shape[0]

    def loss(log_parameters: Floats) -> tuple[float, Floats]:
        return _negative_log_likelihood(np.exp(log_parameters), x, t_x, total, weight)

    options = {"maxiter": 500, "ftol": 1e-13, "gtol": 1e-8}
    bounds = [(-LOG_BOUND, LOG_BOUND)] * 4
    fits = [solved(loss, np.log(start), bounds=bounds, options=options) for start in STARTS]
    r, alpha, a, b = np.exp(min(fits, key=lambda fit: float(fit.fun)).x)
    return MbgNbd(r=float(r), alpha=float(alpha) * unit, a=float(a), b=float(b))


def p_alive(model: MbgNbd, *, frequency: npt.ArrayLike, recency_age: npt.ArrayLike, age: npt.ArrayLike) -> Floats:
    """Returns P(still active at the cutoff | history), shape (n,).

    P = 1 / (1 + a / (b + x) ((alpha + T) / (alpha + t_x))^(r + x)), in logs, so that long histories don't overflow.
    """
    x, t_x, total = _checked(frequency, recency_age, age)
    stretch = np.log(model.alpha + total) - np.log(model.alpha + t_x)
    alive: Floats = expit(-(np.log(model.a) - np.log(model.b + x) + (model.r + x) * stretch))
    return alive


def p_no_activity(
    model: MbgNbd,
    *,
    frequency: npt.ArrayLike,
    recency_age: npt.ArrayLike,
    age: npt.ArrayLike,
    horizon_days: float,
    gap_days: float = 0.0,
) -> Floats:
    """Returns the exact P(no activity in [T + gap, T + gap + horizon) | history), shape (n,).

    Given that she is active at T, her rate is Gamma(s, A) with s = r + x, A = alpha + T, and her dropout probability p
    Beta(a, b + x + 1), independent. She survives the purchases of a gap g with probability exp(-rate p g), hence

        P(active) = P(alive) E_p[ (A / (A + p g))^s - (A / (A + p g + H))^s ]
                  = P(alive) ( F(g / A) - (A / (A + H))^s F(g / (A + H)) ),   F(u) = 2F1(s, a; a + b + x + 1; -u).

    For g = 0 both F are 1, which is the formula of Batislam et al.

    Raises:
        ValueError: an impossible history, a horizon not above 0, a gap below 0.
    """
    if not horizon_days > 0 or gap_days < 0:
        raise ValueError("the horizon must be above 0 days, the gap at least 0")
    x, _, total = _checked(frequency, recency_age, age)
    alive = p_alive(model, frequency=frequency, recency_age=recency_age, age=age)
    shape, rate = model.r + x, model.alpha + total
    quiet = np.exp(shape * (np.log(rate) - np.log(rate + horizon_days)))
    if gap_days == 0:
        without_gap: Floats = 1 - alive * (1 - quiet)
        return without_gap
    survives = _survives_gap(model, x, gap_days / rate)
    then_quiet = quiet * _survives_gap(model, x, gap_days / (rate + horizon_days))
    probability: Floats = np.clip(1 - alive * (survives - then_quiet), 0.0, 1.0)
    return probability


def _survives_gap(model: MbgNbd, x: Floats, stretch: Floats) -> Floats:
    """Returns 2F1(r + x, a; a + b + x + 1; -stretch).

    By Pfaff's transformation, (1 + u)^-a 2F1(a, a + b + 1 - r; a + b + x + 1; u / (1 + u)): the argument stays inside
    the unit circle and x leaves the numerator, so the series converges fast for the longest histories too.
    """
    a, b, r = model.a, model.b, model.r
    with np.errstate(invalid="ignore", over="ignore"):
        survival: Floats = (1 + stretch) ** -a * hyp2f1(a, a + b + 1 - r, a + b + x + 1, stretch / (1 + stretch))
    # A gap many times the age, with a or b in the hundreds, overflows inside scipy: those rows are integrated instead.
    is_lost = ~np.isfinite(survival)
    survival[is_lost] = _survives_by_quadrature(model, x[is_lost], stretch[is_lost])
    return survival


def _survives_by_quadrature(model: MbgNbd, x: Floats, stretch: Floats) -> Floats:
    """Returns the same E[(1 + p stretch)^-(r + x)], by Gauss-Legendre over the quantiles of p ~ Beta(a, b + x + 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    p = betaincinv(model.a, (model.b + x + 1)[:, np.newaxis], (nodes + 1) / 2)
    values = (1 + p * stretch[:, np.newaxis]) ** -(model.r + x)[:, np.newaxis]
    expected: Floats = (values * weights / 2).sum(axis=1)
    return expected


def _negative_log_likelihood(
    parameters: Floats, x: Floats, t_x: Floats, total: Floats, weight: Floats
) -> tuple[float, Floats]:
    """Returns minus the weighted log likelihood and its gradient with respect to the *logs* of r, alpha, a, b."""
    r, alpha, a, b = (float(value) for value in parameters)
    shape = r + x
    active = -shape * np.log(alpha + total)
    gone = np.log(a) - np.log(b + x) - shape * np.log(alpha + t_x)
    either = np.logaddexp(active, gone)
    share_gone = np.exp(gone - either)
    likelihood = gammaln(shape) - gammaln(r) + r * np.log(alpha) + betaln(a, b + x + 1) - betaln(a, b) + either
    by_r = digamma(shape) - digamma(r) + np.log(alpha)
    by_r = by_r - (1 - share_gone) * np.log(alpha + total) - share_gone * np.log(alpha + t_x)
    by_alpha = r / alpha - shape * ((1 - share_gone) / (alpha + total) + share_gone / (alpha + t_x))
    by_a = digamma(a + b) - digamma(a + b + x + 1) + share_gone / a
    by_b = digamma(b + x + 1) - digamma(a + b + x + 1) - digamma(b) + digamma(a + b) - share_gone / (b + x)
    gradient = np.array([float((weight * part).sum()) for part in (by_r, by_alpha, by_a, by_b)])
    return -float((weight * likelihood).sum()), -gradient * parameters


def _checked(frequency: npt.ArrayLike, recency_age: npt.ArrayLike, age: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
    x, t_x, total = (np.asarray(values, dtype=np.float64) for values in (frequency, recency_age, age))
    if x.ndim != 1 or not x.shape == t_x.shape == total.shape:
        raise ValueError(f"frequency, recency_age and age have shapes {x.shape}, {t_x.shape}, {total.shape}")
    is_history = (x >= 0) & (t_x >= 0) & (t_x <= total) & (total > 0) & np.isfinite(x + total)
    if not is_history.all():
        raise ValueError(
            f"{int((~is_history).sum())} rows are no history: need frequency >= 0, 0 <= recency_age <= age > 0"
        )
    return x, t_x, total
