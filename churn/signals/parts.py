"""Parts: the tables of a bucket, split by customer again into what a processor's cache holds, for all its cores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from churn.tables.contract import CONTRACT
from churn.tables.ids import codes_of
from churn.tables.sorting import place_by_part, scatter

ROWS = 500_000
"""Rows of all tables in one part, about."""

_LEAST_ROWS = 100_000
"""Under so many rows splitting costs more than it gives."""


@dataclass(frozen=True, slots=True)
class Part:
    """Neighbouring customers and their rows.

    Attributes:
        first: the code of the first customer.
        stop: the code after that of the last.
        tables: by name; `customer_id` is the code, int32.
    """

    first: int
    stop: int
    tables: Mapping[str, pa.Table]

    @property
    def customers(self) -> pa.Array:
        """The codes of the part's customers, which stand for their ids."""
        return pa.array(np.arange(self.first, self.stop, dtype=np.int32))


def parts_of(tables: Mapping[str, pa.Table], *, customers: pa.StringArray, threads: int) -> list[Part]:
    """Returns the tables of `customers` (sorted ids) in parts; rows of others are left out.

    How many parts there are changes nothing in what is computed of them. Tables sorted by customer are cut without a
    copy.
    """
    rows = sum(table.num_rows for table in tables.values())
    count = max(1, rows // ROWS, min(2 * threads, rows // _LEAST_ROWS) if threads > 1 else 1)
    bounds = [-(-part * len(customers) // count) for part in range(count + 1)]
    by_part: list[dict[str, pa.Table]] = [{} for _ in range(count)]
    for name, table in tables.items():
        for part, own in enumerate(_split(table, name, customers, count)):
            by_part[part][name] = own
    return [Part(bounds[part], bounds[part + 1], own) for part, own in enumerate(by_part)]


def _split(table: pa.Table, name: str, customers: pa.StringArray, count: int) -> list[pa.Table]:
    """The rows of each part, in the order in which they came."""
    code = codes_of(table["customer_id"], customers)
    place: npt.NDArray[Any] = np.empty(len(code), np.int32 if len(code) < 2**31 else np.int64)
    starts, is_sorted = place_by_part(code, len(customers), place, count)
    prose = [column.name for column in CONTRACT[name].columns if column.kind == "text" and name != "subscriptions"]
    told = table.drop_columns([column for column in prose if column in table.column_names])
    coded = told.set_column(told.column_names.index("customer_id"), "customer_id", pa.array(code))
    if not is_sorted:
        coded = _placed(coded, place, int(starts[-1]))
    return [coded.slice(starts[part], starts[part + 1] - starts[part]) for part in range(count)]


def _placed(table: pa.Table, place: npt.NDArray[Any], rows: int) -> pa.Table:
    """The rows at their places, each column in one piece; a column given twice is written once."""
    done: dict[tuple[int, ...], pa.Array] = {}
    order = None
    columns = {}
    for name in table.column_names:
        column = table[name]
        key = tuple(number for chunk in column.chunks for number in _held_at(chunk))
        if key in done and done[key].type == column.type:
            columns[name] = done[key]
            continue
        if pa.types.is_dictionary(column.type):
            column = column.unify_dictionaries()
        if column.null_count == 0 and _is_plain(column.type):
            columns[name] = _scattered(column, place, rows)
        else:
            order = _inverse(place, rows) if order is None else order
            columns[name] = column.combine_chunks().take(order)
        done[key] = columns[name]
    return pa.table(columns)


def _held_at(chunk: pa.Array) -> list[int]:
    """Where an array's values are in memory, those of its dictionary too: what no other array of its type has alike."""
    own = [chunk.offset, len(chunk), *(0 if buffer is None else buffer.address for buffer in chunk.buffers())]
    return own + _held_at(chunk.dictionary) if pa.types.is_dictionary(chunk.type) else own


def _is_plain(kind: pa.DataType) -> bool:
    is_coded = pa.types.is_dictionary(kind) and kind.index_type == pa.int32()
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_timestamp(kind)
    return bool(is_coded or is_number)


def _scattered(column: pa.ChunkedArray, place: npt.NDArray[Any], rows: int) -> pa.Array:
    """The column at its places: read in order, written into as many streams as there are parts, which is far faster
    than taking from all over."""
    is_coded = pa.types.is_dictionary(column.type)
    kind = pa.int32() if is_coded else column.type
    width = kind.bit_width // 8
    buffer = pa.allocate_buffer(rows * width)
    out, done = np.frombuffer(buffer, f"i{width}"), 0
    for chunk in column.chunks:
        _, values = (chunk.indices if is_coded else chunk).buffers()
        numbers = np.frombuffer(values, f"i{width}")[chunk.offset : chunk.offset + len(chunk)]  # bits are only moved
        scatter(numbers, place[done : done + len(chunk)], out)
        done += len(chunk)
    whole = pa.Array.from_buffers(kind, rows, [None, buffer])
    if not is_coded:
        return whole
    labels = column.chunk(0).dictionary if column.num_chunks else pa.array([], column.type.value_type)
    return pa.DictionaryArray.from_arrays(whole, labels)


def _inverse(place: npt.NDArray[Any], rows: int) -> pa.Array:
    order = np.empty(rows, np.int64)
    scatter(np.arange(len(place)), place, order)
    return pa.array(order)
