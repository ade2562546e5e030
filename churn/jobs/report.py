"""`churn report`: one self-contained page about a training run and, if given, a scored list."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from churn.config import Config
from churn.delivery.files import read_scores, write_atomically
from churn.delivery.page import report_page
from churn.errors import BundleError
from churn.jobs.score import find_bundle


def report(
    config: Config, *, out: Path, scores: Path | None, bundle: Path | None, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Writes the page and returns where it is.

    Raises:
        BundleError: no model, or its training record is missing.
        OutputError: the scores cannot be read or the page not be written.
    """
    home, _ = find_bundle(config, bundle)
    record = record_of(home)
    if not (record / "result.json").is_file():
        raise BundleError(f"{record} holds no record of the training; train again with: churn train")
    progress("rendering")
    result = json.loads((record / "result.json").read_text(encoding="utf-8"))
    pictures = {path.stem: path.read_bytes() for path in sorted(record.glob("*.png"))}
    listed = read_scores(scores) if scores is not None else None
    page = report_page(result, plots=pictures, scores=listed, currency=config.currency)
    write_atomically(out, lambda new: new.write_text(page, encoding="utf-8"))
    return {"out": str(out), "model_id": home.name}


def record_of(home: Path) -> Path:
    """Returns the folder with the record of a bundle's training: result, pictures and page."""
    return home.with_name(f"{home.name}.training")
