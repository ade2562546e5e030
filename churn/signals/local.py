"""The local runner: recipes to a frame, one bucket of customers at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from churn.signals.derived import Float64, Moment, derive, season_of
from churn.signals.kernel import MISSING, NOTHING, WHOLE, Op, edges_of, running_total, walk_back
from churn.signals.recipes import Recipe, base_recipes
from churn.signals.streams import Stream, Value
from churn.tables.history import DAY, Int64
from churn.timeline.rhythm import Prior

_CHUNK = 16_000
"""Rows computed at a time: what is read of them stays in the processor's cache."""

Start = int | None | Int64
"""From when a table is complete: microseconds, for all rows or for each; None: always."""

_CODED = (Op.DISTINCT, Op.MOST, Op.ONCE)
_TOTALLED = (Op.COUNT, Op.SUM, Op.DAYS)
_COUNTING = (Op.COUNT, Op.LAST_TIME, Op.FIRST_TIME)


@dataclass(frozen=True, slots=True)
class _How:
    """What a base recipe asks of the kernel and makes of the answers `(answers, at, unit)`, one array per op."""

    ops: tuple[Op, ...]
    finish: Callable[[Sequence[Int64], Int64, float], Float64]


def _told(numbers: Int64, unit: float) -> Float64:
    return np.where(numbers == MISSING, np.nan, numbers / unit)


def _mean(read: Sequence[Int64], at: Int64, unit: float) -> Float64:
    return np.where(read[1] == 0, np.nan, read[0] / np.maximum(read[1], 1) / unit)


def _gap_mean(read: Sequence[Int64], at: Int64, unit: float) -> Float64:
    return np.where(read[1] < 2, np.nan, read[0] / np.maximum(read[1] - 1, 1))


def _gap_std(read: Sequence[Int64], at: Int64, unit: float) -> Float64:
    gaps = read[2] - 1
    spread = np.maximum(gaps * read[1] - read[0] * read[0], 0)  # exact: integers until here
    return np.where(gaps < 2, np.nan, np.sqrt(spread) / np.maximum(gaps, 1))


def _days_between(earlier: Int64, later: Int64) -> Float64:
    is_told = (earlier != MISSING) & (later != MISSING)
    return np.where(is_told, (np.where(is_told, later, 0) - np.where(is_told, earlier, 0)) / DAY, np.nan)


def _plain(read: Sequence[Int64], at: Int64, unit: float) -> Float64:
    return _told(read[0], unit)


def _since(read: Sequence[Int64], at: Int64, unit: float) -> Float64:
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
class _Accumulator:
    """What the kernel is asked of one value: an operation, and the windows (by their place) at whose edges to read."""

    op: Op
    value: Value
    windows: Int64
    width: int


@dataclass(frozen=True, slots=True)
class _Plan:
    """One stream laid out for the kernel: `windows` are those of all streams; `places` tells which accumulators, each
    at which of its windows, answer a recipe."""

    stream: Stream
    known: Int64
    windows: Int64
    accumulators: tuple[_Accumulator, ...]
    places: dict[Recipe, list[tuple[int, int]]]

    def run(self, edges: Int64, at: Int64) -> dict[Recipe, list[Int64]]:
        """What the kernel reads for each recipe between the edges of the windows, arrays of shape (rows,)."""
        stream, reads = self.stream, []
        for asked in self.accumulators:
            numbers, begins, ends = (
                NOTHING if array is None else array
                for array in (asked.value.numbers, asked.value.begins, asked.value.ends)
            )
            reads.append(
                walk_back(
                    int(asked.op), edges, asked.windows, at, stream.time, self.known, numbers, begins, ends, asked.width
                )
            )
        return {recipe: [reads[place][window] for place, window in held] for recipe, held in self.places.items()}


def compute_signals(
    streams: Mapping[str, Stream], recipes: Sequence[Recipe], *, customer: Int64, at: Int64, prior: Prior,
    horizon_days: int, gap_days: int, covers_from: Mapping[str, Start], threads: int = 1,
) -> pd.DataFrame:  # fmt: skip
    """Returns one row per (customer, cutoff) in the order given and one column per recipe, float32 or categorical.

    At the cutoff t a row is used if `time < t` and it was known by t; what was filled in later counts from its own
    clock. A window that begins before a table's `covers_from` is null, not zero. A recipe whose stream or value is
    absent is null.

    Args:
        customer: codes (positions in the `customers` of `streams`), shape (rows,); -1 for somebody without any row.
        at: cutoffs in microseconds UTC, shape (rows,).
        prior: the frozen prior of the base, for rhythm.
        covers_from: per table, microseconds from which it is complete, for all rows or each; None or absent: always.
        threads: how many share the work; the result is the same.
    """
    plans = _plans(streams, base_recipes(tuple(recipes)))
    block = np.empty((len(recipes), len(at)), np.float32)

    def compute(start: int) -> None:
        piece = slice(start, start + _CHUNK)
        season = season_of(at[piece], prior=prior, gap_days=gap_days, horizon_days=horizon_days)
        moment = Moment(season, prior, horizon_days, gap_days)
        covered = {table: _cut(begin, piece) for table, begin in covers_from.items()}
        exact = _exact(plans, recipes, customer[piece], at[piece], moment, covered)
        for number, feature in enumerate(exact):
            block[number, piece] = feature

    starts = range(0, len(at), _CHUNK)
    if threads == 1:
        for start in starts:
            compute(start)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(compute, starts))
    return _delivered(recipes, block)


