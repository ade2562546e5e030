"""Scattered tables: those of a project read by the tasks of a Spark cluster, and put together by customer.

A task reads one file (or one part of a Spark table) with the code that reads it on a laptop, and sends its usable rows
on in parcels, those of one customer to one task. What was wrong with the others travels among them as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa

from churn.config import Config
from churn.errors import TableError
from churn.tables.contract import Column
from churn.tables.findings import Issue
from churn.tables.ordering import repeated_issue, settled
from churn.tables.parcels import PARCELS, PARCELS_SQL, packed, packed_for, unpacked
from churn.tables.raw import Raw, raw_rows
from churn.tables.rows import BUCKET, ROW, Sieve
from churn.tables.session import kept_in
from churn.tables.sizes import bucket_count, source_files
from churn.tables.sources import each_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LISTED = ":listed"
"""The tag of the customers of a list."""
_LISTED_SCHEMA = pa.schema([("customer_id", pa.string()), ("place", pa.int64())])
_TOLD = ":told"
_TOLD_SCHEMA = pa.schema([("told", pa.string())])
_PART_BITS = 40
"""Rows are numbered within the part that a task reads, and the part stands in the bits above."""


@dataclass(frozen=True, slots=True)
class Scattered:
    """The tables of a project on a cluster.

    Attributes:
        names: the configured tables.
        columns: of each, those of the contract that its source has.
        issues: of each, what was found before any row was read.
        schemas: of the rows of every tag.
        rows: those of all tables as parcels, each bucket's in its partition; kept on the disks of the cluster.
        buckets: how many there are.
    """

    names: tuple[str, ...]
    columns: Mapping[str, list[Column]]
    issues: Mapping[str, list[Issue]]
    schemas: Mapping[str, pa.Schema]
    rows: DataFrame
    buckets: int

    def empty_tables(self) -> dict[str, pa.Table]:
        """Returns every table without a row, for those who ask for its columns."""
        schemas = {name: _own(self.schemas[name]) for name in self.names}
        return {name: schema.empty_table() for name, schema in schemas.items()}


@dataclass(frozen=True, slots=True)
class Gleaned:
    """What a task finds in its bucket.

    Attributes:
        tables: those of its customers, as `read_tables` would give them.
        others: what else came with these customers, by tag: the lines of a list, and what else a caller has added.
        found: for `found_in`, as JSON data: what the tasks that read have `told`, as far as it came here, and of each
            table how many rows are `repeated`, with the lowest of their numbers.
    """

    tables: dict[str, pa.Table]
    others: dict[str, pa.Table]
    found: dict[str, Any]


def scatter(session: SparkSession, config: Config, *, customers: Sequence[str] | None = None) -> Scattered:
    """Returns the project's tables on the cluster, and the lines of a list with them; nothing is read yet.

    Raises:
        TableError: a source is not there, or lacks a column; names every problem of every table.
    """
    from pyspark import StorageLevel

    columns: dict[str, list[Column]] = {}
    issues: dict[str, list[Issue]] = {}
    schemas: dict[str, pa.Schema] = {}
    parts: list[tuple[str, int, str]] = []

    def describe(name: str) -> None:
        given = _empty_reader(session, config, name)
        with raw_rows(name, config=config, given=given) as raw:
            columns[name], issues[name] = raw.columns, raw.issues
        schemas[name] = Sieve(name, columns[name], zone="UTC").schema
        parts.extend(_parts(name, config))

    each_table(config, describe)
    schemas = {**schemas, LISTED: _LISTED_SCHEMA, _TOLD: _TOLD_SCHEMA}
    buckets = _buckets(session, config)
    unions = [_of_files(session, parts, config, buckets)] if parts else []
    unions += [_of_spark_table(session, name, config, buckets) for name in columns if _spark_table(config, name)]
    if customers is not None:
        listed = pa.table([pa.array(customers, pa.string()), np.arange(len(customers))], schema=_LISTED_SCHEMA)
        unions.append(parcelled(session, listed, tag=LISTED, buckets=buckets))
    rows = in_buckets(unions, buckets).persist(StorageLevel.DISK_ONLY)
    return Scattered(tuple(columns), columns, issues, schemas, rows, buckets)


def parcelled(session: SparkSession, rows: pa.Table, *, tag: str, buckets: int) -> DataFrame:
    """Returns rows that lie here as parcels on the cluster."""
    made = pa.Table.from_batches(packed([rows], tag=tag, buckets=buckets), schema=PARCELS)
    return session.createDataFrame(made, PARCELS_SQL)


def in_buckets(parcels: Sequence[DataFrame], buckets: int) -> DataFrame:
    """Returns all parcels, those of each bucket in the partition of its number."""
    return reduce(lambda one, other: one.unionAll(other), parcels).repartitionById(buckets, "bucket")


def text_of(config: Config) -> str:
    """Returns what tasks need to know of a project, as JSON: no address of a database, no tracking, no output."""
    engine = config.engine.model_copy(update={"threads": 1})
    return config.model_copy(update={"engine": engine}).model_dump_json(exclude={"output", "tracking", "source"})


def config_of(text: str) -> Config:
    """Returns what `text_of` told of."""
    return Config.model_validate_json(text)


def glean(batches: Iterable[pa.RecordBatch], schemas: Mapping[str, pa.Schema], config: Config) -> Gleaned:
    """Returns the tables of a bucket, tidy, and what came with them."""
    others = unpacked(batches, schemas)
    told = others.pop(_TOLD)
    tables: dict[str, pa.Table] = {}
    repeated: dict[str, list[Any]] = {}
    for name in config.tables:
        tables[name], numbers = settled([others.pop(name)], table=name, duplicates=config.tables[name].duplicates)
        repeated[name] = [len(numbers), np.sort(numbers)[:3].tolist()]
    found = {"told": [json.loads(text) for text in told["told"].to_pylist()], "repeated": repeated}
    return Gleaned(tables, others, found)


def found_in(scattered: Scattered, found: Sequence[Mapping[str, Any]], *, config: Config) -> list[Issue]:
    """Returns the findings of all buckets, each as `Gleaned.found`; they are those that `read_tables` has.

    Raises:
        TableError: a table cannot be read, or too much of it isn't readable; names every problem of every table.
    """
    told = [one for bucket in found for one in bucket["told"]]
    others = sorted({str(one["duckdb"]) for one in told} - {duckdb.__version__})
    if others:  # another version may send a customer's rows to another bucket
        raise TableError(
            f"the cluster has DuckDB {', '.join(others)} and this machine {duckdb.__version__}; make them equal"
        )
    issues: list[Issue] = []

    def join(name: str) -> None:
        own = sorted((one for one in told if one["table"] == name), key=lambda one: int(one["part"]))
        problems = [problem for one in own for problem in one.get("problems", [])]
        if problems:
            raise TableError(problems)
        starts = np.cumsum([0, *(one["found"]["rows"] for one in own)])
        start_of = {int(one["part"]): int(start) for one, start in zip(own, starts, strict=False)}
        sieve = Sieve(name, scattered.columns[name], zone=config.tables[name].timezone or config.timezone)
        for one in own:
            sieve.join(_renumbered(one["found"], start_of))
        issues.extend([*scattered.issues[name], *sieve.issues()])
        counts = [bucket["repeated"][name] for bucket in found]
        numbers = np.array([_number(row, start_of) for _, rows in counts for row in rows], np.int64)
        duplicates = config.tables[name].duplicates
        issues.extend(repeated_issue(sum(count for count, _ in counts), numbers, table=name, duplicates=duplicates))

    each_table(config, join)
    return issues


def _number(row: int, start_of: Mapping[int, int]) -> int:
    """The number of a row in its whole source."""
    return start_of[row >> _PART_BITS] + (row & ((1 << _PART_BITS) - 1))


def _renumbered(found: Mapping[str, Any], start_of: Mapping[int, int]) -> dict[str, Any]:
    renumbered = [
        [*about, [_number(row, start_of) for row in rows], shape] for *about, rows, shape in found["found"]
    ]  # fmt: skip
    return {**found, "found": renumbered}


def _buckets(session: SparkSession, config: Config) -> int:
    if config.engine.buckets is not None:
        return config.engine.buckets
    least = int(session.sparkContext.defaultParallelism)
    if any(_spark_table(config, name) for name in config.tables):  # their size isn't known here
        least = max(least, int(session.conf.get("spark.sql.shuffle.partitions") or least))
    return max(least, bucket_count(config))


def _spark_table(config: Config, name: str) -> str | None:
    return config.tables[name].spark_table


def _parts(name: str, config: Config) -> list[tuple[str, int, str]]:
    """What tasks read: a file each, or the whole of a query."""
    source = config.tables[name]
    if source.spark_table is not None:
        return []
    if source.query is not None:
        return [(name, 0, "")]
    return [(name, number, str(path)) for number, path in enumerate(source_files(source, config=config))]


def _empty_reader(session: SparkSession, config: Config, name: str) -> pa.RecordBatchReader | None:
    table = _spark_table(config, name)
    return None if table is None else _read_spark_table(session, table).limit(0).toArrow().to_reader()


def _read_spark_table(session: SparkSession, table: str) -> DataFrame:
    from pyspark.errors import AnalysisException

    try:
        return session.table(table)
    except AnalysisException:
        raise TableError(f"spark_table = {table!r} is not there, or may not be read") from None


def _of_files(session: SparkSession, parts: Sequence[tuple[str, int, str]], config: Config, buckets: int) -> DataFrame:
    files = session.createDataFrame(list(parts), "name STRING, part INT, path STRING").coalesce(1)
    made = partial(_sift_files, config=text_of(config), buckets=buckets, folder=kept_in(session))
    return files.repartition(len(parts)).mapInArrow(made, PARCELS_SQL)


def _of_spark_table(session: SparkSession, name: str, config: Config, buckets: int) -> DataFrame:
    table = _read_spark_table(session, str(_spark_table(config, name)))
    made = partial(_sift_rows, name=name, config=text_of(config), buckets=buckets, folder=kept_in(session))
    return table.mapInArrow(made, PARCELS_SQL)


def _sift_files(
    batches: Iterator[pa.RecordBatch], *, config: str, buckets: int, folder: str | None
) -> Iterator[pa.RecordBatch]:
    """What a task does with the files that it is told to read."""
    project = config_of(config)
    for batch in batches:
        for part in batch.to_pylist():
            source = project.tables[part["name"]]
            own = source.model_copy(update={"path": part["path"]}) if part["path"] else source
            tables = {**project.tables, part["name"]: own}
            alone = project.model_copy(update={"tables": tables})
            yield from _sifted(part["name"], part["part"], alone, buckets, folder)


def _sift_rows(
    batches: Iterator[pa.RecordBatch], *, name: str, config: str, buckets: int, folder: str | None
) -> Iterator[pa.RecordBatch]:
    """What a task does with the rows of a part of a Spark table."""
    from pyspark import TaskContext

    first = next(batches, None)
    if first is not None:
        context = TaskContext.get()
        reader = pa.RecordBatchReader.from_batches(first.schema, _chained(first, batches))
        part = context.partitionId() if context else 0
        yield from _sifted(name, part, config_of(config), buckets, folder, reader)


def _chained(first: pa.RecordBatch, others: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from others


def _sifted(
    name: str, part: int, config: Config, buckets: int, folder: str | None, given: pa.RecordBatchReader | None = None
) -> Iterator[pa.RecordBatch]:
    """The usable rows of a part as parcels, and at the end what was wrong with the others."""
    told: dict[str, Any] = {"table": name, "part": part, "duckdb": duckdb.__version__}
    try:
        with raw_rows(name, config=config, given=given) as raw:
            sieve = Sieve(name, raw.columns, zone=config.tables[name].timezone or config.timezone)
            yield from packed(map(sieve.sift, _numbered(raw, part)), tag=name, buckets=buckets, folder=folder)
        told["found"] = sieve.told()
    except TableError as error:
        told |= {"problems": list(error.problems), "found": {"rows": 0, "kept": 0, "found": []}}
    yield packed_for(0, pa.table([[json.dumps(told)]], schema=_TOLD_SCHEMA), tag=_TOLD)


def _numbered(raw: Raw, part: int) -> Iterator[pa.Table]:
    for batch in raw.batches:
        numbers = pa.array(batch[ROW].to_numpy() + (part << _PART_BITS))
        at = batch.column_names.index(ROW)
        yield batch.set_column(at, ROW, numbers).drop_columns(BUCKET)


def _own(schema: pa.Schema) -> pa.Schema:
    return pa.schema([field for field in schema if not field.name.startswith(":")])
