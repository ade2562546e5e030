"""The iceberg: how much of what went wrong customers told, and how much nobody ever mentioned. Counts only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from churn.models.hidden_friction import Hidden
from churn.models.known import Known
from churn.signals.streams import FOLLOW_DAYS
from churn.tables.history import DAY
from churn.timeline.cutoffs import moment_of

DAYS = 90
"""The latest days of which it is settled what was told; months are told apart over all time."""
LEAST = 5
"""What fewer customers than this share is told together with others."""
MOST_ROWS = 24
OTHER = "other"
_NO_LABEL = "not known"


def iceberg(
    known: Known, hidden: Hidden, *, heard_from: int, settled: int, attributes: Sequence[str]
) -> dict[str, Any]:
    """Returns how much went wrong and how much of it was told, in all and by kind, channel, month and attribute.

    Each row: `label`, `troubles`, `told` (the customer said something was wrong within 14 days), `never_mentioned`,
    `expected_told` (the sum of their chances, each as it was thought of when it happened, by a model of other
    customers) and `speakers`: that sum over the never mentioned alone. Rows of fewer than 5 customers are told together
    as `other`. A trouble before any model is left out.

    Args:
        known: the customers.
        hidden: what was thought of their troubles.
        heard_from: from when on a voice would be seen, microseconds UTC.
        settled: up to when outcomes are observed, microseconds UTC.
        attributes: columns of the customers' table that may be shown.
    """
    troubles, p = hidden.troubles, hidden.p_then
    is_told = (troubles.matured <= settled) & (troubles.time >= heard_from) & ~np.isnan(p)
    table = pd.DataFrame({
        "customer": troubles.customer, "time": troubles.time, "told": troubles.told <= settled, "p": p,
        "kind": _texts(troubles.kind, troubles.kinds), "channel": _texts(troubles.channel, troubles.channels),
        "month": pd.Series(troubles.time).astype("datetime64[us]").dt.strftime("%Y-%m"),
        **{name: _attribute(known, name)[troubles.customer] for name in attributes if _is_shown(known, name)},
    })[is_told]  # fmt: skip
    ends = settled - FOLLOW_DAYS * DAY
    recent = table[(table["time"] >= ends - DAYS * DAY) & (table["time"] < ends)]
    groups = [name for name in table.columns if name not in ("customer", "time", "told", "p", "month")]
    return {
        "days": DAYS, "until": f"{moment_of(ends):%Y-%m-%d}", "total": _row("all", recent),
        "by": {name: _rows(recent, name) for name in groups} | {"month": _rows(table, "month")[-MOST_ROWS:]},
    }  # fmt: skip


def _rows(table: pd.DataFrame, by: str) -> list[dict[str, Any]]:
    """One row per label, the most frequent first (months in their order); small and rare ones together, at the end."""
    customers = table.groupby(by)["customer"].nunique().sort_values(ascending=False, kind="stable")
    small = {*customers.index[customers < LEAST], *(customers.index[MOST_ROWS - 1 :] if by != "month" else ())}
    label = table[by].where(~table[by].isin(small), OTHER)
    rest = table[label == OTHER]
    if len(rest) and rest["customer"].nunique() < LEAST:
        # One more joins them, so that nobody can be found by subtraction.
        others = customers[~customers.index.isin([*small, OTHER])]
        if not len(others):
            return []
        label = label.where(label != others.index[-1], OTHER)
    rows = [_row(str(name), part) for name, part in table.groupby(label)]
    if by == "month":
        return rows
    return sorted(rows, key=lambda row: (row["label"] == OTHER, -row["troubles"], row["label"]))


def _row(label: str, part: pd.DataFrame) -> dict[str, Any]:
    told, p = part["told"].to_numpy(), part["p"].to_numpy()
    return {
        "label": label, "troubles": len(part), "told": int(told.sum()), "never_mentioned": int((~told).sum()),
        "expected_told": round(float(p.sum()), 1), "speakers": round(float(p[~told].sum()), 1),
    }  # fmt: skip


def _texts(codes: npt.NDArray[np.int64], labels: Sequence[str]) -> npt.NDArray[np.object_]:
    return np.array([*labels, _NO_LABEL], object)[codes]


def _is_shown(known: Known, name: str) -> bool:
    return (
        known.profile is not None
        and name in known.profile.column_names
        and pa.types.is_string(known.profile.schema.field(name).type)
    )


def _attribute(known: Known, name: str) -> npt.NDArray[np.object_]:
    assert known.profile is not None  # `_is_shown`
    return np.array([text if text is not None else _NO_LABEL for text in known.profile[name].to_pylist()], object)
