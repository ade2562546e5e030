"""Gathered scores: bucket after bucket they come in, and go out as one list in its order, group by group.

One bucket's scores stay in memory. Those of several lie in files, each with its manifest, and DuckDB sorts them within
its memory. Reasons of customers who are chosen from all of them come later, and go beside their scores on the way out.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from churn.config import Config
from churn.delivery.files import NUMBER_COLUMNS, ROWS_PER_GROUP, plain_table
from churn.errors import OutputError
from churn.tables.atomic import in_plain_words, replacing
from churn.tables.connection import connect
from churn.tables.quoting import identifier, literals

PLACE = ":place"
"""The column that says where in the list a row stands."""
_BY_RISK = "status DESC, percentile DESC NULLS LAST, p_leave DESC NULLS LAST, customer_id"
_BY_VALUE = "value_at_risk DESC NULLS LAST, p_leave DESC, customer_id"
_ID = "customer_id"
_ALL = 2**63 - 1
"""More rows than DuckDB counts to."""
_MANIFEST = b"manifest"
_TYPES = {
    **dict.fromkeys(NUMBER_COLUMNS, pa.float64()),
    "is_treated": pa.bool_(),
    PLACE: pa.int64(),
}
"""All others are text."""


def with_manifest(scores: pa.Table, manifest: Mapping[str, Any]) -> pa.Table:
    """Returns the scores of a bucket with what is told of the whole bucket, as plain JSON data."""
    return scores.replace_schema_metadata({_MANIFEST: json.dumps(manifest).encode()})


class Gathered:
    """The scores of the buckets of a list."""

    def __init__(self, columns: Sequence[str], *, folder: Path | None, config: Config) -> None:
        """Args: of the list; where the scores of several buckets are kept; the project, for its memory limit.

        With a column `PLACE` rows go out in the order of their places, else the riskiest first.
        """
        self._schema = _schema_of(columns)
        self._folder = folder
        self._config = config
        self._held: dict[int, pa.Table] = {}
        self._told: dict[int, pa.Table] = {}
        self._telling: Path | None = None
        if folder is not None:
            folder.mkdir(exist_ok=True)

    def has(self, number: int) -> bool:
        """Whether the scores of a bucket are there, whole."""
        return number in self._held or (self._folder is not None and self._path(number).exists())

    def add(self, number: int, scores: pd.DataFrame, *, manifest: Mapping[str, Any]) -> None:
        """Keeps the scores of a bucket; with one bucket in memory they are in the order of the list."""
        self.add_table(number, with_manifest(plain_table(scores[self._schema.names]), manifest))

    def add_table(self, number: int, scores: pa.Table) -> None:
        """Keeps the scores of a bucket that are Arrow already, made by `plain_table` and `with_manifest`."""
        table = scores.select(self._schema.names).cast(self._schema).replace_schema_metadata(scores.schema.metadata)
        if self._folder is None:
            self._held[number] = table
        else:
            _write(table, self._path(number))

    def manifests(self) -> list[dict[str, Any]]:
        """Returns what is told of the buckets, in no order that means anything."""
        schemas = [table.schema for table in self._held.values()] + [pq.read_schema(path) for path in self._paths()]
        return [json.loads(schema.metadata[_MANIFEST]) for schema in schemas if _MANIFEST in (schema.metadata or {})]

    def choose(self, count: int) -> list[str]:
        """Returns the ids of the `count` scored customers with the highest value at risk (ties by p_leave, then by id).

        Reasons that are told from now on are theirs.
        """
        if self._folder is not None:
            self._telling = self._folder / f"top-{count}"
            self._telling.mkdir(exist_ok=True)
        distinct = "DISTINCT " if PLACE in self._schema.names else ""  # a list may name somebody twice
        with self._connected() as connection:
            scored = f"{self._rows(connection)} WHERE status = 'scored'"
            sql = f"SELECT {distinct}customer_id, value_at_risk, p_leave FROM {scored}"
            best = connection.sql(f"SELECT customer_id FROM ({sql}) ORDER BY {_BY_VALUE} LIMIT {min(count, _ALL)}")
            found: list[str] = best.to_arrow_table()[_ID].to_pylist()
        return found

    def is_told(self, number: int) -> bool:
        """Whether the reasons of the chosen customers of a bucket are there."""
        return number in self._told or (self._telling is not None and (self._telling / f"{number}.parquet").exists())

    def tell(self, number: int, reasons: pd.DataFrame | pa.Table) -> None:
        """Keeps customer_id and the columns of reasons of the chosen customers of a bucket."""
        table = reasons if isinstance(reasons, pa.Table) else plain_table(reasons)
        table = table.cast(_schema_of(table.column_names))
        if self._telling is None:
            self._told[number] = table
        else:
            _write(table, self._telling / f"{number}.parquet")

    def ids(self, *, why: str) -> list[str]:
        """Returns the ids that were not scored for this reason, sorted."""
        columns = [_ID, "why_not_scored"]
        found: list[str] = []
        for table in self._tables(columns):
            found += table.filter(pc.equal(table["why_not_scored"], why))[_ID].to_pylist()
        return sorted(found)

    def frames(self) -> Iterator[pd.DataFrame]:
        """Yields the list in its order, in frames of `ROWS_PER_GROUP` rows but the last; one without rows for none."""
        for table in self._groups():
            yield table.to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get)

    def reader(self) -> pa.RecordBatchReader:
        """Returns the list in its order as a stream of Arrow batches, to be read once."""
        schema = self._schema.empty_table().select(self._names()).schema
        batches = (batch for table in self._groups() for batch in table.to_batches())
        return pa.RecordBatchReader.from_batches(schema, batches)

    def _names(self) -> list[str]:
        return [name for name in self._schema.names if name != PLACE]

    def _groups(self) -> Iterator[pa.Table]:
        names = self._names()
        return _regrouped(self._ordered(names), self._schema.empty_table().select(names))

    def _ordered(self, names: Sequence[str]) -> Iterator[pa.Table]:
        if self._folder is None:
            told = pa.concat_tables(self._told.values()) if self._told else None
            for table in self._held.values():
                scores = table.select(names).replace_schema_metadata(None)
                yield scores if told is None else _beside(scores, told)
            return
        order = identifier(PLACE) if PLACE in self._schema.names else _BY_RISK
        with self._connected() as connection:
            sql = f"SELECT {self._selected(names)} FROM {self._rows(connection)} AS scores{self._joined()}"
            for batch in connection.sql(f"{sql} ORDER BY {order}").to_arrow_reader(ROWS_PER_GROUP):
                yield pa.Table.from_batches([batch])

    def _selected(self, names: Sequence[str]) -> str:
        paths = self._told_paths()
        told = pq.read_schema(paths[0]).names[1:] if paths else []
        return ", ".join(f"{'told' if name in told else 'scores'}.{identifier(name)}" for name in names)

    def _joined(self) -> str:
        paths = [str(path) for path in self._told_paths()]
        return f" LEFT JOIN read_parquet({literals(paths)}) AS told USING (customer_id)" if paths else ""

    def _rows(self, connection: duckdb.DuckDBPyConnection) -> str:
        """What stands after FROM."""
        if self._folder is not None:
            return f"read_parquet({literals([str(path) for path in self._paths()])})"
        connection.register("held", pa.concat_tables(self._tables(self._schema.names)))
        return "held"

    @contextlib.contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        spill = None if self._folder is None else self._folder / "spill"
        where = self._folder or self._config.directory
        try:
            with in_plain_words(where), connect(self._config, spill=spill) as connection:
                yield connection
        except duckdb.OutOfMemoryException:
            raise MemoryError from None
        except duckdb.IOException as error:
            raise OutputError(f"sorting the scores failed in {where}: {error}; free some space there") from None

    def _tables(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        yield from (table.select(columns) for table in self._held.values())
        yield from (pq.read_table(path, columns=list(columns)) for path in self._paths())

    def _paths(self) -> list[Path]:
        return [] if self._folder is None else sorted(self._folder.glob("[0-9]*.parquet"))

    def _told_paths(self) -> list[Path]:
        return [] if self._telling is None else sorted(self._telling.glob("[0-9]*.parquet"))

    def _path(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{number}.parquet"


def _schema_of(columns: Sequence[str]) -> pa.Schema:
    return pa.schema([(name, _TYPES.get(name, pa.string())) for name in columns])


def _write(table: pa.Table, path: Path) -> None:
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _beside(scores: pa.Table, told: pa.Table) -> pa.Table:
    """The scores with the reasons that are told, null where none are."""
    own = told.take(pc.index_in(scores[_ID], value_set=told[_ID].combine_chunks()))
    for name in told.column_names[1:]:
        scores = scores.set_column(scores.column_names.index(name), scores.schema.field(name), own[name])
    return scores


def _regrouped(tables: Iterator[pa.Table], empty: pa.Table) -> Iterator[pa.Table]:
    """The same rows in tables of `ROWS_PER_GROUP` rows but the last, which may be the empty one if it is the only."""
    held, rows, is_first = empty, 0, True
    for table in tables:
        held = pa.concat_tables([held, table.cast(empty.schema)])
        rows = held.num_rows
        while rows > ROWS_PER_GROUP:
            yield held.slice(0, ROWS_PER_GROUP).combine_chunks()
            held, is_first = held.slice(ROWS_PER_GROUP), False
            rows = held.num_rows
    if rows or is_first:
        yield held.combine_chunks()
