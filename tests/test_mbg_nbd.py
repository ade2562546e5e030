"""MBG/NBD against customers simulated from the model itself, and against its posterior integrated numerically."""

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.special import betaln, roots_genlaguerre, roots_jacobi

from churn.timeline import mbg_nbd
from churn.timeline.mbg_nbd import MbgNbd, fit_mbg_nbd, p_alive, p_no_activity

TRUTH = MbgNbd(r=1.2, alpha=40.0, a=0.8, b=2.5)
GAP, HORIZON = 30.0, 60.0


def simulate(model: MbgNbd, *, customers: int, seed: int):
    """Returns x, t_x, T and, by gap, whether she comes in the window; every purchase is drawn one after another."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(60, 400, customers)
    rate = rng.gamma(model.r, 1 / model.alpha, customers)
    drops = rng.beta(model.a, model.b, customers)
    frequency, recency_age = np.zeros(customers), np.zeros(customers)
    time, is_active = np.zeros(customers), rng.random(customers) >= drops
    comes = {0.0: np.zeros(customers, bool), GAP: np.zeros(customers, bool)}
    while is_active.any():
        time = np.where(is_active, time + rng.exponential(1, customers) / rate, np.inf)
        is_past = is_active & (time < age)
        frequency += is_past
        recency_age = np.where(is_past, time, recency_age)
        for gap, came in comes.items():
            came |= is_active & (time >= age + gap) & (time < age + gap + HORIZON)
        is_active &= (time < age + GAP + HORIZON) & (rng.random(customers) >= drops)
    return frequency, recency_age, age, comes


@pytest.fixture(scope="module")
def customers():
    return simulate(TRUTH, customers=60_000, seed=1)


def test_fit_recovers_the_parameters(customers, monkeypatch):
    monkeypatch.setattr(mbg_nbd, "MAX_ROWS", 60_000)
    x, t_x, age, _ = customers
    fitted = fit_mbg_nbd(x, recency_age=t_x, age=age)
    assert (fitted.r, fitted.alpha) == pytest.approx((TRUTH.r, TRUTH.alpha), rel=0.08)
    assert fitted.a / (fitted.a + fitted.b) == pytest.approx(TRUTH.a / (TRUTH.a + TRUTH.b), rel=0.08)


@pytest.mark.parametrize("gap", [0.0, GAP])
def test_p_no_activity_is_the_frequency_in_the_simulation(customers, gap):
    x, t_x, age, comes = customers
    p = p_no_activity(TRUTH, frequency=x, recency_age=t_x, age=age, horizon_days=HORIZON, gap_days=gap)
    for rows in np.array_split(np.argsort(p), 12):
        error = np.sqrt(np.mean(p[rows] * (1 - p[rows])) / rows.size)
        assert abs(np.mean(~comes[gap][rows]) - p[rows].mean()) < 4 * error
    for count in (0, 1, 5):
        rows = np.flatnonzero(x == count)
        assert np.mean(~comes[gap][rows]) == pytest.approx(p[rows].mean(), abs=0.03)


@pytest.mark.parametrize("gap", [0.0, 1.0, 45.0, 400.0])
@pytest.mark.parametrize(("x", "t_x", "age"), [(0, 0.0, 90.0), (3, 80.0, 100.0), (25, 290.0, 300.0)])
def test_p_no_activity_is_the_posterior_integral(gap, x, t_x, age):
    history = {"frequency": [x], "recency_age": [t_x], "age": [age]}
    # Gauss quadrature over the posterior of an active customer: rate ~ gamma, dropout probability ~ beta.
    rates, rate_weights = roots_genlaguerre(80, TRUTH.r + x - 1)
    drops, drop_weights = roots_jacobi(80, TRUTH.b + x, TRUTH.a - 1)
    rate, drop = rates[:, np.newaxis] / (TRUTH.alpha + age), (drops + 1) / 2
    comes = np.exp(-rate * drop * gap) * -np.expm1(-rate * HORIZON)
    expected = (rate_weights / rate_weights.sum()) @ comes @ (drop_weights / drop_weights.sum())
    p = p_no_activity(TRUTH, **history, horizon_days=HORIZON, gap_days=gap)
    assert p[0] == pytest.approx(1 - p_alive(TRUTH, **history)[0] * expected, abs=1e-5)


def test_the_quadrature_for_lost_rows_agrees_with_the_series():
    x, stretch = np.array([0.0, 2.0, 40.0]), np.array([5.0, 0.3, 0.1])
    for a, b in ((0.01, 3.0), (0.8, 2.5), (20.0, 0.5)):
        model = MbgNbd(r=1.2, alpha=40.0, a=a, b=b)
        by_series = mbg_nbd._survives_gap(model, x, stretch)
        assert mbg_nbd._survives_by_quadrature(model, x, stretch) == pytest.approx(by_series, abs=1e-5)


def test_p_alive_is_bayes_rule():
    x, t_x, age = 4, 60.0, 100.0
    active = np.exp(betaln(TRUTH.a, TRUTH.b + x + 1)) / (TRUTH.alpha + age) ** (TRUTH.r + x)
    gone = np.exp(betaln(TRUTH.a + 1, TRUTH.b + x)) / (TRUTH.alpha + t_x) ** (TRUTH.r + x)
    p = p_alive(TRUTH, frequency=[x], recency_age=[t_x], age=[age])
    assert p[0] == pytest.approx(active / (active + gone))


def test_gradient_is_the_slope_of_the_likelihood(customers):
    x, t_x, age, _ = (values[:200] if isinstance(values, np.ndarray) else values for values in customers)
    weight = np.full(200, 1 / 200)

    def value(log_parameters):
        return mbg_nbd._negative_log_likelihood(np.exp(log_parameters), x, t_x / 100, age / 100, weight)[0]

    def slope(log_parameters):
        return mbg_nbd._negative_log_likelihood(np.exp(log_parameters), x, t_x / 100, age / 100, weight)[1]

    for start in ([0.0, 0.0, 0.0, 0.0], [0.7, -1.0, -0.5, 1.5]):
        assert check_grad(value, slope, np.array(start)) < 1e-5


def test_extreme_histories_and_parameters_stay_probabilities():
    bound = np.exp(mbg_nbd.LOG_BOUND)
    x = np.array([0.0, 1.0, 500.0, 5000.0])
    history = {
        "frequency": x,
        "recency_age": np.array([0.0, 1e-3, 700.0, 1.0]),
        "age": np.array([1.0, 4000.0, 700.0, 4000.0]),
    }
    for r in (1 / bound, 1.0, bound):
        for a, b in ((1 / bound, bound), (bound, 1 / bound), (1.0, 1.0), (bound, bound)):
            model = MbgNbd(r=r, alpha=30.0, a=a, b=b)
            for gap in (0.0, 1.0, 1000.0):
                p = p_no_activity(model, **history, horizon_days=90.0, gap_days=gap)
                assert ((p >= 0) & (p <= 1)).all()
            near = p_no_activity(model, **history, horizon_days=90.0, gap_days=1e-9)
            assert near == pytest.approx(p_no_activity(model, **history, horizon_days=90.0), abs=1e-6)


def test_fit_is_the_same_for_any_row_order_and_unit_of_time(customers, monkeypatch):
    monkeypatch.setattr(mbg_nbd, "MAX_ROWS", 1500)
    x, t_x, age, _ = (values[:3000] if isinstance(values, np.ndarray) else values for values in customers)
    fitted = fit_mbg_nbd(x, recency_age=t_x, age=age)
    order = np.random.default_rng(0).permutation(x.size)
    assert fit_mbg_nbd(x[order], recency_age=t_x[order], age=age[order]) == fitted
    in_hours = fit_mbg_nbd(x, recency_age=24 * t_x, age=24 * age)
    assert in_hours.alpha == pytest.approx(24 * fitted.alpha, rel=1e-3)
    assert in_hours.r == pytest.approx(fitted.r, rel=1e-3)


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (([1.0], [5.0], [4.0]), "1 rows are no history"),
        (([np.nan], [1.0], [4.0]), "1 rows are no history"),
        (([1.0, 2.0], [1.0], [4.0]), "shapes"),
        (([], [], []), "at least one customer"),
    ],
)
def test_an_impossible_history_is_refused(history, message):
    x, t_x, age = history
    with pytest.raises(ValueError, match=message):
        fit_mbg_nbd(x, recency_age=t_x, age=age)


def test_an_impossible_window_is_refused():
    with pytest.raises(ValueError, match="horizon must be above 0"):
        p_no_activity(TRUTH, frequency=[1.0], recency_age=[1.0], age=[2.0], horizon_days=0.0)
