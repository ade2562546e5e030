"""Shape: what the rows of the tables add up to, asked bucket by bucket; `shape_findings` says what is noticeable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn.tables.contract import CONTRACT

KINDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("feedback", "kind"): ("nps", "csat", "ces", "review", "complaint", "mention"),
    ("feedback", "author"): ("self", "other"),
    ("subscriptions", "ended_how"): ("cancel", "lapse", "payment_failure", "switch"),
}
"""The words that mean something in these columns; any other is read, but tells nothing."""
ACTIVE_TABLES = ("transactions", "visits")
"""Who stands in none of these is unknown, where the company gives no list of its customers."""

Days = npt.NDArray[np.datetime64]
_NO_DAYS = np.empty(0, "datetime64[D]")


@dataclass(frozen=True, slots=True)
class Counts:
    """What is counted in one table; the counts of different customers add up.

    Attributes:
        rows: all of them.
        customers: who has a row.
        late: rows that became known after they happened.
        unknown_rows: rows of customers of whom neither the company's list nor a sale or visit knows.
        unknown_customers: those customers.
        negative: rows with a negative amount.
        unmarked: those of them that are not marked as returns.
        split_orders: orders whose rows carry several times.
        crowded: rows beyond the first of one customer at one moment; 0 where orders hold rows together.
        repeated: rows of a customer in the company's list beyond her first.
        idle: customers in the company's list without a row in any other table.
    """

    rows: int = 0
    customers: int = 0
    late: int = 0
    unknown_rows: int = 0
    unknown_customers: int = 0
    negative: int = 0
    unmarked: int = 0
    split_orders: int = 0
    crowded: int = 0
    repeated: int = 0
    idle: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Returns the counts of both."""
        return Counts(*(one + more for one, more in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class Values:
    """The values of one column.

    Attributes:
        nulls: how many rows have none.
        low: the lowest value; None without any.
        high: the highest value; None without any.
    """

    nulls: int
    low: Any
    high: Any

    def __add__(self, other: Values) -> Values:
        """Returns the values of both."""
        told = [one for one in (self, other) if one.low is not None]
        low, high = min((one.low for one in told), default=None), max((one.high for one in told), default=None)
        return Values(self.nulls + other.nulls, low, high)


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one column that mean nothing.

    Attributes:
        rows: how many rows have such a word.
        first: the first such word in sorted order; None without any.
    """

    rows: int
    first: str | None

    def __add__(self, other: Words) -> Words:
        """Returns the words of both."""
        told = [one.first for one in (self, other) if one.first is not None]
        return Words(self.rows + other.rows, min(told, default=None))


@dataclass(frozen=True, slots=True)
class TableShape:
    """What the rows of one table add up to; shapes of different customers add up.

    Attributes:
        counts: of rows and customers.
        days: the distinct UTC days on which rows happen, sorted; empty for a table without a time.
        values: of every column.
        words: of the columns in `KINDS`.
    """

    counts: Counts
    days: Days
    values: Mapping[str, Values]
    words: Mapping[str, Words] = field(default_factory=dict)

    def __add__(self, other: TableShape) -> TableShape:
        """Returns the shape of the rows of both."""
        return TableShape(
            self.counts + other.counts, np.union1d(self.days, other.days),
            {name: one + other.values[name] for name, one in self.values.items()},
            {name: one + other.words[name] for name, one in self.words.items()},
        )  # fmt: skip


Shape = dict[str, TableShape]
"""Of every table by name."""


def shape_of(tables: Mapping[str, pa.Table]) -> Shape:
    """Returns the shape of canonical tables: of all customers, or of some with all of their rows."""
    return {
        name: TableShape(
            _counts(name, tables), _days(name, table),
            {column: _values(table[column]) for column in table.column_names}, _words(name, table),
        )
        for name, table in tables.items()
    }  # fmt: skip


def together(shapes: Iterable[Shape]) -> Shape:
    """Returns the shape that those of several buckets of customers make up; all have the same tables and columns."""
    first, *others = shapes
    for other in others:
        first = {name: one + other[name] for name, one in first.items()}
    return first


def _counts(name: str, tables: Mapping[str, pa.Table]) -> Counts:
    table = tables[name]
    unknown = _unknown(name, tables)
    negative, unmarked = _negative(table)
    split_orders, crowded = _of_orders(table) if name == "transactions" else (0, 0)
    customers = _distinct(table["customer_id"])
    return Counts(
        rows=table.num_rows, customers=customers, late=_late(name, table),
        unknown_rows=len(unknown), unknown_customers=_distinct(unknown), negative=negative, unmarked=unmarked,
        split_orders=split_orders, crowded=crowded,
        repeated=table.num_rows - customers if name == "customers" else 0,
        idle=_idle(tables) if name == "customers" else 0,
    )  # fmt: skip


def _days(name: str, table: pa.Table) -> Days:
    column = CONTRACT[name].time_column
    if column is None:
        return _NO_DAYS
    return np.unique(table[column].drop_null().cast(pa.timestamp("us")).to_numpy().astype("datetime64[D]"))


def _values(column: pa.ChunkedArray) -> Values:
    span = pc.min_max(column).as_py()
    return Values(column.null_count, span["min"], span["max"])


def _words(name: str, table: pa.Table) -> dict[str, Words]:
    found = {}
    for (owner, column), known in KINDS.items():
        if owner == name and column in table.column_names:
            values = table[column].drop_null()
            unknown = values.filter(pc.invert(pc.is_in(values, pa.array(known))))
            found[column] = Words(len(unknown), pc.min(unknown).as_py())
    return found


def _late(name: str, table: pa.Table) -> int:
    column = CONTRACT[name].time_column
    return 0 if column is None else _true(pc.not_equal(table["available_at"], table[column]))


def _unknown(name: str, tables: Mapping[str, pa.Table]) -> pa.ChunkedArray:
    """The customer of each row of whom the company's own list, or else every sale and visit, knows nothing."""
    ids = tables[name]["customer_id"]
    knowing = ("customers",) if "customers" in tables else ACTIVE_TABLES
    if name in (*knowing, "customers"):
        return ids.slice(0, 0)
    known = pc.unique(_ids(tables[each] for each in knowing if each in tables))
    return ids.filter(pc.invert(pc.is_in(ids, known)))


def _negative(table: pa.Table) -> tuple[int, int]:
    """How many rows have a negative amount, and how many of those are not marked as returns."""
    if "amount" not in table.column_names:
        return 0, 0
    is_negative = pc.fill_null(pc.less(table["amount"], 0), False)
    if "is_return" not in table.column_names:
        return _true(is_negative), _true(is_negative)
    return _true(is_negative), _true(pc.and_(is_negative, pc.invert(pc.fill_null(table["is_return"], False))))


def _of_orders(transactions: pa.Table) -> tuple[int, int]:
    """How many orders have rows at several times, and how many rows share their moment where there are no orders."""
    if "order_id" not in transactions.column_names:
        moments = transactions.group_by(["customer_id", "time"]).aggregate([([], "count_all")]).num_rows
        return 0, transactions.num_rows - moments
    lines = transactions.filter(pc.is_valid(transactions["order_id"])).select(["customer_id", "order_id", "time"])
    times = lines.group_by(["customer_id", "order_id"]).aggregate([("time", "min"), ("time", "max")])
    return _true(pc.not_equal(times["time_min"], times["time_max"])), 0


def _idle(tables: Mapping[str, pa.Table]) -> int:
    listed = pc.unique(tables["customers"]["customer_id"])
    seen = _ids(table for name, table in tables.items() if name != "customers")
    return len(listed) - _true(pc.is_in(listed, pc.unique(seen)))


def _ids(tables: Iterable[pa.Table]) -> pa.ChunkedArray:
    return pa.chunked_array([chunk for table in tables for chunk in table["customer_id"].chunks], pa.string())


def _distinct(ids: pa.ChunkedArray) -> int:
    return int(pc.count_distinct(ids).as_py())


def _true(mask: pa.ChunkedArray | pa.BooleanArray) -> int:
    return int(pc.sum(mask, min_count=0).as_py())
