"""Rows: which rows of a source are kept, which are dropped by rule, and what is told about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn.errors import TableError
from churn.tables.casts import NOT_FINITE
from churn.tables.clocks import is_out_of_range, to_utc
from churn.tables.contract import CONTRACT, Column
from churn.tables.findings import Code, Issue, Severity, first_rows, plural

Mask = npt.NDArray[np.bool_]
Int64 = npt.NDArray[np.int64]

MOST_UNREADABLE = 0.01
"""A table with a larger share of unreadable values in one column is refused."""

MOST_OF_ALL = 0.9
"""With a smaller share unreadable, a column is written in several ways rather than in another one than expected."""

VALUE, PROBLEM, LOCAL = ":value", ":problem", ":local"
"""Suffixes of the columns that travel beside the values until the rows are sifted."""
HASH, ROW, BUCKET = ":hash", ":row", ":bucket"
"""Columns of a row itself: the hash of its whole source row, its number in the source, and its customer's bucket."""

_KINDS = {"time": "time", "clock": "time", "money": "amount", "number": "number", "flag": "yes or no", "id": "id"}


@dataclass(slots=True)
class _Found:
    """One thing that may be wrong with the rows of a table: what is told of it, how often it was seen, and where."""

    severity: Severity
    code: Code
    column: str
    message: str
    fix: str
    count: int = 0
    rows: tuple[int, ...] = ()
    shape: str = ""

    def add(self, numbers: Int64, shape: str = "") -> None:
        """Counts rows by their numbers; the shape of the first unreadable value is the one that is told."""
        self.shape = self.shape or shape
        self.count += len(numbers)
        self.rows = first_rows(np.append(numbers, np.array(self.rows, np.int64)))

    def issue(self, table: str) -> Issue:
        """Returns the finding; `{rows}` in its message becomes their count."""
        told = self.message.replace("{rows}", plural(self.count, "row")).replace("{shape}", self.shape)
        return Issue(self.severity, self.code, table, told, self.column, self.count, self.rows, self.fix)


@dataclass(slots=True)
class _Batch:
    """Some rows of a table on their way: their numbers in the source, and which are still in."""

    number: Int64
    is_kept: Mask


