"""Glimpses: the columns of a file and a sample of its values, enough to guess what it is."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from churn.config import TableSource
from churn.errors import TableError
from churn.tables.files import Relation, broken_files, relation
from churn.tables.quoting import identifier

_SAMPLE_ROWS = 5_000
_ENCODINGS = ("utf-8", "latin-1")
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[-+]\d{2}(:?\d{2})?)?)?")
_EPOCH_DIGITS = {10: "epoch_s", 13: "epoch_ms", 16: "epoch_us"}
_DATES = (
    "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%m.%d.%Y", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y",
    "%Y/%m/%d", "%Y%m%d", "%d %b %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%d-%b-%Y", "%d-%b-%y",
)  # fmt: skip
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", ", %H:%M", "T%H:%M:%S")
_DECIMAL_COMMA = re.compile(r"[-+]?(\d+|\d{1,3}(\.\d{3})+),\d+")
_DECIMAL_POINT = re.compile(r"[-+]?(\d+|\d{1,3}(,\d{3})+)\.\d+")


@dataclass(frozen=True, slots=True)
class Glimpse:
    """A look at one file.

    Attributes:
        path: the file.
        source: how it was read.
        found: its columns and types.
        sample: values of each column as text, missing ones left out; the same rows for every look.
        rows: how many rows the sample has.
    """

    path: Path
    source: TableSource
    found: Relation
    sample: dict[str, list[str]]
    rows: int

    @property
    def columns(self) -> list[str]:
        """The source's column names that are not empty."""
        return [name for name in self.found.columns if name]

    def is_typed_time(self, column: str) -> bool:
        """Whether the file itself says that the column holds times."""
        return self.found.types[column].startswith(("TIMESTAMP", "DATE"))

    def is_number(self, column: str) -> bool:
        """Whether most values of the column read as numbers, with either decimal sign."""
        values = self.sample[column]
        return bool(values) and sum(_is_number(value) for value in values) >= 0.95 * len(values)

    def time_formats(self, column: str) -> list[str | None]:
        """Returns the formats under which every sampled value is a time: None is ISO 8601; several are a real doubt."""
        if self.is_typed_time(column):
            return [None]
        return time_formats(self.sample[column])

    def has_decimal_comma(self, column: str) -> bool:
        """Whether values of the column have decimals behind a comma and none behind a point."""
        values = self.sample[column]
        return any(map(_DECIMAL_COMMA.fullmatch, values)) and not any(map(_DECIMAL_POINT.fullmatch, values))


def glimpse(path: Path) -> Glimpse:
    """Returns a look at the file at `path`, read as UTF-8 or, where it is not that, as Latin-1.

    Raises:
        TableError: the file cannot be read either way.
    """
    problems: tuple[str, ...] = ()
    for encoding in _ENCODINGS:
        source = TableSource.model_validate({"path": path.name, "encoding": encoding})
        try:
            found = relation(path, source=source)
        except TableError as error:
            problems = error.problems
            continue
        try:
            return Glimpse(path, source, found, *_sample(found))
        except duckdb.Error:
            with duckdb.connect() as connection:
                problems = tuple(broken_files(connection, [found])) or (f"{path.name} cannot be read",)
    raise TableError(problems)


def time_formats(values: Sequence[str]) -> list[str | None]:
    """Returns the formats under which all `values` are times; None stands for ISO 8601.

    >>> time_formats(["2024-01-31"]), time_formats(["31/01/2024"]), time_formats(["1/2/2024"])
    ([None], ['%d/%m/%Y'], ['%d/%m/%Y', '%m/%d/%Y'])
    """
    values = sorted({value.strip() for value in values})
    if not values:
        return []
    if all(map(_ISO.fullmatch, values)):
        return [None]
    if all(value.removesuffix(".0").isdigit() for value in values):
        lengths = {len(value.removesuffix(".0")) for value in values}
        if len(lengths) == 1 and (unit := _EPOCH_DIGITS.get(lengths.pop())):
            return [unit]
    formats = [date + clock for date in _DATES for clock in _CLOCKS]
    for value in values:
        formats = [pattern for pattern in formats if _parses(value, pattern)]
        if not formats:
            return []
    return list(formats)


def _sample(found: Relation) -> tuple[dict[str, list[str]], int]:
    columns = [name for name in found.columns if name]
    texts = ", ".join(f"CAST({identifier(found.columns[name])} AS VARCHAR)" for name in columns)
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")  # so that the same rows are drawn every time
        connection.execute("SET TimeZone = 'UTC'")
        rows = connection.execute(
            f"SELECT {texts} FROM {found.sql} USING SAMPLE reservoir({_SAMPLE_ROWS} ROWS) REPEATABLE (1)"
        ).fetchall()
    values = {
        name: [str(row[place]) for row in rows if row[place] is not None and str(row[place]).strip()]
        for place, name in enumerate(columns)
    }
    return values, len(rows)


def _parses(value: str, pattern: str) -> bool:
    try:
        return 1990 <= dt.datetime.strptime(value, pattern).year < 2100
    except ValueError:
        return False


def _is_number(value: str) -> bool:
    if _DECIMAL_COMMA.fullmatch(value) or _DECIMAL_POINT.fullmatch(value):
        return True
    try:
        float(value.replace(",", "."))
    except ValueError:
        return False
    return True
