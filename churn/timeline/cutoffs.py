"""Cutoffs: the moments of prediction, their outcome windows, and the purge that keeps training before testing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from churn.errors import CutoffError
from churn.tables.history import DAY, Int64

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
GRACE_DAYS = 30
"""A contract counts as renewed when the next one begins within this many days."""
LEAST_OVER = 1 / 3
"""So much of an outcome window must be over before what has come of it tells anything (docs/decisions/028)."""


@dataclass(frozen=True, slots=True, order=True)
class Cutoff:
    """The moment of prediction with its outcome window `[at + gap, at + gap + horizon)`.

    What a prediction at it sees says `seen_at`. Times are microseconds since 1970 in UTC.

    >>> Cutoff(at=0, gap_days=0, horizon_days=2).closes // DAY
    2
    """

    at: int
    gap_days: int
    horizon_days: int

    @property
    def opens(self) -> int:
        """When the outcome window opens (the first microsecond inside)."""
        return self.at + self.gap_days * DAY

    @property
    def closes(self) -> int:
        """When the outcome window closes (the first microsecond outside)."""
        return self.opens + self.horizon_days * DAY

    @property
    def label(self) -> str:
        """The cutoff as an ISO date, with the time of day only when it isn't midnight UTC."""
        moment = moment_of(self.at)
        is_midnight = moment.time() == dt.time()
        return moment.date().isoformat() if is_midnight else moment.isoformat(timespec="minutes").replace("+00:00", "Z")

    def moved(self, days: int) -> Cutoff:
        """Returns the same cutoff `days` later (earlier when negative)."""
        return Cutoff(self.at + days * DAY, self.gap_days, self.horizon_days)


class Dated(Protocol):
    """Rows of two clocks each, microseconds UTC, shape (rows,): when it happened and when it became known."""

    @property
    def time(self) -> Int64:
        """When each row happened."""

    @property
    def known(self) -> Int64:
        """When each row became known."""


def seen_at(rows: Dated, at: int) -> npt.NDArray[np.bool_]:
    """Returns which rows are visible at a moment: `time < at` and `known <= at`. Shape (rows,)."""
    return (rows.time < at) & (rows.known <= at)


def happened_in(rows: Dated, opens: int | Int64, closes: int, *, known_by: int) -> npt.NDArray[np.bool_]:
    """Returns which rows happened in [opens, closes) and were known by a moment. Shape (rows,).

    Args:
        rows: of one table, or of one activity.
        opens: of all rows, or of each, shape (rows,).
        closes: the first microsecond that is too late.
        known_by: the moment of who asks.
    """
    return (rows.time >= opens) & (rows.time < closes) & (rows.known <= known_by)


def microseconds(moment: dt.date, timezone: str) -> int:
    """Returns microseconds since 1970 UTC; a plain date is midnight and a naive time is local time in `timezone`."""
    if not isinstance(moment, dt.datetime):
        moment = dt.datetime.combine(moment, dt.time())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(timezone))
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


def moment_of(at: int) -> dt.datetime:
    """Returns microseconds since 1970 as a moment in UTC."""
    return _EPOCH + dt.timedelta(microseconds=at)


def closing_of(cutoff: Cutoff, *, grace_days: int = 0) -> int:
    """Returns when everything that decides the cutoff's outcomes has happened (window and grace)."""
    return cutoff.closes + grace_days * DAY


def checked_tests(tests: Sequence[Cutoff], *, data_ends: int, grace_days: int = 0) -> tuple[Cutoff, ...]:
    """Returns the test cutoffs in time order.

    Raises:
        CutoffError: when an outcome window passes the end of the data; names the last valid cutoff.
    """
    late = [cutoff for cutoff in tests if closing_of(cutoff, grace_days=grace_days) > data_ends]
    if late:
        # Whole days back from the one refused, so that the one named keeps its time of day (a local midnight).
        first = min(late)
        days_over = -((data_ends - closing_of(first, grace_days=grace_days)) // DAY)
        names = ", ".join(cutoff.label for cutoff in late)
        raise CutoffError(
            f"the outcome window of {names} ends after the data does ({moment_of(data_ends):%Y-%m-%d}); "
            f"the last valid cutoff is {first.moved(-days_over).label}: change test_cutoffs in churn.toml"
        )
    return tuple(sorted(tests))


def proposed_tests(
    *, data_ends: int, gap_days: int, horizon_days: int, grace_days: int = 0, count: int = 3
) -> tuple[Cutoff, ...]:
    """Returns the last `count` test cutoffs whose outcomes are complete: a third of the horizon apart, midnight UTC."""
    step = max(1, round(horizon_days / 3)) * DAY
    last = data_ends - (gap_days + horizon_days + grace_days) * DAY
    last -= last % DAY
    return tuple(Cutoff(last - step * back, gap_days, horizon_days) for back in reversed(range(count)))


def training_cutoffs(
    first_test: Cutoff, *, starts: int, settled: int, every_days: int, grace_days: int = 0
) -> tuple[Cutoff, ...]:
    """Returns all cutoffs to learn from, `every_days` apart, in time order; `purged` says which of them a test may use.

    One of them closes (with its grace) exactly at the first test, if there is room for it; the first lies at or after
    `starts`, the last closes by `settled`.
    """
    anchor = first_test.moved(-(first_test.gap_days + first_test.horizon_days + grace_days))
    step = every_days * DAY
    before = (anchor.at - starts) // step
    after = (settled - closing_of(anchor, grace_days=grace_days)) // step
    return tuple(anchor.moved(every_days * number) for number in range(-before, after + 1))


def later_cutoffs(train: Sequence[Cutoff], *, settled: int, every_days: int) -> tuple[Cutoff, ...]:
    """Returns the cutoffs that go on where the training cutoffs end, `every_days` apart, whose windows are still open
    at `settled`."""
    later = list(train[-1:])
    while later and later[-1].moved(every_days).opens + LEAST_OVER * train[-1].horizon_days * DAY <= settled:
        later.append(later[-1].moved(every_days))
    return tuple(still_open(later, settled))


def still_open(cutoffs: Sequence[Cutoff], at: int) -> dict[Cutoff, int]:
    """Returns the cutoffs whose windows are open at a moment and at least `LEAST_OVER` over, each with the days over.

    These are told in whole weeks, so that every weekday counts alike; a window of which none is over is left out.

    >>> still_open([Cutoff(0, 0, 30)], 20 * DAY)
    {Cutoff(at=0, gap_days=0, horizon_days=30): 14}
    """
    over = {cutoff: at - cutoff.opens for cutoff in cutoffs if at < cutoff.closes}
    weeks = {each: past // (7 * DAY) for each, past in over.items() if past >= LEAST_OVER * each.horizon_days * DAY}
    return {cutoff: 7 * count for cutoff, count in weeks.items() if count}


def purged(train: Sequence[Cutoff], test: Cutoff, *, grace_days: int = 0) -> tuple[Cutoff, ...]:
    """Returns the training cutoffs whose outcomes are complete by `test.at`."""
    return tuple(cutoff for cutoff in train if closing_of(cutoff, grace_days=grace_days) <= test.at)
