"""Coverage: a window that early cutoffs don't cover is learnt from where it is told, and tells nobody the date."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from made_factors import CUTOFFS, learnt, training_rows

from churn.models.coverage import told_columns
from churn.models.factors import TrainingRows, covered_folds, predict
from churn.models.metrics import auroc

YEARLY = "spend_sum_365d"
TOLD_FROM = CUTOFFS[8].at


def with_year(rows: TrainingRows, values: np.ndarray, *, told_from: int = TOLD_FROM) -> TrainingRows:
    """The rows with a window of a year that is null for everybody before a moment."""
    assert isinstance(rows.features, pd.DataFrame)
    column = np.where(rows.at >= told_from, values, np.nan).astype(np.float32)
    return replace(rows, features=rows.features.assign(**{YEARLY: column}))


def test_a_window_that_the_last_cutoffs_alone_cover_is_kept_and_no_cutoff_is_given_up() -> None:
    rows = with_year(training_rows(2_400), np.ones(2_400))
    kept, folds = covered_folds(rows, CUTOFFS, grace_days=0, count=2)
    assert YEARLY in kept.features
    assert np.array_equal(np.unique(kept.at), [cutoff.at for cutoff in CUTOFFS])
    assert len(folds) == 2
    never = with_year(training_rows(2_400), np.ones(2_400), told_from=10**18)
    assert YEARLY not in told_columns(never.features)
    assert told_columns(never.features) == told_columns(training_rows(2_400).features)


def test_what_a_late_window_tells_is_learnt() -> None:
    rows = training_rows(6_000, effect=0.0)
    signs = np.random.default_rng(5).normal(size=6_000) + 2 * rows.has_left
    told = with_year(rows, signs)
    fresh = training_rows(3_000, effect=0.0, seed=9)
    later = with_year(fresh, np.random.default_rng(6).normal(size=3_000) + 2 * fresh.has_left, told_from=-1)
    p = predict(learnt(told), later.features, voice_status=np.full(3_000, "quiet"), at=later.at)["p_leave"]
    assert auroc(fresh.has_left.astype(float), p) > 0.8


def test_a_null_tells_nobody_the_date() -> None:
    """Leaving is half as common from the cutoff on at which the window happens to be told; the window says nothing."""
    rows = training_rows(9_600, leave=0.5)
    rng = np.random.default_rng(4)
    rows = replace(rows, has_left=rows.has_left & ((rows.at < TOLD_FROM) | (rng.random(9_600) < 0.5)))
    fresh, noise = training_rows(3_000, seed=9), rng.normal(size=9_600)
    status, at = np.full(3_000, "quiet"), np.full(3_000, CUTOFFS[-1].at)
    without = predict(learnt(rows), fresh.features, voice_status=status, at=at)["p_leave"]
    features = with_year(replace(fresh, at=at), rng.normal(size=3_000)).features
    both = predict(learnt(with_year(rows, noise)), features, voice_status=status, at=at)["p_leave"]
    assert abs(both.mean() - without.mean()) < 0.01
    assert np.corrcoef(both, without)[0, 1] > 0.97
