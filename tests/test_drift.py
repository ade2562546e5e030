"""Drift: what has changed since training is told with numbers; what merely goes on, or is a handful, is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_project import Project

from churn.config import load_config
from churn.jobs import drift
from churn.jobs.score import score
from churn.models.reference import Bins, counts_of, learn_reference, pauses, reference_told, stability
from churn.signals.recipes import Recipe
from churn.tables.contract import TIME

AMOUNT = Recipe("spend", "spend", "sum", "orders", "spend", 90)
REGION = Recipe("profile", "profile_region", "state", "profile", "region", labels=("north", "south", "west"))


def learnt(values: list[float]) -> Bins:
    features = pd.DataFrame({AMOUNT.name: np.array(values, np.float32)})
    return learn_reference(features, [AMOUNT], rows=np.ones(len(values), bool), pause_days={}).bins[AMOUNT.name]


def test_ten_bins_hold_about_equally_many_and_one_the_nulls() -> None:
    bins = learnt([*range(1, 91), *[np.nan] * 10])
    assert bins.edges == (9, 18, 27, 36, 45, 54, 63, 72, 81)
    np.testing.assert_allclose(bins.shares, [0.09] * 10 + [0.1])


def test_equal_values_share_a_bin() -> None:
    assert learnt([0] * 70 + [1] * 20 + [5] * 10) == Bins((0, 1), (0.7, 0.2, 0.1, 0.0))
    assert learnt([]) == Bins((), (0.0, 0.0))


def test_categories_have_a_bin_each() -> None:
    features = pd.DataFrame({REGION.name: np.array([0, 0, 1, 2, np.nan], np.float32)})
    reference = learn_reference(features, [REGION], rows=np.ones(5, bool), pause_days={})
    assert reference.bins[REGION.name].shares == (0.4, 0.2, 0.2, 0.2)
    assert reference_told(reference.to_dict()) == reference


@settings(deadline=None)  # the first example may compile
@given(st.lists(st.floats(width=32) | st.just(float("nan")), max_size=40), st.integers(0, 40))
def test_counts_add_up_over_buckets(values: list[float], cut: int) -> None:
    reference = learn_reference(
        pd.DataFrame({AMOUNT.name: np.arange(30, dtype=np.float32)}), [AMOUNT], rows=np.ones(30, bool), pause_days={}
    )

    def counted(part: list[float]) -> np.ndarray:
        return counts_of(reference, pd.DataFrame({AMOUNT.name: np.array(part, np.float32)}), [AMOUNT])[0]

    together = counted(values)
    assert together.sum() == len(values)
    np.testing.assert_array_equal(counted(values[:cut]) + counted(values[cut:]), together)


def test_the_index_is_zero_for_the_same_spread_and_large_for_another() -> None:
    bins = Bins((0.0, 1.0), (0.5, 0.25, 0.25, 0.0))
    assert stability(bins, np.array([50, 25, 25, 0])) == pytest.approx(0)
    assert stability(bins, np.array([0, 0, 0, 100])) > 5
    expected = (0.8 - 0.5) * np.log(0.8 / 0.5) + 2 * (0.1 - 0.25) * np.log(0.1 / 0.25)
    assert stability(bins, np.array([80, 10, 10, 0])) == pytest.approx(expected)


def test_fewer_nulls_than_in_training_are_no_change_and_more_are() -> None:
    """A window that began before a young company's first rows was null, and is known now."""
    young = Bins((0.0, 1.0), (0.4, 0.2, 0.2, 0.2))
    assert stability(young, np.array([50, 25, 25, 0])) == pytest.approx(0)
    assert stability(young, np.array([45, 20, 25, 10])) < 0.02
    assert stability(young, np.array([20, 10, 10, 60])) > 0.25
    assert stability(young, np.array([0, 50, 50, 0])) > 0.25, "the known ones have changed"
    assert stability(Bins((), (0.0, 1.0)), np.array([100, 0])) == 0


def test_a_change_among_the_known_is_told_of_them() -> None:
    young = Bins((0.0, 1.0), (0.4, 0.2, 0.2, 0.2))
    told = drift._change(AMOUNT, young, np.array([10, 10, 80, 0]))
    assert told.endswith("is above 1 for 80% of those of whom it is known, 25% in training")
    told = drift._change(AMOUNT, young, np.array([10, 10, 10, 70]))
    assert told.endswith("is not known for 70% of the customers, 20% in training")


def test_a_pause_is_the_longest_time_without_a_row() -> None:
    days = ["2020-01-01", "2024-01-01", "2024-01-02", "2024-01-09", "2024-01-10"]
    times = pa.array(np.array(days, "datetime64[us]"), TIME)
    tables = {"visits": pa.table({"time": times}), "customers": pa.table({}), "contacts": pa.table({"time": times[:0]})}
    assert pauses(tables) == {"visits": 7}, "what lies longer back than a year doesn't count"


def test_tables_like_those_of_training_are_no_warning(project: Project) -> None:
    assert not [each for each in score(load_config(project.config)).warnings if "look" in each or "newest" in each]


def test_a_table_that_has_stopped_is_told_in_every_way(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = project.copied(tmp_path / "shop")
    visits = copy.table("visits")
    visits[visits["time"] < pd.Timestamp("2024-05-01", tz=visits["time"].dt.tz)].to_parquet(
        copy.directory / "visits.parquet"
    )
    incidents = copy.table("incidents")
    incidents.assign(time=incidents["time"] + pd.Timedelta(days=900)).to_parquet(copy.directory / "incidents.parquet")
    monkeypatch.setattr(drift, "LEAST", 100)
    config = load_config(copy.config)
    warnings = score(config, at=int(pd.Timestamp("2024-07-01").value // 1000)).warnings
    (unlike,) = (each for each in warnings if each.startswith("Visits look different from training (PSI "))
    assert "in training; check that the table is complete" in unlike
    (old,) = (each for each in warnings if each.startswith("visits: the newest row is of 2024-04-30"))
    assert "it never paused longer than" in old
    assert any(each.startswith("incidents has no row before") for each in warnings)
    assert not [each for each in score(config, customers=["C000007"]).warnings if "look different" in each]
