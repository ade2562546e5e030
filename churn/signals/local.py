"""The local runner: recipes to a frame, one bucket of customers at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from churn.signals.derived import Float64, Moment, derive, season_of
from churn.signals.kernel import MISSING, NOTHING, WHOLE, Op, edges_of, walk_back
from churn.signals.recipes import Recipe, base_recipes
from churn.signals.streams import Stream, Value
from churn.tables.history import DAY, Int64
from churn.timeline.rhythm import Prior

_CHUNK = 16_384
"""Rows computed at a time: what is read of them stays in the processor's cache."""

Start = int | None | Int64
"""From when a table is complete: microseconds, for all rows or for each; None: always."""

_CODED = (Op.DISTINCT, Op.MOST, Op.ONCE)


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
    """One stream laid out for the kernel; `places` tells which accumulators, each at which of its windows, answer a
    recipe."""

    stream: Stream
    known: Int64
    windows: Int64
    accumulators: tuple[_Accumulator, ...]
    places: dict[Recipe, list[tuple[int, int]]]

    def run(self, customer: Int64, at: Int64) -> dict[Recipe, list[Int64]]:
        """What the kernel reads for each recipe, arrays of shape (rows,)."""
        stream = self.stream
        edges = edges_of(stream.starts, stream.time, customer, at, self.windows)
        reads = []
        for asked in self.accumulators:
            numbers, begins, ends = (
                NOTHING if array is None else array
                for array in (asked.value.numbers, asked.value.begins, asked.value.ends)
            )
            between = edges[np.concatenate([[0], asked.windows + 1])]
            reads.append(walk_back(asked.op, between, at, stream.time, self.known, numbers, begins, ends, asked.width))
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
        for number, feature in enumerate(exact.values()):
            block[number, piece] = feature

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(compute, range(0, len(at), _CHUNK)):
            pass
    return _delivered(recipes, block)


def exact_signals(
    streams: Mapping[str, Stream], recipes: Sequence[Recipe], *, customer: Int64, at: Int64, prior: Prior,
    horizon_days: int, gap_days: int, covers_from: Mapping[str, Start],
) -> dict[str, Float64]:  # fmt: skip
    """Returns the same features by name as float64, before they are rounded to be delivered (categories as codes)."""
    season = season_of(at, prior=prior, gap_days=gap_days, horizon_days=horizon_days)
    plans = _plans(streams, base_recipes(tuple(recipes)))
    return _exact(plans, recipes, customer, at, Moment(season, prior, horizon_days, gap_days), covers_from)


def _exact(
    plans: Sequence[_Plan], recipes: Sequence[Recipe], customer: Int64, at: Int64, moment: Moment,
    covers_from: Mapping[str, Start],
) -> dict[str, Float64]:  # fmt: skip
    # Copies: the kernel is compiled for writable arrays, and what pandas hands out is not.
    found = _base_features(plans, np.array(customer, np.int64), np.array(at, np.int64), covers_from)
    return {recipe.name: _feature(recipe, found, moment) for recipe in recipes}


def _base_features(
    plans: Sequence[_Plan], customer: Int64, at: Int64, covers_from: Mapping[str, Start]
) -> dict[Recipe, Float64]:  # fmt: skip
    found: dict[Recipe, Float64] = {}
    for plan in plans:
        starts = [begin for table in plan.stream.tables if (begin := covers_from.get(table)) is not None]
        is_uncovered = {
            window: np.logical_or.reduce([at - window * DAY < begin for begin in starts])
            for window in {recipe.window for recipe in plan.places} - {None}
            if window is not None and starts
        }
        for recipe, read in plan.run(customer, at).items():
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
    return [_plan(streams[name], asked) for name, asked in by_stream.items()]


def _plan(stream: Stream, recipes: Sequence[Recipe]) -> _Plan:
    lengths = sorted({_length(recipe) for recipe in recipes})
    asked: dict[tuple[Op, str, tuple[str, ...] | None], set[int]] = {}
    for recipe in recipes:
        for op in BASE_HOWS[recipe.how].ops:
            asked.setdefault((op, recipe.value, recipe.labels), set()).add(lengths.index(_length(recipe)))
    values = {(recipe.value, recipe.labels): _value(stream, recipe) for recipe in recipes}
    accumulators = [
        _Accumulator(op, values[name, labels], np.array(sorted(windows)), _width(op, values[name, labels]))
        for (op, name, labels), windows in asked.items()
    ]
    number = {key: place for place, key in enumerate(asked)}
    places = {}
    for recipe in recipes:
        keys = [(op, recipe.value, recipe.labels) for op in BASE_HOWS[recipe.how].ops]
        window = lengths.index(_length(recipe))
        places[recipe] = [(number[key], sorted(asked[key]).index(window)) for key in keys]
    has_late_rows = stream.known is not stream.time and bool((stream.known > stream.time).any())
    known = stream.known if has_late_rows else NOTHING
    return _Plan(stream, known, np.array(lengths, np.int64), tuple(accumulators), places)


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
