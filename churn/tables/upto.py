"""The past only: tables as they were known at a moment."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from churn.tables.contract import CONTRACT, TIME


def upto(tables: Mapping[str, pa.Table], at: int) -> dict[str, pa.Table]:
    """Returns the tables with only the rows visible at `at` (microseconds UTC): time < at and available_at <= at.

    Tables without a time of their own stay whole.
    """
    moment = pa.scalar(at, pa.int64()).cast(TIME)
    return {name: _visible(name, table, moment) for name, table in tables.items()}


def _visible(name: str, table: pa.Table, moment: pa.Scalar) -> pa.Table:
    time_column = CONTRACT[name].time_column
    if time_column is None:
        return table
    return table.filter(pc.and_(pc.less(table[time_column], moment), pc.less_equal(table["available_at"], moment)))
