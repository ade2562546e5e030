"""Orders: rows that share customer, order, time, clock and mark are one."""

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa

from churn.tables.contract import CONTRACT
from churn.tables.history import Events
from churn.tables.orders import MICRO, MISSING, orders_of

START = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)


def transactions(*rows: dict[str, Any]) -> pa.Table:
    """Rows of customer "a" on day 0, 1.00 each, unless they say otherwise; `day` and `known` count from the start."""
    made = []
    for row in rows:
        given = {"customer_id": "a", "amount": 100, "day": 0, **row}
        day = given.pop("day")
        known = given.pop("known", day)
        times = {"time": START + dt.timedelta(days=day), "available_at": START + dt.timedelta(days=known)}
        made.append({**given, **times})
    names = {name for row in made for name in row}
    schema = pa.schema(
        [(column.name, column.arrow_type) for column in CONTRACT["transactions"].columns if column.name in names]
    )
    return pa.Table.from_pylist(made, schema=schema)


def gathered(table: pa.Table) -> list[dict[str, Any]]:
    """Purchases and returns one below the other, in the order of customer, time and clock."""
    customers = pa.array(sorted(set(table["customer_id"].to_pylist())))
    found = orders_of(table, customers=customers)
    rows = [*told(found.purchases, customers, False), *told(found.returns, customers, True)]
    return sorted(rows, key=lambda row: (row["customer_id"], row["time"], row["available_at"], row["amount"]))


def told(events: Events, customers: pa.StringArray, is_return: bool) -> list[dict[str, Any]]:
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    absent = np.full(len(events.time), MISSING)
    quantity, discount, categories = (
        [None if value == MISSING else value for value in events.columns.get(name, absent).tolist()]
        for name in ("quantity", "discount", "categories")
    )
    return [
        {
            "customer_id": customers[int(events.customer[row])].as_py(), "amount": int(events.columns["amount"][row]),
            "time": moment + dt.timedelta(microseconds=int(events.time[row])),
            "available_at": moment + dt.timedelta(microseconds=int(events.known[row])), "discount": discount[row],
            "quantity": None if quantity[row] is None else quantity[row] / MICRO, "categories": categories[row],
            "is_return": is_return,
        }
        for row in range(len(events.time))
    ]  # fmt: skip


def test_rows_of_one_order_are_summed() -> None:
    (row,) = gathered(transactions(
        {"order_id": "1", "category": "pen", "quantity": 2.0, "discount": 5},
        {"order_id": "1", "category": "cup", "quantity": 1.0, "amount": 250},
        {"order_id": "1", "category": "cup", "amount": -50},
        {"order_id": "1", "category": None},
    ))  # fmt: skip
    assert row == {
        "customer_id": "a", "time": START, "available_at": START, "amount": 400, "quantity": 3.0, "discount": 5,
        "categories": 2, "is_return": False,
    }  # fmt: skip


def test_rows_without_an_order_are_orders_of_their_own() -> None:
    table = transactions({"amount": 1}, {"amount": 1}, {"amount": 1, "order_id": None})
    assert len(gathered(table)) == 3
    assert len(gathered(table.drop_columns(["order_id"]))) == 3


def test_what_becomes_known_later_is_not_added_to_what_was_known() -> None:
    rows = gathered(
        transactions(
            {"order_id": "1"}, {"order_id": "1", "known": 5, "amount": 7}, {"order_id": "1", "day": 3, "amount": 9}
        )
    )
    assert [row["amount"] for row in rows] == [100, 7, 9]


def test_customers_never_share_an_order() -> None:
    assert [
        row["customer_id"] for row in gathered(transactions({"order_id": "1"}, {"order_id": "1", "customer_id": "b"}))
    ] == ["a", "b"]


def test_returns_are_marked_or_negative() -> None:
    rows = gathered(transactions(
        {"order_id": "1", "amount": -300},
        {"order_id": "2", "amount": -100, "is_return": True},
        {"order_id": "2", "amount": 50, "is_return": False},
        {"order_id": "3", "amount": 200, "is_return": True},
    ))  # fmt: skip
    assert [(row["amount"], row["is_return"]) for row in rows] == [(-300, True), (-100, True), (50, False), (200, True)]


def test_absent_columns_are_missing_not_zero() -> None:
    (row,) = gathered(transactions({"order_id": "1"}))
    assert (row["quantity"], row["discount"], row["categories"]) == (None, None, None)


def test_the_order_of_the_rows_does_not_matter() -> None:
    rows = [
        {"order_id": str(place % 9), "amount": place, "day": place % 4, "category": str(place % 3)}
        for place in range(80)
    ]
    assert gathered(transactions(*rows)) == gathered(transactions(*reversed(rows)))


def test_money_stays_exact_beyond_doubles() -> None:
    (row,) = gathered(transactions({"order_id": "1", "amount": 2**53}, {"order_id": "1", "amount": 1}))
    assert row["amount"] == 2**53 + 1
