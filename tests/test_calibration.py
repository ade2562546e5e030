"""Calibrations: they find a known distortion, stay monotone, survive little data, and travel as plain JSON."""

import json

import numpy as np
import pytest
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from churn.errors import BundleError
from churn.models.calibration import (
    LEVEL_BELIEVED,
    METHODS,
    SLOPE_BELIEVED,
    Calibration,
    apply,
    calibration_from_json,
    fit_calibration,
    fit_cautiously,
)


def distorted(*, seed: int, size: int = 4000, slope: float = 0.5, level: float = -0.7):
    rng = np.random.default_rng(seed)
    margin = rng.normal(0, 2, size)
    return margin, (rng.random(size) < expit(slope * margin + level)).astype(int)


def test_sigmoid_finds_slope_and_level():
    margin, y = distorted(seed=1, size=40_000)
    slope, level = fit_calibration(margin, y=y, method="sigmoid").parameters
    assert slope == pytest.approx(0.5, abs=0.02)
    assert level == pytest.approx(-0.7, abs=0.05)


def test_caution_believes_a_quarter_of_the_slope_and_half_of_the_level_that_is_missing_then():
    margin, y = distorted(seed=1)
    fitted = fit_calibration(margin, y=y, method="sigmoid").parameters[0]
    slope, intercept = fit_cautiously(margin, y=y).parameters
    assert slope == pytest.approx(1 + SLOPE_BELIEVED * (fitted - 1))
    kept = (1 - slope) * margin.mean()
    whole = Calibration("sigmoid", (slope, kept + (intercept - kept) / LEVEL_BELIEVED))
    assert apply(whole, margin).mean() == pytest.approx(y.mean(), abs=1e-3)


@pytest.mark.parametrize("slope", [0.0, 6.0])
def test_a_slope_of_chance_does_not_carry_the_level_away(slope: float) -> None:
    """Of margins that hardly differ the slope is chance: their level lies between the model's and the rows'."""
    rng = np.random.default_rng(2)
    margin = rng.normal(-1.8, 0.03, 1500)
    y = (rng.random(1500) < expit(-1.8 + slope * (margin + 1.8))).astype(int)
    p = apply(fit_cautiously(margin, y=y), margin)
    low, high = sorted((expit(margin).mean(), y.mean()))
    assert low <= p.mean() <= high


def test_caution_leaves_a_model_alone_that_is_right_and_learns_only_a_level_from_few():
    margin, y = distorted(seed=4, size=40_000, slope=1.0, level=0.0)
    assert fit_cautiously(margin, y=y).parameters == pytest.approx((1.0, 0.0), abs=0.02)
    few = np.flatnonzero(y)[:20]
    rows = np.append(few, np.flatnonzero(1 - y)[:500])
    assert fit_cautiously(margin[rows], y=y[rows]).parameters[0] == 1.0


def test_sigmoid_is_the_logistic_regression_on_the_smoothed_targets():
    margin, y = distorted(seed=2, size=500)
    leavers, stayers = y.sum(), (1 - y).sum()
    target = np.where(y == 1, (leavers + 1) / (leavers + 2), 1 / (stayers + 2))
    # A target between 0 and 1 is a row of either class, weighted.
    oracle = LogisticRegression(C=np.inf, tol=1e-10).fit(
        np.tile(margin, 2)[:, None], np.repeat([1, 0], y.size), sample_weight=np.concatenate([target, 1 - target])
    )
    fitted = fit_calibration(margin, y=y, method="sigmoid").parameters
    assert fitted == pytest.approx((oracle.coef_[0, 0], oracle.intercept_[0]), abs=1e-4)


def test_isotonic_is_sklearns_away_from_its_ends():
    margin, y = distorted(seed=3)
    oracle = IsotonicRegression(out_of_bounds="clip").fit(margin, y).predict(margin)
    p = apply(fit_calibration(margin, y=y, method="isotonic"), margin)
    inside = (oracle > 0.01) & (oracle < 0.99)
    assert inside.sum() > 3000
    assert p[inside] == pytest.approx(oracle[inside], abs=1e-9)
    assert ((p > 0) & (p < 1)).all()


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "beta"])
def test_calibrated_beats_raw_on_new_rows_and_never_falls(method):
    margin, y = distorted(seed=4)
    calibration = fit_calibration(margin, y=y, method=method)
    new_margin, new_y = distorted(seed=5)
    p = apply(calibration, new_margin)
    assert calibration.method == method
    assert np.mean((p - new_y) ** 2) < np.mean((expit(new_margin) - new_y) ** 2) - 0.01
    assert (np.diff(apply(calibration, np.linspace(-40, 40, 2001))) >= 0).all()


