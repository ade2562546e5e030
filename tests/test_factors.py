"""The two factors: refused where there is too little, constant where voice is rare, and a product that adds up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_factors import CUTOFFS, GROWING, RECIPES, learnt, signals, training_rows, with_spoken
from scipy.special import logit

from churn.errors import NotEnoughDataError
from churn.models.ensemble import steepness, told_by_each
from churn.models.factors import MIN_LEAVERS, MIN_OF_EACH_VOICE, Factors, TrainingRows, learn, predict
from churn.models.matrix import matrix_of
from churn.models.metrics import auroc
from churn.models.view import view_of
from churn.tables.history import DAY

NEXT = CUTOFFS[-1].moved(30).at
STATUSES = ("quiet", "already_vocal", "unobservable")


def slope_told(factors: Factors, rows: TrainingRows) -> float:
    """How steep the members' disagreement on all of the rows says that their mean should be."""
    return steepness(told_by_each(factors.leave, view_of(rows.features), factors.members), at=rows.at)


@pytest.fixture(scope="module")
def factors() -> Factors:
    return learnt(training_rows(6_000))


def test_two_factors_are_learnt_where_both_voices_are_heard(factors: Factors) -> None:
    assert factors.silent is not None
    assert factors.silent.booster is not None
    assert (factors.why_no_silent, factors.notes) == ("", ())
    assert factors.slope == slope_told(factors, training_rows(6_000)) > 1
    assert len(factors.levels.at) == len(CUTOFFS)


def test_both_factors_find_what_is_there(factors: Factors) -> None:
    fresh = training_rows(4_000, seed=9)
    told = predict(factors, fresh.features, voice_status=np.full(4_000, "quiet"), at=NEXT)
    assert auroc(fresh.has_left.astype(float), told["p_leave"]) > 0.7
    leavers = fresh.has_left
    assert auroc((~fresh.has_spoken[leavers]).astype(float), told["p_silent_given_leave"][leavers]) > 0.7
    is_silent = (fresh.has_left & ~fresh.has_spoken).astype(float)
    assert auroc(is_silent, told["p_silent"]) > auroc(is_silent, told["p_leave"])
    assert told["p_leave"].mean() == pytest.approx(fresh.has_left.mean(), abs=0.03)
    assert told["p_silent"].mean() == pytest.approx(is_silent.mean(), abs=0.03)


def test_p_leave_lies_between_low_and_high_by_as_many_log_odds_for_all_and_more_so_later(factors: Factors) -> None:
    few = matrix_of(signals(50, seed=3), RECIPES)
    now, later = (predict(factors, few, voice_status=np.full(50, "quiet"), at=at) for at in (NEXT, NEXT + 150 * DAY))
    for told, at in ((now, NEXT), (later, NEXT + 150 * DAY)):
        off = 1.96 * factors.levels.error(at)
        np.testing.assert_allclose(logit(told["p_leave_high"]) - logit(told["p_leave"]), off, atol=1e-9)
        np.testing.assert_allclose(logit(told["p_leave"]) - logit(told["p_leave_low"]), off, atol=1e-9)
    assert factors.levels.error(NEXT + 150 * DAY) > factors.levels.error(NEXT) > 0.05


def test_p_silent_is_null_zero_or_at_most_p_leave(factors: Factors) -> None:
    status = np.tile(STATUSES, 1_000)
    told = predict(factors, matrix_of(signals(3_000, seed=3), RECIPES), voice_status=status, at=NEXT)
    quiet, vocal, unobservable = (told[status == name] for name in STATUSES)
    assert unobservable["p_silent"].isna().all()
    assert unobservable["p_vocal"].isna().all()
    assert (vocal["p_silent"] == 0).all()
    assert (vocal["p_vocal"] == vocal["p_leave"]).all()
    assert quiet["p_silent"].between(0, 1).all()
    assert (quiet["p_silent"] == quiet["p_leave"] * quiet["p_silent_given_leave"]).all()
    assert (quiet["p_vocal"] > 0).all()  # no cap binds: whoever may leave may also say so
    assert told["p_leave"].notna().all()
    assert (quiet["p_vocal"] == quiet["p_leave"] - quiet["p_silent"]).all()


def test_who_can_be_heard_changes_nothing_about_leaving(factors: Factors) -> None:
    features = matrix_of(signals(50), RECIPES)
    by_status = [
        predict(factors, features, voice_status=np.full(50, status), at=NEXT)["p_leave"] for status in STATUSES
    ]
    assert by_status[0].equals(by_status[1])
    assert by_status[0].equals(by_status[2])


