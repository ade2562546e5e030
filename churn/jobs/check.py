"""`churn check`: whether the data can carry a model, and what to mend first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from churn.config import Config
from churn.errors import ChurnError, NotEnoughDataError
from churn.jobs.advice import gap_advice, horizon_advice
from churn.jobs.enough import check_activity, check_enough
from churn.jobs.lately import thin_end
from churn.jobs.learning import Lesson, lesson_here
from churn.jobs.schedule import Schedule, schedule_of
from churn.models.frame import learn_prior, outcomes_of, rows, rows_at, why_not
from churn.models.known import STANDING_COLUMNS, Known
from churn.tables.memory import give_back
from churn.tables.shape import Shape, shape_of, together
from churn.tables.shape_findings import shape_issues
from churn.timeline.cutoffs import moment_of, purged
from churn.timeline.population import ELIGIBLE, counts_of
from churn.timeline.rhythm import LOUD_SILENCE


def check(config: Config, *, progress: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Returns the usability report: findings, horizon candidates, population, leavers, and who can be heard.

    Findings and history are those of everybody. Horizon and population are those of the customers that `churn train`
    would learn from: `sample` says how many of how many, and is empty for all.

    Raises:
        ChurnError: the tables cannot be read at all.
    """
    shapes: list[Shape] = []
    lesson = lesson_here(
        config, progress=progress, look=lambda tables: shapes.append(shape_of(tables)), columns=STANDING_COLUMNS
    )
    known = replace(lesson.known, tables={})  # their rows are not read again
    check_activity(known.base, config.activity)
    issues = [*lesson.issues, *shape_issues(together(shapes), config), *thin_end(known, config)]
    told: dict[str, Any] = {
        "is_usable": False, "findings": [issue.to_dict() for issue in issues], "history": _history(lesson),
        "sample": lesson.sample, "problems": [], "horizon": None, "population": None,
    }  # fmt: skip
    del lesson
    give_back()
    progress("looking at rhythm, population and voice")
    try:
        schedule = schedule_of(config, known)
    except ChurnError as error:
        return {**told, "problems": list(error.problems)}
    population = _population(known, schedule)
    problems = _problems(known, schedule, leave_out_treated=config.leave_out_treated)
    progress("trying every horizon and gap with a quick baseline")
    horizon = _advised(config, known, schedule)
    is_usable = not problems and all(issue.severity != "error" for issue in issues)
    return {**told, "is_usable": is_usable, "problems": problems, "horizon": horizon, "population": population}


def _history(lesson: Lesson) -> dict[str, Any]:
    """From when to when anybody came, and how many did."""
    first, last = (f"{moment_of(at):%Y-%m-%d}" for at in (lesson.known.starts, lesson.known.settled))
    return {"first": first, "last": last, "customers": lesson.customers, "active_customers": lesson.active}


def _advised(config: Config, known: Known, schedule: Schedule) -> dict[str, Any]:
    """The horizon's candidates, each with what acting on it would mean, and what a gap changes at the chosen one."""
    rows = schedule.horizon["candidates"]
    wanted = {schedule.target.horizon_days, *(row["days"] for row in rows if row["is_enough_history"])}
    told = horizon_advice(config, known, schedule.target, sorted(wanted))
    return {
        **schedule.horizon,
        "candidates": [{**row, "outlook": told.get(row["days"])} for row in rows],
        "outlook": told.get(schedule.target.horizon_days),
        "gaps": gap_advice(config, known, schedule.target),
    }


def _population(known: Known, schedule: Schedule) -> dict[str, Any]:
    """Who is left at the last cutoff whose outcome is complete, how many leave, and how many can be heard."""
    cutoff, target = schedule.tests[-1], schedule.target
    prior = learn_prior(known, schedule.tests[0].at)
    why = why_not(known, target, cutoff, prior=prior)
    removed = counts_of(why)
    frame = rows_at(known, cutoff, codes=np.flatnonzero(why == ELIGIBLE), prior=prior)
    told = outcomes_of(known, target, frame, known_by=known.settled, prior=prior)
    status = frame["voice_status"].value_counts().to_dict()
    is_quiet = (frame["voice_status"] == "quiet").to_numpy()
    left = told["has_left"].to_numpy()
    loud = float((frame["p_no_visit_by_rhythm"] > LOUD_SILENCE).mean()) if len(frame) else 0.0
    return {
        "cutoff": cutoff.label, "training_cutoffs": len(schedule.cutoffs),
        "eligible": removed.pop("eligible"), "removed": removed,
        "leavers": int(left.sum()), "leave_rate": float(left.mean()) if len(left) else None,
        "quiet": int(status.get("quiet", 0)), "already_vocal": int(status.get("already_vocal", 0)),
        "unobservable": int(status.get("unobservable", 0)), "has_voice": known.has_voice,
        "silent_leavers": int((left & is_quiet & ~told["has_spoken"].to_numpy()).sum()), "silence_says_little": loud,
    }  # fmt: skip


def _problems(known: Known, schedule: Schedule, *, leave_out_treated: bool) -> list[str]:
    """Whether there is somebody to test on and enough to learn from: what `churn train` would refuse."""
    first, target = schedule.tests[0], schedule.target
    prior = learn_prior(known, first.at)
    empty = [test.label for test in schedule.tests if not (why_not(known, target, test, prior=prior) == ELIGIBLE).any()]
    if empty:
        return [
            f"nobody is eligible at {', '.join(empty)}: look for wrong years among the last rows (gap_in_time), "
            "choose other test_cutoffs, or a wider population in churn.toml"
        ]
    leave, stay = np.zeros((2, len(known.customers)), bool)
    for cutoff in purged(schedule.cutoffs, first, grace_days=target.grace_days):
        frame = rows(known, target, [cutoff], prior=prior)
        told = outcomes_of(known, target, frame, known_by=first.at, prior=prior)
        if leave_out_treated:
            is_taught = ~(frame["is_treated"] | told["is_treated_since"])
            frame, told = frame[is_taught], told[is_taught]
        leave[frame["customer"][told["has_left"]]] = True
        stay[frame["customer"][~told["has_left"]]] = True
    try:
        check_enough(leavers=int(leave.sum()), stayers=int(stay.sum()))
    except NotEnoughDataError as error:
        return list(error.problems)
    return []
