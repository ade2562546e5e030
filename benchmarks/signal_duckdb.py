"""Signals in DuckDB: three ways to state them in SQL, and the bound that no way can beat.

Every way is built from the same parts: a recipe asks for one or two operations, an operation is an aggregate of rows,
and (but for distinct values, which become bits) the aggregate of a few rows can be merged with that of others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from signal_data import DAY, THREADS
from signal_recipes import STREAMS, edge, of_table

from churn.signals import Recipe

_VIEWS = {
    "transactions": "amount, channel, category",
    "visits": "channel",
    "contacts": "is_complaint, wait_seconds",
    "feedback": "CASE kind WHEN 'nps' THEN score / 10 ELSE (score - 1) / 4 END AS unit, "
                "score <= CASE kind WHEN 'nps' THEN 6 ELSE 2 END AS is_negative",
}  # fmt: skip
_ROWS = {
    ("orders", ""): "amount > 0", ("orders", "spend"): "amount > 0", ("returns", ""): "amount < 0",
    ("returns", "refund"): "amount < 0", ("activity", ""): "amount > 0", ("activity", "day"): "amount > 0",
    ("items", "category"): "amount > 0", ("items", "channel"): "amount > 0", ("contacts", "complaint"): "is_complaint",
    ("contacts", "wait"): "wait_seconds IS NOT NULL", ("feedback", "score"): "unit IS NOT NULL",
    ("feedback", "negative"): "is_negative",
}  # fmt: skip
_VALUES = {"spend": "amount", "refund": "-amount", "wait": "wait_seconds", "score": "unit"}
_UNITS = {"spend": 100, "refund": 100}
_OPS = {
    "count": "n", "sum": "s", "mean": "sn", "max": "x", "min": "m", "last": "l", "days": "d", "distinct": "b",
    "days_since_last": "h", "days_since_first": "f",
}  # fmt: skip
_RAW = {
    "n": "count(*)", "s": "sum({value})", "x": "max({value})", "m": "min({value})", "l": "arg_max({value}, us)",
    "d": "count(DISTINCT us // 86400000000)", "b": "count(DISTINCT {value})", "h": "max(us)", "f": "min(us)",
}  # fmt: skip
_MERGED = {
    "n": "sum({n})", "s": "sum({s})", "x": "max({x})", "m": "min({m})", "l": "arg_max({l}, {h})", "d": "sum({d})",
    "b": "bit_or({b})", "h": "max({h})", "f": "min({f})",
}  # fmt: skip

Key = tuple[str, str, str]
"""Stream, value, operation."""


def scan_per_cutoff(folder: Path, rows: pa.Table, recipes: Sequence[Recipe]) -> pa.Table:
    """One scan and one group-by per table and cutoff, straight from the files; a FILTER for each window."""
    with _open(folder, rows) as database:
        return pa.concat_tables([_answer(database, recipes, at, _aggregates_of_rows) for at in _cutoffs(rows)])


def tiles_of_days(folder: Path, rows: pa.Table, recipes: Sequence[Recipe]) -> pa.Table:
    """One scan into tiles of one customer and day, which settles distinct days; then per cutoff as before."""
    with _open(folder, rows) as database:
        for table in dict.fromkeys(STREAMS.values()):
            _make_tiles(database, table, recipes)
        return pa.concat_tables([_answer(database, recipes, at, _aggregates_of_tiles) for at in _cutoffs(rows)])


def tiles_of_periods(folder: Path, rows: pa.Table, recipes: Sequence[Recipe]) -> pa.Table:
    """Tiles of days merged into tiles of the periods between all edges of all windows; then per cutoff as before."""
    with _open(folder, rows) as database:
        edges = {0, *_cutoffs(rows)}
        edges |= {begin for at in _cutoffs(rows) for recipe in recipes if (begin := edge(recipe, at)) is not None}
        days = pa.table({"day": pa.array([begin // DAY for begin in sorted(edges)], pa.int64())})
        database.register("edges", days)
        for table in dict.fromkeys(STREAMS.values()):
            _make_tiles(database, table, recipes)
            merged = ", ".join(
                f"{_stored(key, _merge(key))} AS {_name(key)}" for key in _held(of_table(recipes, table))
            )
            database.execute(
                f"CREATE TABLE merged AS SELECT customer_id, edges.day, {merged} FROM tiles_{table} "
                "ASOF JOIN edges ON tiles_{table}.day >= edges.day GROUP BY ALL".replace("{table}", table)
            )
            database.execute(f"DROP TABLE tiles_{table}; ALTER TABLE merged RENAME TO tiles_{table}")
        return pa.concat_tables([_answer(database, recipes, at, _aggregates_of_tiles) for at in _cutoffs(rows)])


def range_join(folder: Path, rows: pa.Table, recipes: Sequence[Recipe]) -> pa.Table:
    """Every event joined to all cutoffs after it, one group-by of customer and cutoff per table."""
    with _open(folder, rows) as database:
        return _answer(database, recipes, None, _aggregates_of_rows)


def bound(folder: Path, rows: pa.Table, recipes: Sequence[Recipe]) -> pa.Table:
    """One scan and one group-by per table: count, sum and last time per customer. No signal is answered by it."""
    sums = {"transactions": "sum(amount)", "visits": "0", "contacts": "sum(wait_seconds)", "feedback": "sum(score)"}
    with duckdb.connect(config={"threads": THREADS}) as database:
        for table, total in sums.items():
            database.sql(
                f"SELECT customer_id, count(*), {total}, max(time) FROM '{folder}/{table}/*.parquet' GROUP BY 1"
            ).to_arrow_table()
    return rows.slice(0, 0)


def _open(folder: Path, rows: pa.Table) -> duckdb.DuckDBPyConnection:
    database = duckdb.connect(config={"threads": THREADS})
    for table, columns in _VIEWS.items():
        source = f"SELECT customer_id, time, epoch_us(time) AS us, {columns} FROM '{folder}/{table}/*.parquet'"
        database.execute(f"CREATE VIEW {table} AS {source}")
    database.register("given", rows)
    database.execute('CREATE TABLE wanted AS SELECT customer_id, "at" AS t FROM given')
    return database


def _cutoffs(rows: pa.Table) -> list[int]:
    return [int(at) for at in np.unique(rows["at"].to_numpy())]


def _key(recipe: Recipe, op: str) -> Key:
    """What is held for a recipe's operation; an amount is never null, so that its rows are those of the stream."""
    return recipe.table, "" if op == "n" and recipe.value in _UNITS else recipe.value, op


