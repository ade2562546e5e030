"""A short list of scores, for what writes such lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd


def scored(customers: Sequence[str] = ("007", "8", "9"), *, p_leave: float = 0.5, **columns: Any) -> pd.DataFrame:
    """One row per customer, of one cutoff and one model unless `columns` say otherwise."""
    count = len(customers)
    return pd.DataFrame({
        "customer_id": list(customers), "cutoff": "2025-03-01", "status": "scored", "why_not_scored": None,
        "p_leave": np.full(count, p_leave), "p_silent": np.full(count, np.nan), "band": "high", "model_id": "m1",
        **columns,
    })  # fmt: skip
