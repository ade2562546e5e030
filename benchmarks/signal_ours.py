"""Signals, ours: what the product computes, from the canonical Parquet files to the frame that it delivers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from signal_data import THREADS
from signal_recipes import HORIZON_DAYS, STREAMS

from churn.signals import Recipe
from churn.signals.bucket import Asked, bucket_signals
from churn.timeline.rhythm import Prior

LABELS = ("channel", "category", "topic", "kind")


def ours(folder: Path, rows: pa.Table, recipes: Sequence[Recipe]) -> pd.DataFrame:
    """Returns one row per row of `rows` (customer_id, at), in their order, and one float32 column per recipe."""
    tables = {name: _read(folder / name) for name in dict.fromkeys(STREAMS.values())}
    return bucket_signals(tables, rows, asked(recipes), threads=THREADS)


def asked(recipes: Sequence[Recipe]) -> Asked:
    """Returns what is asked of every bucket: these recipes, of tables that cover all time."""
    prior = Prior(1.0, 30.0)
    return Asked(tuple(recipes), prior, HORIZON_DAYS, 0, timezone="UTC", activity="purchases", covers_from={})


def _read(folder: Path) -> pa.Table:
    """A canonical table, labels read as codes: no row is known later than it happened."""
    names = pq.read_schema(next(folder.glob("*.parquet"))).names
    table = pq.read_table(folder, read_dictionary=[name for name in names if name in LABELS])
    return table.append_column("available_at", table["time"])
