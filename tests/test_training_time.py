"""The benchmark of training: what is ours beside the bare fits, step by step."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def timing(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("training_time")


def run(*, ours: float) -> list[dict[str, Any]]:
    return [
        {"step": "reading tables", "cpu": 5.0, "fits": 0.0, "count": 0},
        {"step": "backtest 1 of 1: cutoff 2024-01-01", "cpu": 8.0 + ours, "fits": 8.0, "count": 2},
        {"step": "final model", "cpu": 2.0, "fits": 2.0, "count": 1},
    ]


@pytest.mark.parametrize(("ours", "shown", "is_met"), [(2.0, "1.20", True), (4.0, "1.40", False)])
def test_the_ratio_is_of_learning_and_judging_and_the_whole_command_stands_beside(
    timing: Any, ours: float, shown: str, is_met: bool
) -> None:
    part = timing.told("shop", "A shop", [run(ours=ours)], is_judged=True)
    assert [(check.measured, check.is_met) for check in part.checks] == [
        (shown, is_met), (f"{(15 + ours) / 10:.2f}", None)
    ]  # fmt: skip
    assert part.rows[-1] == ("all", f"{15 + ours:.1f}", "10.0", "3")


def test_the_run_in_the_middle_counts_and_a_quick_one_is_not_judged(timing: Any) -> None:
    runs = [run(ours=ours) for ours in (1.0, 9.0, 2.0)]
    part = timing.told("shop", "A shop", runs, is_judged=False)
    assert part.checks[0].measured == "1.20"
    assert part.checks[0].is_met is None
    assert "1.10, 1.90, 1.20" in part.notes[0]


def test_real_data_is_trained_at_development_cutoffs_only(timing: Any) -> None:
    published = importlib.import_module("published")
    with timing._example(Path()) as config:
        given = tomllib.loads(config.read_text(encoding="utf-8"))
    assert tuple(map(str, given["test_cutoffs"])) == published.ORII.development


def test_a_bare_fit_is_counted_in_the_step_it_belongs_to(timing: Any) -> None:
    worker = importlib.import_module("training_worker")
    clock = worker.Clock()
    clock.step("final model")
    data = worker.lgb.Dataset(np.arange(400.0).reshape(-1, 1), np.arange(400) % 2)
    clock.fit({"objective": "binary", "verbosity": -1, "num_threads": 1}, data, num_boost_round=3)
    clock.step("end")
    start, final, _ = clock.steps
    assert (start["count"], final["count"]) == (0, 1)
    assert 0 < final["fits"] <= final["cpu"]
