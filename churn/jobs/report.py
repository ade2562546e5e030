"""`churn report`: one self-contained page about a training run and, if given, a scored list."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from churn.config import Config
from churn.delivery.files import read_scores
from churn.delivery.page import report_page
from churn.errors import BundleError, OutputError
from churn.jobs.opened import find_bundle
from churn.jobs.outputs import check_page_out
from churn.jobs.record import record_of
from churn.jobs.scoring import COLUMNS
from churn.tables.atomic import write_atomically


def report(
    config: Config,
    *,
    out: Path,
    scores: Path | None,
    bundle: Path | None,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Writes the page and returns where it is; about the model that made the scores, unless a bundle is given.

    Raises:
        BundleError: no model, or its training record is missing.
        OutputError: the scores cannot be read, are of another model, or the page cannot be written.
    """
    check_page_out(out)
    listed = _listed(scores) if scores is not None else None
    home, warnings = _home(config, bundle, listed)
    result, pictures = _training_of(home)
    progress("rendering")
    page = report_page(result, plots=pictures, scores=listed, currency=config.currency)
    write_atomically(out, lambda new: new.write_text(page, encoding="utf-8"))
    return {"out": str(out), "model_id": home.name, "warnings": warnings}


def _listed(path: Path) -> pd.DataFrame:
    listed = read_scores(path)
    missing = [name for name in COLUMNS if name not in listed.columns]
    if missing:
        raise OutputError(
            f"{path} is no list of scores (no {', '.join(missing[:3])}); "
            "write one with: churn score --out scores.parquet"
        )
    return listed


def _home(config: Config, bundle: Path | None, listed: pd.DataFrame | None) -> tuple[Path, list[str]]:
    """The bundle the page is about: the one that made the scores, where it is at hand."""
    made_by = sorted(listed["model_id"].dropna().unique()) if listed is not None else []
    if bundle is None and len(made_by) == 1:
        home = config.resolve(config.models) / str(made_by[0])
        if home.name == made_by[0] and home.is_dir():
            return home, []
    home, warnings = find_bundle(config, bundle)
    if made_by and made_by != [home.name]:
        raise OutputError(
            f"the scores were made by model {', '.join(made_by)}, and {home} is another; "
            "name the folder of that model with --bundle, or score again: churn score --out scores.parquet"
        )
    return home, warnings


def _training_of(home: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The record of the bundle's training: its result and its pictures."""
    record = record_of(home)
    if not (record / "result.json").is_file():
        raise BundleError(f"{record} holds no record of the training; train again with: churn train")
    try:
        result = json.loads((record / "result.json").read_text(encoding="utf-8"))
    except ValueError:
        raise BundleError(f"{record / 'result.json'} is damaged; train again with: churn train") from None
    return result, {path.stem: path.read_bytes() for path in sorted(record.glob("*.png"))}
