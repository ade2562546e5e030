"""Baselines: each learns what it claims to, ranks by what it claims to, and never depends on the order of the rows."""

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from churn.models.baselines import (
    BASELINES,
    PurchaseHistory,
    SilenceHistory,
    fit_predict,
    p_leave_alone,
    p_leave_x_share,
    silence_rule,
)
from churn.models.metrics import auroc


def histories(*, seed: int, size: int = 600) -> tuple[PurchaseHistory, np.ndarray]:
    """Customers with a rate of their own; who has been away for long by her own measure leaves more often."""
    rng = np.random.default_rng(seed)
    gap = rng.gamma(4, 8, size)
    age = rng.integers(100, 700, size).astype(float)
    away = np.minimum(rng.exponential(gap), age - 1).round()
    recent = rng.poisson(np.where(away < 90, 90 / gap, 0)).astype(float)
    history = PurchaseHistory(
        frequency=np.maximum(((age - away) / gap).round(), 1),
        recency_age=age - away,
        age=age,
        days_since_last=away,
        spend_mean=rng.gamma(2, 20, size),
        spend_sum_180=rng.gamma(2, 100, size) - 20,
        orders_recent=recent,
        orders_before=rng.poisson(90 / gap).astype(float),
        own_gap=gap,
    )
    return history, (rng.random(size) < expit(away / gap - 1.5)).astype(int)


def rows(history, keep):
    return type(history)(*(getattr(history, field.name)[keep] for field in fields(history)))


def predict(name, *, seed: int = 1):
    train, y = histories(seed=seed)
    test, test_y = histories(seed=seed + 1)
    return fit_predict(name, train=train, y=y, test=test, horizon_days=90), test, test_y


def test_the_baselines_stand_in_this_order():
    assert BASELINES == ("base_rate", "recency", "own_gap", "halved_window", "rfm_logistic", "mbg_nbd")


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_gives_probabilities_and_beats_chance_where_it_may(name):
    prediction, test, test_y = predict(name)
    assert prediction.score.shape == prediction.probability.shape == test.age.shape
    assert ((prediction.probability > 0) & (prediction.probability < 1)).all()
    assert auroc(test_y, prediction.score) == 0.5 if name == "base_rate" else auroc(test_y, prediction.score) > 0.52


def test_own_gap_wins_where_leaving_follows_the_own_gap():
    area = {name: auroc(predict(name)[2], predict(name)[0].score) for name in BASELINES}
    assert max(area, key=area.__getitem__) == "own_gap"


@pytest.mark.parametrize("name", BASELINES)
def test_no_baseline_depends_on_the_order_of_rows_or_the_number_of_threads(name):
    train, y = histories(seed=3)
    test, _ = histories(seed=4)
    order = np.random.default_rng(0).permutation(y.size)
    plain = fit_predict(name, train=train, y=y, test=test, horizon_days=60, gap_days=10)
    with threadpool_limits(limits=1):
        moved = fit_predict(
            name, train=rows(train, order), y=y[order], test=rows(test, order), horizon_days=60, gap_days=10
        )
    for before, after in zip(plain, moved, strict=True):
        assert before[order].tobytes() == after.tobytes()


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("leaves", [0, 1])
def test_one_class_in_training_is_no_crash(name, leaves):
    train, y = histories(seed=5, size=80)
    prediction = fit_predict(name, train=train, y=np.full(y.size, leaves), test=train, horizon_days=90)
    assert np.isfinite(prediction.probability).all()


def test_base_rate_is_the_leave_rate():
    prediction, test, _ = predict("base_rate")
    assert prediction.probability.tolist() == [histories(seed=1)[1].mean()] * test.age.size


@pytest.mark.parametrize("name", ["recency", "own_gap"])
def test_the_ranking_is_the_plain_figure(name):
    prediction, test, _ = predict(name)
    expected = test.days_since_last / (test.own_gap if name == "own_gap" else 1)
    assert prediction.score.tolist() == expected.tolist()


