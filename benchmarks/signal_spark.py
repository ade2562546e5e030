"""Signals, on Spark: the same signals by the tasks of a local session, beside ours in one process.

One process holds the session and runs everything in it, each thing twice, so that starting Spark, its workers and their
compiled kernels is in no figure.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from measuring import CommandFailed
from signal_data import THREADS, rows_file
from signal_ours import asked, ours
from signal_race import environment
from signal_recipes import STREAMS, compared

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BUCKETS = 8
TIMES = 4
"""How many times the small data, and the buckets, the large one has."""


@dataclass(frozen=True, slots=True)
class OnSpark:
    """What was measured, seconds of wall clock, the better of two runs.

    Attributes:
        columns: how many signals there are.
        identical: how many of them are the same on Spark, to the last bit.
        local: ours in one process.
        spark: on Spark in `BUCKETS` buckets.
        small: on Spark, a fourth of the data in `BUCKETS` buckets.
        large: on Spark, all of the data in `BUCKETS * TIMES` buckets.
    """

    columns: int
    identical: int
    local: float
    spark: float
    small: float
    large: float


def run_on_spark(data: Path, *, small: Path, count: int) -> OnSpark:
    """Returns what the signals of `data` at `count` cutoffs, and those of `small`, took on Spark and here.

    Raises:
        CommandFailed: it broke down.
    """
    command = [sys.executable, __file__, str(data), "--small", str(small), "--cutoffs", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(os.environ), check=False)
    if done.returncode != 0:
        raise CommandFailed(f"on Spark: exit code {done.returncode}\n{done.stderr.strip()[-2000:]}")
    return OnSpark(**json.loads(done.stdout.splitlines()[-1]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs everything, prints what it took, and returns the exit code."""
    parser = argparse.ArgumentParser(description="Our signals on Spark and in one process.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--small", type=Path, required=True)
    parser.add_argument("--cutoffs", type=int, required=True)
    given = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    print(json.dumps(_measured(given.data, given.small, given.cutoffs)))
    return 0


def _measured(data: Path, small: Path, count: int) -> dict[str, Any]:
    import tempfile

    from churn.config import parse_config
    from churn.tables.session import spark_session

    engine = {"kind": "spark", "master": f"local[{THREADS}]", "memory_limit": "8GB"}
    with tempfile.TemporaryDirectory(prefix="churn-spark-") as home:
        config = parse_config({"tables": {"transactions": {"path": "t.csv"}}, "engine": engine}, directory=Path(home))
        with spark_session(config, folder=Path(home)) as session:
            local, answer = _twice(lambda: ours(data, pq.read_table(rows_file(data, count)), compared(data)))
            seconds = {
                "small": _twice(lambda: _discard(session, small, count, BUCKETS))[0],
                "spark": _twice(lambda: _discard(session, data, count, BUCKETS))[0],
                "large": _twice(lambda: _discard(session, data, count, BUCKETS * TIMES))[0],
            }
            same = _identical(answer, _on_spark(session, data, count, BUCKETS).toPandas(), data, count)
    return {"columns": len(compared(data)), "identical": same, "local": local, **seconds}


def _twice(run: Callable[[], Any]) -> tuple[float, Any]:
    """The shorter of two times, and the last answer."""
    times, answer = [], None
    for _ in range(2):
        started = time.monotonic()
        answer = run()
        times.append(time.monotonic() - started)
    return min(times), answer


def _on_spark(session: SparkSession, data: Path, count: int, buckets: int) -> Any:
    from churn.signals.spark import spark_signals

    files = {name: sorted((data / name).glob("*.parquet")) for name in dict.fromkeys(STREAMS.values())}
    return spark_signals(session, files, [rows_file(data, count)], asked(compared(data)), buckets=buckets)


def _discard(session: SparkSession, data: Path, count: int, buckets: int) -> None:
    _on_spark(session, data, count, buckets).write.format("noop").mode("overwrite").save()


def _identical(answer: pd.DataFrame, found: pd.DataFrame, data: Path, count: int) -> int:
    """How many columns are the same bit for bit, whatever the order of Spark's rows."""
    rows = pq.read_table(rows_file(data, count)).to_pandas()
    places = pd.MultiIndex.from_frame(found[["customer_id", "at"]]).get_indexer(pd.MultiIndex.from_frame(rows))
    if len(found) != len(rows) or (places < 0).any():
        return 0
    numbers = {name: found[name].to_numpy(np.float32)[places] for name in answer.columns}
    return sum(np.array_equal(numbers[name], answer[name].to_numpy(np.float32), equal_nan=True) for name in numbers)


if __name__ == "__main__":
    sys.exit(main())
