"""Sorting: rows by customer and time in one counting pass, because events mostly come in the order of time already."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def by_customer_and_time(code: Int32, time: Int64, customers: int) -> tuple[Int64, Int64, bool]:
    """Returns the order of rows by customer code and time, where each customer's rows begin, and whether the rows were
    in that order already; rows of code -1 are left out. Shapes (rows kept,) and (customers + 1,)."""
    starts = np.zeros(customers + 1, np.int64)
    for row in range(len(code)):
        if code[row] >= 0:
            starts[code[row] + 1] += 1
    for customer in range(customers):
        starts[customer + 1] += starts[customer]
    place = starts[:-1].copy()
    order = np.empty(starts[-1], np.int64)
    is_sorted = len(order) == len(code)
    for row in range(len(code)):
        if code[row] >= 0:
            is_sorted &= place[code[row]] == row
            order[place[code[row]]] = row
            place[code[row]] += 1
    if _is_rising(time):
        return order, starts, is_sorted
    for customer in range(customers):
        low, high = starts[customer], starts[customer + 1]
        for row in range(low + 1, high):
            if time[order[row]] < time[order[row - 1]]:
                own = order[low:high].copy()
                order[low:high] = own[np.argsort(time[own], kind="mergesort")]
                is_sorted = False
                break
    return order, starts, is_sorted


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def place_by_part(code: Int32, customers: int, place: Int64, parts: int) -> tuple[Int64, bool]:
    """Writes into `place` where each row goes so that rows stand part by part, -1 for code -1, which is left out.
    Returns where each part's rows begin, and whether all rows stood there already.

    Part p has the customers from `ceil(p * customers / parts)` on.
    """
    starts = np.zeros(parts + 1, np.int64)
    for row in range(len(code)):
        if code[row] >= 0:
            starts[np.int64(code[row]) * parts // customers + 1] += 1
    for part in range(parts):
        starts[part + 1] += starts[part]
    at, is_sorted = starts[:-1].copy(), bool(starts[-1] == len(code))
    for row in range(len(code)):
        place[row] = -1
        if code[row] >= 0:
            own = np.int64(code[row]) * parts // customers
            place[row] = at[own]
            is_sorted &= at[own] == row
            at[own] += 1
    return starts, is_sorted


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def scatter(values: npt.NDArray[Any], place: Int64, out: npt.NDArray[Any]) -> None:
    """Writes each value to its place in `out`; those of place -1 nowhere."""
    for row in range(len(values)):
        if place[row] >= 0:
            out[place[row]] = values[row]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _is_rising(time: Int64) -> bool:
    for row in range(1, len(time)):  # noqa: SIM110 - compiled, a loop is the faster
        if time[row] < time[row - 1]:
            return False
    return True


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def tied_rows(starts: Int64, time: Int64) -> tuple[Int64, Int64]:
    """Returns the rows that share customer and time with a neighbour, and the number of the run each belongs to."""
    rows, runs = np.empty(len(time), np.int64), np.empty(len(time), np.int64)
    found, run = 0, 0
    for customer in range(len(starts) - 1):
        low, high = starts[customer], starts[customer + 1]
        for row in range(low, high):
            is_like_last = row > low and time[row] == time[row - 1]
            if is_like_last or (row + 1 < high and time[row] == time[row + 1]):
                run += not is_like_last
                rows[found], runs[found] = row, run
                found += 1
    return rows[:found].copy(), runs[:found].copy()


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def dense_codes(starts: Int64, codes: Int64, missing: int) -> Int64:
    """Returns the codes numbered anew from 0 for each customer, by their order; negative ones become `missing`."""
    dense = np.empty(len(codes), np.int64)
    for customer in range(len(starts) - 1):
        low, high = starts[customer], starts[customer + 1]
        number, last = -1, -1
        for place in np.argsort(codes[low:high]):
            code = codes[low + place]
            if code >= 0 and code != last:
                number, last = number + 1, code
            dense[low + place] = number if code >= 0 else missing
    return dense
