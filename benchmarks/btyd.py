"""Models of buying till one dies: BG/NBD and Pareto/NBD as the package `lifetimes` fits them, scored exactly.

`lifetimes` finds the parameters and says who is still alive; P(nobody comes in the window) follows from both. While
alive a customer buys at a rate ~ Gamma(r, alpha). In BG/NBD she stops after a purchase with probability p ~ Beta(a, b)
(Fader, Hardie, Lee 2005), in Pareto/NBD at any moment at a rate ~ Gamma(s, beta) (Schmittlein, Morrison, Colombo 1987).
"""

from __future__ import annotations

import sys
import warnings
from contextlib import redirect_stdout
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from churn.models.baselines import PurchaseHistory

Floats = npt.NDArray[np.float64]
UNIT_DAYS = 7.0
"""Time is given to `lifetimes` in weeks, the unit its authors publish in."""
PENALTIES = (0.0, 1e-4, 1e-3, 1e-2)
"""Tried in turn: where the likelihood is flat, its search needs a little help."""
STARTS: dict[str, dict[str, Any]] = {"ParetoNBDFitter": {"initial_params": np.ones(4)}}
"""Where a search would begin at random, it begins here."""
MOST_HISTORIES = {"BetaGeoFitter": 20_000, "ParetoNBDFitter": 1_500}
"""Above so many, every k-th of the sorted histories is fitted: four parameters need no more, and the search is slow."""
NODES = 64
HOW_TO_INSTALL = "the package lifetimes is not installed: pip install 'silent-churn[benchmark]'"


def has_lifetimes() -> bool:
    """Returns whether `lifetimes` is installed."""
    return find_spec("lifetimes") is not None


def fitted(name: str, everybody: PurchaseHistory) -> Any:
    """Returns the fitter of `lifetimes` called `name`, fitted on everybody's history, time in weeks.

    Raises:
        ValueError: no fit converged, even with a penalty.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is older than the pandas and numpy it runs with, and they tell it so
        import lifetimes
        from lifetimes.utils import ConvergenceError

        history = _sampled(_in_weeks(everybody), MOST_HISTORIES[name])
        for penalty in PENALTIES:
            model = getattr(lifetimes, name)(penalizer_coef=penalty)
            try:
                with redirect_stdout(sys.stderr):  # what it prints when a search fails is no result of ours
                    return model.fit(*history, **STARTS.get(name, {}))
            except ConvergenceError:
                continue
    raise ValueError(f"{name} of lifetimes does not converge on {everybody.age.size:,} histories")


def bg_nbd(everybody: PurchaseHistory, test: PurchaseHistory, *, horizon_days: float, gap_days: float = 0.0) -> Floats:
    """Returns P(no activity in the window | history) by BG/NBD, shape (test customers,).

    Alive at the cutoff, her rate is Gamma(r + x, A) with A = alpha + T, and p is Beta(a, b + x), independent. She
    survives the purchases of a gap g with probability exp(-rate p g), hence P(active) = P(alive)
    E_p[(A / (A + p g))^(r + x) - (A / (A + p g + H))^(r + x)]; without a gap p drops out.
    """
    model = fitted("BetaGeoFitter", everybody)
    found = model.params_
    x, _, age = _in_weeks(test)
    gap, horizon = gap_days / UNIT_DAYS, horizon_days / UNIT_DAYS
    p, weights = _quantiles(found["a"], found["b"] + x)
    shape, rate = (found["r"] + x)[:, np.newaxis], (found["alpha"] + age)[:, np.newaxis]
    came = (rate / (rate + p * gap)) ** shape - (rate / (rate + p * gap + horizon)) ** shape
    return _clipped(1 - _alive(model, test) * (came * weights).sum(axis=1))


def pareto_nbd(
    everybody: PurchaseHistory, test: PurchaseHistory, *, horizon_days: float, gap_days: float = 0.0
) -> Floats:
    """Returns P(no activity in the window | history) by Pareto/NBD, shape (test customers,).

    Alive at the cutoff, her rate of buying is Gamma(r + x, alpha + T) and her rate of dying Gamma(s, beta + T),
    independent. She comes for the first time at moment u of a window that opens after a gap g with density
    E[rate exp(-rate u)] E[exp(-dying (g + u))]; P(active) is its integral over the window, times P(alive).
    """
    model = fitted("ParetoNBDFitter", everybody)
    found = model.params_
    x, _, age = _in_weeks(test)
    gap, horizon = gap_days / UNIT_DAYS, horizon_days / UNIT_DAYS
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    moment = horizon * (nodes + 1) / 2
    shape, rate = (found["r"] + x)[:, np.newaxis], (found["alpha"] + age)[:, np.newaxis]
    dying = (found["beta"] + age)[:, np.newaxis]
    density = shape / rate * (rate / (rate + moment)) ** (shape + 1) * (dying / (dying + gap + moment)) ** found["s"]
    came = (density * weights).sum(axis=1) * horizon / 2
    return _clipped(1 - _alive(model, test) * came)


def _quantiles(a: float, b: Floats) -> tuple[Floats, Floats]:
    """Nodes over the quantiles of p ~ Beta(a, b), one line per customer, and their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return betaincinv(a, b[:, np.newaxis], (nodes + 1) / 2), weights / 2


def _alive(model: Any, test: PurchaseHistory) -> Floats:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        alive = np.asarray(model.conditional_probability_alive(*_in_weeks(test)), np.float64)
    # A history longer than its series can carry: she was alive at her last purchase, and nothing more is known.
    return np.where(np.isfinite(alive), alive, 1.0)


def _sampled(history: tuple[Floats, Floats, Floats], most: int) -> tuple[Floats, Floats, Floats]:
    x, last, age = history
    order = np.lexsort((age, last, x))
    kept = order[np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(np.int64)]
    return x[kept], last[kept], age[kept]


def _in_weeks(history: PurchaseHistory) -> tuple[Floats, Floats, Floats]:
    x = history.frequency
    return x, np.where(x > 0, history.recency_age, 0.0) / UNIT_DAYS, history.age / UNIT_DAYS


def _clipped(p: Floats) -> Floats:
    return np.asarray(np.clip(p, 0.0, 1.0), np.float64)