def exact_signals(
    streams: Mapping[str, Stream], recipes: Sequence[Recipe], *, customer: Int64, at: Int64, prior: Prior,
    horizon_days: int, gap_days: int, covers_from: Mapping[str, Start],
) -> dict[str, Float64]:  # fmt: skip
    """Returns the same features by name as float64, before they are rounded to be delivered (categories as codes)."""
    season = season_of(at, prior=prior, gap_days=gap_days, horizon_days=horizon_days)
    plans = _plans(streams, base_recipes(tuple(recipes)))
    exact = _exact(plans, recipes, customer, at, Moment(season, prior, horizon_days, gap_days), covers_from)
    return {recipe.name: feature for recipe, feature in zip(recipes, exact, strict=True)}


def _exact(
    plans: Sequence[_Plan], recipes: Sequence[Recipe], customer: Int64, at: Int64, moment: Moment,
    covers_from: Mapping[str, Start],
) -> list[Float64]:  # fmt: skip
    # Copies: the kernel is compiled for writable arrays, and what pandas hands out is not.
    found = _base_features(plans, np.array(customer, np.int64), np.array(at, np.int64), covers_from)
    return [_feature(recipe, found, moment) for recipe in recipes]


def _base_features(
    plans: Sequence[_Plan], customer: Int64, at: Int64, covers_from: Mapping[str, Start]
) -> dict[Recipe, Float64]:  # fmt: skip
    found: dict[Recipe, Float64] = {}
    edges: dict[tuple[int, int], Int64] = {}
    for plan in plans:
        starts = [begin for table in plan.stream.tables if (begin := covers_from.get(table)) is not None]
        is_uncovered = {
            window: np.logical_or.reduce([at - window * DAY < begin for begin in starts])
            for window in {recipe.window for recipe in plan.places} - {None}
            if window is not None and starts
        }
        # Streams of the same events have the same edges.
        events = id(plan.stream.starts), id(plan.stream.time)
        if events not in edges:
            edges[events] = edges_of(plan.stream.starts, plan.stream.time, customer, at, plan.windows)
        for recipe, read in plan.run(edges[events], at).items():
            unit = plan.stream.values[recipe.value].unit if recipe.value in plan.stream.values else 1.0
            feature = BASE_HOWS[recipe.how].finish(read, at, unit)
            if recipe.window in is_uncovered:
                feature[is_uncovered[recipe.window]] = np.nan
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


def _delivered(recipes: Sequence[Recipe], block: npt.NDArray[np.float32]) -> pd.DataFrame:
    """The block, shape (recipes, rows), as a frame: without a copy but for categories."""
    frame = pd.DataFrame(block.T, columns=[recipe.name for recipe in recipes], copy=False)
    for number, recipe in enumerate(recipes):
        if recipe.labels is not None:
            codes = np.where(np.isnan(block[number]), -1, block[number]).astype(np.int32)
            frame[recipe.name] = pd.Categorical.from_codes(codes, categories=pd.Index(recipe.labels, dtype="str"))
    return frame


def _cut(begin: Start, piece: slice) -> Start:
    return begin[piece] if isinstance(begin, np.ndarray) else begin


def _plans(streams: Mapping[str, Stream], recipes: Iterable[Recipe]) -> list[_Plan]:
    by_stream: dict[str, list[Recipe]] = {}
    for recipe in recipes:
        if recipe.table in streams and _column_of(recipe) in {"", *streams[recipe.table].values}:
            by_stream.setdefault(recipe.table, []).append(recipe)
    windows = sorted({_length(recipe) for asked in by_stream.values() for recipe in asked})
    return [_plan(streams[name], asked, windows) for name, asked in by_stream.items()]


def _plan(stream: Stream, recipes: Sequence[Recipe], lengths: Sequence[int]) -> _Plan:
    known = NOTHING if stream.known is stream.time else stream.known
    asked: dict[tuple[Op, str, tuple[str, ...] | None], set[int]] = {}
    for recipe in recipes:
        for op in BASE_HOWS[recipe.how].ops:
            asked.setdefault((op, recipe.value, recipe.labels), set()).add(lengths.index(_length(recipe)))
    values = {(recipe.value, recipe.labels): _value(stream, recipe) for recipe in recipes}
    whole = {key: _without_numbers(value) for key, value in values.items()}
    accumulators = [
        _accumulator(op, (whole if op in _COUNTING else values)[name, labels], sorted(windows), known=known)
        for (op, name, labels), windows in asked.items()
    ]
    number = {key: place for place, key in enumerate(asked)}
    places = {}
    for recipe in recipes:
        keys = [(op, recipe.value, recipe.labels) for op in BASE_HOWS[recipe.how].ops]
        window = lengths.index(_length(recipe))
        places[recipe] = [(number[key], sorted(asked[key]).index(window)) for key in keys]
    return _Plan(stream, known, np.array(lengths, np.int64), tuple(accumulators), places)


def _accumulator(op: Op, value: Value, windows: Sequence[int], *, known: Int64) -> _Accumulator:
    """Where every row counts from its own time on, sums over stretches of rows are differences of running totals."""
    is_plain = known is NOTHING and value.begins is None and value.ends is None
    if is_plain and op in _TOTALLED and value.numbers is not None:
        total = Op.TOTAL_DAYS if op == Op.DAYS else Op.TOTAL
        op, value = total, replace(value, numbers=running_total(int(op), value.numbers))
    return _Accumulator(op, value, np.array(windows, np.int64), _width(op, value))


def _without_numbers(value: Value) -> Value:
    """The value for those who only count: numbers none of which is missing count like the rows themselves."""
    is_whole = value.numbers is not None and not (value.numbers == MISSING).any()
    return replace(value, numbers=None) if is_whole else value


def _width(op: Op, value: Value) -> int:
    is_coded = op in _CODED and value.numbers is not None
    return int(value.numbers.max(initial=0)) + 1 if is_coded and value.numbers is not None else 0


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
