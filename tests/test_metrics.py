"""Metrics against scikit-learn and against slow, obvious definitions; intervals and profit against simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta as beta_distribution
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.metrics import log_loss as sklearn_log_loss

from churn.models import intervals
from churn.models.intervals import PER_CUTOFF, bootstrap
from churn.models.metrics import (
    SHARES,
    auroc,
    average_precision,
    brier,
    calibration_in_the_large,
    calibration_slope,
    capture_at,
    ece,
    lift_at,
    log_loss,
    perfect_ece,
)
from churn.models.profit import empc, gain_at_budget


def tied_rows(*, seed: int, size: int = 400, levels: int = 30):
    rng = np.random.default_rng(seed)
    p = rng.integers(1, levels, size) / levels
    return (rng.random(size) < p).astype(int), p, rng.integers(0, 4, size)


def plain_metrics(y, p, *, rank=None):
    """Every metric of the bootstrap by name, one after the other; `rank` is what to rank on, default p."""
    score = p if rank is None else rank
    return {
        "auroc": auroc(y, score),
        "average_precision": average_precision(y, score),
        **{f"lift_at_{round(100 * share)}": lift_at(y, score, share=share) for share in SHARES},
        **{f"capture_at_{round(100 * share)}": capture_at(y, score, share=share) for share in SHARES},
        "brier": brier(y, p),
        "log_loss": log_loss(y, p),
        "ece": ece(y, p),
        "ece_perfect": perfect_ece(p),
        "calibration_slope": calibration_slope(y, p)[0],
        "calibration_in_the_large": calibration_in_the_large(y, p),
    }


@pytest.mark.parametrize("seed", range(5))
def test_agree_with_sklearn_with_ties_and_weights(seed):
    y, p, weight = tied_rows(seed=seed)
    assert auroc(y, p, weight=weight) == pytest.approx(roc_auc_score(y, p, sample_weight=weight), abs=1e-12)
    expected = average_precision_score(y, p, sample_weight=weight)
    assert average_precision(y, p, weight=weight) == pytest.approx(expected, abs=1e-12)
    assert brier(y, p, weight=weight) == pytest.approx(brier_score_loss(y, p, sample_weight=weight), abs=1e-12)
    assert log_loss(y, p, weight=weight) == pytest.approx(sklearn_log_loss(y, p, sample_weight=weight), abs=1e-12)


def test_a_weight_of_k_is_a_row_k_times():
    y, p, weight = tied_rows(seed=7)
    repeated_y, repeated_p = np.repeat(y, weight), np.repeat(p, weight)
    for metric in (auroc, average_precision, brier, log_loss, ece, calibration_in_the_large):
        assert metric(y, p, weight=weight) == pytest.approx(metric(repeated_y, repeated_p), abs=1e-12)
    for share in (0.05, 0.2, 0.37):
        expected = capture_at(repeated_y, repeated_p, share=share)
        assert capture_at(y, p, share=share, weight=weight) == pytest.approx(expected, abs=1e-12)


def test_lift_with_ties_is_the_mean_over_all_orders_of_the_tie():
    y = np.array([1, 1, 0, 0, 1, 0])
    score = np.array([0.9, 0.5, 0.5, 0.5, 0.5, 0.1])
    found = [y[[0, *order, 5]][:3].sum() for order in itertools.permutations(range(1, 5))]
    assert capture_at(y, score, share=0.5) == pytest.approx(np.mean(found) / 3)
    assert lift_at(y, score, share=0.5) == pytest.approx(np.mean(found) / 3 / 0.5)


def test_lift_without_ties_is_the_rate_of_the_top_over_the_rate_of_all():
    rng = np.random.default_rng(3)
    y, score = rng.integers(0, 2, 200), rng.permutation(200) / 200
    top = y[np.argsort(-score)][:20]
    assert lift_at(y, score, share=0.1) == pytest.approx(top.mean() / y.mean())


def test_no_metric_depends_on_the_order_of_the_rows():
    y, p, _ = tied_rows(seed=11)
    shuffled = np.random.default_rng(0).permutation(y.size)
    assert plain_metrics(y[shuffled], p[shuffled], rank=-p[shuffled]) == plain_metrics(y, p, rank=-p)


@pytest.mark.parametrize("y", [[0, 0, 0], [1, 1, 1], []])
def test_one_class_gives_nan_and_no_warning(y):
    metrics = plain_metrics(y, np.full(len(y), 0.25))
    for name in ("auroc", "average_precision", "lift_at_10", "capture_at_20", "calibration_slope"):
        assert math.isnan(metrics[name])
    assert math.isnan(metrics["brier"]) == (not y)
    assert math.isnan(empc(y, np.full(len(y), 0.25)))


def test_ece_is_the_plain_binning_when_bins_divide_the_rows():
    rng = np.random.default_rng(2)
    p = np.sort(rng.random(150))
    y = (rng.random(150) < p**2).astype(int)
    expected = np.mean([abs(y[rows].mean() - p[rows].mean()) for rows in np.split(np.arange(150), 15)])
    assert ece(y, p, bins=15) == pytest.approx(expected)


def test_ece_of_a_perfect_model_is_its_perfect_ece_and_of_a_bad_one_far_above():
    rng = np.random.default_rng(4)
    p = rng.beta(2, 5, 3000)
    simulated = [ece((rng.random(p.size) < p).astype(int), p) for _ in range(50)]
    assert perfect_ece(p, draws=100, seed=1) == pytest.approx(np.mean(simulated), rel=0.1)
    assert perfect_ece(p, seed=1) == perfect_ece(p[::-1], seed=1)
    assert ece((rng.random(p.size) < p).astype(int), p**2) > 3 * perfect_ece(p**2)


def test_calibration_slope_finds_the_distortion():
    rng = np.random.default_rng(6)
    margin = rng.normal(-1, 1.5, 40_000)
    y = rng.random(margin.size) < 1 / (1 + np.exp(-(0.6 * margin + 0.3)))
    slope, intercept = calibration_slope(y, 1 / (1 + np.exp(-margin)))
    assert slope == pytest.approx(0.6, abs=0.03)
    assert intercept == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize(("y", "p"), [([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4]), ([0, 1, 0, 1], [0.3] * 4)])
def test_calibration_slope_is_nan_where_no_fit_exists(y, p):
    assert all(math.isnan(value) for value in calibration_slope(y, p))


@pytest.mark.parametrize(
    ("y", "p", "message"),
    [
        ([0, 2], [0.1, 0.2], "only 0 and 1"),
        ([0, np.nan], [0.1, 0.2], "only 0 and 1"),
        ([0, 1], [0.1], "shape"),
        ([0, 1], [0.1, np.nan], "NaN"),
        ([0, 1], [0.1, 1.2], "outside 0 to 1"),
    ],
)
def test_unusable_input_is_refused(y, p, message):
    with pytest.raises(ValueError, match=message):
        brier(y, p)


def three_cutoffs(*, seed: int, customers: int = 400):
    """Customers with a lasting leaning, so that their rows resemble one another; two models, one better."""
    rng = np.random.default_rng(seed)
    leaning = np.tile(rng.normal(size=customers), 3)
    y = (rng.random(leaning.size) < 1 / (1 + np.exp(1 - leaning))).astype(int)
    good = 1 / (1 + np.exp(1 - leaning))
    poor = 1 / (1 + np.exp(1 - 0.4 * leaning + rng.normal(size=leaning.size)))
    who, when = np.tile(np.arange(customers), 3), np.repeat([20, 30, 40], customers)
    return who, when, y, {"model": good, "poor": poor}


def test_bootstrap_point_values_are_the_means_of_the_plain_metrics():
    who, when, y, predictions = three_cutoffs(seed=1)
    names = ["2025-01-01", "2025-02-01", "2025-03-01"]
    result = bootstrap(who, cutoffs=when, y=y, predictions=predictions, seed=0, draws=20, cutoff_names=names)
    plain = [plain_metrics(y[when == code], predictions["model"][when == code]) for code in (20, 30, 40)]
    for metric, interval in result.metrics["model"].items():
        expected = [values[metric] for values in plain]
        assert list(interval["by_cutoff"]) == names
        assert list(interval["by_cutoff"].values()) == pytest.approx(expected, abs=1e-12)
        if metric in PER_CUTOFF:
            assert interval["mean"] == pytest.approx(np.mean(expected), abs=1e-12)
        else:
            assert interval["mean"] == pytest.approx(plain_metrics(y, predictions["model"])[metric], abs=1e-12)


def test_bootstrap_draws_whole_customers_as_a_plain_loop_does():
    who, when, y, predictions = three_cutoffs(seed=2, customers=60)
    result = bootstrap(who, cutoffs=when, y=y, predictions=predictions, seed=9, draws=30, reference="model")
    rng = np.random.default_rng(9)
    levels, gaps = [], []
    for _ in range(30):
        rows = [np.flatnonzero(who == customer) for customer in rng.integers(60, size=60)]
        drawn = np.concatenate(rows)
        by_model = [
            np.mean([roc_auc_score(y[part], p[part]) for part in (drawn[when[drawn] == code] for code in (20, 30, 40))])
            for p in predictions.values()
        ]
        levels.append(by_model[0])
        gaps.append(by_model[0] - by_model[1])
    interval, gap = result.metrics["model"]["auroc"], result.differences["poor"]["auroc"]
    assert [interval["low"], interval["high"]] == pytest.approx(np.quantile(levels, [0.025, 0.975]))
    assert [gap["low"], gap["high"]] == pytest.approx(np.quantile(gaps, [0.025, 0.975]))


def test_bootstrap_is_the_same_for_any_row_order_and_chunk(monkeypatch):
    who, when, y, predictions = three_cutoffs(seed=3, customers=80)
    shuffled = np.random.default_rng(0).permutation(y.size)
    moved = {name: p[shuffled] for name, p in predictions.items()}
    first = bootstrap(who, cutoffs=when, y=y, predictions=predictions, seed=5, draws=40, reference="model")
    monkeypatch.setattr(intervals, "CELLS", 700)
    second = bootstrap(
        who[shuffled], cutoffs=when[shuffled], y=y[shuffled], predictions=moved, seed=5, draws=40, reference="model"
    )
    assert first == second


def test_interval_covers_the_truth_as_often_as_it_says():
    _, _, many, predicted = three_cutoffs(seed=99, customers=60_000)
    truth = auroc(many, predicted["poor"])
    covered = 0
    for seed in range(40):
        who, when, y, predictions = three_cutoffs(seed=seed, customers=120)
        only = {"poor": predictions["poor"]}
        interval = bootstrap(who, cutoffs=when, y=y, predictions=only, seed=seed, draws=100).metrics["poor"]["auroc"]
        covered += interval["low"] <= truth <= interval["high"]
    assert 34 <= covered <= 40


def test_ece_interval_holds_its_point_value():
    who, when, y, predictions = three_cutoffs(seed=4)
    interval = bootstrap(who, cutoffs=when, y=y, predictions=predictions, seed=0, draws=100).metrics["model"]["ece"]
    assert 0 <= interval["low"] <= interval["mean"] <= interval["high"]


def test_slope_and_the_error_of_a_perfect_model_have_intervals_too():
    who, when, y, predictions = three_cutoffs(seed=6)
    found = bootstrap(who, cutoffs=when, y=y, predictions=predictions, seed=0, draws=100, reference="model")
    slope, perfect = (found.metrics["model"][name] for name in ("calibration_slope", "ece_perfect"))
    assert slope["low"] < slope["mean"] < slope["high"]
    assert 0 < perfect["low"] < perfect["mean"] < perfect["high"]
    assert "calibration_slope" not in found.differences["poor"]


def test_bootstrap_with_a_one_class_cutoff_averages_the_others():
    who, when, y, predictions = three_cutoffs(seed=5, customers=50)
    y = np.where(when == 30, 0, y)
    interval = bootstrap(who, cutoffs=when, y=y, predictions=predictions, seed=0, draws=10).metrics["model"]["auroc"]
    known = [interval["by_cutoff"][name] for name in ("20", "40")]
    assert interval["by_cutoff"]["30"] is None
    assert interval["mean"] == pytest.approx(np.mean(known))


def test_bootstrap_takes_fewer_draws_for_many_rows_and_says_so(monkeypatch):
    monkeypatch.setattr(intervals, "ROWS_AT_FULL_DRAWS", 300)
    monkeypatch.setattr(intervals, "MIN_DRAWS", 7)
    who, when, y, predictions = three_cutoffs(seed=6, customers=200)
    assert bootstrap(who, cutoffs=when, y=y, predictions=predictions, seed=0, draws=40).draws == 20
    assert bootstrap(who, cutoffs=when, y=y, predictions=predictions, seed=0, draws=10).draws == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference": "other"}, "reference 'other'"),
        ({"cutoff_names": ["one"]}, "1 cutoff names for 3"),
        ({"draws": 0}, "at least one draw"),
        ({"cutoffs": [1, 2]}, "one of each per row"),
    ],
)
def test_bootstrap_refuses_what_it_cannot_mean(change, message):
    who, when, y, predictions = three_cutoffs(seed=7, customers=10)
    settings = {"cutoffs": when, "y": y, "predictions": predictions, "seed": 0, "draws": 3} | change
    with pytest.raises(ValueError, match=message):
        bootstrap(who, **settings)


def test_gain_counts_the_value_of_those_contacted():
    y, p, value = [1, 0, 1, 1], [0.9, 0.8, 0.3, 0.2], [10.0, 50.0, 100.0, 5.0]
    gain = gain_at_budget(y, p, budget=2, cost=2.0, success_rate=0.5, value=value)
    assert gain.contacted == 2
    assert gain.expected == pytest.approx(0.5 * 100 - 4)  # 0.8 x 50 and 0.3 x 100 rank first
    assert gain.random == pytest.approx(0.5 * (10 + 100 + 5) / 4 * 2 - 4)


def test_gain_within_a_tie_is_the_expected_one_and_everybody_leaves_no_choice():
    y, p, value = [1, 0, 1], [0.5, 0.5, 0.5], [2.0, 2.0, 2.0]
    one = gain_at_budget(y, p, budget=1, cost=0.0, success_rate=1.0, value=value)
    assert one.expected == pytest.approx(one.random) == pytest.approx(4 / 3)
    everybody = gain_at_budget(y, [0.1, 0.2, 0.3], budget=10, cost=1.0, success_rate=1.0, value=value)
    assert (everybody.contacted, everybody.expected) == (3, pytest.approx(everybody.random))


def test_gain_refuses_a_success_rate_above_one():
    with pytest.raises(ValueError, match="success rate between 0 and 1"):
        gain_at_budget([1], [0.5], budget=1, cost=0.0, success_rate=1.5)


def empc_by_integration(y, p, *, alpha, beta, clv, d, f):
    """The definition of Verbraken et al.: for every gamma the best of all thresholds, integrated numerically."""
    thresholds = [math.inf, *np.unique(p)[::-1]]
    found = np.array([[np.mean((p >= t) & (y == 1)), np.mean((p >= t) & (y == 0))] for t in thresholds])

    def best(gamma):
        profit = (clv * gamma - d * gamma - f) * found[:, 0] - (d + f) * found[:, 1]
        return profit.max() * beta_distribution.pdf(gamma, alpha, beta)

    return quad(best, 0, 1, limit=400, points=np.linspace(0.02, 0.98, 49))[0]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "terms",
    [
        {"alpha": 6.0, "beta": 14.0, "clv": 200.0, "d": 10.0, "f": 1.0},
        {"alpha": 2.0, "beta": 3.0, "clv": 40.0, "d": 15.0, "f": 3.0},
    ],
)
def test_empc_is_the_integral_of_its_definition(seed, terms):
    y, p, _ = tied_rows(seed=seed, size=120, levels=25)
    assert empc(y, p, **terms) == pytest.approx(empc_by_integration(y, p, **terms), rel=1e-5)


def test_empc_is_nothing_when_no_contact_can_pay():
    y, p, _ = tied_rows(seed=0)
    assert empc(y, p, clv=11.0, d=10.0, f=1000.0) == 0
    with pytest.raises(ValueError, match="d < clv"):
        empc(y, p, clv=10.0, d=10.0)
