"""Gathered scores: bucket after bucket they come in, and go out as one list in its order, group by group.

One bucket's scores stay in memory. Those of several lie in files, and DuckDB sorts them within its memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from churn.config import Config
from churn.delivery.files import NUMBER_COLUMNS, ROWS_PER_GROUP, plain_table
from churn.tables.atomic import in_plain_words, replacing
from churn.tables.connection import connect
from churn.tables.quoting import identifier, literals

PLACE = ":place"
"""The column that says where in the list a row stands."""
_BY_RISK = "status DESC, percentile DESC NULLS LAST, p_leave DESC NULLS LAST, customer_id"
_TYPES = {
    **dict.fromkeys(NUMBER_COLUMNS, pa.float64()),
    "is_treated": pa.bool_(),
    PLACE: pa.int64(),
}
"""All others are text."""


class Gathered:
    """The scores of the buckets of a list."""

    def __init__(self, columns: Sequence[str], *, folder: Path | None, config: Config) -> None:
        """Args: of the list; where the scores of several buckets are kept; the project, for its memory limit.

        With a column `PLACE` rows go out in the order of their places, else the riskiest first.
        """
        self._schema = pa.schema([(name, _TYPES.get(name, pa.string())) for name in columns])
        self._folder = folder
        self._config = config
        self._held: dict[int, pa.Table] = {}
        if folder is not None:
            folder.mkdir(exist_ok=True)

    def has(self, number: int) -> bool:
        """Whether the scores of a bucket are there, whole."""
        return number in self._held or (self._folder is not None and self._path(number).exists())

    def add(self, number: int, scores: pd.DataFrame) -> None:
        """Keeps the scores of a bucket; with one bucket in memory they are in the order of the list."""
        self.add_table(number, plain_table(scores[self._schema.names]))

    def add_table(self, number: int, scores: pa.Table) -> None:
        """Keeps the scores of a bucket that are Arrow already, made by `plain_table`."""
        table = scores.select(self._schema.names).cast(self._schema)
        if self._folder is None:
            self._held[number] = table
            return
        with replacing(self._path(number)) as temporary:
            pq.write_table(table, temporary, compression="zstd")

    def ids(self, *, why: str) -> list[str]:
        """Returns the ids that were not scored for this reason, sorted."""
        columns = ["customer_id", "why_not_scored"]
        found: list[str] = []
        for table in self._tables(columns):
            found += table.filter(pc.equal(table["why_not_scored"], why))["customer_id"].to_pylist()
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
            yield from (table.select(names) for table in self._held.values())
            return
        paths = [str(path) for path in self._paths()]
        selected = ", ".join(map(identifier, names))
        order = identifier(PLACE) if PLACE in self._schema.names else _BY_RISK
        with in_plain_words(self._folder), connect(self._config, spill=self._folder / "spill") as connection:
            sql = f"SELECT {selected} FROM read_parquet({literals(paths)}) ORDER BY {order}"
            reader = connection.sql(sql).to_arrow_reader(ROWS_PER_GROUP)
            for batch in reader:
                yield pa.Table.from_batches([batch])

    def _tables(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        yield from (table.select(columns) for table in self._held.values())
        yield from (pq.read_table(path, columns=list(columns)) for path in self._paths())

    def _paths(self) -> list[Path]:
        return [] if self._folder is None else sorted(self._folder.glob("[0-9]*.parquet"))

    def _path(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{number}.parquet"


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
