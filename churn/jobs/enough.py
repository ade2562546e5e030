"""Enough: refusals of what is too little to predict anything from, or to learn from."""

from __future__ import annotations

from churn.errors import NotEnoughDataError
from churn.models.base import Base
from churn.models.factors import MIN_LEAVERS
from churn.tables.findings import plural


def check_activity(base: Base, activity: str) -> None:
    """Refuses tables in which nobody ever comes.

    Raises:
        NotEnoughDataError: there is no activity at all.
    """
    if base.last_activity is None:
        meant = {"purchases": "a purchase (an order with amount > 0 that is no return)", "visits": "a visit"}[activity]
        fix = "check the tables and `activity` in churn.toml"
        raise NotEnoughDataError(f"no table holds {meant}: nothing can be predicted; {fix}")


def check_enough(*, leavers: int, stayers: int) -> None:
    """Refuses to learn from too few customers who leave at some cutoff, or too few who stay at some.

    Raises:
        NotEnoughDataError: fewer than `MIN_LEAVERS` of either.
    """
    if min(leavers, stayers) < MIN_LEAVERS:
        raise NotEnoughDataError(
            f"too little to learn from before the first test cutoff: {plural(leavers, 'leaver')} and "
            f"{plural(stayers, 'stayer')}, at least {MIN_LEAVERS} of each are needed; give a longer history, a shorter "
            "horizon_days, or a wider population in churn.toml"
        )
