"""`churn demo`: the whole main job on a simulated company."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from churn.config import load_config
from churn.jobs.check import check
from churn.jobs.explained import Explained
from churn.jobs.report import report
from churn.jobs.score import score
from churn.jobs.simulate import simulate
from churn.jobs.train import train

MONTHS = 24
SEED = 7


def demo(directory: Path, *, customers: int, progress: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Simulates, checks, trains, scores and reports in `directory`; returns what each step found.

    Raises:
        ChurnError: a step cannot be done, such as a folder that holds something else.
    """
    simulated = simulate(directory, customers=customers, months=MONTHS, regime="retail", seed=SEED, progress=progress)
    config = load_config(directory / "churn.toml")
    checked = check(config, progress=progress)
    trained = train(config, progress=progress)
    scores, page = directory / "scores.csv", directory / "report.html"
    scored = score(config, out=scores, explained=Explained("all"), progress=progress)
    report(config, out=page, scores=scores, bundle=None, progress=progress)
    top = scored.tally.first
    return {
        "directory": str(directory), "config": simulated["config"], "findings": len(checked["findings"]),
        "training": trained,
        "scores": str(scores), "report": str(page), "scored": scored.tally.scored,
        "customers": scored.tally.rows,
        "top": {"customer_id": top["customer_id"], "p_leave": top["p_leave"], "reason": top["reason_1"]},
        "warnings": [*trained["warnings"], *scored.warnings],
    }  # fmt: skip
