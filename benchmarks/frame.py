"""The benchmark of the frame: how much memory learning needs beside the signals it learns from.

    python benchmarks/frame.py [--quick] [--rows N] [--json]

A frame of random signals is learnt from as `churn train` does it (folds, the leave and the silent factor), with few
rounds, since rounds cost time and no memory. Exit codes: 0 within the target; 1 above it.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
ROWS, QUICK, SIGNALS, CUTOFFS, ROUNDS = 1_000_000, 200_000, 162, 25, 3
MOST = 1.6
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


def measured(rows: int) -> dict[str, Any]:
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark and returns its exit code."""
    parser = argparse.ArgumentParser(description="Memory that learning needs beside the frame.")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} rows: shown, not judged")
    parser.add_argument("--rows", type=int, help=f"default {ROWS:,}")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args(arguments)
    sys.path.insert(0, str(ROOT))
    found = measured(given.rows or (QUICK if given.quick else ROWS))
    if given.json:
        print(json.dumps({"schema": 1, "target": MOST, **found}))
    else:
        frame, peak = (found[name] / 1024**2 for name in ("frame_bytes", "peak_bytes"))
        print(f"{found['rows']:,} rows x {SIGNALS} signals: frame {frame:,.0f} MiB, peak with it {peak:,.0f} MiB")
        print(f"peak to frame  {found['ratio']:.2f}  (target: at most {MOST})")
    return FALLS_SHORT if found["ratio"] > MOST and not given.quick else 0


if __name__ == "__main__":
    sys.exit(main())