def test_without_a_voice_table_there_is_no_silent_model_and_the_reason_is_told() -> None:
    deaf = learnt(training_rows(), can_hear=False)
    assert deaf.silent is None
    assert deaf.why_no_silent == "no table carries the customers' own voice (contacts or feedback by themselves)"
    told = predict(deaf, matrix_of(signals(60), RECIPES), voice_status=np.tile(STATUSES, 20), at=NEXT)
    assert told[["p_silent", "p_vocal", "p_silent_given_leave"]].isna().all(axis=None)
    assert told["p_leave"].notna().all()


@pytest.mark.parametrize(("silent", "vocal"), [(99, 300), (300, 99), (300, 0)])
def test_few_silent_or_vocal_leavers_give_their_constant_share_and_a_note(silent: int, vocal: int) -> None:
    rare = learnt(with_spoken(training_rows(), silent=silent, vocal=vocal))
    assert MIN_OF_EACH_VOICE == 100
    assert rare.silent is not None
    assert rare.silent.booster is None
    assert rare.silent.share == pytest.approx(silent / (silent + vocal))
    assert len(rare.notes) == 1
    assert rare.notes[0].startswith(
        f"{silent} silent and {vocal} vocal leavers among the quiet: p(silent | leave) is their"
    )
    told = predict(rare, matrix_of(signals(20), RECIPES), voice_status=np.full(20, "quiet"), at=NEXT)
    assert (told["p_silent_given_leave"] == rare.silent.share).all()
    assert (told["p_silent"] <= told["p_leave"]).all()


def test_a_hundred_of_each_give_a_second_model() -> None:
    enough = learnt(with_spoken(training_rows(), silent=100, vocal=100))
    assert enough.silent is not None
    assert enough.silent.booster is not None
    assert enough.notes == ()


def test_without_any_silent_leaver_there_is_no_silent_model() -> None:
    loud = learnt(with_spoken(training_rows(), silent=0, vocal=200))
    assert loud.silent is None
    assert loud.why_no_silent == "no quiet customer left silently in the training period"


@pytest.mark.parametrize(("leavers", "stayers"), [(49, 500), (500, 49), (0, 500), (500, 0), (0, 0), (1, 0)])
def test_fewer_than_fifty_of_a_class_are_refused_before_anything_is_fitted(
    leavers: int, stayers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("churn.models.boosting.lgb.train", None)  # fitting would be a TypeError
    size = leavers + stayers
    rows = replace(training_rows(), has_left=np.repeat([True, False], [leavers, stayers]))
    few = replace(
        rows,
        features=rows.features[:size],
        at=rows.at[:size],
        is_quiet=rows.is_quiet[:size],
        has_spoken=rows.has_spoken[:size],
    )
    assert MIN_LEAVERS == 50
    with pytest.raises(
        NotEnoughDataError,
        match=f"^{leavers} rows .* that leave and {stayers} that stay .* at least 50 of each are needed",
    ):
        learnt(few)


def test_fifty_of_each_are_enough() -> None:
    rows = training_rows(100)
    rows = replace(rows, has_left=np.arange(100) % 2 == 0)
    told = learnt(rows)
    assert told.notes[0].startswith(
        "no purged fold with 30 leavers and as many stayers fits into the training: rounds by sample size"
    )
    assert told.slope == slope_told(told, rows)


def test_one_cutoff_leaves_no_room_for_folds_and_says_so() -> None:
    rows = training_rows()
    rows = replace(rows, at=np.zeros(len(rows.at), np.int64))
    told = learn(
        rows,
        cutoffs=CUTOFFS[:1],
        grace_days=0,
        can_hear=True,
        growing=GROWING,
    )
    assert told.slope == slope_told(told, rows)
    assert "no purged fold with 30 leavers" in told.notes[0]


def test_calibration_comes_from_rows_the_model_had_not_seen() -> None:
    """In noise a model that calibrates on its own training rows is sure of itself; on later rows it learns humility."""
    noise = learnt(training_rows(3_000, effect=0.0))
    fresh = predict(noise, matrix_of(signals(2_000, seed=5), RECIPES), voice_status=np.full(2_000, "quiet"), at=NEXT)
    assert fresh["p_leave"].std() < 0.03


def test_one_customer_scores_alone_as_in_a_list(factors: Factors) -> None:
    features = matrix_of(signals(300, seed=4), RECIPES)
    status = np.resize(STATUSES, 300)
    together = predict(factors, features, voice_status=status, at=NEXT)
    for row in (0, 7, 299):
        alone = predict(factors, features.iloc[[row]], voice_status=status[[row]], at=NEXT)
        assert alone.equals(together.iloc[[row]])
