"""The kernel: one walk back from each cutoff through one customer's events, accumulating as it goes.

Windows `[t - w, t)` nest, so what has been accumulated when the walk crosses the edge of a window is that window's
value. Everything is an int64: sums are exact whatever their order, and so are the bytes whatever the threads.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from churn.tables.history import NEVER, Int64

Matrix = npt.NDArray[np.int64]

MISSING = int(np.iinfo(np.int64).min)
"""A null among the numbers, and what MAX, MIN, LAST and the times read where nothing counted."""

WHOLE = 2**62
"""The length of a window that holds the whole history."""

_BLOCK = 512
"""Rows that share one scratch pad: enough to make its allocation cheap, few enough to keep all threads busy."""


class Op(IntEnum):
    """What an accumulator does with each row that counts."""

    COUNT = 0
    SUM = 1
    MAX = 2
    MIN = 3
    LAST = 4
    LAST_TIME = 5
    FIRST_TIME = 6
    STREAK = 7
    DAYS = 8
    GAP_SUM = 9
    GAP_SQUARES = 10
    GAP_LAST = 11
    GAP_MAX = 12
    DISTINCT = 13
    MOST = 14
    ONCE = 15


@njit(parallel=True, cache=True, nogil=True)  # type: ignore[untyped-decorator]
def walk_back(
    starts: Int64, time: Int64, known: Int64, values: Matrix, clocks: Matrix,
    ops: Matrix, windows: Int64, reads: Int64, read_ends: Int64, width: int, customer: Int64, at: Int64,
) -> Matrix:  # fmt: skip
    """Returns what each accumulator holds at the edge of each window asked for, shape (len(at), len(reads)).

    A row counts for the cutoff t if `time < t`, `known <= t`, its value isn't `MISSING`, and t lies between the value's
    own clocks. Customer -1 has no rows.

    `starts`, `time` and `known` are those of a stream. `values` (events, values) and `clocks` (events, clocks) stand
    beside them; codes run from 0 to `width - 1`. Each row of `ops` is an accumulator: its `Op`, column of `values`
    (-1: the row itself), columns of `clocks` from which it counts (-1: always) and at which it ceases to (-1: never),
    scratch slot for codes (-1: none). `windows` rise, in microseconds; window w reads
    `reads[read_ends[w]:read_ends[w + 1]]`.
    """
    rows = len(at)
    out = np.empty((rows, len(reads)), np.int64)
    slots = max(1, ops[:, 4].max() + 1)
    for block in prange((rows + _BLOCK - 1) // _BLOCK):
        held = np.empty(len(ops), np.int64)
        last_day = np.empty(len(ops), np.int64)
        # A code's tally belongs to the walk whose number is stamped on it, so nothing has to be cleared between walks.
        stamp = np.zeros((slots, width), np.int64)
        tally = np.zeros((slots, width), np.int64)
        for i in range(block * _BLOCK, min(rows, (block + 1) * _BLOCK)):
            _reset(ops, held, last_day)
            first, row, t = 0, 0, at[i]
            if customer[i] >= 0:
                first = starts[customer[i]]
                row = _end(time, first, starts[customer[i] + 1], t)
            for window in range(len(windows)):
                edge = t - windows[window]
                while row > first and time[row - 1] >= edge:
                    row -= 1
                    if known[row] <= t:
                        _add(row, t, i + 1, time, values, clocks, ops, held, last_day, stamp, tally)
                for read in range(read_ends[window], read_ends[window + 1]):
                    out[i, read] = held[reads[read]]
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def first_known(
    customer: Int64, opens: Int64, length: int, starts: Int64, time: Int64, known: Int64
) -> Int64:  # fmt: skip
    """Returns when the first event in `[opens, opens + length)` of each customer became known, `NEVER` where there is
    none; shape (len(opens),), microseconds."""
    out = np.full(len(opens), NEVER, np.int64)
    for i in range(len(opens)):
        stop = starts[customer[i] + 1]
        row = _end(time, starts[customer[i]], stop, opens[i])
        while row < stop and time[row] < opens[i] + length:
            out[i] = min(out[i], known[row])
            row += 1
    return out


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _end(time: Int64, low: int, high: int, t: int) -> int:
    """The first row in `low:high` whose time is not before t: an event exactly at t is future."""
    while low < high:
        middle = (low + high) // 2
        if time[middle] < t:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _reset(ops: Matrix, held: Int64, last_day: Int64) -> None:
    for a in range(len(ops)):
        op = ops[a, 0]
        starts_empty = Op.MAX <= op <= Op.FIRST_TIME or op == Op.GAP_LAST or op == Op.GAP_MAX
        held[a] = MISSING if starts_empty else 0
        last_day[a] = MISSING


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _add(
    row: int, t: int, walk: int, time: Int64, values: Matrix, clocks: Matrix, ops: Matrix, held: Int64, last_day: Int64,
    stamp: Matrix, tally: Matrix,
) -> None:  # fmt: skip
    """Adds one visible row to every accumulator."""
    for a in range(len(ops)):
        op, value, begins, ends = ops[a, 0], ops[a, 1], ops[a, 2], ops[a, 3]
        x = values[row, value] if value >= 0 else 0
        counts = x != MISSING and (begins < 0 or clocks[row, begins] <= t) and (ends < 0 or clocks[row, ends] > t)
        if op == Op.STREAK:
            # `last_day` only marks here that the streak has come to an end.
            if not counts:
                last_day[a] = 0
            elif last_day[a] == MISSING:
                held[a] += 1
        elif op == Op.ONCE:
            if x != MISSING:
                _add_once(a, x, counts, walk, held, ops[a, 4], stamp, tally)
        elif counts:
            if op == Op.COUNT:
                held[a] += 1
            elif op == Op.SUM:
                held[a] += x
            elif op <= Op.FIRST_TIME:
                _add_number(op, a, x, time[row], held)
            elif op <= Op.GAP_MAX:
                _add_day(op, a, x, held, last_day)
            else:
                _add_code(op, a, x, walk, held, ops[a, 4], stamp, tally)


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _add_number(op: int, a: int, x: int, time: int, held: Int64) -> None:
    if op == Op.FIRST_TIME:
        held[a] = time
    elif held[a] == MISSING:
        held[a] = time if op == Op.LAST_TIME else x
    elif (op == Op.MAX and x > held[a]) or (op == Op.MIN and x < held[a]):
        held[a] = x


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _add_day(op: int, a: int, day: int, held: Int64, last_day: Int64) -> None:
    """Gaps lie between distinct days of *visible* rows: taken beforehand, they would know of late rows."""
    later = last_day[a]
    if later != MISSING and day >= later:
        return
    last_day[a] = day
    if op == Op.DAYS:
        held[a] += 1
    elif later != MISSING:
        gap = later - day
        if op == Op.GAP_SUM:
            held[a] += gap
        elif op == Op.GAP_SQUARES:
            held[a] += gap * gap
        elif held[a] == MISSING or (op == Op.GAP_MAX and gap > held[a]):
            held[a] = gap


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _add_code(op: int, a: int, code: int, walk: int, held: Int64, slot: int, stamp: Matrix, tally: Matrix) -> None:
    if stamp[slot, code] != walk:
        stamp[slot, code] = walk
        tally[slot, code] = 0
        if op == Op.DISTINCT:
            held[a] += 1
    tally[slot, code] += 1
    if op == Op.MOST and tally[slot, code] > held[a]:
        held[a] = tally[slot, code]


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _add_once(a: int, code: int, counts: bool, walk: int, held: Int64, slot: int, stamp: Matrix, tally: Matrix) -> None:
    """Codes with exactly one row, if that row counts: a second row takes back what the first gave."""
    if stamp[slot, code] != walk:
        stamp[slot, code] = walk
        tally[slot, code] = 1 if counts else 0
        held[a] += tally[slot, code]
    else:
        held[a] -= tally[slot, code]
        tally[slot, code] = 0
