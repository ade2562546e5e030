"""Files of a simulated company: one per table, grown block by block, and all of them appearing together."""

from __future__ import annotations

import codecs
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from churn.simulation.dirt import DIRT, soil
from churn.simulation.streams import block_streams


def path_of(directory: Path, name: str, *, suffix: str = "parquet") -> Path:
    """Returns where a table lies: `truth_customers` in its own folder, so that nobody reads the truth by accident."""
    if name.startswith("truth_"):
        return directory / "truth" / f"{name.removeprefix('truth_')}.parquet"
    return directory / f"{name}.{suffix}"


class Files:
    """Writes every file whole or not at all; files of the same company appear together, the truth first."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = dict(paths)
        self._temporary = {name: path.with_name(f".{path.name}.{os.getpid()}.tmp") for name, path in paths.items()}
        self._writers: dict[str, Any] = {}
        self._sinks: list[Any] = []

    def write(self, name: str, table: pa.Table) -> None:
        """Appends rows to a file: Parquet, or CSV with a byte-order mark."""
        if name not in self._writers:
            self._paths[name].parent.mkdir(parents=True, exist_ok=True)
            sink = self._temporary[name].open("wb")
            self._sinks.append(sink)
            if self._paths[name].suffix == ".csv":
                sink.write(codecs.BOM_UTF8)
                options = csv.WriteOptions(quoting_style="needed")
                self._writers[name] = csv.CSVWriter(sink, table.schema, write_options=options)
            else:
                self._writers[name] = pq.ParquetWriter(sink, table.schema, compression="zstd")
        self._writers[name].write_table(table)

    def appear(self) -> None:
        """Gives every file its name, when all of them are on the disk."""
        self._close()
        # The truth comes first: tables beside it are known as simulated even if this run is killed before its end.
        for name in sorted(self._writers, key=lambda name: not name.startswith("truth_")):
            with self._temporary[name].open("rb") as file:
                os.fsync(file.fileno())
            self._temporary[name].replace(self._paths[name])

    def clear(self) -> None:
        """Removes what has not appeared."""
        self._close()
        for path in self._temporary.values():
            with suppress(NotADirectoryError):
                path.unlink(missing_ok=True)

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        for sink in self._sinks:
            sink.close()
        self._sinks.clear()


class Soiler:
    """Spoils the tables of block after block, and keeps count of the rows that each file has already."""

    def __init__(self, *, seed: int) -> None:
        self._seed, self._block = seed, 0
        self._rows: dict[str, int] = {}

    def soil(self, tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
        """Returns the next block's tables, those of the company spoiled, and `truth_dirt` beside them."""
        own = {name: table for name, table in tables.items() if not name.startswith("truth_")}
        before = {name: self._rows.get(name, 0) for name in own}
        rng: np.random.Generator = block_streams(self._seed, block=self._block)["dirt"]
        spoiled, notes = soil(own, rng=rng, before=before)
        self._rows = {name: before[name] + table.num_rows for name, table in spoiled.items()}
        self._block += 1
        return {**tables, **spoiled, "truth_dirt": notes.cast(DIRT)}
