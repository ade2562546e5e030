"""Signals on Spark: the tables of a bucket travel to a task as one, and the task runs what a laptop runs.

One definition and no second engine: a task unpacks the rows of its customers and calls `bucket_signals`. What is asked
travels as JSON text. Spark pickles the name of the function that its Python processes call; nothing else is pickled.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from churn.signals.bucket import Asked, asked_of, bucket_signals
from churn.tables.contract import CONTRACT, TIME
from churn.tables.parcels import PARCELS_SQL, packed, schemas_of, schemas_text, unpacked
from churn.tables.session import kept_in

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import DataType

ROWS = "rows"
"""The tag of the rows that are asked for."""
ROWS_SCHEMA = pa.schema([("customer_id", pa.string()), ("at", pa.int64())])
_ROWS_AT_ONCE = 65_536
_READ_AT_ONCE = 4 * _ROWS_AT_ONCE
_LABELS = {
    name: {column.name for column in table.columns if column.kind == "category"} for name, table in CONTRACT.items()
}


def spark_signals(
    session: SparkSession, tables: Mapping[str, DataFrame | Sequence[Path]], rows: DataFrame | Sequence[Path],
    asked: Asked, *, buckets: int,
) -> DataFrame:  # fmt: skip
    """Returns customer_id, at and one float column per recipe for each of `rows`, in no order.

    The same numbers to the last bit as `bucket_signals`, whatever the number of buckets; categories are the positions
    of their frozen labels. At the cutoff t a row of the tables is used if `time < t` and it was known by t.

    Args:
        session: the running one.
        tables: canonical tables by name: money in whole cents, times as timestamps; a row without `available_at` was
            known when it happened. DataFrames, or Parquet files that every node sees under the same path: one file is
            one task, which reads it at a third of the cost of Spark's own reader.
        rows: columns customer_id (text) and at (cutoffs, microseconds UTC), likewise.
        asked: the recipes and what is frozen.
        buckets: how many tasks share the customers.
    """
    sources = {**tables, ROWS: rows}
    schemas = {tag: _schema_of(source, tag) for tag, source in sources.items()}
    text = schemas_text(schemas)
    pack, pack_files = (
        partial(how, buckets=buckets, schemas=text, folder=kept_in(session)) for how in (_pack, _pack_files)
    )
    parcels = [
        _files(session, source).mapInArrow(partial(pack_files, tag=tag), PARCELS_SQL)
        if isinstance(source, Sequence)
        else source.select(schemas[tag].names).mapInArrow(partial(pack, tag=tag), PARCELS_SQL)
        for tag, source in sources.items()
    ]
    together = reduce(lambda one, other: one.unionAll(other), parcels).repartitionById(buckets, "bucket")
    made = partial(_bucket, schemas=text, asked=json.dumps(asked.to_dict()))
    return together.mapInArrow(made, columns_sql(asked))


def columns_sql(asked: Asked) -> str:
    """Returns the columns of the answers as those of an SQL table."""
    names = (recipe.name.replace("`", "``") for recipe in asked.recipes)
    return ", ".join(["customer_id STRING", "at BIGINT", *(f"`{name}` FLOAT" for name in names)])


def delivered(tables: Mapping[str, pa.Table], rows: pa.Table, asked: str) -> Iterator[pa.RecordBatch]:
    """Yields the answers of a bucket; `asked` is JSON text, as `Asked.to_dict` tells it."""
    if rows.num_rows:
        told = asked_of(json.loads(asked))
        frame = bucket_signals(tables, rows, told)
        columns = [*rows.columns, *(_numbers(frame[recipe.name]) for recipe in told.recipes)]
        names = [*rows.column_names, *(recipe.name for recipe in told.recipes)]
        yield from pa.table(columns, names).to_batches(_ROWS_AT_ONCE)


def _pack(
    batches: Iterator[pa.RecordBatch], *, tag: str, buckets: int, schemas: str, folder: str | None
) -> Iterator[pa.RecordBatch]:
    """What a task does with some rows of a table."""
    schema = schemas_of(schemas)[tag]
    tables = (pa.Table.from_batches([batch]).cast(schema) for batch in batches)
    yield from packed(tables, tag=tag, buckets=buckets, folder=folder)


def _files(session: SparkSession, paths: Sequence[Path]) -> DataFrame:
    listed = session.createDataFrame([(str(path),) for path in paths], "path STRING").coalesce(1)
    return listed.repartition(len(paths))


def _pack_files(
    batches: Iterator[pa.RecordBatch], *, tag: str, buckets: int, schemas: str, folder: str | None
) -> Iterator[pa.RecordBatch]:
    """What a task does with the files that it is told to read."""
    schema = schemas_of(schemas)[tag]
    for path in (one for batch in batches for one in batch.column("path").to_pylist()):
        coded = [field.name for field in schema if pa.types.is_dictionary(field.type)]
        with pq.ParquetFile(path, read_dictionary=coded) as file:
            read = file.iter_batches(_READ_AT_ONCE, columns=schema.names)
            tables = (pa.Table.from_batches([batch]).select(schema.names).cast(schema) for batch in read)
            yield from packed(tables, tag=tag, buckets=buckets, folder=folder)


def _bucket(batches: Iterator[pa.RecordBatch], *, schemas: str, asked: str) -> Iterator[pa.RecordBatch]:
    """What a task does with the rows of its bucket."""
    tables = unpacked(batches, schemas_of(schemas))
    rows = tables.pop(ROWS)
    yield from delivered({name: _with_known(table, name) for name, table in tables.items()}, rows, asked)


def _with_known(table: pa.Table, name: str) -> pa.Table:
    time = CONTRACT[name].time_column
    is_told = time is None or "available_at" in table.column_names
    return table if is_told else table.append_column("available_at", table[time])


def _numbers(feature: pd.Series) -> pa.Array:
    if isinstance(feature.dtype, pd.CategoricalDtype):
        codes = feature.cat.codes.to_numpy()
        return pa.array(np.where(codes < 0, np.nan, codes).astype(np.float32))
    return pa.array(feature.to_numpy(np.float32))


def _schema_of(source: DataFrame | Sequence[Path], tag: str) -> pa.Schema:
    if isinstance(source, Sequence):
        found = pq.read_schema(source[0]).remove_metadata()
        return pa.schema([(field.name, _canonical(field, tag)) for field in found])
    return pa.schema([(field.name, _arrow_type(field.dataType)) for field in source.schema.fields])


def _canonical(field: pa.Field, tag: str) -> pa.DataType:
    """The type that a column of a file is read as: labels as codes, which weigh less on the way."""
    if pa.types.is_timestamp(field.type):
        return TIME
    if pa.types.is_dictionary(field.type) or pa.types.is_large_string(field.type) or pa.types.is_string(field.type):
        is_label = tag in CONTRACT and field.name in _LABELS[tag]
        return pa.dictionary(pa.int32(), pa.string()) if is_label else pa.string()
    return field.type


def _arrow_type(kind: DataType) -> pa.DataType:
    known = {"string": pa.string(), "timestamp": TIME, "double": pa.float64(), "boolean": pa.bool_()}
    return known.get(kind.simpleString(), pa.int64())
