"""Random data promote nothing, and a stated small effect is found: the verdict is neither credulous nor deaf."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from made_material import made
from made_predictions import labels, predictions

from churn.config import Contact
from churn.jobs.simulate import simulate
from churn.models.backtest import run_backtest
from churn.models.verdict import judge

SEEDS = 100


def is_promoted(seed: int, *, customers: int, cutoffs: int, model: float = 0.0) -> bool:
    frame = predictions(seed=seed, customers=customers, cutoffs=cutoffs, model=model)
    # Silence is judged beside, and doesn't decide: left out, it takes half of the time.
    frame = frame.assign(voice_status="unobservable", p_silent=np.nan)
    verdict = judge(frame, labels=labels(frame), contact=Contact(), currency="EUR", seed=seed)["verdict"]
    assert verdict["is_promoted"] or verdict["sentence"].startswith(("No better than", "Worse than"))
    return bool(verdict["is_promoted"])


def test_of_a_hundred_random_runs_at_most_five_are_promoted() -> None:
    assert sum(is_promoted(seed, customers=80, cutoffs=1) for seed in range(SEEDS)) <= 5


def test_customers_who_stand_in_several_cutoffs_are_no_independent_evidence() -> None:
    assert sum(is_promoted(seed, customers=60, cutoffs=3) for seed in range(15)) <= 2


def test_half_a_log_odd_per_standard_deviation_is_found_in_most_runs() -> None:
    """About AUROC 0.63 where the rules have 0.5, on 300 customers at 2 cutoffs."""
    assert sum(is_promoted(seed, customers=300, cutoffs=2, model=0.5) for seed in range(10)) >= 8


def test_a_company_where_nothing_tells_who_leaves_promotes_nothing(tmp_path: Path) -> None:
    simulate(tmp_path / "company", customers=300, months=10, regime="no_signal", seed=5)
    small = made(tmp_path / "company", horizon_days=28, train_every_days=14)
    tests = small.schedule.tests[-1:]
    found = run_backtest(small.material, tests, settled=small.material.known.settled, families={})
    told = {test.at: test.label for test in tests}
    verdict = judge(found, labels=told, contact=Contact(), currency="EUR", seed=7)["verdict"]
    assert not verdict["is_promoted"], verdict["sentence"]
