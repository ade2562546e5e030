"""Views: some rows and columns of a frame of signals, which is never copied whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

_BATCH_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class View:
    """Some rows and columns of a frame of signals, in the order given.

    Attributes:
        values: the whole frame's float32 numbers, shape (all rows, all columns).
        places: of the view's columns in `values`, by name.
        rows: of `values`, shape (rows,).
    """

    values: npt.NDArray[np.float32]
    places: dict[str, int]
    rows: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, name: str) -> bool:
        return name in self.places

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in their order."""
        return list(self.places)

    def keep(self, mask: npt.NDArray[np.bool_]) -> View:
        """Returns the rows where `mask` is true."""
        return View(self.values, self.places, self.rows[mask])

    def select(self, columns: Sequence[str]) -> View:
        """Returns some columns, in the order given."""
        return View(self.values, {name: self.places[name] for name in columns}, self.rows)

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """Returns a copy of one column, shape (rows,)."""
        return np.asarray(self.values[self.rows, self.places[name]], np.float64)

    def numbers(self, start: int = 0, stop: int | None = None) -> npt.NDArray[np.float32]:
        """Returns a copy of the rows from `start` to `stop`, shape (rows, columns), row by row in memory."""
        rows, places = self.rows[start:stop], list(self.places.values())
        out = np.empty((len(rows), len(places)), np.float32)
        for number, place in enumerate(places):
            out[:, number] = self.values[rows, place]
        return out

    def batches(self) -> Iterator[tuple[slice, npt.NDArray[np.float32]]]:
        """Yields copies of a few rows at a time, with their places."""
        for start in range(0, len(self), _BATCH_ROWS):
            stop = min(len(self), start + _BATCH_ROWS)
            yield slice(start, stop), self.numbers(start, stop)


Signals = pd.DataFrame | View
"""Signals of rows: a frame of float32 columns, or a view of one."""


def view_of(signals: Signals) -> View:
    """Returns the signals as a view; a frame in one block is not copied."""
    if isinstance(signals, View):
        return signals
    values = signals.to_numpy(np.float32)
    return View(values, {str(name): place for place, name in enumerate(signals.columns)}, np.arange(len(signals)))
