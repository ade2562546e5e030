"""What the terminal shows: results on stdout, everything else on stderr; data never styles or moves anything."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from churn.errors import OutputError
from churn.tables.pace import Step

if TYPE_CHECKING:
    from churn.jobs.score import Scored

OUTPUT_SCHEMA = 1
_BAR = 24
_SECONDS_BETWEEN_STEPS = 5
"""Where nothing can be written over, as in a log, steps of one kind are told this often."""
CONFIG_FILE = Path("churn.toml")
# A terminal obeys C0 and C1 controls, line and paragraph separators, and marks that turn the direction of writing.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


class Terminal:
    """Prints for people, or one JSON object for programs."""

    def __init__(self, *, is_json: bool, is_quiet: bool, config: Path = CONFIG_FILE) -> None:
        self.is_json = is_json
        self.is_quiet = is_quiet
        self._config = config
        self._started = time.monotonic()
        self._told = self._started
        self._is_bar_open = False

    def command(self, words: str, *, config: Path | None = None) -> str:
        """Returns a command line to copy, calling churn as it was called and naming the configuration it needs."""
        named = config or self._config
        return f"{_program()} {words}" + ("" if named == CONFIG_FILE else f" --config {shlex.quote(str(named))}")

    def progress(self, step: str) -> None:
        """Tells on stderr what goes on, with the seconds so far; on a terminal, steps of one kind are a bar."""
        if self.is_quiet:
            return
        now = time.monotonic()
        line = f"[{now - self._started:6.1f} s] {step}"
        of_many = step if isinstance(step, Step) else None
        if of_many is not None and sys.stderr.isatty():
            self._is_bar_open = _draw(of_many, line)
            return
        if of_many is not None and of_many.done < of_many.total:
            if now - self._told < _SECONDS_BETWEEN_STEPS:
                return
            self._told = now
        self._tell(line)

    def show_problems(self, problems: Iterable[str]) -> None:
        """Prints every problem on stderr."""
        for problem in problems:
            self._tell(f"error: {problem}")

    def show_warnings(self, warnings: Iterable[str]) -> None:
        """Prints warnings on stderr, quiet or not."""
        for warning in warnings:
            self._tell(f"warning: {warning}")

    def show_init(self, told: dict[str, Any]) -> None:
        """Where churn.toml stands, what it maps, and what to do with it."""
        if self._printed(told):
            return
        config = Path(told["config"])
        check, train = self.command("check", config=config), self.command("train", config=config)
        lines = [f"wrote {config}", *(f"  {line}" for line in told["tables"])]
        lines += [*(f"not read: {line}" for line in told["not_read"]), *told["missing"]]
        self._lines(
            [*lines, "", "next:", "  read it and mend what is missing or guessed wrong", f"  {check}", f"  {train}"]
        )

    def show_simulation(self, told: dict[str, Any]) -> None:
        """What was simulated."""
        if self._printed(told):
            return
        config = Path(told["config"])
        self._lines([
            f"wrote {told['directory']}: {', '.join(told['tables'])}, the truth in truth/, and churn.toml",
            "", "next:", f"  {self.command('check', config=config)}", f"  {self.command('train', config=config)}",
        ])  # fmt: skip

    def show_check(self, told: dict[str, Any]) -> None:
        """The usability report; exits 1 on findings of severity error."""
        if not self._printed(told):
            from churn.views import check_lines

            self._lines(check_lines(told, command=self.command))
        if not told["is_usable"]:
            self._leave(1)

    def show_training(self, told: dict[str, Any]) -> None:
        """The verdict and the figures behind it; exits 1 when nothing was promoted."""
        if not self._printed(told):
            from churn.views import training_lines

            self._lines(training_lines(told, command=self.command))
        self.show_warnings(told["warnings"])
        if not told["verdict"]["is_promoted"]:
            self._leave(1)

    def show_scores(self, scored: Scored, out: Path | None, *, table: str | None = None, currency: str = "") -> None:
        """What the list holds."""
        from churn.views import score_lines, score_summary

        summary = score_summary(scored, out, table=table, currency=currency)
        if not self._printed(summary):
            self._lines(score_lines(summary, command=self.command))
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
            self._lines([f"wrote {told['out']}"])
        self.show_warnings(told["warnings"])

    def show_demo(self, told: dict[str, Any]) -> None:
        """What the demo made, and three commands to try."""
        if not self._printed(told):
            from churn.views import demo_lines

            self._lines(demo_lines(told, command=self.command))
        self.show_warnings(told["warnings"])

    def _tell(self, line: str) -> None:
        """A line on stderr, below a bar that an interruption has left unfinished."""
        if self._is_bar_open:
            self._is_bar_open = False
            _write(sys.stderr, "")
        _write(sys.stderr, line)

    def _printed(self, told: dict[str, Any]) -> bool:
        if self.is_json:
            from churn.delivery.plain import plain

            text = json.dumps(plain({"schema": OUTPUT_SCHEMA, **told}), ensure_ascii=False, allow_nan=False)
            # What is left of control characters stands inside JSON strings, where \uXXXX means the same.
            _write(sys.stdout, _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))
        return self.is_json

    def _lines(self, lines: Sequence[str]) -> None:
        _write(sys.stdout, *lines)

    def _leave(self, code: int) -> None:
        import typer

        raise typer.Exit(code)


def _draw(step: Step, line: str) -> bool:
    """Writes a bar over the last one, and returns whether more of its kind will follow."""
    filled = round(_BAR * step.done / step.total)
    bar = "#" * filled + "." * (_BAR - filled)
    # A line that is wider than the terminal would go on in the next one, where nothing is written over.
    text = f"[{bar}] {visible(line)}"[: shutil.get_terminal_size().columns - 1]
    with contextlib.suppress(OSError):
        sys.stderr.write(f"\r\x1b[K{text}" + ("\n" if step.done == step.total else ""))
        sys.stderr.flush()
    return step.done < step.total


def visible(text: str) -> str:
    r"""Returns a text whose control characters are spelled out, so that no cell of a table can command the terminal.

    >>> print(visible("\x1b[31mred"))
    \x1b[31mred
    """
    return _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


def _program() -> str:
    """How to call churn here: by its name where the shell finds it, else as it was called."""
    called = Path(sys.argv[0])
    if called.name != "churn" or shutil.which("churn") is not None:
        return "churn"
    return shlex.quote(str(called))


def _write(stream: TextIO, *lines: str) -> None:
    """Prints lines at once.

    Raises:
        OutputError: stdout can't be written, as on a full disk. A reader who has seen enough (`| head`) is no error:
            what follows is thrown away, and the exit code still tells how the job ended.
    """
    try:
        stream.write("".join(f"{visible(line)}\n" for line in lines))
        stream.flush()
    except OSError as error:
        _throw_away(stream)
        if stream is sys.stdout and not isinstance(error, BrokenPipeError):
            message = f"the result cannot be printed: {error.strerror or error}; send stdout to another place"
            raise OutputError(message) from None


def _throw_away(stream: TextIO) -> None:
    """Sends what the stream still holds, and all that follows, nowhere: Python would try it again when it ends."""
    with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
