"""Signal answers: what each contestant answered, one column per recipe in the rows' order, and whether they agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from signal_recipes import EXACT

from churn.signals import Recipe

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two answers compare.

    Attributes:
        identical: columns that are the same to the last bit.
        columns: all columns.
        differing: what differs by more than is allowed, in words; nothing where the answers agree.
    """

    identical: int
    columns: int
    differing: list[str]


def write(path: Path, answer: pd.DataFrame | pa.Table, rows: pa.Table, recipes: Sequence[Recipe]) -> None:
    """Writes an answer as float32 of shape (columns, rows), in the order of `rows`.

    An answer with a column customer_id is brought into that order; one without is in it.

    Raises:
        ValueError: the answer isn't one row for each of `rows`.
    """
    if len(answer) != len(rows):
        raise ValueError(f"{len(answer):,} rows were answered, not {len(rows):,}")
    order = _order(answer, rows) if "customer_id" in _names(answer) else None
    out = np.lib.format.open_memmap(path, "w+", np.dtype(np.float32), (len(recipes), len(rows)))
    for place, recipe in enumerate(recipes):
        column = answer[recipe.name]
        values = column.to_numpy() if isinstance(answer, pa.Table) else column.to_numpy(np.float32)
        out[place] = values if order is None else values[order]
    out.flush()


def compare(one: Path, other: Path, recipes: Sequence[Recipe]) -> Agreement:
    """Returns how two written answers compare: whole numbers, cents and nulls must be the same; of quotients, whose
    exact value may lie between two floats, the neighbouring float32 is allowed."""
    left, right = np.load(one, mmap_mode="r"), np.load(other, mmap_mode="r")
    identical, differing = 0, []
    for place, recipe in enumerate(recipes):
        a, b = np.asarray(left[place]), np.asarray(right[place])
        is_same = (a == b) | (np.isnan(a) & np.isnan(b))
        identical += bool(is_same.all())
        if recipe.how not in EXACT:
            is_same |= (np.nextafter(a, np.float32(np.inf)) == b) | (np.nextafter(a, np.float32(-np.inf)) == b)
        if not is_same.all():
            row = int(np.flatnonzero(~is_same)[0])
            first = f"first in row {row}: {a[row]} and {b[row]}"
            differing.append(f"{recipe.name} differs in {int((~is_same).sum()):,} rows ({first})")
    return Agreement(identical, len(recipes), differing)


def _names(answer: pd.DataFrame | pa.Table) -> list[str]:
    return answer.column_names if isinstance(answer, pa.Table) else list(answer.columns)


def _order(answer: pd.DataFrame | pa.Table, rows: pa.Table) -> npt.NDArray[np.int64]:
    """Where each of `rows`, which are sorted by cutoff and customer, stands in the answer."""
    table = answer if isinstance(answer, pa.Table) else pa.Table.from_pandas(answer[["customer_id", "at"]])
    customers = pc.unique(rows["customer_id"])
    customers = customers.take(pc.sort_indices(customers))
    code, wanted = (
        np.asarray(pc.index_in(side["customer_id"].cast(pa.string()), customers), float) for side in (table, rows)
    )
    order = np.lexsort((code, np.asarray(table["at"])))
    if not np.array_equal(code[order], wanted) or not np.array_equal(np.asarray(table["at"])[order], rows["at"]):
        raise ValueError("other rows were answered than were asked for")
    return order
