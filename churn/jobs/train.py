"""`churn train`: backtest, final model, bundle, verdict, and the record of all of it in MLflow."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from churn.config import Config
from churn.drivers.contributions import Contributions, explain
from churn.jobs.hearing import voice_learnt
from churn.jobs.outputs import check_models_folder
from churn.jobs.ready import Ready, ready_to_learn
from churn.jobs.record import keep_record, pictures_of, population_of, silence_of, strengths_of
from churn.jobs.schedule import Schedule
from churn.jobs.tuning import tuned_by
from churn.models.backtest import Material, learn_by, run_backtest
from churn.models.boosting import log_through_python
from churn.models.bundle import GOLDEN_ROWS, Bundle, save_bundle
from churn.models.champion import promote
from churn.models.ensemble import ensemble_margin
from churn.models.factors import Factors
from churn.models.reference import learn_reference
from churn.models.tuning import Tuned, check_tunable
from churn.models.verdict import judge
from churn.signals.recipes import YEAR, Recipe
from churn.tables.memory import give_back_large_at_once
from churn.tables.pace import Progress

RESULT_SCHEMA = 1
EXPLAINED_ROWS = 4_000
SUSPECTS = 5


def train(
    config: Config, *, allow_leak: bool = False, trials: int | None = None, progress: Progress = lambda _: None
) -> dict[str, Any]:
    """Returns the result of a training run, the object that `churn train --json` prints; the bundle lies in `models/`.

    Args:
        config: the project.
        allow_leak: trains, and promotes, although something seems to know the future.
        trials: how many settings of the trees are tried before the first test cutoff; None for the usual ones.
        progress: told what is done.

    Raises:
        ChurnError: unusable tables, too little data, a leaking signal, no Optuna where there are trials, or a folder
            for models that cannot be written.
    """
    started = time.monotonic()
    if trials is not None:
        check_tunable(trials)
    check_models_folder(config)
    give_back_large_at_once()
    log_through_python()
    ready = ready_to_learn(config, allow_leak=allow_leak, progress=progress)
    made, schedule = ready.made, ready.schedule
    first, settled = schedule.tests[0], made.material.known.settled
    tuned = None
    if trials is not None:
        grown, tuned = tuned_by(made.material, by=first.at, trials=trials, progress=progress)
        made = replace(made, material=grown)
    material = made.material
    predictions = run_backtest(
        material, schedule.tests, settled=settled, families=_families(made.recipes), progress=progress
    )
    labels = {cutoff.at: cutoff.label for cutoff in schedule.tests}
    progress("judging")
    judged = judge(
        predictions, labels=labels, contact=config.contact, currency=config.currency, seed=config.seed,
        allow_leak=allow_leak,
    )  # fmt: skip
    progress("final model")
    final = _final_model(config, replace(ready, made=made), tuned)
    doubts = [_moved_by(final)] if judged["verdict"]["is_too_good"] else []
    if judged["verdict"]["is_promoted"]:
        promote(final.home)
    progress("drawing, reporting and tracking")
    result = {
        "schema": RESULT_SCHEMA, "run_id": None, **final.told, "project": config.directory.absolute().name,
        "target": schedule.target.to_dict(), "cutoffs": list(labels.values()),
        "training_cutoffs": {**_training(material, schedule), **ready.sample},
        "population": population_of(material, schedule, predictions), **judged, "leak": ready.leak,
        "horizon": schedule.horizon, "silence": silence_of(final.bundle.factors, predictions),
        "findings": [issue.to_dict() for issue in ready.issues],
        "notes": [*doubts, *ready.notes, *final.notes], "warnings": [],
    }  # fmt: skip
    pictures = pictures_of(result, predictions, final.values.by_feature, final.explained)
    run_id, warnings = keep_record(
        result, pictures, config=config, home=final.home, data=final.bundle.training["data"], started=started
    )
    return {**result, "run_id": run_id, "warnings": warnings, "seconds": round(time.monotonic() - started, 1)}


@dataclass(frozen=True, slots=True)
class _Final:
    """The final model on disk.

    Attributes:
        home: its folder.
        bundle: the model.
        explained: some of the latest rows, to be drawn.
        values: what moves their margins.
        told: what the result tells of the model.
        notes: what the reader of the result should know about it.
    """

    home: Path
    bundle: Bundle
    explained: pd.DataFrame
    values: Contributions
    told: dict[str, Any]
    notes: tuple[str, ...]


def _final_model(config: Config, ready: Ready, tuned: Tuned | None) -> _Final:
    """Learns from everything that is settled, and writes the bundle."""
    made, first = ready.made, ready.schedule.tests[0].at
    material, known = made.material, made.material.known
    factors = learn_by(material, known.settled)
    learnt = tuple(recipe for recipe in made.recipes if recipe.name in set(factors.leave.feature_name()))
    voice, heard = voice_learnt(made.hearing, known, first=first, config=config)
    bundle = replace(_bundle(ready, learnt, factors, tuned), voice=voice)
    model_id, home = save_bundle(bundle, config.resolve(config.models), golden=_sample(material, bundle, GOLDEN_ROWS))
    explained = _sample(material, bundle, EXPLAINED_ROWS)
    values = explain(factors, explained, bundle.recipes)
    told = {
        "model_id": model_id, "bundle": str(home), "voice": heard, "drivers": strengths_of(values.by_signal),
        "tuning": None if tuned is None else tuned.to_dict(),
    }  # fmt: skip
    notes = ([] if tuned is None else [tuned.note]) + list(factors.notes)
    return _Final(home, bundle, explained, values, told, tuple(notes))


def _moved_by(final: _Final) -> str:
    """Where to look when a model is too good: the columns that move its risks most."""
    strengths = np.abs(final.values.by_feature).mean(axis=0)
    most = np.argsort(-strengths, kind="stable")[:SUSPECTS]
    told = ", ".join(f"{final.explained.columns[place]} ({strengths[place] / strengths.sum():.0%})" for place in most)
    return f"what moves the risks of this model most: {told}"


def _families(recipes: tuple[Recipe, ...]) -> dict[str, list[str]]:
    """The columns of operations alone and of all that was said, not said and went wrong alone, if there are both."""
    operations = [recipe.name for recipe in recipes if recipe.is_operational]
    feedback = [recipe.name for recipe in recipes if not recipe.is_operational]
    return {"operations": operations, "feedback": feedback} if operations and feedback else {}


def _bundle(ready: Ready, recipes: tuple[Recipe, ...], factors: Factors, tuned: Tuned | None) -> Bundle:
    material, schedule, tables = ready.made.material, ready.schedule, ready.tables
    latest = material.frame["at"].to_numpy() >= schedule.cutoffs[-1].moved(-schedule.target.horizon_days // 3).at
    margins = ensemble_margin(factors.leave, material.features[latest], factors.members)
    return Bundle(
        target=schedule.target, recipes=recipes, prior=material.prior, factors=factors,
        percentiles=tuple(float(edge) for edge in np.quantile(margins, np.linspace(0, 1, 1001))),
        tables=tuple(tables.columns),
        training={
            **_training(material, schedule), "data": tables.data,
            **({} if tuned is None else {"tuning": tuned.to_dict()}), "columns": tables.columns,
        },
        # A year of cutoffs: held against one season alone, every other season would look different.
        reference=learn_reference(
            material.features, recipes, pause_days=tables.pause_days,
            rows=material.frame["at"].to_numpy() >= schedule.cutoffs[-1].moved(-YEAR).at,
        ),
    )  # fmt: skip


def _training(material: Material, schedule: Schedule) -> dict[str, Any]:
    is_train = np.isin(material.frame["at"], [cutoff.at for cutoff in schedule.cutoffs])
    return {
        "first": schedule.cutoffs[0].label, "last": schedule.cutoffs[-1].label, "count": len(schedule.cutoffs),
        "rows": int(is_train.sum()), "every_days": schedule.every_days, "signals": material.features.shape[1],
        "frame_rows": len(material.frame),
    }  # fmt: skip


def _sample(material: Material, bundle: Bundle, size: int) -> pd.DataFrame:
    """An even sample of the latest rows, to explain and to keep as golden predictions."""
    latest = np.flatnonzero(material.frame["at"].to_numpy() == material.frame["at"].max())
    return material.features[bundle.features].iloc[latest[:: max(1, len(latest) // size)][:size]]
