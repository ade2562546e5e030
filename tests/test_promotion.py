"""The benchmark of the promotion rule: what counts as promoted by chance, what is kept, and one real trial."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def verdict(seed: int, *, effect: str = "none", is_promoted: bool = False) -> dict[str, Any]:
    return {
        "effect": effect, "customers": 800, "seed": seed, "is_promoted": is_promoted, "auroc": 0.5,
        "difference": {"mean": 0.01 * seed, "low": -0.1, "high": 0.1},
        "sentence": "Better." if is_promoted else "No better than the baseline. Not promoted.",
    }  # fmt: skip


def test_six_of_a_hundred_are_too_many_and_five_are_not() -> None:
    promotion, shown = importlib.import_module("promotion"), importlib.import_module("figures")
    for promoted, short in ((5, 0), (6, 1)):
        found = [verdict(seed, is_promoted=seed < promoted) for seed in range(100)]
        part = promotion.part_of(found, customers=800, is_judged=True)
        assert len(shown.Results([part], []).short) == short
    assert part.rows == [("none (0)", "100", "0.500", "+0.495 (0.290)", "6 of 100: 6% [2%, 13%]")]
    silent = [verdict(1) | {"sentence": "Perhaps."}]
    assert shown.Results([promotion.part_of(silent, customers=800, is_judged=False)], []).short


def test_verdicts_that_are_kept_are_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    promotion = importlib.import_module("promotion")
    asked = [promotion.Trial(effect="none", customers=800, seed=seed) for seed in (1, 2)]
    made: list[int] = []

    def tried(trial: Any) -> dict[str, Any]:
        made.append(trial.seed)
        return verdict(trial.seed)

    monkeypatch.setattr(promotion, "tried", tried)
    keep = tmp_path / "verdicts.jsonl"
    for trials in (asked[:1], asked, asked):
        found = promotion.verdicts(trials, keep=keep, progress=lambda _: None)
    assert made == [1, 2]
    assert [one["seed"] for one in found] == [1, 2]
    keep.write_text("mine\n")
    with pytest.raises(ValueError, match="no verdict of this benchmark"):
        promotion.verdicts(asked, keep=keep, progress=lambda _: None)


def test_a_small_company_without_a_signal_is_trained_on_and_not_promoted() -> None:
    promotion = importlib.import_module("promotion_trial")
    found = promotion.tried(promotion.Trial(effect="none", customers=500, seed=4))
    assert not found["is_promoted"]
    assert found["sentence"].endswith("Not promoted.")
    assert found["cutoffs"] >= 3
    assert found["difference"]["low"] < found["difference"]["mean"] < found["difference"]["high"]
