"""Shape findings: what is noticeable about the tables, before anything is learnt from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from churn.config import TABLE_NAMES, Config
from churn.errors import did_you_mean
from churn.tables.contract import CONTRACT
from churn.tables.findings import Code, Issue, plural
from churn.tables.shape import ACTIVE_TABLES, KINDS, Counts, Days, Shape, TableShape

_HOW_TO_READ = frozenset({"kind", "author", "score_min", "score_max", "higher_is_better"})
"""Columns that say how to read the others: the same in every row is their ordinary state."""
_GAP_FACTOR = 8
_LEAST_GAP_DAYS = 7
_STALE_DAYS = 30
_MANY_LINES = 0.1
_DAY = np.timedelta64(1, "D")


def shape_issues(shape: Shape, config: Config) -> list[Issue]:
    """Returns what is noticeable about tables of this shape, table by table.

    Counts are rows unless the message says otherwise; times are UTC.
    """
    issues: list[Issue] = []
    days = {name: table.days for name, table in shape.items() if CONTRACT[name].time_column}
    for name in TABLE_NAMES:
        if name in shape:
            issues += [_summary(name, shape[name]), *_columns(name, shape[name]), *_unknown_words(name, shape[name])]
            if name in days:
                issues += [*_late_rows(name, shape[name].counts), *_gaps(name, days[name]), *_stale(name, days)]
                issues += _unknown_customers(name, shape)
    issues += [*_amounts(shape), *_orders(shape["transactions"].counts)]
    return [*issues, *_customers(shape, config)]


def _summary(name: str, table: TableShape) -> Issue:
    message = f"{plural(table.counts.rows, 'row')}, {plural(table.counts.customers, 'customer')}"
    if len(table.days):
        message += f", from {table.days[0]} to {table.days[-1]} (UTC)"
    return Issue("info", "table_summary", name, f"{message}.", count=table.counts.rows)


def _columns(name: str, table: TableShape) -> Iterator[Issue]:
    """Columns that say nothing because they say the same of everybody."""
    rows = table.counts.rows
    fixed = ("customer_id", CONTRACT[name].time_column, "available_at")
    for column, values in table.values.items():
        if column in fixed or rows < 2:
            continue
        if values.nulls == rows:
            fix = "Check the export, or leave the column out."
            yield Issue("warning", "empty_column", name, "has no value in any row.", column, rows, fix=fix)
        elif column not in _HOW_TO_READ and values.nulls == 0 and values.low == values.high:
            yield Issue("info", "constant_column", name, "has the same value in every row.", column, rows)


def _unknown_words(name: str, table: TableShape) -> Iterator[Issue]:
    for column, words in table.words.items():
        if words.first is None:
            continue
        known = KINDS[name, column]
        # The closest known word is shown, never the cell's own.
        fix = f"Known are {', '.join(known)}{did_you_mean(words.first.lower(), known) or '.'}"
        message = f"{plural(words.rows, 'row')} with a word that means nothing here."
        yield Issue("warning", "unknown_kind", name, message, column, words.rows, fix=fix)


def _late_rows(name: str, counts: Counts) -> Iterator[Issue]:
    if not counts.late:
        message = "cannot see late rows: every row counts as known when it happened."
        fix = "If rows are loaded or corrected later, give the column that says when."
        yield Issue("info", "late_rows_unseen", name, message, "available_at", counts.rows, fix=fix)


def _gaps(name: str, days: Days) -> Iterator[Issue]:
    """A stretch without a row that is far longer than usual: an export may be missing there."""
    if len(days) < 3:
        return
    widths = np.diff(days) / _DAY
    longest = int(np.argmax(widths))
    usual = float(np.median(widths))
    count = int((widths > max(_GAP_FACTOR * usual, _LEAST_GAP_DAYS)).sum())
    if count:
        message = (
            f"has no row between {days[longest]} and {days[longest + 1]} "
            f"({widths[longest]:.0f} days; usual are {usual:.0f}); such gaps: {count}."
        )
        fix = "If rows are missing there, add them: a hole in the data looks like customers leaving."
        yield Issue("warning", "gap_in_time", name, message, count=count, fix=fix)


def _stale(name: str, days: Mapping[str, Days]) -> Iterator[Issue]:
    """A table that ends long before the others switches its signals off unseen."""
    newest = max((found[-1] for found in days.values() if len(found)), default=None)
    own = days[name]
    if newest is None or not len(own):
        return
    behind = int((newest - own[-1]) / _DAY)
    usual = float(np.median(np.diff(own) / _DAY)) if len(own) > 1 else 0.0
    if behind > max(_STALE_DAYS, _GAP_FACTOR * usual):
        message = f"ends on {own[-1]}, {behind} days before the newest row of all tables ({newest})."
        fix = "Load the newest export of this table."
        yield Issue("warning", "stale_table", name, message, count=behind, fix=fix)


def _unknown_customers(name: str, shape: Shape) -> Iterator[Issue]:
    counts = shape[name].counts
    if counts.unknown_rows:
        place = "`customers`" if "customers" in shape else " or ".join(f"`{each}`" for each in ACTIVE_TABLES)
        rows, customers = plural(counts.unknown_rows, "row"), plural(counts.unknown_customers, "customer")
        message = f"{rows} of {customers} not in {place}."
        fix = "Check that both sides write their ids alike (leading zeros, spaces, prefixes)."
        yield Issue("warning", "unknown_customers", name, message, "customer_id", counts.unknown_rows, fix=fix)


def _amounts(shape: Shape) -> Iterator[Issue]:
    for name in ("transactions", "subscriptions"):
        if name not in shape or not shape[name].counts.negative:
            continue
        counts = shape[name].counts
        code: Code = "negative_amounts"
        negative = f"{plural(counts.negative, 'row')} with a negative amount"
        if name == "subscriptions":
            yield Issue("warning", code, name, f"{negative}.", "amount", counts.negative)
        elif "is_return" not in shape[name].values:
            yield Issue("info", code, name, f"{negative}, taken as returns.", "amount", counts.negative)
        elif counts.unmarked:
            rows, fix = plural(counts.unmarked, "row"), "Set is_return in these rows, or mend their amounts."
            message = f"{rows} with a negative amount and not marked as a return; taken as returns."
            yield Issue("warning", code, name, message, "amount", counts.unmarked, fix=fix)


def _orders(counts: Counts) -> Iterator[Issue]:
    if counts.split_orders:
        orders = plural(counts.split_orders, "order")
        message = f"{orders} whose rows carry several times; each time counts as an order of its own."
        fix = "If one order is meant, give all of its rows the same time."
        yield Issue("info", "several_rows_per_order", "transactions", message, "order_id", counts.split_orders, fix=fix)
    if counts.crowded > _MANY_LINES * counts.rows:
        # Nothing holds the lines of orders together: counts of orders and means per order are then those of lines.
        message = (
            f"{plural(counts.crowded, 'row')} at the same moment as another of the same customer; each counts as an "
            "order of its own, because no order_id says which belong together."
        )
        fix = "If rows are lines of orders, map order_id, or sum them by customer and time in a query."
        yield Issue("warning", "rows_without_order", "transactions", message, "order_id", counts.crowded, fix=fix)


def _customers(shape: Shape, config: Config) -> Iterator[Issue]:
    if "customers" not in shape:
        return
    counts = shape["customers"].counts
    if counts.repeated:
        rows, fix = plural(counts.repeated, "row"), "Give one row per customer."
        message = f"{rows} of a customer who has one already; the first in sorted order counts."
        yield Issue("warning", "duplicate_customers", "customers", message, "customer_id", counts.repeated, fix=fix)
    if counts.idle:
        tables_read = ", ".join(name for name in config.tables if name != "customers")
        message = f"{plural(counts.idle, 'customer')} without a row in {tables_read}; they are listed as not scored."
        yield Issue("info", "customers_without_events", "customers", message, "customer_id", counts.idle)
