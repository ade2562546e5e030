"""Histories: every table as plain arrays, one customer after another, each in the order of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from churn.tables.contract import CONTRACT
from churn.tables.ids import codes_of
from churn.tables.sorting import by_customer_and_time, tied_rows

Int64 = npt.NDArray[np.int64]
Array = npt.NDArray[Any]

NEVER = np.iinfo(np.int64).max
"""The clock of a value that never became known."""

DAY = 86_400_000_000
"""Microseconds in a day."""


@dataclass(frozen=True, slots=True)
class Events:
    """The rows of one event table, sorted by customer and time.

    Attributes:
        starts: shape (customers + 1,); the rows of customer c are `starts[c]:starts[c + 1]`.
        time: shape (rows,), microseconds UTC: when each row happened.
        known: shape (rows,), microseconds UTC: when each row became known (`available_at`, never before `time`); the
            array `time` itself where none became known later.
        columns: each of shape (rows,): money int64 cents, number float64 (NaN where null), flag int8 (-1 where null),
            clock int64 microseconds (`NEVER` where null), id and category int32 codes (-1 where null).
        labels: what the codes of an id or category column stand for, sorted.
    """

    starts: Int64
    time: Int64
    known: Int64
    columns: dict[str, Array]
    labels: dict[str, list[str]]

    @property
    def customer(self) -> Int64:
        """The customer code of each row, shape (rows,)."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def whose(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Returns which customers have a row where `mask` is true, shape (customers,)."""
        return np.asarray(np.diff(np.append(0, np.cumsum(mask))[self.starts]) > 0)

    def keep(self, mask: npt.NDArray[np.bool_]) -> Events:
        """Returns the events where `mask` is true, in the same order."""
        rows = np.flatnonzero(mask)
        time = self.time[rows]
        known = time if self.known is self.time else self.known[rows]
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Events(np.searchsorted(rows, self.starts), time, known, columns, self.labels)


@dataclass(frozen=True, slots=True)
class Histories:
    """All that is known of a set of customers.

    Attributes:
        customers: their ids, sorted; a customer's position here is her code.
        events: the event tables that are present, by name.
        profile: one row per customer in the order of `customers`, or None without a `customers` table.
    """

    customers: pa.StringArray
    events: dict[str, Events]
    profile: pa.Table | None


def moments_of(at: Int64) -> tuple[Int64, Int64]:
    """Returns the distinct moments of `at`, rising, and the place of each row's among them, shape (rows,).

    Moments are few and rows many: a hash finds them without sorting.
    """
    place, moments = pd.factorize(at, sort=True)
    return np.asarray(moments, np.int64), np.asarray(place, np.int64)


def histories(tables: Mapping[str, pa.Table], *, customers: pa.StringArray | None = None) -> Histories:
    """Returns the histories of `customers` (default: everybody in any table).

    Rows of other customers are left out. The result doesn't depend on the order of the tables' rows.
    """
    if customers is None:
        customers = customers_of(tables)
    events = {name: _events(name, table, customers) for name, table in tables.items() if CONTRACT[name].time_column}
    profile = _aligned(tables["customers"], customers) if "customers" in tables else None
    return Histories(customers, events, profile)


def customers_of(tables: Mapping[str, pa.Table]) -> pa.StringArray:
    """Returns the ids of everybody in any of the tables, sorted."""
    chunks = [pc.unique(table["customer_id"]).cast(pa.string()) for table in tables.values()]
    customers = pc.unique(pa.chunked_array(chunks, pa.string())) if chunks else pa.array([], pa.string())
    return customers.take(pc.sort_indices(customers))


