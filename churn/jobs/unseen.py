"""Unseen: labels that a model has not learnt, which it takes for unknown."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from churn.models.bundle import Bundle
from churn.tables.findings import plural

_STREAMS = {"profile": "customers"}
_KIND = "kind="


def unseen_labels(bundle: Bundle, tables: Mapping[str, pa.Table]) -> list[str]:
    """Returns a warning for each column with labels that the model has not learnt (new, or too rare in training), with
    the rows that have them; the labels themselves are not told: they may be anything."""
    learnt: dict[tuple[str, str], set[str]] = {}
    for recipe in bundle.recipes:
        table = _STREAMS.get(recipe.table, recipe.table)
        if recipe.labels is not None:
            learnt.setdefault((table, recipe.value), set()).update(recipe.labels)
        elif table == "incidents" and recipe.value.startswith(_KIND):
            learnt.setdefault((table, "kind"), set()).add(recipe.value.removeprefix(_KIND))
    warnings = []
    for (table, column), labels in sorted(learnt.items()):
        if table in tables and column in tables[table].column_names:
            texts = tables[table][column].cast(pa.string()).drop_null()
            is_new = pc.invert(pc.is_in(texts, value_set=pa.array(sorted(labels), pa.string())))
            count = int(pc.sum(is_new, min_count=0).as_py())
            if count:
                told = (
                    f"{table}.{column}: {plural(count, 'row')} of {len(texts):,} with labels the model has not learnt"
                )
                warnings.append(
                    f"{told} (new, or rare in training): taken for unknown; if many, train again: churn train"
                )
    return warnings
