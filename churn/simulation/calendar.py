"""The days of the simulated world: whole UTC days from its first one."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np

from churn.simulation.arrays import Ints

FIRST_DAY: Final = datetime(2023, 1, 1, tzinfo=UTC)
DAY: Final = 86_400  # seconds


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """Day numbers count from FIRST_DAY; a moment is whole seconds from it."""

    days: int
    month_starts: Ints  # day number of each month's first day, and of the first day after the world

    def month_of_year(self, day: int) -> int:
        """The month of a day, 0 for January."""
        return int(np.searchsorted(self.month_starts, day, side="right") - 1) % 12

    def is_month_end(self, day: int) -> bool:
        """Whether a month ends with this day."""
        return bool((self.month_starts == day + 1).any())


def calendar_of(months: int) -> Calendar:
    """Returns the calendar of the first `months` months.

    >>> calendar_of(2).days
    59
    """
    firsts = [datetime(2023 + m // 12, m % 12 + 1, 1, tzinfo=UTC) for m in range(months + 1)]
    starts = np.array([(first - FIRST_DAY).days for first in firsts], dtype=np.int64)
    return Calendar(days=int(starts[-1]), month_starts=starts)


def weekday(day: int) -> int:
    """Monday is 0; the first day is a Sunday."""
    return (day + FIRST_DAY.weekday()) % 7
