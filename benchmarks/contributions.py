"""The benchmark of explanations: what exact contributions cost a row, beside bare prediction and the peers.

    python benchmarks/contributions.py [--quick] [--json]

Models of two sizes are grown on made-up signals (correlated, some null, some categories), and everyone explains rows of
the same kind: `Booster.predict(pred_contrib=True)`, `shap.TreeExplainer`, ours with signals and with features as
players. Exit codes: 0 all targets met; 1 a figure falls short.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[1]
GROUPS = {
    "spend": 30, "visits": 16, "rhythm": 14, "service": 16, "incidents": 14, "feedback": 12, "silence": 10,
    "profile": 8,
}  # fmt: skip
"""Features of each signal: about the shares they have in the package's catalogue, 120 in all."""
CATEGORIES, LABELS = 3, 12
"""The last features of the profile are categories of so many labels."""
LEARNT, EXPLAINED = 40_000, 32_768
AGREE = 1e-9
FALLS_SHORT = 1

Numbers = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Size:
    """A model's size, the peers' rows, and how much of bare prediction explaining by signals may cost."""

    trees: int
    leaves: int
    peer_rows: int
    most: float


SIZES = (Size(200, 31, 400, 3.5), Size(400, 63, 60, 5.0))


def made_rows(rows: int, *, seed: int) -> tuple[Numbers, npt.NDArray[np.float64]]:
    """Returns signals whose features go together, and who leaves: interactions between signals, and noise."""
    rng = np.random.default_rng(seed)
    place = np.repeat(np.arange(len(GROUPS)), list(GROUPS.values()))
    common = rng.normal(size=(rows, len(GROUPS)))
    x = (0.7 * common[:, place] + 0.7 * rng.normal(size=(rows, len(place)))).astype(np.float32)
    x[:, ::3] = np.maximum(0, np.round(2 * x[:, ::3]))  # counts, most of them small
    for feature in range(0, len(place), 5):
        x[rng.random(rows) < 0.2, feature] = np.nan
    codes = rng.integers(0, LABELS, (rows, CATEGORIES))
    x[:, -CATEGORIES:] = np.where(rng.random(codes.shape) < 0.05, np.nan, codes)
    risk = common[:, 0] - common[:, 1] * common[:, 2] + 0.7 * common[:, 3] * (common[:, 4] > 0)
    risk += 0.5 * common[:, 5:].sum(axis=1) + (codes[:, 0] % 3 == 1) + rng.normal(size=rows)
    return x, (risk > 1).astype(float)


def grown(size: Size) -> Any:
    """Returns a booster of a size."""
    import lightgbm as lgb

    x, left = made_rows(LEARNT, seed=1)
    settings = {
        "objective": "binary", "num_leaves": size.leaves, "learning_rate": 0.05, "feature_fraction": 0.5, "seed": 1,
        "deterministic": True, "force_row_wise": True, "verbosity": -1,
    }  # fmt: skip
    last = sum(GROUPS.values())
    data = lgb.Dataset(x, left, categorical_feature=list(range(last - CATEGORIES, last)))
    return lgb.Booster(model_str=lgb.train(settings, data, num_boost_round=size.trees).model_to_string())


