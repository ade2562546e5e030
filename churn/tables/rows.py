"""Rows: which rows of a source are kept, which are dropped by rule, and in what order they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn.errors import TableError
from churn.tables.casts import NOT_FINITE
from churn.tables.clocks import is_out_of_range, to_utc
from churn.tables.contract import CONTRACT, Column
from churn.tables.findings import Code, Issue, Severity, first_rows, plural
from churn.tables.quoting import identifier

Mask = npt.NDArray[np.bool_]

MOST_UNREADABLE = 0.01
"""A table with a larger share of unreadable values in one column is refused."""

VALUE, PROBLEM, LOCAL, HASH = ":value", ":problem", ":local", ":hash"
"""Suffixes of the columns that travel beside the values until the rows are tidy."""

_ROW = ":row"
_UNORDERED = "unordered"
_KINDS = {"time": "time", "clock": "time", "money": "amount", "number": "number", "flag": "yes or no", "id": "id"}


@dataclass(slots=True)
class _Sieve:
    """The rows of one table on their way: which are still in, and what was found so far."""

    table: str
    rows: int
    problems: list[str] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    is_kept: Mask = field(init=False)

    def __post_init__(self) -> None:
        self.is_kept = np.ones(self.rows, bool)

    def note(self, severity: Severity, code: Code, mask: Mask, *, column: str, message: str, fix: str = "") -> None:
        """Adds a finding about the rows of `mask`, if there are any; `{rows}` in the message becomes their count."""
        where = np.flatnonzero(mask)
        if len(where):
            shown = message.replace("{rows}", plural(len(where), "row"))
            self.issues.append(Issue(severity, code, self.table, shown, column, len(where), first_rows(where + 1), fix))

    def drop(self, code: Code, mask: Mask, *, column: str, message: str, fix: str = "") -> None:
        """Takes the rows of `mask` out, with a finding."""
        self.note("warning", code, mask & self.is_kept, column=column, message=message, fix=fix)
        self.is_kept &= ~mask


def tidy(
    raw: pa.Table,
    *,
    table: str,
    columns: Sequence[Column],
    zone: str,
    duplicates: str,
    connection: duckdb.DuckDBPyConnection,
) -> tuple[pa.Table, list[Issue]]:
    """Returns the table of the contract made from cast source rows, and what was found on the way.

    Rows without an id, a readable time or a finite amount are dropped, exact duplicates too unless `duplicates` is
    "keep". Rows are sorted by customer_id, time and every other column, so the order of the source doesn't matter.

    Args:
        raw: the columns of the contract, each with its `:problem` and, for times, its `:local`, and the `:hash` of
            the whole source row; in the order of the source.
        table: which table it is.
        columns: the columns `raw` has, in the order of the contract.
        zone: time zone of wall-clock times.
        duplicates: "drop" or "keep".
        connection: sorts the rows.

    Raises:
        TableError: more than 1 % of a column is unreadable, or no row is left; names every such column.
    """
    sieve = _Sieve(table, raw.num_rows)
    values: dict[str, pa.ChunkedArray] = {}
    for column in columns:
        _note_problems(sieve, raw, column)
        values[column.name] = (
            _instants(sieve, raw, column, zone) if column.kind in ("time", "clock") else raw[column.name]
        )
    if sieve.problems:
        raise TableError(sieve.problems)
    _drop_unusable(sieve, values)
    if CONTRACT[table].time_column is not None:
        values["available_at"] = _known(sieve, values)
    if not sieve.is_kept.any():
        raise TableError(["has no usable row left: " + "; ".join(map(str, sieve.issues))])
    types = {column.name: column.arrow_type for column in [*columns, *CONTRACT[table].columns]}
    tidied = pa.table({name: value.cast(types[name]) for name, value in values.items()})
    tidied = tidied.append_column(HASH, raw[HASH]).append_column(_ROW, pa.array(np.arange(1, raw.num_rows + 1)))
    ordered = _ordered(tidied.filter(pa.array(sieve.is_kept)), table, connection)
    ordered = _without_duplicates(sieve, ordered, duplicates)
    return ordered.drop_columns([HASH, _ROW]), sieve.issues


def _note_problems(sieve: _Sieve, raw: pa.Table, column: Column) -> None:
    if column.name + PROBLEM not in raw.column_names:
        return
    problem = raw[column.name + PROBLEM]
    if problem.null_count == len(problem):
        return
    is_infinite = _mask(pc.equal(problem, NOT_FINITE))
    is_unread = ~np.asarray(problem.is_null().to_numpy(), bool) & ~is_infinite
    unread = int(is_unread.sum())
    if column.kind != "money":
        sieve.note(
            "warning", "not_finite", is_infinite, column=column.name, message="{rows} infinite; read as missing."
        )
    elif sieve.table != "transactions" or column.name != "amount":
        sieve.note(
            "warning", "not_finite", is_infinite, column=column.name, message="{rows} NaN or infinite; read as missing."
        )
    if not unread:
        return
    shape = str(problem.filter(pa.array(is_unread))[0])
    kind = _KINDS.get(column.kind, "value")
    rows = first_rows(np.flatnonzero(is_unread) + 1)
    if unread > MOST_UNREADABLE * sieve.rows:
        shown = ", ".join(map(str, rows)) + (", ..." if unread > len(rows) else "")
        verb = "holds" if unread == 1 else "hold"
        sieve.problems.append(
            f'column "{column.name}": {plural(unread, "row")} of {sieve.rows:,} {verb} no readable {kind} '
            f"(rows {shown}; written like {shape}); {_remedy(column, shape, sieve.table)}"
        )
        return
    sieve.note(
        "warning",
        "unreadable_values",
        is_unread,
        column=column.name,
        message=f"{{rows}} with no readable {kind} (written like {shape}); read as missing.",
    )


def _remedy(column: Column, shape: str, table: str) -> str:
    setting = f"tables.{table}"
    if column.kind in ("time", "clock"):
        digits = shape.removesuffix(".9")
        if digits.isdigit() and len(digits) >= 9:
            unit = "epoch_s" if len(digits) <= 11 else "epoch_ms" if len(digits) <= 14 else "epoch_us"
            return f'set {setting}.time_format = "{unit}"'
        return f'set {setting}.time_format, such as "%d/%m/%Y" (day first) or "%m/%d/%Y" (month first)'
    if column.kind in ("money", "number") and "," in shape:
        return f'set {setting}.decimal = "," if the comma is the decimal sign'
    if column.kind in ("money", "number"):
        return f"write plain numbers, such as 1234.56, with the decimal sign of {setting}.decimal and no unit"
    if column.kind == "id":
        return "write ids as text: as numbers they have lost digits"
    return "write true or false"


def _instants(sieve: _Sieve, raw: pa.Table, column: Column, zone: str) -> pa.ChunkedArray:
    """The column's times in UTC, with findings about the nights when clocks change and about impossible years."""
    local, is_ambiguous, is_skipped = to_utc(raw[column.name + LOCAL], zone=zone)
    times = pc.coalesce(raw[column.name].cast(local.type), local)
    fix = "Write times with their offset, such as 2025-10-26T02:30:00+02:00."
    sieve.note(
        "info",
        "ambiguous_times",
        is_ambiguous,
        column=column.name,
        fix=fix,
        message=f"{{rows}} in the hour that happens twice when clocks go back in {zone}; the later hour is taken.",
    )
    sieve.note(
        "warning",
        "nonexistent_times",
        is_skipped,
        column=column.name,
        fix=fix,
        message=f"{{rows}} in the hour that clocks skip in {zone}; moved to the moment of the change.",
    )
    return _within_range(sieve, times, column.name)


