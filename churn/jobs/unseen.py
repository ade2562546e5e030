"""Unseen: labels that a model has not learnt, which it takes for unknown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from churn.models.bundle import Bundle
from churn.tables.findings import plural

_STREAMS = {"profile": "customers"}
_KIND = "kind="

Unseen = Counter[tuple[str, str, str]]
"""How many rows a table's column has that say something (`rows`), and how many with a label not learnt (`unseen`)."""


def unseen_labels(bundle: Bundle, tables: Mapping[str, pa.Table]) -> Unseen:
    """Returns how many rows of some tables have labels that the model has not learnt; those of buckets add up."""
    learnt: dict[tuple[str, str], set[str]] = {}
    for recipe in bundle.recipes:
        table = _STREAMS.get(recipe.table, recipe.table)
        if recipe.labels is not None:
            learnt.setdefault((table, recipe.value), set()).update(recipe.labels)
        elif table == "incidents" and recipe.value.startswith(_KIND):
            learnt.setdefault((table, "kind"), set()).add(recipe.value.removeprefix(_KIND))
    counts: Unseen = Counter()
    for (table, column), labels in learnt.items():
        if table in tables and column in tables[table].column_names:
            texts = tables[table][column].cast(pa.string()).drop_null()
            is_new = pc.invert(pc.is_in(texts, value_set=pa.array(sorted(labels), pa.string())))
            counts[table, column, "rows"] += len(texts)
            counts[table, column, "unseen"] += int(pc.sum(is_new, min_count=0).as_py())
    return counts


def unseen_warnings(counts: Unseen) -> list[str]:
    """Returns a warning for each column with labels that the model has not learnt (new, or too rare in training), with
    the rows that have them; the labels themselves are not told: they may be anything."""
    warnings = []
    for table, column, what in sorted(counts):
        if what == "unseen" and counts[table, column, what]:
            found, rows = plural(counts[table, column, what], "row"), counts[table, column, "rows"]
            told = f"{table}.{column}: {found} of {rows:,} with labels the model has not learnt"
            warnings.append(f"{told} (new, or rare in training): taken for unknown; if many, train again: churn train")
    return warnings
