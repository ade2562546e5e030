"""Progress: rate and time left; a bar on a terminal, and in a log not a line for each of a thousand buckets."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from made_project import environment

from churn.tables.pace import Pace, Step, duration

SCRIPT = """
from churn.tables.pace import Pace
from churn.terminal import Terminal
terminal = Terminal(is_json=False, is_quiet=False)
pace = Pace("scoring", total=200, progress=terminal.progress, unit="customers")
for _ in range(200):
    pace.tell(10)
Pace("sorting", total=2, progress=terminal.progress).tell(1)
terminal.show_problems(["interrupted"])
"""


def test_a_step_tells_how_many_are_done_how_fast_and_how_long_it_will_take() -> None:
    told: list[str] = []
    pace = Pace("scoring", total=4, progress=told.append, unit="customers", skipped=1)
    for units in (500, 600, 700):
        pace.tell(units)
    assert told[0] == "scoring: 2 of 4 buckets", "the first piece opens and compiles: it says nothing of the rate"
    assert told[1].startswith("scoring: 3 of 4 buckets, ")
    assert told[1].endswith(" customers/s, 1 s left")
    assert told[2].startswith("scoring: 4 of 4 buckets, ")
    assert "left" not in told[2]
    assert [(step.done, step.total) for step in told if isinstance(step, Step)] == [(2, 4), (3, 4), (4, 4)]


def test_what_the_first_piece_took_is_in_no_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 101.0, 103.0])  # the first piece ended at 100, after whatever it took
    monkeypatch.setattr("churn.tables.pace.time.monotonic", lambda: next(clock))
    told: list[str] = []
    pace = Pace("scoring", total=9, progress=told.append)
    for units in (10, 20, 40):
        pace.tell(units)
    assert told[1:] == ["scoring: 2 of 9 buckets, 20 rows/s, 7 s left", "scoring: 3 of 9 buckets, 20 rows/s, 9 s left"]


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (59.2, "1 min 0 s"), (3599, "59 min 59 s"), (90_061, "25 h 1 min")]
)
def test_times_are_told_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_log_holds_the_last_step_and_few_of_the_others() -> None:
    told = subprocess.run([sys.executable, "-c", SCRIPT], env=environment(), capture_output=True, text=True, check=True)
    lines = told.stderr.splitlines()
    assert len(lines) == 2, "the first five seconds hold no step but the last of its kind"
    assert "scoring: 200 of 200 buckets" in lines[0]
    assert lines[1] == "error: interrupted"


def test_a_terminal_shows_one_bar_and_errors_below_it() -> None:
    screen, side = os.openpty()
    told = subprocess.Popen([sys.executable, "-c", SCRIPT], env=environment(), stderr=side)
    os.close(side)
    shown = b""
    while True:
        try:
            piece = os.read(screen, 1 << 16)
        except OSError:  # Linux says so when the other side has gone
            break
        if not piece:
            break
        shown += piece
    os.close(screen)
    assert told.wait() == 0
    lines = [line.split(b"\r\x1b[K")[-1].strip() for line in shown.split(b"\n")]
    assert lines[0].startswith(b"[" + b"#" * 24 + b"]")
    assert lines[1].startswith(b"[" + b"#" * 12 + b"." * 12 + b"]")
    assert lines[2] == b"error: interrupted"
