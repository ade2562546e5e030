"""Signal race: contestants in alternation, each in a process of its own, and the ratios of what they took.

The machine's speed wanders, so a ratio is taken within a round, in which all run shortly after one another, and the
median over the rounds is what counts. Every other round runs in the opposite order.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from measuring import ROOT, CommandFailed
from signal_answers import Agreement, compare
from signal_data import THREADS
from signal_worker import CONTESTANTS

from churn.signals import Recipe

FAR_BEHIND = 1.5
"""A way of computing that took so many times the best of its kind in the first round isn't run again."""


@dataclass(frozen=True, slots=True)
class Took:
    """What one run took, without imports and compiling.

    Attributes:
        cpu_seconds: user and system, of the process and its children.
        seconds: on a clock.
        peak_bytes: the most memory that the largest process of it has held.
    """

    cpu_seconds: float
    seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Race:
    """All runs.

    Attributes:
        rounds: per round, what each contestant took that ran in it.
        agreements: how the answers of the first round compare with ours.
    """

    rounds: list[dict[str, Took]]
    agreements: dict[str, Agreement] = field(default_factory=dict)

    def median(self, name: str) -> Took:
        """Returns the median of what a contestant took, each figure by itself."""
        runs = [found[name] for found in self.rounds if name in found]
        cpu, seconds = (statistics.median(getattr(run, what) for run in runs) for what in ("cpu_seconds", "seconds"))
        return Took(cpu, seconds, int(statistics.median(run.peak_bytes for run in runs)))

    def best(self, kind: str) -> str:
        """Returns the contestant of a kind with the fewest processor seconds (median); it ran in every round."""
        names = [name for name in self.rounds[0] if CONTESTANTS[name].kind == kind]
        return min(names, key=lambda name: self.median(name).cpu_seconds)

    def ratio(self, name: str, kind: str) -> float:
        """Returns the median over rounds of a contestant's processor seconds to those of the best of a kind then."""
        found = []
        for took in self.rounds:
            others = [took[other].cpu_seconds for other in took if CONTESTANTS[other].kind == kind]
            if name in took and others:
                found.append(took[name].cpu_seconds / min(others))
        return statistics.median(found)


def race(
    data: Path, *, names: Sequence[str], warm: Path, recipes: Sequence[Recipe], work: Path, rounds: int, cutoffs: int,
    progress: Callable[[str], None],
) -> Race:  # fmt: skip
    """Runs the contestants `names`, ours first among them, and compares all answers with ours, which stays in `work`.

    Raises:
        CommandFailed: a contestant broke down.
    """
    done = Race([])
    for number in range(rounds):
        found: dict[str, Took] = {}
        for name in names if number % 2 == 0 else reversed(names):
            progress(f"round {number + 1} of {rounds}: {CONTESTANTS[name].title}")
            answer = work / f"{name}.npy" if number == 0 else None
            found[name] = run(name, data, warm=warm, cutoffs=cutoffs, answer=answer)
            if answer is not None and answer.is_file() and name != "ours":
                done.agreements[name] = compare(work / "ours.npy", answer, recipes)
                answer.unlink()
        done.rounds.append(found)
        names = [name for name in names if not _is_far_behind(name, done.rounds[0])]
    return done


def run(name: str, data: Path, *, warm: Path, cutoffs: int, answer: Path | None = None) -> Took:
    """Returns what one contestant took on `data`; its answer is written where `answer` says.

    Raises:
        CommandFailed: with the end of what it said.
    """
    script = Path(__file__).with_name("signal_worker.py")
    command = [sys.executable, str(script), name, "--data", str(data), "--warm", str(warm), "--cutoffs", str(cutoffs)]
    if answer is not None:
        command += ["--answer", str(answer)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(os.environ), check=False)
    if done.returncode != 0:
        raise CommandFailed(f"{name}: exit code {done.returncode}\n{done.stderr.strip()[-2000:]}")
    return Took(**json.loads(done.stdout.splitlines()[-1]))


def _is_far_behind(name: str, first: Mapping[str, Took]) -> bool:
    kind = CONTESTANTS[name].kind
    best = min(took.cpu_seconds for other, took in first.items() if CONTESTANTS[other].kind == kind)
    return first[name].cpu_seconds > FAR_BEHIND * best


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment of a contestant: for everyone the same threads, none that works while it waits, and
    Arrow's and NumPy's memory from the system in ordinary pages, as the `churn` command asks for it."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS"), str(THREADS))
    paths = [str(ROOT), *filter(None, [given.get("PYTHONPATH")])]
    memory = {"ARROW_DEFAULT_MEMORY_POOL": "system", "NUMPY_MADVISE_HUGEPAGE": "0"}
    return {**given, **threads, **memory, "OMP_WAIT_POLICY": "passive", "PYTHONPATH": os.pathsep.join(paths)}
