"""Histories: plain arrays in one order, whatever the order and chunks of the rows."""

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from churn.tables.contract import CONTRACT
from churn.tables.history import DAY, NEVER, Events, events_of, histories

START = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
ZERO = int(START.timestamp()) * 1_000_000


Row = tuple[str, float, str | None, float | None, bool | None, float | None]


def contacts(rows: list[Row]) -> pa.Table:
    """Rows of (customer, day, topic, wait, is_complaint, day resolved), known half a day after they happen."""
    made = [
        {
            "customer_id": customer,
            "time": START + dt.timedelta(days=day),
            "topic": topic,
            "wait_seconds": wait,
            "resolved_at": None if resolved is None else START + dt.timedelta(days=resolved),
            "is_complaint": complaint,
            "available_at": START + dt.timedelta(days=day + 0.5),
        }
        for customer, day, topic, wait, complaint, resolved in rows
    ]
    names = list(made[0])
    schema = pa.schema(
        [(column.name, column.arrow_type) for column in CONTRACT["contacts"].columns if column.name in names]
    )
    return pa.Table.from_pylist([{name: row[name] for name in schema.names} for row in made], schema=schema)


ROWS: list[Row] = [
    ("b", 2.0, "bill", 30.0, True, None),
    ("a", 1.0, None, None, None, 4.0),
    ("b", 0.0, "app", 10.0, False, 0.0),
    ("z", 0.0, "bill", 1.0, False, None),
]


def as_plain(events: Events) -> dict[str, Any]:
    arrays = {"starts": events.starts, "time": events.time, "known": events.known, **events.columns}
    return {name: (values.dtype.str, values.tobytes()) for name, values in arrays.items()} | {"labels": events.labels}


def test_rows_stand_by_customer_and_time_with_nulls_marked() -> None:
    events = events_of(contacts(ROWS), customers=pa.array(["a", "b", "c"]))
    assert events.starts.tolist() == [0, 1, 3, 3]
    assert events.customer.tolist() == [0, 1, 1]
    assert events.time.tolist() == [ZERO + DAY, ZERO, ZERO + 2 * DAY]
    assert events.known.tolist() == [ZERO + DAY * 3 // 2, ZERO + DAY // 2, ZERO + DAY * 5 // 2]
    assert events.labels["topic"] == ["app", "bill"]
    assert events.columns["topic"].tolist() == [-1, 0, 1]
    assert events.columns["is_complaint"].tolist() == [-1, 0, 1]
    assert events.columns["resolved_at"].tolist() == [ZERO + 4 * DAY, ZERO, NEVER]
    np.testing.assert_array_equal(events.columns["wait_seconds"], [np.nan, 10.0, 30.0])


def test_the_order_and_the_chunks_of_the_rows_do_not_matter() -> None:
    rng = np.random.default_rng(7)
    rows: list[Row] = [
        (
            f"c{rng.integers(40)}",
            float(rng.integers(9)),
            ["x", "y", None][rng.integers(3)],
            float(rng.integers(4)),
            None,
            None,
        )
        for _ in range(400)
    ]
    customers = pa.array(sorted({row[0] for row in rows}))
    whole = as_plain(events_of(contacts(rows), customers=customers))
    shuffled = [rows[place] for place in rng.permutation(len(rows))]
    chunked = pa.concat_tables([contacts(shuffled[:150]), contacts(shuffled[150:])])
    assert as_plain(events_of(chunked, customers=customers)) == whole


def test_more_customers_than_sixteen_bits_count() -> None:
    count = 70_000
    ids = pa.array([f"{place:07d}" for place in range(count)])
    times = pa.array(np.arange(count) * 1_000 + ZERO, pa.timestamp("us", "UTC"))
    visits = pa.table(
        {"customer_id": ids.take(pa.array(np.arange(count)[::-1].copy())), "time": times, "available_at": times}
    )
    events = events_of(visits, customers=ids)
    assert np.array_equal(events.starts, np.arange(count + 1))
    assert np.array_equal(events.time, (np.arange(count)[::-1] * 1_000 + ZERO))


def test_kept_rows_stay_with_their_customer() -> None:
    events = events_of(contacts(ROWS), customers=pa.array(["a", "b", "z"]))
    kept = events.keep(events.time > ZERO)
    assert kept.starts.tolist() == [0, 1, 2, 2]
    assert kept.columns["topic"].tolist() == [-1, 1]
    assert events.keep(np.zeros(4, bool)).starts.tolist() == [0, 0, 0, 0]


def test_rows_are_never_known_before_they_happen() -> None:
    table = contacts(ROWS)
    early = table.set_column(
        table.column_names.index("available_at"), "available_at", pa.nulls(4, pa.timestamp("us", "UTC"))
    )
    events = events_of(early, customers=pa.array(["a", "b", "z"]))
    assert np.array_equal(events.known, events.time)


def test_everybody_in_any_table_is_a_customer_and_the_profile_is_in_their_order() -> None:
    people = pa.table({
        "customer_id": ["q", "a", "b", "b"],
        "since": pa.array([START, None, START + dt.timedelta(days=9), START], pa.timestamp("us", "UTC")),
        "is_contactable": [True, False, True, None],
        "plan": ["x", None, "late", "early"],
    })  # fmt: skip
    known = histories({"contacts": contacts(ROWS), "customers": people})
    assert known.customers.to_pylist() == ["a", "b", "q", "z"]
    assert list(known.events) == ["contacts"]
    assert known.profile is not None
    assert known.profile["customer_id"].to_pylist() == ["a", "b", "q", "z"]
    assert known.profile["plan"].to_pylist() == [None, "early", "x", None]
    turned = histories({"customers": people.take(pa.array([3, 2, 1, 0])), "contacts": contacts(ROWS)})
    assert turned.profile is not None
    assert turned.profile.equals(known.profile)


def test_a_list_of_customers_leaves_the_others_out() -> None:
    known = histories({"contacts": contacts(ROWS)}, customers=pa.array(["nobody", "b"]))
    assert known.events["contacts"].starts.tolist() == [0, 0, 2]
    assert known.profile is None


def test_a_customer_alone_has_the_history_she_has_among_others() -> None:
    together = histories({"contacts": contacts(ROWS)}).events["contacts"]
    alone = histories({"contacts": contacts(ROWS)}, customers=pa.array(["b"])).events["contacts"]
    rows = slice(together.starts[1], together.starts[2])
    assert np.array_equal(alone.time, together.time[rows])
    assert [alone.labels["topic"][code] for code in alone.columns["topic"]] == ["app", "bill"]


@pytest.mark.parametrize("name", ["subscriptions", "contacts"])
def test_a_table_without_rows_is_a_history_without_events(name: str) -> None:
    columns = {column.name: pa.array([], column.arrow_type) for column in CONTRACT[name].columns}
    events = histories({name: pa.table(columns)}, customers=pa.array(["a"])).events[name]
    assert events.starts.tolist() == [0, 0]


def test_contracts_happen_when_they_start() -> None:
    table = pa.table({
        "customer_id": ["a"], "start": pa.array([START], pa.timestamp("us", "UTC")),
        "end": pa.array([None], pa.timestamp("us", "UTC")), "amount": pa.array([1200], pa.int64()),
        "available_at": pa.array([START], pa.timestamp("us", "UTC")),
    })  # fmt: skip
    events = histories({"subscriptions": table}).events["subscriptions"]
    assert events.time.tolist() == [ZERO]
    assert events.columns["end"].tolist() == [NEVER]
    assert events.columns["amount"].tolist() == [1200]
