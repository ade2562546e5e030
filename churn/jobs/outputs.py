"""Outputs: where a command may write, asked before the work rather than after it."""

from __future__ import annotations

from pathlib import Path

from churn.config import Config
from churn.delivery.files import check_scores_path
from churn.errors import ChurnError, OutputError
from churn.tables.atomic import check_path
from churn.tables.files import files_of

PAGE_SUFFIXES = (".html", ".htm")


def check_scores_out(out: Path, *, config: Config, listed: Path | None = None) -> None:
    """Refuses a file for scores that cannot be written, or that the scores are made from.

    Raises:
        OutputError: another suffix, a folder that is missing or read-only, or one of the project's own inputs.
    """
    check_scores_path(out)
    inputs = [*_inputs(config), *([listed] if listed is not None else [])]
    if any(_is_same(out, path) for path in inputs):
        raise OutputError(f"--out {out} is one of the files read; scores would overwrite it: choose another name")


def check_page_out(out: Path) -> None:
    """Refuses a file for a page that cannot be written or is not called a page.

    Raises:
        OutputError: another suffix than .html, or a folder that is missing or read-only.
    """
    if out.suffix.lower() not in PAGE_SUFFIXES:
        raise OutputError(f"--out {out}: the page is HTML; use a name that ends in .html")
    check_path(out)


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
