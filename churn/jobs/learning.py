"""What is learnt from: all customers of a project or a sample of them, on this machine or from a cluster."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from churn.config import Config
from churn.jobs.sample import Attendance, appended, attendance, sampled
from churn.jobs.signals_of import signals_of
from churn.models.base import Base, base_told, together
from churn.models.known import Known, prepare
from churn.models.target import Target
from churn.signals.bucket import Asked
from churn.signals.recipes import Recipe
from churn.signals.spark import ROWS, ROWS_SCHEMA, columns_sql, delivered
from churn.tables.buckets import Buckets, open_buckets
from churn.tables.findings import Issue
from churn.tables.memory import give_back
from churn.tables.ordering import merged
from churn.tables.pace import Pace, Progress
from churn.tables.parcels import PARCELS_SQL, packed_for, schemas_of, schemas_text, unpacked
from churn.tables.scattered import Scattered, config_of, found_in, glean, in_buckets, parcelled, scatter, text_of
from churn.tables.session import spark_session
from churn.tables.workfolder import WORK, work_folder
from churn.timeline.rhythm import Prior

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_CHOSEN = ":chosen"
_SHARE = 1
"""Of the memory for tables: nothing is written beside what is learnt from, and most of it will be held together."""
NO_COLUMNS: Mapping[str, Collection[str]] = MappingProxyType({})
Signals = Callable[[Known, pd.DataFrame, Sequence[Recipe], Target, Prior], pd.DataFrame]
"""Computes the signals of a frame's rows; see `signals_of`."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What there is to learn from.

    Attributes:
        known: the customers to learn from.
        issues: what was found while reading everybody.
        customers: how many there are in the tables, learnt from or not.
        active: how many of them were ever active.
        signals: computes signals, where the tables are.
    """

    known: Known
    issues: list[Issue]
    customers: int
    active: int
    signals: Signals

    @property
    def sample(self) -> dict[str, int]:
        """How many of how many are learnt from; empty for all."""
        count = len(self.known.customers)
        return {"customers": count, "of_customers": self.customers} if count < self.customers else {}

    @property
    def notes(self) -> list[str]:
        """What the reader of the result should know about the sample."""
        if not self.sample:
            return []
        return [f"trained on {len(self.known.customers):,} of {self.customers:,} customers, a sample of every stratum"]


def lesson_of(config: Config, *, progress: Progress) -> AbstractContextManager[Lesson]:
    """Returns what to learn from, `[engine] training_customers` of it; signals can be computed inside the block.

    Raises:
        ChurnError: unusable tables, or no Spark where it is asked for.
    """
    if config.engine.kind == "spark":
        return _from_cluster(config, progress)
    return nullcontext(lesson_here(config, progress=progress))


def lesson_here(
    config: Config, *, progress: Progress, look: Callable[[Mapping[str, pa.Table]], None] = lambda _: None,
    columns: Mapping[str, Collection[str]] = NO_COLUMNS,
) -> Lesson:  # fmt: skip
    """Returns what to learn from, read on this machine.

    Args:
        config: the project.
        progress: told what goes on.
        look: shown the tables of every bucket of customers, with all of their columns.
        columns: all that is held of a table; everything of a table that is not named.

    Raises:
        ChurnError: unusable tables.
    """
    progress("reading tables")
    with open_buckets(config, work=config.directory / WORK, share=_SHARE, progress=progress) as buckets:
        told, bases = [], []
        known: Known | None = None
        pace = Pace("looking at who comes", total=buckets.count, progress=progress, unit="customers")
        for number in range(buckets.count):
            known = None  # one bucket at a time
            tables = buckets.read(number)
            look(tables)
            known = prepare(_narrowed(tables, columns), config=config)
            del tables
            told.append(attendance(known))
            bases.append(known.base)
            if buckets.count > 1:
                pace.tell(len(known.customers))
        everybody = appended(told)
        chosen = sampled(everybody, config.engine.training_customers)
        if known is None or buckets.count > 1 or len(chosen) < len(everybody.customers):
            known = None
            known = prepare(_tables_of(buckets, chosen, columns), config=config, base=together(bases))
    give_back()
    signals = partial(_signals_here, config.engine.thread_count)
    return Lesson(known, buckets.issues, len(everybody.customers), everybody.active, signals)


def _narrowed(tables: Mapping[str, pa.Table], columns: Mapping[str, Collection[str]]) -> dict[str, pa.Table]:
    """The tables with those of their columns that are to be held."""
    return {
        name: table.select([column for column in table.column_names if column in columns[name]])
        if name in columns else table for name, table in tables.items()
    }  # fmt: skip


def _tables_of(buckets: Buckets, chosen: pa.Array, columns: Mapping[str, Collection[str]]) -> dict[str, pa.Table]:
    """The rows of the chosen customers, in the order of the contract whatever the buckets."""
    pieces: dict[str, list[pa.Table]] = {}
    for number in range(buckets.count):
        for name, table in _narrowed(buckets.read(number), columns).items():
            here = table.filter(pc.is_in(table["customer_id"], value_set=chosen))
            pieces.setdefault(name, []).append(here)
    return {name: merged(parts) for name, parts in pieces.items()}


def _signals_here(
    threads: int, known: Known, frame: pd.DataFrame, recipes: Sequence[Recipe], target: Target, prior: Prior
) -> pd.DataFrame:
    return signals_of(known, frame, recipes, target=target, prior=prior, threads=threads)


@contextmanager
def _from_cluster(config: Config, progress: Progress) -> Iterator[Lesson]:
    progress("starting Spark")
    with (
        work_folder((config.directory / WORK).absolute(), key=None) as folder,
        spark_session(config, folder=folder) as session,
    ):
        scattered = scatter(session, config)
        progress(f"reading tables on Spark, {scattered.buckets:,} buckets")
        found, base, everybody = _surveyed(scattered, config)
        issues = found_in(scattered, found, config=config)
        chosen = sampled(everybody, config.engine.training_customers)
        rows = _rows_of(scattered, chosen)
        gleaned = glean(rows.toArrow().to_batches(), scattered.schemas, config)
        known = prepare(gleaned.tables, config=config, base=base)
        signals = partial(_signals_on_cluster, session, rows, scattered, config)
        try:
            yield Lesson(known, issues, len(everybody.customers), everybody.active, signals)
        finally:
            rows.unpersist()
            scattered.rows.unpersist()


def _surveyed(scattered: Scattered, config: Config) -> tuple[list[dict[str, Any]], Base, Attendance]:
    """What was found while reading, the base, and how often and since when everybody comes."""
    made = partial(_survey_bucket, schemas=schemas_text(scattered.schemas), config=text_of(config))
    surveyed = scattered.rows.mapInArrow(made, "told STRING, customer_id STRING, days BIGINT, first BIGINT").toArrow()
    told = [json.loads(text) for text in surveyed["told"].drop_null().to_pylist()]
    people = surveyed.filter(pc.is_valid(surveyed["customer_id"])).combine_chunks()
    days, first = (np.asarray(people[name], np.int64) for name in ("days", "first"))
    ids = people["customer_id"].cast(pa.string()).combine_chunks()
    base = together(base_told(one["base"]) for one in told)
    return [one["found"] for one in told], base, Attendance(ids, days, first)


def _rows_of(scattered: Scattered, chosen: pa.Array) -> DataFrame:
    """The rows of some customers, in their buckets."""
    from pyspark import StorageLevel

    ids = packed_for(0, pa.table({"customer_id": chosen}), tag=_CHOSEN)
    made = partial(few, schemas=schemas_text(scattered.schemas), chosen=ids.column("rows")[0].as_py())
    return scattered.rows.mapInArrow(made, PARCELS_SQL).persist(StorageLevel.DISK_ONLY)


def _signals_on_cluster(
    session: SparkSession, tables: DataFrame, scattered: Scattered, config: Config, known: Known, frame: pd.DataFrame,
    recipes: Sequence[Recipe], target: Target, prior: Prior,
) -> pd.DataFrame:  # fmt: skip
    """The same as `signals_of`, to the last bit, computed where the rows are."""
    cutoffs = [int(at) for at in np.unique(frame["at"])]
    asked = Asked(
        tuple(recipes), prior, target.horizon_days, target.gap_days, target.timezone, target.activity,
        covers_from={at: known.covered_at(at) for at in cutoffs},
    )  # fmt: skip
    schemas = schemas_text({**scattered.schemas, ROWS: ROWS_SCHEMA})
    ids = known.customers.take(pa.array(frame["customer"].to_numpy()))
    rows = pa.table([ids, pa.array(frame["at"].to_numpy())], schema=ROWS_SCHEMA)
    buckets = scattered.buckets
    union = in_buckets([tables, parcelled(session, rows, tag=ROWS, buckets=buckets)], buckets)
    made = partial(_signals_bucket, schemas=schemas, config=text_of(config), asked=json.dumps(asked.to_dict()))
    answers = union.mapInArrow(made, columns_sql(asked)).toArrow()
    return _in_order(answers, known, frame, asked.recipes)


def _in_order(answers: pa.Table, known: Known, frame: pd.DataFrame, recipes: Sequence[Recipe]) -> pd.DataFrame:
    """The answers as the frame's rows stand; there is one for each (customer, cutoff)."""
    given = np.lexsort([np.asarray(answers["at"]), known.codes_of(answers["customer_id"])])
    wanted = np.lexsort([frame["at"], frame["customer"]])
    place = np.empty_like(given)
    place[wanted] = given
    columns: Mapping[str, Any] = {
        recipe.name: np.asarray(answers[recipe.name], np.float32)[place] for recipe in recipes
    }
    return pd.DataFrame(columns, index=frame.index, copy=False)


