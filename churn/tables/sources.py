"""Sources: every table of the configuration, read, cast by the contract, tidied, and told apart from what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from churn.config import TABLE_NAMES, Config
from churn.errors import TableError
from churn.tables.findings import Issue
from churn.tables.memory import give_back
from churn.tables.ordering import repeated_issue, settled
from churn.tables.raw import raw_rows
from churn.tables.rows import BUCKET, Sieve


def read_tables(config: Config) -> tuple[dict[str, pa.Table], list[Issue]]:
    """Returns every configured table as the contract asks, by name, and what was found while reading.

    Each table has its columns in the order of the contract (those the source has), `available_at` where rows happen,
    attributes of `customers` last; rows sorted by customer_id, time, then every other column. Ids are text, money is
    int64 cents, times are UTC in microseconds. Row numbers in findings count the source's data rows from 1, running
    on over the files of a glob in the order of their names.

    Raises:
        TableError: a table cannot be read; names every problem of every table.
        ConfigError: the engine settings mean nothing to DuckDB.
    """
    tables: dict[str, pa.Table] = {}
    issues: list[Issue] = []

    def read(name: str) -> None:
        tables[name], found = _read_table(name, config)
        issues.extend(found)

    each_table(config, read)
    return tables, issues


def each_table(config: Config, read: Callable[[str], None]) -> None:
    """Calls `read` with the name of every configured table in turn.

    Raises:
        TableError: a table cannot be read; names every problem of every table.
    """
    problems: list[str] = []
    for name in TABLE_NAMES:
        if name in config.tables:
            try:
                read(name)
            except TableError as error:
                problems.extend(f"{name}: {problem}" for problem in error.problems)
    if problems:
        raise TableError(problems)


def sift_table(
    name: str, *, config: Config, take: Callable[[pa.Table], None], buckets: int = 1, spill: Path | None = None
) -> tuple[pa.Schema, list[Issue]]:
    """Hands a table's usable rows to `take`, batch by batch, and returns their schema and what was found.

    The rows are neither sorted nor without repeated ones; `settled` makes them so. With one bucket there is no column
    `:bucket`. What DuckDB cannot hold in memory goes to `spill`.

    Raises:
        TableError: the source cannot be read, or too much of it isn't readable; names every problem.
    """
    source = config.tables[name]
    with raw_rows(name, config=config, buckets=buckets, spill=spill) as raw:
        sieve = Sieve(name, raw.columns, zone=source.timezone or config.timezone)
        for batch in raw.batches:
            take(sieve.sift(batch if buckets > 1 else batch.drop_columns(BUCKET)))
        return sieve.schema, [*raw.issues, *sieve.issues()]


def _read_table(name: str, config: Config) -> tuple[pa.Table, list[Issue]]:
    duplicates = config.tables[name].duplicates
    sifted: list[pa.Table] = []
    _, issues = sift_table(name, config=config, take=lambda rows: sifted.append(_owned(rows)))
    table, repeated = settled(sifted, table=name, duplicates=duplicates)
    give_back()
    return table, [*issues, *repeated_issue(len(repeated), repeated, table=name, duplicates=duplicates)]


def _owned(rows: pa.Table) -> pa.Table:
    """The rows in memory of their own: a batch of DuckDB's is freed with the last of its columns, the dropped ones too.

    Putting an empty array behind an array is what makes Arrow copy it.
    """
    if not rows.num_rows:
        return rows
    columns = [pa.concat_arrays([*column.chunks, column.chunk(0)[:0]]) for column in rows.columns]
    return pa.table(columns, schema=rows.schema)
