"""Contributions: they add up, they are right where they can be worked out by hand, and a batch changes nothing."""

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from churn.drivers import contributions as module
from churn.drivers.contributions import base_value, contributions, of_signals, points
from churn.models.boosting import raw_margin
from churn.models.calibration import Calibration
from churn.signals.recipes import SIGNALS, Recipe

NAMES = ("spend_sum_90d", "gap_mean", "score_last", "profile_region", "visits_count_30d")
RECIPES = (
    Recipe("spend", "spend", "sum", "orders", "spend", 90),
    Recipe("rhythm", "", "gap_mean", "activity", "day"),
    Recipe("feedback", "score", "last", "feedback", "score"),
    Recipe("profile", "profile_region", "state", "profile", "region", labels=("east", "north", "west")),
    Recipe("visits", "visits", "count", "visits", "", 30),
)


def made_features(rows: int, *, seed: int) -> pd.DataFrame:
    """Features with nulls in every column, among them a category."""
    rng = np.random.default_rng(seed)
    numbers = rng.gamma(2, 20, (rows, 4)).astype(np.float32)
    numbers[rng.random(numbers.shape) < 0.2] = np.nan
    features = pd.DataFrame(dict(zip((NAMES[0], NAMES[1], NAMES[2], NAMES[4]), numbers.T, strict=True)))
    features[NAMES[3]] = pd.Categorical.from_codes(rng.integers(-1, 3, rows), categories=["east", "north", "west"])
    return features[list(NAMES)]


def made_booster(features: pd.DataFrame, *, seed: int, rounds: int = 60, leaves: int = 15) -> lgb.Booster:
    rng = np.random.default_rng(seed)
    risk = (
        features["gap_mean"].fillna(60)
        - features["spend_sum_90d"].fillna(0)
        + 20 * features["profile_region"].cat.codes
    )
    label = (risk + rng.normal(0, 20, len(features)) > risk.median()).astype(int)
    settings = {
        "objective": "binary",
        "num_leaves": leaves,
        "verbosity": -1,
        "seed": seed,
        "deterministic": True,
        "num_threads": 1,
    }
    return lgb.train({**settings, "min_data_in_leaf": 10}, lgb.Dataset(features, label), num_boost_round=rounds)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_row_adds_up_to_its_raw_margin(seed: int) -> None:
    features = made_features(3_000, seed=seed)
    booster = made_booster(features, seed=seed)
    unseen = made_features(500, seed=seed + 100)
    unseen.iloc[0, [0, 1, 2, 4]] = np.nan
    values = contributions(booster, unseen)
    assert values.shape == (500, 6)
    np.testing.assert_allclose(values.sum(axis=1), raw_margin(booster, unseen), rtol=0, atol=1e-6)


def test_one_split_is_worked_out_by_hand() -> None:
    features = pd.DataFrame({"gap_mean": np.repeat([10.0, 50.0], [300, 100]).astype(np.float32)})
    label = np.r_[np.arange(300) % 4 == 0, np.arange(100) % 4 != 0].astype(int)
    settings = {"objective": "binary", "num_leaves": 2, "verbosity": -1, "min_data_in_leaf": 5, "min_data_in_bin": 1}
    booster = lgb.train(settings, lgb.Dataset(features, label), num_boost_round=1)
    low, high = raw_margin(booster, features.iloc[[0, -1]])
    values = contributions(booster, features.iloc[[0, -1]])
    base = 0.75 * low + 0.25 * high  # the leaves' mean, weighted by their training rows
    assert high > low
    np.testing.assert_allclose(values, [[low - base, base], [high - base, base]], atol=1e-9)
    assert base_value(values) == pytest.approx(base)