def _held(recipes: Iterable[Recipe]) -> list[Key]:
    """The operations that the recipes need, each once; what is last needs to know of when."""
    needed = [_key(recipe, op) for recipe in recipes for op in _OPS[recipe.how]]
    needed += [(stream, value, "h") for stream, value, op in needed if op == "l"]
    return list(dict.fromkeys(needed))


def _name(key: Key) -> str:
    return "_".join(part for part in key if part)


def _answer(
    database: duckdb.DuckDBPyConnection,
    recipes: Sequence[Recipe],
    at: int | None,
    aggregates: Callable[[str, Sequence[Recipe], int | None], str],
) -> pa.Table:
    """The answer at one cutoff, or at all where `at` is None."""
    joins, columns = "", []
    for table in dict.fromkeys(STREAMS.values()):
        asked = of_table(recipes, table)
        keys = "(customer_id)" if at is not None else "(customer_id, t)"
        joins += f" LEFT JOIN ({aggregates(table, asked, at)}) AS of_{table} USING {keys}"
        columns += [f'({_finish(recipe)})::FLOAT AS "{recipe.name}"' for recipe in asked]
    where = "" if at is None else f" WHERE wanted.t = {at}"
    return database.sql(
        f'SELECT customer_id, wanted.t AS "at", {", ".join(columns)} FROM wanted{joins}{where}'
    ).to_arrow_table()


