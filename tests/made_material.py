"""A small simulated company on disk, and the material of a backtest made of its tables as a training makes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from churn.config import Config, load_config
from churn.jobs.schedule import Schedule, schedule_of
from churn.jobs.signals_of import signals_of
from churn.jobs.simulate import simulate
from churn.models.backtest import Material
from churn.models.boosting import Growing
from churn.models.frame import learn_prior, rows
from churn.models.known import prepare
from churn.models.matrix import category_columns
from churn.signals.catalogue import recipes_for
from churn.signals.recipes import Recipe
from churn.tables.sources import read_tables
from churn.tables.upto import upto


@dataclass(frozen=True)
class Made:
    """Everything a training has made before it learns."""

    material: Material
    schedule: Schedule
    recipes: tuple[Recipe, ...]


def company(directory: Path, *, customers: int = 500, months: int = 14, seed: int = 3) -> Path:
    """Simulates a retailer into the folder; returns it."""
    simulate(directory, customers=customers, months=months, regime="retail", seed=seed)
    return directory


def shuffled(directory: Path, *, into: Path, seed: int) -> Path:
    """Copies a company with the rows of every table in another order."""
    into.mkdir()
    rng = np.random.default_rng(seed)
    for path in sorted(directory.glob("*.parquet")):
        table = pq.read_table(path)
        pq.write_table(table.take(rng.permutation(table.num_rows)), into / path.name)
    (into / "churn.toml").write_text((directory / "churn.toml").read_text(encoding="utf-8"), encoding="utf-8")
    return into


def made(directory: Path, *, threads: int = 1, seed: int = 7, **settings: Any) -> Made:
    """The material of the company in a folder, made as `churn train` makes it."""
    config: Config = load_config(directory / "churn.toml").model_copy(update=settings)
    tables, _ = read_tables(config)
    known = prepare(tables, config=config)
    schedule = schedule_of(config, known)
    first, target = schedule.tests[0].at, schedule.target
    prior = learn_prior(known, first)
    recipes = recipes_for(upto(known.tables, first), horizon_days=target.horizon_days, activity=target.activity)
    moments = tuple(sorted({*schedule.cutoffs, *schedule.later, *schedule.tests}))
    frame = rows(known, target, moments, prior=prior)
    features = signals_of(known, frame, recipes, target=target, prior=prior)
    material = Material(
        known=known, target=target, prior=prior, frame=frame, features=features, cutoffs=schedule.cutoffs,
        later=schedule.later, leave_out_treated=config.leave_out_treated,
        growing=Growing(seed, threads, tuple(category_columns(recipes))),
    )  # fmt: skip
    return Made(material, schedule, recipes)
