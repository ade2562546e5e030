"""Lately: whether the newest rows are all there, since those that are missing look like customers who stay away."""

from __future__ import annotations

import numpy as np

from churn.config import Config
from churn.models.known import Known
from churn.tables.findings import Issue
from churn.tables.history import DAY

SPANS = (7, 21)
"""Days at the end that are held against the stretches of the same length before them."""
BEFORE, THIN, LEAST = 8, 0.7, 50
"""So many stretches before; so small a share of the thinnest of them is remarkable, where that has so many rows."""


def thin_end(known: Known, config: Config) -> list[Issue]:
    """Returns a warning where the last days hold far less activity than any such stretch before them, else nothing."""
    active, settled = known.active, known.settled
    table = {"purchases": "transactions", "visits": "visits"}[config.activity]
    for days in SPANS:
        back = (settled - 1 - active.time) // (days * DAY)
        count = np.bincount(back[back <= BEFORE], minlength=BEFORE + 1)
        thinnest = int(count[1:].min())
        if known.starts <= settled - (BEFORE + 1) * days * DAY and thinnest >= LEAST and count[0] < THIN * thinnest:
            return [
                Issue(
                    "warning", "thin_end", table,
                    f"holds {count[0] / thinnest:.0%} as much in its last {days} days as in the thinnest {days} days "
                    f"of the {BEFORE * days} before.", count=int(count[0]),
                    fix="If rows are still to come, wait for them, or give available_at: until then their customers "
                    "look as if they stayed away, and everybody's risk is told too high.",
                )
            ]  # fmt: skip
    return []
