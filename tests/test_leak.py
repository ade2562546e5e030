"""The leak alarm: a signal that knows the outcome is named; honest ones, however good, are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from churn.models.leak import ENOUGH_ROWS, TOO_GOOD, leaking_signals, signal_aurocs, undated_signals
from churn.signals.recipes import Recipe

RNG = np.random.default_rng(2)
Y = (RNG.random(3_000) < 0.3).astype(float)


def leaks(values: np.ndarray, y: np.ndarray = Y) -> dict[str, float]:
    return leaking_signals(signal_aurocs(pd.DataFrame({"signal": values.astype(np.float32)}), has_left=y))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_signal_that_is_the_answer_is_named_in_either_direction(sign: float) -> None:
    assert leaks(sign * (Y + RNG.normal(0, 0.1, len(Y)))) == {"signal": 1.0}


@pytest.mark.parametrize("null_when", [0.0, 1.0])
def test_a_signal_that_is_null_only_for_one_outcome_is_named(null_when: float) -> None:
    """`closed_reason` filled in for leavers alone tells the answer by being there."""
    assert leaks(np.where(null_when == Y, np.nan, RNG.normal(size=len(Y)))) == {"signal": 1.0}


def test_infinite_values_are_extremes_not_errors() -> None:
    assert leaks(np.where(Y == 1, np.inf, -np.inf)) == {"signal": 1.0}


@pytest.mark.parametrize(("distance", "is_named"), [(2.0, False), (2.6, True)])
def test_the_alarm_sounds_above_an_auroc_of_95_percent(distance: float, is_named: bool) -> None:
    found = leaks(distance * Y + np.random.default_rng(3).normal(size=len(Y)))
    assert bool(found) == is_named
    assert all(TOO_GOOD < value < 1 for value in found.values())


def test_noise_constants_and_nulls_are_no_leak() -> None:
    for values in (RNG.normal(size=len(Y)), np.ones(len(Y)), np.full(len(Y), np.nan)):
        assert leaks(values) == {}


def test_one_class_or_no_rows_cannot_leak() -> None:
    assert leaks(Y, np.zeros(len(Y))) == {}
    assert leaks(np.zeros(0), np.zeros(0)) == {}


def test_of_many_rows_an_even_sample_is_enough() -> None:
    y = np.resize(Y, 3 * ENOUGH_ROWS)
    assert leaks(y, y) == {"signal": 1.0}


def test_a_category_tells_by_its_labels_not_by_their_order() -> None:
    code = np.tile([0.0, 1.0, 2.0, np.nan], 250)
    features = pd.DataFrame({"plan": code.astype(np.float32)})
    has_left = (code == 1).astype(float)
    assert leaking_signals(signal_aurocs(features, has_left=has_left)) == {}
    assert leaking_signals(signal_aurocs(features, has_left=has_left, categories=["plan"])) == {"plan": 1.0}
    harmless = np.random.default_rng(1).integers(0, 2, 1000).astype(float)
    assert leaking_signals(signal_aurocs(features, has_left=harmless, categories=["plan"])) == {}


@pytest.mark.parametrize(("undated", "is_named"), [(0.85, True), (0.72, False)])
def test_an_undated_column_that_tells_more_than_every_date_is_named(undated: float, is_named: bool) -> None:
    """A status or a total that was written at the end is known since ever, and too weak for the alarm."""
    status = Recipe("profile", "profile_status", "state", "profile", "status")
    since_when = Recipe("profile", "profile_plan", "state", "profile_plan", "plan")
    aurocs = {"profile_status": undated, "profile_plan": 0.7, "days_since_last_visit": 0.7}
    assert bool(undated_signals(aurocs, (status, since_when))) == is_named
    assert undated_signals({"profile_plan": undated}, (since_when,)) == {}
