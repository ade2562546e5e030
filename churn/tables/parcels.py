"""Parcels: rows of a table that go to one bucket, as bytes with the tag of the table.

All tables of a bucket travel to a task as one, because a task takes one table; and they travel as parcels, because a
cluster that handles a few thousand byte strings need not handle each row: measured on 16M events, a third of the time.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping

import duckdb
import numpy as np
import pyarrow as pa

from churn.tables.quoting import identifier
from churn.tables.raw import bucket_sql
from churn.tables.rows import BUCKET

PARCELS = pa.schema([("bucket", pa.int32()), ("tag", pa.string()), ("rows", pa.binary())])
PARCELS_SQL = "bucket INT, tag STRING, rows BINARY"
"""The same as the columns of an SQL table."""
_HOLD = 1 << 26
"""Bytes of rows that are held until they are parcelled: a parcel of a few rows would be all wrapping."""


def packed(rows: Iterable[pa.Table], *, tag: str, buckets: int) -> Iterator[pa.RecordBatch]:
    """Yields rows as parcels; those of one customer go to one bucket, whatever the table.

    Args:
        rows: with a column customer_id, of one schema.
        tag: of the table.
        buckets: how many there are.
    """
    held: list[pa.Table] = []
    for table in rows:
        held.append(table)
        if sum(each.nbytes for each in held) >= _HOLD:
            yield _split(pa.concat_tables(held), tag, buckets)
            held = []
    if held:
        yield _split(pa.concat_tables(held), tag, buckets)


def packed_for(bucket: int, rows: pa.Table, *, tag: str) -> pa.RecordBatch:
    """Returns rows as one parcel for a bucket, whoever's they are."""
    return _parcels([bucket], [rows], tag)


def unpacked(batches: Iterable[pa.RecordBatch], schemas: Mapping[str, pa.Schema]) -> dict[str, pa.Table]:
    """Returns the table of every tag in `schemas` with its rows among some parcels, in the order in which they came."""
    parts: dict[str, list[pa.Table]] = {tag: [schema.empty_table()] for tag, schema in schemas.items()}
    for batch in batches:
        for tag, rows in zip(batch.column("tag").to_pylist(), batch.column("rows"), strict=True):
            with pa.ipc.open_stream(rows.as_buffer()) as stream:
                parts[tag].append(stream.read_all())
    return {tag: pa.concat_tables(tables) for tag, tables in parts.items()}


def schemas_text(schemas: Mapping[str, pa.Schema]) -> str:
    """Returns the schemas as JSON text; `schemas_of` reads them back."""
    return json.dumps({tag: base64.b64encode(schema.serialize()).decode() for tag, schema in schemas.items()})


def schemas_of(text: str) -> dict[str, pa.Schema]:
    """Returns what `schemas_text` told of.

    >>> given = {"visits": pa.schema([("customer_id", pa.string())])}
    >>> schemas_of(schemas_text(given)) == given
    True
    """
    told = json.loads(text)
    return {tag: pa.ipc.read_schema(pa.py_buffer(base64.b64decode(schema))) for tag, schema in told.items()}


def _split(rows: pa.Table, tag: str, buckets: int) -> pa.RecordBatch:
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        connection.register("given", rows.select(["customer_id"]))
        sql = f"SELECT {bucket_sql(buckets)} AS {identifier(BUCKET)} FROM given"
        bucket = connection.sql(sql).to_arrow_table()[BUCKET].to_numpy()
    if buckets < 2**16:
        bucket = bucket.astype(np.uint16)  # NumPy sorts short numbers by counting
    order = np.argsort(bucket, kind="stable")
    rows = rows.unify_dictionaries().take(pa.array(order)).combine_chunks()
    edges = np.searchsorted(bucket[order], np.arange(buckets + 1))
    numbers = np.flatnonzero(np.diff(edges))
    return _parcels(numbers.tolist(), [rows.slice(edges[n], edges[n + 1] - edges[n]) for n in numbers], tag)


def _parcels(numbers: list[int], parts: list[pa.Table], tag: str) -> pa.RecordBatch:
    sink, edges = pa.BufferOutputStream(), [0]
    for part in parts:
        with pa.ipc.new_stream(sink, part.schema) as stream:  # not compressed: Spark does that
            stream.write_table(part)
        edges.append(sink.tell())
    buffers = [None, pa.py_buffer(np.array(edges, np.int32)), sink.getvalue()]
    wrapped = pa.Array.from_buffers(pa.binary(), len(parts), buffers)
    return pa.RecordBatch.from_arrays(
        [pa.array(numbers, pa.int32()), pa.array([tag] * len(numbers)), wrapped], schema=PARCELS
    )
