"""Shares: how much of what could be known is found, as AUROC beyond one half, with intervals over customers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from churn.models.gains import auroc_of, gains, rank_rows
from churn.models.metrics import brier, lift_at

Floats = npt.NDArray[np.float64]
DRAWS = 400
LEVEL = (2.5, 97.5)
Interval = dict[str, float | None]


def aurocs(rows: pd.DataFrame, outcome: str, scores: Mapping[str, str], *, seed: int = 0) -> dict[str, Floats]:
    """Returns the AUROC of each score, the mean of the test cutoffs: shape (1 + draws,), the first without resampling.

    Customers are drawn jointly for all cutoffs and scores, so that differences and shares can be taken draw by draw.

    Args:
        rows: with customer, at, the outcome and the scores.
        outcome: the column that came true or not.
        scores: columns by the name they are told under.
        seed: of the draws.
    """
    codes, customer = np.unique(rows["customer"].to_numpy(), return_inverse=True)
    rng = np.random.default_rng(seed)
    weight = np.vstack([np.ones(len(codes)), rng.multinomial(len(codes), np.full(len(codes), 1 / len(codes)), DRAWS)])
    found: dict[str, list[Floats]] = {name: [] for name in scores}
    for at in np.unique(rows["at"]):
        here = np.flatnonzero((rows["at"] == at).to_numpy())
        y = rows[outcome].to_numpy(np.float64)[here]
        if not 0 < y.sum() < len(y):
            continue
        drawn = weight[:, customer[here]]
        for name, column in scores.items():
            ranking = rank_rows(y, score=rows[column].to_numpy(np.float64)[here])
            found[name].append(auroc_of(gains(ranking, weight=drawn[:, ranking.order])))
    return {name: np.mean(parts, axis=0) if parts else np.full(1 + DRAWS, np.nan) for name, parts in found.items()}


def contest(rows: pd.DataFrame, outcome: str, scores: Mapping[str, str], *, p: Mapping[str, str]) -> dict[str, Any]:
    """Returns AUROC with interval, lift at 10 % and Brier of each score, and the shares of what could be known.

    `scores` has a `model`, a `baseline` and a `ceiling`; `p` the columns that are probabilities.
    """
    drawn = aurocs(rows, outcome, scores)
    y = rows[outcome].to_numpy(np.float64)
    told = {
        name: {
            "auroc": interval(drawn[name]),
            "lift_at_10": known(lift_at(y, rows[column].to_numpy(np.float64), share=0.1)) if len(y) else None,
            "brier": known(brier(y, rows[p[name]].to_numpy(np.float64).clip(0, 1))) if name in p else None,
        }
        for name, column in scores.items()
    }
    model, baseline, ceiling = (drawn[name] for name in ("model", "baseline", "ceiling"))
    return {
        "rows": len(rows), "share_of_rows": float(y.mean()) if len(y) else None, "scores": told,
        "share": interval(share(model, of=ceiling, beyond=0.5)),
        "share_beyond_baseline": interval(share(model, of=ceiling, beyond=baseline)),
        "less_than_ceiling": interval(model - ceiling),
    }  # fmt: skip


def share(found: Floats, *, of: Floats, beyond: Floats | float) -> Floats:
    """Returns what part of an advantage is found; NaN where there is none to find.

    >>> share(np.array([0.7]), of=np.array([0.75]), beyond=0.5).round(2).tolist()
    [0.8]
    """
    advantage = of - beyond
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(advantage > 1e-9, (found - beyond) / advantage, np.nan)


def interval(drawn: Floats) -> Interval:
    """Returns the figure without resampling, and its 95 % interval."""
    rest = drawn[1:][np.isfinite(drawn[1:])]
    low, high = np.percentile(rest, LEVEL) if len(rest) > DRAWS // 2 else (np.nan, np.nan)
    return {"mean": known(drawn[0]), "low": known(low), "high": known(high)}


def resampled(size: int, figure: Callable[[npt.NDArray[np.int64]], Floats | float], *, seed: int = 0) -> Interval:
    """Returns a figure of all rows with its interval, the rows drawn with replacement."""
    if not size:
        return {"mean": None, "low": None, "high": None}
    rng = np.random.default_rng(seed)
    return interval(
        np.array([figure(np.arange(size)), *(figure(rng.integers(0, size, size)) for _ in range(DRAWS))], np.float64)
    )


def known(value: float) -> float | None:
    """Returns a figure as JSON can hold it."""
    return float(value) if np.isfinite(value) else None
