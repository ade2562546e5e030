"""`churn train`: backtest, final model, bundle, verdict, and the record of all of it in MLflow."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from churn.config import Config
from churn.drivers.contributions import explain
from churn.jobs.audit import audit
from churn.jobs.common import check_activity, check_enough
from churn.jobs.hearing import voice_learnt
from churn.jobs.learning import lesson_of
from churn.jobs.material import material_of
from churn.jobs.record import keep_record, pictures_of, population_of, silence_of, strengths_of
from churn.jobs.schedule import Schedule, schedule_of
from churn.jobs.tuning import tuned_by
from churn.models.backtest import Material, learn_by, run_backtest
from churn.models.bundle import GOLDEN_ROWS, Bundle, save_bundle
from churn.models.champion import promote
from churn.models.ensemble import ensemble_margin
from churn.models.factors import Factors
from churn.models.fingerprint import fingerprint
from churn.models.reference import learn_reference
from churn.models.tuning import Tuned, check_tunable
from churn.models.verdict import judge
from churn.signals.recipes import YEAR, Recipe
from churn.tables.memory import give_back_large_at_once

RESULT_SCHEMA = 1
EXPLAINED_ROWS = 4_000
Progress = Callable[[str], None]


def train(
    config: Config, *, allow_leak: bool = False, trials: int | None = None, progress: Progress = lambda _: None
) -> dict[str, Any]:
    """Returns the result of a training run, the object that `churn train --json` prints; the bundle lies in `models/`.

    Args:
        config: the project.
        allow_leak: trains although a signal tells all.
        trials: how many settings of the trees are tried before the first test cutoff; None for the usual ones.
        progress: told what is done.

    Raises:
        ChurnError: unusable tables, too little data, a leaking signal, or no Optuna where there are trials.
    """
    started = time.monotonic()
    if trials is not None:
        check_tunable(trials)
    give_back_large_at_once()
    with lesson_of(config, progress=progress) as lesson:
        known = lesson.known
        check_activity(known.base, config.activity)
        schedule = schedule_of(config, known)
        made = material_of(config, lesson, schedule, progress=progress)
    material, recipes = made.material, made.recipes
    rows_before, _, frame_before = material.training_rows(schedule.tests[0].at)
    check_enough(frame_before["customer"], has_left=rows_before.has_left)
    progress("looking for signals that know the future")
    leak = audit(config, made, rows_before, first=schedule.tests[0], is_whole=not lesson.sample, allow_leak=allow_leak)
    tuned = None
    if trials is not None:
        material, tuned = tuned_by(material, by=schedule.tests[0].at, trials=trials, progress=progress)
    predictions = run_backtest(
        material, schedule.tests, settled=known.settled, families=_families(recipes), progress=progress
    )
    labels = {cutoff.at: cutoff.label for cutoff in schedule.tests}
    progress("judging")
    judged = judge(predictions, labels=labels, contact=config.contact, currency=config.currency, seed=config.seed)
    progress("final model")
    factors = learn_by(material, known.settled)
    learnt = tuple(recipe for recipe in recipes if recipe.name in set(factors.leave.feature_name()))
    voice, heard = voice_learnt(made.hearing, known, first=schedule.tests[0].at, config=config)
    bundle = replace(_bundle(material, learnt, schedule, factors, tuned), voice=voice)
    model_id, home = save_bundle(bundle, config.resolve(config.models), golden=_sample(material, bundle, GOLDEN_ROWS))
    if judged["verdict"]["is_promoted"]:
        promote(home)
    explained = _sample(material, bundle, EXPLAINED_ROWS)
    values = explain(factors, explained, bundle.recipes)
    result = {
        "schema": RESULT_SCHEMA,
        "run_id": None,
        "model_id": model_id,
        "bundle": str(home),
        "project": config.directory.absolute().name,
        "target": schedule.target.to_dict(),
        "cutoffs": list(labels.values()),
        "training_cutoffs": {**_training(material, schedule), **lesson.sample},
        "population": population_of(material, schedule, predictions),
        **judged,
        "leak": leak,
        "horizon": schedule.horizon,
        "silence": silence_of(factors, predictions),
        "voice": heard,
        "drivers": strengths_of(values.by_signal),
        "tuning": None if tuned is None else tuned.to_dict(),
        "findings": [issue.to_dict() for issue in lesson.issues],
        "notes": [*lesson.notes, *([tuned.note] if tuned is not None else []), *factors.notes],
        "warnings": [],
    }
    progress("drawing, reporting and tracking")
    pictures = pictures_of(result, predictions, values.by_feature, explained)
    keep_record(result, pictures, config=config, home=home, data=bundle.training["data"])
    return {**result, "seconds": round(time.monotonic() - started, 1)}


def _families(recipes: tuple[Recipe, ...]) -> dict[str, list[str]]:
    """The columns of operations alone and of all that was said, not said and went wrong alone, if there are both."""
    operations = [recipe.name for recipe in recipes if recipe.is_operational]
    feedback = [recipe.name for recipe in recipes if not recipe.is_operational]
    return {"operations": operations, "feedback": feedback} if operations and feedback else {}


def _bundle(
    material: Material, recipes: tuple[Recipe, ...], schedule: Schedule, factors: Factors, tuned: Tuned | None
) -> Bundle:
    latest = material.frame["at"].to_numpy() >= schedule.cutoffs[-1].moved(-schedule.target.horizon_days // 3).at
    margins = ensemble_margin(factors.leave, material.features[latest], factors.members)
    return Bundle(
        target=schedule.target, recipes=recipes, prior=material.prior, factors=factors,
        percentiles=tuple(float(edge) for edge in np.quantile(margins, np.linspace(0, 1, 1001))),
        tables=tuple(sorted(material.known.tables)),
        training={
            **_training(material, schedule), "data": fingerprint(material.known.tables),
            **({} if tuned is None else {"tuning": tuned.to_dict()}),
            "columns": {name: sorted(table.column_names) for name, table in sorted(material.known.tables.items())},
        },
        # A year of cutoffs: held against one season alone, every other season would look different.
        reference=learn_reference(
            material.features, recipes, material.known.tables,
            rows=material.frame["at"].to_numpy() >= schedule.cutoffs[-1].moved(-YEAR).at,
        ),
    )  # fmt: skip


def _training(material: Material, schedule: Schedule) -> dict[str, Any]:
    is_train = np.isin(material.frame["at"], [cutoff.at for cutoff in schedule.cutoffs])
    return {
        "first": schedule.cutoffs[0].label, "last": schedule.cutoffs[-1].label, "count": len(schedule.cutoffs),
        "rows": int(is_train.sum()), "every_days": schedule.every_days, "signals": material.features.shape[1],
    }  # fmt: skip


def _sample(material: Material, bundle: Bundle, size: int) -> pd.DataFrame:
    """An even sample of the latest rows, to explain and to keep as golden predictions."""
    latest = np.flatnonzero(material.frame["at"].to_numpy() == material.frame["at"].max())
    return material.features[bundle.features].iloc[latest[:: max(1, len(latest) // size)][:size]]
