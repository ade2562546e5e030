"""Shape: what can be seen in the tables once they are read, before anything is learnt from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn.config import TABLE_NAMES, Config
from churn.errors import did_you_mean
from churn.tables.contract import CONTRACT
from churn.tables.findings import Issue, plural

KINDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("feedback", "kind"): ("nps", "csat", "ces", "review", "complaint", "mention"),
    ("feedback", "author"): ("self", "other"),
    ("subscriptions", "ended_how"): ("cancel", "lapse", "payment_failure", "switch"),
}
"""The words that mean something in these columns; any other is read, but tells nothing."""

_HOW_TO_READ = frozenset({"kind", "author", "score_min", "score_max", "higher_is_better"})
"""Columns that say how to read the others: the same in every row is their ordinary state."""

_GAP_FACTOR = 8
_LEAST_GAP_DAYS = 7
_STALE_DAYS = 30
_MANY_LINES = 0.1
_DAY = np.timedelta64(1, "D")

Days = npt.NDArray[np.datetime64]


def shape_issues(tables: Mapping[str, pa.Table], config: Config) -> list[Issue]:
    """Returns what is noticeable about tables as `read_tables` returns them, table by table.

    Nothing is changed or left out. Counts are rows unless the message says otherwise; times are UTC.
    """
    days = {name: _days(name, tables[name]) for name in TABLE_NAMES if name in tables and CONTRACT[name].time_column}
    issues: list[Issue] = []
    for name in TABLE_NAMES:
        if name not in tables:
            continue
        table = tables[name]
        issues.append(_summary(name, table))
        issues.extend(_columns(name, table))
        issues.extend(_unknown_words(name, table))
        if name in days:
            issues.extend(_late_rows(name, table))
            issues.extend(_gaps(name, days[name]))
            issues.extend(_stale(name, days))
            issues.extend(_unknown_customers(name, tables))
    issues.extend(_amounts(tables))
    issues.extend(_orders(tables["transactions"]) if "transactions" in tables else ())
    issues.extend(_customers(tables, config))
    return issues


def _days(name: str, table: pa.Table) -> Days:
    """The distinct days on which the table has rows, sorted."""
    time = table[CONTRACT[name].time_column or "time"].drop_null()
    return np.unique(time.cast(pa.timestamp("us")).to_numpy().astype("datetime64[D]"))


def _summary(name: str, table: pa.Table) -> Issue:
    customers = pc.count_distinct(table["customer_id"]).as_py()
    message = f"{plural(table.num_rows, 'row')}, {plural(customers, 'customer')}"
    if (time_column := CONTRACT[name].time_column) is not None and table.num_rows:
        span = pc.min_max(table[time_column]).as_py()
        message += f", from {span['min']:%Y-%m-%d} to {span['max']:%Y-%m-%d} (UTC)"
    return Issue("info", "table_summary", name, f"{message}.", count=table.num_rows)


def _columns(name: str, table: pa.Table) -> Iterator[Issue]:
    """Columns that say nothing because they say the same of everybody."""
    fixed = ("customer_id", CONTRACT[name].time_column, "available_at")
    for column in table.column_names:
        if column in fixed or table.num_rows < 2:
            continue
        values = table[column]
        if values.null_count == len(values):
            yield Issue(
                "warning",
                "empty_column",
                name,
                "has no value in any row.",
                column,
                len(values),
                fix="Check the export, or leave the column out.",
            )
        elif column not in _HOW_TO_READ and values.null_count == 0 and pc.count_distinct(values).as_py() == 1:
            yield Issue("info", "constant_column", name, "has the same value in every row.", column, len(values))


def _unknown_words(name: str, table: pa.Table) -> Iterator[Issue]:
    for (owner, column), known in KINDS.items():
        if owner != name or column not in table.column_names:
            continue
        values = table[column].drop_null()
        is_unknown = pc.invert(pc.is_in(values, pa.array(known)))
        count = pc.sum(is_unknown).as_py() or 0
        if count:
            # The closest known word is shown, never the cell's own.
            close = did_you_mean(values.filter(is_unknown).unique().sort()[0].as_py().lower(), known)
            yield Issue(
                "warning",
                "unknown_kind",
                name,
                f"{plural(count, 'row')} with a word that means nothing here.",
                column,
                count,
                fix=f"Known are {', '.join(known)}{close or '.'}",
            )


def _late_rows(name: str, table: pa.Table) -> Iterator[Issue]:
    if table["available_at"].equals(table[CONTRACT[name].time_column or "time"]):
        yield Issue(
            "info",
            "late_rows_unseen",
            name,
            "cannot see late rows: every row counts as known when it happened.",
            "available_at",
            table.num_rows,
            fix="If rows are loaded or corrected later, give the column that says when.",
        )


def _gaps(name: str, days: Days) -> Iterator[Issue]:
    """A stretch without a row that is far longer than usual: an export may be missing there."""
    if len(days) < 3:
        return
    widths = np.diff(days) / _DAY
    longest = int(np.argmax(widths))
    usual = float(np.median(widths))
    if widths[longest] > max(_GAP_FACTOR * usual, _LEAST_GAP_DAYS):
        count = int((widths > max(_GAP_FACTOR * usual, _LEAST_GAP_DAYS)).sum())
        yield Issue(
            "warning",
            "gap_in_time",
            name,
            f"has no row between {days[longest]} and {days[longest + 1]} "
            f"({widths[longest]:.0f} days; usual are {usual:.0f}); such gaps: {count}.",
            count=count,
            fix="If rows are missing there, add them: a hole in the data looks like customers leaving.",
        )


def _stale(name: str, days: Mapping[str, Days]) -> Iterator[Issue]:
    """A table that ends long before the others switches its signals off unseen."""
    newest = max(found[-1] for found in days.values() if len(found))
    own = days[name]
    if not len(own):
        return
    behind = int((newest - own[-1]) / _DAY)
    usual = float(np.median(np.diff(own) / _DAY)) if len(own) > 1 else 0.0
    if behind > max(_STALE_DAYS, _GAP_FACTOR * usual):
        yield Issue(
            "warning",
            "stale_table",
            name,
            f"ends on {own[-1]}, {behind} days before the newest row of all tables ({newest}).",
            count=behind,
            fix="Load the newest export of this table.",
        )


def _unknown_customers(name: str, tables: Mapping[str, pa.Table]) -> Iterator[Issue]:
    """Rows of customers of whom the company's own list, or else every sale and visit, knows nothing."""
    if "customers" in tables:
        known, place = tables["customers"]["customer_id"], "`customers`"
    elif name not in ("transactions", "visits"):
        present = [tables[source]["customer_id"] for source in ("transactions", "visits") if source in tables]
        known, place = (
            pa.chunked_array([chunk for column in present for chunk in column.chunks], pa.string()),
            "`transactions` or `visits`",
        )
    else:
        return
    ids = tables[name]["customer_id"]
    unknown = ids.filter(pc.invert(pc.is_in(ids, pc.unique(known))))
    if len(unknown):
        customers = pc.count_distinct(unknown).as_py()
        yield Issue(
            "warning",
            "unknown_customers",
            name,
            f"{plural(len(unknown), 'row')} of {plural(customers, 'customer')} not in {place}.",
            "customer_id",
            len(unknown),
            fix="Check that both sides write their ids alike (leading zeros, spaces, prefixes).",
        )


