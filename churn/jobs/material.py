"""Material: what a training has made before it learns, rows and signals at every cutoff of its schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from churn.config import Config
from churn.jobs.hearing import Hearing, hearing_of
from churn.jobs.learning import Lesson
from churn.jobs.schedule import Schedule
from churn.models.backtest import Material
from churn.models.boosting import Growing
from churn.models.frame import learn_prior, rows
from churn.models.known import Known
from churn.models.matrix import category_columns
from churn.signals.catalogue import recipes_for
from churn.signals.recipes import Recipe
from churn.tables.memory import give_back
from churn.tables.upto import upto


@dataclass(frozen=True, slots=True)
class Made:
    """Everything a training has made before it learns who leaves.

    Attributes:
        material: rows and signals.
        recipes: of the signals, in the order of the columns.
        hearing: what is known of who speaks.
    """

    material: Material
    recipes: tuple[Recipe, ...]
    hearing: Hearing

    def without_tables(self) -> Made:
        """Returns the same without the tables: they are large, and what is learnt from now on doesn't ask for them."""
        return replace(self, material=replace(self.material, known=replace(self.material.known, tables={})))


def recipes_at(config: Config, known: Known, schedule: Schedule) -> tuple[Recipe, ...]:
    """Returns the signals that the tables give as they are known at the first test cutoff; hidden friction apart."""
    target = schedule.target
    return recipes_for(
        upto(known.tables, schedule.tests[0].at), horizon_days=target.horizon_days, gap_days=target.gap_days,
        attributes=config.signal_attributes, activity=target.activity,
    )  # fmt: skip


def material_of(
    config: Config, lesson: Lesson, schedule: Schedule, *, progress: Callable[[str], None] = lambda _: None
) -> Made:
    """Returns rows and signals at every cutoff of the schedule; what is learnt here is learnt before the first test.

    Call it while the lesson is open: signals are computed where its tables are.
    """
    known, first, target = lesson.known, schedule.tests[0].at, schedule.target
    prior, recipes = learn_prior(known, first), recipes_at(config, known, schedule)
    moments = tuple(sorted({*schedule.cutoffs, *schedule.later, *schedule.tests}))
    frame = rows(known, target, moments, prior=prior)
    progress("learning who speaks when something goes wrong")
    growing = Growing(config.seed, config.engine.thread_count, tuple(category_columns(recipes)))
    cutoffs = [cutoff.at for cutoff in moments]
    hearing = hearing_of(known, recipes, first=first, cutoffs=cutoffs, target=target, growing=growing)
    recipes = (*recipes, *hearing.recipes)
    progress(f"computing {len(recipes)} signals for {len(frame):,} rows at {len(moments)} cutoffs")
    give_back()
    features = lesson.signals(known, frame, recipes, target, prior)
    give_back()
    hearing.fill(features, known, frame, recipes, target=target, prior=prior)
    material = Material(
        known=known, target=target, prior=prior, frame=frame, features=features, cutoffs=schedule.cutoffs,
        later=schedule.later, leave_out_treated=config.leave_out_treated, growing=growing,
    )  # fmt: skip
    return Made(material, recipes, hearing)
