"""Orders: the rows of `transactions` gathered into purchases and returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from churn.tables.history import Events, Int64, settled, unsettled_events
from churn.tables.sorting import tied_rows

MICRO = 1e6
"""Quantities are summed as whole millionths: exact, whatever the order of the rows."""

LARGEST = 1e10
"""Numbers are clipped here, so that sums of millionths cannot overflow."""

MISSING = int(np.iinfo(np.int64).min)
"""A null among whole numbers."""

_READ = ("customer_id", "time", "available_at", "amount", "order_id", "channel", "category", "quantity", "discount",
         "is_return")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Orders:
    """What was bought and given back.

    Rows are one order when they share customer, `order_id`, time, `available_at` and `is_return`; without an `order_id`
    each row is an order of its own. Time and `available_at` belong to the key because a sum over rows that become
    visible at different moments would let a later row change what was known before. An order is a return when marked
    so or when its amount is negative, a purchase when its amount is positive otherwise.

    Attributes:
        purchases: columns `amount` and `discount` (cents), `quantity` (millionths, `MISSING` where null), `categories`
            (how many distinct ones).
        returns: the same columns; amounts mostly negative.
        lines: the rows of purchases, for what an order has several of: `channel` and `category` where they are told.
    """

    purchases: Events
    returns: Events
    lines: Events


def orders_of(transactions: pa.Table, *, customers: pa.StringArray) -> Orders:
    """Returns the orders of `customers`, sorted as events are; the order of the rows doesn't matter."""
    table = transactions.select([name for name in _READ if name in transactions.column_names])
    rows = unsettled_events(table, customers=customers)
    is_marked = rows.columns.get("is_return", np.zeros(len(rows.time), np.int8)) == 1
    amount = np.asarray(rows.columns["amount"], np.int64)
    of_lines = {name: rows.columns[name] for name in ("category", "channel") if name in rows.columns}
    lines = replace(rows, columns=of_lines).keep((amount > 0) & ~is_marked)
    if "order_id" in rows.columns:
        rows, is_marked = _by_order(rows, is_marked)
    gathered, is_marked = _gathered(rows, is_marked)
    is_return = is_marked | (gathered.columns["amount"] < 0)
    is_purchase = (gathered.columns["amount"] > 0) & ~is_return
    return Orders(settled(gathered.keep(is_purchase)), settled(gathered.keep(is_return)), lines)


def _by_order(rows: Events, is_marked: npt.NDArray[np.bool_]) -> tuple[Events, npt.NDArray[np.bool_]]:
    """Rows of one moment order by order, and within an order by category."""
    tied, runs = tied_rows(rows.starts, rows.time)
    if not len(tied):
        return rows, is_marked
    category = rows.columns.get("category", np.zeros(len(rows.time), np.int32))
    order = np.arange(len(rows.time))
    by = [category[tied], is_marked[tied], rows.known[tied], rows.columns["order_id"][tied], runs]
    order[tied] = tied[np.lexsort(by)]
    columns = {name: values[order] for name, values in rows.columns.items()}
    return Events(rows.starts, rows.time, rows.known[order], columns, rows.labels), is_marked[order]


def _gathered(rows: Events, is_marked: npt.NDArray[np.bool_]) -> tuple[Events, npt.NDArray[np.bool_]]:
    """One row per order, from rows that stand order by order."""
    heads = np.flatnonzero(_is_head(rows, is_marked))
    is_single = len(heads) == len(rows.time)

    def summed(values: Int64) -> Int64:
        return values if is_single or not len(values) else np.add.reduceat(values, heads)

    columns = {
        "amount": summed(np.asarray(rows.columns["amount"], np.int64)),
        "discount": summed(np.asarray(rows.columns.get("discount", np.zeros(len(rows.time))), np.int64)),
        "quantity": _quantity(rows, summed),
        "categories": summed(_is_new_category(rows, heads)),
    }
    if is_single:
        return Events(rows.starts, rows.time, rows.known, columns, {}), is_marked
    starts = np.searchsorted(heads, rows.starts)
    return Events(starts, rows.time[heads], rows.known[heads], columns, {}), is_marked[heads]


def _is_head(rows: Events, is_marked: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    is_head = np.ones(len(rows.time), bool)
    order = rows.columns.get("order_id")
    if order is not None and len(order):
        same = (order[1:] >= 0) & (order[1:] == order[:-1])
        for values in (rows.time, rows.known, is_marked):
            same &= values[1:] == values[:-1]
        is_head[1:] = ~same
        is_head[rows.starts[rows.starts < len(order)]] = True
    return is_head


def _is_new_category(rows: Events, heads: Int64) -> Int64:
    category = rows.columns.get("category")
    if category is None:
        return np.zeros(len(rows.time), np.int64)
    is_new = np.diff(category, prepend=-1) != 0
    is_new[heads] = True
    return (is_new & (category >= 0)).astype(np.int64)


def _quantity(rows: Events, summed: Callable[[Int64], Int64]) -> Int64:
    """The sum of what is told, `MISSING` where nothing is."""
    if "quantity" not in rows.columns:
        return summed(np.zeros(len(rows.time), np.int64)) + MISSING
    quantity = np.asarray(rows.columns["quantity"], np.float64)
    is_told = np.isfinite(quantity)
    total = summed(micro(quantity))
    return np.where(summed(is_told.astype(np.int64)) > 0, total, MISSING)


def micro(numbers: npt.NDArray[np.float64]) -> Int64:
    """Returns the numbers in whole millionths, 0 for those that are not finite."""
    told = np.where(np.isfinite(numbers), numbers, 0.0)
    return np.rint(np.clip(told, -LARGEST, LARGEST) * MICRO).astype(np.int64)
