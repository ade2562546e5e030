"""Orders: the rows of `transactions` gathered into purchases and returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from churn.tables.history import Array, Events, Int64, Rows, rows_of, settled, unsettled
from churn.tables.sorting import tied_rows

MICRO = 1e6
"""Quantities are summed as whole millionths: exact, whatever the order of the rows."""

LARGEST = 1e10
"""Numbers are clipped here, so that sums of millionths cannot overflow."""

MISSING = int(np.iinfo(np.int64).min)
"""A null among whole numbers, and what the kernel reads where nothing counted."""

Bool = npt.NDArray[np.bool_]

_MARK = "is marked"
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
        purchases: columns `amount` and, where the rows tell them, `discount` (cents), `quantity` (millionths, `MISSING`
            where null) and `categories` (how many distinct ones).
        returns: the same columns; amounts mostly negative.
        lines: the rows of purchases, for what an order has several of: `channel` and `category` where they are told;
            the same as `purchases` where no order has several rows.
    """

    purchases: Events
    returns: Events
    lines: Events


def orders_of(transactions: pa.Table, *, customers: pa.StringArray) -> Orders:
    """Returns the orders of `customers`, sorted as events are; the order of the rows doesn't matter."""
    table = transactions.select([name for name in _READ if name in transactions.column_names])
    rows = rows_of(table, customers=customers)
    is_marked = rows.columns.pop("is_return", np.zeros(0, np.int8)) == 1
    if not len(is_marked):
        is_marked = np.zeros(len(rows.time), bool)
    if "order_id" not in rows.columns:
        return _one_row_each(rows, is_marked)
    return _several_rows_each(unsettled(replace(rows, columns={**rows.columns, _MARK: is_marked})))


def _one_row_each(rows: Rows, is_marked: Bool) -> Orders:
    amount = rows.columns["amount"]
    rows = replace(rows, columns={**_of_orders(rows.columns, lambda values: values), **_of_lines(rows.columns)})
    bought = settled(unsettled(rows, mask=(amount > 0) & ~is_marked))
    returns = settled(unsettled(rows, mask=(amount < 0) | is_marked))
    if "category" in bought.columns:
        told = (bought.columns["category"] >= 0).astype(np.int64)
        return Orders(replace(bought, columns={**bought.columns, "categories": told}), returns, bought)
    return Orders(bought, returns, bought)


def _several_rows_each(rows: Events) -> Orders:
    is_marked = rows.columns[_MARK].astype(bool)
    is_bought = (rows.columns["amount"] > 0) & ~is_marked
    lines = replace(rows, columns=_of_lines(rows.columns)).keep(is_bought)
    orders = _gathered(_by_order(rows))
    is_marked, amount = orders.columns.pop(_MARK).astype(bool), orders.columns["amount"]
    is_return = is_marked | (amount < 0)
    return Orders(settled(orders.keep((amount > 0) & ~is_return)), settled(orders.keep(is_return)), lines)


def _of_lines(columns: dict[str, Array]) -> dict[str, Array]:
    return {name: columns[name] for name in ("channel", "category") if name in columns}


def _by_order(rows: Events) -> Events:
    """Rows of one moment order by order, and within an order by category."""
    tied, runs = tied_rows(rows.starts, rows.time)
    if not len(tied):
        return rows
    category = rows.columns.get("category", np.zeros(len(rows.time), np.int32))
    by = [category[tied], rows.columns[_MARK][tied], rows.known[tied], rows.columns["order_id"][tied], runs]
    order = np.arange(len(rows.time))
    order[tied] = tied[np.lexsort(by)]
    columns = {name: values[order] for name, values in rows.columns.items()}
    return Events(rows.starts, rows.time, rows.known[order], columns, rows.labels)


def _gathered(rows: Events) -> Events:
    """One row per order, from rows that stand order by order."""
    heads = np.flatnonzero(_is_head(rows))

    def summed(values: Array) -> Array:
        return np.add.reduceat(values, heads) if len(values) else values

    columns = _of_orders(rows.columns, summed)
    if "category" in rows.columns:
        columns["categories"] = summed(_is_new_category(rows.columns["category"], heads))
    columns[_MARK] = rows.columns[_MARK][heads]
    return Events(np.searchsorted(heads, rows.starts), rows.time[heads], rows.known[heads], columns, {})


def _of_orders(columns: dict[str, Array], summed: Callable[[Array], Array]) -> dict[str, Array]:
    """What an order adds up to."""
    found: dict[str, Array] = {name: summed(columns[name]) for name in ("amount", "discount") if name in columns}
    if "quantity" in columns:
        quantity = np.asarray(columns["quantity"], np.float64)
        is_told = summed(np.isfinite(quantity).astype(np.int64)) > 0
        found["quantity"] = np.where(is_told, summed(micro(quantity)), MISSING)
    return found


def _is_head(rows: Events) -> Bool:
    is_head, order = np.ones(len(rows.time), bool), rows.columns["order_id"]
    if len(order):
        same = (order[1:] >= 0) & (order[1:] == order[:-1])
        for values in (rows.time, rows.known, rows.columns[_MARK]):
            same &= values[1:] == values[:-1]
        is_head[1:] = ~same
        is_head[rows.starts[rows.starts < len(order)]] = True
    return is_head


def _is_new_category(category: Array, heads: Int64) -> Int64:
    is_new = np.diff(category, prepend=-1) != 0
    is_new[heads] = True
    return np.asarray(is_new & (category >= 0), np.int64)


def micro(numbers: npt.NDArray[np.float64]) -> Int64:
    """Returns the numbers in whole millionths, 0 for those that are not finite."""
    told = np.where(np.isfinite(numbers), numbers, 0.0)
    return np.rint(np.clip(told, -LARGEST, LARGEST) * MICRO).astype(np.int64)
