"""`churn score`: every customer of a list gets a probability with its reasons, or the reason why she gets none."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from churn.config import Config
from churn.delivery.files import write_scores
from churn.delivery.gathered import Gathered
from churn.delivery.tally import Tally
from churn.errors import BundleError, TableError
from churn.jobs.bucketwise import Bucketwise, bucketwise
from churn.jobs.clusterwise import Clusterwise, clusterwise
from churn.jobs.lists import list_warnings
from churn.jobs.moments import cutoff_at
from churn.jobs.outputs import check_scores_database, check_scores_out, store_scores
from churn.jobs.scoring import COLUMNS, Question
from churn.jobs.unseen import unseen_warnings
from churn.models.bundle import GOLDEN_TOLERANCE, Bundle, load_bundle
from churn.models.champion import champion_of, newest_of
from churn.tables.atomic import alone_at
from churn.timeline.cutoffs import Cutoff

Progress = Callable[[str], None]


UNREAD = {"text", "ended_reason"}
"""Columns that no signal reads: a list is the same without them."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle ready to be used.

    Attributes:
        home: its folder.
        model_id: of the bundle.
        bundle: the model.
        is_strange: whether it predicts otherwise here than where it was trained.
        warnings: what the user should know about it.
    """

    home: Path
    model_id: str
    bundle: Bundle
    is_strange: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """A scored list.

    Attributes:
        scores: one row per customer of the list, the columns of `COLUMNS`; `warning` too where inputs are missing,
            and `is_treated` where there is a table of treatments. None for a list of several buckets that was written
            somewhere: it may be longer than memory.
        tally: what the list holds.
        model_id: of the bundle.
        bundle: its folder.
        cutoff: the moment of prediction.
        warnings: what the user should know before acting on the list.
    """

    scores: pd.DataFrame | None
    tally: Tally
    model_id: str
    bundle: Path
    cutoff: Cutoff
    warnings: tuple[str, ...]


def score(
    config: Config, *, out: Path | None = None, to_database: bool = False, customers: Sequence[str] | None = None,
    at: int | None = None, bundle: Path | None = None, progress: Progress = lambda _: None,
) -> Scored:  # fmt: skip
    """Returns the scores of `customers` in their order (default: everybody eligible first by risk), written to `out`.

    Args:
        config: the project.
        out: `.parquet`, `.csv` or `.jsonl`; nothing is written without it.
        to_database: whether they go to the table of `[output]` too.
        customers: ids; every one gets a row, scored or with the reason why not. Default: everybody in the tables.
        at: the cutoff, microseconds UTC; default the midnight after the last activity.
        bundle: a bundle's folder; default the champion, else the newest bundle.
        progress: told what goes on.

    Raises:
        ChurnError: no bundle, a damaged one, unusable tables, or an unwritable file.
    """
    if out is not None:
        check_scores_out(out, config=config)
    if to_database:
        check_scores_database(config, columns=COLUMNS)
    opened = open_bundle(config, bundle)
    warnings, model = list(opened.warnings), opened.bundle
    if opened.is_strange and out is not None and out.exists():
        raise BundleError(f"{out} is not overwritten: {warnings[-1]}")
    if opened.is_strange and to_database:  # a table has no place for the warning
        raise BundleError(f"nothing is written to the database: {warnings[-1]}")
    with alone_at(out), _engine(config, opened, customers, progress) as engine:
        columns = engine.columns()
        without = missing_inputs(model, columns, config)
        surveyed = engine.survey(model)
        cutoff, doubts = cutoff_at(at, base=surveyed.base, target=model.target)
        progress(f"scoring at {cutoff.label}")
        question = Question(
            opened.home, opened.model_id, model, cutoff, "; ".join(without), _columns(columns, without), customers
        )
        gathered = engine.score(question, surveyed.base)
        warnings += [*without, *doubts, *unseen_warnings(surveyed.unseen)]
        if customers is not None:
            warnings += list_warnings(customers, unknown=gathered.ids(why="unknown"), known=engine.customers())
        metadata = {"model_id": opened.model_id, "cutoff": cutoff.label, "warnings": "; ".join(warnings)}
        tally = _deliver(gathered, config, out=out, metadata=metadata)
        if to_database:
            store_scores(gathered.reader(), config, is_whole=customers is None)
        is_held = engine.is_in_memory or (out is None and not to_database)
        scores = pd.concat(gathered.frames(), ignore_index=True) if is_held else None
    return Scored(scores, tally, opened.model_id, opened.home, cutoff, tuple(warnings))


def _engine(
    config: Config, opened: Opened, customers: Sequence[str] | None, progress: Progress
) -> AbstractContextManager[Bucketwise | Clusterwise]:
    """Where the work is done, as `[engine] kind` says."""
    if config.engine.kind == "spark":
        return clusterwise(config, home=opened.home, customers=customers, progress=progress)
    progress("reading tables")
    return bucketwise(config, progress=progress)


def _columns(tables: Collection[str], without: Sequence[str]) -> tuple[str, ...]:
    """The columns of a list: `is_treated` with a table of treatments, `warning` where inputs are missing."""
    treated = ["is_treated"] if "treatments" in tables else []
    return (*COLUMNS, *treated, *(["warning"] if without else []))


def _deliver(gathered: Gathered, config: Config, *, out: Path | None, metadata: Mapping[str, str]) -> Tally:
    """Writes the list to `out`, if given, and returns what it holds."""
    tally = Tally()
    frames = tally.watch(gathered.frames())
    if out is not None:
        write_scores(frames, out, metadata=metadata)
    else:
        deque(frames, maxlen=0)
    return tally


def open_bundle(config: Config, bundle: Path | None) -> Opened:
    """Returns the bundle to use, checked and loaded: the given one, the champion, or the newest.

    Raises:
        BundleError: there is none, or it is damaged.
    """
    home, warnings = find_bundle(config, bundle)
    model_id, model, gap = load_bundle(home)
    is_strange = not gap <= GOLDEN_TOLERANCE
    if is_strange:
        warnings.append(
            f"this machine's libraries give other predictions than the training's (difference {gap:.1e}); "
            "train again: churn train"
        )
    return Opened(home, model_id, model, is_strange, tuple(warnings))


def find_bundle(config: Config, bundle: Path | None) -> tuple[Path, list[str]]:
    """Returns the folder of the bundle to use and what to warn of: the given one, the champion, or the newest.

    Raises:
        BundleError: there is none.
    """
    if bundle is not None:
        return bundle, []
    models = config.resolve(config.models)
    champion = champion_of(models)
    if champion is not None:
        return champion, []
    newest = newest_of(models)
    if newest is None:
        raise BundleError(f"no model in {models}; train one first: churn train")
    doubt = "no model has been promoted (none was better than the simple rules): this is the newest one"
    return newest, [doubt]


def missing_inputs(bundle: Bundle, tables: Mapping[str, Collection[str]], config: Config) -> list[str]:
    """Returns a warning about tables and columns that the model was trained with and that are absent now, if any.

    Args:
        bundle: the model.
        tables: the columns of each table that is there.
        config: the project.

    Raises:
        TableError: there are, and the configuration doesn't say `missing_table = "warn"`.
    """
    missing = [name for name in bundle.tables if name not in tables]
    for name, columns in bundle.training.get("columns", {}).items():
        if name in tables:
            gone = {*columns} - {*tables[name]} - UNREAD
            missing += sorted(f"{name}.{column}" for column in gone)
    if not missing:
        return []
    told = f"the model was trained with {', '.join(missing)}, absent now: their signals are null"
    if config.missing_table == "refuse":
        fix = 'give what is missing in churn.toml, or set missing_table = "warn" to score without it'
        raise TableError(f"{told}; {fix}")
    return [told]
