"""The fingerprint of data: a hash of every table's content, whatever the order of its rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_ROWS = 65_536
"""Rows hashed at a time: bounds the memory."""


def fingerprint(tables: Mapping[str, pa.Table]) -> dict[str, str]:
    """Returns per table the SHA-256 over its rows as `read_tables` gives and sorts them, shortened to 16 digits."""
    return {name: _digest(table) for name, table in sorted(tables.items())}


def _digest(table: pa.Table) -> str:
    digest = hashlib.sha256()
    for start in range(0, max(table.num_rows, 1), _ROWS):
        piece = table.slice(start, _ROWS)
        for name in table.column_names:
            digest.update(f"{name}:{table.schema.field(name).type}:{piece.num_rows};".encode())
            for part in _plain(piece[name].combine_chunks()):
                digest.update(part)
    return digest.hexdigest()[:16]


def _plain(column: pa.Array) -> Iterator[bytes]:
    """The column's nulls and values as bytes: what lies in memory under a null or beside the rows doesn't count."""
    yield np.packbits(column.is_null().to_numpy(zero_copy_only=False)).tobytes()
    if pa.types.is_string(column.type):
        texts = pc.fill_null(column, "")
        yield pc.binary_length(texts).to_numpy().tobytes()
        yield "".join(texts.to_pylist()).encode()
    elif pa.types.is_timestamp(column.type):
        yield pc.fill_null(column.cast(pa.int64()), 0).to_numpy().tobytes()
    else:
        zero = False if pa.types.is_boolean(column.type) else 0
        yield pc.fill_null(column, zero).to_numpy(zero_copy_only=False).tobytes()
