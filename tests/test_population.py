"""Population: who a prediction makes sense for at a cutoff, rule by rule, to the microsecond."""

from __future__ import annotations

import numpy as np
import pytest
from made_histories import codes, cutoff, every, known_of, moment, purchases, table

from churn.errors import TableError
from churn.models.frame import why_not
from churn.models.known import Known
from churn.models.target import Target
from churn.timeline.cutoffs import Cutoff
from churn.timeline.population import REASONS, counts_of
from churn.timeline.rhythm import Prior

PRIOR = Prior(shape=1.0, days=10.0)
AT = cutoff("2024-06-01", horizon=28)


def target(population: str = "rhythm", *, horizon: int = 28, gap: int = 0) -> Target:
    return Target("purchases", horizon, gap, population, "hard", "UTC")


def reasons(known: Known, at: Cutoff = AT, *, population: str = "rhythm") -> dict[str, str]:
    asked = target(population, horizon=at.horizon_days, gap=at.gap_days)
    found = why_not(known, asked, at, prior=PRIOR)
    return dict(zip(known.customers.to_pylist(), found.tolist(), strict=True))


def test_each_rule_names_its_reason() -> None:
    known = known_of({
        "transactions": purchases(
            regular=every(7, first="2024-01-01", until="2024-06-01"),
            young=every(5, first="2024-05-10", until="2024-06-01"),
            once="2024-02-01",
            gone=every(7, first="2024-01-01", until="2024-03-01"),
            closed=every(7, first="2024-01-01", until="2024-06-01"),
            opted=every(7, first="2024-01-01", until="2024-06-01"),
            future="2024-06-01 2024-06-08",
        ),
        "customers": table("customers", "customer_id closed_at opted_out_at",
                           "closed 2024-05-20 -", "opted - 2024-05-20", "stranger - -"),
    })  # fmt: skip
    assert reasons(known) == {
        "regular": "", "young": "too_new", "once": "one_timer", "gone": "already_gone", "closed": "closed",
        "opted": "opted_out", "future": "never_active", "stranger": "never_active",
    }  # fmt: skip
    counts = counts_of(why_not(known, target(), AT, prior=PRIOR))
    assert counts["eligible"] == 1
    assert sum(counts.values()) == len(known.customers)
    assert set(counts) - {"eligible"} <= set(REASONS)


@pytest.mark.parametrize(
    ("second", "reason"),
    [("2024-05-31T23:59:59.999999", ""), ("2024-06-01", "one_timer"), ("2024-06-01T00:00:00.000001", "one_timer")],
)
def test_a_second_active_day_counts_a_microsecond_before_the_cutoff_and_not_at_it(second: str, reason: str) -> None:
    assert reasons(known_of({"transactions": purchases(ana=f"2024-04-20 {second}")})) == {"ana": reason}


def test_a_late_row_does_not_count_until_it_is_known() -> None:
    def bought(known_at: str) -> Known:
        rows = ("ana 2024-04-20 2024-04-20 1.00", f"ana 2024-05-20 {known_at} 1.00")
        return known_of({"transactions": table("transactions", "customer_id time available_at amount", *rows)})

    assert reasons(bought("2024-06-01")) == {"ana": ""}
    assert reasons(bought("2024-06-01T00:00:00.000001")) == {"ana": "one_timer"}


@pytest.mark.parametrize(("clock", "reason"), [("2024-05-31T23:59:59.999999", "closed"), ("2024-06-01", "")])
def test_closing_exactly_at_the_cutoff_is_the_future(clock: str, reason: str) -> None:
    known = known_of({
        "transactions": purchases(ana=every(7, first="2024-01-01", until="2024-06-01")),
        "customers": table("customers", "customer_id closed_at", f"ana {clock}"),
    })  # fmt: skip
    assert reasons(known) == {"ana": reason}


