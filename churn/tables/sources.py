"""Sources: every table of the configuration, read, cast by the contract, tidied, and told apart from what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import duckdb
import pyarrow as pa

from churn.config import TABLE_NAMES, Config, TableSource
from churn.errors import TableError, did_you_mean
from churn.tables.casts import EPOCHS, Reading, cast
from churn.tables.connection import connect
from churn.tables.contract import CONTRACT, Column
from churn.tables.database import read_query
from churn.tables.fence import fenced
from churn.tables.files import Relation, broken_files, files_of, relation
from churn.tables.findings import Issue
from churn.tables.quoting import identifier, literal
from churn.tables.rows import HASH, LOCAL, PROBLEM, VALUE, tidy

_STATIC = "static"
_VALID_FROM = "__valid_from"
_QUERIED = "queried"


def read_tables(config: Config) -> tuple[dict[str, pa.Table], list[Issue]]:
    """Returns every configured table as the contract asks, by name, and what was found while reading.

    Each table has its columns in the order of the contract (those the source has), `available_at` where rows happen,
    attributes of `customers` last; rows sorted by customer_id, time, then every other column. Ids are text, money is
    int64 cents, times are UTC in microseconds. Row numbers in findings count the source's data rows from 1, running
    on over the files of a glob in the order of their names.

    Raises:
        TableError: a table cannot be read; names every problem of every table.
        ConfigError: the engine settings mean nothing to DuckDB.
    """
    tables: dict[str, pa.Table] = {}
    issues: list[Issue] = []
    problems: list[str] = []
    for name in TABLE_NAMES:
        if name not in config.tables:
            continue
        try:
            tables[name], found = _read_table(name, config)
            issues.extend(found)
        except TableError as error:
            problems.extend(f"{name}: {problem}" for problem in error.problems)
    if problems:
        raise TableError(problems)
    return tables, issues


def _read_table(name: str, config: Config) -> tuple[pa.Table, list[Issue]]:
    source = config.tables[name]
    with connect(config) as connection, _rows(source, config) as queried:
        relations = _relations(config, source) if queried is None else [_queried(connection, queried)]
        columns, origin = _plan(name, config, relations[0])
        raw = _select(connection, relations, columns, origin, name, source)
        if queried is not None and raw.num_rows == 0:
            raise TableError("the query returns no row")
        table, issues = tidy(
            raw,
            table=name,
            columns=columns,
            zone=source.timezone or config.timezone,
            duplicates=source.duplicates,
            connection=connection,
        )
    return table, [*_dialect_issues(name, source, relations), *_left_out(name, source, relations[0], origin), *issues]


def _rows(source: TableSource, config: Config) -> AbstractContextManager[pa.Table | pa.RecordBatchReader | None]:
    """The rows of a query, a database's as a stream that can be read once; None for files."""
    if source.query is None:
        return nullcontext()
    if source.url is not None:
        return read_query(source)
    return nullcontext(fenced(source.query, source=source, config=config))


def _relations(config: Config, source: TableSource) -> list[Relation]:
    """The files of a path or glob; all must have the same columns, in whatever order."""
    assert source.path is not None  # the configuration has checked that there is a path or a query
    relations: list[Relation] = []
    problems: list[str] = []
    for path in files_of(config, source.path):
        try:
            relations.append(relation(path, source=source))
        except TableError as error:
            problems.extend(error.problems)
    for other in relations[1:]:
        first = relations[0]
        lacking = sorted(set(first.columns) ^ set(other.columns))
        if lacking:
            names = ", ".join(f'"{column}"' for column in lacking[:5])
            problems.append(
                f"{other.name} and {first.name} differ in the columns {names}; give all files the same header"
            )
    if problems:
        raise TableError(problems)
    return relations


def _queried(connection: duckdb.DuckDBPyConnection, queried: pa.Table | pa.RecordBatchReader) -> Relation:
    if isinstance(queried, pa.Table) and queried.num_rows == 0:
        raise TableError("the query returns no row")
    connection.register(_QUERIED, queried)
    described = connection.execute(f"DESCRIBE SELECT * FROM {_QUERIED}").fetchall()
    types = {str(column): str(kind) for column, kind, *_ in described}
    return Relation("the query", _QUERIED, {column: column for column in types}, types)


def _plan(name: str, config: Config, found: Relation) -> tuple[list[Column], dict[str, str]]:
    """The columns to read, in the order of the contract, and the source's column behind each."""
    source = config.tables[name]
    wanted = [*CONTRACT[name].columns, *_attributes(name, source)]
    known = [column.name for column in wanted]
    origin: dict[str, str] = {}
    problems = [
        f"tables.{name}.{key} is no column of {name}{did_you_mean(key, known)}{_line(config, name, key)}"
        for key in source.columns
        if key not in known
    ]
    for column in wanted:
        given = source.columns.get(column.name, _default_origin(column.name, source))
        is_wished = column.name in source.columns or column.is_required
        if given in source.sensitive:
            if is_wished:
                problems.append(f'column "{given}" is sensitive, and read as {column.name}; take one of both back')
        elif given in found.columns:
            origin[column.name] = given
        elif is_wished:
            problems.append(_absent(name, column.name, given, config, found))
    problems += [
        f'attribute "{column}" is a column of {name} already; take it out of attributes'
        for column in source.attributes
        if known.count(column) > 1
    ]
    if problems:
        raise TableError(problems)
    return [column for column in wanted if column.name in origin], origin


