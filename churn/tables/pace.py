"""Pace: how far a long piece of work has come, how fast it goes, and how long it will take."""

from __future__ import annotations

import time
from collections.abc import Callable

Progress = Callable[[str], None]


class Step(str):
    """A line of progress that is one of several of its kind, so that a terminal may write each over the last.

    Attributes:
        done: how many are done.
        total: of how many.
    """

    __slots__ = ("done", "total")

    def __new__(cls, text: str, *, done: int, total: int) -> Step:
        """Returns the line with its numbers."""
        step = super().__new__(cls, text)
        step.done, step.total = done, total
        return step

    done: int
    total: int


class Pace:
    """Tells of each piece that is done, with the rate so far and the time left at that rate.

    The first piece opens files and waits for code to be compiled: what it takes says little of the others, so rate and
    time left are those of the pieces after it, told from the second on.
    """

    def __init__(self, what: str, *, total: int, progress: Progress, unit: str = "rows", skipped: int = 0) -> None:
        """Args: what is done; how many pieces; who is told; what is counted in a piece; pieces done before."""
        self._what, self._unit, self._total, self._progress = what, unit, total, progress
        self._done, self._timed, self._units = skipped, 0, 0
        self._warm: float | None = None

    def tell(self, units: int) -> None:
        """One more piece is done, with so many units in it."""
        self._done += 1
        text = f"{self._what}: {self._done:,} of {self._total:,} buckets"
        if self._warm is None:
            self._warm = time.monotonic()
        else:
            self._timed += 1
            self._units += units
            text += self._rate(max(time.monotonic() - self._warm, 1e-9))
        self._progress(Step(text, done=self._done, total=self._total))

    def _rate(self, seconds: float) -> str:
        left = duration(seconds / self._timed * (self._total - self._done))
        rate = f", {self._units / seconds:,.0f} {self._unit}/s"
        return rate + (f", {left} left" if self._done < self._total else "")


def duration(seconds: float) -> str:
    """Returns a time as people say it.

    >>> duration(4.2), duration(95), duration(7260)
    ('5 s', '1 min 35 s', '2 h 1 min')
    """
    whole = int(-(-seconds // 1))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
