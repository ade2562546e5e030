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
        ConfigError: the memory limit means nothing to DuckDB.
    """
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    try:
        connection.execute(f"SET memory_limit = {literal(config.engine.memory_limit)}")
    except duckdb.Error:
        connection.close()
        line = config.line_of("engine", "memory_limit")
        where = f"churn.toml (line {line})" if line else "churn.toml"
        raise ConfigError(f'{where}: engine.memory_limit must be a size such as "4GB"') from None
    if config.engine.threads is not None:
        connection.execute(f"SET threads = {config.engine.threads}")
    if spill is not None:
        connection.execute(f"SET temp_directory = {literal(str(spill))}")
    return connection
