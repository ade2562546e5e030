"""Ready: everything that is learnt from, once the tables have told all that is asked of them and are let go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from churn.config import Config
from churn.jobs.audit import audit, doubts_of
from churn.jobs.enough import check_activity, check_enough
from churn.jobs.lately import thin_end
from churn.jobs.learning import lesson_of
from churn.jobs.material import Made, material_of
from churn.jobs.past import past_of
from churn.jobs.schedule import Schedule, schedule_of
from churn.models.fingerprint import fingerprint
from churn.models.reference import pauses
from churn.tables.findings import Issue


@dataclass(frozen=True, slots=True)
class Heads:
    """What a bundle keeps of the tables it was learnt from, by name.

    Attributes:
        columns: the names of their columns, sorted.
        data: what stands for their content (`fingerprint`).
        pause_days: see `pauses`.
    """

    columns: dict[str, list[str]]
    data: dict[str, str]
    pause_days: dict[str, int]


@dataclass(frozen=True, slots=True)
class Ready:
    """Everything that is learnt from.

    Attributes:
        made: rows and signals; its tables are gone.
        schedule: when to test and when to learn.
        leak: what the leak alarm found.
        tables: what is kept of the tables.
        sample: how many customers of how many, empty for all.
        issues: what was found while reading.
        notes: what the reader of the result should know about the sample and about undated signals.
    """

    made: Made
    schedule: Schedule
    leak: dict[str, Any]
    tables: Heads
    sample: dict[str, int]
    issues: list[Issue]
    notes: list[str]


def ready_to_learn(config: Config, *, allow_leak: bool, progress: Callable[[str], None]) -> Ready:
    """Reads the tables, computes rows and signals, and looks for leaks.

    Raises:
        ChurnError: unusable tables, too little data, or a leaking signal where leaks aren't allowed.
    """
    with lesson_of(config, progress=progress) as lesson:
        check_activity(lesson.known.base, config.activity)
        schedule = schedule_of(config, lesson.known)
        past = past_of(config, lesson, schedule)
        made = material_of(config, lesson, schedule, progress=progress)
    taught, _, frame = made.material.training_rows(schedule.tests[0].at)
    leavers, stayers = (frame["customer"][rows].nunique() for rows in (taught.has_left, ~taught.has_left))
    check_enough(leavers=leavers, stayers=stayers)
    progress("looking for signals that know the future")
    leak = audit(made, taught, past=past, allow_leak=allow_leak)
    heads, issues = _heads(lesson.known.tables), [*lesson.issues, *thin_end(lesson.known, config)]
    return Ready(made.without_tables(), schedule, leak, heads, lesson.sample, issues, [*lesson.notes, *doubts_of(leak)])


def _heads(tables: Mapping[str, pa.Table]) -> Heads:
    columns = {name: sorted(table.column_names) for name, table in sorted(tables.items())}
    return Heads(columns, fingerprint(tables), pauses(tables))
