"""The ensemble: three members count what they should, one that is missing leaves its share to the trees, and what each
adds is explained to the last digit."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from churn.drivers.contributions import explain
from churn.models.boosting import Growing, fit, raw_margin
from churn.models.ensemble import (
    BELIEVED,
    LINEAR_WEIGHT,
    RHYTHM_FEATURE,
    RHYTHM_WEIGHT,
    STEEPEST,
    Members,
    RhythmMember,
    ensemble_margin,
    rhythm_margin,
    rhythm_member,
    steepness,
    told_by_each,
    weighted_mean,
)
from churn.models.factors import Factors
from churn.models.levels import Levels, slope_of
from churn.models.linear import LinearMember, fit_linear, linear_margin
from churn.signals.recipes import Recipe

RNG = np.random.default_rng(5)
ROWS = 4_000
TRUTH = RNG.normal(size=ROWS)
Y = RNG.random(ROWS) < expit(TRUTH)
RECIPES = (Recipe("spend", "spend", "state"), Recipe("rhythm", RHYTHM_FEATURE, "state"))
RHYTHM = RhythmMember(RHYTHM_WEIGHT, -0.2)
TIMID = RhythmMember(RHYTHM_WEIGHT, -0.2, 0.6)


def made_features() -> pd.DataFrame:
    spend = RNG.gamma(2, 30, ROWS) * np.exp(-TRUTH / 3)
    features = pd.DataFrame({"spend": spend.astype(np.float32), RHYTHM_FEATURE: expit(TRUTH).astype(np.float32)})
    features.iloc[:10, 1] = np.nan
    features.iloc[5:20, 0] = np.nan
    return features


FEATURES = made_features()
BOOSTER = fit(FEATURES, y=Y, rounds=20, growing=Growing(seed=3, threads=1))
LINEAR = fit_linear(FEATURES, y=Y, weight=LINEAR_WEIGHT)


def test_the_members_count_a_half_and_two_quarters() -> None:
    members = Members(rhythm_member(FEATURES), LINEAR)
    parts = raw_margin(BOOSTER, FEATURES), rhythm_margin(FEATURES, members.rhythm), linear_margin(FEATURES, LINEAR)
    expected = np.average(parts, axis=0, weights=(0.5, 0.25, 0.25))
    np.testing.assert_allclose(ensemble_margin(BOOSTER, FEATURES, members), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("members", "weight"), [(Members(), 1.0), (Members(RHYTHM), 0.75), (Members(linear=LINEAR), 0.75)]
)
def test_a_member_that_is_missing_leaves_its_share_to_the_trees(members: Members, weight: float) -> None:
    assert members.weight_of_trees == weight
    rest = ensemble_margin(BOOSTER, FEATURES, members) - weight * raw_margin(BOOSTER, FEATURES)
    told = members.rhythm.weight * rhythm_margin(FEATURES, members.rhythm)
    told += members.linear.weight * linear_margin(FEATURES, members.linear)
    np.testing.assert_allclose(rest, told, rtol=0, atol=1e-12)


def test_the_mean_of_members_that_differ_is_made_as_steep_as_the_truth() -> None:
    """Each of two members knows two of four causes, one of them in common, and is calibrated; cutoffs have levels."""
    causes, at = RNG.normal(size=(4, 50_000)), np.arange(50_000) % 7
    told = [(0.5, causes[0] + causes[1] + 9 * at), (0.5, causes[1] + causes[2] - at)]
    left = RNG.random(50_000) < expit(causes.sum(axis=0) * 0.3 + 0.1 * at)
    margin = weighted_mean(told)
    believed = steepness(told, at=at)
    assert believed == pytest.approx(1 + BELIEVED / 3, abs=0.02)
    true = 1 + (believed - 1) / BELIEVED
    assert slope_of(true * margin, y=left, at=at)[0] == pytest.approx(0.3, abs=0.015)


def test_members_that_agree_are_left_as_steep_as_they_are_and_quarrels_count_so_far_only() -> None:
    odds, at = RNG.normal(size=1_000), np.zeros(1_000, np.int64)
    assert steepness([(1.0, odds)], at=at) == 1.0
    assert steepness([(0.75, odds), (0.25, odds + 5)], at=at) == pytest.approx(1.0)
    assert steepness([(0.5, odds), (0.5, -odds)], at=at) == 1.0  # they leave nothing that could be steep
    assert steepness([(0.5, odds), (0.5, -0.9 * odds)], at=at) == STEEPEST
    assert steepness([(0.7, np.full(1_000, 0.1)), (0.3, np.full(1_000, 0.7))], at=at) == 1.0


@pytest.mark.parametrize("members", [Members(), Members(RHYTHM), Members(RHYTHM, LINEAR)])
def test_what_each_member_counts_adds_up_to_all(members: Members) -> None:
    assert sum(weight for weight, _ in told_by_each(BOOSTER, FEATURES, members)) == 1.0


def test_without_the_rhythms_feature_or_anything_in_it_the_rhythm_counts_nothing() -> None:
    assert rhythm_member(FEATURES[["spend"]]) == RhythmMember()
    assert rhythm_member(FEATURES.assign(**{RHYTHM_FEATURE: np.float32(np.nan)})) == RhythmMember()


def test_the_rhythm_knows_its_mean_and_who_was_never_active_gets_it() -> None:
    member = rhythm_member(FEATURES)
    assert member.mean == pytest.approx(TRUTH[10:].mean(), abs=1e-3)
    features = pd.DataFrame({RHYTHM_FEATURE: np.array([0.5, np.nan], np.float32)})
    assert rhythm_margin(features, RhythmMember(0.5, -2.0)).tolist() == [0.0, -2.0]


def test_a_rhythm_that_is_too_sure_is_held_back_to_what_it_was_worth() -> None:
    sure = FEATURES.assign(**{RHYTHM_FEATURE: expit(2 * TRUTH).astype(np.float32)})
    at = np.arange(ROWS) % 3
    left = RNG.random(ROWS) < expit(TRUTH + at)
    member = rhythm_member(sure, y=left, at=at)
    assert member.slope == pytest.approx(0.5, abs=0.04)
    told = rhythm_margin(sure, member)
    assert np.polyfit(2 * TRUTH, told, 1) == pytest.approx([member.slope, (1 - member.slope) * member.mean], abs=1e-3)


def test_a_rhythm_that_ranks_the_wrong_way_round_counts_nothing() -> None:
    assert rhythm_member(FEATURES, y=~Y, at=np.zeros(ROWS, np.int64)) == RhythmMember()


def test_a_rhythm_that_is_the_same_for_everybody_at_a_cutoff_counts_nothing() -> None:
    """Under contracts nobody has one of her own; with a quarter of the weight it would only make the others timid."""
    at = np.arange(ROWS) % 3
    flat = FEATURES.assign(**{RHYTHM_FEATURE: (0.3 + at / 10).astype(np.float32)})
    assert rhythm_member(flat, y=Y, at=at) == RhythmMember()


@pytest.mark.parametrize("members", [Members(), Members(RHYTHM), Members(linear=LINEAR), Members(TIMID, LINEAR)])
def test_contributions_add_up_to_the_margin_of_all_members(members: Members) -> None:
    factors = Factors(BOOSTER, members, 1.0, Levels(), None, "", ())
    values = explain(factors, FEATURES, RECIPES)
    margin = ensemble_margin(BOOSTER, FEATURES, members)
    assert np.abs(values.margin - margin).max() < 1e-9
    assert np.abs(values.by_feature.sum(axis=1) + values.base - margin).max() < 1e-9


def test_each_member_gives_its_own_part_to_its_own_signals() -> None:
    factors = Factors(BOOSTER, Members(RHYTHM, LINEAR), 1.0, Levels(), None, "", ())
    both, trees = (explain(made, FEATURES, RECIPES) for made in (factors, replace(factors, members=Members())))
    p = FEATURES[RHYTHM_FEATURE].to_numpy(np.float64)
    odds = np.where(np.isnan(p), 0.0, logit(np.clip(p, 1e-4, 1 - 1e-4)) + 0.2)
    alone = {curve.name: linear_margin(FEATURES, LinearMember(1.0, 0.0, (curve,))) for curve in LINEAR.curves}
    spend = 0.5 * trees.by_feature[:, 0] + 0.25 * alone["spend"]
    rhythm = 0.5 * trees.by_feature[:, 1] + 0.25 * odds + 0.25 * alone[RHYTHM_FEATURE]
    np.testing.assert_allclose(both.by_feature, np.column_stack([spend, rhythm]), atol=1e-9)
    signals = 0.5 * trees.by_signal + np.column_stack(
        [0.25 * alone["spend"], 0.25 * odds + 0.25 * alone[RHYTHM_FEATURE]]
    )
    np.testing.assert_allclose(both.by_signal, signals, atol=1e-9)
