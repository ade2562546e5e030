"""Recipes: each feature as data, `table, value, how, window`, from which its column takes its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SIGNALS = ("spend", "visits", "rhythm", "service", "incidents", "feedback", "silence", "text", "profile")
"""Every signal, in the order in which they are shown."""

OPERATIONS = frozenset({"spend", "visits", "rhythm", "profile"})
"""Signals of what customers do; the others tell what went wrong, and what was said and not said."""

YEAR = 365
"""The longest window of most recipes, in days."""

_BEFORE_THE_NOUN = frozenset({"days_since_last", "days_since_first", "days_since", "days_until"})


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one feature is made.

    A base recipe takes `value` (empty: the rows themselves) of the stream `table` over the `window`
    `[t - window days, t)` (None: the whole history before t) and does `how` with it. A derived recipe does `how`
    with the features of the recipes in `of`.

    Attributes:
        signal: one of `SIGNALS`.
        noun: what the name tells beside `how` and `window`.
        labels: of a category: its frozen labels, so that a code means the same in every bucket and year.
    """

    signal: str
    noun: str
    how: str
    table: str = ""
    value: str = ""
    window: int | None = None
    of: tuple[Recipe, ...] = ()
    labels: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """The column's name, which is the recipe.

        >>> Recipe("spend", "spend", "sum", "orders", "spend", 90).name
        'spend_sum_90d'
        >>> Recipe("service", "contact", "days_since_last", "contacts").name
        'days_since_last_contact'
        """
        if self.how in _BEFORE_THE_NOUN:
            parts = [self.how, self.noun]
        elif self.is_derived or self.how == "state":
            parts = [self.noun]
        else:
            parts = [self.noun, self.how]
        if self.window is not None:
            parts.append(f"{self.window}d")
        return "_".join(part for part in parts if part)

    @property
    def is_derived(self) -> bool:
        """Whether it is made from other features."""
        return bool(self.of)

    @property
    def is_category(self) -> bool:
        """Whether its column is a categorical with the frozen `labels`."""
        return self.labels is not None

    @property
    def is_operational(self) -> bool:
        """Whether it tells what the customer does, not what went wrong, was said or was not said."""
        return self.signal in OPERATIONS

    def as_dict(self) -> dict[str, Any]:
        """Returns the recipe as plain JSON data, without what is default; `recipe_of` reads it back."""
        told: dict[str, Any] = {"signal": self.signal, "noun": self.noun, "how": self.how}
        told |= {name: getattr(self, name) for name in ("table", "value") if getattr(self, name)}
        if self.window is not None:
            told["window"] = self.window
        if self.of:
            told["of"] = [recipe.as_dict() for recipe in self.of]
        if self.labels is not None:
            told["labels"] = list(self.labels)
        return told


def derived(signal: str, noun: str, how: str, window: int | None, *of: Recipe) -> Recipe:
    """Returns the recipe that does `how` with the features of other recipes."""
    return Recipe(signal, noun, how, window=window, of=of)


def _windowed(recipe: Recipe, window: int) -> Recipe:
    return Recipe(recipe.signal, recipe.noun, recipe.how, recipe.table, recipe.value, window)


def changes(signal: str, noun: str, recipe: Recipe) -> list[Recipe]:
    """Returns the recipes of how a rate has changed: two trends and the drift."""
    return [*trends(signal, noun, recipe), drift(signal, f"drift_{noun}", recipe)]


def trends(signal: str, noun: str, recipe: Recipe) -> list[Recipe]:
    """Returns the recipes of a rate's trends: a month against half a year, a quarter against a year."""
    return [trend(signal, noun, recipe, short, long) for short, long in ((30, 180), (90, YEAR))]


def trend(signal: str, noun: str, recipe: Recipe, short: int, long: int) -> Recipe:
    """Returns the recipe of her rate in the short window over her rate in the long one that holds it."""
    return derived(signal, f"{noun}_trend", "rate_ratio", short, _windowed(recipe, short), _windowed(recipe, long))


def drift(signal: str, noun: str, recipe: Recipe) -> Recipe:
    """Returns the recipe of her rate in the last 90 days over her own in the 90 days before them: her baseline."""
    return derived(signal, noun, "baseline_ratio", None, _windowed(recipe, 90), _windowed(recipe, 180))


def recipe_of(told: dict[str, Any]) -> Recipe:
    """Returns the recipe that `Recipe.as_dict` told of.

    >>> recipe = Recipe("spend", "spend", "sum", "orders", "spend", 90)
    >>> recipe_of(recipe.as_dict()) == recipe
    True
    """
    labels = told.get("labels")
    return Recipe(
        told["signal"], told["noun"], told["how"], told.get("table", ""), told.get("value", ""), told.get("window"),
        tuple(recipe_of(part) for part in told.get("of", ())), None if labels is None else tuple(labels),
    )  # fmt: skip


def base_recipes(recipes: tuple[Recipe, ...]) -> tuple[Recipe, ...]:
    """Returns every base recipe that the recipes need, each once, in the order in which they are met."""
    found: dict[Recipe, None] = {}
    for recipe in recipes:
        for base in base_recipes(recipe.of) if recipe.is_derived else (recipe,):
            found.setdefault(base)
    return tuple(found)