def _amounts(tables: Mapping[str, pa.Table]) -> Iterator[Issue]:
    for name in ("transactions", "subscriptions"):
        if name not in tables or "amount" not in tables[name].column_names:
            continue
        table = tables[name]
        is_negative = pc.fill_null(pc.less(table["amount"], 0), False)
        count = pc.sum(is_negative).as_py() or 0
        if not count:
            continue
        if name == "subscriptions":
            yield Issue(
                "warning", "negative_amounts", name, f"{plural(count, 'row')} with a negative amount.", "amount", count
            )
        elif "is_return" not in table.column_names:
            yield Issue(
                "info",
                "negative_amounts",
                name,
                f"{plural(count, 'row')} with a negative amount, taken as returns.",
                "amount",
                count,
            )
        elif unmarked := int(pc.sum(pc.and_(is_negative, pc.invert(pc.fill_null(table["is_return"], False)))).as_py()):
            yield Issue(
                "warning",
                "negative_amounts",
                name,
                f"{plural(unmarked, 'row')} with a negative amount and not marked as a return; taken as returns.",
                "amount",
                unmarked,
                fix="Set is_return in these rows, or mend their amounts.",
            )


def _orders(transactions: pa.Table) -> Iterator[Issue]:
    if "order_id" not in transactions.column_names:
        yield from _rows_without_order(transactions)
        return
    lines = transactions.filter(pc.is_valid(transactions["order_id"])).select(["customer_id", "order_id", "time"])
    times = lines.group_by(["customer_id", "order_id"]).aggregate([("time", "min"), ("time", "max")])
    count = pc.sum(pc.not_equal(times["time_min"], times["time_max"])).as_py() or 0
    if count:
        yield Issue(
            "info",
            "several_rows_per_order",
            "transactions",
            f"{plural(count, 'order')} whose rows carry several times; each time counts as an order of its own.",
            "order_id",
            count,
            fix="If one order is meant, give all of its rows the same time.",
        )


def _rows_without_order(transactions: pa.Table) -> Iterator[Issue]:
    """Lines of orders that nothing holds together: counts of orders and means per order are then those of lines."""
    moments = transactions.group_by(["customer_id", "time"]).aggregate([([], "count_all")]).num_rows
    more = transactions.num_rows - moments
    if more > _MANY_LINES * transactions.num_rows:
        yield Issue(
            "warning",
            "rows_without_order",
            "transactions",
            f"{plural(more, 'row')} at the same moment as another of the same customer; each counts as an order of its "
            "own, because no order_id says which belong together.",
            "order_id",
            more,
            fix="If rows are lines of orders, map order_id, or sum them by customer and time in a query.",
        )


def _customers(tables: Mapping[str, pa.Table], config: Config) -> Iterator[Issue]:
    if "customers" not in tables:
        return
    ids = tables["customers"]["customer_id"]
    repeated = len(ids) - pc.count_distinct(ids).as_py()
    if repeated:
        yield Issue(
            "warning",
            "duplicate_customers",
            "customers",
            f"{plural(repeated, 'row')} of a customer who has one already; the first in sorted order counts.",
            "customer_id",
            repeated,
            fix="Give one row per customer.",
        )
    seen = [chunk for name, table in tables.items() if name != "customers" for chunk in table["customer_id"].chunks]
    is_seen = pc.is_in(pc.unique(ids), pc.unique(pa.chunked_array(seen, pa.string())))
    silent = len(is_seen) - (pc.sum(is_seen).as_py() or 0)
    if silent:
        tables_read = ", ".join(name for name in config.tables if name != "customers")
        yield Issue(
            "info",
            "customers_without_events",
            "customers",
            f"{plural(silent, 'customer')} without a row in {tables_read}; they are listed as not scored.",
            "customer_id",
            silent,
        )
