"""Training worker: `churn train` in a process of its own; prints the CPU seconds of its steps and of their bare fits.

It is run by `training_time.py`. A bare fit is what `lightgbm.train` takes, binning of the rows included: what remains
of a step is ours. CPU seconds are of all threads.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import lightgbm as lgb
from measuring import ROOT

sys.path.insert(0, str(ROOT))  # churn needn't be installed

from churn.config import load_config
from churn.jobs.train import train

STARTED = "start of Python, libraries"


class Clock:
    """CPU seconds by step, and how many of them bare fits took."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        self._begin(STARTED, at=0.0)

    def step(self, name: str) -> None:
        """The step before is over, and one of this name begins."""
        now = time.process_time()
        self.steps[-1]["cpu"] = now - self._since
        self._begin(name, at=now)

    def fit(self, *arguments: Any, **named: Any) -> lgb.Booster:
        """Fits as `lightgbm.train` does, and keeps the time of it."""
        before = time.process_time()
        booster = _train(*arguments, **named)
        self.steps[-1]["fits"] += time.process_time() - before
        self.steps[-1]["count"] += 1
        return booster

    def _begin(self, name: str, *, at: float) -> None:
        self.steps.append({"step": name, "cpu": 0.0, "fits": 0.0, "count": 0})
        self._since = at


_train = lgb.train


def main() -> int:
    """Trains the project whose configuration is named, and prints its steps as JSON."""
    clock = Clock()
    lgb.train = clock.fit
    train(load_config(Path(sys.argv[1])), progress=clock.step)
    clock.step("end")
    print(json.dumps(clock.steps[:-1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
