"""Ordering: the one order in which the rows of a table stand, whatever the order of its source; equal rows meet."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn.tables.contract import CONTRACT
from churn.tables.findings import Issue, Severity, first_rows, plural
from churn.tables.rows import HASH, ROW
from churn.tables.sorting import by_customer_and_time, tied_rows

Int64 = npt.NDArray[np.int64]

_MOST_TEXT = 2**31 - 1
"""Bytes that one array of text can hold."""
_ROWS_AT_ONCE = 1_000_000


def ordered(sifted: pa.Table, *, table: str) -> pa.Table:
    """Returns sifted rows by customer_id, time, then every other column in its order; ids as text, missing ones last.

    Args:
        sifted: rows as `Sieve.sift` returns them.
        table: which table it is.
    """
    time_column = CONTRACT[table].time_column
    code, customers = _ranks(sifted["customer_id"])
    time = sifted[time_column].cast(pa.int64()).to_numpy() if time_column else np.zeros(len(code), np.int64)
    order, starts, is_sorted = by_customer_and_time(code, time, customers)
    rows, runs = tied_rows(starts, time if is_sorted else time[order])
    if len(rows):
        others = [name for name in sifted.column_names if name not in ("customer_id", time_column)]
        tied = _taken(sifted.select(others), order[rows]).append_column("run", pa.array(runs)).combine_chunks()
        keys = [(name, "ascending") for name in ("run", *others)]
        order[rows] = order[rows][pc.sort_indices(tied, keys).to_numpy()]
    return sifted if is_sorted and not len(rows) else _taken(sifted, order)


def repeated_rows(rows: pa.Table) -> npt.NDArray[np.bool_]:
    """Returns which of some ordered rows equal the one before in every column of the source.

    Equal source rows stand next to each other: equal in every column read, and in the hash of all the others.
    """
    is_repeated = np.zeros(rows.num_rows, bool)
    pairs = [rows["customer_id"], rows[HASH]]
    is_repeated[1:] = np.logical_and.reduce([pc.equal(column[1:], column[:-1]).to_numpy() for column in pairs])
    return is_repeated


def settled(sifted: pa.Table, *, table: str, duplicates: str) -> tuple[pa.Table, Int64]:
    """Returns the table of the contract made of sifted rows, and the source's numbers of those that repeat another.

    Repeated rows are dropped unless `duplicates` is "keep".
    """
    rows = ordered(sifted, table=table)
    is_repeated = repeated_rows(rows)
    numbers = rows[ROW].to_numpy()[is_repeated]
    if len(numbers) and duplicates == "drop":
        rows = rows.filter(pa.array(~is_repeated))
    return rows.drop_columns([HASH, ROW]), numbers


def repeated_issue(count: int, numbers: Int64, *, table: str, duplicates: str) -> list[Issue]:
    """Returns the finding about `count` repeated rows, of which some of the first have these numbers; none for none."""
    if not count:
        return []
    outcome = "dropped" if duplicates == "drop" else "kept, as the configuration asks"
    severity: Severity = "warning" if duplicates == "drop" else "info"
    fix = "" if duplicates == "keep" else f'If they are real, set tables.{table}.duplicates = "keep".'
    message = f"{plural(count, 'row')} equal to another in every column of the source; {outcome}."
    return [Issue(severity, "duplicate_rows", table, message, None, count, first_rows(numbers), fix)]


def _ranks(ids: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], int]:
    """The place of each id among the sorted ids, and how many there are."""
    coded = ids.dictionary_encode()  # every chunk has the same dictionary
    if not coded.num_chunks:
        return np.zeros(0, np.int32), 0
    order = pc.sort_indices(coded.chunk(0).dictionary).to_numpy()
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return np.concatenate([rank[chunk.indices.to_numpy()] for chunk in coded.chunks]), len(order)


def _taken(rows: pa.Table, order: Int64) -> pa.Table:
    columns = [_taken_column(column, order) for column in rows.columns]
    return pa.table(columns, schema=rows.schema)


def _taken_column(column: pa.ChunkedArray, order: Int64) -> pa.ChunkedArray:
    """Text is taken piece by piece where it is more than one array of it can hold."""
    if not pa.types.is_string(column.type) or column.nbytes < _MOST_TEXT:
        return column.take(pa.array(order))
    whole = column.cast(pa.large_string()).combine_chunks()
    starts = range(0, len(order), _ROWS_AT_ONCE)
    pieces = [whole.take(pa.array(order[start : start + _ROWS_AT_ONCE])).cast(pa.string()) for start in starts]
    return pa.chunked_array(pieces, pa.string())