def few(batches: Iterator[pa.RecordBatch], *, schemas: str, chosen: bytes) -> Iterator[pa.RecordBatch]:
    """Yields the rows of the chosen customers of a bucket, as they came, with what came beside them."""
    wanted = pa.ipc.open_stream(chosen).read_all()["customer_id"]
    told = schemas_of(schemas)
    held = list(batches)
    bucket = held[0].column("bucket")[0].as_py() if held else 0
    for tag, rows in unpacked(held, told).items():
        few = (
            rows.filter(pc.is_in(rows["customer_id"], value_set=wanted)) if "customer_id" in rows.column_names else rows
        )
        yield packed_for(bucket, few, tag=tag)


def _survey_bucket(batches: Iterator[pa.RecordBatch], *, schemas: str, config: str) -> Iterator[pa.RecordBatch]:
    """What a task tells of its bucket, and of everybody in it."""
    project = config_of(config)
    gleaned = glean(batches, schemas_of(schemas), project)
    known = prepare(gleaned.tables, config=project)
    told = {"found": gleaned.found, "base": known.base.to_dict()}
    here = attendance(known)
    count = len(here.customers)
    yield from pa.table({
        "told": pa.array([json.dumps(told), *[None] * count], pa.string()),
        "customer_id": pa.array([None, *here.customers.to_pylist()], pa.string()),
        "days": np.append(0, here.days), "first": np.append(0, here.first),
    }).to_batches()  # fmt: skip


def _signals_bucket(
    batches: Iterator[pa.RecordBatch], *, schemas: str, config: str, asked: str
) -> Iterator[pa.RecordBatch]:
    """The signals of the rows that are asked for in a bucket of raw tables."""
    gleaned = glean(batches, schemas_of(schemas), config_of(config))
    yield from delivered(gleaned.tables, gleaned.others[ROWS], asked)
