"""Signal recipes: the signals that everyone in the benchmark computes, as the product states them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq

from churn.signals import Recipe, recipes_for
from churn.signals.recipes import base_recipes

WINDOWS = (7, 30, 90, 180, 365, None)
"""Days; None is the whole history."""

STREAMS = {
    "orders": "transactions", "returns": "transactions", "activity": "transactions", "items": "transactions",
    "visits": "visits", "contacts": "contacts", "feedback": "feedback",
}  # fmt: skip
"""The table of each stream compared; the others of the catalogue are made of several tables."""

HOWS = frozenset({
    "count", "sum", "mean", "max", "min", "last", "days", "distinct", "days_since_last", "days_since_first",
})  # fmt: skip
"""What pandas, Polars and SQL state as well; gaps, streaks and the like need a walk."""

EXACT = frozenset({"count", "sum", "max", "min", "last", "days", "distinct"})
"""Whole numbers and cents: they must agree to the last bit. The others are quotients."""

HORIZON_DAYS = 30
_SAMPLE_ROWS = 10_000


def compared(folder: Path) -> tuple[Recipe, ...]:
    """Returns the recipes compared, each name once: the catalogue's base recipes for these tables that everyone can
    state, the signals of transactions and visits in every one of `WINDOWS`, and the counts of the others as a whole."""
    tables = {name: _first_rows(folder / name) for name in dict.fromkeys(STREAMS.values())}
    offered = base_recipes(recipes_for(tables, horizon_days=HORIZON_DAYS))
    known = [recipe for recipe in offered if recipe.table in STREAMS and _is_stated_by_all(recipe)]
    found = {recipe.name: recipe for recipe in [*known, *_every_window(), *_as_a_whole()]}
    return tuple(
        sorted(found.values(), key=lambda recipe: (list(STREAMS).index(recipe.table), recipe.how, recipe.name))
    )


def of_table(recipes: Iterable[Recipe], table: str) -> list[Recipe]:
    """Returns the recipes that are made from the rows of one table."""
    return [recipe for recipe in recipes if STREAMS[recipe.table] == table]


def edge(recipe: Recipe, at: int) -> int | None:
    """Returns where the window of a recipe begins at the cutoff, microseconds; None for the whole history."""
    return None if recipe.window is None else at - recipe.window * 86_400_000_000


def _is_stated_by_all(recipe: Recipe) -> bool:
    if recipe.how == "count" and recipe.value not in ("", "complaint", "negative"):
        return False  # rows that have a channel, and the like: the same number once more
    return recipe.how in HOWS and "=" not in recipe.value and recipe.value != "categories"


def _as_a_whole() -> list[Recipe]:
    counts = [
        ("service", "contacts", "count", "contacts", ""),
        ("service", "contacts_complaint", "count", "contacts", "complaint"),
        ("feedback", "feedback", "count", "feedback", ""),
        ("feedback", "negative", "count", "feedback", "negative"),
        ("feedback", "feedback", "days_since_last", "feedback", ""),
    ]
    return [Recipe(*part) for part in counts]


def _every_window() -> list[Recipe]:
    parts = (
        ("spend", "orders", "count", "orders", ""),
        ("spend", "spend", "sum", "orders", "spend"),
        ("spend", "spend", "mean", "orders", "spend"),
        ("spend", "spend", "max", "orders", "spend"),
        ("spend", "returns", "count", "returns", ""),
        ("spend", "refund", "sum", "returns", "refund"),
        ("rhythm", "active", "days", "activity", "day"),
        ("visits", "visits", "count", "visits", ""),
        ("visits", "visits", "days", "visits", "day"),
    )
    return [Recipe(*part, window) for part in parts for window in WINDOWS]


def _first_rows(folder: Path) -> object:
    table = pq.ParquetFile(min(folder.glob("*.parquet"))).read_row_group(0).slice(0, _SAMPLE_ROWS)
    return table.append_column("available_at", table["time"])
