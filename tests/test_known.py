"""What is known and the frame made of it: nothing later than the cutoff, labels as of their own moment."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from made_histories import codes, cutoff, every, known_of, moment, purchases, table, who
from made_project import Project

from churn.config import load_config
from churn.models.frame import everybody_at, learn_prior, outcomes_of, rows, rows_at
from churn.models.known import STANDING_COLUMNS, Known, prepare
from churn.models.target import Target
from churn.tables.history import DAY
from churn.tables.sources import read_tables
from churn.timeline.rhythm import Prior

AT = cutoff("2024-06-01", horizon=28)
PRIOR = Prior(1.0, 10.0)
TARGET = Target("purchases", 28, 0, "rhythm", "hard", "UTC")
PAST = every(7, first="2024-01-01", until="2024-06-01")
LATER = moment("2025-01-01")


def frame_of(known: Known, *ids: str) -> pd.DataFrame:
    return rows_at(known, AT, codes=codes(known, *ids), prior=PRIOR)


def coverage() -> Known:
    return known_of({
        "transactions": purchases(ana="2024-01-01"),
        "contacts": table("contacts", "customer_id time is_complaint", "ana 2024-02-01 no", "ana 2024-01-10 no"),
        "visits": table("visits", "customer_id time available_at",
                        "ana 2024-01-05 2024-03-01", "ana 2024-01-20 2024-01-20"),
        "feedback": table("feedback", "customer_id time kind author",
                          "ana 2024-01-02 csat other", "ana 2024-01-03 csat self"),
        "incidents": table("incidents", "customer_id time kind", "ana 2024-01-15 late"),
    }, covers_from={"incidents": dt.date(2023, 1, 1)})  # fmt: skip


def test_who_is_who_and_who_spoke_is_told_by_few_columns(project: Project) -> None:
    """What is prepared of the columns that `churn check` holds is what is prepared of all."""
    config = load_config(project.config)
    tables, _ = read_tables(config)
    few = {
        name: table.select([each for each in table.column_names if each in STANDING_COLUMNS.get(name, [each])])
        for name, table in tables.items()
    }
    whole, narrow = prepare(tables, config=config), prepare(few, config=config)
    assert few["transactions"].num_columns < tables["transactions"].num_columns
    assert narrow.customers.equals(whole.customers)
    assert narrow.base.to_dict() == whole.base.to_dict()
    for name in ("active", "bought", "returned", "voice"):
        one, other = getattr(narrow, name), getattr(whole, name)
        for what in ("starts", "time", "known"):
            np.testing.assert_array_equal(getattr(one, what), getattr(other, what))
        for column, values in one.columns.items():
            np.testing.assert_array_equal(values, other.columns[column])


def test_a_table_covers_from_its_first_row_that_was_visible_then_unless_it_is_configured() -> None:
    assert coverage().covered_at(moment("2024-02-15")) == {
        "transactions": moment("2024-01-01"), "contacts": moment("2024-01-10"), "visits": moment("2024-01-20"),
        "feedback": moment("2024-01-02"), "incidents": moment("2023-01-01"),
    }  # fmt: skip
    assert coverage().covered_at(moment("2024-03-01"))["visits"] == moment("2024-01-05"), "once the late row is known"


def test_a_table_without_a_visible_row_covers_nothing_yet() -> None:
    at = moment("2024-01-10")
    assert coverage().covered_at(at)["contacts"] == at, "a row exactly at the cutoff is the future"
    assert coverage().covered_at(at)["incidents"] == moment("2023-01-01"), "configured"


def test_customers_are_heard_from_their_own_first_words_on() -> None:
    heard = {"contacts": moment("2024-01-10"), "feedback": moment("2024-01-03")}
    assert coverage().heard_from(moment("2024-02-15")) == heard


def test_the_data_end_just_after_the_last_activity_whatever_else_goes_on() -> None:
    known = known_of({
        "transactions": purchases(ana="2024-01-01 2024-03-01T15:00"),
        "contacts": table("contacts", "customer_id time is_complaint", "ana 2024-12-01 no"),
    })  # fmt: skip
    assert known.settled == moment("2024-03-01T15:00") + 1
    assert known.ends == moment("2024-03-02")


def test_without_any_activity_there_is_no_time() -> None:
    known = known_of({"transactions": purchases()})
    assert (known.starts, known.ends, known.settled, len(known.customers)) == (0, 0, 0, 0)


def test_simple_figures_of_one_customer() -> None:
    bought = table(
        "transactions", "customer_id time amount",
        "ana 2023-11-01 99.00", "ana 2024-04-10 10.00", "ana 2024-05-10 20.00", "ana 2024-05-10T12:00 5.00",
        "ana 2024-05-22 7.01", "ana 2024-06-01 1000.00",
    )  # fmt: skip
    told = frame_of(known_of({"transactions": bought}), "ana").iloc[0]
    assert told["active_days"] == 4
    assert told["tenure_days"] == (moment("2024-05-22") - moment("2023-11-01")) / DAY
    assert told["days_since_last"] == 10
    assert told["spend_mean"] == (99 + 10 + 25 + 7.01) / 4
    assert told["spend_sum_180"] == 42.01, "whole cents, summed exactly"
    assert (told["days_recent"], told["days_before"]) == (2, 1)
    assert told["own_gap"] == pytest.approx((10 + told["tenure_days"]) / 4)
    assert told["expected_spend"] == pytest.approx(28 / told["own_gap"] * told["spend_mean"])
    assert 0 < told["p_no_visit_by_rhythm"] < 1


def test_spend_is_that_of_purchases_also_where_coming_means_visiting() -> None:
    tables = {
        "transactions": purchases(ana="2024-04-10 2024-05-10"),
        "visits": table("visits", "customer_id time", "ana 2024-04-10", "ana 2024-04-20", "ana 2024-05-10",
                        "ana 2024-05-20"),
    }  # fmt: skip
    bought = frame_of(known_of(tables), "ana").iloc[0]
    visited = frame_of(known_of(tables, activity="visits"), "ana").iloc[0]
    assert (bought["active_days"], visited["active_days"]) == (2, 4)
    assert visited["spend_sum_180"] == bought["spend_sum_180"] > 0
    assert visited["spend_mean"] == bought["spend_mean"] / 2, "spend of a day on which she comes"
    assert visited["expected_spend"] == pytest.approx(visited["expected_days"] * visited["spend_mean"])


@pytest.mark.parametrize(
    ("row", "is_treated", "is_treated_since"),
    [
        ("2024-05-04 2024-05-04 -", True, False),  # a horizon before the cutoff
        ("2024-05-03T23:59:59.999999 2024-05-04 -", False, False),
        ("2024-05-31T23:59:59.999999 2024-06-01 -", True, False),
        ("2024-05-20 2024-06-01T00:00:00.000001 -", False, False),  # not known at the cutoff
        ("2024-06-01 2024-06-01 -", False, True),  # exactly at the cutoff is the future
        ("2024-06-28T23:59:59.999999 2024-06-29 no", False, True),
        ("2024-06-29 2024-06-29 -", False, False),
        ("2024-05-20 2024-05-20 yes", False, False),  # a control was left alone
    ],
)
def test_treated_at_the_cutoff_and_treated_since_are_two_things(
    row: str, is_treated: bool, is_treated_since: bool
) -> None:
    time, known_at, is_control = row.split()
    known = known_of({
        "transactions": purchases(ana=PAST, bea=PAST),
        "treatments": table("treatments", "customer_id time available_at kind is_control",
                            f"ana {time} {known_at} call {is_control}"),
    })  # fmt: skip
    frame = frame_of(known, "ana", "bea")
    told = outcomes_of(known, TARGET, frame, known_by=LATER, prior=PRIOR)
    assert frame["is_treated"].tolist() == [is_treated, False]
    assert told["is_treated_since"].tolist() == [is_treated_since, False]


def test_labels_count_only_what_was_known_when_they_are_taken() -> None:
    known = known_of({
        "transactions": table(
            "transactions", "customer_id time available_at amount",
            *(f"{name} {day} {day} 1.00" for name in ("ana", "bea") for day in PAST.split()),
            "ana 2024-06-10 2024-06-10 1.00", "bea 2024-06-10 2024-07-15 1.00",
        ),
        "contacts": table("contacts", "customer_id time available_at is_complaint",
                          "ana 2024-06-05 2024-07-20 yes", "bea 2024-06-05 2024-06-05 yes"),
    })  # fmt: skip
    frame = frame_of(known, "ana", "bea")
    early = outcomes_of(known, TARGET, frame, known_by=AT.closes, prior=PRIOR)
    late = outcomes_of(known, TARGET, frame, known_by=LATER, prior=PRIOR)
    assert early["has_left"].tolist() == [False, True]
    assert late["has_left"].tolist() == [False, False]
    assert early["has_spoken"].tolist() == [False, True]
    assert late["has_spoken"].tolist() == [True, True]


@pytest.mark.parametrize(
    ("when", "has_spoken"),
    [
        ("2024-05-31T23:59:59.999999", False),
        ("2024-06-01", True),
        ("2024-06-28T23:59:59.999999", True),
        ("2024-06-29", False),
    ],
)
def test_an_outcome_is_vocal_if_she_spoke_between_the_cutoff_and_the_close(when: str, has_spoken: bool) -> None:
    contacts = table("contacts", "customer_id time is_complaint", f"ana {when} yes")
    known = known_of({"transactions": purchases(ana=PAST), "contacts": contacts})
    told = outcomes_of(known, TARGET, frame_of(known, "ana"), known_by=LATER, prior=PRIOR)
    assert told["has_spoken"].tolist() == [has_spoken]


def test_rows_are_the_eligible_sorted_by_customer_and_cutoff() -> None:
    known = known_of({"transactions": purchases(bea=PAST, ana=PAST, once="2024-02-01")})
    frame = rows(known, TARGET, [AT, cutoff("2024-05-01")], prior=PRIOR)
    ids = known.customers.take(pa.array(frame["customer"])).to_pylist()
    assert ids == ["ana", "ana", "bea", "bea"]
    assert frame["at"].tolist() == [moment("2024-05-01"), AT.at] * 2
    assert rows(known, TARGET, [], prior=PRIOR).empty


def test_everybody_ever_active_before_the_cutoff_is_there_for_the_base_models() -> None:
    known = known_of({"transactions": purchases(ana=PAST, once="2022-02-01", future="2024-06-01")})
    assert who(known, np.isin(np.arange(3), everybody_at(known, AT, prior=PRIOR)["customer"])) == {"ana", "once"}


def test_the_prior_is_learnt_from_the_past_alone() -> None:
    past = {f"c{number}": every(5 + number, first="2024-01-01", until="2024-06-01") for number in range(12)}
    more = {name: f"{days} {every(1, first='2024-06-01', until='2024-09-01')}" for name, days in past.items()}
    before, after = (known_of({"transactions": purchases(**days)}) for days in (past, more))
    assert learn_prior(before, AT.at) == learn_prior(after, AT.at)


def test_the_prior_knows_nothing_of_an_archive_that_came_later() -> None:
    days = purchases(ana=every(3, first="2022-06-01", until="2024-09-01"))
    archived = purchases(old="2022-01-05 2022-02-07")
    late = pa.array([AT.at + DAY] * 2).cast(archived.schema.field("available_at").type)
    archived = archived.set_column(archived.column_names.index("available_at"), "available_at", late)
    alone, with_archive = (known_of({"transactions": pa.concat_tables(part)}) for part in ([days], [days, archived]))
    assert with_archive.starts < alone.starts
    assert learn_prior(with_archive, AT.at) == learn_prior(alone, AT.at)
    assert learn_prior(alone, AT.at).season != (1.0,) * 12


@pytest.mark.parametrize("table_name", ["transactions", "contacts", "treatments", "invitations"])
def test_no_figure_at_the_cutoff_changes_with_what_comes_after_it(table_name: str) -> None:
    tables = {
        "transactions": purchases(ana=PAST, bea=PAST),
        "contacts": table("contacts", "customer_id time is_complaint", "ana 2024-02-01 yes"),
        "treatments": table("treatments", "customer_id time kind", "bea 2024-05-20 call"),
        "invitations": table("invitations", "customer_id time answered_at", "bea 2024-05-20 -"),
    }
    future = {
        "transactions": purchases(ana=every(1, first="2024-06-01", until="2024-07-01")),
        "contacts": table("contacts", "customer_id time is_complaint", "bea 2024-06-01 yes"),
        "treatments": table("treatments", "customer_id time kind", "ana 2024-06-01 call"),
        "invitations": table("invitations", "customer_id time answered_at", "ana 2024-06-01 2024-06-02"),
    }
    longer = tables | {table_name: pa.concat_tables([tables[table_name], future[table_name]])}
    pd.testing.assert_frame_equal(frame_of(known_of(tables), "ana", "bea"), frame_of(known_of(longer), "ana", "bea"))


def test_expected_spend_is_net_of_what_was_returned() -> None:
    bought = table(
        "transactions", "customer_id time amount",
        "ana 2024-01-01 100.00", "ana 2024-02-01 100.00", "ana 2024-02-10 -80.00", "ana 2024-06-01 -90.00",
    )  # fmt: skip
    known = known_of({"transactions": bought})
    at = cutoff("2024-03-01", horizon=30)
    told = rows_at(known, at, codes=np.array([0]), prior=PRIOR).iloc[0]
    assert told["expected_spend"] == pytest.approx(told["expected_days"] * (200 - 80) / 2)
    assert told["spend_mean"] == pytest.approx(100)
