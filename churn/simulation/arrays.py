"""Column types, and the append-only book in which each day writes its rows."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Column = npt.NDArray[np.float64] | npt.NDArray[np.int64] | npt.NDArray[np.bool_]
Rows = dict[str, Column]

NEVER = np.int64(2**62)  # a moment or day that does not come


class Book:
    """Rows of one table, written day by day and bound once at the end; numbers only.

    >>> book = Book({"customer": np.int64})
    >>> book.write({"customer": np.array([2, 1])})
    >>> book.bind()["customer"].tolist()
    [2, 1]
    """

    def __init__(self, types: Mapping[str, type[np.generic]]) -> None:
        self._types = dict(types)
        self._pages: dict[str, list[Column]] = {name: [] for name in types}

    def write(self, rows: Mapping[str, Column]) -> None:
        """Adds rows; every column of the book must be there."""
        for name, pages in self._pages.items():
            pages.append(rows[name])

    def bind(self) -> Rows:
        """Returns all rows written so far, in the order of writing."""
        return {
            name: np.concatenate([np.empty(0, dtype=self._types[name]), *pages]).astype(self._types[name], copy=False)
            for name, pages in self._pages.items()
        }


def pick(rows: Rows, which: Column) -> Rows:
    """Returns the rows at a mask or at positions."""
    return {name: column[which] for name, column in rows.items()}


def stack(parts: list[Rows]) -> Rows:
    """Returns the rows of several parts with the same columns, one after another."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def spread(rows: Rows, *, who: Ints) -> Rows:
    """Returns the rows of copies: copy j has those of customer `who[j]`, with `customer` renumbered to j.

    >>> spread({"customer": np.array([5, 3]), "x": np.array([1.0, 2.0])}, who=np.array([3, 5, 3]))["customer"].tolist()
    [0, 1, 2]
    """
    customer = ints(rows["customer"])
    order = np.argsort(customer, kind="stable")
    first = np.searchsorted(customer[order], who, side="left")
    size = np.searchsorted(customer[order], who, side="right") - first
    copy = np.repeat(np.arange(len(who)), size)
    inside = np.arange(len(copy)) - np.repeat(np.cumsum(size) - size, size)
    copies = pick(rows, order[np.repeat(first, size) + inside])
    return dict(copies, customer=copy)


def ints(column: Column) -> Ints:
    """The same column, known to hold whole numbers."""
    return column.astype(np.int64, copy=False)


def floats(column: Column) -> Floats:
    """The same column, known to hold numbers with fractions."""
    return column.astype(np.float64, copy=False)


def choose(rng: np.random.Generator, cumulative: Floats, *, size: int | None = None) -> Ints:
    """Returns positions drawn with row-wise (or, given `size`, common) cumulative probabilities; shape (rows,)."""
    if cumulative.ndim == 1:
        return np.searchsorted(cumulative, rng.random(size or 0), side="right").clip(0, len(cumulative) - 1)
    draws = rng.random(len(cumulative))[:, None]
    positions: Ints = np.minimum((draws >= cumulative).sum(axis=1), cumulative.shape[1] - 1)
    return positions
