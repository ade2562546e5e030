"""Reliability: a right model is off by chance alone, a wrong level is seen at its cutoff, and customers count once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from churn.models.reliability import RISKS, reliability
from churn.tables.history import DAY

LABELS = {0: "2025-01-01", DAY: "2025-01-02"}


def predictions(*, size: int = 2_000, moved: float = 0.0, seed: int = 5) -> pd.DataFrame:
    """Two cutoffs with the same customers; at the second `moved` more leave than foretold."""
    rng = np.random.default_rng(seed)
    p = np.tile(rng.beta(2, 6, size), 2)
    at = np.repeat([0, DAY], size)
    left = rng.random(2 * size) < p + moved * (at == DAY)
    return pd.DataFrame({
        "customer": np.tile(np.arange(size), 2), "at": at, "has_left": left, "p_leave": p, "p_leave_low": 0.8 * p,
        "p_leave_high": 1.2 * p,
    })  # fmt: skip


def is_off(entry: dict[str, float]) -> bool:
    return not entry["low"] <= entry["foretold"] <= entry["high"]


def test_a_right_model_is_off_as_rarely_as_95_percent_say() -> None:
    told = [reliability(predictions(seed=seed), labels=LABELS)["by_cutoff"] for seed in range(60)]
    assert sum(is_off(entry) for found in told for entry in found.values()) <= 14  # of 120, six by chance


def test_a_level_that_moved_is_seen_at_its_cutoff_alone() -> None:
    told = reliability(predictions(moved=0.08), labels=LABELS)["by_cutoff"]
    assert [label for label, entry in told.items() if is_off(entry)] == ["2025-01-02"]
    assert all(entry["foretold_low"] == pytest.approx(0.8 * entry["foretold"]) for entry in told.values())
    assert all(entry["foretold_high"] == pytest.approx(1.2 * entry["foretold"]) for entry in told.values())


def test_tenths_by_risk_rise_and_hold_everybody_once() -> None:
    told = reliability(predictions(), labels=LABELS)["by_risk"]
    assert len(told) == RISKS
    assert sum(entry["customers"] for entry in told) == 4_000
    assert all(one["to"] <= other["from"] for one, other in pairwise(told))
    assert all(entry["from"] <= entry["foretold"] <= entry["to"] for entry in told)


def test_the_same_customer_twice_is_no_more_evidence() -> None:
    once = predictions()[:2_000]
    twice = pd.concat([once, once.assign(at=DAY)], ignore_index=True)
    (alone,) = reliability(once, labels=LABELS)["by_cutoff"].values()
    widths = [entry["high"] - entry["low"] for entry in reliability(twice, labels=LABELS)["by_risk"]]
    alone_widths = [entry["high"] - entry["low"] for entry in reliability(once, labels=LABELS)["by_risk"]]
    assert alone["customers"] == 2_000
    assert np.mean(widths) == pytest.approx(np.mean(alone_widths), rel=0.05)


def test_few_rows_of_one_outcome_are_not_certain() -> None:
    few = predictions(size=5).assign(has_left=False)
    entry = reliability(few, labels=LABELS)["by_cutoff"]["2025-01-01"]
    assert entry["left"] == 0
    assert entry["high"] > 0.2
    assert reliability(few[:0], labels=LABELS) == {"by_cutoff": {}, "by_risk": []}
