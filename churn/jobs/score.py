"""`churn score`: every customer of a list gets a probability with its reasons, or the reason why she gets none."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from churn.config import Config
from churn.delivery.about import about, write_about
from churn.delivery.files import write_scores
from churn.delivery.gathered import Gathered
from churn.delivery.tally import Tally, tally_told
from churn.errors import BundleError
from churn.jobs.bucketwise import Bucketwise, bucketwise
from churn.jobs.clusterwise import Clusterwise, clusterwise
from churn.jobs.drift import drift_warnings, table_warnings
from churn.jobs.explained import Explained, by_the_budget
from churn.jobs.finished import job_key, signals_key
from churn.jobs.inputs import missing_inputs
from churn.jobs.lists import list_warnings
from churn.jobs.moments import cutoff_at
from churn.jobs.opened import Opened, open_bundle
from churn.jobs.order import Order
from churn.jobs.outputs import Destination, check_destination, store_scores
from churn.jobs.scoring import COLUMNS, Question
from churn.jobs.survey import Survey
from churn.jobs.unseen import unseen_warnings
from churn.models.bundle import Bundle
from churn.tables.atomic import alone_at
from churn.tables.findings import Issue
from churn.tables.pace import Progress
from churn.timeline.cutoffs import Cutoff

Engine = Bucketwise | Clusterwise


@dataclass(frozen=True, slots=True)
class Scored:
    """A scored list.

    Attributes:
        scores: one row per customer of the list, the columns of `COLUMNS`; `warning` too where inputs are missing,
            and `is_treated` where there is a table of treatments. None for a list of several buckets that was written
            somewhere: it may be longer than memory; and for one that was there already.
        tally: what the list holds.
        model_id: of the bundle.
        bundle: its folder.
        cutoff: the moment of prediction, as it is told.
        explained: whose scores come with reasons, as `--reasons` says it.
        warnings: what the user should know before acting on the list.
        is_unchanged: whether the file was there already, made of the same, and was left as it is.
    """

    scores: pd.DataFrame | None
    tally: Tally
    model_id: str
    bundle: Path
    cutoff: str
    explained: str
    warnings: tuple[str, ...]
    is_unchanged: bool = False


def score(
    config: Config, *, out: Path | None = None, to_database: bool = False, has_bom: bool = False,
    customers: Sequence[str] | None = None, at: int | None = None, explained: Explained | None = None,
    bundle: Path | None = None, progress: Progress = lambda _: None,
) -> Scored:  # fmt: skip
    """Returns the scores of `customers` in their order (default: everybody eligible first by risk), written to `out`.

    A file that was made of the same tables, model and settings is left as it is.

    Args:
        config: the project.
        out: `.parquet`, `.csv`, `.jsonl` or `.xlsx`; nothing is written without it.
        to_database: whether they go to the table of `[output]` too.
        has_bom: whether a CSV begins with a byte order mark, which tells Excel that it is UTF-8.
        customers: ids; every one gets a row, scored or with the reason why not. Default: everybody in the tables.
        at: the cutoff, microseconds UTC; default the midnight after the last activity.
        explained: whose scores come with reasons; default: the top of the contact budget.
        bundle: a bundle's folder; default the champion, else the newest bundle.
        progress: told what goes on.

    Raises:
        ChurnError: no bundle, a damaged one, unusable tables, or an unwritable file.
    """
    destination = Destination(out, to_database=to_database, has_bom=has_bom, is_list=customers is not None)
    check_destination(destination, config=config, explained=explained, columns=COLUMNS)
    opened = open_bundle(config, bundle)
    _refuse_strange(opened, destination)
    order = Order(customers, at, explained)
    with alone_at(out):
        job = job_key(config, opened.model_id, order, destination)
        made = None if out is None or to_database else about(out)
        if job is not None and made is not None and made.get("job") == job:
            return _unchanged(made, opened)
        with _engine(config, opened, customers, progress) as engine:
            return scored_by(engine, opened, order, destination, job=job)


def scored_by(
    engine: Engine, opened: Opened, order: Order, destination: Destination, *, job: str | None = None
) -> Scored:
    """Returns the scores that an engine makes of its tables, delivered to their destination; `job` names the work."""
    config, model = engine.config, opened.bundle
    surveyed = engine.survey(model, at=order.at)
    cutoff, doubts = cutoff_at(order.at, base=surveyed.base, target=model.target)
    engine.progress(f"scoring at {cutoff.label}")
    without = missing_inputs(model, engine.columns(), config)
    columns = _columns(engine.columns(), without)
    explained = order.explained or by_the_budget(config, scored=0)
    question = Question(
        opened.home, opened.model_id, model, cutoff, "; ".join(without), columns, order.customers, explained
    )
    gathered = engine.score(question, surveyed.base)
    manifests = gathered.manifests()
    explained = order.explained or by_the_budget(config, scored=sum(one["scored"] for one in manifests))
    if explained.is_chosen_together:
        chosen = gathered.choose(explained.count)
        if chosen:
            engine.explain(question, surveyed.base, gathered, chosen)
    warnings = [
        *opened.warnings, *map(str, _telling(surveyed.issues)), *without, *doubts, *_doubts(surveyed, model, cutoff),
    ]  # fmt: skip
    if order.customers is None:
        warnings += drift_warnings(model, [one["counts"] for one in manifests])
    else:
        warnings += list_warnings(order.customers, unknown=gathered.ids(why="unknown"), known=engine.customers())
    metadata = {
        "model_id": opened.model_id, "cutoff": cutoff.label, "signals": signals_key(model), "reasons": str(explained),
        "data": json.dumps({name: str(digest) for name, digest in surveyed.data.items()}),
        "warnings": json.dumps(warnings),
    }  # fmt: skip
    tally = _deliver(gathered, destination, metadata=metadata, job=job)
    if destination.to_database:
        store_scores(gathered.reader(), config, is_whole=order.customers is None)
    is_held = engine.is_in_memory or not destination.is_any
    scores = pd.concat(gathered.frames(), ignore_index=True) if is_held else None
    return Scored(scores, tally, opened.model_id, opened.home, cutoff.label, str(explained), tuple(warnings))


def _engine(
    config: Config, opened: Opened, customers: Sequence[str] | None, progress: Progress
) -> AbstractContextManager[Engine]:
    """Where the work is done, as `[engine] kind` says; no row is read before the inputs are known to be there."""
    check = partial(_check_inputs, opened.bundle, config)
    if config.engine.kind == "spark":
        return clusterwise(config, home=opened.home, customers=customers, check=check, progress=progress)
    return bucketwise(config, check=check, progress=progress)


def _check_inputs(bundle: Bundle, config: Config, columns: Mapping[str, Sequence[str]]) -> None:
    missing_inputs(bundle, columns, config)


def _refuse_strange(opened: Opened, destination: Destination) -> None:
    """Numbers that differ from the training's take no good ones' place; a table has no place for the warning at all."""
    if not opened.is_strange:
        return
    if destination.out is not None and destination.out.exists():
        raise BundleError(f"{destination.out} is not overwritten: {opened.warnings[-1]}")
    if destination.to_database:
        raise BundleError(f"nothing is written to the database: {opened.warnings[-1]}")


def _telling(issues: Sequence[Issue]) -> list[Issue]:
    """The findings that change scores: rows dropped, and values mended or read as missing."""
    return [issue for issue in issues if issue.severity != "info"]


def _doubts(surveyed: Survey, model: Bundle, cutoff: Cutoff) -> list[str]:
    return [*table_warnings(model, surveyed, cutoff=cutoff), *unseen_warnings(surveyed.unseen)]


def _columns(tables: Mapping[str, Sequence[str]], without: list[str]) -> tuple[str, ...]:
    """The columns of a list: `is_treated` with a table of treatments, `warning` where inputs are missing."""
    treated = ["is_treated"] if "treatments" in tables else []
    return (*COLUMNS, *treated, *(["warning"] if without else []))


def _deliver(gathered: Gathered, destination: Destination, *, metadata: Mapping[str, str], job: str | None) -> Tally:
    """Writes the list to its file, if there is one, and returns what it holds."""
    tally, out = Tally(), destination.out
    frames = tally.watch(gathered.frames())
    if out is None:
        deque(frames, maxlen=0)
        return tally

    def told() -> dict[str, str]:  # when all rows have gone by
        return {**metadata, "tally": json.dumps(tally.to_dict())}

    write_scores(frames, out, metadata=told, has_bom=destination.has_bom, is_whole=destination.is_list)
    # Not in the file itself, whose bytes depend on what stands in the tables and not on where they lie.
    write_about(out, {**told(), **({} if job is None else {"job": job})})
    return tally


def _unchanged(made: Mapping[str, str], opened: Opened) -> Scored:
    told: dict[str, Any] = json.loads(made["tally"])
    warnings = tuple(json.loads(made["warnings"]))
    return Scored(
        None, tally_told(told), opened.model_id, opened.home, made["cutoff"], made["reasons"], warnings,
        is_unchanged=True,
    )  # fmt: skip
