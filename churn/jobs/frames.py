"""Frames: tables that are in memory already, scored as those of a project are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from churn.config import TABLE_NAMES, Config, TableSource
from churn.delivery.files import plain_table
from churn.errors import TableError, did_you_mean
from churn.jobs.bucketwise import Bucketwise
from churn.jobs.explained import explained_from
from churn.jobs.inputs import missing_inputs
from churn.jobs.moments import moment_from
from churn.jobs.opened import Opened, opened_at
from churn.jobs.order import Order
from churn.jobs.outputs import Destination
from churn.jobs.score import scored_by
from churn.models.bundle import Bundle
from churn.tables.buckets import Buckets
from churn.tables.contract import CONTRACT
from churn.tables.findings import Issue
from churn.tables.ordering import repeated_issue, settled
from churn.tables.pace import Progress
from churn.tables.raw import raw_rows
from churn.tables.rows import BUCKET, Sieve
from churn.tables.sources import each_table


def score(
    tables: Mapping[str, pd.DataFrame] | pd.DataFrame, *, bundle: str | Path, customers: Sequence[str] | None = None,
    at: str | None = None, reasons: str = "all", config: Config | None = None, progress: Progress = lambda _: None,
) -> pd.DataFrame:  # fmt: skip
    """Returns the scores of everybody by risk, or of `customers` in their order: one row each, as `churn score` does.

    The same checks, signals, numbers and words as those of the command; no file is read or written but the bundle.
    What the user should know (rows dropped, labels not learnt, drift) stands in `frame.attrs["warnings"]`.

    Args:
        tables: frames by the names of the contract's tables, each with the contract's column names; one frame alone is
            `transactions`. `customers` brings the attributes of the model's training along, valid from the beginning.
        bundle: the folder of a trained model.
        customers: ids as text; every one gets a row, scored or with the reason why not.
        at: the moment of prediction, such as 2025-03-01; default the midnight (UTC) after the last activity.
        reasons: whose scores come with reasons: `all`, `top:N` by value at risk, or `above:P`.
        config: bands, owners, currency, time zone and `missing_table`; its tables are not read. Default: the usual
            ones, in the time zone of the training.
        progress: told what goes on.

    Raises:
        ChurnError: an id is no text, a table or column that the model needs is missing, a table is unusable, or the
            bundle is damaged.
    """
    if customers is not None and (isinstance(customers, str) or not all(isinstance(each, str) for each in customers)):
        raise TableError("customers must be a list of ids as text, such as ['00123']")
    named = {"transactions": tables} if isinstance(tables, pd.DataFrame) else dict(tables)
    opened = opened_at(Path(bundle))
    project = _project(named, opened.bundle, config)
    made, issues = _read(named, project)
    missing_inputs(opened.bundle, {name: table.column_names for name, table in made.items()}, project)
    engine = Bucketwise(project, Buckets(1, issues, tuple(made), None, made), progress)
    order = Order(customers, moment_from(at, project), explained_from(reasons))
    return _framed(engine, opened, order)


def _framed(engine: Bucketwise, opened: Opened, order: Order) -> pd.DataFrame:
    scored = scored_by(engine, opened, order, Destination(is_list=order.customers is not None))
    assert scored.scores is not None  # nothing was written, and all is in memory
    scored.scores.attrs["warnings"] = list(scored.warnings)
    return scored.scores


def _project(named: Mapping[str, pd.DataFrame], bundle: Bundle, config: Config | None) -> Config:
    """The project that the frames would be the tables of."""
    unknown = [f'"{name}" is no table{did_you_mean(name, TABLE_NAMES)}' for name in named if name not in TABLE_NAMES]
    if unknown:
        raise TableError(f"{problem} (tables: {', '.join(TABLE_NAMES)})" for problem in unknown)
    learnt = bundle.training.get("columns", {}).get("customers", [])
    attributes = {name: "static" for name in learnt if name not in CONTRACT["customers"].names}
    sources = {
        name: TableSource(path=f"{name} (a frame)", attributes=attributes if name == "customers" else {})
        for name in named
    }
    base = config or Config(tables={"transactions": TableSource(path="")}, timezone=bundle.target.timezone)
    engine = base.engine.model_copy(update={"kind": "local", "master": None})
    return base.model_copy(update={"tables": sources, "engine": engine})


def _read(named: Mapping[str, pd.DataFrame], config: Config) -> tuple[dict[str, pa.Table], list[Issue]]:
    """The frames as the contract asks, and what was found while reading."""
    made: dict[str, pa.Table] = {}
    issues: list[Issue] = []

    def read(name: str) -> None:
        given = plain_table(named[name]).to_reader()
        with raw_rows(name, config=config, given=given) as raw:
            sieve = Sieve(name, raw.columns, zone=config.timezone)
            rows = [sieve.sift(batch.drop_columns(BUCKET)) for batch in raw.batches]
            found = [*raw.issues, *sieve.issues()]
        made[name], repeated = settled(rows, table=name, duplicates="drop")
        issues.extend([*found, *repeated_issue(len(repeated), repeated, table=name, duplicates="drop")])

    each_table(config, read)
    return made, issues
