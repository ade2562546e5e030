"""On a cluster: the tables of each bucket go to a task of Spark, which does with them what a laptop does."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from churn.config import Config
from churn.delivery.files import ROWS_PER_GROUP, plain_table
from churn.delivery.gathered import PLACE, Gathered, with_manifest
from churn.errors import BundleError
from churn.jobs.bucketwise import manifest_of
from churn.jobs.explained import explained_from
from churn.jobs.learning import few
from churn.jobs.scoring import Question, answer, reasons_of
from churn.jobs.survey import Survey, joined, survey_of, survey_told
from churn.models.base import base_told
from churn.models.bundle import GOLDEN_TOLERANCE, Bundle, bundle_texts, load_bundle, write_bundle_texts
from churn.models.known import prepare
from churn.tables.contract import CONTRACT
from churn.tables.history import customers_of
from churn.tables.parcels import packed_for, schemas_of, schemas_text, unpacked
from churn.tables.scattered import LISTED, Scattered, config_of, found_in, glean, scatter, text_of
from churn.tables.session import spark_session
from churn.tables.workfolder import WORK, work_folder

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from churn.models.base import Base


@dataclass(frozen=True, slots=True)
class Clusterwise:
    """Scores the buckets on a cluster, as `Bucketwise` does on one machine, and to the same bytes.

    Attributes:
        config: the project.
        tables: on the cluster.
        home: the bundle's folder.
        folder: where the scores are kept until they are in their order.
        progress: told what goes on.
    """

    config: Config
    tables: Scattered
    home: Path
    folder: Path
    progress: Callable[[str], None]

    @property
    def is_in_memory(self) -> bool:
        """Never: the list comes back piece by piece."""
        return False

    def columns(self) -> Mapping[str, Sequence[str]]:
        """Returns the columns of every table."""
        return {name: table.column_names for name, table in self.tables.empty_tables().items()}

    def customers(self) -> Iterator[str]:
        """Yields the ids in the tables."""
        made = partial(_ids_of_bucket, schemas=schemas_text(self.tables.schemas))
        yield from (row[0] for row in self._each(made, "customer_id STRING").toLocalIterator())

    def survey(self, bundle: Bundle, *, at: int | None) -> Survey:
        """Returns what all buckets tell together.

        Raises:
            TableError: a table cannot be read; names every problem of every table.
        """
        self.progress(f"reading tables on Spark, {self.tables.buckets:,} buckets")
        schemas, config = self._told()
        made = partial(_survey_bucket, schemas=schemas, config=config, files=_files_text(self.home), at=at)
        told = [json.loads(row[0]) for row in self._each(made, "told STRING").collect()]
        issues = found_in(self.tables, [one["found"] for one in told], config=self.config)
        return joined((survey_told(one["survey"]) for one in told), issues=issues)

    def score(self, question: Question, base: Base) -> Gathered:
        """Returns the scores of every bucket."""
        from pyspark import StorageLevel

        wanted = [*question.columns, *([] if question.customers is None else [PLACE])]
        schemas, config = self._told()
        made = partial(
            _score_bucket, schemas=schemas, config=config, files=_files_text(self.home), asked=_asked(question, base)
        )
        pieces = self._each(made, "scores BINARY").persist(StorageLevel.DISK_ONLY)
        pieces.count()  # all at once; what follows goes from partition to partition
        gathered = Gathered(wanted, folder=self.folder / "scores", config=self.config)
        for number, row in enumerate(pieces.toLocalIterator(prefetchPartitions=True)):
            gathered.add_table(number, pq.read_table(io.BytesIO(row[0])))
        pieces.unpersist()
        return gathered

    def explain(self, question: Question, base: Base, gathered: Gathered, chosen: Sequence[str]) -> None:
        """Adds the reasons of the chosen customers, whose signals alone are computed once more."""
        self.progress(f"telling reasons of {len(chosen):,} customers on Spark")
        schemas, config = self._told()
        ids = packed_for(0, pa.table({"customer_id": pa.array(chosen, pa.string())}), tag="")
        made = partial(
            _explain_bucket, schemas=schemas, config=config, files=_files_text(self.home),
            asked=_asked(question, base), chosen=ids.column("rows")[0].as_py(),
        )  # fmt: skip
        pieces = self._each(made, "told BINARY").toLocalIterator(prefetchPartitions=True)
        for number, row in enumerate(pieces):
            gathered.tell(number, pq.read_table(io.BytesIO(row[0])))

    def _told(self) -> tuple[str, str]:
        return schemas_text(self.tables.schemas), text_of(self.config)

    def _each(self, made: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]], columns: str) -> DataFrame:
        return self.tables.rows.mapInArrow(made, columns)


@contextmanager
def clusterwise(
    config: Config, *, home: Path, customers: Sequence[str] | None,
    check: Callable[[Mapping[str, Sequence[str]]], None], progress: Callable[[str], None],
) -> Iterator[Clusterwise]:  # fmt: skip
    """Yields the project's tables on Spark, ready to be scored with the bundle in `home`.

    `check` is told the columns of every table before any row is read; what it raises ends the run there.

    Raises:
        ChurnError: no Spark, or a source that is not there.
    """
    progress("starting Spark")
    with (
        work_folder((config.directory / WORK).absolute(), key=None) as folder,
        spark_session(config, folder=folder) as session,
    ):
        tables = scatter(session, config, customers=customers)
        try:
            made = Clusterwise(config, tables, home, folder, progress)
            check(made.columns())
            yield made
        finally:
            tables.rows.unpersist()


def _files_text(home: Path) -> str:
    return json.dumps(bundle_texts(home), sort_keys=True)


@lru_cache(maxsize=1)
def _bundle_of(files: str) -> tuple[str, Bundle]:
    """The bundle whose files were sent as text; a process reads it once."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "bundle"
        write_bundle_texts(json.loads(files), home)
        model_id, bundle, gap = load_bundle(home)
    if not gap <= GOLDEN_TOLERANCE:
        told = f"a node's libraries give other predictions than the training's (difference {gap:.1e})"
        raise BundleError(f"{told}; install the versions of the training on every node, or train again: churn train")
    return model_id, bundle


