"""Signal worker: one contestant in a process of its own; prints what it took and writes what it answered.

It is run by `signal_race.py`. Imports, compiling and a first run on a little data come before the clock starts, for
everyone alike; reading the tables comes after.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to compute the signals.

    Attributes:
        kind: `ours`, `pandas`, `sql` (Polars or DuckDB) or `bound` (answers nothing).
        title: for the table of results.
        module: where it is written.
        function: `(folder, rows, recipes)` to a frame or an Arrow table.
        most_transactions: above so many it isn't run: it would need too much memory or time.
        is_quick: whether a run of a minute has time for it.
    """

    kind: str
    title: str
    module: str
    function: str
    most_transactions: int = 20_000_000
    is_quick: bool = False


CONTESTANTS: dict[str, Contestant] = {
    "ours": Contestant("ours", "churn, one bucket", "signal_ours", "ours", is_quick=True),
    "bound_duckdb": Contestant("bound", "bound: DuckDB", "signal_duckdb", "bound", is_quick=True),
    "bound_polars": Contestant("bound", "bound: Polars", "signal_polars", "bound", is_quick=True),
    "polars_periods": Contestant("sql", "Polars, tiles of periods", "signal_polars", "tiles_of_periods", is_quick=True),
    "polars_days": Contestant("sql", "Polars, tiles of days", "signal_polars", "tiles_of_days"),
    "polars_scan": Contestant("sql", "Polars, scan per cutoff", "signal_polars", "scan_per_cutoff"),
    "duckdb_periods": Contestant("sql", "DuckDB, tiles of periods", "signal_duckdb", "tiles_of_periods", is_quick=True),
    "duckdb_days": Contestant("sql", "DuckDB, tiles of days", "signal_duckdb", "tiles_of_days"),
    "duckdb_scan": Contestant("sql", "DuckDB, scan per cutoff", "signal_duckdb", "scan_per_cutoff", 2_000_000),
    "duckdb_join": Contestant("sql", "DuckDB, range join", "signal_duckdb", "range_join", 1_000_000),
    "pandas": Contestant(
        "pandas", "pandas, group-by per cutoff", "signal_pandas", "group_by_per_cutoff", is_quick=True
    ),
}
"""By name; the way of ours on Spark joins here when it is measured as a tree of processes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one contestant and returns the exit code."""
    given = _arguments(arguments)
    import pyarrow as pa
    import pyarrow.parquet as pq
    from signal_answers import write
    from signal_data import THREADS, rows_file
    from signal_recipes import compared

    pa.set_cpu_count(THREADS)
    contestant = CONTESTANTS[given.contestant]
    run = getattr(importlib.import_module(contestant.module), contestant.function)
    run(given.warm, pq.read_table(rows_file(given.warm, given.cutoffs)), compared(given.warm))
    rows, recipes = pq.read_table(rows_file(given.data, given.cutoffs)), compared(given.data)
    answer, took = timed(lambda: run(given.data, rows, recipes))
    if given.answer is not None and contestant.kind != "bound":
        write(given.answer, answer, rows, recipes)
    print(json.dumps(took))
    return 0


def timed(run: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Returns what `run` returns and what it took; memory is the most that the process has held since it began."""
    gc.collect()
    cpu, clock = _cpu_seconds(), time.monotonic()
    answer = run()
    seconds, cpu_seconds = time.monotonic() - clock, _cpu_seconds() - cpu
    return answer, {"cpu_seconds": cpu_seconds, "seconds": seconds, "peak_bytes": _peak_bytes()}


def _cpu_seconds() -> float:
    parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in parts)


def _peak_bytes() -> int:
    """The larger of this process and its largest child. Where there is a /proc it is asked: `ru_maxrss` also holds
    what the parent had when it began this process."""
    unit = 1 if sys.platform == "darwin" else 1024
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    status = Path("/proc/self/status")
    if not status.is_file():
        return max(children, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
    told = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
    return max(children, int(told["VmHWM"].split()[0]) * 1024)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="One contestant of the benchmark of signals.")
    parser.add_argument("contestant", choices=CONTESTANTS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--warm", type=Path, required=True, help="a little data for the first run")
    parser.add_argument("--cutoffs", type=int, required=True)
    parser.add_argument("--answer", type=Path)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # churn needn't be installed
    sys.exit(main())
