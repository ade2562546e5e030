"""Measuring: a churn command in a process of its own, with its seconds and peak memory; populations of an example."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DATA_VARIABLE = "CHURN_EXAMPLE_DATA"
DONE, GATE = 0, 1
_BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Measured:
    """What a command printed and what it took.

    Attributes:
        result: the JSON object it printed.
        seconds: from start to end, on a clock.
        cpu_seconds: of all its threads; other programs on the machine change it less than `seconds`.
        peak_bytes: the most memory it held at once.
    """

    result: dict[str, Any]
    seconds: float
    cpu_seconds: float
    peak_bytes: int


class CommandFailed(Exception):
    """A churn command ended with an exit code that is neither done nor a gate's no."""


def progress_of(*, is_silent: bool) -> Callable[[str], None]:
    """Returns what tells on stderr which step begins, and how many seconds after this call; nothing where silent."""
    started = time.monotonic()

    def progress(step: str) -> None:
        if not is_silent:
            print(f"{time.monotonic() - started:6.0f} s  {step}", file=sys.stderr, flush=True)

    return progress


def run_churn(arguments: Sequence[str], *, environment: Mapping[str, str] | None = None) -> Measured:
    """Returns what `churn ARGUMENTS --json --quiet` prints, run in a process of its own.

    Peak memory is the kernel's own count for that process.

    Raises:
        CommandFailed: with what the command said; exit code 1, a gate's no, is an answer and not a failure.
    """
    command = [sys.executable, "-m", "churn.cli", *arguments, "--json", "--quiet"]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=out, stderr=err, env=_environment(environment or {}))
        status, usage, peak_bytes = _ended(process.pid)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        printed, said = out.read(), err.read().decode(errors="replace")
    if process.returncode not in (DONE, GATE):
        raise CommandFailed(f"churn {' '.join(arguments)}: exit code {process.returncode}\n{said.strip()}")
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return Measured(json.loads(printed), seconds, cpu_seconds, peak_bytes)


def _ended(pid: int) -> tuple[int, resource.struct_rusage, int]:
    """How a process ended, what it used, and the most memory it held. /proc is asked for that as long as it lives,
    where there is one: `ru_maxrss` also holds what the parent had when it began the process."""
    peak = 0
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return status, usage, peak or usage.ru_maxrss * _BYTES_PER_UNIT
        try:
            told = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
        except OSError:
            told = None
        peak = int(told[1]) * 1024 if told else peak
        time.sleep(0.02)


def populations(example: Path, *, data: Path) -> dict[str, tuple[int, float]]:
    """Returns per test cutoff of an example how many customers are eligible and which share leaves; trains nothing.

    Args:
        example: the folder of its `churn.toml`.
        data: the folder that the configuration calls CHURN_EXAMPLE_DATA.

    Raises:
        ChurnError: unusable tables or configuration.
    """
    from churn.config import parse_config
    from churn.jobs.schedule import schedule_of
    from churn.models.frame import learn_prior, outcomes_of, rows
    from churn.models.known import prepare
    from churn.tables.sources import read_tables

    source = (example / "churn.toml").read_text(encoding="utf-8")
    given = tomllib.loads(source.replace(f"${{{DATA_VARIABLE}}}", data.resolve().as_posix()))
    config = parse_config(given, directory=example, source=source)
    known = prepare(read_tables(config)[0], config=config)
    schedule = schedule_of(config, known)
    prior = learn_prior(known, schedule.tests[0].at)
    frame = rows(known, schedule.target, schedule.tests, prior=prior)
    told = outcomes_of(known, schedule.target, frame, known_by=known.settled, prior=prior)
    found = {}
    for cutoff in schedule.tests:
        left = told.loc[frame["at"] == cutoff.at, "has_left"]
        found[cutoff.label] = (len(left), float(left.mean()))
    return found


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """The user's environment with the churn of this repository first on the path."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **given}
