"""kill -9 at any moment: the old file or the new one; a rerun goes on, makes the same bytes, leaves nothing over."""

from __future__ import annotations

import multiprocessing
import tomllib
from pathlib import Path

import numpy as np
import pytest
from made_project import Project

from churn.config import Config, parse_config
from churn.jobs.score import score
from churn.tables.atomic import CAN_LOCK

KILLS = 6
BUCKETS = 9
pytestmark = pytest.mark.skipif(not CAN_LOCK, reason="without file locks nothing tells a dead run from a living one")


@pytest.fixture
def shop(project: Project, tmp_path: Path) -> Path:
    """A copy of the project, to be scored in buckets."""
    return project.copied(tmp_path / "shop").directory


def config_of(directory: Path) -> Config:
    text = (directory / "churn.toml").read_text(encoding="utf-8")
    return parse_config(tomllib.loads(f"{text}\n[engine]\nbuckets = {BUCKETS}\n"), directory=directory)


def score_here(directory: Path, told: Path) -> None:
    """What the processes do that are killed; each step is written down."""
    with told.open("a", encoding="utf-8", buffering=1) as lines:
        score(config_of(directory), out=directory / "scores.csv", progress=lambda step: print(step, file=lines))


def leftovers(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.rglob("*") if path.name.startswith(".churn"))


def test_a_scoring_killed_at_any_moment_is_gone_on_with(shop: Path, tmp_path: Path) -> None:
    """Faults 28 and 29."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["churn.jobs.score", "made_project"])
    out, told = shop / "scores.csv", tmp_path / "steps.txt"
    out.write_text("old", encoding="utf-8")

    def start() -> multiprocessing.process.BaseProcess:
        process = context.Process(target=score_here, args=(shop, told))
        process.start()
        return process

    start().join()
    whole, steps = out.read_bytes(), told.read_text(encoding="utf-8").splitlines()
    assert leftovers(shop) == []
    assert len(steps) > 2 * BUCKETS
    rng = np.random.default_rng(11)
    found_work = 0
    for number in range(KILLS):
        out.write_text("old", encoding="utf-8")
        told.write_text("", encoding="utf-8")
        process = start()
        # From the first step on to the last, and in between two.
        wanted = 1 + number * (len(steps) - 1) // KILLS
        while process.is_alive() and told.read_bytes().count(b"\n") < wanted:
            process.join(0.005)
        process.join(float(rng.uniform(0, 0.03)))
        process.kill()
        process.join()
        assert out.read_bytes() in (b"old", whole)
        found_work += (shop / ".churn-work").exists()
    assert found_work > KILLS // 2
    told.write_text("", encoding="utf-8")
    start().join()
    assert out.read_bytes() == whole
    assert leftovers(shop) == []
    rerun = told.read_text(encoding="utf-8").splitlines()
    assert sum(step.startswith(("splitting", "sorting")) for step in rerun) == 0, "what was whole is not done again"