def _within_range(sieve: _Sieve, times: pa.ChunkedArray, column: str) -> pa.ChunkedArray:
    """The times without impossible ones; of events they drop the row, and many refuse the table."""
    is_outside = is_out_of_range(times)
    is_event_time = column == CONTRACT[sieve.table].time_column
    if is_event_time and is_outside.mean() > MOST_UNREADABLE:
        rows = ", ".join(map(str, first_rows(np.flatnonzero(is_outside) + 1)))
        sieve.problems.append(
            f'column "{column}": {plural(int(is_outside.sum()), "row")} of {sieve.rows:,} before 1990 '
            f"or after 2099 (rows {rows}, ...); check tables.{sieve.table}.time_format"
        )
        return times
    outcome = "dropped" if is_event_time else "read as missing"
    message = f"{{rows}} before 1990 or after 2099; {outcome}."
    sieve.note("warning", "time_out_of_range", is_outside, column=column, message=message)
    if is_event_time:
        sieve.is_kept &= ~is_outside
    return pc.if_else(pa.array(is_outside), pa.scalar(None, times.type), times) if is_outside.any() else times


def _drop_unusable(sieve: _Sieve, values: dict[str, pa.ChunkedArray]) -> None:
    time_column = CONTRACT[sieve.table].time_column
    sieve.drop(
        "missing_id",
        _is_null(values["customer_id"]),
        column="customer_id",
        message="{rows} without a customer id; dropped.",
    )
    if time_column is not None:
        sieve.drop(
            "missing_time",
            _is_null(values[time_column]),
            column=time_column,
            message="{rows} without a readable time; dropped.",
        )
    if sieve.table == "transactions":
        sieve.drop(
            "missing_amount",
            _is_null(values["amount"]),
            column="amount",
            message="{rows} without a finite amount (missing, unreadable, NaN or infinite); dropped.",
        )