def _ids_of_bucket(batches: Iterator[pa.RecordBatch], *, schemas: str) -> Iterator[pa.RecordBatch]:
    """Everybody in the tables of a bucket."""
    told = schemas_of(schemas)
    tables = unpacked(batches, told)
    ids = customers_of({name: tables[name] for name in told if name in CONTRACT})
    yield pa.RecordBatch.from_arrays([ids], ["customer_id"])


def _asked(question: Question, base: Base) -> str:
    """What tasks need to know of a question beside the bundle."""
    return json.dumps({
        "at": question.cutoff.at, "base": base.to_dict(), "without": question.without,
        "columns": list(question.columns), "is_list": question.customers is not None,
        "explained": str(question.explained),
    })  # fmt: skip


def _survey_bucket(
    batches: Iterator[pa.RecordBatch], *, schemas: str, config: str, files: str, at: int | None
) -> Iterator[pa.RecordBatch]:
    """What a task tells of its bucket."""
    project = config_of(config)
    gleaned = glean(batches, schemas_of(schemas), project)
    _, bundle = _bundle_of(files)
    survey = survey_of(gleaned.tables, bundle, at=at, config=project)
    yield pa.RecordBatch.from_pydict({"told": [json.dumps({"found": gleaned.found, "survey": survey.to_dict()})]})


def _score_bucket(
    batches: Iterator[pa.RecordBatch], *, schemas: str, config: str, files: str, asked: str
) -> Iterator[pa.RecordBatch]:
    """The scores of a bucket, as Parquet: a piece of so many rows after another."""
    project, told = config_of(config), json.loads(asked)
    gleaned = glean(batches, schemas_of(schemas), project)
    listed = gleaned.others[LISTED].sort_by("place")
    customers = listed["customer_id"].to_pylist() if told["is_list"] else None
    question = _question(files, told, customers)
    activity = question.bundle.target.activity
    known = prepare(gleaned.tables, config=project, activity_kind=activity, base=base_told(told["base"]))
    found = answer(question, known, customers, config=project)
    scores = plain_table(found.scores[list(question.columns)])
    if told["is_list"]:
        scores = scores.append_column(PLACE, listed["place"])
    for start in range(0, scores.num_rows, ROWS_PER_GROUP):
        piece = scores.slice(start, ROWS_PER_GROUP)
        yield _written(piece if start else with_manifest(piece, manifest_of(found)), "scores")


def _explain_bucket(
    batches: Iterator[pa.RecordBatch], *, schemas: str, config: str, files: str, asked: str, chosen: bytes
) -> Iterator[pa.RecordBatch]:
    """The reasons of the chosen customers of a bucket; the rows of others are left alone from the first."""
    project, told = config_of(config), json.loads(asked)
    gleaned = glean(list(few(batches, schemas=schemas, chosen=chosen)), schemas_of(schemas), project)
    here = customers_of({name: gleaned.tables[name] for name in gleaned.tables if name in CONTRACT})
    if len(here):
        base = base_told(told["base"])
        question = _question(files, told, None)
        found = reasons_of(question, gleaned.tables, here.to_pylist(), base=base, config=project)
        yield _written(plain_table(found), "told")


def _question(files: str, told: Mapping[str, Any], customers: Sequence[str] | None) -> Question:
    model_id, bundle = _bundle_of(files)
    cutoff, explained = bundle.target.cutoff(told["at"]), explained_from(told["explained"])
    return Question(Path(), model_id, bundle, cutoff, told["without"], tuple(told["columns"]), customers, explained)


def _written(rows: pa.Table, name: str) -> pa.RecordBatch:
    """Rows as Parquet, in the one cell of a column."""
    written = io.BytesIO()
    pq.write_table(rows, written, compression="zstd")
    return pa.RecordBatch.from_pydict({name: [written.getvalue()]})
