"""The schedule of a training: which horizon, which test cutoffs, which cutoffs to learn from."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from churn.config import Config
from churn.errors import NotEnoughDataError
from churn.models.frame import learn_prior, why_not
from churn.models.known import Known
from churn.models.target import Target, target_of
from churn.tables.history import DAY
from churn.timeline.cutoffs import (
    Cutoff,
    checked_tests,
    later_cutoffs,
    microseconds,
    moment_of,
    proposed_tests,
    training_cutoffs,
)
from churn.timeline.horizon import propose_horizon
from churn.timeline.population import ELIGIBLE

ENOUGH_ROWS = 60_000
"""Training cutoffs lie a sixth of a horizon apart, and a third where that would give more rows than this."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When to test and when to learn.

    Attributes:
        target: what is predicted, with its horizon.
        tests: the test cutoffs, in time order.
        cutoffs: the cutoffs to learn from, in time order.
        later: those after them, whose windows are still open where the data ends; they tell levels alone. None of
            contracts, and none where the treated teach nothing.
        every_days: days between them.
        horizon: how the horizon was found, for the record: proposed or set, and the candidates.
    """

    target: Target
    tests: tuple[Cutoff, ...]
    cutoffs: tuple[Cutoff, ...]
    later: tuple[Cutoff, ...]
    every_days: int
    horizon: dict[str, Any]


def schedule_of(config: Config, known: Known) -> Schedule:
    """Returns the schedule that the configuration and the data allow.

    Raises:
        CutoffError: a configured test cutoff has no complete outcome window.
        NotEnoughDataError: no room for training before the first test cutoff.
    """
    proposed, candidates, is_good = propose_horizon(
        known.active, starts=known.starts, settled=known.settled, gap_days=config.gap_days
    )
    target = target_of(config, horizon_days=proposed)
    grace = target.grace_days
    if config.test_cutoffs:
        given = [target.cutoff(microseconds(moment, config.timezone)) for moment in config.test_cutoffs]
        tests = checked_tests(given, data_ends=known.settled, grace_days=grace)
    else:
        tests = proposed_tests(
            data_ends=known.settled, gap_days=target.gap_days, horizon_days=target.horizon_days, grace_days=grace
        )
    starts = known.starts + _warm_up(config, target) * DAY
    every = config.train_every_days or _every_days(known, target, tests[0], starts)
    cutoffs = training_cutoffs(tests[0], starts=starts, settled=known.settled, every_days=every, grace_days=grace)
    _check_room(cutoffs, tests[0], starts, target, known=None if config.test_cutoffs else known)
    horizon = {
        "proposed": config.horizon_days is None,
        "is_good": is_good,
        "days": target.horizon_days,
        "candidates": [{**asdict(candidate), "is_good": candidate.is_good} for candidate in candidates],
    }
    is_asked = not (target.is_contractual or config.leave_out_treated)
    later = later_cutoffs(cutoffs if is_asked else (), settled=known.settled, every_days=every)
    return Schedule(target, tests, cutoffs, later, every, horizon)


def _every_days(known: Known, target: Target, first_test: Cutoff, starts: int) -> int:
    prior = learn_prior(known, first_test.at)
    eligible = int((why_not(known, target, first_test, prior=prior) == ELIGIBLE).sum())
    dense, sparse = (max(1, round(target.horizon_days / parts)) for parts in (6, 3))
    return dense if eligible * (known.settled - starts) / DAY / dense <= ENOUGH_ROWS else sparse


def _warm_up(config: Config, target: Target) -> int:
    """Days of history before the first training cutoff: enough to know who is active and how often she comes."""
    return config.active_within[0] if config.active_within else max(30, target.horizon_days // 2)


def _check_room(
    cutoffs: tuple[Cutoff, ...], first_test: Cutoff, starts: int, target: Target, *, known: Known | None
) -> None:
    """Refuses a schedule without a training window; `known` is given where the test cutoffs follow from the data."""
    missing = starts + target.span_days * DAY - first_test.at
    if missing <= 0 and min(cutoffs, default=first_test).at >= starts:
        return
    days = target.horizon_days
    fix = "give a longer history or a shorter horizon_days in churn.toml"
    if known is None:
        raise NotEnoughDataError(
            f"no training window of {days} days is complete before the first test cutoff {first_test.label}: "
            f"the first test cutoff can be {moment_of(first_test.at + missing):%Y-%m-%d}; {fix}"
        )
    history = (known.settled - known.starts) / DAY
    raise NotEnoughDataError(
        f"{history:,.0f} days of history are too short for a horizon of {days} days: "
        f"to train and to test, at least {math.ceil(history + missing / DAY):,} days are needed; {fix}"
    )
