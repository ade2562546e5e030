"""Contributions: they add up, they are right where they can be worked out by hand, and a batch changes nothing."""

import itertools

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from churn.drivers import contributions as module
from churn.drivers.contributions import Contributions, explain, of_signals, points
from churn.drivers.trees import UnknownTrees
from churn.models.boosting import raw_margin
from churn.models.calibration import Calibration
from churn.models.ensemble import RHYTHM_FEATURE, Members, RhythmMember
from churn.models.factors import Factors
from churn.models.levels import Levels
from churn.signals.recipes import Recipe

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
    codes = rng.integers(-1, 3, rows)
    features[NAMES[3]] = np.where(codes < 0, np.nan, codes).astype(np.float32)
    return features[list(NAMES)]


def made_booster(features: pd.DataFrame, *, seed: int, rounds: int = 60, leaves: int = 15) -> lgb.Booster:
    rng = np.random.default_rng(seed)
    risk = (
        features["gap_mean"].fillna(60)
        - features["spend_sum_90d"].fillna(0)
        + 20 * features["profile_region"].fillna(-1)
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
    data = lgb.Dataset(features, label, categorical_feature=[NAMES[3]])
    return lgb.train({**settings, "min_data_in_leaf": 10}, data, num_boost_round=rounds)


def made_factors(booster: lgb.Booster, rhythm: RhythmMember | None = None) -> Factors:
    return Factors(booster, Members(rhythm or RhythmMember()), 1.0, Levels(), None, "", ())


def made_explained(seed: int, *, rows: int = 500, **given: object) -> tuple[Factors, pd.DataFrame, Contributions]:
    booster = made_booster(made_features(1_000, seed=seed), seed=seed, **given)
    factors, unseen = made_factors(booster), made_features(rows, seed=seed + 100)
    return factors, unseen, explain(factors, unseen, RECIPES)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_signals_and_features_add_up_to_the_raw_margin(seed: int) -> None:
    factors, unseen, values = made_explained(seed)
    assert values.by_signal.columns.tolist() == ["spend", "visits", "rhythm", "feedback", "profile"]
    assert values.by_feature.shape == (500, 5)
    margin = raw_margin(factors.leave, unseen)
    np.testing.assert_allclose(values.margin, margin, rtol=0, atol=1e-9)
    np.testing.assert_allclose(values.by_feature.sum(axis=1) + values.base, margin, rtol=0, atol=1e-9)


def test_features_have_the_values_of_treeshap_and_single_ones_are_their_signals() -> None:
    factors, unseen, values = made_explained(4)
    told = factors.leave.predict(unseen, pred_contrib=True)
    np.testing.assert_allclose(values.by_feature, told[:, :-1], rtol=1e-9, atol=1e-9)
    assert values.base == pytest.approx(told[0, -1])
    np.testing.assert_allclose(of_signals(values.by_feature, RECIPES), values.by_signal, rtol=1e-9, atol=1e-12)


def test_features_of_one_signal_move_together() -> None:
    """Two players share what they do jointly half and half; three features would each have got a third."""
    x = np.array(list(itertools.product([0.0, 1.0], repeat=3)) * 40, np.float32)
    label = x.prod(axis=1)
    settings = {
        "objective": "regression",
        "num_leaves": 4,
        "learning_rate": 1.0,
        "min_data_in_leaf": 1,
        "verbosity": -1,
    }
    settings |= {"min_sum_hessian_in_leaf": 0, "boost_from_average": False, "min_data_in_bin": 1}
    recipes = (RECIPES[0], Recipe("spend", "spend", "sum", "orders", "spend", 30), RECIPES[1])
    features = pd.DataFrame(x, columns=[recipe.name for recipe in recipes])
    booster = lgb.train(settings, lgb.Dataset(features, label), num_boost_round=1)
    values = explain(made_factors(booster), features.iloc[[7]], recipes)
    assert values.base == pytest.approx(1 / 8)
    # Alone, spend gets her from 1/8 to 1/2 and rhythm to 1/4; together to 1.
    expected = {"spend": ((1 / 2 - 1 / 8) + (1 - 1 / 4)) / 2, "rhythm": ((1 / 4 - 1 / 8) + (1 - 1 / 2)) / 2}
    assert values.by_signal.iloc[0].to_dict() == pytest.approx(expected)
    assert values.by_feature[0].tolist() == pytest.approx([7 / 24] * 3)
    assert of_signals(values.by_feature, recipes)["spend"][0] > values.by_signal["spend"][0]


def test_one_split_is_worked_out_by_hand() -> None:
    features = pd.DataFrame({"gap_mean": np.repeat([10.0, 50.0], [300, 100]).astype(np.float32)})
    label = np.r_[np.arange(300) % 4 == 0, np.arange(100) % 4 != 0].astype(int)
    settings = {"objective": "binary", "num_leaves": 2, "verbosity": -1, "min_data_in_leaf": 5, "min_data_in_bin": 1}
    booster = lgb.train(settings, lgb.Dataset(features, label), num_boost_round=1)
    low, high = raw_margin(booster, features.iloc[[0, -1]])
    values = explain(made_factors(booster), features.iloc[[0, -1]], RECIPES[1:2])
    base = 0.75 * low + 0.25 * high  # the leaves' mean, weighted by their training rows
    assert high > low
    assert values.base == pytest.approx(base)
    np.testing.assert_allclose(values.by_signal, [[low - base], [high - base]], atol=1e-9)


def test_the_rhythm_of_the_base_belongs_to_its_signal() -> None:
    recipes = (RECIPES[0], Recipe("rhythm", RHYTHM_FEATURE, "state"))
    features = made_features(400, seed=5)[["spend_sum_90d"]].assign(**{RHYTHM_FEATURE: np.float32(0.3)})
    booster = lgb.train({"verbosity": -1, "objective": "binary"}, lgb.Dataset(features, np.arange(400) % 2), 5)
    alone = explain(made_factors(booster), features, recipes)
    both = explain(made_factors(booster, RhythmMember(0.25, -2.0)), features, recipes)
    gained = 0.25 * (np.log(0.3 / 0.7) + 2.0)
    np.testing.assert_allclose(both.by_signal["rhythm"], 0.75 * alone.by_signal["rhythm"] + gained, atol=1e-6)
    np.testing.assert_allclose(both.by_feature[:, 1], 0.75 * alone.by_feature[:, 1] + gained, atol=1e-6)
    assert both.base == pytest.approx(0.75 * alone.base + 0.25 * -2.0)


def test_alone_as_in_a_list_on_any_threads_and_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    factors, features, whole = made_explained(5, rows=400)

    def bytes_of(values: Contributions) -> tuple[bytes, ...]:
        return values.by_signal.to_numpy().tobytes("C"), values.by_feature.tobytes("C"), values.margin.tobytes()

    assert bytes_of(explain(factors, features, RECIPES, threads=2)) == bytes_of(whole)
    alone = explain(factors, features.iloc[[123]], RECIPES)
    assert alone.by_signal.to_numpy().tobytes() == whole.by_signal.iloc[[123]].to_numpy().tobytes()
    assert (alone.by_feature.tobytes(), alone.margin) == (whole.by_feature[[123]].tobytes(), whole.margin[123])
    backwards = explain(factors, features.iloc[::-1], RECIPES)
    assert backwards.by_signal.iloc[::-1].to_numpy().tobytes("C") == whole.by_signal.to_numpy().tobytes("C")
    monkeypatch.setattr(module, "BLOCK_ROWS", 37)
    assert bytes_of(explain(factors, features, RECIPES)) == bytes_of(whole)


def test_trees_that_are_not_understood_are_left_to_lightgbm(monkeypatch: pytest.MonkeyPatch) -> None:
    factors, unseen, known = made_explained(6)

    def refused(text: str) -> None:
        raise UnknownTrees("something new")

    monkeypatch.setattr(module, "read_trees", refused)
    values = explain(made_factors(lgb.Booster(model_str=factors.leave.model_to_string())), unseen, RECIPES)
    np.testing.assert_allclose(values.by_feature, known.by_feature, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(values.margin, known.margin, rtol=0, atol=1e-9)
    assert values.by_signal.equals(of_signals(values.by_feature, RECIPES))


def test_no_rows_give_no_values() -> None:
    _, _, values = made_explained(6, rows=0)
    assert (len(values), values.by_signal.shape, values.margin.tolist()) == (0, (0, 5), [])


def test_a_gap_is_a_fault_of_ours() -> None:
    factors, features, values = made_explained(7)
    explain(factors, features, RECIPES, margin=values.margin)
    with pytest.raises(RuntimeError, match=r"miss the raw margin by 0\.001"):
        explain(factors, features, RECIPES, margin=values.margin + 1e-3)


def test_what_does_not_belong_is_refused() -> None:
    factors, features, _ = made_explained(8)
    with pytest.raises(ValueError, match="not those of the model's features"):
        explain(factors, features, RECIPES[::-1])
    with pytest.raises(ValueError, match="no numbers in profile_region; categories go in as codes"):
        explain(factors, features.astype({"profile_region": "category"}), RECIPES)


def test_sums_of_features_in_the_order_of_signals() -> None:
    recipes = (
        Recipe("silence", "words", "count", "words", "", 90),
        Recipe("spend", "spend", "sum", "orders", "spend", 90),
        Recipe("silence", "voice", "count", "voice", "", 365),
    )
    sums = of_signals(np.array([[0.5, -1.0, 0.25], [1.0, 2.0, -3.0]]), recipes)
    assert sums.columns.tolist() == ["spend", "silence"]
    assert sums.to_numpy().tolist() == [[-1.0, 0.75], [2.0, -2.0]]


@pytest.mark.parametrize(
    ("recipes", "message"),
    [
        (RECIPES[:2], "2 recipes for 5 features"),
        ((*RECIPES[:4], Recipe("mood", "mood", "last")), "no signals: mood"),
    ],
)
def test_recipes_that_do_not_belong_are_refused(recipes: tuple[Recipe, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        of_signals(np.zeros((2, 5)), recipes)


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
