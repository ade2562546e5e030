"""Inputs: what a model was trained with, and whether the tables have it; asked before any row is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from churn.config import Config
from churn.errors import TableError
from churn.models.bundle import Bundle
from churn.tables.raw import raw_columns
from churn.tables.sources import each_table

UNREAD = {"text", "ended_reason"}
"""Columns that no signal reads: a list is the same without them."""


def input_columns(config: Config) -> dict[str, list[str]]:
    """Returns the columns of the contract that each configured table's source has; no row is read.

    Raises:
        TableError: a source is not there, or lacks a column it must have; names every problem of every table.
    """
    columns: dict[str, list[str]] = {}

    def describe(name: str) -> None:
        columns[name] = raw_columns(name, config=config)

    each_table(config, describe)
    return columns


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
            # Where rows happen, they are known from then on unless the source says later.
            gone = {*columns} - {*tables[name], "available_at"} - UNREAD
            missing += sorted(f"{name}.{column}" for column in gone)
    if not missing:
        return []
    told = f"the model was trained with {', '.join(missing)}, absent now: their signals are null"
    if config.missing_table == "refuse":
        fix = 'give what is missing in churn.toml, or set missing_table = "warn" to score without it'
        raise TableError(f"{told}; {fix}")
    return [told]
