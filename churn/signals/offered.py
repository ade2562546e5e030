"""Offered: which columns the tables have, and the labels of their categories, frozen from the training data."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

Tables = Mapping[str, pa.Table]

MOST_KINDS = 12
"""Kinds of incident with a column of their own."""

MOST_LABELS = 50
"""Labels of one category; the rest are null."""

LEAST_CUSTOMERS = 5
"""Customers a label must have: what one of them alone has tells nothing, and may be her name or address in a wrong
column, which would be kept in the model and shown in every report."""


def has(tables: Tables, table: str, column: str) -> bool:
    """Returns whether the table is there and has the column."""
    return table in tables and column in tables[table].column_names


def labels_of(table: pa.Table, column: str) -> tuple[str, ...]:
    """Returns the most frequent labels of a column (ties in alphabetical order), sorted: what its codes shall mean in
    every bucket and year. Labels of fewer than `LEAST_CUSTOMERS` customers are left out.

    >>> ids = [str(number) for number in range(12)]
    >>> labels_of(pa.table({"customer_id": ids, "channel": ["web", "app"] * 5 + ["fax", None]}), "channel")
    ('app', 'web')
    """
    return _most_frequent(table, column, MOST_LABELS)


def kinds_of(table: pa.Table) -> dict[str, str]:
    """Returns the most frequent kinds of a table by the part of a column's name that stands for each; see `labels_of`.

    >>> ids = [str(number) for number in range(10)]
    >>> kinds_of(pa.table({"customer_id": ids, "kind": ["Late delivery", "late-delivery"] * 5}))
    {'late_delivery': 'Late delivery', 'late_delivery_2': 'late-delivery'}
    """
    found: dict[str, str] = {}
    for kind in _most_frequent(table, "kind", MOST_KINDS):
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


def _most_frequent(table: pa.Table, column: str, most: int) -> tuple[str, ...]:
    labels = table.select([column, "customer_id"]).filter(pc.is_valid(table[column])).group_by(column)
    counted = labels.aggregate([("customer_id", "count"), ("customer_id", "count_distinct")]).to_pydict()
    ranked = sorted(
        (-rows, label)
        for label, rows, customers in zip(
            counted[column], counted["customer_id_count"], counted["customer_id_count_distinct"], strict=True
        )
        if customers >= LEAST_CUSTOMERS
    )
    return tuple(sorted(label for _, label in ranked[:most]))
