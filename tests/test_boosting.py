"""Boosted trees: folds that are purged, rounds that are chosen on later rows, and the same model for any threads."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_factors import CUTOFFS, GROWING, RECIPES, training_rows

from churn.models.boosting import (
    MAX_ROUNDS,
    MIN_OF_A_CLASS,
    choose_rounds,
    fit,
    parameters,
    raw_margin,
    rolling_folds,
)
from churn.models.bundle import model_text
from churn.tables.history import DAY
from churn.timeline.cutoffs import Cutoff, closing_of


@given(
    horizon=st.integers(1, 90),
    gap=st.integers(0, 20),
    step=st.integers(1, 40),
    count=st.integers(0, 30),
    grace=st.sampled_from([0, 30]),
)
def test_a_fold_learns_only_from_outcomes_complete_before_it_judges(
    horizon: int, gap: int, step: int, count: int, grace: int
) -> None:
    cutoffs = [Cutoff(number * step * DAY, gap, horizon) for number in range(count)]
    folds = rolling_folds(cutoffs, grace_days=grace)
    assert len(folds) <= 2
    for fold in folds:
        assert fold.train
        assert max(closing_of(cutoff, grace_days=grace) for cutoff in fold.train) <= min(
            cutoff.at for cutoff in fold.valid
        )
        assert set(fold.valid) <= set(cutoffs)
    if folds:
        assert max(cutoffs) in folds[0].valid, "the latest fold comes first"
    assert not {cutoff for fold in folds[1:] for cutoff in fold.valid} & set(folds[0].valid if folds else ())


def test_a_fold_judges_the_cutoffs_of_a_third_of_a_horizon() -> None:
    latest, before = rolling_folds(CUTOFFS)
    assert [cutoff.at // DAY for cutoff in latest.valid] == [110]
    assert [cutoff.at // DAY for cutoff in latest.train] == list(range(0, 81, 10))
    assert [cutoff.at // DAY for cutoff in before.valid] == [100]


def test_rounds_are_few_for_noise_and_more_for_a_signal() -> None:
    folds = rolling_folds(CUTOFFS)
    counts = {}
    for effect in (0.0, 1.5):
        rows = training_rows(effect=effect)
        chosen = choose_rounds(rows.features, y=rows.has_left, at=rows.at, folds=folds, growing=GROWING)
        counts[effect] = chosen.count
        assert 1 <= chosen.count <= MAX_ROUNDS * 1.1
        assert [judged.fold for judged in chosen.judged] == list(folds), "the latest first"
        for judged in chosen.judged:
            assert judged.rows.tolist() == np.isin(rows.at, [cutoff.at for cutoff in judged.fold.valid]).tolist()
            assert len(judged.margin) == judged.rows.sum()
    assert counts[0.0] < counts[1.5]


def test_margins_of_the_judged_rows_come_from_a_model_that_has_not_seen_them() -> None:
    rows = training_rows()
    folds = rolling_folds(CUTOFFS)
    one = choose_rounds(rows.features, y=rows.has_left, at=rows.at, folds=folds[:1], growing=GROWING)
    swapped = rows.has_left.copy()
    swapped[~np.isin(rows.at, [cutoff.at for cutoff in (*folds[0].train, *folds[0].valid)])] ^= True
    two = choose_rounds(rows.features, y=swapped, at=rows.at, folds=folds[:1], growing=GROWING)
    np.testing.assert_array_equal(one.judged[0].margin, two.judged[0].margin)


@pytest.mark.parametrize("few", [MIN_OF_A_CLASS - 1, 0])
def test_folds_with_too_few_of_a_class_leave_the_rounds_to_the_sample_size(few: int) -> None:
    rows = training_rows()
    is_valid = rows.at == CUTOFFS[-1].at
    y = rows.has_left.copy()
    y[np.flatnonzero(is_valid)[few:]] = False
    y[np.flatnonzero(is_valid)[:few]] = True
    chosen = choose_rounds(rows.features, y=y, at=rows.at, folds=rolling_folds(CUTOFFS)[:1], growing=GROWING)
    assert chosen.judged == ()
    assert chosen.count == int(np.clip(min(y.sum(), (~y).sum()) // 10, 20, 150))


def test_small_samples_grow_small_trees() -> None:
    small, large = (parameters(rows, rows // 5, GROWING) for rows in (500, 200_000))
    for size in ("num_leaves", "min_data_in_leaf"):
        assert small[size] < large[size]


def test_the_same_model_for_one_thread_and_two_and_another_for_another_seed() -> None:
    rows = training_rows()
    texts = {}
    for seed, threads in ((7, 1), (7, 2), (8, 1)):
        growing = replace(GROWING, seed=seed, threads=threads)
        texts[seed, threads] = model_text(fit(rows.features, y=rows.has_left, rounds=15, growing=growing))
    assert texts[7, 1] == texts[7, 2]
    assert texts[7, 1] != texts[8, 1]


def test_the_region_is_split_as_a_category() -> None:
    rows = training_rows()
    of_the_south = rows.features[RECIPES[3].name].to_numpy() == 1
    booster = fit(rows.features, y=of_the_south, rounds=30, growing=GROWING)
    margin = raw_margin(booster, rows.features)
    assert margin[of_the_south].min() > margin[~of_the_south].max()


def test_nothing_is_written_to_the_terminal() -> None:
    """In a process of its own, since the library writes past Python: nulls, a constant, a category, an odd name."""
    program = (
        "import numpy as np\n"
        "from made_factors import GROWING, training_rows, learnt\n"
        "rows = training_rows(2_000)\n"
        "rows.features['profile_客户'] = np.float32(np.nan)\n"
        "rows.features['constant'] = np.float32(1)\n"
        "from churn.models.factors import predict\n"
        "factors = learnt(rows)\n"
        "predict(factors, rows.features, voice_status=np.full(len(rows.at), 'quiet'), at=0)\n"
    )
    assert _written_by(program) == ("", "")


def test_a_large_training_writes_nothing_to_stdout_either() -> None:
    """The library's warning of few samples for bins, which came as the first line before `--json`'s object."""
    program = (
        "import numpy as np, pandas as pd\n"
        "from made_factors import GROWING\n"
        "from churn.models import boosting\n"
        "boosting._COPIED = 0\n"
        "boosting.log_through_python()\n"
        "features = pd.DataFrame(np.random.default_rng(1).random((150_000, 2), np.float32), columns=['a', 'b'])\n"
        "boosting.fit(features, y=(features['a'] > 0.5).to_numpy(), rounds=2, growing=GROWING)\n"
    )
    assert _written_by(program) == ("", "")


def _written_by(program: str) -> tuple[str, str]:
    """What a program writes to stdout and stderr in a process of its own, where every warning is an error."""
    tests = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)])}
    command = [sys.executable, "-W", "error", "-c", program]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return told.stdout, told.stderr
