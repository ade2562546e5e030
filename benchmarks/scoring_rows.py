"""What prediction, reasons, sentences and the file cost a customer whose signals are there already."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from scoring_project import Shop

from churn.config import Config
from churn.delivery.files import write_scores
from churn.drivers.contributions import explain
from churn.drivers.owners import owners_of
from churn.drivers.reasons import reasons
from churn.jobs.explained import Explained
from churn.jobs.scoring import scored_rows
from churn.jobs.signals_of import bundle_signals
from churn.models.bundle import Bundle, load_bundle
from churn.models.frame import rows_at, why_not
from churn.models.known import prepare
from churn.tables.sources import read_tables
from churn.timeline.population import ELIGIBLE

ROUNDS = 3
READ_FROM = 20_000
"""Customers whose signals are computed; more rows are put together from theirs, signal by signal, at random."""


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU seconds, medians over the rounds.

    Attributes:
        bare: `Booster.predict` of the raw scores by all boosters of the bundle.
        predict: `Bundle.predict`: the same with the rhythm, calibrations and the matching of names.
        whole: prediction, drift, reasons for everybody, sentences, and the Parquet file.
        parts: of the whole and beside it, by name.
        rounds: how many.
    """

    bare: float
    predict: float
    whole: float
    parts: dict[str, float]
    rounds: int


def costs_of(shop: Shop, *, rows: int) -> Costs:
    """Returns what each step takes for so many rows; all take turns, in a process that is warm."""
    config = shop.config()
    _, bundle, _ = load_bundle(shop.bundle)
    frame, features = _rows(config, bundle, rows)
    matched = bundle.matched(features)
    status = frame["voice_status"].to_numpy(str)
    values = explain(bundle.factors, matched, bundle.recipes, threads=config.engine.thread_count)

    def tell() -> pd.DataFrame:
        return reasons(
            features, values, bundle.recipes, currency="EUR", activity=bundle.target.activity,
            horizon_days=bundle.target.horizon_days, owners=owners_of(config),
        )  # fmt: skip

    with TemporaryDirectory() as folder:
        out = Path(folder) / "scores.parquet"
        scored, _ = scored_rows(frame, features, bundle, explained=Explained("all"), config=config)
        listed = _listed(scored)

        def whole() -> None:
            made, _ = scored_rows(frame, features, bundle, explained=Explained("all"), config=config)
            write_scores(_listed(made), out)

        steps: dict[str, Callable[[], object]] = {
            "bare prediction by all trees": lambda: _bare(bundle, matched),
            "prediction": lambda: bundle.predict(features, voice_status=status, at=frame["at"].to_numpy()),
            "contributions": lambda: explain(
                bundle.factors, matched, bundle.recipes, threads=config.engine.thread_count
            ),
            "sentences": tell,
            "Parquet": lambda: write_scores(listed, out),
            "prediction, reasons for all, file": whole,
        }
        spent = _taken(steps)
    bare, predict, whole_cost = (spent[name] for name in (*list(steps)[:2], list(steps)[-1]))
    return Costs(bare, predict, whole_cost, spent, ROUNDS)


def _taken(steps: dict[str, Callable[[], object]]) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(ROUNDS):
        names = list(steps)[:: 1 if number % 2 == 0 else -1]
        for name in names:
            started = time.process_time()
            steps[name]()
            taken[name].append(time.process_time() - started)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def _bare(bundle: Bundle, matched: pd.DataFrame) -> None:
    values = matched.to_numpy()
    bundle.factors.leave.predict(values, raw_score=True)
    silent = bundle.factors.silent
    if silent is not None and silent.booster is not None:
        silent.booster.predict(values, raw_score=True)


def _listed(scored: pd.DataFrame) -> pd.DataFrame:
    ids = [f"C{number:08d}" for number in range(len(scored))]
    return scored.assign(customer_id=ids, status="scored", why_not_scored=None)


def _rows(config: Config, bundle: Bundle, rows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows and their signals: those of some real customers, mixed signal by signal so that hardly two are alike."""
    tables, _ = read_tables(config)
    some = sorted(tables["transactions"]["customer_id"].unique().to_pylist())[:READ_FROM]
    few = {name: table.filter(_is_in(table, some)) for name, table in tables.items()}
    known = prepare(few, config=config)
    cutoff = bundle.target.cutoff(known.ends)
    codes = np.flatnonzero(why_not(known, bundle.target, cutoff, prior=bundle.prior) == ELIGIBLE)
    frame = rows_at(known, cutoff, codes=codes, prior=bundle.prior)
    features = bundle_signals(known, frame, bundle, threads=config.engine.thread_count)
    rng = np.random.default_rng(5)
    block = np.empty((len(bundle.recipes), rows), np.float32)
    for signal in sorted({recipe.signal for recipe in bundle.recipes}):
        who = rng.integers(0, len(frame), rows)
        for place, recipe in enumerate(bundle.recipes):
            if recipe.signal == signal:
                block[place] = features[recipe.name].to_numpy()[who]
    frame = frame.take(rng.integers(0, len(frame), rows)).reset_index(drop=True)
    return frame, pd.DataFrame(block.T, columns=[recipe.name for recipe in bundle.recipes], copy=False)


def _is_in(table: object, ids: list[str]) -> object:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.is_in(table["customer_id"], value_set=pa.array(ids))  # type: ignore[index]
