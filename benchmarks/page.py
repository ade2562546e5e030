"""The page of results: the tables of a full run, the command that made them, and every run on the test cutoffs."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import re
from pathlib import Path

from figures import Results, table

LOG_HEADING = "## Runs on the test cutoffs"
LOG_HEADER = ("date", "version", "figures", "targets")
BLOCKS = ("accuracy", "protocols")
"""What a page holds before its log, in this order; each benchmark rewrites its own block and leaves the other."""
_MARK = re.compile(r"^<!-- made by (\w+) -->$", re.MULTILINE)
_ABOUT = """\
# Results

Written by the benchmarks, not by hand: each block says by which command. Every figure of a model is the mean of the
cutoffs; an interval is 95 % over customers drawn jointly for all cutoffs (it doesn't cover shocks that all customers
share). Figures marked "elsewhere" were measured elsewhere on the same protocol; all others come from these runs."""
_MADE = """\
Version {version}, {date}; Python {python}, {cores} cores:

    {command}"""
_LOG = """\
The test cutoffs are for judging a frozen version, once: whoever looks at them to choose between two models has begun
to fit them. So every run on them is listed here, the good and the bad, and choices are made on the development cutoffs
that `benchmarks/README.md` names."""


def day(text: str) -> str:
    """Returns the text if it is a day, for argparse: it would ask for one otherwise."""
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'"{text}" is no date; write it as 2025-03-01') from None
    return text


def log_row(results: Results, *, version: str, date: str) -> tuple[str, ...]:
    """Returns the line of a run for the log."""
    figures = "; ".join(
        f"{part.name} " + ", ".join(f"{name} {value}" for name, value in part.figures.items())
        for part in results.parts
        if part.figures
    )
    return (date, version, figures, "short: " + "; ".join(results.short) if results.short else "all met")


def earlier_runs(page: Path) -> list[tuple[str, ...]]:
    """Returns the lines of the log on an existing page, oldest first; none where there is no page.

    Raises:
        ValueError: the page is there but holds no log: it isn't ours to overwrite.
    """
    if not page.exists():
        return []
    _, heading, log = page.read_text(encoding="utf-8").partition(LOG_HEADING)
    if not heading:
        raise ValueError(f'{page} has no section "{LOG_HEADING}": it was not written by this benchmark')
    rows = [line for line in log.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in rows[2:]]


def write_page(page: Path, results: Results, *, block: str, command: str, version: str, date: str) -> None:
    """Writes the page with this run's tables in its block, the other block as it was, and this run added to the log.

    Raises:
        ValueError: the page is there and isn't ours to overwrite.
    """
    runs = [*earlier_runs(page), log_row(results, version=version, date=date)]
    made = _MADE.format(
        command=command, version=version, date=date, python=platform.python_version(), cores=os.cpu_count()
    )
    blocks = {**_earlier_blocks(page), block: f"{made}\n\n{results.to_text()}"}
    told = [f"<!-- made by {name} -->\n\n{blocks[name]}" for name in BLOCKS if name in blocks]
    text = "\n\n".join([_ABOUT, *told, LOG_HEADING, _LOG, table(LOG_HEADER, runs)])
    draft = page.with_name(f".{page.name}.draft")
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(page)


def _earlier_blocks(page: Path) -> dict[str, str]:
    """The blocks of an existing page by name; on a page without marks all of it is of the protocols."""
    if not page.exists():
        return {}
    text = page.read_text(encoding="utf-8").partition(LOG_HEADING)[0]
    _, *marked = _MARK.split(text)
    if marked:
        return {name: told.strip() for name, told in zip(marked[::2], marked[1::2], strict=True)}
    start = text.find("\n## ")
    return {"protocols": text[start:].strip()} if start >= 0 else {}
