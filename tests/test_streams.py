"""Streams hold exact integers, one customer after another, and clocks for what is filled in late."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
from made_up import AT, DAY, Rows, made_row, tables_of

from churn.signals.streams import FOLLOW_DAYS, Stream, streams
from churn.tables.history import NEVER, Int64
from churn.tables.orders import MISSING


def made(rows: Rows, *customers: str, timezone: str = "UTC", activity: str = "purchases") -> dict[str, Stream]:
    tables = tables_of({"transactions": [], **rows})
    return streams(
        tables, customers=pa.array(customers or ("a", "b"), pa.string()), timezone=timezone, activity=activity
    )


def row(name: str, who: str, time: int, *, known: int | None = None, **facts: object) -> dict[str, object]:
    return {**made_row(name, who, time, time if known is None else known, None, 0), **facts}


def numbers(stream: Stream, value: str) -> list[int]:
    found = stream.values[value].numbers
    assert found is not None
    return [int(number) for number in found]


def clock(found: Int64 | None) -> list[int]:
    assert found is not None
    return [int(moment) for moment in found]


def test_only_the_tables_that_are_there_give_streams() -> None:
    assert set(made({})) == {"activity", "orders", "returns", "items"}
    assert set(made({"contacts": []})) == {"activity", "orders", "returns", "items", "contacts", "words", "voice"}


def test_money_stays_in_cents_and_returns_are_apart() -> None:
    plain = {"order_id": None, "is_return": None}
    found = made({"transactions": [
        row("transactions", "b", 3, amount=199, **plain), row("transactions", "a", 2, amount=-50, **plain),
        row("transactions", "a", 1, amount=70, **(plain | {"is_return": True})),
        row("transactions", "z", 1, amount=1, **plain),
    ]})  # fmt: skip
    assert numbers(found["orders"], "spend") == [199]
    assert found["orders"].starts.tolist() == [0, 0, 1]
    assert numbers(found["returns"], "refund") == [70, 50]


def test_numbers_become_micro_units_and_what_is_no_number_is_missing() -> None:
    waits = [0.5, math.nan, math.inf, None, 1e300]
    contacts = [row("contacts", "a", time, wait_seconds=wait) for time, wait in enumerate(waits)]
    found = made({"contacts": contacts})["contacts"]
    assert numbers(found, "wait") == [500_000, MISSING, MISSING, MISSING, 10**16]


def test_what_is_filled_in_at_t_is_seen_after_t() -> None:
    sent = [row("invitations", "a", 1, answered_at=5), row("invitations", "a", 2, answered_at=None)]
    stream = made({"invitations": sent})["invitations"]
    assert clock(stream.values["answered"].begins) == [6, NEVER]
    assert clock(stream.values["unanswered"].ends) == [6, NEVER]


def test_a_contact_without_a_case_is_a_case_of_its_own() -> None:
    cases = ["x", None, "x", None]
    rows = [row("contacts", "a", time, case_id=case, agent_id="q") for time, case in enumerate(cases)]
    found = made({"contacts": [*rows, row("contacts", "b", 9, case_id="y", agent_id=None)]})["contacts"]
    case = numbers(found, "case")
    assert case[0] == case[2]
    assert len(set(case[:4])) == 3
    assert numbers(found, "case_agent")[4] == MISSING


def test_many_codes_are_numbered_anew_for_each_customer() -> None:
    channels = [("a", "z"), ("a", "y"), ("a", "z"), ("b", "x"), ("b", "z"), *(("c", f"c{n:04d}") for n in range(1_100))]
    rows = [row("visits", who, time, channel=channel) for time, (who, channel) in enumerate(channels)]
    assert numbers(made({"visits": rows}, "a", "b", "c")["visits"], "channel") == [1, 0, 1, 0, 1, *range(1_100)]


def test_an_incident_is_followed_from_when_the_word_is_known() -> None:
    later = FOLLOW_DAYS * DAY
    incidents = [row("incidents", "a", 0), row("incidents", "a", 2 * later), row("incidents", "b", 0)]
    words = [
        row("contacts", "a", later - 1, known=3 * later), row("contacts", "a", 3 * later),
        row("contacts", "b", 0, known=7),
    ]  # fmt: skip
    unfollowed = made({"incidents": incidents, "contacts": words})["incidents"].values["unfollowed"]
    assert clock(unfollowed.begins) == [later, 3 * later, later]
    assert clock(unfollowed.ends) == [3 * later, NEVER, 7]


def test_words_about_her_are_not_hers() -> None:
    said = [row("feedback", "a", time, author=author) for time, author in enumerate(["other", None, "self"])]
    found = made({"feedback": said})
    assert [len(found[name].time) for name in ("about", "feedback", "words")] == [1, 2, 2]


def test_days_are_local() -> None:
    """22:30 UTC is the next day in Berlin, in summer and on the night the clocks go forward."""
    night = AT - DAY + 30 * 60 * 1_000_000  # 30 March 2024, 22:30 UTC: 23:30 in Berlin, still winter time
    visits = [row("visits", "a", night), row("visits", "a", night + DAY)]
    day = numbers(made({"visits": visits}, "a", timezone="Europe/Berlin")["visits"], "day")
    assert day == [night // DAY, night // DAY + 2]
    weekday = numbers(made({"visits": visits}, "a", timezone="Europe/Berlin")["visits"], "weekday")
    assert weekday == [5, 0]


def test_an_attribute_with_a_valid_from_is_a_row_of_that_time() -> None:
    found = made({"customers": [row("customers", "a", 0, plan="gold", plan__valid_from=77, region="north", since=4)]})
    assert found["profile_plan"].time.tolist() == [77]
    assert found["profile_plan"].values["plan"].labels == ("gold",)
    assert "plan" not in found["profile"].values
    assert clock(found["profile"].values["since"].begins) == [5]


def test_a_cancellation_heard_of_late_speaks_late() -> None:
    contract = row("subscriptions", "a", 1, known=90, ended_at=50, ended_how="cancel", ended_reason="too dear")
    voice = made({"subscriptions": [contract], "contacts": []})["voice"]
    assert voice.time.tolist() == [90]


def test_nobody_and_nothing_are_streams_too() -> None:
    for customers in ((), ("a",)):
        tables = tables_of({name: [] for name in ("transactions", "visits", "contacts", "incidents", "feedback",
                                                   "invitations", "customers", "subscriptions")})  # fmt: skip
        found = streams(tables, customers=pa.array(customers, pa.string()), timezone="UTC", activity="visits")
        assert all(len(stream.time) == 0 and len(stream.starts) == len(customers) + 1 for stream in found.values())
        assert all(stream.time.dtype == np.int64 for stream in found.values())
