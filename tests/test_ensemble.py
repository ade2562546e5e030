"""The ensemble: the rhythm counts where it forecasts better, and what it adds is explained to the last digit."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from churn.drivers.contributions import explain
from churn.models.boosting import Fold, Growing, Judged, fit
from churn.models.calibration import Calibration
from churn.models.ensemble import RHYTHM_FEATURE, WEIGHTS, RhythmMember, choose_member, ensemble_margin, rhythm_margin
from churn.models.factors import Factors
from churn.signals.recipes import Recipe

RNG = np.random.default_rng(5)
ROWS = 4_000
TRUTH = RNG.normal(size=ROWS)
Y = RNG.random(ROWS) < expit(TRUTH)
NOBODY = Fold((), ())


def features_with(rhythm: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {"spend": RNG.normal(size=ROWS).astype(np.float32), RHYTHM_FEATURE: expit(rhythm).astype(np.float32)}
    )


def judged_as(margin: np.ndarray) -> tuple[Judged, Judged]:
    half = np.arange(ROWS) < ROWS // 2
    return Judged(NOBODY, ~half, margin[~half]), Judged(NOBODY, half, margin[half])


def test_a_rhythm_that_knows_more_than_the_trees_counts_as_much_as_it_may() -> None:
    member = choose_member(features_with(TRUTH), y=Y, judged=judged_as(RNG.normal(size=ROWS)))
    assert member.weight == max(WEIGHTS)
    assert member.mean == pytest.approx(TRUTH.mean(), abs=1e-3)


def test_a_rhythm_that_knows_nothing_counts_nothing() -> None:
    assert choose_member(features_with(RNG.normal(size=ROWS)), y=Y, judged=judged_as(TRUTH)).weight == 0


def test_without_folds_or_without_the_feature_it_counts_nothing() -> None:
    features = features_with(TRUTH)
    assert choose_member(features, y=Y, judged=()) == RhythmMember()
    assert choose_member(features[["spend"]], y=Y, judged=judged_as(TRUTH)) == RhythmMember()


def test_who_was_never_active_gets_the_mean() -> None:
    features = pd.DataFrame({RHYTHM_FEATURE: np.array([0.5, np.nan], np.float32)})
    assert rhythm_margin(features, RhythmMember(0.5, -2.0)).tolist() == [0.0, -2.0]


@pytest.mark.parametrize("weight", WEIGHTS)
def test_contributions_add_up_to_the_margin_of_both_members(weight: float) -> None:
    features = features_with(TRUTH)
    features.loc[:9, RHYTHM_FEATURE] = np.nan
    booster = fit(features, y=Y, rounds=20, growing=Growing(seed=3, threads=1))
    factors = Factors(booster, RhythmMember(weight, -0.2), Calibration("none"), None, "", ())
    recipes = (Recipe("spend", "spend", "state"), Recipe("rhythm", RHYTHM_FEATURE, "state"))
    values = explain(factors, features, recipes)
    margin = ensemble_margin(booster, features, factors.rhythm)
    assert np.abs(values.margin - margin).max() < 1e-9
    if weight:
        alone = explain(replace(factors, rhythm=RhythmMember()), features, recipes)
        p = features[RHYTHM_FEATURE].to_numpy(np.float64)[10:]
        expected = (1 - weight) * alone.by_feature[10:, 1] + weight * (logit(np.clip(p, 1e-4, 1 - 1e-4)) + 0.2)
        np.testing.assert_allclose(values.by_signal["rhythm"][10:], expected, atol=1e-9)
