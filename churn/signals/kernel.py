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

from churn.tables.history import DAY, NEVER, Int64
from churn.tables.orders import MISSING

Matrix = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

WHOLE = 2**62
"""The length of a window that holds the whole history."""

NOTHING = np.empty(0, np.int64)
"""Stands for numbers or clocks that an accumulator doesn't need."""


_BITS = 64


class Op(IntEnum):
    """What an accumulator does with each row that counts."""

    TOTAL = 0
    TOTAL_DAYS = 1
    COUNT = 2
    SUM = 3
    MAX = 4
    MIN = 5
    LAST = 6
    LAST_TIME = 7
    FIRST_TIME = 8
    STREAK = 9
    DAYS = 10
    GAP_SUM = 11
    GAP_SQUARES = 12
    GAP_LAST = 13
    GAP_MAX = 14
    DISTINCT = 15
    MOST = 16
    ONCE = 17


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def edges_of(starts: Int64, time: Int64, customer: Int64, at: Int64, windows: Int64) -> Matrix:
    """Returns, for each (customer, cutoff), the rows between which its windows lie, shape (len(at), len(windows) + 1).

    Row `edges[i, 0]` is the first that is not before the cutoff, an event exactly at t being future; `edges[i, w + 1]`
    the first inside window w. `windows` rise, in microseconds. Customer -1 has no rows.
    """
    edges = np.zeros((len(at), len(windows) + 1), np.int64)
    for i in range(len(at)):
        if customer[i] < 0:
            continue
        first, stop = starts[customer[i]], starts[customer[i] + 1]
        # A later cutoff of the same customer has later edges: a few steps on from the last ones.
        is_later = i > 0 and customer[i] == customer[i - 1] and at[i] >= at[i - 1]
        edge = _onward(time, edges[i - 1, 0], stop, at[i]) if is_later else _end(time, first, stop, at[i])
        edges[i, 0] = edge
        for window in range(len(windows)):
            opens = at[i] - windows[window]
            last = edges[i - 1, window + 1]
            edge = _onward(time, last, edge, opens) if is_later else _end(time, first, edge, opens)
            edges[i, window + 1] = edge
    return edges


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def walk_back(
    op: int, edges: Matrix, windows: Int64, at: Int64, time: Int64, known: Int64, numbers: Int64, begins: Int64,
    ends: Int64, width: int,
) -> Matrix:  # fmt: skip
    """Returns what the accumulator holds at the edge of each of `windows` (their places), shape (windows, len(at)).

    A row counts for the cutoff t if `time < t`, `known <= t`, its number isn't `MISSING`, and `begins <= t < ends`;
    what is `NOTHING` asks for nothing. Codes run from 0 to `width - 1`. For `TOTAL` and `TOTAL_DAYS`, `numbers` are
    running totals (see `running_total`), which hold where every row counts from its own time on.
    """
    out = np.empty((len(windows), len(at)), np.int64)
    if op <= Op.TOTAL_DAYS:
        _total(op, edges, windows, numbers, out)
    elif op <= Op.SUM:
        _add(op, edges, windows, at, known, numbers, begins, ends, out)
    elif op == Op.MAX and len(known) + len(begins) + len(ends) == 0:
        _peak(edges, windows, numbers, out)
    elif Op.LAST_TIME <= op <= Op.FIRST_TIME and len(known) + len(numbers) + len(begins) + len(ends) == 0:
        _outermost(op, edges, windows, time, out)
    elif op <= Op.FIRST_TIME:
        _choose(op, edges, windows, at, time, known, numbers, begins, ends, out)
    elif op == Op.STREAK:
        _streak(edges, windows, at, known, numbers, begins, ends, out)
    elif op <= Op.GAP_MAX:
        _days(op, edges, windows, at, known, numbers, begins, ends, out)
    elif op == Op.DISTINCT and width <= _BITS:
        _distinct(edges, windows, at, known, numbers, begins, ends, out)
    else:
        _codes(op, edges, windows, at, known, numbers, begins, ends, width, out)
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def running_total(op: int, numbers: Int64) -> Int64:
    """Returns what SUM, COUNT or DAYS of all rows before each row come to, shape (rows + 1,); days are counted where
    they change, whoever's they are. A total that runs over wraps around: the difference of two is still exact."""
    total = np.zeros(len(numbers) + 1, np.int64)
    for row in range(len(numbers)):
        adds = 0
        if op == Op.DAYS:
            adds = 1 if row > 0 and numbers[row] != numbers[row - 1] else 0
        elif numbers[row] != MISSING:
            adds = numbers[row] if op == Op.SUM else 1
        total[row + 1] = total[row] + adds
    return total


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def never_falls(starts: Int64, numbers: Int64) -> bool:
    """Returns whether the numbers of each customer are never less than the one before."""
    for customer in range(len(starts) - 1):
        for row in range(starts[customer] + 1, starts[customer + 1]):
            if numbers[row] < numbers[row - 1]:
                return False
    return True


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def told(numbers: Int64, unit: float) -> npt.NDArray[np.float64]:
    """Returns the numbers in the unit that is delivered, NaN for `MISSING`."""
    out = np.empty(len(numbers), np.float64)
    for i in range(len(numbers)):
        out[i] = np.nan if numbers[i] == MISSING else numbers[i] / unit
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def means(sums: Int64, counts: Int64, unit: float) -> npt.NDArray[np.float64]:
    """Returns sum by count in the unit that is delivered, NaN where nothing counted."""
    out = np.empty(len(sums), np.float64)
    for i in range(len(sums)):
        out[i] = np.nan if counts[i] == 0 else sums[i] / counts[i] / unit
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def days_between(earlier: Int64, later: Int64) -> npt.NDArray[np.float64]:
    """Returns the days from one moment to another, NaN where either is `MISSING`."""
    out = np.empty(len(earlier), np.float64)
    for i in range(len(earlier)):
        is_told = earlier[i] != MISSING and later[i] != MISSING
        out[i] = (later[i] - earlier[i]) / DAY if is_told else np.nan
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def deliver(numbers: Int64, unit: float, out: Float32, rows: Int64) -> None:
    """Writes what `told` returns into the `rows` of `out`, rounded; into all of it where `rows` is `NOTHING`."""
    for i in range(len(numbers)):
        value = float(numbers[i]) if unit == 1 else numbers[i] / unit
        out[rows[i] if len(rows) else i] = np.nan if numbers[i] == MISSING else value


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def round_into(feature: npt.NDArray[np.float64], out: Float32, rows: Int64) -> None:
    """Writes a feature into the `rows` of `out`, rounded; into all of it where `rows` is `NOTHING`."""
    for i in range(len(feature)):
        out[rows[i] if len(rows) else i] = feature[i]


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
def _onward(time: Int64, low: int, high: int, t: int) -> int:
    """What `_end` returns, step by step from `low` on, which is not far from it."""
    while low < high and time[low] < t:
        low += 1
    return low


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _counts(row: int, t: int, known: Int64, numbers: Int64, begins: Int64, ends: Int64) -> bool:
    is_told = len(numbers) == 0 or numbers[row] != MISSING
    is_known = len(known) == 0 or known[row] <= t
    has_begun = len(begins) == 0 or begins[row] <= t
    return is_told and is_known and has_begun and (len(ends) == 0 or ends[row] > t)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _total(op: int, edges: Matrix, windows: Int64, totals: Int64, out: Matrix) -> None:
    """What lies between two edges is the difference of two running totals."""
    for i in range(len(edges)):
        high = edges[i, 0]
        for window in range(len(out)):
            low = edges[i, windows[window] + 1]
            if op == Op.TOTAL:
                out[window, i] = totals[high] - totals[low]
            else:
                out[window, i] = totals[high] - totals[low + 1] + 1 if high > low else 0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add(
    op: int,
    edges: Matrix,
    windows: Int64,
    at: Int64,
    known: Int64,
    numbers: Int64,
    begins: Int64,
    ends: Int64,
    out: Matrix,
) -> None:
    is_whole = len(known) + len(numbers) + len(begins) + len(ends) == 0
    for i in range(len(at)):
        held, high = 0, edges[i, 0]
        for window in range(len(out)):
            low = edges[i, windows[window] + 1]
            if is_whole:
                held += high - low
            else:
                for row in range(low, high):
                    if _counts(row, at[i], known, numbers, begins, ends):
                        held += numbers[row] if op == Op.SUM else 1
            out[window, i] = held
            high = low


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _peak(edges: Matrix, windows: Int64, numbers: Int64, out: Matrix) -> None:
    """The largest number where every row counts: a bare loop, which the compiler makes the most of."""
    for i in range(len(edges)):
        held, high = MISSING, edges[i, 0]
        for window in range(len(out)):
            low = edges[i, windows[window] + 1]
            for row in range(low, high):
                held = max(held, numbers[row])  # `MISSING` is the least there is
            out[window, i] = held
            high = low


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _outermost(op: int, edges: Matrix, windows: Int64, time: Int64, out: Matrix) -> None:
    """The time of the last or first row where every row counts."""
    for i in range(len(edges)):
        high = edges[i, 0]
        for window in range(len(out)):
            low = edges[i, windows[window] + 1]
            row = high - 1 if op == Op.LAST_TIME else low
            out[window, i] = time[row] if high > low else MISSING


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _choose(
    op: int, edges: Matrix, windows: Int64, at: Int64, time: Int64, known: Int64, numbers: Int64, begins: Int64,
    ends: Int64, out: Matrix,
) -> None:  # fmt: skip
    is_plain = len(known) + len(begins) + len(ends) == 0 and len(numbers) > 0
    for i in range(len(at)):
        held, high = MISSING, edges[i, 0]
        for window in range(len(out)):
            low = edges[i, windows[window] + 1]
            if op == Op.FIRST_TIME:
                for row in range(low, high):
                    if _counts(row, at[i], known, numbers, begins, ends):
                        held = time[row]
                        break
            elif op <= Op.MIN:
                for row in range(low, high):
                    if numbers[row] != MISSING and (is_plain or _counts(row, at[i], known, numbers, begins, ends)):
                        is_first = held == MISSING
                        held = numbers[row] if is_first or (numbers[row] > held) == (op == Op.MAX) else held
            elif op == Op.LAST and is_plain:
                row = high - 1
                while held == MISSING and row >= low:
                    held, row = numbers[row], row - 1
            elif held == MISSING:
                for row in range(high - 1, low - 1, -1):
                    if _counts(row, at[i], known, numbers, begins, ends):
                        held = time[row] if op == Op.LAST_TIME else numbers[row]
                        break
            out[window, i] = held
            high = low


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _streak(
    edges: Matrix, windows: Int64, at: Int64, known: Int64, numbers: Int64, begins: Int64, ends: Int64, out: Matrix
) -> None:
    """The rows that count, from the latest visible one back to the first that doesn't."""
    for i in range(len(at)):
        held, row, is_over = 0, edges[i, 0], False
        for window in range(len(out)):
            while row > edges[i, windows[window] + 1]:
                row -= 1
                if len(known) and known[row] > at[i]:
                    continue
                is_over |= not _counts(row, at[i], known, numbers, begins, ends)
                held += not is_over
            out[window, i] = held


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _days(
    op: int,
    edges: Matrix,
    windows: Int64,
    at: Int64,
    known: Int64,
    days: Int64,
    begins: Int64,
    ends: Int64,
    out: Matrix,
) -> None:
    """Gaps lie between distinct days of *visible* rows: taken beforehand, they would know of late rows."""
    is_plain = len(known) + len(begins) + len(ends) == 0
    for i in range(len(at)):
        held = MISSING if op >= Op.GAP_LAST else 0
        later, row = NEVER, edges[i, 0]
        for window in range(len(out)):
            low = edges[i, windows[window] + 1]
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
def _distinct(
    edges: Matrix, windows: Int64, at: Int64, known: Int64, codes: Int64, begins: Int64, ends: Int64, out: Matrix
) -> None:
    """How many of a few codes there are: each is a bit."""
    is_plain = len(known) + len(begins) + len(ends) == 0
    for i in range(len(at)):
        seen, high = np.uint64(0), edges[i, 0]
        for window in range(len(out)):
            low = edges[i, windows[window] + 1]
            for row in range(low, high):
                if codes[row] != MISSING and (is_plain or _counts(row, at[i], known, codes, begins, ends)):
                    seen |= np.uint64(1) << np.uint64(codes[row])
            count, rest = 0, seen
            while rest:
                rest &= rest - np.uint64(1)
                count += 1
            out[window, i] = count
            high = low


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _codes(
    op: int,
    edges: Matrix,
    windows: Int64,
    at: Int64,
    known: Int64,
    codes: Int64,
    begins: Int64,
    ends: Int64,
    width: int,
    out: Matrix,
) -> None:
    """Tallies per code; ONCE counts the codes with exactly one row, if that row counts: a second takes it back."""
    # A tally belongs to the walk whose number is stamped on it, so nothing has to be cleared between walks.
    stamp, tally = np.zeros(width, np.int64), np.zeros(width, np.int64)
    for i in range(len(at)):
        held, row = 0, edges[i, 0]
        for window in range(len(out)):
            while row > edges[i, windows[window] + 1]:
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
