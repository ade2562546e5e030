"""The observable ceiling: exact where the answer is known, calibrated where the oracle is, blind to what lies ahead."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

import numpy as np
import pandas as pd
import pytest

from churn.simulation import ceiling, make_world, oracle
from churn.simulation.calendar import DAY
from churn.simulation.filter import draw
from churn.simulation.regimes import MECHANISMS, regimes
from churn.simulation.setting import setting_of
from churn.simulation.sight import see

CUTOFF = [datetime(2023, 6, 1)]
KEYS = ["customer_id", "cutoff", "gap_days", "horizon_days"]


def test_without_exits_and_pauses_it_is_the_negative_binomial() -> None:
    """Gamma rates and Poisson purchases: P(no order in H days | n orders in T) = ((b + T) / (b + T + H))^(a + n)."""
    plain = replace(
        regimes["retail"], vacations_per_year=0.0, seasonal_share=0.0, season_strength=0.0, outside_hazard=0.0,
        friction_hazard=0.0, weekday_concentration=float("inf"), purchase_share_mean=0.999999, closed_share=0.0,
        purchase_share_strength=float("inf"), visits_per_day=0.03, joined_before_share=1.0,
    )  # fmt: skip
    world = make_world(plain, customers=120, months=7, seed=5)
    told = ceiling(
        world, cutoffs=CUTOFF, customers=range(120), horizon_days=(60,), gap_days=(0,), particles=40, futures=200
    ).set_index("customer_id")
    visits = world.tables["visits"].to_pandas()
    seen = visits[visits["time"] < pd.Timestamp(CUTOFF[0], tz="UTC")].groupby("customer_id").size()
    count, days = 2.0 + seen.reindex(told.index, fill_value=0), 2.0 / 0.03 + 151
    exact = (days / (days + 60)) ** count
    gap = (told["p_leave"] - exact).to_numpy()
    assert np.abs(gap).mean() < 0.03
    assert abs(gap.mean()) < 0.01


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_it_agrees_with_the_oracle_on_average_and_knows_less(mechanism: str) -> None:
    world = make_world("retail", customers=400, months=7, seed=5, mechanism=mechanism)
    asked = {"cutoffs": CUTOFF, "customers": range(400), "horizon_days": (60,), "gap_days": (0,), "futures": 60}
    known, seen = oracle(world, **asked), ceiling(world, **asked, particles=80)
    both = known.merge(seen, on=KEYS, suffixes=("", "_seen"))
    assert len(both) == len(known) == len(seen)
    gap = both["p_leave_seen"] - both["p_leave"]
    assert abs(gap.mean()) < 3.5 * gap.std() / np.sqrt(len(gap))
    for low, high in ((0.0, 0.2), (0.2, 0.6), (0.6, 1.01)):
        some = both[both["p_leave_seen"].between(low, high, inclusive="left")]
        assert abs(some["p_leave_seen"].mean() - some["p_leave"].mean()) < 0.09, (low, high)
    assert both["p_leave_seen"].corr(both["p_leave"]) > 0.6
    assert both["p_leave_seen"].var() < both["p_leave"].var()
    gone = world.truth["customers"].to_pandas().set_index("customer_id")["exit_time"]
    has_gone = (gone.reindex(both["customer_id"]) < pd.Timestamp(CUTOFF[0], tz="UTC")).to_numpy()
    assert both.loc[has_gone, "p_gone"].mean() > both.loc[~has_gone, "p_gone"].mean() + 0.3


def test_a_contract_that_runs_on_says_that_she_has_not_left_before() -> None:
    world = make_world("telecom", customers=1_000, months=9, seed=5)
    cutoffs = [datetime(2023, 6, 1), datetime(2023, 8, 1)]
    asked = {
        "cutoffs": cutoffs, "customers": range(1_000), "horizon_days": (30,), "gap_days": (0,), "futures": 30,
        "activity": "contracts",
    }  # fmt: skip
    seen, known = ceiling(world, particles=60, **asked), oracle(world, **asked)
    assert seen["p_leave"].mean() == pytest.approx(known["p_leave"].mean(), abs=0.01)
    assert seen["p_gone"].mean() < 0.02, "of whose contract runs on few have left already"


def test_the_same_seed_gives_the_same_ceiling() -> None:
    world = make_world("retail", customers=40, months=5, seed=2)
    one, other = (
        ceiling(world, cutoffs=[datetime(2023, 3, 1)], customers=range(40), futures=10, particles=20) for _ in range(2)
    )
    pd.testing.assert_frame_equal(one, other)


def test_nothing_that_lies_ahead_is_seen() -> None:
    company = setting_of("retail", customers=900, months=6, seed=2).company(0)
    company.live(150)
    history, sight = company.history(), see(company, who=np.arange(1500))
    assert (history.contacts["second"] >= 150 * DAY).any(), "calls that will be made stand in the books already"
    for rows in (sight.visits, sight.incidents):
        assert rows["second"].max() < 150 * DAY
        assert (rows["second"] // DAY < company.state.exits.exit_day[rows["customer"].astype(np.int64)]).all()
    assert max(sight.asked) < 150
    assert sight.last_said.max() < 150
    assert sight.came.sum() <= len(history.visits["customer"])


def test_the_friction_that_is_seen_is_nearly_all_there_is() -> None:
    company = setting_of("retail", customers=800, months=8, seed=2).company(0)
    company.live(200)
    sight = see(company, who=np.arange(800))
    here = company.is_customer(199)
    real, seen = company.state.friction.total()[here], sight.friction.total()[here]
    assert np.corrcoef(real, seen)[0, 1] > 0.9
    assert 0.85 < seen.sum() / real.sum() < 1.02


def test_draws_follow_the_weights() -> None:
    weight = np.array([[0.1, 0.2, 0.7], [1.0, 0.0, 0.0]])
    drawn = draw(weight, size=1000, rng=np.random.default_rng(1))
    shares = np.array([np.bincount(row, minlength=3) for row in drawn]) / 1000
    assert np.abs(shares - weight).max() < 0.002


@pytest.mark.parametrize("asked", [oracle, partial(ceiling, particles=60)], ids=["oracle", "ceiling"])
def test_the_causes_of_silent_leaving_are_parts_of_it(asked: Callable[..., pd.DataFrame]) -> None:
    world = make_world("retail", customers=400, months=9, seed=5)
    question = {"cutoffs": CUTOFF, "customers": range(400), "horizon_days": (90,), "gap_days": (0,), "futures": 25}
    told = asked(world, **question).set_index("customer_id")
    names = [kind.name for kind in world.setting.regime.kinds]
    kinds = [f"p_silent_{name}" for name in names]
    assert (told[kinds].sum(axis=1) <= told["p_silent"] + 1e-9).all()
    assert (told.loc[~told["is_quiet"], kinds] == 0.0).all(axis=None)
    true = world.truth["customers"].to_pandas().set_index("customer_id").reindex(told.index)
    goes = true["exit_time"].between(pd.Timestamp(CUTOFF[0], tz="UTC"), pd.Timestamp("2023-08-30", tz="UTC"))
    known = goes & told["is_quiet"] & true["cause"].isin(names)
    own = [told.at[customer, f"p_silent_{true.at[customer, 'cause']}"] for customer in told.index[known]]
    assert known.sum() > 10
    assert np.mean(own) > 1.5 * told.loc[known, kinds].to_numpy().mean()
