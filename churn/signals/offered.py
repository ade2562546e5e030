"""Offered: which columns the tables have, and the labels of their categories, frozen from the training data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

Tables = Mapping[str, pa.Table]

MOST_KINDS = 12
"""Kinds of incident with a column of their own."""

MOST_LABELS = 50
"""Labels of one category; the rest are null."""


def has(tables: Tables, table: str, column: str) -> bool:
    """Returns whether the table is there and has the column."""
    return table in tables and column in tables[table].column_names


def labels_of(column: pa.ChunkedArray[Any]) -> tuple[str, ...]:
    """Returns the most frequent labels of a column (ties in alphabetical order), sorted: what its codes shall mean in
    every bucket and year.

    >>> labels_of(pa.chunked_array([["web", "app", None, "web"]]))
    ('app', 'web')
    """
    return _most_frequent(column, MOST_LABELS)


def kinds_of(column: pa.ChunkedArray[Any]) -> dict[str, str]:
    """Returns the most frequent kinds by the part of a column's name that stands for each.

    >>> kinds_of(pa.chunked_array([["Late delivery", "late-delivery"]]))
    {'late_delivery': 'Late delivery', 'late_delivery_2': 'late-delivery'}
    """
    found: dict[str, str] = {}
    for kind in _most_frequent(column, MOST_KINDS):
        slug, again = slug_of(kind), 1
        while (slug if again == 1 else f"{slug}_{again}") in found:
            again += 1
        found[slug if again == 1 else f"{slug}_{again}"] = kind
    return found


def slug_of(label: str) -> str:
    """Returns a label as part of a column's name: letters, digits and underscores of any script.

    >>> slug_of("Late delivery!")
    'late_delivery'
    """
    return re.sub(r"\W+", "_", label.lower()).strip("_") or "other"


def _most_frequent(column: pa.ChunkedArray[Any], most: int) -> tuple[str, ...]:
    counted = (
        pa.table([column.drop_null()], names=["label"]).group_by("label").aggregate([("label", "count")]).to_pydict()
    )
    ranked = sorted((-count, label) for count, label in zip(counted["label_count"], counted["label"], strict=True))
    return tuple(sorted(label for _, label in ranked[:most]))
