"""Signals in pandas: each table read once, customers as codes, events in the order of time, so that a window is a
slice; a group-by per cutoff, stream of events and window."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from signal_data import DAY
from signal_recipes import STREAMS, edge

from churn.signals import Recipe

_UNITS = {"spend": 100, "refund": 100}
_COLUMNS = {"spend": "amount", "refund": "amount", "wait": "wait_seconds", "score": "unit", "complaint": "is_complaint",
            "negative": "is_negative", "day": "is_new_day", "": "us"}  # fmt: skip

_SAME = {"activity": "orders", "items": "orders"}
"""Streams of the very same events are asked together."""


def group_by_per_cutoff(folder: Path, rows: pa.Table, recipes: Sequence[Recipe]) -> pd.DataFrame:
    """Returns one row per row of `rows` and one float32 column per recipe."""
    wanted = rows.to_pandas()
    code, customers = pd.factorize(wanted["customer_id"], sort=True)
    streams = _streams(folder, pd.Index(customers))
    parts = []
    for at in np.unique(wanted["at"]):
        here = np.flatnonzero(wanted["at"] == at)
        answer: dict[str, npt.NDArray[np.float32]] = {}
        for stream, events in streams.items():
            times = events["us"].to_numpy()
            asked = [recipe for recipe in recipes if _SAME.get(recipe.table, recipe.table) == stream]
            for window in dict.fromkeys(recipe.window for recipe in asked):
                together = [recipe for recipe in asked if recipe.window == window]
                begin = edge(together[0], int(at))
                low = 0 if begin is None else np.searchsorted(times, begin)
                inside = events.iloc[low : np.searchsorted(times, at)]
                grouped = inside.groupby("code", sort=False)
                for recipe in together:
                    found = _feature(inside, grouped, recipe, int(at))
                    answer[recipe.name] = _aligned(found, recipe, len(customers))[code[here]]
        parts.append(pd.concat([wanted.iloc[here].reset_index(drop=True), pd.DataFrame(answer)], axis=1))
    answered: pd.DataFrame = pd.concat(parts, ignore_index=True)
    return answered


def _aligned(found: pd.Series, recipe: Recipe, customers: int) -> npt.NDArray[np.float32]:
    """The feature of every customer: an assignment by code, which is much cheaper than pandas' own alignment."""
    is_zero = recipe.how in ("count", "days", "distinct", "sum")
    column = np.full(customers, 0 if is_zero else np.nan, np.float32)
    column[found.index.to_numpy()] = found.to_numpy(np.float64, na_value=np.nan)
    return column


def _feature(inside: pd.DataFrame, grouped: Any, recipe: Recipe, at: int) -> Any:
    """What one recipe makes of the events inside its window, a series by customer code."""
    column = _COLUMNS.get(recipe.value, recipe.value)
    unit = _UNITS.get(recipe.value, 1)
    if recipe.how == "distinct":
        pairs = inside[["code", column]].dropna().drop_duplicates()
        return pairs.groupby("code", sort=False).size()
    if recipe.how == "count" and not recipe.value:
        return grouped.size()
    if recipe.how in ("count", "days"):
        return grouped[column].sum()
    if recipe.how == "mean":
        return grouped[column].sum() / grouped[column].count().replace(0, np.nan) / unit
    if recipe.how.startswith("days_since"):
        time = grouped["us"].max() if recipe.how == "days_since_last" else grouped["us"].min()
        return (at - time) / DAY
    return grouped[column].agg(recipe.how) / unit


def _streams(folder: Path, customers: pd.Index) -> dict[str, pd.DataFrame]:
    tables = {table: _read(folder / table, customers) for table in dict.fromkeys(STREAMS.values())}
    bought = tables["transactions"]
    purchases = bought[bought["amount"] > 0]
    purchases = purchases.assign(is_new_day=_is_new_day(purchases))
    returned = bought[bought["amount"] < 0]
    visits, feedback = tables["visits"], tables["feedback"]
    is_nps = feedback["kind"] == "nps"
    unit = np.where(is_nps, feedback["score"] / 10, (feedback["score"] - 1) / 4)
    is_negative = feedback["score"] <= np.where(is_nps, 6.0, 2.0)
    streams = {
        "orders": purchases,
        "returns": returned.assign(amount=-returned["amount"]), "visits": visits.assign(is_new_day=_is_new_day(visits)),
        "contacts": tables["contacts"], "feedback": feedback.assign(unit=unit, is_negative=is_negative),
    }  # fmt: skip
    return {name: events.sort_values("us", kind="stable") for name, events in streams.items()}


def _is_new_day(events: pd.DataFrame) -> pd.Series:
    """Whether each event is its customer's first that day: cutoffs and windows begin at midnight, so it is in all."""
    return ~pd.DataFrame({"code": events["code"], "day": events["us"] // DAY}).duplicated()


def _read(folder: Path, customers: pd.Index) -> pd.DataFrame:
    """The events of `customers`: ids as whole numbers and labels as categories, as whoever knows pandas has them."""
    names = [field.name for field in pq.read_schema(min(folder.glob("*.parquet"))) if field.type == pa.string()]
    events = pq.read_table(folder, read_dictionary=names).unify_dictionaries().to_pandas()
    ids = events["customer_id"].cat
    code = customers.get_indexer(ids.categories)[ids.codes]
    events = events.drop(columns=["time", "customer_id"]).assign(us=events["time"].astype("int64"), code=code)
    wanted: pd.DataFrame = events[code >= 0]
    return wanted
