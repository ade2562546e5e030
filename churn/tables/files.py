"""Files: which files a path in `churn.toml` means, and how each is read as text or as Parquet by DuckDB."""

from __future__ import annotations

import glob
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from churn.config import Config, TableSource
from churn.errors import TableError, did_you_mean
from churn.tables.dialect import Dialect, ragged_rows, sniff
from churn.tables.findings import plural
from churn.tables.quoting import identifier, literal

_CSV = (".csv", ".tsv", ".txt", ".psv", ".csv.gz")
_PARQUET = (".parquet", ".pq")
READABLE = _CSV + _PARQUET
_MAGIC = b"PAR1"
_SHOWN_FILES = 5


@dataclass(frozen=True, slots=True)
class Relation:
    """Something with columns that DuckDB can select from.

    Attributes:
        name: what messages call it.
        sql: goes after FROM.
        columns: the source's names in their order, each with the name it has in `sql`.
        types: the DuckDB type of each, by the source's name.
        path: the file behind it, or None for the result of a query.
        dialect: how the file is written, or None when it isn't CSV.
    """

    name: str
    sql: str
    columns: dict[str, str]
    types: dict[str, str]
    path: Path | None = None
    dialect: Dialect | None = None


def files_of(config: Config, pattern: str) -> list[Path]:
    """Returns the files that a path or glob in `churn.toml` means, sorted; a folder means the tables in it.

    Raises:
        TableError: there is none; says what lies nearby.
    """
    path = config.resolve(pattern)
    if path.is_dir():
        found = [child for child in path.iterdir() if child.is_file() and child.name.lower().endswith(READABLE)]
    elif path.is_file():
        found = [path]
    else:
        # Only what the user wrote is a pattern: the folder of `churn.toml` may have brackets in its name.
        names = glob.glob(str(Path(pattern).expanduser()), root_dir=config.directory, recursive=True)  # noqa: PTH207
        found = [child for child in map(config.resolve, names) if child.is_file()]
    if not found:
        what = "has no CSV or Parquet file in it" if path.is_dir() else f"does not exist{_nearby(path)}"
        raise TableError(f"{pattern} {what}; say in churn.toml where it is")
    return sorted(found)


def relation(path: Path, *, source: TableSource) -> Relation:
    """Returns the file at `path` as something to select from; every column of a CSV file is text.

    Raises:
        TableError: the file cannot be read, with every problem found.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise TableError(f"{path.name} cannot be opened: {error.strerror}; make it readable for you") from None
    try:
        if magic == _MAGIC or path.name.lower().endswith(_PARQUET):
            return _parquet(path)
        return _csv(path, source)
    except TableError as error:
        raise TableError(f"{path.name} {problem}" for problem in error.problems) from None
    except (OSError, EOFError, zlib.error):
        raise TableError(f"{path.name} is damaged: its compressed content breaks off; copy it again") from None


def broken_files(connection: duckdb.DuckDBPyConnection, relations: Iterable[Relation]) -> list[str]:
    """Returns which of the files cannot be read to their end, and why; each is tried alone."""
    problems: list[str] = []
    for found in relations:
        try:
            connection.execute(f"SELECT count(COLUMNS(*)) FROM {found.sql}").fetchall()
        except duckdb.Error as error:
            problems.append(_why_broken(found, error))
    return problems


def _why_broken(found: Relation, error: duckdb.Error) -> str:
    """Says it without the content that DuckDB's own message would quote."""
    if found.dialect is None or found.path is None:
        return f"{found.name} cannot be read ({type(error).__name__}): write the file again"
    count, rows = ragged_rows(found.path, found.dialect)
    width = len(found.dialect.header)
    if count:
        fields = "field" if width == 1 else "fields"
        return (
            f"{found.name} has {plural(count, 'row')} without the {width} {fields} of its header "
            f"(rows {', '.join(map(str, rows))}{', ...' if count > len(rows) else ''}); "
            "quote values that contain the delimiter, or write the file again"
        )
    why = "a quote left open or inside a value, or mixed line ends"
    return f"{found.name} breaks the rules of CSV ({why}); write the file again"


def exact_path(path: Path) -> str:
    """Returns the path as DuckDB must be given it: a file called `a[1].csv` is that file, not a pattern."""
    return glob.escape(str(path))


def _csv(path: Path, source: TableSource) -> Relation:
    if path.suffix.lower() in (".xlsx", ".xls", ".ods", ".json", ".jsonl"):
        raise TableError("is neither CSV nor Parquet; save it as CSV (UTF-8)")
    dialect = sniff(path, encoding=source.encoding, delimiter=source.delimiter)
    _check_header(dialect.header)
    # Columns are numbered, not named: what stands in a header never becomes SQL.
    names = [f"c{position}" for position in range(len(dialect.header))]
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    sql = (
        f"read_csv({literal(exact_path(path))}, auto_detect=false, header=true, "
        f"skip={dialect.skip}, columns={{{columns}}}, "
        f"delim={literal(dialect.delimiter)}, quote='\"', escape='\"', strict_mode=true, "
        f"encoding={literal(dialect.encoding)})"
    )
    types = dict.fromkeys(dialect.header, "VARCHAR")
    return Relation(path.name, sql, dict(zip(dialect.header, names, strict=True)), types, path, dialect)


def _check_header(header: tuple[str, ...]) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    problems = [f'has several columns called "{name}"; rename all but one' for name in twice if name]
    if "" in header and header.count("") > 1:
        problems.append("has several columns without a name; name them in its header")
    if problems:
        raise TableError(problems)


def _parquet(path: Path) -> Relation:
    sql = f"read_parquet({literal(exact_path(path))})"
    try:
        with duckdb.connect() as connection:
            described = connection.execute(f"DESCRIBE SELECT * FROM {sql}").fetchall()
            rows = connection.execute(f"SELECT count(*) FROM {sql}").fetchall()[0][0]
    except duckdb.Error:
        raise TableError("is no readable Parquet file; write it again") from None
    if rows == 0:
        raise TableError(
            "has columns and no rows: is the export complete? if nothing happened, take the table out of churn.toml"
        )
    types = {str(name): str(kind) for name, kind, *_ in described}
    return Relation(path.name, sql, {name: name for name in types}, types, path)


def select_all(found: Relation) -> str:
    """Returns the SQL of the whole relation under the source's own names; a column without one is left out."""
    columns = ", ".join(f"{identifier(inner)} AS {identifier(name)}" for name, inner in found.columns.items() if name)
    return f"SELECT {columns} FROM {found.sql}"


def _nearby(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f" (neither does its folder {folder.name}/)"
    names = sorted(child.name for child in folder.iterdir() if child.name.lower().endswith(READABLE))
    if not names:
        return f" (there is no CSV or Parquet file in {folder.name}/)"
    more = f" and {len(names) - _SHOWN_FILES} more" if len(names) > _SHOWN_FILES else ""
    return f"{did_you_mean(path.name, names)} ({folder.name}/ has {', '.join(names[:_SHOWN_FILES])}{more})"
