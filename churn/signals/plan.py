"""Plans: recipes laid out for the kernel, stream by stream, so that running them is only running."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from churn.signals.derived import Float64
from churn.signals.edges import WHOLE, Matrix
from churn.signals.kernel import (
    MOST_BITS,
    NOTHING,
    Op,
    bits_of,
    days_between,
    means,
    never_falls,
    running_total,
    told,
    walk_into,
)
from churn.signals.recipes import Recipe, base_recipes
from churn.signals.streams import Stream, Value
from churn.tables.history import DAY, Int64
from churn.tables.orders import MISSING

_CODED = (Op.DISTINCT, Op.MOST, Op.ONCE)
_TOTALLED = (Op.COUNT, Op.SUM, Op.DAYS)
_COUNTING = (Op.COUNT, Op.LAST_TIME, Op.FIRST_TIME)


@dataclass(frozen=True, slots=True)
class How:
    """What a base recipe asks of the kernel and makes of the answers `(answers, at, unit)`, one array per op."""

    ops: tuple[Op, ...]
    finish: Callable[[Sequence[Int64], Int64, float], Float64]

    @property
    def is_plain(self) -> bool:
        """Whether what is read is delivered as it is, in its unit."""
        return self.finish is _plain


def _mean(read: Sequence[Int64], at: Int64, unit: float) -> Float64:
    return np.asarray(means(read[0], read[1], unit))


def _gap_mean(read: Sequence[Int64], at: Int64, unit: float) -> Float64:
    return np.where(read[1] < 2, np.nan, read[0] / np.maximum(read[1] - 1, 1))


def _gap_std(read: Sequence[Int64], at: Int64, unit: float) -> Float64:
    gaps = read[2] - 1
    spread = np.maximum(gaps * read[1] - read[0] * read[0], 0)  # exact: integers until here
    return np.where(gaps < 2, np.nan, np.sqrt(spread) / np.maximum(gaps, 1))


def _plain(read: Sequence[Int64], at: Int64, unit: float) -> Float64:
    return np.asarray(told(read[0], unit))


def _since(read: Sequence[Int64], at: Int64, unit: float) -> Float64:
    return np.asarray(days_between(read[0], at))


BASE_HOWS: dict[str, How] = {
    "count": How((Op.COUNT,), _plain),
    "sum": How((Op.SUM,), _plain),
    "mean": How((Op.SUM, Op.COUNT), _mean),
    "max": How((Op.MAX,), _plain),
    "min": How((Op.MIN,), _plain),
    "last": How((Op.LAST,), _plain),
    "state": How((Op.LAST,), _plain),
    "distinct": How((Op.DISTINCT,), _plain),
    "most": How((Op.MOST,), _plain),
    "once": How((Op.ONCE,), _plain),
    "days": How((Op.DAYS,), _plain),
    "gap_mean": How((Op.GAP_SUM, Op.DAYS), _gap_mean),
    "gap_std": How((Op.GAP_SUM, Op.GAP_SQUARES, Op.DAYS), _gap_std),
    "gap_last": How((Op.GAP_LAST,), _plain),
    "gap_max": How((Op.GAP_MAX,), _plain),
    "streak": How((Op.STREAK,), _plain),
    "days_since_last": How((Op.LAST_TIME,), _since),
    "days_since_first": How((Op.FIRST_TIME,), _since),
    "days_since": How((Op.LAST,), _since),
    "days_until": How((Op.LAST,), lambda read, at, unit: np.asarray(days_between(at, read[0]))),
}
"""What a base recipe's `how` may be."""


@dataclass(frozen=True, slots=True)
class Accumulator:
    """What the kernel is asked of one value: an operation, and the windows (by their place) at whose edges to read."""

    op: Op
    value: Value
    windows: Int64
    width: int


