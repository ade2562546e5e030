"""Clocks: wall-clock times of a time zone become instants in UTC."""

from __future__ import annotations

import datetime as dt

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn.tables.contract import TIME

FIRST = int(dt.datetime(1990, 1, 1, tzinfo=dt.UTC).timestamp() * 1_000_000)
LAST = int(dt.datetime(2100, 1, 1, tzinfo=dt.UTC).timestamp() * 1_000_000)
"""Times outside [FIRST, LAST) are slips of the pen or placeholders."""

Mask = npt.NDArray[np.bool_]


def to_utc(local: pa.ChunkedArray, *, zone: str) -> tuple[pa.ChunkedArray, Mask, Mask]:
    """Returns wall-clock times of `zone` as instants, and which rows were ambiguous and which never existed.

    When clocks go back an hour happens twice: the later one is taken, so no row is seen before it happened. When
    clocks go forward an hour is skipped: a time inside it becomes the moment of the jump.
    """
    if zone == "UTC":
        nothing = np.zeros(len(local), bool)
        return local.cast(TIME), nothing, nothing
    late = pc.assume_timezone(local, zone, ambiguous="latest", nonexistent="latest")
    early = pc.assume_timezone(local, zone, ambiguous="earliest", nonexistent="latest")
    is_ambiguous = _mask(pc.not_equal(late.cast(pa.int64()), early.cast(pa.int64())))
    is_skipped = _mask(pc.not_equal(pc.local_timestamp(late), local))
    return late.cast(TIME), is_ambiguous & ~is_skipped, is_skipped


def is_out_of_range(times: pa.ChunkedArray) -> Mask:
    """Returns which times lie before 1990 or from 2100 on; nulls do not."""
    instants = times.cast(pa.int64())
    return _mask(pc.or_(pc.less(instants, FIRST), pc.greater_equal(instants, LAST)))


def _mask(values: pa.ChunkedArray) -> Mask:
    return np.asarray(pc.fill_null(values, False).to_numpy(), bool)
