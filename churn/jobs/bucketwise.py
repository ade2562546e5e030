"""Bucket by bucket on one machine: what is asked of all customers together first, then each bucket's scores."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from churn import __version__
from churn.config import Config
from churn.delivery.gathered import PLACE, Gathered
from churn.jobs.inputs import input_columns
from churn.jobs.scoring import Answer, Question, answer, reasons_of
from churn.jobs.survey import Survey, joined, survey_of
from churn.models.base import Base, together
from churn.models.bundle import Bundle
from churn.models.known import base_of, prepare
from churn.tables.buckets import Buckets, open_buckets
from churn.tables.history import customers_of
from churn.tables.pace import Pace
from churn.tables.workfolder import WORK, key_of

_SCORES = "scores-"


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

    def base(self, activity: str) -> Base:
        """Returns what is asked of all customers together; `activity` is what "coming" means."""
        bases: list[Base] = []

        def look(number: int) -> int:
            tables = self.buckets.read(number)
            bases.append(base_of(tables, config=self.config, activity_kind=activity))
            return sum(table.num_rows for table in tables.values())

        self._each("looking at all rows", look, unit="rows")
        return together(bases)

    def rows_of(self, customer_id: str) -> dict[str, pa.Table]:
        """Returns every table with one customer's rows; none where nobody has that id."""
        (number,) = self.buckets.numbers_of([customer_id], config=self.config).tolist()
        tables = self.buckets.read(number)
        return {name: table.filter(pc.equal(table["customer_id"], customer_id)) for name, table in tables.items()}

    def survey(self, bundle: Bundle, *, at: int | None) -> Survey:
        """Returns what all buckets tell together; each is read once."""
        surveys: list[Survey] = []

        def look(number: int) -> int:
            tables = self.buckets.read(number)
            surveys.append(survey_of(tables, bundle, at=at, config=self.config))
            return sum(table.num_rows for table in tables.values())

        self._each("looking at all rows", look, unit="rows")
        return joined(surveys, issues=self.buckets.issues)

    def score(self, question: Question, base: Base) -> Gathered:
        """Returns the scores of every bucket; those that an interrupted run has finished are taken as they are."""
        buckets, config = self.buckets, self.config
        listed = None if question.customers is None else _listed(buckets, question.customers, config)
        wanted = list(question.columns) if listed is None else [*question.columns, PLACE]
        gathered = Gathered(wanted, folder=_folder_of(buckets, _scores_key(config, question)), config=config)

        def score(number: int) -> int:
            here = None if listed is None else listed[listed["bucket"] == number]
            activity = question.bundle.target.activity
            known = prepare(buckets.read(number), config=config, activity_kind=activity, base=base)
            found = answer(question, known, None if here is None else list(here["customer_id"]), config=config)
            if here is not None:
                found.scores[PLACE] = here.index.to_numpy()
            gathered.add(number, found.scores, manifest=manifest_of(found))
            return len(found.scores)

        self._each("scoring", score, is_done=gathered.has)
        return gathered

    def explain(self, question: Question, base: Base, gathered: Gathered, chosen: Sequence[str]) -> None:
        """Adds the reasons of the chosen customers, whose signals alone are computed once more."""
        buckets, config = self.buckets, self.config
        listed = _listed(buckets, chosen, config)

        def tell(number: int) -> int:
            here = list(listed.loc[listed["bucket"] == number, "customer_id"])
            gathered.tell(number, reasons_of(question, buckets.read(number), here, base=base, config=config))
            return len(here)

        self._each("telling reasons", tell, is_done=gathered.is_told)

    def _each(
        self, what: str, do: Callable[[int], int], *, unit: str = "customers",
        is_done: Callable[[int], bool] = lambda _: False,
    ) -> None:  # fmt: skip
        """Does something with every bucket for which it is not done yet, which returns how many units it had."""
        count = self.buckets.count
        waiting = [number for number in range(count) if not is_done(number)]
        pace = Pace(what, total=count, progress=self.progress, unit=unit, skipped=count - len(waiting))
        for number in waiting:
            units = do(number)
            if count > 1:
                pace.tell(units)


def manifest_of(found: Answer) -> dict[str, Any]:
    """Returns what is kept of a bucket beside its scores, as plain JSON data."""
    counts = [each.tolist() for each in found.counts]
    return {"rows": len(found.scores), "scored": found.scored, "counts": counts}


@contextmanager
def bucketwise(
    config: Config, *, check: Callable[[Mapping[str, Sequence[str]]], None], progress: Callable[[str], None]
) -> Iterator[Bucketwise]:
    """Yields the project's tables in buckets, ready to be scored.

    Args:
        config: the project.
        check: told the columns of every table before any row is read; what it raises ends the run there.
        progress: told what goes on.

    Raises:
        ChurnError: as `open_buckets`.
    """
    check(input_columns(config))
    progress("reading tables")
    with open_buckets(config, work=config.directory / WORK, progress=progress) as buckets:
        yield Bucketwise(config, buckets, progress)


def _scores_key(config: Config, question: Question) -> str:
    """Names all that scores depend on beside the tables; whose reasons are told later is no part of it."""
    aside = {"directory", "source", "contact", "tracking", "output"}
    settings = config.model_dump(mode="json", exclude=aside)
    customers = None if question.customers is None else list(question.customers)
    explained = question.explained.kind if question.explained.is_chosen_together else str(question.explained)
    told = [__version__, settings, question.model_id, question.cutoff.at, customers, explained]
    return key_of(told)


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
