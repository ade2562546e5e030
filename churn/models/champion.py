"""The champion: the one bundle that scoring uses unless told otherwise."""

from __future__ import annotations

import json
import re
from pathlib import Path

from churn.errors import BundleError
from churn.tables.atomic import write_atomically

POINTER = "champion.json"
_MODEL_ID = re.compile(r"[0-9a-f]{16}")


def promote(home: Path) -> None:
    """Makes the bundle in `home` the champion of its folder, atomically.

    Raises:
        OutputError: the folder cannot be written.
    """
    text = json.dumps({"model_id": home.name})
    write_atomically(home.parent / POINTER, lambda new: new.write_text(text, encoding="utf-8"))


def champion_of(models: Path) -> Path | None:
    """Returns the champion's folder, or None when nothing has been promoted.

    Raises:
        BundleError: the pointer is damaged or names a bundle that isn't there.
    """
    pointer = models / POINTER
    if not pointer.is_file():
        return None
    try:
        name = json.loads(pointer.read_text(encoding="utf-8"))["model_id"]
    except (ValueError, KeyError, TypeError):
        raise BundleError(f"{pointer} is damaged; train again with: churn train") from None
    if not isinstance(name, str) or not _MODEL_ID.fullmatch(name):
        raise BundleError(f"{pointer} is damaged (it names no model id); train again with: churn train")
    home = models / name
    if not home.is_dir():
        raise BundleError(f"{pointer} names the bundle {name}, which is not in {models}; train again with: churn train")
    return home


def newest_of(models: Path) -> Path | None:
    """Returns the bundle written last, or None when there is none."""
    homes = [path.parent for path in models.glob("*/bundle.json") if not path.parent.name.startswith(".")]
    return max(homes, key=lambda home: ((home / "bundle.json").stat().st_mtime, home.name), default=None)