def part_of(size: Size, *, rounds: int) -> Any:
    """Returns the figures of one size."""
    import shap
    from figures import Check, Part

    from churn.drivers.games import game_of
    from churn.drivers.shapley import shapley_values
    from churn.drivers.trees import read_trees

    booster = grown(size)
    x, _ = made_rows(EXPLAINED, seed=2)
    few = x[: size.peer_rows]
    started = time.process_time()
    trees = read_trees(booster.model_to_string())
    signals = game_of(trees, np.repeat(np.arange(len(GROUPS)), list(GROUPS.values())).tolist())
    features = game_of(trees, range(x.shape[1]))
    laid_out = time.process_time() - started
    started = time.process_time()
    shapley_values(signals, few)
    first = time.process_time() - started
    explainer = shap.TreeExplainer(booster)
    warnings.filterwarnings("ignore", category=UserWarning, module="shap")  # of the shape of its answer
    contestants: dict[str, tuple[Callable[[], Any], int]] = {
        "predict": (lambda: booster.predict(x, raw_score=True, num_threads=1), len(x)),
        "pred_contrib": (lambda: booster.predict(few, pred_contrib=True, num_threads=1), len(few)),
        "shap.TreeExplainer": (lambda: explainer.shap_values(few), len(few)),
        "ours, signals": (lambda: shapley_values(signals, x), len(x)),
        "ours, features": (lambda: shapley_values(features, x), len(x)),
    }
    cost = _raced(contestants, rounds)
    told = booster.predict(few, pred_contrib=True)
    margin = booster.predict(x, raw_score=True)
    apart = float(np.abs(shapley_values(features, few) - told[:, :-1]).max())
    short = float(np.abs(shapley_values(signals, x).sum(axis=1) + signals.base - margin).max())
    part = Part(f"{size.trees} x {size.leaves}", f"{size.trees} trees of {size.leaves} leaves, {x.shape[1]} features")
    for peer in ("pred_contrib", "shap.TreeExplainer"):
        part.checks.append(_ratio("ours, signals", peer, cost, 1 / 15))
        part.checks.append(_ratio("ours, features", peer, cost, 1 / 12))
    part.checks.append(_ratio("ours, signals", "predict", cost, size.most))
    part.checks.append(Check("features: furthest from pred_contrib", f"{apart:.1e}", f"{AGREE:g}", apart <= AGREE))
    part.checks.append(Check("signals: furthest from the raw margin", f"{short:.1e}", f"{AGREE:g}", short <= AGREE))
    rows = [(name, f"{np.median(times):,.1f}", f"{min(times):,.1f}") for name, times in cost.items()]
    return Part(
        part.name, part.title, part.checks, ("who", "CPU us a row, median", "least"), rows,
        [f"{len(GROUPS)} signals as players. Laying out both games takes {laid_out:.2f} CPU s a model; the first call "
         f"{first:.2f}, compiling included where no cache holds it."],
        {name: f"{np.median(times):.1f}" for name, times in cost.items()},
    )  # fmt: skip


def _raced(contestants: dict[str, tuple[Callable[[], Any], int]], rounds: int) -> dict[str, list[float]]:
    """CPU us a row of everyone in each round; every other round runs in the opposite order."""
    cost: dict[str, list[float]] = {name: [] for name in contestants}
    for run, _ in contestants.values():
        run()
    for number in range(rounds):
        for name in list(contestants)[:: -1 if number % 2 else 1]:
            run, rows = contestants[name]
            started = time.process_time()
            run()
            cost[name].append((time.process_time() - started) / rows * 1e6)
    return cost


def _ratio(ours: str, other: str, cost: dict[str, list[float]], most: float) -> Any:
    """The median over rounds of the ratio within a round, beside its target."""
    from figures import Check

    found = statistics.median(one / two for one, two in zip(cost[ours], cost[other], strict=True))
    shown, target = (f"1/{1 / found:.0f}", f"at most 1/{1 / most:.0f}") if most < 1 else (f"{found:.2f}", f"{most:g}")
    return Check(f"{ours} to {other}", shown, target if most < 1 else f"at most {target}", found <= most)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark and returns its exit code."""
    parser = argparse.ArgumentParser(description="What exact contributions cost.")
    parser.add_argument("--quick", action="store_true", help="the smaller model only, three rounds")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args(arguments)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait for others would count as CPU
    sys.path.insert(0, str(ROOT))
    from figures import Results

    sizes = SIZES[:1] if given.quick else SIZES
    results = Results([part_of(size, rounds=3 if given.quick else 7) for size in sizes], [])
    print(json.dumps(results.to_dict()) if given.json else results.to_text())
    return FALLS_SHORT if results.short else 0


if __name__ == "__main__":
    sys.exit(main())
