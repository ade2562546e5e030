"""Parcels: rows of a table that go to one bucket, as bytes with the tag of the table.

All tables of a bucket travel to a task as one, because a task takes one table; and they travel as parcels, because a
cluster that handles a few thousand byte strings need not handle each row: measured on 16M events, a third of the time.
Where all tasks are on one machine the bytes lie in files there, and only their addresses travel.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from churn.tables.quoting import identifier
from churn.tables.raw import bucket_sql
from churn.tables.rows import BUCKET

PARCELS = pa.schema([("bucket", pa.int32()), ("tag", pa.string()), ("rows", pa.binary()), ("file", pa.string())])
"""The rows as bytes, or where they lie: a file, from which byte on, and how many."""
PARCELS_SQL = "bucket INT, tag STRING, rows BINARY, file STRING"
"""The same as the columns of an SQL table."""
_HOLD = 1 << 26
"""Bytes of rows that are held until they are parcelled: a parcel of a few rows would be all wrapping."""


def packed(rows: Iterable[pa.Table], *, tag: str, buckets: int, folder: str | None = None) -> Iterator[pa.RecordBatch]:
    """Yields rows as parcels; those of one customer go to one bucket, whatever the table.

    Args:
        rows: with a column customer_id, of one schema.
        tag: of the table.
        buckets: how many there are.
        folder: where the bytes are kept in files, if every task sees it; None: they travel.
    """
    held: list[pa.Table] = []
    for table in rows:
        held.append(table)
        if sum(each.nbytes for each in held) >= _HOLD:
            yield _split(pa.concat_tables(held), tag, buckets, folder)
            held = []
    if held:
        yield _split(pa.concat_tables(held), tag, buckets, folder)


def packed_for(bucket: int, rows: pa.Table, *, tag: str) -> pa.RecordBatch:
    """Returns rows as one parcel for a bucket, whoever's they are."""
    return _parcels([bucket], [rows], tag)


def unpacked(batches: Iterable[pa.RecordBatch], schemas: Mapping[str, pa.Schema]) -> dict[str, pa.Table]:
    """Returns the table of every tag in `schemas` with its rows among some parcels, in the order in which they came."""
    parts: dict[str, list[pa.Table]] = {tag: [schema.empty_table()] for tag, schema in schemas.items()}
    for batch in batches:
        tags, files = (batch.column(name).to_pylist() for name in ("tag", "file"))
        for tag, file, rows in zip(tags, files, batch.column("rows"), strict=True):
            with pa.ipc.open_stream(rows.as_buffer() if file is None else _lying_at(file)) as stream:
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


def _split(rows: pa.Table, tag: str, buckets: int, folder: str | None) -> pa.RecordBatch:
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
    parts = [rows.slice(edges[n], edges[n + 1] - edges[n]) for n in numbers]
    if folder is None:
        return _parcels(numbers.tolist(), parts, tag)
    return _kept(numbers.tolist(), parts, tag, Path(folder))


def _parcels(numbers: list[int], parts: list[pa.Table], tag: str) -> pa.RecordBatch:
    sink = pa.BufferOutputStream()
    edges = _written(parts, sink)
    buffers = [None, pa.py_buffer(np.array(edges, np.int32)), sink.getvalue()]
    wrapped = pa.Array.from_buffers(pa.binary(), len(parts), buffers)
    return _batch(numbers, tag, wrapped, pa.nulls(len(parts), pa.string()))


def _kept(numbers: list[int], parts: list[pa.Table], tag: str, folder: Path) -> pa.RecordBatch:
    """The parcels with their bytes in a new file: a task that is run twice writes twice."""
    path = folder / secrets.token_hex(16)
    with pa.OSFile(str(path), "wb") as sink:
        edges = _written(parts, sink)
    lying = [json.dumps([str(path), start, stop - start]) for start, stop in pairwise(edges)]
    return _batch(numbers, tag, pa.nulls(len(parts), pa.binary()), pa.array(lying, pa.string()))


def _lying_at(file: str) -> pa.Buffer:
    """The bytes of a parcel in a file, which are read when they are looked at."""
    path, start, count = json.loads(file)
    with pa.memory_map(path) as lying:
        lying.seek(start)
        return lying.read_buffer(count)


def _written(parts: Sequence[pa.Table], sink: pa.NativeFile) -> list[int]:
    """Where each part begins among the bytes written, and where the last ends."""
    edges = [0]
    for part in parts:
        with pa.ipc.new_stream(sink, part.schema) as stream:  # not compressed: Spark does that
            stream.write_table(part)
        edges.append(sink.tell())
    return edges


def _batch(numbers: list[int], tag: str, rows: pa.Array, file: pa.Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [pa.array(numbers, pa.int32()), pa.array([tag] * len(numbers)), rows, file], schema=PARCELS
    )
