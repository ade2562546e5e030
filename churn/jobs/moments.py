"""Moments as users write them, and whether a prediction at one makes sense."""

from __future__ import annotations

import datetime as dt

from churn.config import Config
from churn.errors import CutoffError
from churn.jobs.enough import check_activity
from churn.models.base import Base
from churn.models.target import Target
from churn.tables.history import DAY
from churn.timeline.cutoffs import Cutoff, microseconds, moment_of

STALE_DAYS = 7
"""Days without any activity before the cutoff from which the tables look out of date."""


def moment_from(text: str | None, config: Config) -> int | None:
    """Returns a date or ISO time in the project's time zone as microseconds UTC, None for None.

    Raises:
        CutoffError: the text is no date.
    """
    if text is None:
        return None
    try:
        is_date = len(text) == len("2025-03-01")
        moment = dt.date.fromisoformat(text) if is_date else dt.datetime.fromisoformat(text)
        return microseconds(moment, config.timezone)
    except (ValueError, OverflowError):
        raise CutoffError(f'--at "{text}" is no date; write it as 2025-03-01 or 2025-03-01T12:00') from None


def cutoff_at(at: int | None, *, base: Base, target: Target) -> tuple[Cutoff, list[str]]:
    """Returns the cutoff of a prediction at `at` (default: the midnight after the last activity), and what to warn of.

    Raises:
        CutoffError: nothing happened before it, or nothing in the whole horizon before it: everybody would look gone.
        NotEnoughDataError: the tables hold no activity at all.
    """
    check_activity(base, target.activity)
    cutoff = target.cutoff(base.ends if at is None else at)
    first, last = (f"{moment_of(at):%Y-%m-%d}" for at in (base.starts, base.settled))
    if cutoff.at <= base.starts:
        raise CutoffError(f"--at {cutoff.label}: the first activity is of {first}; give a later date")
    idle = (cutoff.at - base.ends) // DAY
    if idle > target.horizon_days:
        raise CutoffError(
            f"--at {cutoff.label}: the last activity is of {last}, {idle:,} days before, so that everybody would look "
            "gone; bring the tables up to date, or give an earlier date"
        )
    if idle <= STALE_DAYS:
        return cutoff, []
    how_long = f"{idle} days before {cutoff.label}"
    return cutoff, [f"the last activity is of {last}, {how_long}: customers look more absent than they are"]
