"""Bucket by bucket on one machine: what is asked of all customers together first, then each bucket's scores."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from churn import __version__
from churn.config import Config
from churn.delivery.gathered import PLACE, Gathered
from churn.jobs.scoring import Question, answer
from churn.jobs.unseen import Unseen, unseen_labels
from churn.models.base import Base, together
from churn.models.bundle import Bundle
from churn.models.known import base_of, prepare
from churn.tables.buckets import Buckets, open_buckets
from churn.tables.history import customers_of
from churn.tables.pace import Pace
from churn.tables.workfolder import WORK

_SCORES = "scores-"


@dataclass(frozen=True, slots=True)
class Survey:
    """What was asked of all customers together.

    Attributes:
        base: what is frozen for every bucket.
        unseen: labels that the model has not learnt.
    """

    base: Base
    unseen: Unseen


@dataclass(frozen=True, slots=True)
class Bucketwise:
    """Scores one bucket after another; `Clusterwise` does the same on Spark.

    Attributes:
        config: the project.
        buckets: its tables.
        progress: told what goes on.
    """

    config: Config
    buckets: Buckets
    progress: Callable[[str], None]

    @property
    def is_in_memory(self) -> bool:
        """Whether all there is fits into memory at once."""
        return self.buckets.count == 1

    def columns(self) -> Mapping[str, Sequence[str]]:
        """Returns the columns of every table."""
        return {name: table.column_names for name, table in self.buckets.read(0).items()}

    def customers(self) -> Iterator[str]:
        """Yields the ids in the tables."""
        for number in range(self.buckets.count):
            yield from customers_of(self.buckets.read(number)).to_pylist()

    def survey(self, bundle: Bundle) -> Survey:
        """Returns what all buckets tell together; each is read once."""
        bases: list[Base] = []
        unseen: Unseen = Counter()
        for number in range(self.buckets.count):
            tables = self.buckets.read(number)
            bases.append(base_of(tables, config=self.config, activity_kind=bundle.target.activity))
            unseen += unseen_labels(bundle, tables)
        return Survey(together(bases), unseen)

    def score(self, question: Question, base: Base) -> Gathered:
        """Returns the scores of every bucket; those that an interrupted run has finished are taken as they are."""
        buckets, config = self.buckets, self.config
        listed = None if question.customers is None else _listed(buckets, question.customers, config)
        wanted = list(question.columns) if listed is None else [*question.columns, PLACE]
        gathered = Gathered(wanted, folder=_folder_of(buckets, _key_of(config, question)), config=config)
        is_done = [gathered.has(number) for number in range(buckets.count)]
        pace = Pace("scoring", total=buckets.count, progress=self.progress, unit="customers", skipped=sum(is_done))
        for number in range(buckets.count):
            if is_done[number]:
                continue
            here = None if listed is None else listed[listed["bucket"] == number]
            activity = question.bundle.target.activity
            known = prepare(buckets.read(number), config=config, activity_kind=activity, base=base)
            scores = answer(question, known, None if here is None else list(here["customer_id"]), config=config)
            if here is not None:
                scores[PLACE] = here.index.to_numpy()
            gathered.add(number, scores)
            if buckets.count > 1:
                pace.tell(len(scores))
        return gathered


@contextmanager
def bucketwise(config: Config, *, progress: Callable[[str], None]) -> Iterator[Bucketwise]:
    """Yields the project's tables in buckets, ready to be scored.

    Raises:
        ChurnError: as `open_buckets`.
    """
    with open_buckets(config, work=config.directory / WORK, progress=progress) as buckets:
        yield Bucketwise(config, buckets, progress)


def _key_of(config: Config, question: Question) -> str:
    """Names all that scores depend on beside the tables."""
    settings = config.model_dump(mode="json", exclude={"directory", "source"})
    customers = None if question.customers is None else list(question.customers)
    told = [__version__, settings, question.model_id, question.cutoff.at, customers]
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
