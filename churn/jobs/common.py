"""What several commands need: the signals of rows, the attributes that may be signals, the threads to use."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from churn.config import Config
from churn.errors import NotEnoughDataError
from churn.models.base import Base
from churn.models.factors import MIN_LEAVERS
from churn.models.known import Known
from churn.models.matrix import matrix_of
from churn.models.target import Target
from churn.signals.local import compute_signals
from churn.signals.recipes import Recipe
from churn.signals.streams import streams
from churn.tables.findings import plural
from churn.timeline.rhythm import Prior


def signals_of(
    known: Known, frame: pd.DataFrame, recipes: Sequence[Recipe], *, target: Target, prior: Prior
) -> pd.DataFrame:
    """Returns the signals of the frame's rows (columns customer and at), float32, in the order of the recipes.

    Each cutoff is computed by itself, because what a table covers is what could be known of it at that cutoff.
    """
    of_bucket = streams(known.tables, customers=known.customers, timezone=target.timezone, activity=target.activity)
    parts = []
    for at in np.unique(frame["at"]):
        here = frame[frame["at"] == at]
        signals = compute_signals(
            of_bucket, recipes, customer=here["customer"].to_numpy(), at=here["at"].to_numpy(), prior=prior,
            horizon_days=target.horizon_days, gap_days=target.gap_days, covers_from=known.covered_at(int(at)),
        )  # fmt: skip
        parts.append(matrix_of(signals, recipes).set_index(here.index))
    if not parts:
        return pd.DataFrame({recipe.name: np.zeros(0, np.float32) for recipe in recipes})
    return pd.concat(parts).reindex(frame.index)


def check_activity(base: Base, activity: str) -> None:
    """Refuses tables in which nobody ever comes.

    Raises:
        NotEnoughDataError: there is no activity at all.
    """
    if base.last_activity is None:
        meant = {"purchases": "a purchase (an order with amount > 0 that is no return)", "visits": "a visit"}[activity]
        fix = "check the tables and `activity` in churn.toml"
        raise NotEnoughDataError(f"no table holds {meant}: nothing can be predicted; {fix}")


def check_enough(customers: pd.Series[int], *, has_left: npt.NDArray[np.bool_]) -> None:
    """Refuses training rows of too few customers who leave, or too few who stay; rows of one customer count once.

    Raises:
        NotEnoughDataError: fewer than `MIN_LEAVERS` of either.
    """
    leavers, stayers = (int(customers[mask].nunique()) for mask in (has_left, ~has_left))
    if min(leavers, stayers) < MIN_LEAVERS:
        raise NotEnoughDataError(
            f"too little to learn from before the first test cutoff: {plural(leavers, 'leaver')} and "
            f"{plural(stayers, 'stayer')}, at least {MIN_LEAVERS} of each are needed; give a longer history, a shorter "
            "horizon_days, or a wider population in churn.toml"
        )


def attributes_of(config: Config) -> list[str]:
    """Returns the attributes of customers that may be signals: those listed and not sensitive."""
    source = config.tables.get("customers")
    return [name for name in source.attributes if name not in source.sensitive] if source else []


def threads_of(config: Config) -> int:
    """Returns the threads to use: the configured ones, else all of the machine's."""
    return config.engine.threads or os.cpu_count() or 1


def plain(value: Any) -> Any:
    """Returns a result as JSON can hold it: numbers that are not finite become null, numpy's become Python's."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
