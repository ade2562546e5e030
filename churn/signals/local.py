"""The local runner: recipes to a frame, one bucket of customers at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from churn.signals.derived import Float64, Moment, derive, season_of
from churn.signals.kernel import MISSING, WHOLE, Op, walk_back
from churn.signals.recipes import Recipe, base_recipes
from churn.signals.streams import Stream, Value
from churn.tables.history import DAY, Int64
from churn.timeline.rhythm import Prior

_CHUNK = 131_072
"""Rows computed at a time: bounds the memory of what the kernel reads."""

_CODED = (Op.DISTINCT, Op.MOST, Op.ONCE)


@dataclass(frozen=True, slots=True)
class _How:
    """What a base recipe asks of the kernel and makes of the answers `(answers, at, unit)`, answers (ops, rows)."""

    ops: tuple[Op, ...]
    finish: Callable[[Int64, Int64, float], Float64]


def _told(numbers: Int64, unit: float) -> Float64:
    return np.where(numbers == MISSING, np.nan, numbers / unit)


def _mean(read: Int64, at: Int64, unit: float) -> Float64:
    return np.where(read[1] == 0, np.nan, read[0] / np.maximum(read[1], 1) / unit)


def _gap_mean(read: Int64, at: Int64, unit: float) -> Float64:
    return np.where(read[1] < 2, np.nan, read[0] / np.maximum(read[1] - 1, 1))


def _gap_std(read: Int64, at: Int64, unit: float) -> Float64:
    gaps = read[2] - 1
    spread = np.maximum(gaps * read[1] - read[0] * read[0], 0)  # exact: integers until here
    return np.where(gaps < 2, np.nan, np.sqrt(spread) / np.maximum(gaps, 1))


def _days_between(earlier: Int64, later: Int64) -> Float64:
    is_told = (earlier != MISSING) & (later != MISSING)
    return np.where(is_told, (np.where(is_told, later, 0) - np.where(is_told, earlier, 0)) / DAY, np.nan)


def _plain(read: Int64, at: Int64, unit: float) -> Float64:
    return _told(read[0], unit)


def _since(read: Int64, at: Int64, unit: float) -> Float64:
    return _days_between(read[0], at)


BASE_HOWS: dict[str, _How] = {
    "count": _How((Op.COUNT,), lambda read, at, unit: read[0].astype(np.float64)),
    "sum": _How((Op.SUM,), _plain),
    "mean": _How((Op.SUM, Op.COUNT), _mean),
    "max": _How((Op.MAX,), _plain),
    "min": _How((Op.MIN,), _plain),
    "last": _How((Op.LAST,), _plain),
    "state": _How((Op.LAST,), _plain),
    "distinct": _How((Op.DISTINCT,), _plain),
    "most": _How((Op.MOST,), _plain),
    "once": _How((Op.ONCE,), _plain),
    "days": _How((Op.DAYS,), _plain),
    "gap_mean": _How((Op.GAP_SUM, Op.DAYS), _gap_mean),
    "gap_std": _How((Op.GAP_SUM, Op.GAP_SQUARES, Op.DAYS), _gap_std),
    "gap_last": _How((Op.GAP_LAST,), _plain),
    "gap_max": _How((Op.GAP_MAX,), _plain),
    "streak": _How((Op.STREAK,), _plain),
    "days_since_last": _How((Op.LAST_TIME,), _since),
    "days_since_first": _How((Op.FIRST_TIME,), _since),
    "days_since": _How((Op.LAST,), _since),
    "days_until": _How((Op.LAST,), lambda read, at, unit: _days_between(at, read[0])),
}
"""What a base recipe's `how` may be."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """One stream laid out for the kernel; `places` tells which of its reads answer each recipe."""

    stream: Stream
    values: Int64
    clocks: Int64
    ops: Int64
    windows: Int64
    reads: Int64
    read_ends: Int64
    width: int
    places: dict[Recipe, list[int]]

    def run(self, customer: Int64, at: Int64) -> Int64:
        """What the kernel reads, shape (reads, rows)."""
        read = walk_back(
            self.stream.starts, self.stream.time, self.stream.known, self.values, self.clocks, self.ops, self.windows,
            self.reads, self.read_ends, self.width, customer, at,
        )  # fmt: skip
        return np.ascontiguousarray(read.T)


