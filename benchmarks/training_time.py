"""The benchmark of training: what training with its backtest costs beside the bare LightGBM fits in it, in CPU seconds.

    python benchmarks/training_time.py [--quick] [--json] [--customers N ...] [--months N] [--rounds N] [--data DIR]

Exit codes: 0 every figure meets its target; 1 one falls short; 2 the benchmark cannot be run so.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from figures import Check, Part, Results, number
from measuring import DATA_VARIABLE, ROOT, CommandFailed, run_churn
from published import ORII

MOST = 1.3
"""Training with its backtest to the bare fits it contains."""
LEARNING = ("backtest", "final model")
"""Steps of learning and of judging by backtest, by the words they begin with."""
CUSTOMERS, MONTHS = (6_000,), 24
QUICK_CUSTOMERS, QUICK_MONTHS = (800,), 15
SEED = 7
HEADER = ("step", "CPU seconds", "of it bare fits", "fits")
FALLS_SHORT, UNUSABLE = 1, 2
Steps = list[dict[str, Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark and returns its exit code."""
    given = _arguments(arguments)
    try:
        results = measured(given)
    except (CommandFailed, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return UNUSABLE
    print(json.dumps(results.to_dict(), ensure_ascii=False) if given.json else results.to_text())
    return FALLS_SHORT if results.short else 0


def measured(given: argparse.Namespace) -> Results:
    """Returns a part per project, and what was skipped and why."""
    parts: list[Part] = []
    skipped = ["ratios are not judged, and real data is left out (--quick)"] if given.quick else []
    if not given.quick and not (given.data / ORII.data).is_dir():
        skipped.append(f"{ORII.name}: its data is absent, no {ORII.data}/ in the folder of --data or {DATA_VARIABLE}")
    elif not given.quick:
        with _example(given.data) as config:
            parts.append(_part(ORII.name, "Online Retail II, 6,000 customers", config, given))
    for customers in given.customers:
        with _simulated(customers, given.months) as config:
            title = f"A simulated retailer, {customers:,} customers in {given.months} months"
            parts.append(_part(f"{customers:,} customers", title, config, given))
    return Results(parts, skipped)


def told(name: str, title: str, runs: Sequence[Steps], *, is_judged: bool) -> Part:
    """Returns what the runs took, the median of them by its ratio, beside the target.

    Args:
        name: of the part.
        title: of the part.
        runs: the steps of each run.
        is_judged: whether the ratio has a target.
    """
    ratios = [_ratio(steps, LEARNING) for steps in runs]
    steps = runs[ratios.index(median(ratios))]
    learning, whole = _ratio(steps, LEARNING), _ratio(steps, ("",))
    return Part(
        name, title,
        [
            Check("backtest and final model, CPU to that of the bare fits in them", number(learning, 2),
                  f"at most {MOST}" if is_judged else "none", learning <= MOST if is_judged else None),
            Check("the whole command, start of Python and MLflow's store included, likewise", number(whole, 2), "none"),
        ],
        HEADER, [_row(step) for step in steps] + [_row(_sum(steps))],
        notes=[f"Ratios of all {len(runs)} runs: {', '.join(number(ratio, 2) for ratio in ratios)}."],
    )  # fmt: skip


def _ratio(steps: Steps, beginnings: tuple[str, ...]) -> float:
    chosen = _sum([step for step in steps if step["step"].startswith(beginnings)])
    return float(chosen["cpu"] / chosen["fits"])


def _sum(steps: Steps) -> dict[str, Any]:
    return {"step": "all", **{name: sum(step[name] for step in steps) for name in ("cpu", "fits", "count")}}


def _row(step: dict[str, Any]) -> tuple[str, ...]:
    return (step["step"], number(step["cpu"], 1), number(step["fits"], 1), f"{step['count']}")


def _part(name: str, title: str, config: Path, given: argparse.Namespace) -> Part:
    runs = []
    for number_ in range(given.rounds):
        print(f"{name}: training {number_ + 1} of {given.rounds} ...", file=sys.stderr, flush=True)
        runs.append(_trained(config, given.data))
    return told(name, title, runs, is_judged=not given.quick)


def _trained(config: Path, data: Path) -> Steps:
    """The steps of a training in a process of its own, each in a project where nothing was trained before."""
    with tempfile.TemporaryDirectory(prefix="churn-benchmark-") as folder:
        home = Path(folder) / "project"
        shutil.copytree(config.parent, home)
        environment = {**os.environ, "OMP_WAIT_POLICY": "passive", DATA_VARIABLE: str(data.resolve())}
        worker = [sys.executable, str(ROOT / "benchmarks" / "training_worker.py"), str(home / config.name)]
        done = subprocess.run(worker, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandFailed(f"training {config}: {done.stderr.strip()[-400:]}")
    steps: Steps = json.loads(done.stdout)
    return steps


@contextmanager
def _example(data: Path) -> Iterator[Path]:
    """Online Retail II at its development cutoffs."""
    with tempfile.TemporaryDirectory(prefix="churn-benchmark-") as folder:
        text = (ROOT / "examples" / ORII.example / "churn.toml").read_text(encoding="utf-8")
        tests = text[text.index("test_cutoffs = [") :].partition("]")[0] + "]"
        config = Path(folder) / "churn.toml"
        config.write_text(text.replace(tests, f"test_cutoffs = [{', '.join(ORII.development)}]"), encoding="utf-8")
        yield config


@contextmanager
def _simulated(customers: int, months: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="churn-benchmark-") as folder:
        home = Path(folder) / "company"
        size = ["--customers", str(customers), "--months", str(months), "--seed", str(SEED)]
        run_churn(["simulate", str(home), *size])
        yield home / "churn.toml"


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The benchmark of training: beside the bare fits it contains.")
    default = Path(os.environ.get(DATA_VARIABLE, ROOT.parent / "shared" / "data"))
    parser.add_argument("--quick", action="store_true", help="under a minute: a small simulated company, not judged")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--customers", type=int, nargs="+", help=f"to simulate; default {CUSTOMERS[0]:,}")
    parser.add_argument("--months", type=int, help=f"of history; default {MONTHS}")
    parser.add_argument("--rounds", type=int, default=1, help="trainings of each; the median counts; odd, default 1")
    parser.add_argument("--data", type=Path, default=default, help=f"the folder of real data; default ${DATA_VARIABLE}")
    given = parser.parse_args(arguments)
    if given.rounds % 2 == 0:
        parser.error("--rounds must be odd: the run in the middle counts")
    given.customers = given.customers or (QUICK_CUSTOMERS if given.quick else CUSTOMERS)
    given.months = given.months or (QUICK_MONTHS if given.quick else MONTHS)
    return given


if __name__ == "__main__":
    sys.exit(main())
