"""Histories written by hand: tables as words in columns, moments as ISO dates, so that a test reads like a story."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from churn.config import Config, parse_config
from churn.models.known import Known, prepare
from churn.tables.contract import CONTRACT
from churn.tables.history import Events, Int64, events_of
from churn.timeline.cutoffs import Cutoff

Tables = dict[str, pa.Table]
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = 1
"""Moments are integers of this unit."""


def moment(text: str) -> int:
    """Microseconds of an ISO date or time in UTC.

    >>> moment("1970-01-02T00:00:00.000001")
    86400000001
    """
    return (dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC) - _EPOCH) // dt.timedelta(microseconds=1)


def cutoff(text: str, *, horizon: int = 28, gap: int = 0) -> Cutoff:
    """The cutoff at a date."""
    return Cutoff(moment(text), gap, horizon)


def table(name: str, header: str, *rows: str) -> pa.Table:
    """A canonical table: `table("transactions", "customer_id time amount", "ana 2024-01-05 9.99")`; `-` is null.

    Words are cast as the contract says (money to cents; columns it doesn't know are text), and `available_at` is the
    row's time unless the header has it, as in tables that were read from files.
    """
    columns = header.split()
    words = [row.split() for row in rows]
    assert all(len(row) == len(columns) for row in words), f"{name}: a row has not {len(columns)} words"
    cells = {column: [row[position] for row in words] for position, column in enumerate(columns)}
    time_column = CONTRACT[name].time_column
    if time_column is not None and "available_at" not in cells:
        cells["available_at"] = cells[time_column]
    return pa.table({column: _array(name, column, values) for column, values in cells.items()})


def purchases(**days: str) -> pa.Table:
    """Orders of 10.00 by customer: `purchases(ana="2024-01-05 2024-02-01", bea="2024-01-07")`."""
    rows = [f"{who} {time} 10.00" for who, times in days.items() for time in times.split()]
    return table("transactions", "customer_id time amount", *rows)


def every(days: int, *, first: str, until: str) -> str:
    """The dates from `first` on, `days` apart, before `until`, as `purchases` takes them."""
    start, end = dt.date.fromisoformat(first), dt.date.fromisoformat(until)
    return " ".join((start + dt.timedelta(days=d)).isoformat() for d in range(0, (end - start).days, days))


def events(made: pa.Table, customers: list[str], *, time_column: str = "time") -> Events:
    """The rows of one table as arrays."""
    return events_of(made, customers=pa.array(customers, pa.string()), time_column=time_column)


def config(tables: Mapping[str, pa.Table], **settings: Any) -> Config:
    """A configuration of these tables; `covers_from={"contacts": date}` and any setting of churn.toml."""
    covers = settings.pop("covers_from", {})
    sources = {
        name: {"path": f"{name}.csv"} | ({"covers_from": covers[name]} if name in covers else {}) for name in tables
    }
    return parse_config({"tables": {"transactions": {"path": "t.csv"}} | sources, **settings}, directory=Path())


def known_of(tables: Mapping[str, pa.Table], **settings: Any) -> Known:
    """What is known of everybody in the tables."""
    return prepare(tables, config=config(tables, **settings))


def who(customers: Known | list[str], flags: np.ndarray) -> set[str]:
    """The ids of the customers for whom a flag is true."""
    ids = customers.customers.to_pylist() if isinstance(customers, Known) else customers
    return {str(name) for name, flag in zip(ids, flags, strict=True) if flag}


def codes(known: Known, *ids: str) -> Int64:
    """The codes of customers."""
    return known.codes_of(pa.array(list(ids)))


def _array(name: str, column: str, words: list[str]) -> pa.Array:
    kinds = {known.name: known.kind for known in CONTRACT[name].columns}
    kind = kinds.get(column, "text")
    values: list[Any] = [None if word == "-" else _value(kind, word) for word in words]
    if kind in ("time", "clock"):
        return pa.array(values, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    return pa.array(values, {"money": pa.int64(), "number": pa.float64(), "flag": pa.bool_()}.get(kind, pa.string()))


def _value(kind: str, word: str) -> Any:
    if kind in ("time", "clock"):
        return moment(word)
    if kind == "money":
        return round(float(word) * 100)
    if kind == "flag":
        return word == "yes"
    return float(word) if kind == "number" else word
