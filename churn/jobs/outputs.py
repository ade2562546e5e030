"""Outputs: where a command may write, asked before the work rather than after it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from churn.config import Config, Output
from churn.delivery.database import check_scores_table, write_scores_to
from churn.delivery.files import check_scores_path
from churn.delivery.workbook import MOST_ROWS, check_workbook
from churn.errors import ChurnError, ConfigError, OutputError
from churn.jobs.explained import Explained
from churn.tables.atomic import check_path
from churn.tables.files import files_of

PAGE_SUFFIXES = (".html", ".htm")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a list goes.

    Attributes:
        out: a file, or None.
        to_database: whether it goes to the table of `[output]`.
        has_bom: whether a CSV begins with a byte order mark.
        is_list: whether the customers were named, and each of them gets her row in any format.
    """

    out: Path | None = None
    to_database: bool = False
    has_bom: bool = False
    is_list: bool = False

    @property
    def is_any(self) -> bool:
        """Whether it goes anywhere."""
        return self.out is not None or self.to_database


def check_destination(
    destination: Destination, *, config: Config, explained: Explained | None, columns: Sequence[str]
) -> None:
    """Refuses at once what would be refused after the work.

    Raises:
        ConfigError: there is no `[output]`.
        OutputError: as `check_scores_out` and `check_scores_database`, a byte order mark for another format than CSV,
            or more rows than a workbook can hold.
    """
    out = destination.out
    if out is not None:
        check_scores_out(out, config=config)
        suffix = out.suffix.lower()
        if destination.has_bom and suffix != ".csv":
            raise OutputError(f"{out}: only a CSV file can begin with a byte order mark; leave out --bom")
        if suffix == ".xlsx" and explained is not None and explained.count > MOST_ROWS:
            raise OutputError(f"{out}: a sheet holds {MOST_ROWS:,} customers; write .parquet, or --reasons top:100000")
    if destination.to_database:
        check_scores_database(config, columns=columns)


def check_scores_out(out: Path, *, config: Config, listed: Path | None = None) -> None:
    """Refuses a file for scores that cannot be written, or that the scores are made from.

    Raises:
        OutputError: another suffix, a folder that is missing or read-only, one of the project's own inputs, or an
            .xlsx without the library that writes it.
    """
    check_scores_path(out)
    if out.suffix.lower() == ".xlsx":
        check_workbook()
    inputs = [*_inputs(config), *([listed] if listed is not None else [])]
    if any(_is_same(out, path) for path in inputs):
        raise OutputError(f"--out {out} is one of the files read; scores would overwrite it: choose another name")


def check_scores_database(config: Config, *, columns: Sequence[str]) -> None:
    """Refuses a table of `[output]` that scores with these columns cannot be written to.

    Raises:
        ConfigError: there is no `[output]`.
        OutputError: no server, no right to write, or a table that lacks a column.
    """
    output = _output_of(config)
    check_scores_table(columns, url=output.url.get_secret_value(), table=output.table)


def store_scores(scores: pd.DataFrame | pa.RecordBatchReader, config: Config, *, is_whole: bool) -> None:
    """Writes scores to the table of `[output]`, in the place of everybody's of the same cutoff and model or, unless
    the list is the whole of it, of the listed customers'.

    Raises:
        OutputError: as `check_scores_database`, or the connection broke off; the old rows stand then.
    """
    output = _output_of(config)
    write_scores_to(scores, url=output.url.get_secret_value(), table=output.table, is_whole=is_whole)


def check_models_folder(config: Config) -> None:
    """Refuses a folder for models that cannot be made or written; nothing is made here.

    Raises:
        OutputError: it is a file, or read-only.
    """
    models = config.resolve(config.models)
    there = next(path for path in (models, *models.parents) if path.exists())
    fix = "set `models` in churn.toml to another folder"
    if not there.is_dir():
        raise OutputError(f"no model can be kept in {models}: {there} is a file, not a folder; {fix}")
    if not os.access(there, os.W_OK):
        raise OutputError(f"no model can be kept in {models}: {there} is read-only for you; {fix}")


def check_page_out(out: Path) -> None:
    """Refuses a file for a page that cannot be written or is not called a page.

    Raises:
        OutputError: another suffix than .html, or a folder that is missing or read-only.
    """
    if out.suffix.lower() not in PAGE_SUFFIXES:
        raise OutputError(f"--out {out}: the page is HTML; use a name that ends in .html")
    check_path(out)


def _output_of(config: Config) -> Output:
    if config.output is None:
        raise ConfigError(
            "churn.toml names no table to write scores to; add a section [output] with "
            'url = "postgresql://user:${PGPASSWORD}@host/database" and table = "churn_scores"'
        )
    return config.output


def _inputs(config: Config) -> list[Path]:
    patterns = [
        pattern for table in config.tables.values() for pattern in (table.path, *table.files.values()) if pattern
    ]
    found = []
    for pattern in patterns:
        try:
            found += files_of(config, pattern)
        except ChurnError:  # A file that isn't there is told when the tables are read, and can't be overwritten.
            continue
    return found


def _is_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()