def test_beta_finds_a_bend_that_sigmoid_cannot():
    rng = np.random.default_rng(6)
    margin = rng.normal(0, 2, 30_000)
    truth = Calibration("beta", (0.3, 1.5, -0.4))
    y = rng.random(margin.size) < apply(truth, margin)
    fitted = fit_calibration(margin, y=y, method="beta")
    assert fitted.parameters == pytest.approx(truth.parameters, abs=0.1)
    error = {
        m: np.abs(apply(fit_calibration(margin, y=y, method=m), margin) - apply(truth, margin)).mean() for m in METHODS
    }
    assert error["beta"] < 0.5 * error["sigmoid"]


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "beta"])
def test_few_of_a_class_learn_the_level_only(method):
    margin, y = distorted(seed=7, size=2000)
    few = np.concatenate([np.flatnonzero(y == 1)[:49], np.flatnonzero(y == 0)[:300]])
    calibration = fit_calibration(margin[few], y=y[few], method=method)
    assert calibration.method == "sigmoid"
    assert calibration.parameters[0] == 1.0
    assert apply(calibration, margin[few]).mean() == pytest.approx(49 / 349, abs=0.01)


@pytest.mark.parametrize("method", ["sigmoid", "beta"])
def test_a_model_that_ranks_backwards_is_not_turned_round(method):
    margin, y = distorted(seed=8, slope=-1.0, level=0.0)
    calibration = fit_calibration(margin, y=y, method=method)
    assert calibration.parameters[0] == 1.0
    assert apply(calibration, margin).mean() == pytest.approx(y.mean(), abs=0.01)


@pytest.mark.parametrize("leaves", [0, 1])
def test_one_class_stays_off_0_and_1(leaves):
    p = apply(fit_calibration([-2.0, 0.0, 3.0], y=[leaves] * 3, method="sigmoid"), [-2.0, 0.0, 3.0])
    assert p.mean() == pytest.approx(0.8 if leaves else 0.2)


def test_separated_classes_have_finite_parameters():
    margin = np.linspace(-3, 3, 400)
    calibration = fit_calibration(margin, y=(margin > 0).astype(int), method="sigmoid")
    assert np.isfinite(calibration.parameters).all()
    assert apply(calibration, margin).max() <= 201 / 202 + 0.01


def test_nothing_to_learn_from_changes_nothing():
    assert fit_calibration([], y=[], method="beta") == Calibration("none")
    assert apply(Calibration("none"), [0.3]).tolist() == [expit(0.3)]
    assert fit_calibration([0.1], y=[1], method="none") == Calibration("none")


@pytest.mark.parametrize("method", METHODS)
def test_same_numbers_for_any_row_order_and_through_json(method):
    margin, y = distorted(seed=9, size=1500)
    weight = np.random.default_rng(0).integers(0, 3, y.size)
    shuffled = np.random.default_rng(1).permutation(y.size)
    first = fit_calibration(margin, y=y, method=method, weight=weight)
    assert fit_calibration(margin[shuffled], y=y[shuffled], method=method, weight=weight[shuffled]) == first
    assert calibration_from_json(json.loads(json.dumps(first.to_json()))) == first


def test_a_weight_of_k_is_a_row_k_times():
    margin, y = distorted(seed=10, size=800)
    weight = np.random.default_rng(0).integers(0, 4, y.size)
    weighted = fit_calibration(margin, y=y, method="sigmoid", weight=weight)
    repeated = fit_calibration(np.repeat(margin, weight), y=np.repeat(y, weight), method="sigmoid")
    assert weighted.parameters == pytest.approx(repeated.parameters, abs=1e-6)


def test_missing_margin_has_a_missing_probability():
    for calibration in (Calibration("none"), Calibration("beta", (1.0, 1.0, 0.0)), Calibration("isotonic", (0.0, 0.5))):
        assert np.isnan(apply(calibration, [np.nan])).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "method and parameters"),
        ({"method": "sigmoid", "parameters": [1.0], "more": 1}, "method and parameters"),
        ({"method": "sigmoid", "parameters": "12"}, "list of numbers"),
        ({"method": "sigmoid", "parameters": [True, 1.0]}, "list of numbers"),
        ({"method": "sigmoid", "parameters": [1.0]}, "expected 2 parameters, got 1"),
        ({"method": "sigmoid", "parameters": [-1.0, 0.0]}, "slope must be above 0"),
        ({"method": "sigmoid", "parameters": [float("nan"), 0.0]}, "not finite"),
        ({"method": "beta", "parameters": [1.0, -1.0, 0.0]}, "slope must be above 0"),
        ({"method": "isotonic", "parameters": []}, "rising margins"),
        ({"method": "isotonic", "parameters": [0.0, 1.0, 0.6, 0.5]}, "do not fall"),
        ({"method": "isotonic", "parameters": [0.0, 1.0, 0.6, 1.5]}, "outside 0 to 1"),
        ({"method": "spline", "parameters": []}, "expected one of none, sigmoid"),
        ({"method": ["sigmoid"], "parameters": []}, "expected one of none, sigmoid"),
    ],
)
def test_a_damaged_calibration_is_refused(content, message):
    with pytest.raises(BundleError, match=message):
        calibration_from_json(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"raw_margin": [np.inf, 0.0]}, "margin is not finite"),
        ({"y": [0, 2]}, "only 0 and 1"),
        ({"y": [0]}, "shapes"),
        ({"weight": [1, -1]}, "negative"),
        ({"method": "spline"}, "expected one of"),
    ],
)
def test_unusable_input_is_refused(change, message):
    given = {"raw_margin": [0.0, 1.0], "y": [0, 1], "method": "sigmoid"} | change
    with pytest.raises(ValueError, match=message):
        fit_calibration(**given)
