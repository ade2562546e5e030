"""Sizes: how much there is to read, and into how many buckets it must be split to fit into memory."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from churn.config import Config, TableSource
from churn.errors import ChurnError
from churn.tables.connection import connect
from churn.tables.database import estimated_bytes
from churn.tables.fence import files_behind
from churn.tables.files import files_of

GROWTH = 10
"""Bytes that a bucket's tables, events and signals take in memory, per byte of its raw rows."""
SHARE = 4
"""A bucket may take this fraction of the memory: others are read, sorted and written beside it."""
MOST_BUCKETS = 4096
_UNZIPPED = 6
_LEAST_WIDTH = 8
_UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def bucket_count(config: Config, *, share: int = SHARE) -> int:
    """Returns into how many buckets the customers are split: `[engine] buckets`, else as many as the memory asks for
    where a bucket may take one part in `share` of it.

    Raises:
        ConfigError: the engine settings mean nothing to DuckDB.
    """
    if config.engine.buckets is not None:
        return config.engine.buckets
    size = sum(_bytes_of(source, config) for source in config.tables.values())
    return min(max(1, math.ceil(size * GROWTH * share / memory_limit(config))), MOST_BUCKETS)


def memory_limit(config: Config) -> int:
    """Returns `[engine] memory_limit` in bytes, as DuckDB understands it, to about a tenth of its unit.

    Raises:
        ConfigError: it means nothing to DuckDB.
    """
    with connect(config) as connection:
        told = str(connection.execute("SELECT current_setting('memory_limit')").fetchall()[0][0])
    number, unit = re.fullmatch(r"([\d.]+) (\w+)", told).groups()  # type: ignore[union-attr]
    return max(1, int(float(number) * _UNITS[unit]))


def source_files(source: TableSource, *, config: Config) -> list[Path]:
    """Returns the files behind a source; none for a database or a table of Spark.

    Raises:
        TableError: one is not there, or the query is none.
    """
    if source.url is not None:
        return []
    if source.query is not None:
        return files_behind(source.query, source=source, config=config)
    if source.path is None:
        return []
    return files_of(config, source.path)


def _bytes_of(source: TableSource, config: Config) -> int:
    """About how large the rows of a source are in memory; what cannot be read is told when it is read."""
    try:
        if source.url is not None:
            return estimated_bytes(source)
        return sum(map(_file_bytes, source_files(source, config=config)))
    except ChurnError:
        return 0


def _file_bytes(path: Path) -> int:
    try:
        size = path.stat().st_size
        return _parquet_bytes(path) if path.suffix.lower() in (".parquet", ".pq") else size * _zip_factor(path)
    except (OSError, pa.ArrowException):
        return 0


def _zip_factor(path: Path) -> int:
    return _UNZIPPED if path.suffix.lower() == ".gz" else 1


def _parquet_bytes(path: Path) -> int:
    """A column takes what its pages hold unpacked, but not less than a number per row: pages may hold short codes."""
    with pq.ParquetFile(path) as file:
        found = file.metadata
        groups = [found.row_group(number) for number in range(found.num_row_groups)]
        columns = [(group.column(number), group.num_rows) for group in groups for number in range(group.num_columns)]
        return sum(max(column.total_uncompressed_size, _LEAST_WIDTH * rows) for column, rows in columns)
