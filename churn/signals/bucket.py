"""A bucket: the unit of work on a laptop and on a cluster. The tables of some customers go in, their signals come out;
each customer's depend on her own rows and on what is asked alone, so that any split gives the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from churn.signals.local import Float32, fill_signals, framed
from churn.signals.parts import parts_of
from churn.signals.recipes import Recipe, base_recipes, recipe_of
from churn.signals.streams import streams
from churn.tables.history import Int64, moments_of
from churn.tables.ids import coded
from churn.tables.sorting import by_customer_and_time
from churn.timeline.mbg_nbd import MbgNbd
from churn.timeline.rhythm import Prior


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of every bucket alike: nothing in it was learnt from the bucket.

    Attributes:
        recipes: the signals, in the order of their columns.
        prior: the frozen prior of the base, for rhythm.
        horizon_days: length of the outcome window.
        gap_days: days between the cutoff and the outcome window.
        timezone: of days and weekdays.
        activity: what "coming" means, `purchases` or `visits`.
        covers_from: by cutoff (microseconds UTC) and table, from when the table is complete as known at that cutoff.
    """

    recipes: tuple[Recipe, ...]
    prior: Prior
    horizon_days: int
    gap_days: int
    timezone: str
    activity: str
    covers_from: Mapping[int, Mapping[str, int]]

    def to_dict(self) -> dict[str, Any]:
        """Returns the same as plain JSON data; `asked_of` reads it back."""
        covers = {str(at): dict(starts) for at, starts in self.covers_from.items()}
        return {
            "recipes": [recipe.as_dict() for recipe in self.recipes], "prior": asdict(self.prior),
            "horizon_days": self.horizon_days, "gap_days": self.gap_days, "timezone": self.timezone,
            "activity": self.activity, "covers_from": covers,
        }  # fmt: skip

    def covered(self, at: Int64) -> dict[str, Int64]:
        """Returns per table from when it is complete, for each cutoff of `at`; shape (rows,)."""
        cutoffs, place = moments_of(at)
        starts = [self.covers_from.get(int(cutoff), {}) for cutoff in cutoffs]
        tables = sorted({table for start in starts for table in start})
        always = np.iinfo(np.int64).min
        return {table: np.array([start.get(table, always) for start in starts], np.int64)[place] for table in tables}


def asked_of(told: Mapping[str, Any]) -> Asked:
    """Returns what `Asked.to_dict` told of."""
    prior = told["prior"]
    return Asked(
        recipes=tuple(recipe_of(recipe) for recipe in told["recipes"]),
        prior=Prior(prior["shape"], prior["days"], tuple(prior["season"]), MbgNbd(**prior["dropout"])),
        horizon_days=told["horizon_days"], gap_days=told["gap_days"], timezone=told["timezone"],
        activity=told["activity"],
        covers_from={int(at): dict(starts) for at, starts in told["covers_from"].items()},
    )  # fmt: skip


def bucket_signals(tables: Mapping[str, pa.Table], rows: pa.Table, asked: Asked, *, threads: int = 1) -> pd.DataFrame:
    """Returns the signals of `rows` in their order, one column per recipe, float32 or categorical.

    At the cutoff t a row of the tables is used if `time < t` and it was known by t.

    Args:
        tables: canonical tables by name; rows of customers who are not asked for are left out.
        rows: columns customer_id (text) and at (cutoffs, int64 microseconds UTC).
        asked: the recipes and what is frozen.
        threads: how many share the work; the result is the same.
    """
    code, customers = coded(rows["customer_id"])
    at = np.asarray(rows["at"], np.int64)
    block = np.empty((len(asked.recipes), len(at)), np.float32)
    fill_bucket(block, tables, customers=customers, code=code, at=at, asked=asked, threads=threads)
    return framed(block, asked.recipes)


def signals_frame(
    tables: Mapping[str, pa.Table], *, customers: pa.StringArray, code: npt.NDArray[np.int32], at: Int64, asked: Asked,
    threads: int = 1, index: pd.Index | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Returns the signals of rows, float32, in the order of the recipes; see `fill_bucket`.

    They lie in one block, which nothing copies; a category is its code, null where the model doesn't know its label.
    """
    block = np.empty((len(asked.recipes), len(at)), np.float32)
    fill_bucket(block, tables, customers=customers, code=code, at=at, asked=asked, threads=threads)
    for number, recipe in enumerate(asked.recipes):
        if recipe.is_category:
            block[number][block[number] < 0] = np.nan
    return pd.DataFrame(block.T, columns=[recipe.name for recipe in asked.recipes], index=index, copy=False)


def fill_bucket(
    block: Float32, tables: Mapping[str, pa.Table], *, customers: pa.StringArray, code: npt.NDArray[np.int32],
    at: Int64, asked: Asked, threads: int = 1,
) -> None:  # fmt: skip
    """Writes the signals of rows into `block`, shape (recipes, rows), categories as codes; see `bucket_signals`.

    Args:
        customers: sorted ids.
        code: the customer of each row, her place in `customers`; -1 for somebody without any.
        at: the cutoff of each row, microseconds UTC.
    """
    streams_needed = {recipe.table for recipe in base_recipes(asked.recipes)}
    covers_from = asked.covered(at)
    parts = parts_of(tables, customers=customers, threads=threads)
    # Customer by customer, so that her events stay in the cache from one cutoff to the next; nobody's rows come last.
    owner = np.where(code < 0, np.int32(len(customers)), code)
    order, starts, is_sorted = by_customer_and_time(owner, at, len(customers) + 1)
    bounds = [*(int(starts[part.first]) for part in parts), len(at)]

    def compute(number: int) -> None:
        part, stretch = parts[number], slice(bounds[number], bounds[number + 1])
        rows = stretch if is_sorted else order[stretch]
        made = streams(
            part.tables, customers=part.customers, timezone=asked.timezone, activity=asked.activity,
            only=streams_needed,
        )  # fmt: skip
        own = np.where(code[rows] < 0, -1, code[rows] - part.first).astype(np.int64)
        fill_signals(
            block, made, asked.recipes, customer=own, at=at[rows], rows=rows, prior=asked.prior,
            horizon_days=asked.horizon_days, gap_days=asked.gap_days,
            covers_from={table: begin[rows] for table, begin in covers_from.items()},
        )  # fmt: skip

    if threads == 1:
        for number in range(len(parts)):
            compute(number)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(compute, range(len(parts))))
