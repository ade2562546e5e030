"""Hidden friction: what went wrong and was never said, weighted by how unlikely she was to say it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from churn.models.boosting import Growing
from churn.models.known import Known
from churn.models.target import Target
from churn.models.troubles import UNRESOLVED_DAYS, Troubles, troubles_of
from churn.models.voice_model import Learnt, VoiceModel, VoiceRows, fit_voice
from churn.models.voice_rows import signals_before
from churn.signals.hidden import HIDDEN_DAYS, TROUBLES
from churn.signals.local import fill_signals
from churn.signals.recipes import Recipe
from churn.signals.streams import Stream, Value
from churn.tables.history import DAY, Int64, events_of, moments_of
from churn.tables.orders import MICRO, MISSING, micro
from churn.timeline.cutoffs import happened_in
from churn.timeline.rhythm import Prior
from churn.timeline.voice import voice_events

Float64 = npt.NDArray[np.float64]

EVERY_DAYS = 60
"""A training learns the voice model anew after so many days of its cutoffs."""
_HALVES = 2


@dataclass(frozen=True, slots=True)
class Epoch:
    """What was thought of troubles from a moment on.

    Attributes:
        starts: the moment, microseconds UTC.
        p: P(she says so), shape (troubles,); NaN for those not asked about.
        weight: severity x (1 - p), likewise.
    """

    starts: int
    p: Float64
    weight: Float64


@dataclass(frozen=True, slots=True)
class Hidden:
    """What weighs on customers unsaid.

    Attributes:
        troubles: of all customers.
        epochs: in time order; the first counts for all moments before it too.
    """

    troubles: Troubles
    epochs: tuple[Epoch, ...]

    @property
    def p_then(self) -> Float64:
        """P(she says so) as it was thought of when each trouble happened, shape (troubles,); NaN before any model."""
        found = np.full(len(self.troubles), np.nan)
        for epoch in self.epochs:
            is_later = self.troubles.time >= epoch.starts
            found[is_later] = epoch.p[is_later]
        return found

    def columns(
        self, known: Known, frame: pd.DataFrame, recipes: Sequence[Recipe], *, target: Target, prior: Prior
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Returns the features of the recipes of hidden friction among `recipes` by name, one per row of the frame.

        A row at the cutoff t knows what went wrong before t, what was known at t, and the latest model of that time.
        """
        asked = tuple(recipe for recipe in recipes if recipe.table == TROUBLES)
        block = np.full((len(asked), len(frame)), np.nan, np.float32)
        at, customer = frame["at"].to_numpy(np.int64), frame["customer"].to_numpy(np.int64)
        epoch_of = np.maximum(np.searchsorted([epoch.starts for epoch in self.epochs], at, side="right") - 1, 0)
        for number, epoch in enumerate(self.epochs if asked else ()):
            rows = np.flatnonzero(epoch_of == number)
            streams = {TROUBLES: _stream(self.troubles, epoch, known.tables)}
            covers_from = _covered(known, at[rows], streams[TROUBLES].tables)
            fill_signals(
                block, streams, asked, customer=customer[rows], at=at[rows], rows=rows, prior=prior,
                horizon_days=target.horizon_days, gap_days=target.gap_days, covers_from=covers_from,
            )  # fmt: skip
        return {recipe.name: block[number] for number, recipe in enumerate(asked)}

    def fill(
        self, features: pd.DataFrame, known: Known, frame: pd.DataFrame, recipes: Sequence[Recipe], *, target: Target,
        prior: Prior,
    ) -> None:  # fmt: skip
        """Writes `columns` into the features of the recipes, column for column: in place, since they may be large."""
        places = {recipe.name: number for number, recipe in enumerate(recipes)}
        for name, column in self.columns(known, frame, recipes, target=target, prior=prior).items():
            features.iloc[:, places[name]] = column


def voice_rows_of(known: Known, recipes: tuple[Recipe, ...], *, by: int, target: Target, growing: Growing) -> VoiceRows:
    """Returns everything that a voice model can learn from.

    Args:
        known: the customers.
        recipes: the signals it may ask for.
        by: the moment at which it is asked from when on a voice would be seen, microseconds UTC.
        target: whose time zone and activity the signals mean.
        growing: seed and threads of the trees.
    """
    troubles = troubles_of(known.tables, customers=known.customers, voice=known.voice)
    every = np.arange(len(troubles))
    signals = signals_before(
        known.tables, troubles, every, recipes, customers=known.customers, covered_at=known.covered_at, target=target,
        threads=growing.threads,
    )  # fmt: skip
    return VoiceRows(troubles, signals, recipes, _heard_from(known, by), growing)


