"""Ids: the place of each customer's id in a list of customers, the one look-up that every row of every table needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

Int32 = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]
Table = npt.NDArray[np.uint64]

_LONGEST = 15
"""Bytes of an id that fit into two words beside their number; longer ones are looked up by Arrow, at twice the cost."""

_NOBODY = np.uint64(0xFFFFFFFFFFFFFFFF)
"""The second word of a text that is too long: of a short one it begins with its length, 15 at most."""

_BATCH = 64
"""Ids hashed before any is looked up, so that the memory fetches of many overlap."""


def codes_of(ids: pa.ChunkedArray, customers: pa.Array) -> Int32:
    """Returns the place of each id among `customers`, -1 where it is not there. Shape (rows,).

    Codes may stand for ids: whole numbers, and neighbouring ones as `customers`.
    """
    if pa.types.is_integer(ids.type):
        return np.asarray(ids.to_numpy() - (customers[0].as_py() if len(customers) else 0), np.int32)
    if pa.types.is_dictionary(ids.type):
        return _of_labels(ids.chunks, customers)
    longest = pc.max(pc.binary_length(customers)).as_py()
    if longest is None or longest > _LONGEST:
        return np.asarray(pc.fill_null(pc.index_in(ids, customers), -1).to_numpy(), np.int32)
    return _looked_up(ids.cast(pa.string()), customers)


def coded(ids: pa.ChunkedArray) -> tuple[Int32, pa.StringArray]:
    """Returns the place of each id among those there are, shape (rows,), -1 for a null, and these, sorted."""
    runs = pc.run_end_encode(ids.cast(pa.string()).combine_chunks())  # the same id often comes in a row
    told = runs.values.dictionary_encode()
    order = pc.sort_indices(told.dictionary).to_numpy()
    place = np.full(len(order) + 1, -1, np.int32)  # the last is a null's
    place[order] = np.arange(len(order), dtype=np.int32)
    lengths = np.diff(runs.run_ends.to_numpy(), prepend=0)
    return np.repeat(place[told.indices.fill_null(-1).to_numpy()], lengths), told.dictionary.take(pa.array(order))


def _of_labels(chunks: Sequence[pa.DictionaryArray], customers: pa.Array) -> Int32:
    """The same of ids that are codes: all their labels are looked up at once."""
    labels = pa.chunked_array([chunk.dictionary.cast(pa.string()) for chunk in chunks], pa.string())
    codes, done = codes_of(labels, customers), 0
    found = [np.zeros(0, np.int32)]
    for chunk in chunks:
        count = len(chunk.dictionary)
        own = np.append(codes[done : done + count], np.int32(-1))
        found.append(own[chunk.indices.cast(pa.int32()).fill_null(count).to_numpy()])
        done += count
    return np.concatenate(found)


def _looked_up(ids: pa.ChunkedArray, customers: pa.Array) -> Int32:
    # Made by NumPy, which asks for large pages: with small ones half the time goes into finding the page.
    table = np.zeros((1 << max(4, (2 * len(customers)).bit_length()), 4), np.uint64)
    _fill(*_text(customers), table)
    codes, done = np.empty(len(ids), np.int32), 0
    for chunk in ids.chunks:
        here = codes[done : done + len(chunk)]
        _find(*_text(chunk), table, here)
        if chunk.null_count:
            here[np.asarray(chunk.is_null())] = -1
        done += len(chunk)
    return codes


def _text(texts: pa.StringArray) -> tuple[Int32, Bytes]:
    """Where each text begins and ends, and the bytes of all."""
    _, offsets, data = texts.buffers()
    begins = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return begins, np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _words(data: Bytes, low: int, high: int) -> tuple[np.uint64, np.uint64]:
    """The bytes of a short text and their number, as two words that no other short text has."""
    first, second = np.uint64(0), np.uint64(high - low)
    for place in range(low, min(high, low + 8)):
        first = first << np.uint64(8) | np.uint64(data[place])
    for place in range(low + 8, high):
        second = second << np.uint64(8) | np.uint64(data[place])
    return first, second


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _slot(first: np.uint64, second: np.uint64, size: int) -> np.int64:
    """Where to look first: the words mixed by large odd numbers. Steele, Lea, Flood 2014 (splitmix64)."""
    mixed = (first ^ second * np.uint64(0x9E3779B97F4A7C15)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0x94D049BB133111EB)
    return np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(size - 1))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fill(offsets: Int32, data: Bytes, table: Table) -> None:
    """Fills rows of (word, word, place + 1, 0); of equal texts the first is found."""
    size = len(table)
    for place in range(len(offsets) - 1):
        first, second = _words(data, offsets[place], offsets[place + 1])
        slot = _slot(first, second, size)
        while table[slot, 2] != 0:
            slot = (slot + 1) & (size - 1)
        table[slot, 0], table[slot, 1], table[slot, 2] = first, second, np.uint64(place + 1)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _find(offsets: Int32, data: Bytes, table: Table, codes: Int32) -> None:
    """Writes the place of each text into `codes`, -1 for one that isn't in the table."""
    size, rows = len(table), len(offsets) - 1
    firsts, seconds, slots = np.empty(_BATCH, np.uint64), np.empty(_BATCH, np.uint64), np.empty(_BATCH, np.int64)
    for start in range(0, rows, _BATCH):
        stop = min(rows, start + _BATCH)
        for row in range(start, stop):
            firsts[row - start], seconds[row - start] = np.uint64(0), _NOBODY
            if offsets[row + 1] - offsets[row] <= _LONGEST:
                firsts[row - start], seconds[row - start] = _words(data, offsets[row], offsets[row + 1])
            slots[row - start] = _slot(firsts[row - start], seconds[row - start], size)
        for row in range(start, stop):
            first, second, slot = firsts[row - start], seconds[row - start], slots[row - start]
            codes[row] = -1
            while table[slot, 2] != 0:
                if table[slot, 0] == first and table[slot, 1] == second:
                    codes[row] = np.int32(table[slot, 2]) - 1
                    break
                slot = (slot + 1) & (size - 1)