@pytest.mark.parametrize(
    ("horizon", "first", "reason"),
    [
        (28, "2024-05-02", ""),  # 30 days ago
        (28, "2024-05-02T00:00:00.000001", "too_new"),
        (100, "2024-04-12", ""),  # half of the horizon
        (100, "2024-04-12T00:00:00.000001", "too_new"),
    ],
)
def test_she_must_be_known_for_thirty_days_or_half_a_horizon(horizon: int, first: str, reason: str) -> None:
    known = known_of({"transactions": purchases(ana=f"{first} 2024-05-28")})
    assert reasons(known, cutoff("2024-06-01", horizon=horizon)) == {"ana": reason}


@pytest.mark.parametrize(
    ("gap_days", "silent_days", "reason"),
    [
        (2, 14, ""),  # three times her own gap is 8 days and a bit: the floor of 14 days holds
        (2, 15, "already_gone"),
        (10, 30, ""),  # ten days are her own gap and the base's
        (10, 31, "already_gone"),
        (40, 56, ""),  # three times her own gap would be over 90 days: the ceiling of two horizons holds
        (40, 57, "already_gone"),
    ],
)
def test_patience_is_three_of_her_own_gaps_between_14_days_and_two_horizons(
    gap_days: int, silent_days: int, reason: str
) -> None:
    last = np.datetime64("2024-06-01") - np.timedelta64(silent_days, "D")
    days = " ".join(str(last - np.timedelta64(gap_days * back, "D")) for back in range(9, -1, -1))
    assert reasons(known_of({"transactions": purchases(ana=days)})) == {"ana": reason}


def test_population_by_orders_counts_orders_in_the_last_days() -> None:
    known = known_of({
        "transactions": purchases(
            edge="2024-05-02 2024-05-30", before="2024-05-01T23:59:59.999999 2024-05-30", one="2024-05-30",
            late="2024-06-01", same_day="2024-05-30T08:00 2024-05-30T09:00",
        )
    })  # fmt: skip
    assert reasons(known, population="active:30:2") == {
        "edge": "", "before": "not_active", "one": "not_active", "late": "never_active", "same_day": "",
    }  # fmt: skip
    assert reasons(known, population="active:30")["one"] == ""


CONTRACTS = table(
    "subscriptions", "customer_id start end ended_at ended_how available_at",
    "ends 2024-01-01 2024-06-15 - - 2024-01-01",
    "later 2024-01-01 2024-12-31 - - 2024-01-01",
    "past 2023-01-01 2024-01-01 - - 2023-01-01",
    "opening 2024-01-01 2024-06-01 - - 2024-01-01",  # the first moment inside the window
    "closing 2024-01-01 2024-06-29 - - 2024-01-01",  # the first moment outside
    "cancelled 2024-01-01 2024-06-15 2024-05-31 cancel 2024-01-01",
    "cancels 2024-01-01 2024-06-15 2024-06-01 cancel 2024-01-01",  # at the cutoff: still running
    "unheard 2024-01-01 2024-06-15 - - 2024-06-02",  # the row arrives after the cutoff
    "starts 2024-06-01 2024-06-15 - - 2024-06-01",
)  # fmt: skip


def test_contracts_must_run_at_the_cutoff_and_end_in_the_window() -> None:
    known = known_of({"transactions": purchases(ends="2024-01-01"), "subscriptions": CONTRACTS}, population="contract")
    assert reasons(known, population="contract") == {
        "ends": "", "later": "not_ending", "past": "no_contract", "opening": "", "closing": "not_ending",
        "cancelled": "no_contract", "cancels": "", "unheard": "never_active", "starts": "never_active",
    }  # fmt: skip


def test_a_contractual_population_without_contracts_is_refused() -> None:
    known = known_of({"transactions": purchases(ana="2024-01-01")}, population="contract")
    with pytest.raises(TableError, match=r"needs contracts: add \[tables.subscriptions\]"):
        reasons(known, population="contract")


def test_unknown_ids_have_the_code_minus_one() -> None:
    known = known_of({"transactions": purchases(ana="2024-01-01", bea="2024-01-01")})
    assert codes(known, "bea", "nobody", "ana").tolist() == [1, -1, 0]
    assert known.starts == moment("2024-01-01")
