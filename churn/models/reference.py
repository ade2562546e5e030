"""The reference: how signals were spread in training, to be held against those of the customers who are scored.

Each feature has ten bins of about equally many training rows, or fewer where many rows are equal, and one of those
where it is null. The population stability index (PSI) sums (now - then) x ln(now / then) over them: below 0.1 nothing
has changed, above 0.25 so much that a model should be doubted (Siddiqi 2006, "Credit Risk Scorecards").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from churn.signals.recipes import Recipe
from churn.tables.contract import CONTRACT
from churn.tables.history import DAY

Float32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Counts = list[Int64]
"""Of each feature, in the order of the recipes, how many rows are in each of its bins."""

BINS = 10
_RAREST = 1e-4
"""A bin that holds fewer is taken for holding this share: the index would be infinite."""


@dataclass(frozen=True, slots=True)
class Bins:
    """One feature's spread in training.

    Attributes:
        edges: rising; a bin reaches from above the edge before it up to its own, the last but one on without end.
        shares: of the training rows in each bin; the last is that of those where the feature is null.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """What training has seen of signals and tables.

    Attributes:
        rows: how many rows the bins were learnt from.
        bins: of every feature, by name.
        pause_days: of every event table that had rows, the longest time without any in its last year, in days.
    """

    rows: int = 0
    bins: Mapping[str, Bins] = field(default_factory=dict)
    pause_days: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Returns the same as plain JSON data; `reference_told` reads it back."""
        bins = {name: [list(one.edges), list(one.shares)] for name, one in self.bins.items()}
        return {"rows": self.rows, "bins": bins, "pause_days": dict(self.pause_days)}


def reference_told(told: Mapping[str, Any]) -> Reference:
    """Returns what `Reference.to_dict` told of."""
    bins = {name: Bins(tuple(edges), tuple(shares)) for name, (edges, shares) in told["bins"].items()}
    return Reference(told["rows"], bins, dict(told["pause_days"]))


def learn_reference(
    features: pd.DataFrame, recipes: Sequence[Recipe], *, rows: npt.NDArray[np.bool_], pause_days: Mapping[str, int]
) -> Reference:
    """Returns how the features of the training rows are spread, beside how long each table pauses.

    Args:
        features: float32 by the names of the recipes, categories as codes.
        recipes: of the model's features.
        rows: which rows count, shape (rows of the features,).
        pause_days: see `pauses`.
    """
    count = int(rows.sum())
    bins = {}
    for recipe in recipes:
        values = np.asarray(features[recipe.name], np.float32)[rows]
        edges = _edges(values, recipe)
        shares = _counted(values, edges) / max(count, 1)
        bins[recipe.name] = Bins(tuple(edges.tolist()), tuple(shares.tolist()))
    return Reference(count, bins, dict(pause_days))


def pauses(tables: Mapping[str, pa.Table]) -> dict[str, int]:
    """Returns of every event table with rows the longest time without any in its last year, in days."""
    return {name: pause for name, table in sorted(tables.items()) if (pause := _pause_days(name, table)) is not None}


def counts_of(reference: Reference, features: pd.DataFrame, recipes: Sequence[Recipe]) -> Counts:
    """Returns in which bins the features of some rows lie; those of several buckets add up."""
    found = []
    for recipe in recipes:
        edges = np.asarray(reference.bins[recipe.name].edges, np.float32)
        found.append(_counted(np.asarray(features[recipe.name], np.float32), edges))
    return found


def compared(bins: Bins, counts: Int64) -> tuple[Floats, Floats]:
    """Returns the shares of a feature's bins in training and now, to be held against each other.

    Where fewer are null than in training, the shares are those of the rows that are not: windows that reached back
    behind the first rows of a young company reach nothing but rows now, which is no change in its customers.
    """
    then, now = np.array(bins.shares), counts / max(int(counts.sum()), 1)
    if now[-1] >= then[-1]:
        return then, now
    return then[:-1] / max(1 - then[-1], _RAREST), now[:-1] / (1 - now[-1])


def stability(bins: Bins, counts: Int64) -> float:
    """Returns the population stability index of a feature: 0 for the spread of training, as `compared` tells it.

    >>> round(stability(Bins((1.0,), (0.5, 0.5, 0.0)), np.array([80, 20, 0])), 2)
    0.42
    """
    if bins.shares[-1] == 1:  # in training it was never known: no tree reads it
        return 0.0
    then, now = (np.maximum(shares, _RAREST) for shares in compared(bins, counts))
    return float(((now - then) * np.log(now / then)).sum())


def _edges(values: Float32, recipe: Recipe) -> Float32:
    if recipe.labels is not None:
        return np.arange(len(recipe.labels) - 1, dtype=np.float32)
    known = values[~np.isnan(values)]
    if not len(known):
        return np.empty(0, np.float32)
    return np.unique(np.quantile(known, np.arange(1, BINS) / BINS, method="lower")).astype(np.float32)


def _counted(values: Float32, edges: Float32) -> Int64:
    counts = np.zeros(len(edges) + 2, np.int64)
    _count(values, edges, counts)
    return counts


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _count(values: Float32, edges: Float32, counts: Int64) -> None:
    for value in values:
        place = 0
        if np.isnan(value):
            place = len(counts) - 1
        else:
            for edge in edges:
                place += value > edge
        counts[place] += 1


def _pause_days(name: str, table: pa.Table) -> int | None:
    """The longest time between two days with rows, over the last year; None for a table that isn't of events."""
    column = CONTRACT[name].time_column
    if column is None or not table.num_rows:
        return None
    days = np.unique(np.asarray(pc.unique(pc.divide(table[column].cast(pa.int64()), DAY)), np.int64))
    recent = days[days > days[-1] - 365]
    return int(np.diff(recent).max(initial=1))
