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

from churn.signals.stretches import fold_stretches
from churn.tables.history import DAY, NEVER, Int64
from churn.tables.orders import MISSING

Matrix = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

NOTHING = np.empty(0, np.int64)
"""Stands for numbers or clocks that an accumulator doesn't need."""

MOST_BITS = 64
"""So many codes are told apart by a bit each."""


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
    BITS = 18


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def walk_back(
    op: int, edges: Matrix, windows: Int64, at: Int64, time: Int64, known: Int64, numbers: Int64, begins: Int64,
    ends: Int64, width: int,
) -> Matrix:  # fmt: skip
    """Returns what the accumulator holds at the edge of each of `windows` (their places), shape (windows, len(at)).

    A row counts for the cutoff t if `time < t`, `known <= t`, its number isn't `MISSING`, and `begins <= t < ends`;
    what is `NOTHING` asks for nothing. Codes run from 0 to `width - 1`. For `TOTAL` and `TOTAL_DAYS`, `numbers` are
    running totals (see `running_total`), for `BITS`, which is `DISTINCT`, a bit per code (`bits_of`): both hold where
    every row counts from its own time on.
    """
    out = np.empty((len(windows), len(at)), np.int64)
    walk_into(out, op, edges, windows, at, time, known, numbers, begins, ends, width)
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def walk_into(
    out: Matrix, op: int, edges: Matrix, windows: Int64, at: Int64, time: Int64, known: Int64, numbers: Int64,
    begins: Int64, ends: Int64, width: int,
) -> None:  # fmt: skip
    """Writes what `walk_back` returns into `out`, for those who ask again and again: fresh memory costs more than the
    walk."""
    is_plain = len(known) + len(begins) + len(ends) == 0
    if op <= Op.TOTAL_DAYS:
        _total(op, edges, windows, numbers, out)
    elif op == Op.COUNT and is_plain and len(numbers) == 0:
        _count_rows(edges, windows, out)
    elif op <= Op.SUM:
        _add(op, edges, windows, at, known, numbers, begins, ends, out)
    elif op == Op.MAX and is_plain:
        fold_stretches(False, MISSING, edges, windows, numbers, out)  # `MISSING` is the least there is
    elif Op.LAST_TIME <= op <= Op.FIRST_TIME and is_plain and len(numbers) == 0:
        _outermost(op, edges, windows, time, out)
    elif op <= Op.FIRST_TIME:
        _choose(op, edges, windows, at, time, known, numbers, begins, ends, out)
    elif op == Op.STREAK:
        _streak(edges, windows, at, known, numbers, begins, ends, out)
    elif op <= Op.GAP_MAX:
        _days(op, edges, windows, at, known, numbers, begins, ends, out)
    elif op == Op.BITS:
        fold_stretches(True, 0, edges, windows, numbers, out)
        _count_bits(out)
    elif op == Op.DISTINCT and width <= MOST_BITS:
        _distinct(edges, windows, at, known, numbers, begins, ends, out)
    else:
        _codes(op, edges, windows, at, known, numbers, begins, ends, width, out)


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
def bits_of(codes: Int64) -> Int64:
    """Returns a bit for each code, none for `MISSING`; shape (rows,)."""
    bits = np.zeros(len(codes), np.int64)
    for row in range(len(codes)):
        if codes[row] != MISSING:
            bits[row] = np.int64(1) << codes[row]
    return bits


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


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _counts(row: int, t: int, known: Int64, numbers: Int64, begins: Int64, ends: Int64) -> bool:
    is_told = len(numbers) == 0 or numbers[row] != MISSING
    is_known = len(known) == 0 or known[row] <= t
    has_begun = len(begins) == 0 or begins[row] <= t
    return is_told and is_known and has_begun and (len(ends) == 0 or ends[row] > t)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _total(op: int, edges: Matrix, windows: Int64, totals: Int64, out: Matrix) -> None:
    """What lies between two edges is the difference of two running totals."""
    for window in range(len(out)):
        lows = edges[windows[window] + 1]
        for i in range(len(lows)):
            high, low = edges[0, i], lows[i]
            if op == Op.TOTAL:
                out[window, i] = totals[high] - totals[low]
            else:
                out[window, i] = totals[high] - totals[low + 1] + 1 if high > low else 0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _count_rows(edges: Matrix, windows: Int64, out: Matrix) -> None:
    """How many rows there are where every row counts."""
    for window in range(len(out)):
        lows = edges[windows[window] + 1]
        for i in range(len(lows)):
            out[window, i] = edges[0, i] - lows[i]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add(
    op: int, edges: Matrix, windows: Int64, at: Int64, known: Int64, numbers: Int64, begins: Int64, ends: Int64,
    out: Matrix,
) -> None:  # fmt: skip
    for i in range(len(at)):
        held, high = 0, edges[0, i]
        for window in range(len(out)):
            low = edges[windows[window] + 1, i]
            for row in range(low, high):
                if _counts(row, at[i], known, numbers, begins, ends):
                    held += numbers[row] if op == Op.SUM else 1
            out[window, i] = held
            high = low


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _outermost(op: int, edges: Matrix, windows: Int64, time: Int64, out: Matrix) -> None:
    """The time of the last or first row where every row counts."""
    for window in range(len(out)):
        lows = edges[windows[window] + 1]
        for i in range(len(lows)):
            row = edges[0, i] - 1 if op == Op.LAST_TIME else lows[i]
            out[window, i] = time[row] if edges[0, i] > lows[i] else MISSING


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _choose(
    op: int, edges: Matrix, windows: Int64, at: Int64, time: Int64, known: Int64, numbers: Int64, begins: Int64,
    ends: Int64, out: Matrix,
) -> None:  # fmt: skip
    is_plain = len(known) + len(begins) + len(ends) == 0 and len(numbers) > 0
    for i in range(len(at)):
        held, high = MISSING, edges[0, i]
        for window in range(len(out)):
            low = edges[windows[window] + 1, i]
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
        held, row, is_over = 0, edges[0, i], False
        for window in range(len(out)):
            while row > edges[windows[window] + 1, i]:
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
        later, row = NEVER, edges[0, i]
        for window in range(len(out)):
            low = edges[windows[window] + 1, i]
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
def _count_bits(out: Matrix) -> None:
    for window in range(len(out)):
        for i in range(out.shape[1]):
            out[window, i] = _ones(np.uint64(out[window, i]))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _distinct(
    edges: Matrix, windows: Int64, at: Int64, known: Int64, codes: Int64, begins: Int64, ends: Int64, out: Matrix
) -> None:
    """How many of a few codes there are: each is a bit."""
    for i in range(len(at)):
        seen, high = np.uint64(0), edges[0, i]
        for window in range(len(out)):
            low = edges[windows[window] + 1, i]
            for row in range(low, high):
                if codes[row] != MISSING and _counts(row, at[i], known, codes, begins, ends):
                    seen |= np.uint64(1) << np.uint64(codes[row])
            out[window, i] = _ones(seen)
            high = low


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _ones(bits: np.uint64) -> int:
    count = 0
    while bits:
        bits &= bits - np.uint64(1)
        count += 1
    return count


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
        held, row = 0, edges[0, i]
        for window in range(len(out)):
            while row > edges[windows[window] + 1, i]:
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