def events_of(table: pa.Table, *, customers: pa.StringArray, time_column: str = "time") -> Events:
    """Returns the rows of an event table as arrays, sorted by customer, time and then every other column."""
    return settled(unsettled(rows_of(table, customers=customers, time_column=time_column)))


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a table as arrays, in the order in which they came; see `Events` for what they hold.

    Attributes:
        code: the customer of each row, -1 for one who isn't asked for; int32.
        customers: how many customers are asked for.
    """

    code: npt.NDArray[np.int32]
    customers: int
    time: Int64
    known: Int64
    columns: dict[str, Array]
    labels: dict[str, list[str]]


def rows_of(table: pa.Table, *, customers: pa.StringArray, time_column: str = "time") -> Rows:
    """Returns the rows of an event table as arrays."""
    time = _microseconds(table[time_column], NEVER)
    columns: dict[str, Array] = {}
    labels: dict[str, list[str]] = {}
    for name in table.column_names:
        if name not in ("customer_id", time_column, "available_at"):
            columns[name], coded = _plain(table[name])
            if coded is not None:
                labels[name] = coded
    return Rows(codes_of(table["customer_id"], customers), len(customers), time, _known(table, time), columns, labels)


def unsettled(rows: Rows, *, mask: npt.NDArray[np.bool_] | None = None) -> Events:
    """Returns the rows (those where `mask` is true) sorted by customer and time alone: those of one moment stand as
    they came."""
    code = rows.code if mask is None else np.where(mask, rows.code, np.int32(-1))
    order, starts, is_sorted = by_customer_and_time(code, rows.time, rows.customers)
    if is_sorted:
        return Events(starts, rows.time, rows.known, rows.columns, rows.labels)
    time = rows.time[order]
    known = time if rows.known is rows.time else rows.known[order]
    return Events(starts, time, known, {name: values[order] for name, values in rows.columns.items()}, rows.labels)


def settled(events: Events) -> Events:
    """Returns the events with those of one customer and moment in the order of when they became known and of every
    other column, so that nothing depends on the order in which rows came."""
    rows, runs = tied_rows(events.starts, events.time)
    if not len(rows):
        return events
    by = [*(values[rows] for values in reversed(events.columns.values())), events.known[rows], runs]
    order = rows[np.lexsort(by)]
    columns = {name: _replaced(values, rows, values[order]) for name, values in events.columns.items()}
    known = events.known if events.known is events.time else _replaced(events.known, rows, events.known[order])
    return Events(events.starts, events.time, known, columns, events.labels)


def _events(name: str, table: pa.Table, customers: pa.StringArray) -> Events:
    time_column = CONTRACT[name].time_column
    assert time_column is not None  # only event tables come here
    return events_of(table, customers=customers, time_column=time_column)


def _known(table: pa.Table, time: Int64) -> Int64:
    if "available_at" not in table.column_names:
        return time
    known = _microseconds(table["available_at"], 0)
    return np.maximum(known, time) if (known > time).any() else time


def _aligned(profile: pa.Table, customers: pa.StringArray) -> pa.Table:
    """One row per customer, nulls for those who have none; of several rows the first in sorted order stays."""
    ordered = profile.sort_by([(name, "ascending") for name in profile.column_names])
    position = pc.index_in(customers, ordered["customer_id"].combine_chunks())
    return ordered.take(position).set_column(0, "customer_id", customers)


def _replaced(values: Array, rows: Int64, by: Array) -> Array:
    changed = values.copy()
    changed[rows] = by
    return changed


def _microseconds(column: pa.ChunkedArray, missing: int) -> Int64:
    return np.asarray(pc.fill_null(column.cast(pa.int64()), missing).to_numpy())


def _plain(column: pa.ChunkedArray) -> tuple[Array, list[str] | None]:
    """The column as a plain array and, if it is text, the sorted labels of its codes."""
    kind = column.type
    if pa.types.is_string(kind):
        return _plain(column.dictionary_encode())
    if pa.types.is_dictionary(kind):
        coded = column.unify_dictionaries().combine_chunks()
        order = pc.sort_indices(coded.dictionary).to_numpy()
        rank = np.append(np.argsort(order), -1).astype(np.int32)
        codes = pc.fill_null(coded.indices.cast(pa.int32()), len(order)).to_numpy(zero_copy_only=False)
        return rank[codes], coded.dictionary.take(pa.array(order)).cast(pa.string()).to_pylist()
    if pa.types.is_timestamp(kind):
        return _microseconds(column, NEVER), None
    if pa.types.is_boolean(kind):
        return pc.fill_null(column.cast(pa.int8()), -1).to_numpy(), None
    if pa.types.is_integer(kind):
        return pc.fill_null(column, 0).to_numpy(), None
    return pc.fill_null(column, float("nan")).to_numpy(), None
