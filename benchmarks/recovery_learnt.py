"""What the package learns of a company: the predictions of its backtest, its verdict, and its model of who leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from recovery_company import Company, Progress, row_numbers

from churn.config import Config
from churn.drivers.contributions import Contributions, explain
from churn.jobs.learning import lesson_of
from churn.jobs.material import Made, material_of
from churn.jobs.schedule import Schedule, schedule_of
from churn.models.backtest import learn_by, run_backtest
from churn.models.factors import Factors, predict
from churn.models.known import Known
from churn.models.verdict import judge
from churn.signals.recipes import Recipe
from churn.simulation.calendar import DAY as DAY_SECONDS
from churn.simulation.calendar import FIRST_DAY
from churn.simulation.exits import WAVERING
from churn.simulation.regimes import HIDDEN_STATES
from churn.tables.history import DAY

Wanted = Callable[[Recipe], bool]
PRESSURE, MOOD = "latent_pressure", "latent_mood"


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a training knows, and what it predicted.

    Attributes:
        config: of the project.
        known: the tables.
        schedule: its cutoffs.
        made: rows and signals.
        predictions: of the backtest, with `customer_id`, and `is_silent`: left without a word.
        said: every sentence in which it tells what it could not do.
    """

    config: Config
    known: Known
    schedule: Schedule
    made: Made
    predictions: pd.DataFrame
    said: list[str]

    @property
    def last(self) -> int:
        """The last test cutoff, microseconds UTC."""
        return self.schedule.tests[-1].at

    def judged(self) -> dict[str, Any]:
        """Returns what `churn train` tells of the predictions."""
        labels = {cutoff.at: cutoff.label for cutoff in self.schedule.tests}
        return judge(
            self.predictions, labels=labels, contact=self.config.contact, currency=self.config.currency,
            seed=self.config.seed,
        )  # fmt: skip


def learn(company: Company, *, gap_days: int, is_ablated: bool, progress: Progress) -> Learnt:
    """Returns what the package learns, by the very steps of `churn train`.

    Args:
        company: which.
        gap_days: between the cutoff and the outcome window.
        is_ablated: whether operations alone, and the rest alone, learn too.
        progress: told what goes on.
    """
    config = company.config(gap_days=gap_days)

    def told(step: str) -> None:
        progress(f"{company.plan.name}, gap {gap_days}: {step}")

    with lesson_of(config, progress=told) as lesson:
        known = lesson.known
        schedule = schedule_of(config, known)
        made = material_of(config, lesson, schedule, progress=told)
    operations = [recipe.name for recipe in made.recipes if recipe.is_operational]
    others = [recipe.name for recipe in made.recipes if not recipe.is_operational]
    families = {"operations": operations, "feedback": others} if is_ablated and others else {}
    predictions = run_backtest(
        made.material, schedule.tests, settled=known.settled, families=families, progress=told
    )  # fmt: skip
    predictions["customer_id"] = known.customers.take(predictions["customer"].to_numpy()).to_pylist()
    predictions["is_silent"] = predictions["has_left"] & ~predictions["has_spoken"]
    said = [str(issue) for issue in lesson.issues] + list(lesson.notes)
    if made.hearing.why:
        said.append(made.hearing.why)
    return Learnt(config, known, schedule, made, predictions, said)


def factors_at(learnt: Learnt, at: int, *, only: Wanted | None = None) -> Factors:
    """Returns the two factors as they were learnt at a cutoff, from all signals or from `only` some."""
    columns = None if only is None else [recipe.name for recipe in learnt.made.recipes if only(recipe)]
    return learn_by(learnt.made.material, at, columns=columns)


def explained(learnt: Learnt, factors: Factors, features: pd.DataFrame) -> tuple[Contributions, list[Recipe]]:
    """Returns the drivers of some rows, and the recipes of the features."""
    names = set(factors.leave.feature_name())
    recipes = [recipe for recipe in learnt.made.recipes if recipe.name in names]
    return explain(factors, features[[recipe.name for recipe in recipes]], recipes), recipes


def features_at(learnt: Learnt, at: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns the rows of the backtest at a test cutoff and their signals, in the same order."""
    material = learnt.made.material
    here = (material.frame["at"] == at).to_numpy()
    told = learnt.predictions[learnt.predictions["at"] == at].reset_index(drop=True)
    return told, material.features[here].reset_index(drop=True)


def with_latent_state(company: Company, learnt: Learnt) -> pd.DataFrame:
    """Returns the last test cutoff's rows with p_leave and p_silent of operations plus the latent state.

    The latent state is how much friction presses on her, and whether she wavers where there are hidden states: what a
    company would know that heard everything. Who has already decided to leave is told as one who has not.
    """
    material = learnt.made.material
    latent = _latent(company, learnt)
    both = replace(material, features=pd.concat([material.features, latent], axis=1))
    columns = [recipe.name for recipe in learnt.made.recipes if recipe.is_operational] + list(latent.columns)
    factors = learn_by(both, learnt.last, columns=columns)
    here = (material.frame["at"] == learnt.last).to_numpy()
    status = material.frame.loc[here, "voice_status"].to_numpy(str)
    latent = both.features.loc[here, columns]
    return predict(factors, latent, voice_status=status, at=learnt.last).reset_index(drop=True)


def _latent(company: Company, learnt: Learnt) -> pd.DataFrame:
    """The latent state of every row of the material, as it was on the morning of its cutoff."""
    frame, ids = learnt.made.material.frame, learnt.known.customers.to_pylist()
    number = np.array(row_numbers(pd.Index(ids)))[frame["customer"].to_numpy()]
    size = company.setting.block_size
    pressure, mood = np.zeros((2, len(frame)), np.float32)
    epoch = int(FIRST_DAY.timestamp())
    day = (frame["at"].to_numpy() // (DAY // DAY_SECONDS) - epoch) // DAY_SECONDS
    for block in np.unique(number // size).tolist():
        life = company.setting.company(block)
        for each in np.unique(day).tolist():
            life.live(each)
            rows = np.flatnonzero((number // size == block) & (day == each))
            who = number[rows] - block * size
            pressure[rows] = life.people.sensitivity[who] * life.state.friction.total()[who]
            mood[rows] = life.state.exits.mood[who] == WAVERING
    found = pd.DataFrame({PRESSURE: pressure}, index=frame.index)
    return found.assign(**{MOOD: mood}) if company.plan.mechanism == HIDDEN_STATES else found
