"""The local runner: recipes to a frame, a few thousand rows at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from churn.signals.derived import Float64, Moment, derive, season_of
from churn.signals.edges import Marks, Matrix, counted_edges, edges_of, is_shared, marks_of
from churn.signals.kernel import NOTHING, deliver, round_into
from churn.signals.plan import Plan, Program, program_of
from churn.signals.recipes import Recipe
from churn.signals.streams import Stream
from churn.tables.history import DAY, Int64, moments_of
from churn.timeline.rhythm import Prior

_CHUNK = 16_000
"""Rows computed at a time: what is read of them stays in the processor's cache."""

Start = int | None | Int64
"""From when a table is complete: microseconds, for all rows or for each; None: always."""

DELIVERED: Float64 = np.empty(0)
"""Stands for a feature that is in the block already."""

Float32 = npt.NDArray[np.float32]

Rows = slice | Int64
"""Which rows of a block: neighbours, or any."""


class Place(NamedTuple):
    """Where features are delivered: the columns `rows` of the block, shape (recipes, rows); `NOTHING`: all of it."""

    block: Float32
    rows: Int64


def _place_of(block: Float32, rows: Rows, piece: slice) -> Place:
    """The place of a piece of the rows of a block; where they are neighbours a part of it, written straight on."""
    if isinstance(rows, slice):
        return Place(block[:, rows][:, piece], NOTHING)
    own = np.ascontiguousarray(rows[piece], np.int64)
    if (np.diff(own) == 1).all():
        return Place(block[:, own[0] : own[-1] + 1], NOTHING)
    return Place(block, own)


