"""Tuning: the trees' settings chosen before the first test cutoff, with the time that is left told on the way."""

from __future__ import annotations

import time
from dataclasses import replace

from churn.models.backtest import Material
from churn.models.tuning import Tuned, tune
from churn.tables.pace import Progress, Step, duration


def tuned_by(material: Material, *, by: int, trials: int, progress: Progress) -> tuple[Material, Tuned]:
    """Returns the material with its trees to be grown as the trials say, and what came of them.

    Only what was settled at the moment `by`, the first test cutoff, is looked at: the backtest that follows has nothing
    in it that the settings were chosen for.
    """
    started = time.monotonic()

    def told(done: int, best: float) -> None:
        left = (time.monotonic() - started) / done * (trials - done)
        rest = f", {duration(left)} left" if done < trials else ""
        progress(Step(f"tuning: {done} of {trials} trials, log loss {best:.4f}{rest}", done=done, total=trials))

    progress(f"tuning: {trials} trials, on what was known before the first test cutoff")
    rows, cutoffs, _ = material.training_rows(by)
    tuned = tune(
        rows, customers=material.frame["customer"].to_numpy(), cutoffs=cutoffs,
        grace_days=material.target.grace_days, growing=material.growing, trials=trials, told=told,
    )  # fmt: skip
    return replace(material, growing=replace(material.growing, settings=tuned.settings)), tuned
