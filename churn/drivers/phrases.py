"""Phrases: a customer's numbers in plain English, and the shapes that many sentences share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from churn.signals.recipes import YEAR, Recipe

SAME = 0.05
"""Within this share of her usual, she does as usual."""


@dataclass(frozen=True, slots=True)
class Wording:
    """What the words of every sentence depend on, beside the numbers."""

    currency: str
    activity: str
    horizon_days: int

    @property
    def coming(self) -> str:
        """The noun of what "coming" means."""
        return "visit" if self.activity == "visits" else "purchase"

    @property
    def came(self) -> str:
        """The verb of what "coming" means."""
        return "Visited" if self.activity == "visits" else "Purchased"


class Told(NamedTuple):
    """A sentence, and where it leans by itself: 1 sounds like more risk, -1 like less, 0 like neither.

    It is weak where it tells an absence that moves nobody to act, such as that others have never scored her.
    """

    text: str
    leaning: int = 0
    is_weak: bool = False


class Rows:
    """The features of some customers as Python values; a column is turned when it is first asked for."""

    def __init__(self, features: pd.DataFrame, *, wording: Wording) -> None:
        self.wording = wording
        self._features = features
        self._columns: dict[str, list[float | str | None]] = {}

    def at(self, index: int) -> Row:
        """Returns one customer's row by position."""
        return Row(self, index)

    def cell(self, name: str, index: int) -> float | str | None:
        """Returns one value: a category's label, else a number; None where it is null or no such feature is there."""
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = self._turned(name)
        return column[index]

    def _turned(self, name: str) -> list[float | str | None]:
        if name not in self._features.columns:
            return [None] * len(self._features)
        column = self._features[name]
        values: list[float | str | None] = column.astype(object).where(column.notna(), None).tolist()
        return values


@dataclass(frozen=True, slots=True)
class Row:
    """One customer's own numbers."""

    rows: Rows
    index: int

    @property
    def wording(self) -> Wording:
        """What the words depend on beside the numbers."""
        return self.rows.wording

    def number(self, name: str) -> float | None:
        """Returns the number of a feature, None where it is null, a label, or none of the features."""
        value = self.rows.cell(name, self.index)
        return None if value is None or isinstance(value, str) else value


