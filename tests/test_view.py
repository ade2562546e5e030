"""Views: the rows and columns asked for, as a copy of the frame would have them; and the same trees from either way."""

import numpy as np
import pandas as pd
import pytest

from churn.models import boosting
from churn.models.boosting import Growing
from churn.models.view import view_of

NAMES = ["a", "b", "c", "d", "kind"]


def frame(rows: int = 3_000, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(rows, 5)).astype(np.float32)
    numbers[:, 4] = rng.integers(0, 4, rows)
    numbers[rng.random((rows, 5)) < 0.1] = np.nan
    numbers[rng.random((rows, 5)) < 0.2] = 0.0
    return pd.DataFrame(numbers, columns=NAMES)


def test_rows_and_columns_are_those_of_the_frame() -> None:
    made = frame()
    mask = np.random.default_rng(2).random(len(made)) < 0.3
    view = view_of(made).keep(mask).select(["d", "a"])
    expected = made.loc[mask, ["d", "a"]].to_numpy()
    assert (len(view), view.columns, "b" in view, "d" in view) == (mask.sum(), ["d", "a"], False, True)
    np.testing.assert_array_equal(view.numbers(), expected)
    np.testing.assert_array_equal(view.numbers(5, 9), expected[5:9])
    np.testing.assert_array_equal(view.column("a"), expected[:, 1].astype(np.float64))
    np.testing.assert_array_equal(view.keep(np.arange(len(view)) % 2 == 0).numbers(), expected[::2])


def test_a_frame_in_one_block_is_not_copied() -> None:
    made = frame()
    assert np.shares_memory(view_of(made).values, made.to_numpy())


def test_batches_cover_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("churn.models.view._BATCH_ROWS", 700)
    made = frame()
    parts = [numbers for _, numbers in view_of(made).batches()]
    np.testing.assert_array_equal(np.concatenate(parts), made.to_numpy())


def test_rows_that_go_in_batches_grow_the_same_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    made, growing = frame(), Growing(seed=3, threads=1, categories=("kind",))
    y = np.nan_to_num(made["a"].to_numpy()) + (made["kind"] == 2).to_numpy() > 0.4
    copied = boosting.fit(made, y=y, rounds=30, growing=growing)
    monkeypatch.setattr(boosting, "_COPIED", 0)
    batched = boosting.fit(made, y=y, rounds=30, growing=growing)
    trees, same = (grown.model_to_string().partition("parameters:")[0] for grown in (copied, batched))
    assert trees == same
