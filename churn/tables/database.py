"""Databases: the rows of a query as a stream of Arrow batches, read only, with the types of an equal CSV file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from churn.config import TableSource
from churn.errors import TableError
from churn.tables.quoting import identifier
from churn.tables.server import NOT_A_SELECT, Stream, each_told, told, transaction

# The guard, and what would make one query mean different things on two servers.
_SESSION = ("SET TRANSACTION READ ONLY", "SET LOCAL TimeZone = 'UTC'", "SET LOCAL DateStyle = 'ISO'")
_TYPE = b"POSTGRESQL:type"
_AS_IT_IS = frozenset({"bool", "int2", "int4", "int8", "float8", "text", "varchar"})
_TIMES = frozenset({"date", "timestamp", "timestamptz"})


@contextmanager
def read_query(source: TableSource, *, is_described: bool = False) -> Iterator[pa.RecordBatchReader]:
    """Yields the rows of a source's query on its database: to be read once, inside the block.

    The query runs in a read-only transaction, in the time zone UTC, and must be exactly one SELECT, which the server
    itself judges: it is read as a subquery, and there nothing else can stand. Money (numeric) arrives exactly, as text;
    times as timestamps, with UTC where the column has a time zone; `infinity` is missing; uuid, enum and all else are
    text.

    Args:
        source: with its query.
        is_described: whether only the columns are asked for: no row comes then, and the server looks for none.

    Raises:
        TableError: no driver, no server, a refused user, no SELECT, or a query that fails, now or while it is read;
            without credentials and without a value of the data. It replaces what the stream's reader made of it.
    """
    assert source.url is not None  # the configuration has checked that there are both
    assert source.query is not None
    with transaction(source.url.get_secret_value()) as cursor:
        with told("the query"):
            for setting in _SESSION:
                cursor.execute(setting)
        batches = _run(cursor, source.query.strip().removesuffix(";"), source.decimal, is_described)
        stream = Stream(each_told(batches, "the query"), batches.schema)
        with stream.own_error():
            yield stream.reader


def estimated_bytes(source: TableSource) -> int:
    """Returns how large the server believes the rows of a source's query to be; the query is planned and not run.

    Raises:
        TableError: as `read_query`, for all that hinders planning.
    """
    assert source.url is not None  # the configuration has checked that there are both
    assert source.query is not None
    with transaction(source.url.get_secret_value()) as cursor, told("the query"):
        cursor.execute("SET TRANSACTION READ ONLY")
        cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})  # a plan cannot be copied out
        cursor.execute(f"EXPLAIN (FORMAT JSON) {source.query.strip().removesuffix(';')}")
        plan = json.loads(cursor.fetchall()[0][0])[0]["Plan"]
        return int(plan["Plan Rows"]) * int(plan["Plan Width"])


def _run(cursor: Any, query: str, decimal: str, is_described: bool) -> pa.RecordBatchReader:
    """Alone the query is judged, as a subquery it is run: there nothing that writes can stand."""
    with told("the query"):
        fields = cursor.adbc_execute_schema(query)
    wrapped = _as_contract(query, fields, decimal) + (" LIMIT 0" if is_described else "")
    with told("the query", known={"42601": NOT_A_SELECT, "0A000": NOT_A_SELECT}):
        cursor.execute(wrapped)
        return cursor.fetch_record_batch()


def _as_contract(query: str, fields: Any, decimal: str) -> str:
    """The query's columns in types that lose nothing on their way, under numbers, as names may stand twice."""
    names = [str(field.name) for field in fields]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TableError(
            f'the query returns several columns called "{name}"; name them apart with AS' for name in twice
        )
    if not names:
        raise TableError(NOT_A_SELECT)
    numbered = [f"c{position}" for position in range(len(names))]
    selected = ", ".join(
        f"{_read(number, (field.metadata or {}).get(_TYPE, b'').decode(), decimal)} AS {identifier(field.name)}"
        for number, field in zip(numbered, fields, strict=True)
    )
    # The line break ends a comment that the query may end with.
    return f"SELECT {selected} FROM (\n{query}\n) AS queried({', '.join(numbered)})"


def _read(column: str, kind: str, decimal: str) -> str:
    """The SQL that makes of a column what the same column of an exported file holds."""
    if kind in _AS_IT_IS:
        return column
    if kind in _TIMES:
        # Arrow has no infinite times: the driver would count them on from 1970, to some wrong year.
        return f"CASE WHEN isfinite({column}) THEN {column} END" + ("::timestamp" if kind == "date" else "")
    if kind == "float4":
        return f"{column}::text::float8"  # 0.1 as it is written, not the nearest float's 0.10000000149
    if kind in ("numeric", "money"):
        number = f"{column}::numeric::text"
        return number if decimal == "." else f"replace({number}, '.', '{decimal}')"
    return f"{column}::text"
