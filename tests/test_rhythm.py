"""Rhythm: active days, the prior, the chance of a visit, and the season of the base."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from made_histories import events, every, known_of, moment, purchases, table
from scipy import integrate, stats

from churn.tables.history import DAY
from churn.tables.orders import orders_of
from churn.timeline import rhythm
from churn.timeline.rhythm import (
    Pace,
    Prior,
    expected_days,
    fit_prior,
    own_gap,
    p_no_visit,
    pace,
    season_factor,
    season_index,
)


def active(transactions: pa.Table, *, timezone: str = "UTC") -> pa.Table:
    return rhythm.purchases(orders_of(transactions, customers=pa.array(["ana"])), timezone=timezone)


def test_only_purchases_are_activity_neither_returns_nor_free_orders() -> None:
    bought = table(
        "transactions", "customer_id time amount is_return",
        "ana 2024-01-01 10.00 no", "ana 2024-01-02 -5.00 -", "ana 2024-01-03 7.00 yes", "ana 2024-01-04 0.00 no",
    )  # fmt: skip
    coming = active(bought)
    assert coming.time.tolist() == [moment("2024-01-01")]
    assert coming.columns["spend"].tolist() == [1000]


def test_visits_can_be_the_activity() -> None:
    came = table("visits", "customer_id time", "ana 2024-01-01", "ana 2024-01-01T09:00", "ana 2024-01-05")
    coming = rhythm.visits(came, customers=pa.array(["ana"]), timezone="UTC")
    assert pace(coming, moment("2024-02-01")).days.tolist() == [2]


def test_days_are_the_projects_local_days() -> None:
    late_evening = purchases(ana="2024-07-01T21:30 2024-07-01T22:30")
    assert pace(active(late_evening), moment("2024-08-01")).days.tolist() == [1]
    assert pace(active(late_evening, timezone="Europe/Berlin"), moment("2024-08-01")).days.tolist() == [2]


def test_pace_sees_what_is_before_the_cutoff_and_known_by_it() -> None:
    bought = table(
        "transactions", "customer_id time available_at amount",
        "ana 2024-01-01 2024-01-01 1.00",
        "ana 2024-01-05 2024-02-01 1.00",  # known exactly at the cutoff: visible
        "ana 2024-01-06 2024-02-01T00:00:00.000001 1.00",  # a microsecond later: not
        "ana 2024-01-31T23:59:59.999999 2024-01-31T23:59:59.999999 1.00",
        "ana 2024-02-01 2024-02-01 1.00",  # exactly at the cutoff is the future
    )  # fmt: skip
    seen = pace(active(bought), moment("2024-02-01"))
    assert seen.days.tolist() == [3]
    assert seen.first.tolist() == [moment("2024-01-01")]
    assert seen.last.tolist() == [moment("2024-02-01") - 1]


def test_own_gap_is_shrunk_less_the_more_is_known() -> None:
    prior = Prior(shape=1.0, days=10.0)
    once, often = own_gap(np.array([1.0, 11.0]), np.array([0.0, 300.0]), prior)
    assert once == 10.0, "the base's word alone"
    assert often == pytest.approx(310 / 11), "ten gaps of 30 days, and one of 10"


def test_chance_of_no_visit_is_the_mean_over_her_possible_rates() -> None:
    prior = Prior(shape=1.3, days=41.0)
    posterior = stats.gamma(a=1.3 + 4, scale=1 / (41.0 + 90.0))
    expected, _ = integrate.quad(lambda rate: np.exp(-rate * 60 * 0.8) * posterior.pdf(rate), 0, 2)
    found = p_no_visit(np.array([5.0]), np.array([90.0]), prior, window_days=60, season=0.8)
    assert found[0] == pytest.approx(expected, rel=1e-9)
    assert expected_days(np.array([5.0]), np.array([90.0]), prior, window_days=60, season=0.8)[0] == pytest.approx(
        60 * 0.8 * posterior.mean()
    )


def test_prior_is_found_again_in_a_base_drawn_from_it() -> None:
    rng = np.random.default_rng(5)
    rates = rng.gamma(2.0, 1 / 60.0, size=4_000)
    gaps = rng.integers(1, 8, size=4_000)
    tenure = rng.gamma(gaps, 1 / rates)
    prior = fit_prior(Pace(gaps + 1, np.zeros(4_000, np.int64), (tenure * DAY).astype(np.int64)))
    assert prior.shape == pytest.approx(2.0, rel=0.1)
    assert prior.days == pytest.approx(60.0, rel=0.1)


def test_nine_customers_with_a_gap_are_too_few_for_a_prior() -> None:
    days = np.full(9, 5)
    assert fit_prior(Pace(days, np.zeros(9, np.int64), np.full(9, 40 * DAY))) == Prior(1.0, 30.0)
    days = np.full(10, 5)
    assert fit_prior(Pace(days, np.zeros(10, np.int64), np.full(10, 40 * DAY))) != Prior(1.0, 30.0)


def test_season_knows_the_month_in_which_the_base_comes_twice_as_often() -> None:
    often = every(5, first="2022-01-03", until="2024-01-01").split()
    december = [f"{year}-12-{day:02}" for year in (2022, 2023) for day in range(1, 31)]
    known = known_of({"transactions": purchases(ana=" ".join(sorted({*often, *december})))})
    season = season_index(known.active, starts=known.starts, at=moment("2024-01-01"))
    assert season[11] == max(season)
    assert season[11] > 1.5
    assert np.mean(season) == pytest.approx(1.0)
    prior = Prior(1.0, 30.0, season)
    assert season_factor(prior, moment("2024-12-01"), moment("2025-01-01")) == pytest.approx(season[11])
    assert season_factor(prior, moment("2024-11-16"), moment("2024-12-16")) == pytest.approx(
        (season[10] + season[11]) / 2
    )


def test_growth_of_the_base_is_no_season() -> None:
    new = {
        f"c{month:02}": every(7, first=f"{2022 + month // 12}-{month % 12 + 1:02}-01", until="2024-01-01")
        for month in range(24)
    }
    known = known_of({"transactions": purchases(**new)})
    season = season_index(known.active, starts=known.starts, at=moment("2024-01-01"))
    assert max(season) - min(season) < 0.15


def test_a_year_of_months_with_three_before_each_knows_a_season() -> None:
    known = known_of({"transactions": purchases(ana=every(3, first="2023-01-01", until="2024-04-01"))})
    assert season_index(known.active, starts=known.starts, at=moment("2024-03-01")) == (1.0,) * 12
    assert season_index(known.active, starts=known.starts, at=moment("2024-04-01")) != (1.0,) * 12


def test_season_does_not_see_the_future() -> None:
    past = every(6, first="2022-01-03", until="2024-01-01")
    at = moment("2024-01-01")
    one, two = (
        known_of({"transactions": purchases(ana=f"{past} {later}")})
        for later in ("2024-01-01", every(1, first="2024-01-01", until="2024-06-01"))
    )
    assert season_index(one.active, starts=one.starts, at=at) == season_index(two.active, starts=two.starts, at=at)


def test_months_in_which_nothing_was_known_give_no_season_and_no_warning() -> None:
    rows = [f"ana 2022-01-{day:02} 2023-06-01 1.00" for day in range(1, 20)]
    known = known_of({"transactions": table("transactions", "customer_id time available_at amount", *rows)})
    assert season_index(known.active, starts=known.starts, at=moment("2023-05-15")) == (1.0,) * 12
    assert season_index(known.active, starts=known.starts, at=moment("2023-07-15")) == (1.0,) * 12


def test_of_nobody_there_is_a_pace_too() -> None:
    nobody = events(purchases(), ["ana"])
    nobody.columns["day"] = np.zeros(0, np.int64)
    assert pace(nobody, moment("2024-01-01")).days.tolist() == [0]
