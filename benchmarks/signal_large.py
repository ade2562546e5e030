"""Signals, large: ours bucket by bucket from the sources to files of signals, in a process of its own.

What is measured is the product's path for tables larger than memory: partitioning by customer, reading each bucket and
writing its signals, under the memory limit of the configuration.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from measuring import ROOT, CommandFailed
from signal_data import ACTIVE_DAYS, DAY, THREADS, cutoffs, rows_file
from signal_ours import asked
from signal_race import Took, environment
from signal_recipes import STREAMS, compared
from signal_worker import timed

MEMORY_LIMIT = "4GB"


def run_by_bucket(data: Path, *, warm: Path, out: Path, count: int) -> Took:
    """Returns what it took to write the signals of `data` at `count` cutoffs into the folder `out`, made anew.

    Raises:
        CommandFailed: it broke down, or other rows were answered than everyone else was asked for.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    command = [sys.executable, __file__, str(data), "--warm", str(warm), "--out", str(out), "--cutoffs", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(os.environ), check=False)
    if done.returncode != 0:
        raise CommandFailed(f"bucket by bucket: exit code {done.returncode}\n{done.stderr.strip()[-2000:]}")
    answered = sum(pq.ParquetFile(path).metadata.num_rows for path in out.glob("*.parquet"))
    wanted = pq.ParquetFile(rows_file(data, count)).metadata.num_rows
    if answered != wanted:
        raise CommandFailed(f"bucket by bucket: {answered:,} rows, not {wanted:,}")
    return Took(**json.loads(done.stdout.splitlines()[-1]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs bucket by bucket, prints what it took, and returns the exit code."""
    parser = argparse.ArgumentParser(description="Our signals of one data set, bucket by bucket.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--warm", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cutoffs", type=int, required=True)
    given = parser.parse_args(arguments)
    warm = given.out / "warm"
    warm.mkdir()
    _by_bucket(given.warm, out=warm, count=given.cutoffs)
    shutil.rmtree(warm)
    _, took = timed(lambda: _by_bucket(given.data, out=given.out, count=given.cutoffs))
    print(json.dumps(took))
    return 0


def _by_bucket(data: Path, *, out: Path, count: int) -> None:
    """Writes one file of signals per bucket."""
    from churn.config import parse_config
    from churn.signals.bucket import bucket_signals
    from churn.tables.buckets import open_buckets

    tables = {name: _source(data, name) for name in dict.fromkeys(STREAMS.values())}
    config = parse_config({"tables": tables, "engine": {"memory_limit": MEMORY_LIMIT}}, directory=out)
    wanted = asked(compared(data))
    with open_buckets(config, work=out / "work", progress=lambda text: None) as buckets:
        for number in range(buckets.count):
            held = buckets.read(number)
            rows = _rows(held, count)
            signals = bucket_signals(held, rows, wanted, threads=THREADS)
            columns = {name: pa.array(signals[name].to_numpy()) for name in signals}
            answer = pa.table({**dict(zip(rows.column_names, rows.columns, strict=True)), **columns})
            pq.write_table(answer, out / f"signals_{number:04d}.parquet")


def _source(data: Path, name: str) -> dict[str, object]:
    """A table as a user would name it: the files hold cents, and a source's amounts are in the currency's own unit."""
    files = f"{data}/{name}/*.parquet"
    if name != "transactions":
        return {"path": files}
    query = "SELECT customer_id, time, amount / 100 AS amount, channel, category FROM bought"
    return {"query": query, "files": {"bought": files}}


def _rows(tables: Mapping[str, pa.Table], count: int) -> pa.Table:
    """The rows of a bucket: everyone who bought in the year before each cutoff (as in `signal_data`)."""
    bought = tables["transactions"].filter(pc.greater(tables["transactions"]["amount"], 0))
    time = bought["time"].cast(pa.int64()).to_numpy()
    parts = []
    for at in cutoffs(count):
        here = pa.array((time >= at - ACTIVE_DAYS * DAY) & (time < at))
        customers = pc.unique(bought["customer_id"].filter(here))
        parts.append(pa.table({"customer_id": customers, "at": pa.array(np.full(len(customers), at))}))
    return pa.concat_tables(parts)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # churn needn't be installed
    sys.exit(main())
