"""One trial of the promotion rule: a small company simulated, trained on by the steps of `churn train`, and judged."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from churn.config import Config, parse_config
from churn.jobs.learning import lesson_of
from churn.jobs.material import material_of
from churn.jobs.schedule import schedule_of
from churn.models.backtest import run_backtest
from churn.models.verdict import judge
from churn.simulation import regimes
from churn.simulation.company import simulate
from churn.simulation.regimes import Regime

MONTHS, HORIZON_DAYS, TRAIN_EVERY_DAYS = 12, 28, 14
EFFECTS = {"none": 0.0, "faint": 0.4, "plain": 1.0}
"""How much friction matters to who leaves: not at all (`no_signal`), and so much of what it does in `retail`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Which company: how much friction matters in it, how many customers, and the seed of its chance."""

    effect: str
    customers: int
    seed: int

    def regime(self) -> Regime:
        """Returns what kind of company it is.

        >>> Trial(effect="faint", customers=10, seed=1).regime().friction_matters
        0.4
        """
        matters = EFFECTS[self.effect]
        return replace(regimes["retail"], friction_matters=matters) if matters else regimes["no_signal"]

    def to_dict(self) -> dict[str, Any]:
        """Returns the trial as plain JSON."""
        return asdict(self)


def tried(trial: Trial) -> dict[str, Any]:
    """Returns whether a training on the company of a trial is promoted, and what its verdict says.

    `difference` is ours less the best simple rule's AUROC, as the verdict takes it, with its 95 % interval.
    """
    started = time.process_time()
    with tempfile.TemporaryDirectory(prefix="churn-promotion-") as folder:
        config = _project(trial, Path(folder))
        with lesson_of(config, progress=_silent) as lesson:
            schedule = schedule_of(config, lesson.known)
            made = material_of(config, lesson, schedule, progress=_silent)
        settled = lesson.known.settled
    predictions = run_backtest(made.material, schedule.tests, settled=settled, families={})
    labels = {cutoff.at: cutoff.label for cutoff in schedule.tests}
    judged = judge(predictions, labels=labels, contact=config.contact, currency=config.currency, seed=config.seed)
    verdict = judged["verdict"]
    return {
        **trial.to_dict(), **verdict, "rows": len(predictions), "cutoffs": len(schedule.tests),
        "difference": _plain(judged["differences"][verdict["best_baseline"]]["auroc"]),
        "auroc": judged["metrics"]["model"]["auroc"]["mean"], "cpu_seconds": time.process_time() - started,
    }  # fmt: skip


def _project(trial: Trial, folder: Path) -> Config:
    drawn = {"customers": trial.customers, "months": MONTHS, "seed": trial.seed}
    paths = simulate(folder, regime=trial.regime(), **drawn)  # type: ignore[arg-type]
    tables: dict[str, dict[str, Any]] = {
        name: {"path": path.name} for name, path in paths.items() if not name.startswith("truth_")
    }
    tables["customers"] |= {"attributes": {"region": "static", "segment": "static"}, "sensitive": ["age_band"]}
    given = {"horizon_days": HORIZON_DAYS, "train_every_days": TRAIN_EVERY_DAYS, "tables": tables}
    return parse_config(given, directory=folder, source="")


def _plain(found: dict[str, Any]) -> dict[str, float]:
    return {name: float(found[name]) for name in ("mean", "low", "high")}


def _silent(step: str) -> None:
    """Tells nobody."""
