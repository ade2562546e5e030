"""Signals of rows, as a training asks for them and as a bundle does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from churn.models.bundle import Bundle
from churn.models.hidden_friction import hidden_now
from churn.models.known import Known
from churn.models.target import Target
from churn.signals.bucket import Asked, signals_frame
from churn.signals.recipes import Recipe
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
