"""The record of a training: what its result tells, its pictures and page, and the MLflow run that keeps them."""

from __future__ import annotations

import json
import time
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from churn.config import Config
from churn.delivery.page import report_page
from churn.delivery.plain import plain
from churn.delivery.plots import draw
from churn.delivery.tracking import track_run
from churn.errors import ChurnError
from churn.jobs.schedule import Schedule
from churn.models.backtest import Material
from churn.models.baselines import BASELINES
from churn.models.factors import Factors
from churn.models.frame import why_not
from churn.tables.atomic import in_plain_words, write_atomically
from churn.timeline.population import counts_of


def record_of(home: Path) -> Path:
    """Returns the folder with the record of a bundle's training: result, pictures and page."""
    return home.with_name(f"{home.name}.training")


def keep_record(
    result: dict[str, Any],
    pictures: dict[str, bytes],
    *,
    config: Config,
    home: Path,
    data: dict[str, str],
    started: float,
) -> tuple[str | None, list[str]]:
    """Writes result, pictures and page beside the bundle, and returns the id of the run that tracks them, or warnings.

    A store that fails costs the run, never the model. `started` is the training's, of `time.monotonic`: the run holds
    its duration, the result doesn't, so that the same training is the same bytes.

    Raises:
        OutputError: the folder of the models cannot be written.
    """
    page = report_page(result, plots=pictures, currency=config.currency)
    record = record_of(home)
    with in_plain_words(record):
        record.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        write_atomically(record / f"{name}.png", methodcaller("write_bytes", picture))
    write_atomically(record / "report.html", lambda new: new.write_text(page, encoding="utf-8"))
    text = json.dumps(plain(result), indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(record / "result.json", lambda new: new.write_text(text, encoding="utf-8"))
    try:
        run_id = track_run(
            result, config=config, bundle=home, plots=pictures, page=page, fingerprint=data,
            seconds=time.monotonic() - started,
        )  # fmt: skip
    except ChurnError as error:
        return None, list(error.problems)
    return run_id, []


def pictures_of(
    result: dict[str, Any], predictions: pd.DataFrame, values: npt.NDArray[np.float64], explained: pd.DataFrame
) -> dict[str, bytes]:
    """Returns every picture of the run by name, as PNG; `values` are of features in the `explained` rows."""
    scores = {"model": predictions["p_leave"].to_numpy()}
    scores |= {name: predictions[f"rank:{name}"].to_numpy() for name in BASELINES if name != "base_rate"}
    outcome = predictions["has_left"].to_numpy(float)
    return draw(result, outcome=outcome, scores=scores, contributions=values, features=explained)


def population_of(material: Material, schedule: Schedule, predictions: pd.DataFrame) -> dict[str, Any]:
    """Returns per test cutoff who was eligible, why others were not, who left, and who could be heard."""
    found = {}
    for cutoff in schedule.tests:
        removed = counts_of(why_not(material.known, schedule.target, cutoff, prior=material.prior))
        here = predictions[predictions["at"] == cutoff.at]
        status = here["voice_status"].value_counts()
        quiet = here[here["voice_status"] == "quiet"]
        is_silent = quiet["has_left"] & ~quiet["has_spoken"]
        found[cutoff.label] = {
            "customers": len(material.known.customers),
            "eligible": removed.pop("eligible"),
            "removed": removed,
            "leave_rate": _mean(here["has_left"]),
            "leavers": int(here["has_left"].sum()),
            **{name: int(status.get(name, 0)) for name in ("quiet", "already_vocal", "unobservable")},
            "treated": int(here["is_treated"].sum()),
            "silent_rate": _mean(is_silent),
            "silent_share": _mean(is_silent[quiet["has_left"]]),
        }
    return found


def silence_of(factors: Factors, predictions: pd.DataFrame) -> dict[str, Any]:
    """Returns whether silence is modelled, why not, and the share of all leavers heard of that had said nothing."""
    heard = predictions[predictions["has_left"] & (predictions["voice_status"] != "unobservable")]
    is_silent = (heard["voice_status"] == "quiet") & ~heard["has_spoken"]
    return {"is_modelled": factors.silent is not None, "why": factors.why_no_silent, "share": _mean(is_silent)}


def strengths_of(by_signal: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns how strongly each signal moves the raw margin: mean |contribution| and its share, strongest first."""
    strength = by_signal.abs().mean().sort_values(ascending=False, kind="stable")
    total = float(strength.sum()) or 1.0
    return [
        {"signal": str(name), "mean_abs": float(value), "share": float(value) / total}
        for name, value in strength.items()
    ]


def _mean(flags: pd.Series[bool]) -> float | None:
    return float(flags.mean()) if len(flags) else None