class Sieve:
    """Takes a table's cast rows batch by batch, keeps the usable ones, and remembers what was wrong with the others.

    What is told depends on the rows and not on how they were cut into batches.
    """

    def __init__(self, table: str, columns: Sequence[Column], *, zone: str) -> None:
        """Args: which table, the columns its source has in the order of the contract, the zone of wall-clock times."""
        self.table = table
        self.rows = 0
        self.kept = 0
        self._columns = {column.name: column for column in columns}
        self._zone = zone
        self._found: dict[tuple[Code, str], _Found] = {}
        self._time_column = CONTRACT[table].time_column

    @property
    def schema(self) -> pa.Schema:
        """The columns of sifted rows: the contract's that the source has, `available_at` where rows happen,
        attributes, then the row's own."""
        here = {*self._columns, *(("available_at",) if self._time_column else ())}
        contract = [column for column in CONTRACT[self.table].columns if column.name in here]
        others = [column for name, column in self._columns.items() if name not in CONTRACT[self.table].names]
        fields = [(column.name, column.arrow_type) for column in [*contract, *others]]
        return pa.schema([*fields, (HASH, pa.uint64()), (ROW, pa.int64())])

    def sift(self, raw: pa.Table) -> pa.Table:
        """Returns the usable rows of a batch with the columns of `schema`, and `:bucket` where `raw` has it.

        Rows without an id, a readable time or a finite amount are dropped. Batches come in the order of the source.

        Args:
            raw: the columns of the contract, each with its `:problem` and, for times, its `:local`; `:hash`, `:row`.
        """
        batch = _Batch(raw[ROW].to_numpy(), np.ones(raw.num_rows, bool))
        values: dict[str, pa.ChunkedArray] = {}
        for column in self._columns.values():
            self._note_problems(batch, raw, column)
            is_time = column.kind in ("time", "clock")
            values[column.name] = self._instants(batch, raw, column) if is_time else raw[column.name]
        self._drop_unusable(batch, values)
        if self._time_column is not None:
            values["available_at"] = self._known(batch, values)
        self.rows += raw.num_rows
        self.kept += int(batch.is_kept.sum())
        arrays = [values[field.name] if field.name in values else raw[field.name] for field in self.schema]
        tidy = pa.table(
            [array.cast(field.type) for array, field in zip(arrays, self.schema, strict=True)], schema=self.schema
        )
        if BUCKET in raw.column_names:
            tidy = tidy.append_column(BUCKET, raw[BUCKET])
        return tidy if batch.is_kept.all() else tidy.filter(pa.array(batch.is_kept))

    def issues(self) -> list[Issue]:
        """Returns what was found in all rows sifted so far.

        Raises:
            TableError: more than 1 % of a column is unreadable, or no row is left; names every such column.
        """
        problems = [problem for found in self._found.values() if (problem := self._refusal(found))]
        if problems:
            raise TableError(problems)
        issues = [found.issue(self.table) for found in self._found.values() if found.count]
        if not self.rows:
            way_out = 'leave it out of churn.toml (a model trained with it then scores under missing_table = "warn")'
            raise TableError([f"holds no row: fill it, or {way_out}"])
        if not self.kept:
            raise TableError(["has no usable row left: " + "; ".join(map(str, issues))])
        return issues

    def told(self) -> dict[str, Any]:
        """Returns what was found so far as plain JSON data, for the sieve that joins those of several tasks."""
        found = [[code, column, *astuple(found)] for (code, column), found in self._found.items()]
        return {"rows": self.rows, "kept": self.kept, "found": found}

    def join(self, told: Mapping[str, Any]) -> None:
        """Adds what another sieve has `told` of the rows that follow in the source, numbered as in all of it."""
        self.rows += told["rows"]
        self.kept += told["kept"]
        for code, column, *fields in told["found"]:
            *about, count, rows, shape = fields
            found = self._found.setdefault((code, column), _Found(*about))
            found.add(np.array(rows, np.int64), shape)
            found.count += count - len(rows)

    def _refusal(self, found: _Found) -> str | None:
        """Why the table can't be used with so many of such rows, or None."""
        if found.count <= MOST_UNREADABLE * self.rows:
            return None
        shown = ", ".join(map(str, found.rows))
        share = f'column "{found.column}": {plural(found.count, "row")} of {self.rows:,}'
        if found.code == "unreadable_values":
            column = self._columns[found.column]
            more = ", ..." if found.count > len(found.rows) else ""
            return (
                f"{share} {'holds' if found.count == 1 else 'hold'} no readable {_KINDS.get(column.kind, 'value')} "
                f"(rows {shown}{more}; written like {found.shape}); "
                + _remedy(column, found.shape, self.table, is_mixed=found.count < MOST_OF_ALL * self.rows)
            )
        if found.code == "time_out_of_range" and found.column == self._time_column:
            setting = f"tables.{self.table}.time_format"
            return f"{share} before 1990 or after 2099 (rows {shown}, ...); check {setting}"
        return None

    def _note(
        self, severity: Severity, code: Code, batch: _Batch, mask: Mask | None, *, column: str, message: str,
        fix: str = "", shape: str = "",
    ) -> None:  # fmt: skip
        """Counts the rows of `mask`. What is told stands in the order in which it was first asked, found or not."""
        found = self._found.setdefault((code, column), _Found(severity, code, column, message, fix))
        if mask is not None and mask.any():
            found.add(batch.number[mask], shape)

    def _note_problems(self, batch: _Batch, raw: pa.Table, column: Column) -> None:
        if column.name + PROBLEM not in raw.column_names:
            return
        problem = raw[column.name + PROBLEM]
        is_infinite = is_unread = None
        shape = ""
        if problem.null_count < len(problem):
            is_infinite = _mask(pc.equal(problem, NOT_FINITE))
            is_unread = ~_is_null(problem) & ~is_infinite
            shape = str(problem.filter(pa.array(is_unread))[0]) if is_unread.any() else ""
        # An amount that isn't finite takes its row with it, and is told as a missing one.
        if (self.table, column.name) != ("transactions", "amount"):
            what = "NaN or infinite" if column.kind == "money" else "infinite"
            message = f"{{rows}} {what}; read as missing."
            self._note("warning", "not_finite", batch, is_infinite, column=column.name, message=message)
        kind = _KINDS.get(column.kind, "value")
        message = f"{{rows}} with no readable {kind} (written like {{shape}}); read as missing."
        self._note("warning", "unreadable_values", batch, is_unread, column=column.name, message=message, shape=shape)

    def _instants(self, batch: _Batch, raw: pa.Table, column: Column) -> pa.ChunkedArray:
        """The column's times in UTC, with findings about the nights when clocks change and about impossible years."""
        zone, name = self._zone, column.name
        local, is_ambiguous, is_skipped = to_utc(raw[name + LOCAL], zone=zone)
        times = pc.coalesce(raw[name].cast(local.type), local)
        fix = "Write times with their offset, such as 2025-10-26T02:30:00+02:00."
        message = f"{{rows}} in the hour that happens twice when clocks go back in {zone}; the later hour is taken."
        self._note("info", "ambiguous_times", batch, is_ambiguous, column=name, message=message, fix=fix)
        message = f"{{rows}} in the hour that clocks skip in {zone}; moved to the moment of the change."
        self._note("warning", "nonexistent_times", batch, is_skipped, column=name, message=message, fix=fix)
        return self._within_range(batch, times, name)

    def _within_range(self, batch: _Batch, times: pa.ChunkedArray, column: str) -> pa.ChunkedArray:
        """The times without impossible ones; of events they drop the row, and many refuse the table."""
        is_outside = is_out_of_range(times)
        is_event_time = column == self._time_column
        message = f"{{rows}} before 1990 or after 2099; {'dropped' if is_event_time else 'read as missing'}."
        self._note("warning", "time_out_of_range", batch, is_outside, column=column, message=message)
        if is_event_time:
            batch.is_kept &= ~is_outside
        return pc.if_else(pa.array(is_outside), pa.scalar(None, times.type), times) if is_outside.any() else times

    def _drop_unusable(self, batch: _Batch, values: dict[str, pa.ChunkedArray]) -> None:
        self._drop("missing_id", batch, values, "customer_id", "{rows} without a customer id; dropped.")
        if self._time_column is not None:
            self._drop("missing_time", batch, values, self._time_column, "{rows} without a readable time; dropped.")
        if self.table == "transactions":
            message = "{rows} without a finite amount (missing, unreadable, NaN or infinite); dropped."
            self._drop("missing_amount", batch, values, "amount", message)

    def _drop(self, code: Code, batch: _Batch, values: dict[str, pa.ChunkedArray], column: str, message: str) -> None:
        """Takes the rows without a value out, with a finding."""
        is_missing = _is_null(values[column])
        self._note("warning", code, batch, is_missing & batch.is_kept, column=column, message=message)
        batch.is_kept &= ~is_missing

    def _known(self, batch: _Batch, values: dict[str, pa.ChunkedArray]) -> pa.ChunkedArray:
        """When each row became known: its own time unless the source says later."""
        time = values[self._time_column or "time"]
        if "available_at" not in values:
            return time
        known = values["available_at"]
        message = "{rows} that do not say when they became known; taken as known when they happened."
        fix = "If such rows are not loaded yet, leave them out: before they are known, they are the future."
        is_missing = _is_null(known) & batch.is_kept
        self._note(
            "warning", "missing_available_at", batch, is_missing, column="available_at", message=message, fix=fix
        )
        message = "{rows} known before they happened; taken as known when they happened."
        fix = "Check that both columns mean what their names say, and their time zones."
        is_early = _mask(pc.less(known, time)) & batch.is_kept
        self._note("warning", "known_before_time", batch, is_early, column="available_at", message=message, fix=fix)
        return pc.max_element_wise(time.cast(pa.int64()), known.cast(pa.int64())).cast(time.type)


