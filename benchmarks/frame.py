"""The benchmark of the frame: how much memory learning, and a whole training, needs beside the signals it learns from.

    python benchmarks/frame.py [--quick] [--rows N] [--train TRANSACTIONS] [--json]

A frame of random signals is learnt from as `churn train` does it (folds, the leave and the silent factor), with few
rounds, since rounds cost time and no memory. Then `churn train` runs whole on the tables of `signal_data` with
2,500,000 transactions, which takes some minutes; what a training on 100,000 holds, libraries and compiled code but for
a frame of 14 MiB, is taken off. Exit codes: 0 within the targets; 1 above one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measuring import Measured, run_churn

ROOT = Path(__file__).resolve().parents[1]
ROWS, QUICK, SIGNALS, CUTOFFS, ROUNDS = 1_000_000, 200_000, 162, 25, 3
TRAINED = 2_500_000
"""Transactions of the whole training."""
MOST = 1.6
SMALL = 100_000
"""Transactions of the small training."""
FALLS_SHORT = 1


class Peak(threading.Thread):
    """Watches the resident memory of this process, bytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0

    def run(self) -> None:
        """Looks a hundred times a second."""
        while True:
            self.most = max(self.most, resident())
            time.sleep(0.01)


def resident() -> int:
    """Returns the resident memory of this process, bytes; Linux tells it."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


def learnt(rows: int) -> dict[str, Any]:
    """Returns the frame's size, the peak while learning (less what the process held before), and their ratio."""
    from churn.models import boosting
    from churn.models.factors import TrainingRows, learn
    from churn.models.target import Target

    boosting.MAX_ROUNDS = ROUNDS
    _learn(learn, TrainingRows, Target, 20_000)  # libraries are loaded and compiled before anything is measured
    before, peak = resident(), Peak()
    peak.start()
    frame = _learn(learn, TrainingRows, Target, rows)
    return {"rows": rows, "signals": SIGNALS, "frame_bytes": frame, "peak_bytes": peak.most - before,
            "ratio": (peak.most - before) / frame}  # fmt: skip


def _learn(learn: Any, training_rows: Any, target: Any, rows: int) -> int:
    """Learns from so many rows, and returns how many bytes their signals have."""
    import pandas as pd

    from churn.models.boosting import Growing

    rng = np.random.default_rng(7)
    block = np.empty((SIGNALS, rows), np.float32)
    for signal in range(SIGNALS):
        block[signal] = rng.standard_normal(rows, dtype=np.float32)
    names = [f"signal_{number}" for number in range(SIGNALS)]
    frame = pd.DataFrame(block.T, columns=names, copy=False)
    day = 86_400_000_000
    moments = 19_700 * day + np.arange(CUTOFFS) * 10 * day
    has_left = block[0] + rng.standard_normal(rows) > 1
    made = training_rows(
        frame, np.resize(moments, rows), has_left, rng.random(rows) < 0.8, rng.random(rows) < 0.3
    )  # fmt: skip
    asked = target("purchases", 30, 0, "rhythm", "hard", "UTC")
    cutoffs = [asked.cutoff(int(at)) for at in moments]
    learn(made, cutoffs=cutoffs, grace_days=0, can_hear=True, growing=Growing(7, 2, ()))
    return block.nbytes


def trained(transactions: int) -> dict[str, Any]:
    """Returns the sizes of the frame and of the tables, the peak of a whole training less that of a small one, and by
    which factor of the frame it is above the tables."""
    with tempfile.TemporaryDirectory() as folder:
        small, _ = _train(Path(folder) / "small", SMALL)
        whole, tables = _train(Path(folder) / "whole", transactions)
    told = whole.result["training_cutoffs"]
    frame, peak = told["frame_rows"] * told["signals"] * 4, whole.peak_bytes - small.peak_bytes
    return {"transactions": transactions, "frame_bytes": frame, "table_bytes": tables, "peak_bytes": peak,
            "ratio": (peak - tables) / frame}  # fmt: skip


def _train(folder: Path, transactions: int) -> tuple[Measured, int]:
    """A training on a company of so many transactions, and the bytes of its tables in memory."""
    from signal_data import SHARES, Scale, make

    from churn.config import load_config
    from churn.tables.sources import read_tables

    make(folder / "data", Scale(transactions), counts=())
    toml = folder / "churn.toml"
    lines = [f'[tables.{name}]\npath = "data/{name}/*.parquet"\n' for name in SHARES]
    toml.write_text("".join(lines), encoding="utf-8")
    measured = run_churn(["train", "--config", str(toml)])
    tables, _ = read_tables(load_config(toml))
    return measured, sum(table.nbytes for table in tables.values())


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark and returns its exit code."""
    parser = argparse.ArgumentParser(description="Memory that learning needs beside the frame.")
    parser.add_argument("--quick", action="store_true", help=f"learn from {QUICK:,} rows alone: shown, not judged")
    parser.add_argument("--rows", type=int, help=f"default {ROWS:,}")
    parser.add_argument("--train", type=int, metavar="TRANSACTIONS", help=f"0: not; default {TRAINED:,}")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args(arguments)
    if given.quick and given.train:
        parser.error("--quick doesn't train: leave out one of --quick and --train")
    transactions = 0 if given.quick else TRAINED if given.train is None else given.train
    sys.path.insert(0, str(ROOT))
    # First: a process begun by a large one is counted with what that one held.
    whole = trained(transactions) if transactions else None
    found = learnt(given.rows or (QUICK if given.quick else ROWS))
    ratios = [found["ratio"], *([whole["ratio"]] if whole else [])]
    is_met = max(ratios) <= MOST
    if given.json:
        told = {
            "schema": 1,
            "target": MOST,
            "is_judged": not given.quick,
            "is_met": None if given.quick else is_met,
            **found,
            "train": whole,
        }
        print(json.dumps(told))
    else:
        frame, peak = (found[name] / 1024**2 for name in ("frame_bytes", "peak_bytes"))
        print(f"{found['rows']:,} rows x {SIGNALS} signals: frame {frame:,.0f} MiB, peak with it {peak:,.0f} MiB")
        print(f"peak to frame  {found['ratio']:.2f}  {_verdict(found['ratio'], is_judged=not given.quick)}")
        if whole is not None:
            _print_whole(whole)
    return 0 if is_met or given.quick else FALLS_SHORT


def _verdict(ratio: float, *, is_judged: bool) -> str:
    """The target beside a figure; of few rows it is not judged: what learning holds anyway is large beside them."""
    told = ("met" if ratio <= MOST else "SHORT") if is_judged else "not judged: few rows"
    return f"(target: at most {MOST}; {told})"


def _print_whole(found: dict[str, Any]) -> None:
    frame, tables, peak = (found[name] / 1024**2 for name in ("frame_bytes", "table_bytes", "peak_bytes"))
    print(
        f"churn train on {found['transactions']:,} transactions: frame {frame:,.0f} MiB, tables {tables:,.0f} MiB, "
        f"peak above a small training {peak:,.0f} MiB"
    )
    print(f"(peak - tables) to frame  {found['ratio']:.2f}  {_verdict(found['ratio'], is_judged=True)}")


if __name__ == "__main__":
    sys.exit(main())