def rolling(rows: VoiceRows, ids: pa.StringArray, *, cutoffs: Sequence[int]) -> Hidden:
    """Returns hidden friction for rows that teach: what is thought of a trouble comes from models of other customers.

    At the first cutoff and every 60 days of cutoffs after it each half of the customers gets a model learnt from the
    other half, of what was settled by then: a row at a cutoff sees the latest model before it, and nobody's own
    telling has taught it.

    Args:
        rows: everything there is to learn from.
        ids: customer ids by code; the half depends on the id alone.
        cutoffs: of the rows that will be asked for, microseconds UTC.
    """
    troubles = rows.troubles
    half = np.array([zlib.crc32(customer.encode()) % _HALVES for customer in ids.to_pylist()], np.int64)
    own, epochs = half[troubles.customer], []
    before: list[Learnt | None] = [None] * _HALVES
    for starts in _starts(cutoffs):
        p, weight = np.full((2, len(troubles)), np.nan)
        for number in range(_HALVES):
            learnt = before[number] = fit_voice(rows, own != number, by=starts, before=before[number])
            wanted = np.flatnonzero((own == number) & (troubles.time >= starts - HIDDEN_DAYS * DAY))
            p[wanted] = learnt.model.predict(troubles, wanted, rows.signals.iloc[wanted])
            weight[wanted] = learnt.model.weights(troubles)[wanted] * (1 - p[wanted])
        epochs.append(Epoch(starts, p, np.where(troubles.time >= rows.heard_from, weight, np.nan)))
    return Hidden(troubles, tuple(epochs))


def hidden_now(known: Known, model: VoiceModel, *, at: int, codes: Int64, target: Target, threads: int = 1) -> Hidden:
    """Returns hidden friction of some customers at one cutoff, as a finished model sees it.

    Args:
        known: the customers of a bucket.
        model: the voice model.
        at: the cutoff, microseconds UTC.
        codes: whose.
        target: whose time zone and activity the signals mean.
        threads: how many share the work.
    """
    ids = _lately_troubled(known, at, codes)
    few = {name: table.filter(pc.is_in(table["customer_id"], value_set=ids)) for name, table in known.tables.items()}
    troubles = troubles_of(few, customers=ids, voice=events_of(voice_events(few), customers=ids))
    is_recent = happened_in(troubles, at - HIDDEN_DAYS * DAY, at, known_by=at)
    wanted = np.flatnonzero(is_recent & (troubles.time >= _heard_from(known, at)))
    p, weight = np.full((2, len(troubles)), np.nan)
    if len(wanted):
        signals = signals_before(
            few, troubles, wanted, model.recipes, customers=ids, covered_at=known.covered_at, target=target,
            threads=threads,
        )  # fmt: skip
        p[wanted] = model.predict(troubles, wanted, signals)
        weight[wanted] = model.weights(troubles)[wanted] * (1 - p[wanted])
    counts = np.zeros(len(known.customers) + 1, np.int64)
    counts[known.codes_of(ids) + 1] = np.diff(troubles.starts)
    return Hidden(replace(troubles, starts=np.cumsum(counts)), (Epoch(at, p, weight),))


def _lately_troubled(known: Known, at: int, codes: Int64) -> pa.StringArray:
    """The ids among `codes` for whom anything may have gone wrong lately, sorted: the others' rows are left alone."""
    starts = at - (HIDDEN_DAYS + UNRESOLVED_DAYS) * DAY
    asked, found = np.zeros((2, len(known.customers)), bool)
    asked[codes] = True
    for name in ("incidents", "contacts"):
        if name in known.tables:
            table = known.tables[name]
            time = np.asarray(table["time"].cast(pa.int64()))
            lately = table["customer_id"].filter(pa.array((time >= starts) & (time < at)))
            found[known.codes_of(pc.unique(lately))] = True
    return known.customers.take(pa.array(np.flatnonzero(asked & found)))


def _starts(cutoffs: Sequence[int]) -> list[int]:
    """The first cutoff, and each that is 60 days or more after the last one taken."""
    taken: list[int] = []
    for at in sorted(set(cutoffs)):
        if not taken or at - taken[-1] >= EVERY_DAYS * DAY:
            taken.append(at)
    return taken


def _heard_from(known: Known, at: int) -> int:
    return min(known.heard_from(at).values(), default=at)


def _stream(troubles: Troubles, epoch: Epoch, tables: Mapping[str, pa.Table]) -> Stream:
    numbers = np.where(np.isnan(epoch.weight), MISSING, micro(np.nan_to_num(epoch.weight)))
    values = {
        "hidden": Value(numbers, MICRO, begins=troubles.matured, ends=troubles.told),
        "young": Value(numbers, MICRO, ends=np.minimum(troubles.matured, troubles.told)),
    }
    source = "incidents" if "incidents" in tables else "contacts"
    return Stream((source,), troubles.starts, troubles.time, troubles.known, values)


def _covered(known: Known, at: Int64, names: Sequence[str]) -> dict[str, Int64]:
    moments, place = moments_of(at)
    covered = [known.covered_at(int(moment)) for moment in moments]
    return {name: np.array([starts[name] for starts in covered], np.int64)[place] for name in names}
