"""Buckets: the tables of a project cut by customers, so that one bucket after another fits into memory.

A small project is one bucket in memory. A large one is split once, on disk: each table's rows go to the parts of their
buckets as they are read (`parts`), then each part is sorted and written as Parquet. Either way it is the same code
that reads, sifts and sorts, and the same tables and findings that come of it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from churn import __version__
from churn.config import TABLE_NAMES, Config
from churn.errors import TableError
from churn.tables.atomic import in_plain_words, replacing, write_atomically
from churn.tables.connection import connect
from churn.tables.findings import Issue
from churn.tables.ordering import repeated_issue, settled
from churn.tables.pace import Pace
from churn.tables.parts import Parts, part_of, read_part
from churn.tables.raw import bucket_sql
from churn.tables.sizes import SHARE, bucket_count, memory_limit, source_files
from churn.tables.sources import each_table, read_tables, sift_table
from churn.tables.workfolder import key_of, work_folder

_PARTS, _TABLES, _SPILL = "parts", "tables", "spill"
_REPEATED = b"repeated"
_HELD_SHARE = 32
_LEAST_HELD, _MOST_HELD = 1 << 24, 1 << 28


@dataclass(frozen=True, slots=True)
class Buckets:
    """The tables of a project, one bucket of customers at a time.

    Attributes:
        count: how many buckets there are.
        issues: what was found while reading, as `read_tables` tells it.
        names: the configured tables.
        folder: where the buckets lie and more may be kept until the run ends; None for one bucket in memory.
        tables: the one bucket in memory; empty otherwise.
    """

    count: int
    issues: list[Issue]
    names: tuple[str, ...]
    folder: Path | None
    tables: Mapping[str, pa.Table]

    def read(self, number: int) -> dict[str, pa.Table]:
        """Returns every configured table with the rows of the customers of one bucket, as `read_tables` would."""
        if self.folder is None:
            return dict(self.tables)
        return {name: _read_table(_table_of(self.folder, name, number)) for name in self.names}

    def numbers_of(self, ids: Iterable[str], *, config: Config) -> npt.NDArray[np.int64]:
        """Returns the bucket of each customer id, whether it is in the tables or not. Shape (ids,)."""
        listed = pa.table({"customer_id": pa.array(ids, pa.string())})
        with connect(config) as connection:
            connection.register("listed", listed)
            numbers = connection.sql(f"SELECT {bucket_sql(self.count)} AS number FROM listed").to_arrow_table()
        return np.asarray(numbers["number"].to_numpy(), np.int64)


@contextmanager
def open_buckets(
    config: Config, *, work: Path, share: int = SHARE, progress: Callable[[str], None] = lambda _: None
) -> Iterator[Buckets]:
    """Yields the project's tables in buckets: one in memory, or as many as the memory asks for in a folder in `work`.

    The folder is removed with the end of the block, unless the run is interrupted or hindered; then the next run on the
    same sources and settings goes on with what is there.

    Args:
        config: the project.
        work: the folder for the work folders of runs; made when it is needed.
        share: a bucket may take one part in so many of the memory.
        progress: told what goes on.

    Raises:
        TableError: a table cannot be read; names every problem of every table.
        ConfigError: the engine settings mean nothing to DuckDB.
        OutputError: the disk is full, or another run has the folder.
    """
    count = bucket_count(config, share=share)
    names = tuple(name for name in TABLE_NAMES if name in config.tables)
    if count == 1:
        tables, issues = read_tables(config)
        yield Buckets(1, issues, names, None, tables)
        return
    with work_folder(work, key=sources_key(config, count=count)) as folder:
        with in_plain_words(folder):
            found = _split(config, folder, count, progress)
            repeated = _settle(config, folder, count, progress)
        issues = [issue for name in names for issue in [*found[name], *repeated[name]]]
        yield Buckets(count, issues, names, folder, {})


def sources_key(config: Config, *, count: int = 1) -> str | None:
    """Returns a name of all that `count` buckets depend on; None where a source does not tell when it changes (a
    database, a table of Spark) or cannot be read at all."""
    paths: list[Path] = []
    try:
        each_table(config, lambda name: paths.extend(source_files(config.tables[name], config=config)))
    except TableError:
        return None  # the reading that follows tells what is wrong, and all that is
    if any(source.url is not None or source.spark_table is not None for source in config.tables.values()):
        return None
    sources = {name: source.model_dump(mode="json") for name, source in config.tables.items()}
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    told = [__version__, duckdb.__version__, config.timezone, sources, states, count]
    return key_of(told)


def _split(config: Config, folder: Path, count: int, progress: Callable[[str], None]) -> dict[str, list[Issue]]:
    """Writes every table's rows to the parts of their buckets, and returns what was found; whole tables are kept."""
    issues: dict[str, list[Issue]] = {}
    hold = min(max(memory_limit(config) // _HELD_SHARE, _LEAST_HELD), _MOST_HELD)

    def split(name: str) -> None:
        told = folder / f"{name}.json"
        if not told.exists():
            progress(f"splitting {name} into {count:,} buckets")
            parts = folder / _PARTS / name
            shutil.rmtree(parts, ignore_errors=True)
            parts.mkdir(parents=True)
            writer = Parts(parts, count=count, hold=hold)
            schema, found = sift_table(name, config=config, take=writer.take, buckets=count, spill=folder / _SPILL)
            writer.finish(schema)
            text = json.dumps([issue.to_dict() for issue in found])
            write_atomically(told, lambda new: new.write_text(text, encoding="utf-8"))
        found = json.loads(told.read_text(encoding="utf-8"))
        issues[name] = [Issue(**{**issue, "rows": tuple(issue["rows"])}) for issue in found]

    each_table(config, split)
    return issues


def _settle(config: Config, folder: Path, count: int, progress: Callable[[str], None]) -> dict[str, list[Issue]]:
    """Sorts every part and drops its repeated rows; returns what is told of those. Whole buckets are kept."""
    names = [name for name in TABLE_NAMES if name in config.tables]
    whole = [all(_table_of(folder, name, number).exists() for name in names) for number in range(count)]
    for name in names:
        (folder / _TABLES / name).mkdir(parents=True, exist_ok=True)
    pace = Pace("sorting", total=count, progress=progress, skipped=sum(whole))
    for number in range(count):
        if not whole[number]:
            pace.tell(sum(_settle_part(name, number, config=config, folder=folder) for name in names))
    return {name: _repeated_issues(name, folder, count, config.tables[name].duplicates) for name in names}


def _settle_part(name: str, number: int, *, config: Config, folder: Path) -> int:
    """Makes one part a table of the contract, and returns how many rows it had."""
    part, path = part_of(folder / _PARTS / name, number), _table_of(folder, name, number)
    rows = 0
    if not path.exists():
        sifted = [read_part(part)]
        rows = sifted[0].num_rows
        table, repeated = settled(sifted, table=name, duplicates=config.tables[name].duplicates)
        told = json.dumps({"count": len(repeated), "rows": np.sort(repeated)[:3].tolist()})
        with replacing(path) as temporary:
            _write_table(table.replace_schema_metadata({_REPEATED: told.encode()}), temporary)
    part.unlink(missing_ok=True)
    return rows


def _repeated_issues(name: str, folder: Path, count: int, duplicates: str) -> list[Issue]:
    metadata = [pq.read_schema(_table_of(folder, name, number)).metadata for number in range(count)]
    told = [json.loads(each[_REPEATED]) for each in metadata]
    rows = np.array([row for each in told for row in each["rows"]], np.int64)
    return repeated_issue(sum(each["count"] for each in told), rows, table=name, duplicates=duplicates)


def _table_of(folder: Path, name: str, number: int) -> Path:
    return folder / _TABLES / name / f"{number}.parquet"


def _write_table(table: pa.Table, path: Path) -> None:
    """Writes what is read once and whole: no statistics to skip by, and no look-up of values that hardly repeat."""
    labels = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
    pq.write_table(table, path, compression="lz4", write_statistics=False, use_dictionary=labels)


def _read_table(path: Path) -> pa.Table:
    return pq.read_table(path).replace_schema_metadata(None)
