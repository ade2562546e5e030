"""Moments as users write them."""

from __future__ import annotations

import datetime as dt

from churn.config import Config
from churn.errors import CutoffError
from churn.timeline.cutoffs import microseconds


def moment_from(text: str | None, config: Config) -> int | None:
    """Returns a date or ISO time in the project's time zone as microseconds UTC, None for None.

    Raises:
        CutoffError: the text is no date.
    """
    if text is None:
        return None
    try:
        moment = dt.date.fromisoformat(text) if len(text) == len("2025-03-01") else dt.datetime.fromisoformat(text)
    except ValueError:
        raise CutoffError(f'--at "{text}" is no date; write it as 2025-03-01 or 2025-03-01T12:00') from None
    return microseconds(moment, config.timezone)
