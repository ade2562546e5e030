"""Signals in Polars: three ways to state them, and the bound; built of the same parts as those in DuckDB."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from signal_data import DAY
from signal_recipes import STREAMS, edge, of_table

from churn.signals import Recipe

_UNITS = {"spend": 100, "refund": 100}
_OPS = {
    "count": "n", "sum": "s", "mean": "sn", "max": "x", "min": "m", "last": "l", "days": "d", "distinct": "b",
    "days_since_last": "h", "days_since_first": "f",
}  # fmt: skip

Key = tuple[str, str, str]
"""Stream, value, operation."""


def scan_per_cutoff(folder: Path, rows: pa.Table, recipes: Sequence[Recipe]) -> pa.Table:
    """One lazy scan and one streaming group-by per table and cutoff; a filter for each window."""
    wanted = _wanted(rows)
    parts = []
    for at in _cutoffs(rows):
        answer = wanted.lazy().filter(pl.col("at") == at)
        for table in dict.fromkeys(STREAMS.values()):
            asked = of_table(recipes, table)
            events = _scan(folder, table).filter(pl.col("us") < at)
            found = {
                _column(recipe, op): _raw(_key(recipe, op), since=edge(recipe, at))
                for recipe in asked for op in _OPS[recipe.how]
            }  # fmt: skip
            answer = _joined(answer, events.group_by("customer_id").agg(**found), asked, at)
        parts.append(answer.collect(engine="streaming"))
    return pl.concat(parts).to_arrow()


def tiles_of_days(folder: Path, rows: pa.Table, recipes: Sequence[Recipe]) -> pa.Table:
    """One scan into tiles of one customer and day, which settles distinct days; then one group-by per cutoff."""
    return _from_tiles(rows, recipes, {table: _tiles(folder, table, recipes) for table in _tables()})


def tiles_of_periods(folder: Path, rows: pa.Table, recipes: Sequence[Recipe]) -> pa.Table:
    """Tiles of days merged into tiles of the periods between all edges of all windows; then one group-by per cutoff."""
    edges = {0, *_cutoffs(rows)}
    edges |= {begin for at in _cutoffs(rows) for recipe in recipes if (begin := edge(recipe, at)) is not None}
    days = np.array(sorted(edges)) // DAY
    merged = {}
    for table in _tables():
        tiles = _tiles(folder, table, recipes)
        began = days[np.searchsorted(days, tiles["day"].to_numpy(), side="right") - 1]
        tiles = tiles.with_columns(day=pl.Series(began))
        listed = {_name(key): _merged(key, since=None) for key in _held(of_table(recipes, table))}
        merged[table] = tiles.lazy().group_by("customer_id", "day").agg(**listed).collect(engine="streaming")
    return _from_tiles(rows, recipes, merged)


def bound(folder: Path, rows: pa.Table, recipes: Sequence[Recipe]) -> pa.Table:
    """One scan and one group-by per table: count, sum and last time per customer. No signal is answered by it."""
    sums = {"transactions": "amount", "visits": None, "contacts": "wait_seconds", "feedback": "score"}
    for table, value in sums.items():
        totals = [] if value is None else [pl.col(value).sum()]
        scan = pl.scan_parquet(folder / table / "*.parquet").group_by("customer_id")
        scan.agg(pl.len(), pl.col("time").max(), *totals).collect(engine="streaming")
    return rows.slice(0, 0)


def _tables() -> list[str]:
    return list(dict.fromkeys(STREAMS.values()))


def _cutoffs(rows: pa.Table) -> list[int]:
    return [int(at) for at in np.unique(rows["at"].to_numpy())]


def _wanted(rows: pa.Table) -> pl.DataFrame:
    wanted = pl.from_arrow(rows)
    assert isinstance(wanted, pl.DataFrame)
    return wanted


def _scan(folder: Path, table: str) -> pl.LazyFrame:
    events = pl.scan_parquet(folder / table / "*.parquet").with_columns(us=pl.col("time").to_physical())
    if table == "feedback":
        is_nps = pl.col("kind") == "nps"
        events = events.with_columns(
            unit=pl.when(is_nps).then(pl.col("score") / 10).otherwise((pl.col("score") - 1) / 4),
            is_negative=pl.col("score") <= pl.when(is_nps).then(6.0).otherwise(2.0),
        )
    return events


def _rows_of(stream: str, value: str) -> pl.Expr:
    """Which rows of its table belong to a stream and have the value."""
    if stream == "returns":
        return pl.col("amount") < 0
    if STREAMS[stream] == "transactions":
        return pl.col("amount") > 0
    told = {"complaint": pl.col("is_complaint"), "negative": pl.col("is_negative").fill_null(False)}
    return told.get(value, pl.col("us").is_not_null())


def _value(value: str) -> pl.Expr:
    renamed = {"spend": pl.col("amount"), "refund": -pl.col("amount"), "wait": pl.col("wait_seconds")}
    return renamed.get(value, pl.col("unit") if value == "score" else pl.col(value or "us"))


def _raw(key: Key, *, since: int | None) -> pl.Expr:
    """An operation on rows; a row that isn't asked for is null, which every aggregate passes over."""
    stream, value, op = key
    where = _rows_of(stream, value)
    if since is not None:
        where = where & (pl.col("us") >= since)
    if op == "n":
        return (where & _value(value).is_not_null()).sum() if value in ("wait", "score") else where.sum()
    if op in "hf":
        time = pl.when(where).then(pl.col("us"))
        return time.max() if op == "h" else time.min()
    if op == "d":
        return pl.when(where).then(pl.col("us") // DAY).drop_nulls().n_unique()
    found = pl.when(where).then(_value(value))
    if op == "l":
        return _value(value).max_by(pl.when(where & _value(value).is_not_null()).then(pl.col("us")))
    if op == "b":
        return found.drop_nulls().n_unique()
    return {"s": found.sum(), "x": found.max(), "m": found.min()}[op]


def _key(recipe: Recipe, op: str) -> Key:
    """What is held for a recipe's operation; an amount is never null, so that its rows are those of the stream."""
    return recipe.table, "" if op == "n" and recipe.value in _UNITS else recipe.value, op


def _held(recipes: Iterable[Recipe]) -> list[Key]:
    """The operations that the recipes need, each once; what is last needs to know of when."""
    needed = [_key(recipe, op) for recipe in recipes for op in _OPS[recipe.how]]
    needed += [(stream, value, "h") for stream, value, op in needed if op == "l"]
    return list(dict.fromkeys(needed))


def _tiles(folder: Path, table: str, recipes: Sequence[Recipe]) -> pl.DataFrame:
    held = _held(of_table(recipes, table))
    events = _scan(folder, table).with_columns(day=pl.col("us") // DAY)
    for _, value, op in held:
        if op == "b":
            labels = _scan(folder, table).select(pl.col(value).unique().drop_nulls()).collect()[value].sort()
            events = events.with_columns(pl.col(value).cast(pl.Enum(labels)).to_physical().cast(pl.Int64))
    listed = {_name(key): _tile(key) for key in held}
    return events.group_by("customer_id", "day").agg(**listed).collect(engine="streaming")


def _tile(key: Key) -> pl.Expr:
    stream, value, op = key
    if op == "d":
        return _rows_of(stream, value).any().cast(pl.Int64)
    if op == "b":
        bit = pl.lit(2, pl.Int64).pow(pl.col(value)).cast(pl.Int64)
        return pl.when(_rows_of(stream, value)).then(bit).otherwise(0).bitwise_or()
    return _raw(key, since=None)


def _merged(key: Key, *, since: int | None) -> pl.Expr:
    """An operation on tiles, from its own column of each."""
    stream, value, op = key
    column = pl.col(_name(key))
    where = pl.lit(True) if since is None else pl.col("day") >= since // DAY
    if op == "l":
        when = pl.col(_name((stream, value, "h")))
        return column.max_by(pl.when(where & column.is_not_null()).then(when))
    found = column if since is None else pl.when(where).then(column)
    merge = {"x": found.max, "m": found.min, "h": found.max, "f": found.min, "b": found.bitwise_or}
    return merge.get(op, found.sum)()


def _from_tiles(rows: pa.Table, recipes: Sequence[Recipe], tiles: dict[str, pl.DataFrame]) -> pa.Table:
    wanted = _wanted(rows)
    parts = []
    for at in _cutoffs(rows):
        answer = wanted.lazy().filter(pl.col("at") == at)
        for table in _tables():
            asked = of_table(recipes, table)
            found = {}
            for recipe in asked:
                for op in _OPS[recipe.how]:
                    merged = _merged(_key(recipe, op), since=edge(recipe, at))
                    found[_column(recipe, op)] = merged.bitwise_count_ones() if op == "b" else merged
            visible = tiles[table].lazy().filter(pl.col("day") < at // DAY)
            answer = _joined(answer, visible.group_by("customer_id").agg(**found), asked, at)
        parts.append(answer.collect(engine="streaming"))
    return pl.concat(parts).to_arrow()


def _joined(answer: pl.LazyFrame, found: pl.LazyFrame, recipes: Sequence[Recipe], at: int) -> pl.LazyFrame:
    kept = found.select("customer_id", *(_finish(recipe, at).cast(pl.Float32).alias(recipe.name) for recipe in recipes))
    zero = [
        pl.col(recipe.name).fill_null(0) for recipe in recipes if recipe.how in ("count", "days", "distinct", "sum")
    ]
    return answer.join(kept, on="customer_id", how="left").with_columns(zero)


def _name(key: Key) -> str:
    return "_".join(part for part in key if part)


def _column(recipe: Recipe, op: str) -> str:
    """What a recipe's operation is called: recipes that share one share its column."""
    return f"{_name(_key(recipe, op))}_{recipe.window or 'whole'}"


def _finish(recipe: Recipe, at: int) -> pl.Expr:
    first = pl.col(_column(recipe, _OPS[recipe.how][0])).cast(pl.Float64)
    unit = _UNITS.get(recipe.value, 1)
    if recipe.how == "mean":
        count = pl.col(_column(recipe, "n"))
        return pl.when(count > 0).then(first / count / unit)
    if recipe.how.startswith("days_since"):
        return (at - pl.col(_column(recipe, _OPS[recipe.how]))) / DAY
    return first / unit
