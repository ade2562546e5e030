"""Scores in a database: a list replaces its older self in one transaction, or nothing changes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
import pyarrow as pa

from churn.delivery.files import NUMBER_COLUMNS
from churn.errors import OutputError
from churn.tables.quoting import identifier, literal
from churn.tables.server import Stream, told, transaction

_STAGED = "churn_scores_on_their_way"
_TYPES = {
    "cutoff": "timestamp with time zone",
    "is_treated": "boolean",
    **dict.fromkeys(NUMBER_COLUMNS, "double precision"),
}
"""The types of the table's columns; all others are text."""
_ARROW = {"boolean": pa.bool_(), "double precision": pa.float64()}
_OCCASIONAL = ("is_treated", "warning")
"""Columns that some lists have and others don't: the table has them always."""
_RIGHTS = ("INSERT", "DELETE", "SELECT")
_LOCK = f"SELECT pg_advisory_xact_lock(hashtext({literal('churn scores')}))"
_WRITING = "writing the scores"
_said = partial(told, _WRITING, wrong=OutputError)


def check_scores_table(columns: Sequence[str], *, url: str, table: str) -> None:
    """Refuses at once what `write_scores_to` would refuse after the work.

    Args:
        columns: of the scores.
        url: the database.
        table: its name, with or without its schema.

    Raises:
        OutputError: no server or no right to write there, or a table without some column; says how to mend it.
    """
    with transaction(url, wrong=OutputError) as cursor, _said():
        found = _columns_of(cursor, table)
        if not found:
            cursor.execute(_create(columns, table))  # rolled back: only the right to do so is asked
            return
        _check_columns(columns, found, table)
        lacking = [right for right in _RIGHTS if not _value(cursor, _may(right, table))]
    if lacking:
        raise OutputError(f"you may not write to the table {table}; ask for: GRANT {', '.join(lacking)} ON {table}")


def write_scores_to(
    scores: pd.DataFrame | pa.RecordBatchReader, *, url: str, table: str, is_whole: bool = True
) -> int:  # fmt: skip
    """Returns how many rows were written to a table of a database, which is made if it is not there.

    All happens in one transaction: a crash, an error or a second writer leaves the old rows or the new ones, never
    some of both. Rows of the same cutoff and model_id are replaced. Ids are text; numbers are double precision, money
    in units of the currency; `cutoff` is a timestamp with time zone; what is missing is NULL.

    Args:
        scores: one row per customer, the columns of the score list.
        url: the database; its password stays out of every message.
        table: its name, with or without its schema.
        is_whole: whether the list is everybody: then all rows of the same cutoff and model_id go; else only those of
            the customers listed.

    Raises:
        OutputError: as `check_scores_table`, or the connection breaks off; nothing has changed then.
    """
    stream = Stream(*_batches(scores))
    columns = stream.reader.schema.names
    with transaction(url, wrong=OutputError, is_kept=True) as cursor, stream.own_error(), _said():
        cursor.execute("SET LOCAL TimeZone = 'UTC'")
        cursor.adbc_ingest(_STAGED, stream.reader, mode="create", temporary=True)
        cursor.execute(_LOCK)  # two lists at once would both delete what is there, and both add their rows
        cursor.fetchall()
        found = _columns_of(cursor, table)
        if found:
            _check_columns(columns, found, table)
        else:
            cursor.execute(_create(columns, table))
        cursor.execute(_delete(table, is_whole=is_whole))
        cursor.execute(_insert(columns, table))
        rows = int(cursor.rowcount)
        # A pooled connection outlives this one, and its temporary tables with it.
        cursor.execute(f"DROP TABLE pg_temp.{_STAGED}")
    return rows


def _batches(scores: pd.DataFrame | pa.RecordBatchReader) -> tuple[Any, pa.Schema]:
    """The scores as Arrow batches of plain types, and their schema."""
    if isinstance(scores, pa.RecordBatchReader):
        schema = pa.schema([(name, _arrow_type(name)) for name in scores.schema.names])
        return (batch.cast(schema) for batch in scores), schema
    columns = {str(name): pa.array(cells, _arrow_type(str(name)), from_pandas=True) for name, cells in scores.items()}
    whole = pa.table(columns)
    return iter(whole.to_batches()), whole.schema


def _arrow_type(column: str) -> pa.DataType:
    return _ARROW.get(_TYPES.get(column, "text"), pa.string())


def _columns_of(cursor: Any, table: str) -> dict[str, str]:
    """The columns of a table and their types; none when it is not there."""
    cursor.execute(
        "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute "
        f"WHERE attrelid = to_regclass({literal(_quoted(table))}) AND attnum > 0 AND NOT attisdropped"
    )
    return {str(name): str(kind) for name, kind in cursor.fetchall()}


def _check_columns(columns: Sequence[str], found: dict[str, str], table: str) -> None:
    missing = [name for name in dict.fromkeys((*columns, *_OCCASIONAL)) if name not in found]
    if missing:
        added = ", ".join(f"ADD COLUMN {identifier(name)} {_TYPES.get(name, 'text')}" for name in missing)
        raise OutputError(
            f"the table {table} lacks columns of the scores; add them: ALTER TABLE {_quoted(table)} {added}"
        )
    if found["cutoff"] != _TYPES["cutoff"]:
        raise OutputError(
            f"the table {table} has a cutoff of type {found['cutoff']}, not {_TYPES['cutoff']}; name another table"
        )


def _create(columns: Sequence[str], table: str) -> str:
    wanted = dict.fromkeys((*columns, *_OCCASIONAL))
    return (
        f"CREATE TABLE {_quoted(table)} ("
        + ", ".join(f"{identifier(name)} {_TYPES.get(name, 'text')}" for name in wanted)
        + ")"
    )


def _delete(table: str, *, is_whole: bool) -> str:
    same = "old.cutoff = new.cutoff::timestamptz AND old.model_id = new.model_id"
    keys = "cutoff, model_id" if is_whole else "cutoff, model_id, customer_id"
    listed = "" if is_whole else " AND old.customer_id = new.customer_id"
    distinct = f"(SELECT DISTINCT {keys} FROM pg_temp.{_STAGED})"
    return f"DELETE FROM {_quoted(table)} AS old USING {distinct} AS new WHERE {same}{listed}"


def _insert(columns: Sequence[str], table: str) -> str:
    names = ", ".join(map(identifier, columns))
    values = ", ".join("cutoff::timestamptz" if name == "cutoff" else identifier(name) for name in columns)
    return f"INSERT INTO {_quoted(table)} ({names}) SELECT {values} FROM pg_temp.{_STAGED}"


def _may(right: str, table: str) -> str:
    return f"SELECT has_table_privilege(to_regclass({literal(_quoted(table))}), {literal(right)})"


def _value(cursor: Any, query: str) -> Any:
    cursor.execute(query)
    return cursor.fetchall()[0][0]


def _quoted(table: str) -> str:
    return ".".join(map(identifier, table.split(".")))
