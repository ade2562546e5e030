"""Findings: what the data check noticed, counted, located, and with what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Severity = Literal["error", "warning", "info"]
Code = Literal[
    "ambiguous_times",
    "attribute_left_out",
    "constant_column",
    "customers_without_events",
    "duplicate_customers",
    "duplicate_rows",
    "empty_column",
    "gap_in_time",
    "known_before_time",
    "late_rows_unseen",
    "missing_amount",
    "missing_available_at",
    "missing_id",
    "missing_time",
    "negative_amounts",
    "nonexistent_times",
    "not_finite",
    "rows_without_order",
    "several_rows_per_order",
    "stale_table",
    "table_summary",
    "thin_end",
    "time_out_of_range",
    "unknown_customers",
    "unknown_kind",
    "unreadable_values",
    "wrong_delimiter",
]
"""Each code is explained in `docs/findings.md`."""

SHOWN_ROWS = 3


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding of the data check.

    Attributes:
        severity: `error` closes the gate of `churn check`; `warning` changes what is learnt; `info` is good to know.
        code: what was found; see `docs/findings.md`.
        table: the table it was found in.
        message: one sentence for people, without any cell's content.
        column: the column it concerns, if one.
        count: how many rows (or customers) it concerns.
        rows: the first three data rows of the source it concerns, counted from 1 without the header.
        fix: what to do about it, one sentence.
    """

    severity: Severity
    code: Code
    table: str
    message: str
    column: str | None = None
    count: int = 0
    rows: tuple[int, ...] = ()
    fix: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns the finding as plain values, for JSON."""
        return {**asdict(self), "rows": list(self.rows)}

    def __str__(self) -> str:
        place = f"{self.table}.{self.column}" if self.column else self.table
        where = f" (rows {', '.join(map(str, self.rows))}{', ...' if self.count > len(self.rows) else ''})"
        return f"{place}: {self.message}{where if self.rows else ''}{' ' + self.fix if self.fix else ''}"


def first_rows(numbers: npt.NDArray[np.int64]) -> tuple[int, ...]:
    """Returns the three lowest of some row numbers.

    >>> first_rows(np.array([9, 2, 7, 4]))
    (2, 4, 7)
    """
    return tuple(np.sort(numbers)[:SHOWN_ROWS].tolist())


def plural(count: int, noun: str) -> str:
    """Returns a count with its noun.

    >>> plural(1, "row"), plural(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
