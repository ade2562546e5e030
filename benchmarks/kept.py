"""Kept: the parts of a benchmark that are measured already, a file each, so that a run that was stopped goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from figures import Check, Part, Table

Measured = tuple[Part, tuple[str, ...]]
"""A part, and what was skipped in it and why."""


def kept(folder: Path | None, name: str, *, of: dict[str, str], measure: Callable[[], Measured]) -> Measured:
    """Returns what is measured, or what the folder keeps of an earlier run of the same; measures anew without a folder.

    Args:
        folder: made where it is absent.
        name: of the part.
        of: what was measured, such as the version; what a file keeps must be of the same.
        measure: called where nothing is kept.

    Raises:
        ValueError: the folder keeps something else under this name.
    """
    if folder is None:
        return measure()
    path = folder / f"{name.replace(' ', '-')}.json"
    if path.is_file():
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["of"] != of:
            raise ValueError(f"{path} is of {told['of']}, this run of {of}: give another folder to --keep")
        return _part(told["part"]), tuple(told["skipped"])
    part, skipped = measure()
    folder.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"of": of, "part": asdict(part), "skipped": skipped}), encoding="utf-8")
    draft.replace(path)
    return part, skipped


def _part(told: dict[str, Any]) -> Part:
    tables = [Table(one["about"], tuple(one["header"]), [tuple(row) for row in one["rows"]]) for one in told["more"]]
    return Part(
        told["name"], told["title"], [Check(**check) for check in told["checks"]], tuple(told["header"]),
        [tuple(row) for row in told["rows"]], told["notes"], told["figures"], tables,
    )  # fmt: skip