def _remedy(column: Column, shape: str, table: str, *, is_mixed: bool) -> str:
    """What to do about values that are written like `shape`; mixed ones stand among others that can be read."""
    setting = f"tables.{table}"
    if column.kind in ("time", "clock") and is_mixed:
        return (
            "the other rows are written otherwise: write all times in one way, such as 2025-03-01, or read both ways "
            f"in {setting}.query, as docs/findings.md shows"
        )
    if column.kind in ("time", "clock"):
        digits = shape.removesuffix(".9")
        if digits.isdigit() and len(digits) >= 9:
            unit = "epoch_s" if len(digits) <= 11 else "epoch_ms" if len(digits) <= 14 else "epoch_us"
            return f'set {setting}.time_format = "{unit}"'
        sign = next((each for each in "./-" if each in shape), "/")
        formats = [sign.join(parts) for parts in (("%d", "%m", "%Y"), ("%m", "%d", "%Y"))]
        return f'set {setting}.time_format, such as "{formats[0]}" (day first) or "{formats[1]}" (month first)'
    if column.kind in ("money", "number") and "," in shape:
        return f'set {setting}.decimal = "," if the comma is the decimal sign'
    if column.kind in ("money", "number"):
        return f"write plain numbers, such as 1234.56, with the decimal sign of {setting}.decimal and no unit"
    if column.kind == "id":
        return "write ids as text: as numbers they have lost digits"
    return "write true or false"


def _is_null(values: pa.ChunkedArray) -> Mask:
    if not values.null_count:
        return np.zeros(len(values), bool)
    return np.asarray(values.is_null().to_numpy(), bool)


def _mask(values: pa.ChunkedArray) -> Mask:
    return np.asarray(pc.fill_null(values, False).to_numpy(), bool)
