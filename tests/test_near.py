"""Near: who is nearly in the population teaches a small company, and is neither judged nor scored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_histories import cutoff, every, known_of, purchases, table
from made_material import Made, company, made
from scipy.special import expit

from churn.models.backtest import learn_by, run_backtest
from churn.models.baselines import BASELINES
from churn.models.boosting import Fold, Growing, choose_rounds
from churn.models.factors import TrainingRows, learn, predict
from churn.models.known import Known
from churn.models.near import FEW_CUSTOMERS, has_few, near_rows
from churn.models.target import Target
from churn.tables.history import DAY
from churn.timeline.cutoffs import Cutoff, closing_of
from churn.timeline.rhythm import Prior

AT = cutoff("2024-06-01", horizon=28)


def near(known: Known, *, population: str) -> list[str]:
    """Ids of who is near the population at the cutoff."""
    target = Target("purchases", 28, 0, population, "hard", "UTC")
    frame = near_rows(known, target, [AT], prior=Prior(shape=1.0, days=10.0))
    assert (frame["at"] == AT.at).all()
    return known.customers.take(frame["customer"].to_numpy()).to_pylist()


def test_near_a_rhythm_is_who_is_silent_half_as_long_again_as_it_allows() -> None:
    known = known_of({
        "transactions": purchases(
            regular=every(7, first="2024-01-01", until="2024-06-01"),
            quiet=every(7, first="2024-01-01", until="2024-05-07"),
            gone=every(7, first="2024-01-01", until="2024-03-01"),
            once="2024-05-01",
            opted=every(7, first="2024-01-01", until="2024-05-07"),
        ),
        "customers": table("customers", "customer_id closed_at opted_out_at", "opted - 2024-05-20"),
    })  # fmt: skip
    assert near(known, population="rhythm") == ["quiet"]


def test_near_a_number_of_orders_are_half_as_many_in_half_as_many_days_again() -> None:
    known = known_of(
        {
            "transactions": purchases(
                three="2024-05-10 2024-05-15 2024-05-20",
                two="2024-05-10 2024-05-20",
                one="2024-05-20",
                earlier="2024-04-20 2024-04-25 2024-04-28",
                long_ago="2024-03-20 2024-03-25 2024-03-28",
            )
        }
    )
    assert near(known, population="active:30:3") == ["earlier", "two"]
    assert near(known, population="active:30") == ["earlier"], "who has one order in 30 days is in the population"


def test_nobody_is_near_a_contract() -> None:
    known = known_of({"transactions": purchases(ana="2024-05-20")})
    assert near(known, population="contract") == []


@pytest.mark.parametrize(("customers", "few"), [(FEW_CUSTOMERS - 1, True), (FEW_CUSTOMERS, False)])
def test_few_are_counted_before_the_first_test_cutoff(customers: int, few: bool) -> None:
    later = pd.DataFrame({"customer": np.arange(9_000), "at": 10})
    earlier = pd.DataFrame({"customer": np.arange(customers), "at": 9})
    assert has_few(pd.concat([earlier, earlier, later]), before=10) is few


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder: Path = company(tmp_path_factory.mktemp("near") / "company", customers=300, months=12)
    return made(folder, horizon_days=28, train_every_days=14)


def test_rows_near_are_settled_and_none_of_them_is_in_the_population(small: Made) -> None:
    material, test = small.material, small.schedule.tests[0]
    rows, cutoffs, _ = material.training_rows(test.at)
    beside = material.rows_near(test.at)
    assert material.near is not None
    assert beside is not None
    assert 0 < len(beside.at) < len(rows.at)
    assert set(beside.at) <= {cutoff.at for cutoff in cutoffs}
    assert max(closing_of(cutoff) for cutoff in cutoffs) <= test.at
    both = material.frame.merge(material.near.frame, on=["customer", "at"])
    assert both.empty


def test_they_move_the_trees_and_are_not_judged(small: Made) -> None:
    material, test = small.material, small.schedule.tests[-1]
    alone = replace(material, near=None)
    factors = learn_by(material, test.at)
    assert any("just outside the population" in note for note in factors.notes)
    assert not any("population" in note for note in learn_by(alone, test.at).notes)
    assert factors.leave.model_to_string() != learn_by(alone, test.at).leave.model_to_string()
    settled = material.known.settled
    judged, judged_alone = (run_backtest(m, [test], settled=settled, families={}) for m in (material, alone))
    assert judged["customer"].tolist() == judged_alone["customer"].tolist()
    rules = [f"p:{name}" for name in BASELINES]
    pd.testing.assert_frame_equal(judged[rules], judged_alone[rules])


ROWS, START = 4_000, 1_000 * DAY
CUTOFFS = tuple(Cutoff(START + number * 14 * DAY, 0, 28) for number in range(8))


def drawn(seed: int, *, level: float) -> TrainingRows:
    """Rows of eight cutoffs, of whom one signal tells who leaves, at a level."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=ROWS)
    at = np.repeat([cutoff.at for cutoff in CUTOFFS], ROWS // len(CUTOFFS))
    left = rng.random(ROWS) < expit(signal + level)
    features = pd.DataFrame({"signal": signal, "noise": rng.normal(size=ROWS)}, dtype=np.float32)
    return TrainingRows(features, at, left, np.ones(ROWS, bool), np.zeros(ROWS, bool))


def test_how_many_leave_is_told_by_the_population_alone() -> None:
    """Nine in ten of those nearby leave, one in five of the population: that is what it is told."""
    rows, beside = drawn(1, level=-1.6), drawn(2, level=2.5)
    settings = {"cutoffs": CUTOFFS, "grace_days": 0, "can_hear": False, "growing": Growing(7, 1)}
    told = [
        predict(learn(rows, **settings, near=other), rows.features, voice_status=np.full(ROWS, "quiet"), at=rows.at)
        for other in (None, beside)
    ]
    assert told[1]["p_leave"].mean() == pytest.approx(rows.has_left.mean(), abs=0.01)
    assert np.corrcoef(told[0]["margin"], told[1]["margin"])[0, 1] > 0.95


def test_folds_are_judged_by_the_population_alone() -> None:
    both = drawn(1, level=-1.6).beside(drawn(2, level=2.5))
    is_asked = np.arange(2 * ROWS) < ROWS
    fold = Fold(CUTOFFS[:4], CUTOFFS[6:])
    rounds = choose_rounds(
        both.features, y=both.has_left, at=both.at, folds=[fold], growing=Growing(7, 1), is_within=True,
        is_asked=is_asked,
    )  # fmt: skip
    (judged,) = rounds.judged
    assert judged.rows.sum() == 2 * ROWS // len(CUTOFFS)
    assert not judged.rows[~is_asked].any()
    assert len(judged.margin) == judged.rows.sum()