def compute_signals(
    streams: Mapping[str, Stream], recipes: Sequence[Recipe], *, customer: Int64, at: Int64, prior: Prior,
    horizon_days: int, gap_days: int, covers_from: Mapping[str, int | None],
) -> pd.DataFrame:  # fmt: skip
    """Returns one row per (customer, cutoff) in the order given and one column per recipe, float32 or categorical.

    At the cutoff t a row is used if `time < t` and it was known by t; what was filled in later counts from its own
    clock. A window that begins before a table's `covers_from` is null, not zero. A recipe whose stream or value is
    absent is null.

    Args:
        customer: codes (positions in the `customers` of `streams`), shape (rows,); -1 for somebody without any row.
        at: cutoffs in microseconds UTC, shape (rows,).
        prior: the frozen prior of the base, for rhythm.
        covers_from: per table, microseconds from which it is complete; None or absent: always.
    """
    plans = _plans(streams, base_recipes(tuple(recipes)))
    columns = {recipe.name: np.empty(len(at), np.float32) for recipe in recipes}
    for start in range(0, len(at), _CHUNK):
        piece = slice(start, start + _CHUNK)
        season = season_of(at[piece], prior=prior, gap_days=gap_days, horizon_days=horizon_days)
        moment = Moment(season, prior, horizon_days, gap_days)
        exact = _exact(plans, recipes, customer[piece], at[piece], moment, covers_from)
        for name, feature in exact.items():
            columns[name][piece] = feature
    return pd.DataFrame({recipe.name: _delivered(recipe, columns[recipe.name]) for recipe in recipes})


def exact_signals(
    streams: Mapping[str, Stream], recipes: Sequence[Recipe], *, customer: Int64, at: Int64, prior: Prior,
    horizon_days: int, gap_days: int, covers_from: Mapping[str, int | None],
) -> dict[str, Float64]:  # fmt: skip
    """Returns the same features by name as float64, before they are rounded to be delivered (categories as codes)."""
    season = season_of(at, prior=prior, gap_days=gap_days, horizon_days=horizon_days)
    plans = _plans(streams, base_recipes(tuple(recipes)))
    return _exact(plans, recipes, customer, at, Moment(season, prior, horizon_days, gap_days), covers_from)


def _exact(
    plans: Sequence[_Plan], recipes: Sequence[Recipe], customer: Int64, at: Int64, moment: Moment,
    covers_from: Mapping[str, int | None],
) -> dict[str, Float64]:  # fmt: skip
    # Copies: the kernel is compiled for writable arrays, and what pandas hands out is not.
    found = _base_features(plans, np.array(customer, np.int64), np.array(at, np.int64), covers_from)
    return {recipe.name: _feature(recipe, found, moment) for recipe in recipes}


def _base_features(
    plans: Sequence[_Plan], customer: Int64, at: Int64, covers_from: Mapping[str, int | None]
) -> dict[Recipe, Float64]:  # fmt: skip
    found: dict[Recipe, Float64] = {}
    for plan in plans:
        read = plan.run(customer, at)
        starts = [begin for table in plan.stream.tables if (begin := covers_from.get(table)) is not None]
        for recipe, places in plan.places.items():
            unit = plan.stream.values[recipe.value].unit if recipe.value in plan.stream.values else 1.0
            feature = BASE_HOWS[recipe.how].finish(read[places], at, unit)
            if recipe.window is not None and starts:
                feature = np.where(at - recipe.window * DAY < max(starts), np.nan, feature)
            found[recipe] = feature
    return found


def _feature(recipe: Recipe, found: dict[Recipe, Float64], moment: Moment) -> Float64:
    if recipe not in found:
        if recipe.is_derived:
            parts = [_feature(part, found, moment) for part in recipe.of]
            found[recipe] = derive(recipe, parts, moment)
        else:
            found[recipe] = np.full(len(moment.season), np.nan)
    return found[recipe]


