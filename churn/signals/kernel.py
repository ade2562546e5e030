"""The kernel: one walk back from each cutoff through one customer's events, accumulating as it goes.

Windows `[t - w, t)` nest, so what has been accumulated when the walk crosses the edge of a window is that window's
value: each accumulator is one loop over the stretch of events between two edges. Everything is an int64: sums are exact
whatever their order, and so are the bytes whatever the threads.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt
from numba import njit

from churn.tables.history import NEVER, Int64

Matrix = npt.NDArray[np.int64]

MISSING = int(np.iinfo(np.int64).min)
"""A null among the numbers, and what MAX, MIN, LAST and the times read where nothing counted."""

WHOLE = 2**62
"""The length of a window that holds the whole history."""

NOTHING = np.empty(0, np.int64)
"""Stands for numbers or clocks that an accumulator doesn't need."""


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


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def edges_of(starts: Int64, time: Int64, customer: Int64, at: Int64, windows: Int64) -> Matrix:
    """Returns, for each (customer, cutoff), the rows between which its windows lie, shape (len(windows) + 1, len(at)).

    Row `edges[0, i]` is the first that is not before the cutoff, an event exactly at t being future; `edges[w + 1, i]`
    the first inside window w. `windows` rise, in microseconds. Customer -1 has no rows.
    """
    edges = np.zeros((len(windows) + 1, len(at)), np.int64)
    for i in range(len(at)):
        if customer[i] >= 0:
            first = starts[customer[i]]
            edge = _end(time, first, starts[customer[i] + 1], at[i])
            edges[0, i] = edge
            for window in range(len(windows)):
                edge = _end(time, first, edge, at[i] - windows[window])
                edges[window + 1, i] = edge
    return edges


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def walk_back(
    op: int, edges: Matrix, at: Int64, time: Int64, known: Int64, numbers: Int64, begins: Int64, ends: Int64, width: int
) -> Matrix:
    """Returns what the accumulator holds at the edge of each window, shape (len(edges) - 1, len(at)).

    A row counts for the cutoff t if `time < t`, `known <= t`, its number isn't `MISSING`, and `begins <= t < ends`;
    what is `NOTHING` asks for nothing. Codes run from 0 to `width - 1`.
    """
    out = np.empty((len(edges) - 1, len(at)), np.int64)
    if op <= Op.SUM:
        _add(op, edges, at, known, numbers, begins, ends, out)
    elif op <= Op.FIRST_TIME:
        _choose(op, edges, at, time, known, numbers, begins, ends, out)
    elif op == Op.STREAK:
        _streak(edges, at, known, numbers, begins, ends, out)
    elif op <= Op.GAP_MAX:
        _days(op, edges, at, known, numbers, begins, ends, out)
    else:
        _codes(op, edges, at, known, numbers, begins, ends, width, out)
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
    """The first row in `low:high` whose time is not before t."""
    while low < high:
        middle = (low + high) // 2
        if time[middle] < t:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _counts(row: int, t: int, known: Int64, numbers: Int64, begins: Int64, ends: Int64) -> bool:
    is_told = len(numbers) == 0 or numbers[row] != MISSING
    is_known = len(known) == 0 or known[row] <= t
    has_begun = len(begins) == 0 or begins[row] <= t
    return is_told and is_known and has_begun and (len(ends) == 0 or ends[row] > t)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add(
    op: int, edges: Matrix, at: Int64, known: Int64, numbers: Int64, begins: Int64, ends: Int64, out: Matrix
) -> None:
    is_plain = len(known) + len(begins) + len(ends) == 0
    for i in range(len(at)):
        held, high = 0, edges[0, i]
        for window in range(len(out)):
            low = edges[window + 1, i]
            if op == Op.COUNT and is_plain and len(numbers) == 0:
                held += high - low
            elif op == Op.SUM and is_plain:
                for row in range(low, high):
                    held += numbers[row] if numbers[row] != MISSING else 0
            else:
                for row in range(low, high):
                    if _counts(row, at[i], known, numbers, begins, ends):
                        held += numbers[row] if op == Op.SUM else 1
            out[window, i] = held
            high = low


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _choose(
    op: int, edges: Matrix, at: Int64, time: Int64, known: Int64, numbers: Int64, begins: Int64, ends: Int64,
    out: Matrix,
) -> None:  # fmt: skip
    for i in range(len(at)):
        held, row = MISSING, edges[0, i]
        for window in range(len(out)):
            low = edges[window + 1, i]
            while row > low:
                row -= 1
                if not _counts(row, at[i], known, numbers, begins, ends):
                    continue
                if op == Op.FIRST_TIME:
                    held = time[row]
                elif held == MISSING:
                    held = time[row] if op == Op.LAST_TIME else numbers[row]
                elif op == Op.MAX:
                    held = max(held, numbers[row])
                elif op == Op.MIN:
                    held = min(held, numbers[row])
                else:
                    row = low  # the latest is found
            out[window, i] = held


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _streak(edges: Matrix, at: Int64, known: Int64, numbers: Int64, begins: Int64, ends: Int64, out: Matrix) -> None:
    """The rows that count, from the latest visible one back to the first that doesn't."""
    for i in range(len(at)):
        held, row, is_over = 0, edges[0, i], False
        for window in range(len(out)):
            while row > edges[window + 1, i]:
                row -= 1
                if len(known) and known[row] > at[i]:
                    continue
                is_over |= not _counts(row, at[i], known, numbers, begins, ends)
                held += not is_over
            out[window, i] = held


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _days(
    op: int, edges: Matrix, at: Int64, known: Int64, days: Int64, begins: Int64, ends: Int64, out: Matrix
) -> None:
    """Gaps lie between distinct days of *visible* rows: taken beforehand, they would know of late rows."""
    is_plain = len(known) + len(begins) + len(ends) == 0
    for i in range(len(at)):
        held = MISSING if op >= Op.GAP_LAST else 0
        later, row = NEVER, edges[0, i]
        for window in range(len(out)):
            low = edges[window + 1, i]
            while row > low:
                row -= 1
                day = days[row]
                if day >= later or day == MISSING:
                    continue
                if not (is_plain or _counts(row, at[i], known, days, begins, ends)):
                    continue
                if op == Op.DAYS:
                    held += 1
                elif later != NEVER:
                    gap = later - day
                    if op == Op.GAP_SUM:
                        held += gap
                    elif op == Op.GAP_SQUARES:
                        held += gap * gap
                    elif held == MISSING or op == Op.GAP_MAX:
                        held = max(held, gap)
                later = day
            out[window, i] = held


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _codes(
    op: int, edges: Matrix, at: Int64, known: Int64, codes: Int64, begins: Int64, ends: Int64, width: int, out: Matrix
) -> None:
    """Tallies per code; ONCE counts the codes with exactly one row, if that row counts: a second takes it back."""
    # A tally belongs to the walk whose number is stamped on it, so nothing has to be cleared between walks.
    stamp, tally = np.zeros(width, np.int64), np.zeros(width, np.int64)
    for i in range(len(at)):
        held, row = 0, edges[0, i]
        for window in range(len(out)):
            while row > edges[window + 1, i]:
                row -= 1
                code = codes[row]
                if code == MISSING or (len(known) and known[row] > at[i]):
                    continue
                counts = _counts(row, at[i], known, codes, begins, ends)
                if op != Op.ONCE and not counts:
                    continue
                is_new = stamp[code] != i + 1
                if is_new:
                    stamp[code], tally[code] = i + 1, 0
                if op == Op.ONCE:
                    # What the code has given so far is taken back, and a first row gives one if it counts.
                    gives = 1 if is_new and counts else 0
                    held += gives - tally[code]
                    tally[code] = gives
                else:
                    tally[code] += 1
                    if op == Op.MOST:
                        held = max(held, tally[code])
                    else:
                        held += is_new
            out[window, i] = held
