"""The sample: some customers to learn from where all of them are more than a machine can hold."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from churn.models.known import Known
from churn.tables.history import DAY, Int64
from churn.timeline.rhythm import pace

QUARTER = 91
"""Days: customers whose first activity lies in the same so many came at the same time."""
_ALWAYS = np.iinfo(np.int64).max
_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True)
class Attendance:
    """How often and since when customers come.

    Attributes:
        customers: their ids.
        days: on how many days each was active.
        first: when each was active first, microseconds UTC; 0 for never.
    """

    customers: pa.Array
    days: Int64
    first: Int64

    @property
    def active(self) -> int:
        """How many customers were ever active."""
        return int(np.count_nonzero(self.days))


def attendance(known: Known) -> Attendance:
    """Returns how often and since when everybody in the tables comes, in all of their time."""
    seen = pace(known.active, _ALWAYS)
    return Attendance(known.customers, seen.days.astype(np.int64), seen.first)


def appended(parts: Sequence[Attendance]) -> Attendance:
    """Returns the attendance of the customers of all parts."""
    days, first = (np.concatenate([getattr(part, name) for part in parts]) for name in ("days", "first"))
    return Attendance(pa.concat_arrays([part.customers for part in parts]), days, first)


def sampled(attendance: Attendance, count: int) -> pa.Array:
    """Returns the ids of `count` customers, sorted, or of all where there are no more.

    Customers who come about as often (to a factor of two) and since the same quarter are a stratum, in which they
    stand in the order of the MD5 of their ids. Of this line every so-many-th is taken: each stratum has its share, to
    within one customer, and the same customers are taken whatever the order of the rows.
    """
    customers = attendance.customers
    if len(customers) <= count:
        return customers.sort()
    often = np.frexp(attendance.days.astype(float))[1]  # 0 for never, 1 for once, 2 for 2 or 3 days, 3 for 4 to 7
    line = np.lexsort([_digests(customers), attendance.first // (QUARTER * DAY), often])
    taken = np.sort(line[_every(len(customers), count)])
    return customers.take(pa.array(taken)).sort()


def _digests(customers: pa.Array) -> npt.NDArray[np.bytes_]:
    """The MD5 of every id; few ids at a time are held as Python's text, which takes six times the room."""
    found = np.empty(len(customers), "S16")
    for start in range(0, len(customers), _AT_ONCE):
        for place, one in enumerate(customers.slice(start, _AT_ONCE).to_pylist(), start):
            found[place] = hashlib.md5(one.encode(), usedforsecurity=False).digest()
    return found


def _every(size: int, count: int) -> npt.NDArray[np.bool_]:
    """Which of `size` places in a line are taken, evenly, `count` in all."""
    reached = (np.arange(size + 1) * count) // size
    return np.diff(reached) > 0
