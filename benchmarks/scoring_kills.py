"""A scoring that is killed at random moments, and gone on with."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scoring_project import Shop

BUCKETS = 16
_OLD = b"old"
_SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from scoring_project import Shop
from churn.jobs.explained import explained_from
from churn.jobs.score import score
shop = Shop(Path(sys.argv[2]), Path(sys.argv[3]), 0)
print("ready", flush=True)
config, top = shop.config(buckets=int(sys.argv[5])), explained_from("top:300")
score(config, out=Path(sys.argv[4]), bundle=shop.bundle, explained=top)
"""


@dataclass(frozen=True, slots=True)
class Killed:
    """What kills have left behind.

    Attributes:
        broken: files that were neither the old one nor the whole new one.
        same: of the runs that followed, how many made the same file as one go.
        went_on: how many found the work of the killed one.
    """

    broken: int
    same: int
    went_on: int


def killed(shop: Shop, *, kills: int) -> Killed:
    """Returns what comes of so many kills at moments spread at random over the time that a scoring takes."""
    out = shop.home / "killed.csv"
    out.unlink(missing_ok=True)
    started = _start(shop, out)
    begun = time.monotonic()
    started.wait()
    lasts = time.monotonic() - begun
    whole = out.read_bytes()
    rng = np.random.default_rng(11)
    broken = same = went_on = 0
    for moment in rng.uniform(0, lasts, kills):
        out.write_bytes(_OLD)
        process = _start(shop, out)
        time.sleep(moment)
        process.kill()
        process.wait()
        broken += out.read_bytes() not in (_OLD, whole)
        went_on += (shop.home / ".churn-work").exists()
        out.write_bytes(_OLD)
        _start(shop, out).wait()
        same += out.read_bytes() == whole
    return Killed(broken, same, went_on)


def _start(shop: Shop, out: Path) -> subprocess.Popen[bytes]:
    """A scoring in a process of its own that has loaded its libraries."""
    here = Path(__file__).resolve().parent
    paths = os.pathsep.join([str(here.parent), str(here), *filter(None, [os.environ.get("PYTHONPATH")])])
    words = [sys.executable, "-c", _SCRIPT, str(here), str(shop.home), str(shop.bundle), str(out), str(BUCKETS)]
    process = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process