def _delivered(recipe: Recipe, column: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | pd.Categorical:
    if recipe.labels is None:
        return column
    codes = np.where(np.isnan(column), -1, column).astype(np.int32)
    return pd.Categorical.from_codes(codes, categories=pd.Index(recipe.labels, dtype="str"))


def _plans(streams: Mapping[str, Stream], recipes: Iterable[Recipe]) -> list[_Plan]:
    by_stream: dict[str, list[Recipe]] = {}
    for recipe in recipes:
        if recipe.table in streams and _column_of(recipe) in {"", *streams[recipe.table].values}:
            by_stream.setdefault(recipe.table, []).append(recipe)
    return [_plan(streams[name], asked) for name, asked in by_stream.items()]


def _plan(stream: Stream, recipes: Sequence[Recipe]) -> _Plan:
    columns = _Columns([], [])
    ops: list[list[int]] = []
    held: dict[tuple[Op, str, tuple[str, ...] | None], int] = {}
    width, slots = 1, 0
    for recipe in recipes:
        value = _value(stream, recipe)
        for op in BASE_HOWS[recipe.how].ops:
            key = op, recipe.value, recipe.labels
            if key in held:
                continue
            is_coded = op in _CODED
            if is_coded and value.numbers is not None:
                width = max(width, int(value.numbers.max(initial=0)) + 1)
            held[key] = len(ops)
            ops.append([int(op), *columns.place(value), slots if is_coded else -1])
            slots += is_coded
    asked = {recipe: [held[op, recipe.value, recipe.labels] for op in BASE_HOWS[recipe.how].ops] for recipe in recipes}
    windows, reads, read_ends, places = _reads(asked)
    values, clocks = (_side_by_side(found, len(stream.time)) for found in (columns.values, columns.clocks))
    return _Plan(stream, values, clocks, np.array(ops, np.int64), windows, reads, read_ends, width, places)


def _reads(asked: Mapping[Recipe, list[int]]) -> tuple[Int64, Int64, Int64, dict[Recipe, list[int]]]:
    """The windows, which accumulators to read at the edge of each, where each window's reads end, and which reads
    answer each recipe."""
    wanted = sorted({(_length(recipe), accumulator) for recipe, held in asked.items() for accumulator in held})
    place = {window_and_accumulator: number for number, window_and_accumulator in enumerate(wanted)}
    windows, counts = np.unique(np.array([window for window, _ in wanted], np.int64), return_counts=True)
    reads = np.array([accumulator for _, accumulator in wanted], np.int64)
    places = {recipe: [place[_length(recipe), accumulator] for accumulator in held] for recipe, held in asked.items()}
    return windows, reads, np.cumsum([0, *counts]).astype(np.int64), places


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of numbers and of clocks that the kernel is given, each array once."""

    values: list[Int64]
    clocks: list[Int64]

    def place(self, value: Value) -> tuple[int, int, int]:
        """Where the value's numbers, beginnings and ends stand; -1 for what it hasn't."""
        return _index(self.values, value.numbers), _index(self.clocks, value.begins), _index(self.clocks, value.ends)


def _index(held: list[Int64], array: Int64 | None) -> int:
    if array is None:
        return -1
    for place, other in enumerate(held):
        if other is array:
            return place
    held.append(array)
    return len(held) - 1


def _side_by_side(columns: Sequence[Int64], rows: int) -> Int64:
    return np.ascontiguousarray(np.stack(columns, axis=1)) if columns else np.empty((rows, 0), np.int64)


def _length(recipe: Recipe) -> int:
    return WHOLE if recipe.window is None else recipe.window * DAY


def _column_of(recipe: Recipe) -> str:
    return recipe.value.partition("=")[0]


def _value(stream: Stream, recipe: Recipe) -> Value:
    """The value a recipe names; `kind=x` is the rows whose kind is x, and labels are those frozen in the recipe."""
    name, _, label = recipe.value.partition("=")
    if not name:
        return Value()
    value = stream.values[name]
    if value.labels is None or value.numbers is None:
        return value
    if label:
        code = value.labels.index(label) if label in value.labels else -1
        return Value(np.where(value.numbers == code, 1, MISSING))
    if recipe.labels is None:
        return value
    # A label that was not there in training is code -1, which is delivered as null: it isn't an older label.
    known = {text: code for code, text in enumerate(recipe.labels)}
    frozen = np.array([*(known.get(text, -1) for text in value.labels), MISSING], np.int64)
    return Value(frozen[np.where(value.numbers == MISSING, len(value.labels), value.numbers)])
