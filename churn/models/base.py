"""The base: what has to be asked of all customers together, gathered bucket by bucket and added up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn.tables.contract import CONTRACT
from churn.tables.history import DAY, Events, Int64
from churn.timeline.cutoffs import seen_at
from churn.timeline.voice import is_by_self, voice_sources

SPOKEN = ("contacts", "feedback")
"""Tables that may carry the customers' own voice."""

_BY_SELF = "feedback by self"


@dataclass(frozen=True, slots=True)
class FirstRows:
    """From when a table has rows, as far as known at any moment: the rows that are earlier than all known before them.

    Attributes:
        known: when each became known, rising, microseconds UTC.
        time: when each happened, falling, microseconds UTC.
    """

    known: Int64
    time: Int64

    def visible_at(self, at: int) -> int:
        """Returns when the first row visible at `at` happened; `at` itself where none is: nothing is covered yet."""
        place = int(np.searchsorted(self.known, at, side="right"))
        return min(int(self.time[place - 1]), at) if place else at


@dataclass(frozen=True, slots=True)
class Base:
    """What is asked of the base as a whole.

    Attributes:
        first_rows: of each event table, and of feedback by the customers themselves.
        voice_sources: the tables that can carry the customers' own voice.
        first_activity: microseconds UTC; None without any.
        last_activity: microseconds UTC; None without any.
    """

    first_rows: Mapping[str, FirstRows]
    voice_sources: tuple[str, ...]
    first_activity: int | None
    last_activity: int | None

    @property
    def starts(self) -> int:
        """When the activity begins, microseconds UTC."""
        return self.first_activity or 0

    @property
    def ends(self) -> int:
        """The midnight (UTC) that follows the last activity: the earliest moment that sees all of it."""
        return 0 if self.last_activity is None else self.last_activity // DAY * DAY + DAY

    @property
    def settled(self) -> int:
        """The last moment up to which outcomes are observed: just after the last activity, microseconds UTC."""
        return 0 if self.last_activity is None else self.last_activity + 1

    def covered_at(self, at: int) -> dict[str, int]:
        """Returns from when each event table has rows, as far as known at `at`."""
        return {name: rows.visible_at(at) for name, rows in self.first_rows.items() if name in CONTRACT}

    def heard_from(self, at: int) -> dict[str, int]:
        """Returns from when each source of the customers' own voice has rows, as far as known at `at`."""
        own = {"contacts": "contacts", "feedback": _BY_SELF}
        return {name: self.first_rows[rows].visible_at(at) for name, rows in own.items() if rows in self.first_rows}

    def upto(self, at: int) -> Base:
        """Returns the base as it was known at `at`, but for who can be heard and when activity began."""
        first_rows = {
            name: FirstRows(*(part[seen_at(rows, at)] for part in (rows.known, rows.time)))
            for name, rows in self.first_rows.items()
        }
        last = None if self.last_activity is None else min(self.last_activity, at - 1)
        return replace(self, first_rows=first_rows, last_activity=last)

    def to_dict(self) -> dict[str, Any]:
        """Returns the same as plain JSON data; `base_told` reads it back."""
        first_rows = {name: [rows.known.tolist(), rows.time.tolist()] for name, rows in self.first_rows.items()}
        return {
            "first_rows": first_rows, "voice_sources": list(self.voice_sources),
            "first_activity": self.first_activity, "last_activity": self.last_activity,
        }  # fmt: skip


def base_told(told: Mapping[str, Any]) -> Base:
    """Returns what `Base.to_dict` told of."""
    first_rows = {
        name: FirstRows(*(np.array(column, np.int64) for column in rows)) for name, rows in told["first_rows"].items()
    }
    return Base(first_rows, tuple(told["voice_sources"]), told["first_activity"], told["last_activity"])


def gathered(tables: Mapping[str, pa.Table], active: Events) -> Base:
    """Returns what one bucket of customers, or all of them, tells of the base.

    Args:
        tables: canonical tables by name.
        active: the activity of the customers in them.
    """
    first_rows = {name: _first_rows(table, name) for name, table in tables.items() if CONTRACT[name].time_column}
    if "feedback" in tables:
        by_self = tables["feedback"].filter(pa.array(is_by_self(tables["feedback"])))
        first_rows[_BY_SELF] = _first_rows(by_self, "feedback")
    has_activity = len(active.time) > 0
    return Base(
        first_rows, voice_sources(tables),
        int(active.time.min()) if has_activity else None, int(active.time.max()) if has_activity else None,
    )  # fmt: skip


def together(bases: Iterable[Base]) -> Base:
    """Returns the base that several buckets make up."""
    parts = list(bases)
    names = dict.fromkeys(name for part in parts for name in part.first_rows)
    first_rows = {}
    for name in names:
        rows = [part.first_rows[name] for part in parts if name in part.first_rows]
        first_rows[name] = _earliest(*(np.concatenate([getattr(row, what) for row in rows]) for what in _ROW))
    sources = dict.fromkeys(name for name in SPOKEN if any(name in part.voice_sources for part in parts))
    first = [part.first_activity for part in parts if part.first_activity is not None]
    last = [part.last_activity for part in parts if part.last_activity is not None]
    return Base(first_rows, tuple(sources), min(first, default=None), max(last, default=None))


_ROW = ("known", "time")


def _first_rows(table: pa.Table, name: str) -> FirstRows:
    time = np.asarray(table[CONTRACT[name].time_column].cast(pa.int64()), np.int64)
    if "available_at" not in table.column_names:
        return _earliest(time, time)
    known = np.asarray(pc.fill_null(table["available_at"].cast(pa.int64()), 0), np.int64)
    return _earliest(np.maximum(known, time), time)


def _earliest(known: Int64, time: Int64) -> FirstRows:
    """The rows that happened before every row that was known when they became known."""
    # Who became known after the earliest row of all did cannot be earlier than it: few are left to sort.
    is_candidate = known <= known[time == time.min(initial=np.iinfo(np.int64).max)].min(initial=np.iinfo(np.int64).max)
    known, time = known[is_candidate], time[is_candidate]
    order = np.lexsort([time, known])
    known, time = known[order], time[order]
    lowest = np.minimum.accumulate(time)
    is_new = np.diff(lowest, prepend=np.iinfo(np.int64).max) < 0
    return FirstRows(known[is_new], time[is_new])