def _aggregates_of_rows(table: str, recipes: Sequence[Recipe], at: int | None) -> str:
    t = "t" if at is None else str(at)
    found = {}
    for recipe in recipes:
        since = [] if recipe.window is None else [f"us >= {t} - {recipe.window * DAY}"]
        for op in _OPS[recipe.how]:
            found[_column(recipe, op)] = _raw(_key(recipe, op), since)
    listed = ", ".join(f"{aggregate} AS {name}" for name, aggregate in found.items())
    if at is None:
        cutoffs = "(SELECT DISTINCT t FROM wanted)"
        return f"SELECT customer_id, t, {listed} FROM {table} JOIN {cutoffs} ON us < t GROUP BY customer_id, t"
    return f"SELECT customer_id, {listed} FROM {table} WHERE time < make_timestamptz({at}) GROUP BY customer_id"


def _aggregates_of_tiles(table: str, recipes: Sequence[Recipe], at: int | None) -> str:
    assert at is not None
    found = {}
    for recipe in recipes:
        since = "" if recipe.window is None else f" FILTER (day >= {(at - recipe.window * DAY) // DAY})"
        for op in _OPS[recipe.how]:
            merged = f"{_merge(_key(recipe, op))}{since}"
            found[_column(recipe, op)] = f"bit_count({merged})" if op == "b" else merged
    listed = ", ".join(f"{aggregate} AS {name}" for name, aggregate in found.items())
    return f"SELECT customer_id, {listed} FROM tiles_{table} WHERE day < {at // DAY} GROUP BY customer_id"


def _make_tiles(database: duckdb.DuckDBPyConnection, table: str, recipes: Sequence[Recipe]) -> None:
    held = _held(of_table(recipes, table))
    for _, value, op in held:
        if op == "b":
            labels = f"(SELECT DISTINCT {value} FROM {table} WHERE {value} IS NOT NULL ORDER BY 1)"
            database.execute(f"CREATE OR REPLACE TYPE {value}_of_{table} AS ENUM {labels}")
    listed = ", ".join(f"{_stored(key, _tile(table, key))} AS {_name(key)}" for key in held)
    database.execute(
        f"CREATE TABLE tiles_{table} AS SELECT customer_id, us // {DAY} AS day, {listed} FROM {table} GROUP BY ALL"
    )


def _tile(table: str, key: Key) -> str:
    stream, value, op = key
    if op == "d":
        return f"({_raw((stream, value, 'n'), [])} > 0)::INTEGER"
    if op == "b":
        code = f"bit_or(1::BIGINT << enum_code({value}::{value}_of_{table}))"
        return f"{code} FILTER ({_ROWS.get((stream, value), 'true')})"
    return _raw(key, [])


def _stored(key: Key, aggregate: str) -> str:
    """Whole numbers in 64 bits: DuckDB's sums of them have 128, and all that follows would be slower for it."""
    return f"({aggregate})::BIGINT" if key[2] in "nd" or (key[2] == "s" and key[1] in _UNITS) else aggregate


def _raw(key: Key, since: list[str]) -> str:
    stream, value, op = key
    aggregate = _RAW[op].format(value=_VALUES.get(value, value))
    where = [*filter(None, [_ROWS.get((stream, value))]), *since]
    return f"{aggregate} FILTER ({' AND '.join(where)})" if where else aggregate


def _merge(key: Key) -> str:
    stream, value, op = key
    return _MERGED[op].format(**{part: _name((stream, value, part)) for part in (op, "h")})


def _column(recipe: Recipe, op: str) -> str:
    """What a recipe's operation is called: recipes that share one share its column."""
    return f"{_name(_key(recipe, op))}_{recipe.window or 'whole'}"


def _finish(recipe: Recipe) -> str:
    first = _column(recipe, _OPS[recipe.how][0])
    unit = _UNITS.get(recipe.value, 1)
    if recipe.how in ("count", "days", "distinct"):
        return f"coalesce({first}, 0)"
    if recipe.how == "sum":
        return f"coalesce({first}, 0) / {unit}"
    if recipe.how == "mean":
        return f"{first} / nullif({_column(recipe, 'n')}, 0) / {unit}"
    if recipe.how.startswith("days_since"):
        return f"(wanted.t - {first}) / {DAY}"
    return f"{first} / {unit}"
