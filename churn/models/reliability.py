"""Reliability: how many left of those at a foretold risk, at each test cutoff and at each height of the risk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from churn.models.gains import Floats

RISKS = 10
_TWO_SIDED_95 = 1.96


def reliability(predictions: pd.DataFrame, *, labels: Mapping[int, str]) -> dict[str, Any]:
    """Returns foretold and observed leaving, `by_cutoff` and `by_risk` (tenths of all rows by p_leave), as plain JSON.

    Each entry holds customers, foretold, left, and low to high: what the share that left could be by chance (95 %),
    rows of one customer counted as one piece of evidence. Foretold outside of it is off by more than chance. By cutoff
    also foretold_low and foretold_high: as far as the level of leaving could be foretold.

    Args:
        predictions: customer, at, has_left, p_leave, p_leave_low and p_leave_high of the test rows.
        labels: the label of each test cutoff by its moment.
    """
    ordered = predictions.sort_values(["p_leave", "at", "customer"], ignore_index=True)
    places = np.array_split(np.arange(len(ordered)), min(RISKS, max(len(ordered), 1)))
    return {
        "by_cutoff": {labels[at]: _cutoff(ordered[ordered["at"] == at]) for at in np.unique(ordered["at"]).tolist()},
        "by_risk": [_entry(ordered.iloc[rows], is_range=True) for rows in places if len(rows)],
    }


def _cutoff(rows: pd.DataFrame) -> dict[str, Any]:
    return {**_entry(rows), **{f"foretold_{end}": float(rows[f"p_leave_{end}"].mean()) for end in ("low", "high")}}


def _entry(rows: pd.DataFrame, *, is_range: bool = False) -> dict[str, Any]:
    y, p = rows["has_left"].to_numpy(np.float64), rows["p_leave"].to_numpy(np.float64)
    low, high = _by_chance(y, rows["customer"].to_numpy())
    told = {"customers": len(y), "foretold": float(p.mean()), "left": float(y.mean()), "low": low, "high": high}
    return {"from": float(p.min()), "to": float(p.max()), **told} if is_range else told


def _by_chance(y: Floats, customers: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of a share, each customer with all her rows; two leavers and two stayers are added for few."""
    who = np.unique(customers, return_inverse=True)[1]
    share = (y.sum() + 2) / (y.size + 4)
    apart = np.bincount(who, y - y.mean()) if y.size else np.zeros(0)
    # Of all rows equal the spread would be none: then it is that of the shifted share (Agresti and Coull 1998).
    variance = max(float((apart**2).sum()) / y.size**2, share * (1 - share) / (y.size + 4))
    half = _TWO_SIDED_95 * float(np.sqrt(variance))
    return max(0.0, float(share - half)), min(1.0, float(share + half))
