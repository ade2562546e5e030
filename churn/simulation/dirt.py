"""Messy rows on request: what exports look like in practice, with a note of every cell that was spoiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn.simulation.arrays import Ints

DIRT: Final = pa.schema([("table", pa.string()), ("row", pa.int64()), ("column", pa.string()), ("what", pa.string())])
_TWICE: Final = 0.005  # share of rows exported twice
# Shares of the cells. Together they leave each column below the one in a hundred at which a table is refused.
_OTHER_FORMAT: Final = 0.004
_IMPOSSIBLE: Final = 0.001
_BLANK: Final = 0.004
_SLOPPY: Final = 0.005
_LARGE: Final = 1000.0  # amounts from here on have thousand separators, as spreadsheets write them
_EVENTS: Final = frozenset({"transactions", "visits", "contacts", "incidents", "feedback", "invitations"})
_IMPOSSIBLE_TIMES: Final = ("2024-02-30T10:00:00Z", "1900-01-01T00:00:00Z", "2999-12-31T00:00:00Z")
_MAY_BE_BLANK: Final = frozenset({"channel", "category", "topic", "agent_id", "wait_seconds", "region", "score"})
_Texts: TypeAlias = "pa.Array[Any]"


def soil(
    tables: Mapping[str, pa.Table], *, rng: np.random.Generator, before: Mapping[str, int]
) -> tuple[dict[str, pa.Table], pa.Table]:
    """Returns tables as spoiled text, and a table of what was spoiled: table, row, column, what.

    Rows count the data rows of a table from 1, after the `before` rows that its file has already. Repeated rows
    (`twice`) are repeated at the end; ids differ in case and spaces (`sloppy_id`), times have another format
    (`other_format`) or cannot be (`impossible_time`), cells are empty (`blank`), amounts have `thousands` set apart.
    """
    spoiled: dict[str, pa.Table] = {}
    notes: list[pa.Table] = []
    for name, table in tables.items():
        copies = np.sort(rng.choice(table.num_rows, int(_TWICE * table.num_rows), replace=False))
        is_event = name in _EVENTS
        whole = pa.concat_tables([table, table.take(pa.array(copies))]) if is_event else table
        notes += [_note(name, np.arange(table.num_rows, whole.num_rows), None, "twice", before[name])]
        columns = {}
        for column in whole.column_names:
            texts = _text(whole[column].combine_chunks())
            for what, rows, spoil in _plan(name, column, whole, rng=rng):
                # What is exported twice stays the same twice.
                rows = np.setdiff1d(rows[rows < table.num_rows], copies) if is_event else rows
                texts = _replaced(texts, rows=rows, spoil=spoil)
                notes.append(_note(name, rows, column, what, before[name]))
            columns[column] = texts
        spoiled[name] = pa.table(columns)
    return spoiled, pa.concat_tables(notes) if notes else DIRT.empty_table()


def _plan(
    name: str, column: str, table: pa.Table, *, rng: np.random.Generator
) -> list[tuple[str, Ints, Callable[[_Texts], _Texts]]]:
    """Which rows of a column are spoiled, and how."""
    some = _Some(table.num_rows, rng)
    if column == "customer_id":
        return [("sloppy_id", some(_SLOPPY if name in _EVENTS else 0.0), _sloppy)]
    if column == "time":
        return [
            ("other_format", some(_OTHER_FORMAT), _other_format),
            ("impossible_time", some(_IMPOSSIBLE), _impossible),
        ]
    if column == "amount":
        large = np.flatnonzero(np.abs(table[column].to_numpy()) >= _LARGE)
        return [("thousands", large, _thousands), ("blank", some(_BLANK), _blank)]
    if column in _MAY_BE_BLANK:
        return [("blank", some(_BLANK), _blank)]
    return []


class _Some:
    """Draws rows of a table, none of them twice for one column."""

    def __init__(self, rows: int, rng: np.random.Generator) -> None:
        self._left, self._rng, self._rows = rng.permutation(rows), rng, rows

    def __call__(self, share: float) -> Ints:
        size = int(share * self._rows)
        taken, self._left = self._left[:size], self._left[size:]
        return np.sort(taken)


def _text(column: pa.Array[Any]) -> _Texts:
    """The column as clean text: ISO times in UTC, amounts with two decimals, empty for null."""
    if pa.types.is_timestamp(column.type):
        column = pc.strftime(column.cast(pa.timestamp("s", tz="UTC")), format="%Y-%m-%dT%H:%M:%SZ")
    texts: _Texts = pc.fill_null(column.cast(pa.string()), "")
    return texts


def _replaced(texts: _Texts, *, rows: Ints, spoil: Callable[[_Texts], _Texts]) -> _Texts:
    mask = np.zeros(len(texts), dtype=np.bool_)
    mask[rows] = True
    done: _Texts = pc.replace_with_mask(texts, pa.array(mask), spoil(texts.take(pa.array(rows))))
    return done


def _note(table: str, rows: Ints, column: str | None, what: str, before: int) -> pa.Table:
    size = len(rows)
    columns = [
        pa.array([table] * size),
        pa.array(rows + before + 1),
        pa.array([column] * size),
        pa.array([what] * size),
    ]
    return pa.table([each.cast(kind) for each, kind in zip(columns, DIRT.types, strict=True)], schema=DIRT)


def _sloppy(ids: _Texts) -> _Texts:
    return _each(ids, lambda number, text: f" {text.lower()}" if number % 2 else f"{text} ")


def _other_format(times: _Texts) -> _Texts:
    return _each(times, lambda _, text: f"{text[8:10]}/{text[5:7]}/{text[:4]} {text[11:16]}")


def _impossible(times: _Texts) -> _Texts:
    return _each(times, lambda number, _: _IMPOSSIBLE_TIMES[number % len(_IMPOSSIBLE_TIMES)])


def _thousands(amounts: _Texts) -> _Texts:
    return _each(amounts, lambda _, text: f"{float(text):,.2f}")


def _blank(texts: _Texts) -> _Texts:
    return _each(texts, lambda *_: "")


def _each(texts: _Texts, spoil: Callable[[int, str], str]) -> _Texts:
    spoiled: _Texts = pa.array([spoil(number, text) for number, text in enumerate(texts.to_pylist())], pa.string())
    return spoiled
