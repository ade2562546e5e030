"""The fingerprint of data: a hash of every table's content, whatever the order of its rows and in how many pieces."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from churn.tables.quoting import identifier

_WRAP = 1 << 64


@dataclass(frozen=True, slots=True)
class Digest:
    """What rows of one table add up to.

    Attributes:
        columns: the names and types of the columns, as text.
        rows: how many there are.
        total: the sum of a hash of every row, modulo 2**64: the same in any order, and additive over pieces.
    """

    columns: str
    rows: int = 0
    total: int = 0

    def __add__(self, other: Digest) -> Digest:
        """Returns what the rows of both add up to."""
        return Digest(self.columns, self.rows + other.rows, (self.total + other.total) % _WRAP)

    def __str__(self) -> str:
        told = f"{self.columns};{self.rows};{self.total}"
        return hashlib.sha256(told.encode()).hexdigest()[:16]


def fingerprint(tables: Mapping[str, pa.Table]) -> dict[str, str]:
    """Returns per table 16 hexadecimal digits that stand for its content; another content has others."""
    return {name: str(digest) for name, digest in digests(tables).items()}


def digests(tables: Mapping[str, pa.Table]) -> dict[str, Digest]:
    """Returns what the rows of each table add up to, to be added to those of other customers."""
    with duckdb.connect() as connection:
        return {name: _digest(connection, table) for name, table in sorted(tables.items())}


def _digest(connection: duckdb.DuckDBPyConnection, table: pa.Table) -> Digest:
    columns = ",".join(f"{name}:{table.schema.field(name).type}" for name in table.column_names)
    if not table.num_rows:
        return Digest(columns)
    hashed = ", ".join(map(identifier, table.column_names))
    connection.register("hashed", table)
    total = connection.sql(f"SELECT sum(hash({hashed})::HUGEINT) FROM hashed").fetchall()[0][0]
    connection.unregister("hashed")
    return Digest(columns, table.num_rows, int(total) % _WRAP)
