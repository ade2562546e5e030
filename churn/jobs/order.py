"""The order: whose scores are asked for, and at which moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from churn.jobs.explained import Explained


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for.

    Attributes:
        customers: ids; every one gets a row, scored or with the reason why not. None: everybody in the tables.
        at: the cutoff, microseconds UTC; None: the midnight after the last activity.
        explained: whose scores come with reasons; None: the top of the contact budget.
    """

    customers: Sequence[str] | None = None
    at: int | None = None
    explained: Explained | None = None