def compute_signals(
    streams: Mapping[str, Stream], recipes: Sequence[Recipe], *, customer: Int64, at: Int64, prior: Prior,
    horizon_days: int, gap_days: int, covers_from: Mapping[str, Start],
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
    """
    block = np.empty((len(recipes), len(at)), np.float32)
    fill_signals(
        block, streams, recipes, customer=customer, at=at, rows=slice(None), prior=prior,
        horizon_days=horizon_days, gap_days=gap_days, covers_from=covers_from,
    )  # fmt: skip
    return framed(block, recipes)


def fill_signals(
    block: Float32, streams: Mapping[str, Stream], recipes: Sequence[Recipe], *, customer: Int64, at: Int64,
    rows: Rows, prior: Prior, horizon_days: int, gap_days: int, covers_from: Mapping[str, Start],
) -> None:  # fmt: skip
    """Writes the features of each (customer, cutoff) into the column of `block`, shape (recipes, all rows), that `rows`
    names; a category is its code, null or negative where it has no label. See `compute_signals`."""
    # Copies: the kernel is compiled for writable arrays, and what pandas hands out is not.
    customer, at = np.array(customer, np.int64), np.array(at, np.int64)
    program, (cutoffs, which) = program_of(streams, recipes), moments_of(at)
    season = season_of(cutoffs, prior=prior, gap_days=gap_days, horizon_days=horizon_days)
    marks, scratch = _marks(program, customer, cutoffs), program.scratch(min(len(at), _CHUNK))
    for start in range(0, len(at), _CHUNK):
        piece = slice(start, start + _CHUNK)
        edges = _edges(program, marks, customer[piece], at[piece], which[piece])
        moment = Moment(season[which[piece]], prior, horizon_days, gap_days)
        covered = {table: _cut(begin, piece) for table, begin in covers_from.items()}
        place = _place_of(block, rows, piece)
        features = _exact(program, edges, at[piece], moment, covered, scratch, place=place)
        for number, feature in enumerate(features):
            if feature is not DELIVERED:
                round_into(feature, place.block[number], place.rows)


def framed(block: Float32, recipes: Sequence[Recipe]) -> pd.DataFrame:
    """Returns the block, shape (recipes, rows), as a frame: without a copy but for categories."""
    frame = pd.DataFrame(block.T, columns=[recipe.name for recipe in recipes], copy=False)
    for number, recipe in enumerate(recipes):
        if recipe.labels is not None:
            codes = np.where(np.isnan(block[number]), -1, block[number]).astype(np.int32)
            frame[recipe.name] = pd.Categorical.from_codes(codes, categories=pd.Index(recipe.labels, dtype="str"))
    return frame


def exact_signals(
    streams: Mapping[str, Stream], recipes: Sequence[Recipe], *, customer: Int64, at: Int64, prior: Prior,
    horizon_days: int, gap_days: int, covers_from: Mapping[str, Start],
) -> dict[str, Float64]:  # fmt: skip
    """Returns the same features by name as float64, before they are rounded to be delivered (categories as codes)."""
    customer, at = np.array(customer, np.int64), np.array(at, np.int64)
    program, (cutoffs, which) = program_of(streams, recipes), moments_of(at)
    season = season_of(cutoffs, prior=prior, gap_days=gap_days, horizon_days=horizon_days)
    edges = _edges(program, _marks(program, customer, cutoffs), customer, at, which)
    moment = Moment(season[which], prior, horizon_days, gap_days)
    exact = _exact(program, edges, at, moment, covers_from, program.scratch(len(at)))
    return {recipe.name: feature for recipe, feature in zip(recipes, exact, strict=True)}


def _marks(program: Program, customer: Int64, cutoffs: Int64) -> dict[tuple[int, int], Marks | None]:
    """Per events asked of, where the windows of all cutoffs lie; None where each row's are searched for."""
    if not is_shared(customer, cutoffs):
        return {plan.events: None for plan in program.plans}
    return {plan.events: marks_of(cutoffs, plan.windows) for plan in program.plans}


def _edges(
    program: Program, marks: Mapping[tuple[int, int], Marks | None], customer: Int64, at: Int64, which: Int64
) -> dict[tuple[int, int], Matrix]:
    edges: dict[tuple[int, int], Matrix] = {}
    for plan in program.plans:
        if plan.events not in edges:
            starts, time, shared = plan.stream.starts, plan.stream.time, marks[plan.events]
            edges[plan.events] = (
                edges_of(starts, time, customer, at, plan.windows)
                if shared is None
                else counted_edges(starts, time, customer, which, *shared)
            )
    return edges


def _exact(
    program: Program, edges: Mapping[tuple[int, int], Matrix], at: Int64, moment: Moment,
    covers_from: Mapping[str, Start], scratch: Int64, *, place: Place | None = None,
) -> list[Float64]:  # fmt: skip
    """The features in the order of the recipes; those that went to their place at once are `DELIVERED`."""
    features = [np.broadcast_to(np.nan, len(at))] * program.size
    for plan in program.plans:
        _answer(plan, edges[plan.events], at, covers_from, features, place, scratch)
    for step in program.steps:
        features[step.slot] = derive(step.recipe, [features[part] for part in step.parts], moment)
    return [features[slot] for slot in program.delivered]


def _answer(
    plan: Plan, edges: Matrix, at: Int64, covers_from: Mapping[str, Start], features: list[Float64],
    place: Place | None, scratch: Int64,
) -> None:  # fmt: skip
    """Puts the features of the plan's recipes into their slots, or to their place where nothing else needs them."""
    starts = [begin for table in plan.stream.tables if (begin := covers_from.get(table)) is not None]
    is_uncovered = {
        window: np.logical_or.reduce([at - window * DAY < begin for begin in starts])
        for window in {answer.window for answer in plan.answers}
        if window is not None and starts
    }
    reads = plan.run(edges, at, scratch)
    for answer in plan.answers:
        read = [reads[accumulator][window] for accumulator, window in answer.reads]
        is_null = None if answer.window is None else is_uncovered.get(answer.window)
        if place is not None and answer.row is not None and answer.how.is_plain and is_null is None:
            deliver(read[0], answer.unit, place.block[answer.row], place.rows)
            features[answer.slot] = DELIVERED
            continue
        features[answer.slot] = answer.how.finish(read, at, answer.unit)
        if is_null is not None:
            features[answer.slot][is_null] = np.nan


def _cut(begin: Start, piece: slice) -> Start:
    return begin[piece] if isinstance(begin, np.ndarray) else begin