def test_alone_as_in_a_list_and_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    features = made_features(400, seed=5)
    booster = made_booster(features, seed=5)
    whole = contributions(booster, features)
    assert contributions(booster, features).tobytes() == whole.tobytes()
    monkeypatch.setattr(module, "BLOCK_ROWS", 37)
    assert contributions(booster, features).tobytes() == whole.tobytes()
    backwards = contributions(booster, features.iloc[::-1])[::-1]
    assert np.ascontiguousarray(backwards).tobytes() == whole.tobytes()
    alone = contributions(booster, features.iloc[[123]])
    assert alone.tobytes() == whole[[123]].tobytes()
    sums = of_signals(whole, RECIPES)
    assert of_signals(alone, RECIPES).to_numpy().tobytes() == sums.iloc[[123]].to_numpy().tobytes()


def test_no_rows_give_no_values() -> None:
    features = made_features(200, seed=6)
    booster = made_booster(features, seed=6)
    values = contributions(booster, features.iloc[:0])
    assert values.shape == (0, 6)
    assert of_signals(values, RECIPES).shape == (0, 5)
    with pytest.raises(ValueError, match="no rows"):
        base_value(values)


def test_a_gap_is_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    features = made_features(200, seed=7)
    booster = made_booster(features, seed=7)
    monkeypatch.setattr(module, "TOLERANCE", -1.0)  # no gap is that small, so every batch must fail
    with pytest.raises(RuntimeError, match="miss the raw margin by"):
        contributions(booster, features)


def test_features_in_another_order_are_a_fault_of_ours() -> None:
    features = made_features(200, seed=8)
    booster = made_booster(features, seed=8)
    with pytest.raises(RuntimeError, match="not the booster's"):
        contributions(booster, features[list(reversed(NAMES))])


def test_signals_are_sums_of_their_features_in_the_order_of_signals() -> None:
    recipes = (
        Recipe("silence", "words", "count", "words", "", 90),
        Recipe("spend", "spend", "sum", "orders", "spend", 90),
        Recipe("silence", "voice", "count", "voice", "", 365),
    )
    sums = of_signals(np.array([[0.5, -1.0, 0.25, 9.0], [1.0, 2.0, -3.0, 9.0]]), recipes)
    assert sums.columns.tolist() == ["spend", "silence"]
    assert sums.to_numpy().tolist() == [[-1.0, 0.75], [2.0, -2.0]]


def test_signals_and_base_value_add_up_to_the_margin() -> None:
    features = made_features(300, seed=9)
    booster = made_booster(features, seed=9)
    values = contributions(booster, features)
    sums = of_signals(values, RECIPES)
    assert sums.columns.tolist() == [signal for signal in SIGNALS if signal in {recipe.signal for recipe in RECIPES}]
    np.testing.assert_allclose(sums.sum(axis=1) + base_value(values), raw_margin(booster, features), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("recipes", "message"),
    [
        (RECIPES[:2], "2 recipes for 5 features"),
        ((*RECIPES[:4], Recipe("mood", "mood", "last")), "no signals: mood"),
    ],
)
def test_recipes_that_do_not_belong_are_refused(recipes: tuple[Recipe, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        of_signals(np.zeros((2, 6)), recipes)


def test_points_are_p_minus_p_without() -> None:
    calibration = Calibration("sigmoid", (0.8, -0.3))
    margin, part = np.array([0.4, -2.0]), np.array([1.1, -0.5])
    expected = expit(0.8 * margin - 0.3) - expit(0.8 * (margin - part) - 0.3)
    np.testing.assert_allclose(points(margin, contribution=part, calibration=calibration), expected)


def test_points_have_the_sign_of_the_contribution_and_do_not_add_up() -> None:
    parts = np.array([1.5, 1.5])
    each = points(0.0, contribution=parts, calibration=Calibration("none"))
    together = points(0.0, contribution=parts.sum(), calibration=Calibration("none"))
    assert (each > 0).all()
    assert (points(0.0, contribution=-parts, calibration=Calibration("none")) < 0).all()
    assert abs(each.sum() - together) > 0.1
