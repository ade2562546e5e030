"""Raw rows: what a source holds, cast by the contract, batch by batch in the order of the source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from churn.config import Config, TableSource
from churn.errors import TableError
from churn.tables.casts import EPOCHS, Reading, cast
from churn.tables.connection import connect
from churn.tables.contract import Column
from churn.tables.database import read_query
from churn.tables.fence import fenced
from churn.tables.files import Relation, broken_files, files_of, relation
from churn.tables.findings import Issue
from churn.tables.mapping import columns_of, mapping_issues
from churn.tables.quoting import identifier, literal
from churn.tables.rows import BUCKET, HASH, LOCAL, PROBLEM, ROW, VALUE

_QUERIED = "queried"
_THE_QUERY = "the query"
_ROWS_AT_ONCE = 131_072
_BYTES_AT_ONCE = 1 << 26


@dataclass(frozen=True, slots=True)
class Raw:
    """The rows of a source.

    Attributes:
        columns: the columns of the contract that the source has, in the order of the contract.
        issues: what was found before any row was read.
        batches: the rows, to be read once: each column with its `:problem` and, for times, its `:local`; `:hash` of
            the whole source row, `:row` counted from 1 over all files of the source, and `:bucket` of the customer.
    """

    columns: list[Column]
    issues: list[Issue]
    batches: Iterator[pa.Table]


@contextmanager
def raw_rows(
    name: str, *, config: Config, buckets: int = 1, spill: Path | None = None, given: pa.RecordBatchReader | None = None
) -> Iterator[Raw]:
    """Yields the rows of the source of table `name`, each with its bucket of so many; `spill` as in `connect`.

    Rows that a cluster or the caller has read already are `given`.

    Raises:
        TableError: the source cannot be read, now or while its batches are; names every problem.
        ConfigError: the engine settings mean nothing to DuckDB.
    """
    source = config.tables[name]
    rows = nullcontext(given) if given is not None else _queried_rows(source, config, spill)
    with connect(config, spill=spill) as connection, rows as queried:
        if queried is None:
            relations = _relations(config, source)
        else:
            connection.register(_QUERIED, queried)
            origin_name = _THE_QUERY if given is None else str(source.spark_table or source.path)
            relations = [_described(connection, origin_name)]
        columns, origin = columns_of(name, config, relations[0])
        reading = Reading(source.decimal, source.time_format)
        _check_format(connection, name, reading)
        cast_rows = " UNION ALL ".join(_select_one(found, columns, origin, reading) for found in relations)
        numbered = f"SELECT *, {bucket_sql(buckets)} AS {identifier(BUCKET)} FROM ({cast_rows})"
        batches = _batches(connection, numbered, relations)
        yield Raw(columns, mapping_issues(name, source, relations, origin), batches)


def raw_columns(name: str, *, config: Config) -> list[str]:
    """Returns the columns of the contract that the source of table `name` has; no row is read.

    Raises:
        TableError: the source is not there, or lacks a column it must have; names every problem.
    """
    source = config.tables[name]
    with connect(config) as connection, _queried_rows(source, config, None, is_described=True) as queried:
        if queried is None:
            relations = _relations(config, source)
        else:
            connection.register(_QUERIED, queried)
            relations = [_described(connection, _THE_QUERY)]
        return [column.name for column in columns_of(name, config, relations[0])[0]]


def bucket_sql(buckets: int) -> str:
    """Returns the SQL of a customer's bucket; it is the same for her in every table."""
    return f"CAST(hash(customer_id) % {buckets} AS USMALLINT)"


def _queried_rows(
    source: TableSource, config: Config, spill: Path | None, *, is_described: bool = False
) -> AbstractContextManager[pa.RecordBatchReader | None]:
    """The rows of a query as a stream that can be read once; None for files."""
    if source.spark_table is not None:
        told = f"{source.spark_table} is a table of Spark, which only churn train and churn score read"
        raise TableError(f"{told}; for this command give its rows as Parquet files")
    if source.query is None:
        return nullcontext()
    if source.url is not None:
        return read_query(source, is_described=is_described)
    return fenced(source.query, source=source, config=config, spill=spill, is_described=is_described)


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


def _described(connection: duckdb.DuckDBPyConnection, name: str) -> Relation:
    described = connection.execute(f"DESCRIBE SELECT * FROM {_QUERIED}").fetchall()
    types = {str(column): str(kind) for column, kind, *_ in described}
    return Relation(name, _QUERIED, {column: column for column in types}, types)


def _batches(connection: duckdb.DuckDBPyConnection, sql: str, relations: Sequence[Relation]) -> Iterator[pa.Table]:
    """The rows of a SELECT in tables of some size, each row with its number."""
    rows = 0
    try:
        with closing(connection.sql(sql).to_arrow_reader(_ROWS_AT_ONCE)) as reader:
            for gathered in _gathered(reader):
                numbers = np.arange(rows + 1, rows + 1 + gathered.num_rows)
                rows += gathered.num_rows
                yield gathered.append_column(ROW, pa.array(numbers))
    # What breaks while a stream is read comes as an error of the operating system, whatever it was.
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        if isinstance(error, duckdb.OutOfMemoryException) or str(error).startswith("Out of Memory"):
            raise TableError("does not fit into engine.memory_limit; raise it in churn.toml") from None
        problems = broken_files(connection, [found for found in relations if found.path is not None])
        if not problems:
            # No file is to blame: our mistake, and the user should see it as such, not as an error of her disk.
            raise RuntimeError("the rows of a source cannot be read") from error
        raise TableError(problems) from None
    if not rows and relations[0].name == _THE_QUERY:
        raise TableError("the query returns no row; mend its conditions, or take the table out of churn.toml")


def _gathered(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Batches put together until they are worth the work on each."""
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in reader:
        held.append(batch)
        size += batch.nbytes
        if size >= _BYTES_AT_ONCE:
            yield pa.Table.from_batches(held)
            held, size = [], 0
    if held:
        yield pa.Table.from_batches(held)


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