def _attributes(name: str, source: TableSource) -> list[Column]:
    """Attributes are categories; one that changes carries the clock from which its value holds."""
    if name != "customers":
        return []
    columns: list[Column] = []
    for attribute, clock in source.attributes.items():
        columns.append(Column(attribute, "category", is_required=True))
        if clock != _STATIC:
            columns.append(Column(attribute + _VALID_FROM, "clock", is_required=True))
    return columns


def _default_origin(column: str, source: TableSource) -> str:
    return source.attributes[column.removesuffix(_VALID_FROM)] if column.endswith(_VALID_FROM) else column


def _absent(name: str, column: str, given: str, config: Config, found: Relation) -> str:
    hint = did_you_mean(given, list(found.columns))
    return (
        f'column "{given}" is not in {found.name}{hint or "."} Set tables.{name}.{column}{_line(config, name, column)}.'
    )


def _line(config: Config, *keys: str) -> str:
    line = config.line_of("tables", *keys)
    return " in churn.toml" + (f" (line {line})" if line else "")


def _select(
    connection: duckdb.DuckDBPyConnection,
    relations: Sequence[Relation],
    columns: Sequence[Column],
    origin: dict[str, str],
    name: str,
    source: TableSource,
) -> pa.Table:
    """Every relation cast by the contract, one below the other, in the order of its rows."""
    reading = Reading(source.decimal, source.time_format)
    _check_format(connection, name, reading)
    try:
        selects = [_select_one(found, columns, origin, reading) for found in relations]
        rows: pa.Table = connection.sql(" UNION ALL ".join(selects)).to_arrow_table()
        return rows
    except duckdb.OutOfMemoryException:
        raise TableError("does not fit into engine.memory_limit; raise it in churn.toml") from None
    except duckdb.Error:
        problems = broken_files(connection, relations)
        if not problems:
            raise  # no file is to blame: our mistake, and the user should see it as such
        raise TableError(problems) from None


def _select_one(found: Relation, columns: Sequence[Column], origin: dict[str, str], reading: Reading) -> str:
    """Casts inside, and outside them what is wrong: asked of the values, so that nothing is cast twice."""
    inner: list[str] = []
    outer: list[str] = []
    for column in columns:
        given = origin[column.name]
        read = cast(found.columns[given], source_type=found.types[given], kind=column.kind, reading=reading)
        value, local = identifier(column.name + VALUE), identifier(column.name + LOCAL)
        inner.append(f"{read.value} AS {value}")
        outer.append(f"{value} AS {identifier(column.name)}")
        is_read = f"{value} IS NOT NULL"
        if read.local is not None:
            inner.append(f"{read.local} AS {local}")
            outer.append(local)
            is_read += f" OR {local} IS NOT NULL"
        if read.problems:
            asked = " ".join(f"WHEN {condition} THEN {text}" for condition, text in read.problems)
            outer.append(f"CASE WHEN {is_read} THEN NULL {asked} END AS {identifier(column.name + PROBLEM)}")
    # The whole source row, read or not, in an order of columns that two exports of one table share.
    whole = ", ".join(identifier(found.columns[given]) for given in sorted(found.columns))
    return (
        f"SELECT {', '.join(outer)}, hash({whole}) AS {identifier(HASH)} "
        f"FROM (SELECT *, {', '.join(inner)} FROM {found.sql})"
    )


def _check_format(connection: duckdb.DuckDBPyConnection, name: str, reading: Reading) -> None:
    if reading.time_format is None or reading.time_format in EPOCHS:
        return
    try:
        connection.execute(f"SELECT try_strptime('', {literal(reading.time_format)})").fetchall()
    except duckdb.Error:
        raise TableError(
            f'tables.{name}.time_format = "{reading.time_format}" is no time format; use one such as '
            f'"%Y-%m-%d %H:%M:%S", or one of {", ".join(EPOCHS)}'
        ) from None


def _dialect_issues(name: str, source: TableSource, relations: Sequence[Relation]) -> list[Issue]:
    issues: list[Issue] = []
    for found in relations:
        if found.dialect is not None and source.delimiter not in (None, found.dialect.delimiter):
            message = (
                f"{found.name} is split at {found.dialect.delimiter!r}, not at {source.delimiter!r} as configured."
            )
            issues.append(Issue("warning", "wrong_delimiter", name, message, fix=f"Set tables.{name}.delimiter."))
    return issues


def _left_out(name: str, source: TableSource, found: Relation, origin: dict[str, str]) -> list[Issue]:
    if name != "customers":
        return []
    spare = [column for column in found.columns if column and column not in {*origin.values(), *source.sensitive}]
    return [
        Issue(
            "info",
            "attribute_left_out",
            name,
            "in the source, but neither an attribute nor sensitive; left out.",
            column,
            fix=f'To use it, add it to tables.customers.attributes: "{column}" = "static", or the name of the column '
            "that says since when its value holds.",
        )
        for column in spare
    ]
