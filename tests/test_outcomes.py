"""Outcomes: who leaves in the window, who was heard, and who could have been heard at all."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from made_histories import Tables, cutoff, every, known_of, moment, purchases, table, who

from churn.models.frame import came_after, outcomes_of, rows_at
from churn.models.known import Known
from churn.models.target import Target
from churn.tables.history import NEVER
from churn.timeline.cutoffs import Cutoff
from churn.timeline.outcomes import (
    VOICE_DAYS,
    first_coming,
    has_lapsed,
    has_left,
    has_left_partly,
    spoke,
    voice_starts,
    voice_status,
)
from churn.timeline.rhythm import Prior, pace

AT = cutoff("2024-06-01", horizon=28, gap=7)
OPENS, CLOSES = "2024-06-08", "2024-07-06"
LATER = moment("2025-01-01")
PAST = every(7, first="2024-01-01", until="2024-06-01")
PRIOR = Prior(1.0, 10.0)
TARGET = Target("purchases", 28, 7, "rhythm", "hard", "UTC")


def leavers(known: Known, *, at: Cutoff = AT, known_by: int = LATER) -> set[str]:
    return who(known, has_left(known.active, at, standing=known.standing, known_by=known_by))


@pytest.mark.parametrize(
    ("visit", "is_leaver"),
    [
        ("2024-06-07T23:59:59.999999", True),  # in the gap: too early to count
        (OPENS, False),
        ("2024-07-05T23:59:59.999999", False),
        (CLOSES, True),
        (f"{CLOSES}T00:00:00.000001", True),
    ],
)
def test_an_order_counts_from_the_opening_to_a_microsecond_before_the_close(visit: str, is_leaver: bool) -> None:
    assert ("ana" in leavers(known_of({"transactions": purchases(ana=f"{PAST} {visit}")}))) == is_leaver


@pytest.mark.parametrize(
    ("closed", "is_leaver"),
    [
        ("2024-05-31T23:59:59.999999", False),  # before the cutoff: no longer eligible, no outcome either
        ("2024-06-01", True),
        ("2024-06-04", True),  # in the gap
        ("2024-07-05T23:59:59.999999", True),
        (CLOSES, False),
    ],
)
def test_closing_between_the_cutoff_and_the_close_is_leaving_whatever_she_buys(closed: str, is_leaver: bool) -> None:
    known = known_of({
        "transactions": purchases(ana=f"{PAST} {OPENS}"),
        "customers": table("customers", "customer_id closed_at", f"ana {closed}"),
    })  # fmt: skip
    assert ("ana" in leavers(known)) == is_leaver


def test_a_row_of_the_window_counts_only_once_it_is_known() -> None:
    rows = [f"ana {OPENS} 2024-08-01 1.00", f"bea {OPENS} {OPENS} 1.00"]
    known = known_of({"transactions": table("transactions", "customer_id time available_at amount", *rows)})
    assert leavers(known, known_by=moment("2024-08-01") - 1) == {"ana"}
    assert leavers(known, known_by=moment("2024-08-01")) == set()


@pytest.mark.parametrize(
    ("visit", "known_by", "is_known"),
    [
        ("2024-06-10", "2024-06-10", False),  # at the moment of learning: not past yet
        ("2024-06-09T23:59:59.999999", "2024-06-10", True),
        ("2024-06-07T23:59:59.999999", "2024-06-10", False),  # in the gap
        (OPENS, "2024-06-10", True),
        ("2024-07-05T23:59:59.999999", "2024-08-01", True),
        (CLOSES, "2024-08-01", False),
    ],
)
def test_who_came_so_far_is_who_came_in_the_window_before_the_moment(visit: str, known_by: str, is_known: bool) -> None:
    known = known_of({"transactions": purchases(ana=f"{PAST} {visit}")})
    first = first_coming(known.active, AT, known_by=moment(known_by))
    assert (first < NEVER).tolist() == [is_known]


def test_coming_counts_from_when_it_was_known_and_by_the_first_row_that_was() -> None:
    """Her first order of the window arrives late; one that came after it was known earlier."""
    rows = [f"ana {OPENS} 2024-08-01 1.00", "ana 2024-06-20 2024-06-25 1.00", "bea 2024-06-12 2024-06-12 1.00"]
    known = known_of({"transactions": table("transactions", "customer_id time available_at amount", *rows)})
    told = {
        by: first_coming(known.active, AT, known_by=moment(by)) for by in ("2024-06-24", "2024-06-25", "2024-09-01")
    }
    bea = moment("2024-06-12") + 1  # a row at the very moment is future
    assert told["2024-06-24"].tolist() == [NEVER, bea]
    assert told["2024-06-25"].tolist() == told["2024-09-01"].tolist() == [moment("2024-06-25"), bea]
    frame = pd.DataFrame({"customer": [1, 0], "at": AT.at})
    after = came_after(known, TARGET, frame, known_by=moment("2024-06-24"))
    assert after.tolist() == [pytest.approx(4, abs=1e-9), np.inf]


def test_partial_leaving_is_coming_far_less_than_before() -> None:
    daily = every(2, first="2024-01-01", until="2024-06-01")
    known = known_of({
        "transactions": purchases(
            as_ever=f"{daily} {every(2, first=OPENS, until=CLOSES)}",
            rarely=f"{daily} 2024-06-10 2024-06-20",
            never=daily,
            slow="2024-01-05 2024-03-20 2024-05-30 2024-06-20",  # one visit is what was to be expected of her
        )
    })  # fmt: skip
    seen = pace(known.active, AT.at)
    partly = has_left_partly(known.active, seen, AT, prior=PRIOR, season=1.0, known_by=LATER)
    assert who(known, partly) == {"rarely"}
    target = Target("purchases", 28, 7, "rhythm", "hard+partial", "UTC")
    frame = rows_at(known, AT, codes=np.arange(4), prior=PRIOR)
    told = outcomes_of(known, target, frame, known_by=LATER, prior=PRIOR)
    assert who(known, told["has_left"].to_numpy()) == {"rarely", "never"}


def test_partial_leaving_is_also_spending_far_less_than_in_her_own_worst_months() -> None:
    def bought(amount: str) -> list[str]:
        past = [f"{day} 20.00" for day in every(7, first="2023-10-02", until="2024-06-01").split()]
        return past + [f"{day} {amount}" for day in every(7, first=OPENS, until=CLOSES).split()]

    rows = [f"ana {row}" for row in bought("1.00")] + [f"bea {row}" for row in bought("15.00")]
    known = known_of({"transactions": table("transactions", "customer_id time amount", *rows)})
    partly = has_left_partly(known.active, pace(known.active, AT.at), AT, prior=PRIOR, season=1.0, known_by=LATER)
    assert who(known, partly) == {"ana"}, "she comes as often, and buys next to nothing"


def lapsed(*rows: str, at: Cutoff = AT, known_by: int = LATER) -> set[str]:
    header = "customer_id start end ended_at ended_how available_at"
    known = known_of({
        "transactions": purchases(ana="2024-01-01"), "subscriptions": table("subscriptions", header, *rows)
    })  # fmt: skip
    return who(known, has_lapsed(known.events["subscriptions"], at, known_by=known_by))


ENDING = "ana 2024-01-01 2024-06-15 - - 2024-01-01"


@pytest.mark.parametrize(
    ("renewal", "is_leaver"),
    [
        ("ana 2024-06-15 2025-06-15 - - 2024-06-15", False),
        ("ana 2024-07-15 2025-06-15 - - 2024-07-15", False),  # thirty days later: within the grace
        ("ana 2024-07-15T00:00:00.000001 2025-06-15 - - 2024-07-16", True),
        ("ana 2024-06-01 2025-06-15 - - 2024-06-01", False),  # renewed early, exactly at the cutoff
        ("ana 2024-05-20 2025-06-15 - - 2024-05-20", False),  # renewed earlier still
        ("ana 2024-05-20 2024-06-10 - - 2024-05-20", True),  # a second one that ends too
        ("ana 2024-06-15 2025-06-15 - - 2025-02-01", True),  # not known when the label is taken
        ("bea 2024-06-15 2025-06-15 - - 2024-06-15", True),
    ],
)
def test_a_contract_is_renewed_by_any_that_runs_on_within_the_grace(renewal: str, is_leaver: bool) -> None:
    assert ("ana" in lapsed(ENDING, renewal)) == is_leaver


@pytest.mark.parametrize(
    ("how", "is_leaver"),
    [("payment_failure", False), ("switch", False), ("cancel", True), ("lapse", True), ("-", True)],
)
def test_a_failed_payment_or_a_switch_is_not_leaving(how: str, is_leaver: bool) -> None:
    assert lapsed(f"ana 2024-01-01 2024-06-15 2024-06-10 {how} 2024-01-01") == ({"ana"} if is_leaver else set())


def test_what_ended_before_the_cutoff_excuses_nobody() -> None:
    old = "ana 2024-01-01 2024-06-20 2024-03-01 payment_failure 2024-01-01"
    assert lapsed(ENDING, old) == {"ana"}


def test_the_grace_counts_from_when_she_really_stopped() -> None:
    cancelled = "ana 2024-01-01 2024-07-01 2024-06-05 cancel 2024-01-01"
    assert lapsed(cancelled, "ana 2024-07-05 2025-07-05 - - 2024-07-05") == set()
    assert lapsed(cancelled, "ana 2024-07-06 2025-07-05 - - 2024-07-06") == {"ana"}


def test_contracts_that_end_elsewhere_have_no_outcome() -> None:
    assert lapsed("ana 2024-01-01 2024-06-07 - - 2024-01-01") == set(), "in the gap"
    assert lapsed(f"ana 2024-01-01 {CLOSES} - - 2024-01-01") == set(), "after the close"


def test_the_voice_window_reaches_back_90_days_or_a_horizon_or_a_month_before_her_last_visit() -> None:
    known = known_of({"transactions": purchases(weekly="2024-05-30", slow="2024-02-01", unseen="2024-06-02")})
    seen = pace(known.active, AT.at)
    starts = dict(zip(known.customers.to_pylist(), voice_starts(seen, AT).tolist(), strict=True))
    assert VOICE_DAYS == 90
    assert starts == {
        "weekly": moment("2024-03-03"),
        "slow": moment("2024-01-02"),  # the complaint of a slow customer is not forgotten
        "unseen": moment("2024-03-03"),
    }
    assert voice_starts(seen, cutoff("2024-06-01", horizon=120))[2] == moment("2024-02-02")


@pytest.mark.parametrize(
    ("time", "known_at", "has_spoken"),
    [
        ("2024-03-02T23:59:59.999999", "2024-03-03", False),
        ("2024-03-03", "2024-03-03", True),
        ("2024-05-31T23:59:59.999999", "2024-06-01", True),
        ("2024-06-01", "2024-06-01", False),  # exactly at the cutoff is the future
        ("2024-05-20", "2024-06-01T00:00:00.000001", False),  # not known in time
    ],
)
def test_she_has_spoken_inside_the_window_to_the_microsecond(time: str, known_at: str, has_spoken: bool) -> None:
    contacts = table("contacts", "customer_id time available_at is_complaint", f"ana {time} {known_at} yes")
    known = known_of({"transactions": purchases(ana=PAST), "contacts": contacts})
    starts = voice_starts(pace(known.active, AT.at), AT)
    assert spoke(known.voice, starts, AT.at, known_by=AT.at).tolist() == [has_spoken]


def statuses(tables: Tables, **settings: object) -> dict[str, str]:
    known = known_of({"transactions": purchases(ana=PAST, bea=PAST), **tables}, **settings)
    frame = rows_at(known, AT, codes=np.arange(2), prior=PRIOR)
    return dict(zip(known.customers.to_pylist(), frame["voice_status"], strict=True))


def complaint(time: str, who: str = "bea") -> pa.Table:
    return table("contacts", "customer_id time is_complaint", f"{who} {time} yes")


def test_coverage_can_be_configured_where_the_first_row_says_less() -> None:
    covers = {"contacts": dt.date(2024, 1, 1)}
    assert statuses({"contacts": complaint("2024-05-01")}, covers_from=covers) == {
        "ana": "quiet",
        "bea": "already_vocal",
    }


def test_nobody_is_observable_before_the_first_row_of_a_source() -> None:
    assert statuses({"contacts": complaint("2024-03-04")}) == {"ana": "unobservable", "bea": "already_vocal"}
    assert statuses({"contacts": complaint("2024-03-03")}) == {"ana": "quiet", "bea": "already_vocal"}
    assert statuses({"contacts": complaint("2024-06-01")}) == {"ana": "unobservable", "bea": "unobservable"}


def test_contacts_that_do_not_tell_complaints_make_nobody_observable() -> None:
    mute = table("contacts", "customer_id time topic", "ana 2024-01-01 bill")
    late = table("feedback", "customer_id time kind score", "bea 2024-05-20 nps 9")
    assert statuses({"contacts": mute, "feedback": late}) == {"ana": "unobservable", "bea": "unobservable"}


def test_feedback_by_others_makes_nobody_observable() -> None:
    old = table(
        "feedback", "customer_id time kind score author", "ana 2024-01-01 csat 1 other", "bea 2024-05-20 nps 9 self"
    )
    assert statuses({"feedback": old}) == {"ana": "unobservable", "bea": "unobservable"}


@pytest.mark.parametrize(
    ("time", "status"),
    [("2024-03-02", "unobservable"), ("2024-03-03", "quiet"), ("2024-05-31", "quiet"), ("2024-06-01", "unobservable")],
)
def test_an_invitation_in_her_window_makes_her_observable(time: str, status: str) -> None:
    tables = {
        "invitations": table("invitations", "customer_id time answered_at", f"ana {time} -"),
        "feedback": table("feedback", "customer_id time kind score", "bea 2024-05-30 nps 9"),
    }
    assert statuses(tables) == {"ana": status, "bea": "unobservable"}


def test_who_is_contactable_is_observable_if_anybody_can_be_heard() -> None:
    profile = table("customers", "customer_id is_contactable", "ana yes", "bea no")
    feedback = table("feedback", "customer_id time kind score", "bea 2024-05-30 nps 9")
    assert statuses({"customers": profile, "feedback": feedback}) == {"ana": "quiet", "bea": "unobservable"}
    assert statuses({"customers": profile}) == {"ana": "unobservable", "bea": "unobservable"}, "no voice table at all"


def test_having_spoken_goes_before_being_observable() -> None:
    spoken, heard = np.array([True, True, False, False]), np.array([True, False, True, False])
    assert voice_status(spoken, heard).tolist() == ["already_vocal", "already_vocal", "quiet", "unobservable"]