def test_halved_window_gives_the_leave_rate_of_either_side_and_breaks_ties_by_the_share():
    template, _ = histories(seed=6, size=6)
    train = replace(
        template, orders_recent=np.array([1.0, 0, 2, 3, 4, 0]), orders_before=np.array([2.0, 0, 2, 4, 1, 5])
    )
    y = np.array([1, 0, 0, 1, 0, 1])
    prediction = fit_predict("halved_window", train=train, y=y, test=train, horizon_days=90)
    is_halved = np.array([True, True, False, False, False, True])
    expected = np.where(is_halved, (2 + 0.5) / 4, (1 + 0.5) / 4)
    assert prediction.probability.tolist() == expected.tolist()
    assert prediction.score[is_halved].min() > prediction.score[~is_halved].max()
    assert prediction.score[5] > prediction.score[0] > prediction.score[1]


def test_rfm_logistic_is_sklearns_pipeline():
    train, y = histories(seed=7)
    test, _ = histories(seed=8)
    names = ("days_since_last", "frequency", "spend_mean", "spend_sum_180", "age")
    before, now = (np.log1p(np.column_stack([getattr(h, name) for name in names]).clip(min=0)) for h in (train, test))
    oracle = make_pipeline(StandardScaler(), LogisticRegression()).fit(before, y)
    prediction = fit_predict("rfm_logistic", train=train, y=y, test=test, horizon_days=90)
    assert prediction.probability == pytest.approx(oracle.predict_proba(now)[:, 1], abs=1e-4)


def test_mbg_nbd_learns_dropout_from_everybody():
    train, y = histories(seed=9)
    gone, _ = histories(seed=10)
    # The same customers, but most stopped long ago: only a model that saw them expects people to drop out.
    gone = replace(gone, frequency=np.ones(600), recency_age=np.full(600, 20.0), age=np.full(600, 700.0))
    alone = fit_predict("mbg_nbd", train=train, y=y, test=train, horizon_days=90)
    informed = fit_predict("mbg_nbd", train=train, y=y, test=train, horizon_days=90, everybody=gone)
    assert informed.probability.mean() > alone.probability.mean() + 0.05


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "lstm"}, "expected one of base_rate"),
        ({"y": [0, 1]}, "2 outcomes for 80"),
        ({"y": [2] * 80}, "only 0 and 1"),
    ],
)
def test_unusable_input_is_refused(change, message):
    train, y = histories(seed=11, size=80)
    given = {"name": "recency", "train": train, "y": y, "test": train, "horizon_days": 90} | change
    with pytest.raises(ValueError, match=message):
        fit_predict(**given)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("own_gap", np.zeros(5), "own_gap and age must be above 0"),
        ("spend_mean", np.full(5, np.nan), "spend_mean holds a value that is not finite"),
        ("age", np.ones(4), "differ in length"),
    ],
)
def test_a_broken_history_is_refused(column, values, message):
    history, _ = histories(seed=12, size=5)
    with pytest.raises(ValueError, match=message):
        replace(history, **{column: values})


def test_baselines_of_silence_share_p_leave_and_its_ranking():
    p_leave = np.array([0.2, 0.6])
    assert p_leave_alone(p_leave).probability.tolist() == [0.2, 0.6]
    shared = p_leave_x_share(p_leave, is_silent=[1, 1, 1, 0])
    assert shared.probability == pytest.approx([0.15, 0.45])
    assert shared.score.tolist() == [0.2, 0.6]
    with pytest.raises(ValueError, match="at least one leaver"):
        p_leave_x_share(p_leave, is_silent=[])


def test_silence_rule_learns_that_unanswered_invitations_tell():
    rng = np.random.default_rng(13)
    streak = rng.integers(0, 6, 2000).astype(float)
    voice = np.where(rng.random(2000) < 0.6, np.nan, rng.integers(1, 400, 2000))
    history = SilenceHistory(unanswered_streak=streak, days_since_voice=voice)
    y = (rng.random(2000) < expit(streak - 3 + np.isnan(voice))).astype(int)
    prediction = silence_rule(rows(history, slice(1000)), y=y[:1000], test=rows(history, slice(1000, None)))
    assert auroc(y[1000:], prediction.score) > 0.75
    assert prediction.probability.mean() == pytest.approx(y[1000:].mean(), abs=0.04)


def test_silence_rule_without_a_single_voice():
    history = SilenceHistory(unanswered_streak=np.arange(40.0), days_since_voice=np.full(40, np.nan))
    prediction = silence_rule(history, y=[0, 1] * 20, test=history)
    assert np.isfinite(prediction.probability).all()
    with pytest.raises(ValueError, match="2 outcomes for 40"):
        silence_rule(history, y=[0, 1], test=history)
