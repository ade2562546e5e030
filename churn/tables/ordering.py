"""Ordering: the one order in which the rows of a table stand, whatever the order of its source; equal rows meet."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn.tables.contract import CONTRACT
from churn.tables.findings import Issue, Severity, first_rows, plural
from churn.tables.rows import HASH, ROW
from churn.tables.sorting import by_customer_and_time, tied_rows

Int64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_MOST_TEXT = 2**31 - 1
"""Bytes that one array of text can hold."""
_ROWS_AT_ONCE = 1_000_000


def settled(sifted: list[pa.Table], *, table: str, duplicates: str) -> tuple[pa.Table, Int64]:
    """Returns the table of the contract made of sifted rows, and the source's numbers of those that repeat another.

    Rows stand by customer_id, time, then every other column in its order; ids as text, missing ones last. Repeated
    rows, which equal the one before in every column of the source, are dropped unless `duplicates` is "keep".

    Args:
        sifted: rows as `Sieve.sift` returns them, in pieces. The list is emptied, so that no column needs to be held
            twice at a time: where nothing else holds the pieces, their columns are freed one by one.
        table: which table it is.
        duplicates: "drop" or "keep".
    """
    columns = _columns_of(sifted)
    order = _order(columns, CONTRACT[table].time_column)
    is_repeated = _repeated(columns, order)
    numbers = columns[ROW].to_numpy()[_rows_of(order, is_repeated)]
    del columns[HASH], columns[ROW]
    if duplicates == "drop" and is_repeated.any():
        order = _rows_of(order, ~is_repeated)
    return _table_of(columns, order), numbers


def merged(settled: list[pa.Table]) -> pa.Table:
    """Returns the rows of several buckets in the order of one; a customer is in one bucket. The list is emptied."""
    columns = _columns_of(settled)
    order = pc.sort_indices(columns["customer_id"]).to_numpy()  # equal ids stay in their order
    return _table_of(columns, order)


def _columns_of(pieces: list[pa.Table]) -> dict[str, pa.ChunkedArray]:
    """The columns of all the pieces together, which are taken out of their list."""
    whole = pa.concat_tables(pieces)
    pieces.clear()
    return dict(zip(whole.column_names, whole.columns, strict=True))


def _order(columns: Mapping[str, pa.ChunkedArray], time_column: str | None) -> Int64 | None:
    """The rows in their order; None where they stand in it."""
    code, customers = _ranks(columns["customer_id"])
    time = columns[time_column].cast(pa.int64()).to_numpy() if time_column else np.zeros(len(code), np.int64)
    order, starts, is_sorted = by_customer_and_time(code, time, customers)
    rows, runs = tied_rows(starts, time if is_sorted else time[order])
    if len(rows):
        others = [name for name in columns if name not in ("customer_id", time_column)]
        tied = pa.table({"run": pa.array(runs), **{name: _taken(columns[name], order[rows]) for name in others}})
        keys = [(name, "ascending") for name in ("run", *others)]
        order[rows] = order[rows][pc.sort_indices(tied.combine_chunks(), keys).to_numpy()]
    return None if is_sorted and not len(rows) else order


def _repeated(columns: Mapping[str, pa.ChunkedArray], order: Int64 | None) -> Mask:
    """Which of the rows in order equal the one before in every column of the source.

    Equal source rows stand next to each other: equal in every column read, and in the hash of all the others.
    """
    hashes = columns[HASH].to_numpy()
    hashes = hashes if order is None else hashes[order]
    is_repeated = np.zeros(len(hashes), bool)
    is_repeated[1:] = hashes[1:] == hashes[:-1]
    again = np.flatnonzero(is_repeated)
    if len(again):  # ids are compared only where the hashes are equal
        first, second = (_taken(columns["customer_id"], _rows_of(order, rows)) for rows in (again - 1, again))
        is_repeated[again] = pc.equal(first, second).to_numpy()
    return is_repeated


def _rows_of(order: Int64 | None, places: Int64 | Mask) -> Int64:
    """The rows that stand at some places of the order."""
    if order is not None:
        return order[places]
    return np.flatnonzero(places) if places.dtype == bool else places.astype(np.int64)


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


def _table_of(columns: dict[str, pa.ChunkedArray], order: Int64 | None) -> pa.Table:
    """The columns in an order, each freed when it is taken. `available_at` is the time itself where no row became known
    later."""
    time = columns.get("time") if "available_at" in columns else None
    made: dict[str, pa.ChunkedArray] = {}
    for name in list(columns):
        column = columns.pop(name)
        is_time = name == "available_at" and time is not None and column.equals(time)
        made[name] = made["time"] if is_time else _taken(column, order)
    return pa.table(made)


def _taken(column: pa.ChunkedArray, order: Int64 | None) -> pa.ChunkedArray:
    """The column in an order; text is taken piece by piece where it is more than one array of it can hold."""
    if order is None:
        return column
    if not pa.types.is_string(column.type) or column.nbytes < _MOST_TEXT:
        return column.take(pa.array(order))
    whole = column.cast(pa.large_string()).combine_chunks()
    starts = range(0, len(order), _ROWS_AT_ONCE)
    pieces = [whole.take(pa.array(order[start : start + _ROWS_AT_ONCE])).cast(pa.string()) for start in starts]
    return pa.chunked_array(pieces, pa.string())