@dataclass(frozen=True, slots=True)
class Answer:
    """How a base recipe is answered.

    Attributes:
        slot: where its feature goes.
        how: what makes the feature of what is read.
        unit: how many of what is read make one of what is delivered.
        window: in days; None for the whole history.
        reads: which accumulators, each at which of its windows.
        row: where it is delivered, if that is all it is needed for; else None.
    """

    slot: int
    how: How
    unit: float
    window: int | None
    reads: tuple[tuple[int, int], ...]
    row: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What one stream is asked.

    Attributes:
        events: streams of the same events have the same ones, and the same edges.
        windows: of all streams of these events.
    """

    stream: Stream
    events: tuple[int, int]
    known: Int64
    windows: Int64
    accumulators: tuple[Accumulator, ...]
    answers: tuple[Answer, ...]

    @property
    def held(self) -> int:
        """How many numbers there are per row, of all accumulators and windows."""
        return sum(len(asked.windows) for asked in self.accumulators)

    def run(self, edges: Matrix, at: Int64, scratch: Int64) -> list[Matrix]:
        """What each accumulator holds at the edges of its windows, each of shape (windows, rows): parts of `scratch`,
        shape (at least held * rows,)."""
        time, known, reads, done = self.stream.time, self.known, [], 0
        for asked in self.accumulators:
            size = len(asked.windows) * len(at)
            read = scratch[done : done + size].reshape(len(asked.windows), len(at))
            walk_into(
                read, int(asked.op), edges, asked.windows, at, time, known, _given(asked.value.numbers),
                _given(asked.value.begins), _given(asked.value.ends), asked.width,
            )  # fmt: skip
            reads.append(read)
            done += size
        return reads


@dataclass(frozen=True, slots=True)
class Step:
    """A derived recipe, the slot its feature goes to, and those of the features it is made of."""

    slot: int
    recipe: Recipe
    parts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """What makes the features of recipes: plans for the base ones, then steps in an order in which parts come first.

    Attributes:
        size: how many slots there are; one that no plan answers is null: its stream or value is absent.
        delivered: the slot of each recipe asked for.
    """

    plans: tuple[Plan, ...]
    steps: tuple[Step, ...]
    size: int
    delivered: tuple[int, ...]

    def scratch(self, rows: int) -> Int64:
        """Room for what any of the plans holds of so many rows; one after the other writes there."""
        return np.empty(max((plan.held for plan in self.plans), default=0) * rows, np.int64)


def program_of(streams: Mapping[str, Stream], recipes: Sequence[Recipe]) -> Program:
    """Returns the program that makes the features of `recipes` from `streams`."""
    slots = {recipe: slot for slot, recipe in enumerate(base_recipes(tuple(recipes)))}
    parts = {part for recipe in recipes if recipe.is_derived for part in base_recipes((recipe,))}
    rows = {recipe: row for row, recipe in enumerate(recipes) if recipe not in parts}
    plans = _plans(streams, dict(slots), rows)
    steps: list[Step] = []
    for recipe in recipes:
        _add_steps(recipe, slots, steps)
    return Program(plans, tuple(steps), len(slots), tuple(slots[recipe] for recipe in recipes))


def _add_steps(recipe: Recipe, slots: dict[Recipe, int], steps: list[Step]) -> None:
    if recipe in slots:
        return
    for part in recipe.of:
        _add_steps(part, slots, steps)
    slots[recipe] = len(slots)
    steps.append(Step(slots[recipe], recipe, tuple(slots[part] for part in recipe.of)))


def _given(array: Int64 | None) -> Int64:
    return NOTHING if array is None else array


def _plans(streams: Mapping[str, Stream], slots: Mapping[Recipe, int], rows: Mapping[Recipe, int]) -> tuple[Plan, ...]:
    by_stream: dict[str, list[Recipe]] = {}
    for recipe in slots:
        if recipe.table in streams and _column_of(recipe) in {"", *streams[recipe.table].values}:
            by_stream.setdefault(recipe.table, []).append(recipe)
    lengths: dict[tuple[int, int], set[int]] = {}
    for name, asked in by_stream.items():
        lengths.setdefault(_events_of(streams[name]), set()).update(_length(recipe) for recipe in asked)
    return tuple(
        _plan(streams[name], asked, sorted(lengths[_events_of(streams[name])]), slots, rows)
        for name, asked in by_stream.items()
    )


def _events_of(stream: Stream) -> tuple[int, int]:
    """What streams of the same events have alike."""
    return id(stream.starts), id(stream.time)


def _plan(
    stream: Stream, recipes: Sequence[Recipe], windows: Sequence[int], slots: Mapping[Recipe, int],
    rows: Mapping[Recipe, int],
) -> Plan:  # fmt: skip
    known = NOTHING if stream.known is stream.time else stream.known
    asked: dict[tuple[Op, str, tuple[str, ...] | None], set[int]] = {}
    for recipe in recipes:
        for op in BASE_HOWS[recipe.how].ops:
            asked.setdefault((op, recipe.value, recipe.labels), set()).add(windows.index(_length(recipe)))
    values = {(recipe.value, recipe.labels): _value(stream, recipe) for recipe in recipes}
    whole = {key: _without_numbers(value) for key, value in values.items()}
    accumulators = tuple(
        _accumulator(op, (whole if op in _COUNTING else values)[name, labels], sorted(at), known, stream.starts)
        for (op, name, labels), at in asked.items()
    )
    number = {key: place for place, key in enumerate(asked)}
    answers = []
    for recipe in recipes:
        how, window = BASE_HOWS[recipe.how], windows.index(_length(recipe))
        keys = [(op, recipe.value, recipe.labels) for op in how.ops]
        reads = tuple((number[key], sorted(asked[key]).index(window)) for key in keys)
        has_unit = recipe.value in stream.values and recipe.how != "count"
        unit = stream.values[recipe.value].unit if has_unit else 1.0
        answers.append(Answer(slots[recipe], how, unit, recipe.window, reads, rows.get(recipe)))
    return Plan(stream, _events_of(stream), known, np.array(windows, np.int64), accumulators, tuple(answers))


def _accumulator(op: Op, value: Value, windows: Sequence[int], known: Int64, starts: Int64) -> Accumulator:
    """Where every row counts from its own time on, sums over stretches of rows are differences of running totals; days
    too, but where clocks went back over midnight (St. John's until 2011), so that a day came twice. Few codes become
    bits."""
    width, numbers = _width(op, value), _given(value.numbers)
    is_plain = known is NOTHING and value.begins is None and value.ends is None and value.numbers is not None
    if is_plain and op in _TOTALLED and (op != Op.DAYS or never_falls(starts, numbers)):
        total = Op.TOTAL_DAYS if op == Op.DAYS else Op.TOTAL
        op, value = total, replace(value, numbers=running_total(int(op), numbers))
    elif is_plain and op == Op.DISTINCT and width <= MOST_BITS:
        op, value = Op.BITS, replace(value, numbers=bits_of(numbers))
    return Accumulator(op, value, np.array(windows, np.int64), width)


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
