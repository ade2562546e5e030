"""The connection: DuckDB in memory, within what the configuration allows it."""

from __future__ import annotations

from pathlib import Path

import duckdb

from churn.config import Config
from churn.errors import ConfigError
from churn.tables.quoting import literal


def connect(config: Config, *, spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """Returns an empty in-memory DuckDB within the memory and threads of `[engine]`, its time zone UTC.

    Args:
        config: the project.
        spill: a folder for what a sort or join cannot hold in memory; default DuckDB's own.

    Raises:
        ConfigError: the memory limit is no size that DuckDB can work in.
    """
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    if not _is_held_within(connection, config.engine.memory_limit):
        connection.close()
        line = config.line_of("engine", "memory_limit")
        where = f"churn.toml (line {line})" if line else "churn.toml"
        raise ConfigError(f'{where}: engine.memory_limit must be a size such as "4GB", and enough to work in')
    if config.engine.threads is not None:
        connection.execute(f"SET threads = {config.engine.threads}")
    if spill is not None:
        connection.execute(f"SET temp_directory = {literal(str(spill))}")
    return connection


def _is_held_within(connection: duckdb.DuckDBPyConnection, limit: str) -> bool:
    """Sets the limit; false where it is no size, none at all (below zero, to DuckDB), or too little to answer in."""
    try:
        connection.execute(f"SET memory_limit = {literal(limit)}")
        connection.execute("SELECT current_setting('memory_limit')").fetchall()
    except duckdb.Error:
        return False
    return not limit.strip().startswith("-")
