"""Horizon: proposed from the base's gaps and comebacks, learnt before the test period, honest where nothing fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from made_histories import Tables, known_of

from churn.tables.contract import TIME
from churn.tables.history import DAY
from churn.timeline.horizon import (
    CANDIDATES,
    GAP_QUANTILE,
    MOST_COMEBACK,
    Candidate,
    learning_ends,
    propose_horizon,
)

START = 1_672_531_200_000_000  # 1 January 2023


def base(
    *, gap: float, days: int, leaves_after: float = 400.0, customers: int = 300, seed: int = 1, evenness: float = 16.0
) -> Tables:
    """Orders of a base with gaps of `gap` days, more or less even, and lives of `leaves_after` days on average."""
    rng = np.random.default_rng(seed)
    ids, times = [], []
    for code in range(customers):
        joined = rng.uniform(0, days * 0.4)
        moments = joined + np.cumsum(rng.gamma(evenness, gap / evenness, size=int(3 * days / gap) + 5))
        moments = moments[moments < min(days, joined + rng.exponential(leaves_after))]
        ids += [f"c{code:04}"] * len(moments)
        times += (START + moments * DAY).astype(int).tolist()
    time = pa.array(times, pa.int64()).cast(TIME)
    amount = pa.array([1000] * len(ids), pa.int64())
    return {"transactions": pa.table({"customer_id": ids, "time": time, "amount": amount, "available_at": time})}


def proposed(tables: Tables, *, gap_days: int = 0) -> tuple[int, tuple[Candidate, ...], bool]:
    known = known_of(tables)
    return propose_horizon(known.active, starts=known.starts, settled=known.settled, gap_days=gap_days)


@pytest.mark.parametrize(("gap", "horizon"), [(4, 7), (9, 14), (20, 28)])
def test_a_regular_base_gets_the_smallest_horizon_that_covers_its_gaps(gap: float, horizon: int) -> None:
    days, candidates, is_good = proposed(base(gap=gap, days=540))
    assert (days, is_good) == (horizon, True)
    assert [candidate.days for candidate in candidates] == list(CANDIDATES)
    chosen = next(candidate for candidate in candidates if candidate.days == days)
    assert chosen.covers_gaps >= GAP_QUANTILE
    assert chosen.comeback <= MOST_COMEBACK
    assert all(not candidate.is_good for candidate in candidates if candidate.days < days)


def test_a_horizon_whose_leavers_come_back_is_too_short_even_if_it_covers_the_gaps() -> None:
    days, candidates, is_good = proposed(base(gap=9, days=540, evenness=4.0))
    a_fortnight = next(candidate for candidate in candidates if candidate.days == 14)
    assert a_fortnight.covers_gaps >= GAP_QUANTILE
    assert a_fortnight.comeback > MOST_COMEBACK
    assert (days, is_good) == (28, True)


def test_without_a_good_horizon_the_largest_with_enough_history_is_proposed_and_said_not_to_be_good() -> None:
    days, candidates, is_good = proposed(base(gap=60, days=300, leaves_after=4_000))
    assert not is_good
    assert days == max(candidate.days for candidate in candidates if candidate.is_enough_history)


def test_with_hardly_any_history_the_smallest_is_proposed_and_said_not_to_be_good() -> None:
    days, candidates, is_good = proposed(base(gap=3, days=20))
    assert (days, is_good) == (CANDIDATES[0], False)
    assert not any(candidate.is_enough_history for candidate in candidates)


def test_a_gap_before_the_window_costs_history() -> None:
    tables = base(gap=9, days=200)
    enough = [sum(candidate.is_enough_history for candidate in proposed(tables, gap_days=gap)[1]) for gap in (0, 30)]
    assert enough[0] > enough[1]


def test_gaps_that_still_run_are_counted_or_slow_customers_would_seem_fast() -> None:
    """Half of the base comes every 5 days, half every 50: of completed gaps alone nine tenths are short."""
    fast, slow = base(gap=5, days=400, leaves_after=1e6), base(gap=50, days=400, leaves_after=1e6, seed=2)
    renamed = slow["transactions"].set_column(
        0, "customer_id", pa.array([f"s{i}" for i in slow["transactions"]["customer_id"].to_pylist()])
    )
    _, candidates, _ = proposed({"transactions": pa.concat_tables([fast["transactions"], renamed])})
    of_a_week = {candidate.days: candidate.covers_gaps for candidate in candidates}
    assert 0.4 < of_a_week[14] < 0.6, "one weight per customer, running gaps censored"
    assert of_a_week[91] > 0.9


def test_the_test_period_teaches_nothing() -> None:
    tables = base(gap=9, days=540)
    known = known_of(tables)
    ends = learning_ends(starts=known.starts, settled=known.settled)
    assert ends < known.settled - 3 * DAY
    before = known.active.keep(known.active.time < ends)
    asked = {"starts": known.starts, "settled": known.settled}
    # As text: a comeback of nobody is NaN, which equals nothing.
    assert str(propose_horizon(known.active, **asked)) == str(propose_horizon(before, **asked))


def test_orders_that_became_known_later_teach_nothing_either() -> None:
    known = known_of(base(gap=9, days=540))
    ends = learning_ends(starts=known.starts, settled=known.settled)
    active, asked = known.active, {"starts": known.starts, "settled": known.settled}
    is_late = (active.time > ends - 60 * DAY) & (active.time < ends) & (active.customer % 3 == 0)
    late = replace(active, known=np.where(is_late, ends + 1, active.known))
    assert str(propose_horizon(late, **asked)) == str(propose_horizon(active.keep(~is_late), **asked))
    assert str(propose_horizon(late, **asked)) != str(propose_horizon(active, **asked))


def test_nobody_active_proposes_the_smallest_without_a_warning() -> None:
    days, candidates, is_good = proposed({"transactions": base(gap=9, days=100)["transactions"].slice(0, 0)})
    assert (days, is_good) == (CANDIDATES[0], False)
    assert {candidate.covers_gaps for candidate in candidates} == {0.0}
