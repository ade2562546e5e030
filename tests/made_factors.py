"""Made-up rows to learn from: signals that tell who leaves, and who of the leavers keeps silent, by a known rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from churn.models.boosting import Growing
from churn.models.bundle import Bundle
from churn.models.factors import Factors, TrainingRows, learn
from churn.models.matrix import matrix_of
from churn.models.target import Target
from churn.signals.recipes import Recipe
from churn.tables.history import DAY
from churn.timeline.cutoffs import Cutoff
from churn.timeline.rhythm import Prior

RECIPES = (
    Recipe("spend", "spend", "sum", "orders", "spend", 90),
    Recipe("visits", "visit", "count", "visits", "", 90),
    Recipe("silence", "invitations_unanswered", "streak", "invitations"),
    Recipe("profile", "profile_region", "state", "profile", "region", labels=("north", "south", "客户")),
)
GROWING = Growing(seed=7, threads=1, categories=("profile_region",))
CUTOFFS = tuple(Cutoff(number * 10 * DAY, 0, 30) for number in range(12))


def signals(rows: int, *, seed: int = 1) -> pd.DataFrame:
    """Random signals of the recipes, some of them null, the region as a categorical with the frozen labels."""
    rng = np.random.default_rng(seed)
    labels = list(RECIPES[3].labels or ())
    codes = rng.integers(-1, len(labels), rows)
    return pd.DataFrame({
        RECIPES[0].name: rng.normal(100, 30, rows).astype(np.float32),
        RECIPES[1].name: rng.poisson(4, rows).astype(np.float32),
        RECIPES[2].name: np.where(rng.random(rows) < 0.3, np.nan, rng.integers(0, 6, rows)).astype(np.float32),
        RECIPES[3].name: pd.Categorical.from_codes(codes, categories=pd.Index(labels, dtype="str")),
    })  # fmt: skip


def training_rows(
    rows: int = 4_000, *, seed: int = 1, effect: float = 1.0, leave: float = 0.3, vocal: float = 0.3
) -> TrainingRows:
    """Rows in which spend falls before leaving and unanswered invitations come before silent leaving.

    Args:
        effect: of either, in log odds per standard deviation; 0 is noise.
        leave: the share of rows that leave, roughly.
        vocal: the share of leavers that speak, roughly.
    """
    rng = np.random.default_rng(seed + 1000)
    features = signals(rows, seed=seed)
    poor = -(features[RECIPES[0].name].to_numpy() - 100) / 30
    unanswered = features[RECIPES[2].name].fillna(2.5).to_numpy() - 2.5
    has_left = rng.random(rows) < _odds(leave, effect * poor)
    has_spoken = rng.random(rows) < _odds(vocal, -effect * unanswered)
    at = np.tile([cutoff.at for cutoff in CUTOFFS], rows // len(CUTOFFS) + 1)[:rows]
    return TrainingRows(matrix_of(features, RECIPES), at, has_left, rng.random(rows) < 0.8, has_spoken)


def learnt(rows: TrainingRows, *, can_hear: bool = True, growing: Growing = GROWING) -> Factors:
    """The two factors learnt from the rows."""
    return learn(rows, cutoffs=CUTOFFS, grace_days=0, can_hear=can_hear, growing=growing)


def with_spoken(rows: TrainingRows, *, silent: int, vocal: int) -> TrainingRows:
    """The same rows with so many silent and vocal leavers among the quiet; the other leavers are not quiet."""
    leavers = np.flatnonzero(rows.has_left)
    is_quiet, has_spoken = ~rows.has_left, np.zeros(len(rows.at), bool)
    is_quiet[leavers[: silent + vocal]] = True
    has_spoken[leavers[silent : silent + vocal]] = True
    return replace(rows, is_quiet=is_quiet, has_spoken=has_spoken)


def bundle_of(factors: Factors) -> Bundle:
    """A bundle around the factors."""
    return Bundle(
        target=Target("purchases", 30, 0, "rhythm", "hard", "UTC"), recipes=RECIPES, prior=Prior(1.3, 41.0),
        factors=factors, percentiles=tuple(np.linspace(-3, 3, 1001)), training={"rows": 4_000},
        tables=("customers", "invitations", "transactions", "visits"),
    )  # fmt: skip


def _odds(share: float, margin: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-(np.log(share / (1 - share)) + margin))))
