"""Bucket by bucket: what is asked of all customers together first, then each bucket's scores."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from churn import __version__
from churn.config import Config
from churn.delivery.gathered import PLACE, Gathered
from churn.jobs.unseen import Unseen, unseen_labels
from churn.models.base import Base, together
from churn.models.bundle import Bundle
from churn.models.known import Known, base_of, prepare
from churn.tables.buckets import Buckets
from churn.tables.pace import Pace
from churn.timeline.cutoffs import Cutoff

_SCORES = "scores-"
Scoring = Callable[[Known, Sequence[str] | None], pd.DataFrame]
"""Scores the listed customers of a bucket in their order, or everybody of it."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What was asked of all customers together.

    Attributes:
        base: what is frozen for every bucket.
        unseen: labels that the model has not learnt.
    """

    base: Base
    unseen: Unseen


def survey(buckets: Buckets, bundle: Bundle, *, config: Config) -> Survey:
    """Returns what all buckets tell together; each is read once."""
    bases: list[Base] = []
    unseen: Unseen = Counter()
    for number in range(buckets.count):
        tables = buckets.read(number)
        bases.append(base_of(tables, config=config, activity_kind=bundle.target.activity))
        unseen += unseen_labels(bundle, tables)
    return Survey(together(bases), unseen)


def score_buckets(
    buckets: Buckets, base: Base, score: Scoring, *, config: Config, customers: Sequence[str] | None,
    columns: Sequence[str], activity: str, key: str, progress: Callable[[str], None],
) -> Gathered:  # fmt: skip
    """Returns the scores of every bucket; those that an interrupted run has finished are taken as they are.

    Args:
        buckets: the tables.
        base: all customers together.
        score: scores one bucket.
        config: the project.
        customers: the list in its order; None for everybody.
        columns: of the scores.
        activity: what "coming" means.
        key: names all that the scores depend on beside the tables.
        progress: told what goes on.
    """
    listed = None if customers is None else _listed(buckets, customers, config)
    wanted = list(columns) if listed is None else [*columns, PLACE]
    gathered = Gathered(wanted, folder=_folder_of(buckets, key), config=config)
    is_done = [gathered.has(number) for number in range(buckets.count)]
    pace = Pace("scoring", total=buckets.count, progress=progress, unit="customers", skipped=sum(is_done))
    for number in range(buckets.count):
        if is_done[number]:
            continue
        here = None if listed is None else listed[listed["bucket"] == number]
        known = prepare(buckets.read(number), config=config, activity_kind=activity, base=base)
        scores = score(known, None if here is None else list(here["customer_id"]))
        if here is not None:
            scores[PLACE] = here.index.to_numpy()
        gathered.add(number, scores)
        if buckets.count > 1:
            pace.tell(len(scores))
    return gathered


def key_of(config: Config, *, model_id: str, cutoff: Cutoff, customers: Sequence[str] | None) -> str:
    """Returns a name for all that scores depend on beside the tables."""
    settings = config.model_dump(mode="json", exclude={"directory", "source"})
    told = [__version__, settings, model_id, cutoff.at, None if customers is None else list(customers)]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _listed(buckets: Buckets, customers: Sequence[str], config: Config) -> pd.DataFrame:
    """Each line of the list with its bucket, the place in the list as index."""
    return pd.DataFrame({"customer_id": list(customers), "bucket": buckets.numbers_of(customers, config=config)})


def _folder_of(buckets: Buckets, key: str) -> Path | None:
    """Where scores are kept; those of another question, which a broken run has left, are removed."""
    if buckets.folder is None:
        return None
    folder = buckets.folder / f"{_SCORES}{key}"
    for other in buckets.folder.glob(f"{_SCORES}*"):
        if other != folder:
            shutil.rmtree(other)
    return folder
