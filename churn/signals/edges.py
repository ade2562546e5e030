"""Edges: the rows between which the windows of each cutoff lie, where the walk back begins and where it is read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from churn.tables.history import DAY, NEVER, Int64

Matrix = npt.NDArray[np.int64]

WHOLE = 2**62
"""The length of a window that holds the whole history."""

_LONG_AGO = -(2**61)
"""Where windows of the whole history begin: before everything."""

_MOST_MARKS = 4096
_MOST_DAYS = 100_000
_ROWS_EACH = 4
"""A customer's events are counted where she is asked for at so many cutoffs on average; for fewer, a search is less."""


class Marks(NamedTuple):
    """Where the windows of a few cutoffs begin and end, for counting a customer's events between them.

    Attributes:
        at: the distinct moments, rising, microseconds.
        of: the place in `at` of each cutoff and of the beginnings of its windows, shape (cutoffs, windows + 1).
        opens: the first of the days.
        passed: how many marks are not after the beginning of each day from `opens` on, shape (days,).
    """

    at: Int64
    of: Matrix
    opens: int
    passed: Int64


def marks_of(cutoffs: Int64, windows: Int64) -> Marks | None:
    """Returns the marks of distinct cutoffs and windows, both rising; None where they are too many for it to pay."""
    if len(cutoffs) * (len(windows) + 1) > _MOST_MARKS or not len(cutoffs):
        return None
    begins = np.maximum(cutoffs[:, None] - np.concatenate([[0], windows]), _LONG_AGO)
    at, of = np.unique(begins, return_inverse=True)
    opens = int(at[np.searchsorted(at, _LONG_AGO, side="right")])
    days = int(at[-1] - opens) // DAY + 1
    if days > _MOST_DAYS:
        return None
    passed = np.searchsorted(at, opens + np.arange(days) * DAY, side="right")
    passed[0] = 0  # the first day stands for all before it as well
    return Marks(at, of.reshape(begins.shape), opens, passed)


def is_shared(customer: Int64, cutoffs: Int64) -> bool:
    """Returns whether rows, customer by customer, have few enough cutoffs between them for counting to pay."""
    customers = 1 + int(np.count_nonzero(np.diff(customer)))
    return len(cutoffs) > 1 and len(customer) >= _ROWS_EACH * customers


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def edges_of(starts: Int64, time: Int64, customer: Int64, at: Int64, windows: Int64) -> Matrix:
    """Returns, for each (customer, cutoff), the rows between which its windows lie, shape (len(windows) + 1, len(at)).

    Row `edges[0, i]` is the first that is not before the cutoff, an event exactly at t being future; `edges[w + 1, i]`
    the first inside window w. `windows` rise, in microseconds. Customer -1 has no rows.
    """
    edges = np.zeros((len(windows) + 1, len(at)), np.int64)
    for i in range(len(at)):
        if customer[i] < 0:
            continue
        first, stop = starts[customer[i]], starts[customer[i] + 1]
        # A later cutoff of the same customer has later edges: a few steps on from the last ones.
        is_later = i > 0 and customer[i] == customer[i - 1] and at[i] >= at[i - 1]
        edge = _onward(time, edges[0, i - 1], stop, at[i]) if is_later else _end(time, first, stop, at[i])
        edges[0, i] = edge
        for window in range(len(windows)):
            opens = at[i] - windows[window]
            last = edges[window + 1, i - 1]
            edge = _onward(time, last, edge, opens) if is_later else _end(time, first, edge, opens)
            edges[window + 1, i] = edge
    return edges


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def counted_edges(
    starts: Int64, time: Int64, customer: Int64, cutoff: Int64, at: Int64, of: Matrix, opens: int, passed: Int64
) -> Matrix:  # fmt: skip
    """Returns what `edges_of` returns, for rows whose cutoffs are few: `cutoff` is the place of each row's among them;
    the rest are their `Marks`.

    Each event of a customer is counted at the first mark after it; running totals of these counts are the edges of all
    her cutoffs. It has no branch that depends on when events happened, unlike a search, which waits for each of them.
    """
    edges = np.empty((of.shape[1], len(cutoff)), np.int64)
    before, counted = np.zeros(len(at) + 1, np.int64), -1
    for i in range(len(cutoff)):
        if customer[i] < 0:
            edges[:, i] = 0
            continue
        if customer[i] != counted:
            counted = customer[i]
            _count(time, starts[counted], starts[counted + 1], at, opens, passed, before)
        for window in range(of.shape[1]):
            edges[window, i] = before[of[cutoff[i], window]]
    return edges


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
def _count(time: Int64, first: int, stop: int, at: Int64, opens: int, passed: Int64, before: Int64) -> None:
    """Writes the row that follows those before each mark."""
    before[:] = 0
    for row in range(first, stop):
        mark = passed[min((max(time[row], opens) - opens) // DAY, len(passed) - 1)]
        while mark < len(at) and at[mark] <= time[row]:
            mark += 1
        before[mark] += 1
    held = first
    for mark in range(len(before)):
        held += before[mark]
        before[mark] = held


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