def _known(sieve: _Sieve, values: dict[str, pa.ChunkedArray]) -> pa.ChunkedArray:
    """When each row became known: its own time unless the source says later."""
    time = values[CONTRACT[sieve.table].time_column or "time"]
    if "available_at" not in values:
        return time
    known = values["available_at"]
    sieve.note(
        "warning",
        "missing_available_at",
        _is_null(known) & sieve.is_kept,
        column="available_at",
        message="{rows} that do not say when they became known; taken as known when they happened.",
        fix="If such rows are not loaded yet, leave them out: before they are known, they are the future.",
    )
    is_early = _mask(pc.less(known, time))
    sieve.note(
        "warning",
        "known_before_time",
        is_early & sieve.is_kept,
        column="available_at",
        message="{rows} known before they happened; taken as known when they happened.",
        fix="Check that both columns mean what their names say, and their time zones.",
    )
    return pc.max_element_wise(time.cast(pa.int64()), known.cast(pa.int64())).cast(time.type)


def _ordered(table: pa.Table, name: str, connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """Rows by customer, time, then every other column; the names in the order of the contract."""
    first = [column for column in ("customer_id", CONTRACT[name].time_column) if column is not None]
    contract = [column for column in CONTRACT[name].names if column in table.column_names]
    rest = [column for column in table.column_names if column not in contract]
    keys = [*first, *(column for column in [*contract, *rest] if column not in first)]
    connection.register(_UNORDERED, table.select([*contract, *rest]))
    order = ", ".join(f"{identifier(key)} ASC NULLS LAST" for key in keys)
    ordered = connection.sql(f"SELECT * FROM {_UNORDERED} ORDER BY {order}").to_arrow_table()
    return ordered.cast(table.select([*contract, *rest]).schema)


def _without_duplicates(sieve: _Sieve, ordered: pa.Table, duplicates: str) -> pa.Table:
    """Equal source rows stand next to each other by now: equal in every column read, and in the hash of the others."""
    is_repeated = np.zeros(ordered.num_rows, bool)
    pairs = [ordered["customer_id"], ordered[HASH]]
    is_repeated[1:] = np.logical_and.reduce([_mask(pc.equal(column[1:], column[:-1])) for column in pairs])
    if not is_repeated.any():
        return ordered
    rows = np.sort(ordered[_ROW].to_numpy()[is_repeated])
    outcome = "dropped" if duplicates == "drop" else "kept, as the configuration asks"
    severity: Severity = "warning" if duplicates == "drop" else "info"
    fix = "" if duplicates == "keep" else f'If they are real, set tables.{sieve.table}.duplicates = "keep".'
    message = f"{plural(len(rows), 'row')} equal to another in every column of the source; {outcome}."
    sieve.issues.append(Issue(severity, "duplicate_rows", sieve.table, message, None, len(rows), first_rows(rows), fix))
    return ordered if duplicates == "keep" else ordered.filter(pa.array(~is_repeated))


def _is_null(values: pa.ChunkedArray) -> Mask:
    return np.asarray(values.is_null().to_numpy(), bool)


def _mask(values: pa.ChunkedArray) -> Mask:
    return np.asarray(pc.fill_null(values, False).to_numpy(), bool)
