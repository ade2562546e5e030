"""What several commands need: the signals of rows, the attributes that may be signals, the threads to use."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from churn.config import Config
from churn.errors import NotEnoughDataError
from churn.models.base import Base
from churn.models.bundle import Bundle
from churn.models.factors import MIN_LEAVERS
from churn.models.hidden_friction import hidden_now
from churn.models.known import Known
from churn.models.target import Target
from churn.signals.bucket import Asked, signals_frame
from churn.signals.recipes import Recipe
from churn.tables.findings import plural
from churn.timeline.rhythm import Prior


def signals_of(
    known: Known, frame: pd.DataFrame, recipes: Sequence[Recipe], *, target: Target, prior: Prior, threads: int = 1
) -> pd.DataFrame:
    """Returns the signals of the frame's rows (columns customer and at), float32, in the order of the recipes.

    They lie in one block, which nothing copies; a category is its code, null where the model doesn't know its label.
    """
    at = frame["at"].to_numpy(np.int64)
    asked = Asked(
        tuple(recipes), prior, target.horizon_days, target.gap_days, target.timezone, target.activity,
        {cutoff: known.covered_at(cutoff) for cutoff in np.unique(at).tolist()},
    )  # fmt: skip
    code = frame["customer"].to_numpy(np.int32)
    return signals_frame(
        known.tables, customers=known.customers, code=code, at=at, asked=asked, threads=threads, index=frame.index
    )


def bundle_signals(known: Known, frame: pd.DataFrame, bundle: Bundle, *, threads: int = 1) -> pd.DataFrame:
    """Returns the signals of the frame's rows, all of one cutoff, as `signals_of`, and those its voice model makes."""
    target, prior = bundle.target, bundle.prior
    features = signals_of(known, frame, bundle.recipes, target=target, prior=prior, threads=threads)
    if bundle.voice is not None and len(frame):
        codes, at = frame["customer"].to_numpy(np.int64), int(frame["at"].iloc[0])
        hidden = hidden_now(known, bundle.voice, at=at, codes=codes, target=target, threads=threads)
        hidden.fill(features, known, frame, bundle.recipes, target=target, prior=prior)
    return features


def check_activity(base: Base, activity: str) -> None:
    """Refuses tables in which nobody ever comes.

    Raises:
        NotEnoughDataError: there is no activity at all.
    """
    if base.last_activity is None:
        meant = {"purchases": "a purchase (an order with amount > 0 that is no return)", "visits": "a visit"}[activity]
        fix = "check the tables and `activity` in churn.toml"
        raise NotEnoughDataError(f"no table holds {meant}: nothing can be predicted; {fix}")


def check_enough(*, leavers: int, stayers: int) -> None:
    """Refuses to learn from too few customers who leave at some cutoff, or too few who stay at some.

    Raises:
        NotEnoughDataError: fewer than `MIN_LEAVERS` of either.
    """
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
