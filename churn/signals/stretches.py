"""Stretches: the largest number, or all bits, of a stretch of rows in a step or two, however long it is.

What two overlapping halves hold, the whole holds: a table has what the 1, 2, 4 ... rows from each row on come to, and
two look-ups answer any stretch ("sparse table": Bender and Farach-Colton, "The LCA Problem Revisited", 2000). A loop
over the rows would mispredict its end at every window of every cutoff, which costs more than the rows do.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from churn.tables.history import Int64

Matrix = npt.NDArray[np.int64]

_LEVELS = 6
_LONGEST = 1 << (_LEVELS - 1)
"""Rows that a look-up spans at most; longer stretches take several."""

_LEVEL = np.array([0, *(length.bit_length() - 1 for length in range(1, _LONGEST + 1))], np.int64)
"""The largest level whose rows fit into a length."""


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def fold_stretches(is_bits: bool, nothing: int, edges: Matrix, windows: Int64, numbers: Int64, out: Matrix) -> None:
    """Writes into `out`, shape (windows, cutoffs), the largest number in each window, or all its bits, where every row
    counts; `nothing` is what no row comes to. See `kernel.walk_back`."""
    first, stop = _span(edges, windows[-1] + 1)
    if stop - first > 2 * out.size:  # too few questions: making a table costs more than it saves
        _fold_rows(is_bits, nothing, edges, windows, numbers, out)
    elif stop > first:
        _fold_table(is_bits, nothing, edges, windows, _table(is_bits, numbers[first:stop]), first, out)
    else:
        out[:] = nothing


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _span(edges: Matrix, last: int) -> tuple[int, int]:
    """The first row of any window and the row after the last."""
    first, stop = np.iinfo(np.int64).max, 0
    for i in range(edges.shape[1]):
        if edges[0, i] > edges[last, i]:
            first, stop = min(first, edges[last, i]), max(stop, edges[0, i])
    return first, stop


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _table(is_bits: bool, numbers: Int64) -> Matrix:
    """What the `2 ** level` rows from each row on come to, or the fewer that there are; shape (levels, rows)."""
    table = np.empty((_LEVELS, len(numbers)), np.int64)
    table[0] = numbers
    for level in range(1, _LEVELS):
        half, below = 1 << (level - 1), table[level - 1]
        whole = max(len(numbers) - half, 0)
        for row in range(whole):
            table[level, row] = _both(is_bits, below[row], below[row + half])
        table[level, whole:] = below[whole:]
    return table


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fold_table(
    is_bits: bool, nothing: int, edges: Matrix, windows: Int64, table: Matrix, first: int, out: Matrix
) -> None:  # fmt: skip
    for i in range(edges.shape[1]):
        held, high = nothing, edges[0, i] - first
        for window in range(len(out)):
            low = edges[windows[window] + 1, i] - first
            row = low
            while high - row > _LONGEST:
                held, row = _both(is_bits, held, table[_LEVELS - 1, row]), row + _LONGEST
            if high > row:
                level = _LEVEL[high - row]
                halves = _both(is_bits, table[level, row], table[level, high - (1 << level)])
                held = _both(is_bits, held, halves)
            out[window, i] = held
            high = low


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fold_rows(
    is_bits: bool, nothing: int, edges: Matrix, windows: Int64, numbers: Int64, out: Matrix
) -> None:  # fmt: skip
    for i in range(edges.shape[1]):
        held, high = nothing, edges[0, i]
        for window in range(len(out)):
            low = edges[windows[window] + 1, i]
            for row in range(low, high):
                held = _both(is_bits, held, numbers[row])
            out[window, i] = held
            high = low


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _both(is_bits: bool, one: int, other: int) -> int:
    return one | other if is_bits else max(one, other)
