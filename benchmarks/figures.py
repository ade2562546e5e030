"""Figures: what the benchmark measured, each figure beside its target, as text for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Check:
    """One figure beside its target; `is_met` is None where there is no target, only something to compare with."""

    what: str
    measured: str
    target: str
    is_met: bool | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a sentence above it."""

    about: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the benchmark.

    Attributes:
        name: short, unique.
        title: what it is about.
        checks: figures beside their targets.
        header: of `rows`.
        rows: a table of models and their figures.
        notes: sentences to read with them.
        figures: the main figures for the log, by name.
        more: further tables.
    """

    name: str
    title: str
    checks: list[Check] = field(default_factory=list)
    header: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)
    more: list[Table] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Results:
    """All parts, and what was skipped and why."""

    parts: list[Part]
    skipped: list[str]

    @property
    def short(self) -> list[str]:
        """The figures that fall short of their target."""
        return [f"{part.name}: {check.what}" for part in self.parts for check in part.checks if check.is_met is False]

    def to_dict(self) -> dict[str, Any]:
        """Returns the results as plain JSON."""
        return {"schema": 1, "is_met": not self.short, "short": self.short, **asdict(self)}

    def to_text(self) -> str:
        """Returns the results as Markdown, from the first part's heading to the verdict."""
        blocks = [block for part in self.parts for block in _part(part)]
        blocks += [f"Skipped: {why}." for why in self.skipped]
        return "\n\n".join([*blocks, _verdict(self)])


def number(value: float | None, decimals: int = 3) -> str:
    """Returns a figure as text, a dash where there is none.

    >>> number(0.78549), number(None)
    ('0.785', '-')
    """
    return "-" if value is None else f"{value:.{decimals}f}"


def interval(found: dict[str, Any], *, is_difference: bool = False) -> str:
    """Returns a figure of `churn train --json` with its 95 % interval.

    >>> interval({"mean": 0.01, "low": -0.002, "high": 0.022}, is_difference=True)
    '+0.010 [-0.002, +0.022]'
    """
    sign = "+" if is_difference else ""
    shown = ["-" if found[key] is None else f"{found[key]:{sign}.3f}" for key in ("mean", "low", "high")]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table with columns of even width.

    >>> print(table(("a", "long"), [("1", "x")]))
    | a | long |
    |---|------|
    | 1 | x    |
    """
    widths = [max(len(row[place]) for row in (header, *rows)) for place in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (header, *rows)
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _part(part: Part) -> list[str]:
    marks = {True: "met", False: "SHORT", None: "-"}
    checks = [(check.what, check.measured, check.target, marks[check.is_met]) for check in part.checks]
    found = [f"## {part.name}", f"{part.title}."]
    if checks:
        found.append(table(("figure", "measured", "target", "verdict"), checks))
    if part.rows:
        found.append(table(part.header, part.rows))
    for told in part.more:
        found += [told.about, table(told.header, told.rows)]
    return [*found, *part.notes]


def _verdict(results: Results) -> str:
    judged = sum(check.is_met is not None for part in results.parts for check in part.checks)
    if not judged:
        return "Nothing was measured against a target."
    return f"Short of their target: {'; '.join(results.short)}." if results.short else f"All {judged} targets met."