Show = Callable[[float, Row], str]
Lean = Callable[[float], int]
Tell = Callable[[Recipe, Row, float], Told | None]
Versus = Callable[[Recipe, Row, float], tuple[str, float] | None]
"""What a number is held against: `{} would be her usual`, and how much that is."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """How a feature is told.

    Attributes:
        tell: the sentence about its value; None where there is nothing true to say.
        absent: the sentence about its absence, empty where absence says nothing.
        told_by: features that must not all be null for `absent` to be true: they show that the table was there to see.
    """

    tell: Tell
    absent: str = ""
    told_by: tuple[str, ...] = ()


def neutral(_: float) -> int:
    """Leans nowhere."""
    return 0


def bad_above(limit: float) -> Lean:
    """Leans to risk above `limit`, away from it otherwise."""
    return lambda x: 1 if x > limit else -1


def bad_below(limit: float) -> Lean:
    """Leans to risk below `limit`, away from it otherwise."""
    return lambda x: 1 if x < limit else -1


def number(x: float, _: Row | None = None) -> str:
    """Returns a number with as many digits as are worth reading.

    >>> [number(x) for x in (1240.4, 12.34, 2.04, 2.5, 0.1234, 0.0, -1.26)]
    ['1,240', '12', '2', '2.5', '0.12', '0', '-1.3']
    """
    size = abs(x)
    digits = 0 if size >= 10 else 1 if size >= 1 else 2
    text = f"{x:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def rate(x: float, _: Row | None = None) -> str:
    """Returns how many are usual, to a tenth: more digits than counts can bear out say nothing.

    >>> [rate(x) for x in (12.3, 5.72, 0.97, 0.01, 0.0)]
    ['12', '5.7', '1', 'under 0.1', '0']
    """
    return "under 0.1" if 0 < x < 0.05 else number(round(x, 1))


def money(x: float, row: Row) -> str:
    """Returns an amount with its currency: whole units, cents only below 10."""
    amount = f"{x:,.0f}" if abs(x) >= 10 or x == round(x) else f"{x:,.2f}"
    return f"{amount} {row.wording.currency}"


def share(x: float, _: Row | None = None) -> str:
    """Returns a share as a percentage.

    >>> [share(x) for x in (0.0, 0.001, 0.256, 0.999, 1.0, 1.2)]
    ['0 %', 'under 1 %', '26 %', 'over 99 %', '100 %', '120 %']
    """
    if 0 < x < 0.005:
        return "under 1 %"
    return "over 99 %" if 0.995 < x < 1 else f"{100 * x:,.0f} %"


def ten(x: float, _: Row | None = None) -> str:
    """Returns a score between 0 and 1 as one of 10."""
    return f"{number(round(10 * x, 1))} of 10"


def duration(seconds: float, _: Row | None = None) -> str:
    """Returns a length of time in the unit one would say it in.

    >>> [duration(s) for s in (1, 45, 61, 720, 9000)]
    ['1 second', '45 seconds', '1 minute', '12 minutes', '2.5 hours']
    """
    for limit, unit, name in ((59.5, 1, "second"), (90 * 60, 60, "minute")):
        if seconds < limit:
            return plural(round(seconds / unit), name)
    return plural(round(seconds / 3600, 1), "hour")


def capital(words: str) -> str:
    """Returns words as the beginning of a sentence.

    >>> capital("late_delivery")
    'Late delivery'
    """
    plain = words.replace("_", " ").strip()
    return plain[:1].upper() + plain[1:]


def plural(n: float, one: str) -> str:
    """Returns `n` with its noun.

    >>> plural(1, "day"), plural(0, "day"), plural(1.5, "day")
    ('1 day', '0 days', '1.5 days')
    """
    text = number(n)
    return f"{text} {one}" if text == "1" else f"{text} {one}s"


def times(n: float) -> str:
    """Returns how often.

    >>> times(1), times(3)
    ('once', '3 times')
    """
    return "once" if n == 1 else plural(n, "time")


def days(x: float, _: Row | None = None) -> str:
    """Returns a number of days, to a tenth below 10."""
    return plural(round(x, 1 if x < 10 else 0), "day")


def ago(since: float, _: Row | None = None) -> str:
    """Returns how long ago something was; days that have begun do not count."""
    return "less than a day ago" if since < 1 else f"{plural(math.floor(since), 'day')} ago"


def elapsed(since: float, _: Row | None = None) -> str:
    """Returns a time that has gone by, in full days."""
    return "less than a day" if since < 1 else plural(math.floor(since), "day")


def period(window: int | None) -> str:
    """Returns the window in words."""
    return "so far" if window is None else f"in the last {window} days"


def usual(recipe: Recipe, row: Row, x: float) -> tuple[str, float] | None:
    """Her own rate before the window: in the year, or in all her time where the year leaves too little before it."""
    window, tenure = recipe.window, row.number(f"days_since_first_{row.wording.coming}")
    if window is None or tenure is None:
        return None
    whole = recipe.name.removesuffix(f"_{window}d")
    for name, span in ((f"{whole}_{YEAR}d", min(YEAR, tenure)), (whole, tenure)):
        total = row.number(name)
        if total is not None and span >= 2 * window:
            return "{} would be her usual", max(total - x, 0.0) * window / (span - window)
    return None


def average(recipe: Recipe, row: Row, x: float) -> tuple[str, float] | None:
    """Her average over the year, for what may have begun at any time in it."""
    window = recipe.window
    if window is None or window >= YEAR:
        return None
    total = row.number(recipe.name.removesuffix(f"_{window}d") + f"_{YEAR}d")
    return None if total is None else (f"on average {{}} per {window} days over the last {YEAR}", total * window / YEAR)


def counts(none: str, one: str, many: str, *, lean: Lean = neutral, versus: Versus | None = None) -> Sentence:
    """Returns the sentence of a number of things, for 0, 1 and more (`{n}`).

    The window stands where `{period}` is, else last. With `versus` less than that sounds like risk.
    """
    none, one, many = (text if "{period}" in text else text + " {period}" for text in (none, one, many))

    def tell(recipe: Recipe, row: Row, x: float) -> Told | None:
        text = none if x == 0 else one if x == 1 else many
        begin = text.format(n=number(x), came=row.wording.came, period=period(recipe.window))
        clause, leaning = _compared(versus, recipe, row, x, rate)
        return Told(f"{begin}{clause}.", leaning if versus else lean(x))

    return Sentence(tell)


def amounts(none: str, text: str, *, show: Show, versus: Versus) -> Sentence:
    """Returns the sentence of a sum (`{value}`; `none` where it is 0) in its window, beside her usual."""

    def tell(recipe: Recipe, row: Row, x: float) -> Told | None:
        begin = none if x == 0 else text.format(value=show(x, row))
        clause, leaning = _compared(versus, recipe, row, x, show)
        return Told(f"{begin} {period(recipe.window)}{clause}.", leaning)

    return Sentence(tell)


def says(
    text: str, *, show: Show = number, lean: Lean = neutral, absent: str = "", told_by: tuple[str, ...] = ()
) -> Sentence:
    """Returns the sentence of a `{value}` in its `{period}`; `{year}` is the same over the year."""

    def tell(recipe: Recipe, row: Row, x: float) -> Told | None:
        value = show(x, row)
        year = _over_the_year(recipe, row, value, show) if "{year}" in text else ""
        return Told(text.format(value=value, period=period(recipe.window), year=year), lean(x))

    return Sentence(tell, absent, told_by)


def _compared(versus: Versus | None, recipe: Recipe, row: Row, x: float, show: Show) -> tuple[str, int]:
    held = versus(recipe, row, x) if versus else None
    if held is None or x == held[1] == 0:
        return "", 0
    clause, level = held
    leaning = 0 if abs(x - level) <= SAME * level else bad_below(level)(x)
    return "; " + clause.format(show(level, row)), leaning


def _over_the_year(recipe: Recipe, row: Row, value: str, show: Show) -> str:
    if recipe.window is None or recipe.window >= YEAR:
        return ""
    year = row.number(recipe.name.removesuffix(f"_{recipe.window}d") + f"_{YEAR}d")
    return "" if year is None or show(year, row) == value else f"; {show(year, row)} over the last {YEAR} days"
