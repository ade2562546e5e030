"""What the terminal shows: results on stdout, everything else on stderr; never a markup taken from data."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from churn.jobs.score import Scored

OUTPUT_SCHEMA = 1


class Terminal:
    """Prints for people, or one JSON object for programs."""

    def __init__(self, *, is_json: bool, is_quiet: bool) -> None:
        self.is_json = is_json
        self.is_quiet = is_quiet
        self._started = time.monotonic()

    def progress(self, step: str) -> None:
        """Tells on stderr what goes on, with the seconds since the start."""
        if not self.is_quiet:
            print(f"[{time.monotonic() - self._started:6.1f} s] {step}", file=sys.stderr, flush=True)

    def show_problems(self, problems: Iterable[str]) -> None:
        """Prints every problem on stderr."""
        for problem in problems:
            print(f"error: {problem}", file=sys.stderr)

    def show_warnings(self, warnings: Iterable[str]) -> None:
        """Prints warnings on stderr, quiet or not."""
        for warning in warnings:
            print(f"warning: {warning}", file=sys.stderr)

    def show_init(self, told: dict[str, Any]) -> None:
        """Where churn.toml stands and what to do with it."""
        if self._printed(told):
            return
        self._say(f"wrote {told['config']}")
        for line in told["tables"]:
            self._say(f"  {line}")
        self._next("read it and mend what is guessed wrong", f"churn check --config {told['config']}", f"churn train --config {told['config']}")

    def show_simulation(self, told: dict[str, Any]) -> None:
        """What was simulated."""
        if self._printed(told):
            return
        self._say(f"wrote {told['directory']}: {', '.join(told['tables'])}, the truth in truth/, and churn.toml")
        self._next(f"churn check --config {told['config']}", f"churn train --config {told['config']}")

    def show_check(self, told: dict[str, Any]) -> None:
        """The usability report; exits 1 on findings of severity error."""
        if not self._printed(told):
            from churn.views import check_lines

            self._lines(check_lines(told))
        if not told["is_usable"]:
            self._leave(1)

    def show_training(self, told: dict[str, Any]) -> None:
        """The verdict and the figures behind it; exits 1 when nothing was promoted."""
        if not self._printed(told):
            from churn.views import training_lines

            self._lines(training_lines(told))
        self.show_warnings(told["warnings"])
        if not told["verdict"]["is_promoted"]:
            self._leave(1)

    def show_scores(self, scored: Scored, out: Path) -> None:
        """What the list holds."""
        from churn.views import score_lines, score_summary

        summary = score_summary(scored, out)
        if not self._printed(summary):
            self._lines(score_lines(summary))
        self.show_warnings(scored.warnings)

    def show_why(self, told: dict[str, Any]) -> None:
        """One customer."""
        if not self._printed(told):
            from churn.views import why_lines

            self._lines(why_lines(told))
        self.show_warnings(told["warnings"])

    def show_report(self, told: dict[str, Any]) -> None:
        """Where the page is."""
        if not self._printed(told):
            self._say(f"wrote {told['out']}")

    def show_demo(self, told: dict[str, Any]) -> None:
        """What the demo made, and three commands to try."""
        if not self._printed(told):
            from churn.views import demo_lines

            self._lines(demo_lines(told))

    def _printed(self, told: dict[str, Any]) -> bool:
        if self.is_json:
            from churn.jobs.common import plain

            print(json.dumps(plain({"schema": OUTPUT_SCHEMA, **told}), ensure_ascii=False, allow_nan=False))
        return self.is_json

    def _say(self, line: str) -> None:
        print(line)

    def _lines(self, lines: Sequence[str]) -> None:
        print("\n".join(lines))

    def _next(self, *steps: str) -> None:
        print("\nnext:")
        for step in steps:
            print(f"  {step}")

    def _leave(self, code: int) -> None:
        import typer

        raise typer.Exit(code)
