"""About a file of scores: what made it and what it holds, in a file beside it; so nothing is done twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from churn.tables.atomic import write_atomically

SUFFIX = ".about.json"
_DIGEST = "sha256"


def about_path(out: Path) -> Path:
    """Returns where what is told about `out` stands.

    >>> about_path(Path("scores.csv")).name
    'scores.csv.about.json'
    """
    return out.with_name(f"{out.name}{SUFFIX}")


def write_about(out: Path, told: Mapping[str, str]) -> None:
    """Writes what is told about a file of scores, and the SHA-256 of the file, beside it."""
    text = json.dumps({**told, _DIGEST: _digest(out)}, indent=1, sort_keys=True, ensure_ascii=False)
    write_atomically(about_path(out), lambda new: new.write_text(f"{text}\n", encoding="utf-8"))


def about(out: Path) -> dict[str, str] | None:
    """Returns what is told about a file of scores; None where nothing is, or the file has been changed since."""
    try:
        told = json.loads(about_path(out).read_text(encoding="utf-8"))
        is_same = isinstance(told, dict) and told.pop(_DIGEST, None) == _digest(out)
    except (OSError, ValueError):
        return None
    return told if is_same else None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
