"""The benchmark of signals: ours beside pandas, Polars and DuckDB, and beside one scan and one group-by per table.

    python benchmarks/signals.py [--quick] [--transactions N] [--rounds N] [--data DIR] [--large] [--spark] [--json]

Exit codes: 0 every measured figure meets its target; 1 one falls short; 2 the benchmark cannot be run so. The targets
are those of ten million transactions on two cores: of less the ratios are shown, but only agreement is judged.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from figures import Check, Part, Results, number
from measuring import ROOT, CommandFailed

if TYPE_CHECKING:
    from signal_answers import Agreement
    from signal_race import Race

FULL, QUICK, WARM, LARGE = 10_000_000, 100_000, 10_000, 100_000_000
CUTOFFS = 8
COSTED, QUICKLY_COSTED = (1, 8, 24, 52), (8, 24)
AT_MOST_BOUND, AT_MOST_PANDAS, AT_MOST_SQL, AT_MOST_24 = 3.0, 1 / 8, 1 / 4, 1.4
AT_MOST_SPARK, AT_MOST_PER_BUCKET = 3.0, 1.25
MOST_LARGE_BYTES, MOST_LARGE_TIMES = 4 * 1024**3, 11.0
HEADER = ("way", "CPU s", "x ours", "wall s", "peak GiB", "columns the same bit for bit")
COST_HEADER = ("cutoffs", "rows", "CPU s", "x 8 cutoffs", "wall s", "peak GiB")
LIBRARIES = ("numpy", "numba", "pyarrow", "pandas", "polars", "duckdb")
FALLS_SHORT, UNUSABLE = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark and returns its exit code."""
    given = _arguments(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="churn-signals-") as work:
            results = measured(given, work=Path(work))
    except (CommandFailed, ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return UNUSABLE
    print(json.dumps(results.to_dict(), ensure_ascii=False) if given.json else results.to_text())
    return FALLS_SHORT if results.short else 0


def measured(given: argparse.Namespace, *, work: Path) -> Results:
    """Returns all parts that were asked for; what is made on the way stands in `work`, or in `--data` to be kept."""
    from signal_data import Scale, make

    warm = work / "warm"
    make(warm, Scale(WARM))
    data = (given.data or work) / f"transactions_{given.transactions}"
    _progress(f"data: {given.transactions:,} transactions")
    make(data, Scale(given.transactions))
    parts = [race_part(data, given, warm=warm, work=work), cost_part(data, given, warm=warm)]
    skipped = []
    if given.quick:
        skipped.append("the slower ways, and 1 and 52 cutoffs (--quick)")
    if given.large:
        parts.append(large_part(data, given, warm=warm, work=work))
    else:
        skipped.append(f"{LARGE:,} transactions in bounded memory (--large)")
    if given.spark:
        parts.append(spark_part(data, given, work=work))
    else:
        skipped.append("Spark (--spark)")
    return Results(parts, skipped)


def race_part(data: Path, given: argparse.Namespace, *, warm: Path, work: Path) -> Part:
    """Returns everyone's cost at 8 cutoffs, the ratios beside their targets, and whether all answers agree."""
    from signal_data import SHARES, rows_file
    from signal_race import race
    from signal_recipes import compared
    from signal_worker import CONTESTANTS

    recipes = compared(data)
    names = [
        name for name, one in CONTESTANTS.items()
        if given.transactions <= one.most_transactions and (one.is_quick or not given.quick)
    ]  # fmt: skip
    done = race(
        data, names=names, warm=warm, recipes=recipes, work=work, rounds=given.rounds, cutoffs=CUTOFFS,
        progress=_progress,
    )  # fmt: skip
    sizes = ", ".join(f"{int(given.transactions * share):,} {name}" for name, share in SHARES.items())
    asked = f"{_rows_of(rows_file(data, CUTOFFS)):,} rows (customer, cutoff) of {CUTOFFS} cutoffs"
    title = f"{sizes}; {asked}; {len(recipes)} signals"
    left_out = [one.title for name, one in CONTESTANTS.items() if name not in names]
    notes = _notes(given.rounds) + ([f"Too slow for this run: {', '.join(left_out)}."] if left_out else [])
    notes += [f"{name}: {what}." for name, found in done.agreements.items() for what in found.differing]
    checks = race_checks(done, is_judged=given.transactions >= FULL)
    return Part("signals", title, checks, HEADER, _race_rows(done), notes)


def race_checks(done: Race, *, is_judged: bool) -> list[Check]:
    """Returns whether all agree, and the ratios of processor time beside their targets."""
    from signal_worker import CONTESTANTS

    agreeing = sum(not found.differing for found in done.agreements.values())
    every = len(done.agreements)
    targets = (("bound", AT_MOST_BOUND), ("pandas", AT_MOST_PANDAS), ("sql", AT_MOST_SQL))
    return [
        Check("answers that agree with ours", f"{agreeing} of {every}", "all", agreeing == every > 0),
        *(
            _ratio(f"CPU, ours to {CONTESTANTS[done.best(kind)].title}", done.ratio("ours", kind), most, is_judged)
            for kind, most in targets
        ),
    ]


def _race_rows(done: Race) -> list[tuple[str, ...]]:
    from signal_worker import CONTESTANTS

    own = done.median("ours").cpu_seconds
    rows: list[tuple[str, ...]] = []
    for name in sorted(done.rounds[0], key=lambda name: done.median(name).cpu_seconds):
        took, agreed = done.median(name), done.agreements.get(name)
        same = "-" if agreed is None else f"{agreed.identical} of {agreed.columns}"
        cost = (number(took.cpu_seconds, 2), number(took.cpu_seconds / own, 2), number(took.seconds, 2))
        rows.append((CONTESTANTS[name].title, *cost, _gibibytes(took.peak_bytes), same))
    return rows


def cost_part(data: Path, given: argparse.Namespace, *, warm: Path) -> Part:
    """Returns what more cutoffs cost us; they run in alternation, too."""
    from signal_data import rows_file
    from signal_race import Took, run

    rounds: list[dict[int, Took]] = []
    costed = QUICKLY_COSTED if given.quick else COSTED
    for turn in range(given.rounds):
        _progress(f"round {turn + 1} of {given.rounds}: {', '.join(map(str, costed))} cutoffs")
        order = costed if turn % 2 == 0 else tuple(reversed(costed))
        rounds.append({count: run("ours", data, warm=warm, cutoffs=count) for count in order})

    def ratio(count: int) -> float:
        return statistics.median(took[count].cpu_seconds / took[CUTOFFS].cpu_seconds for took in rounds)

    rows: list[tuple[str, ...]] = []
    for count in costed:
        cpu, seconds, peak = (
            statistics.median(getattr(took[count], what) for took in rounds)
            for what in ("cpu_seconds", "seconds", "peak_bytes")
        )
        told = (number(cpu, 2), number(ratio(count), 2), number(seconds, 2), _gibibytes(peak))
        rows.append((str(count), f"{_rows_of(rows_file(data, count)):,}", *told))
    check = _ratio("CPU, 24 cutoffs to 8", ratio(24), AT_MOST_24, given.transactions >= FULL)
    return Part("cutoffs", "What more cutoffs cost", [check], COST_HEADER, rows)


def large_part(data: Path, given: argparse.Namespace, *, warm: Path, work: Path) -> Part:
    """Returns memory and time of ten times the data, bucket by bucket.

    The small one runs before and after the large one, which takes minutes in which the machine's speed wanders.
    """
    from signal_data import Scale, make
    from signal_large import run_by_bucket

    large = (given.data or work) / f"transactions_{given.large_transactions}"
    _progress(f"data: {given.large_transactions:,} transactions")
    make(large, Scale(given.large_transactions), counts=(CUTOFFS,))
    out, took = work / "by_bucket", []
    for folder, size in ((data, given.transactions), (large, given.large_transactions), (data, given.transactions)):
        _progress(f"bucket by bucket: {size:,} transactions")
        took.append(run_by_bucket(folder, warm=warm, out=out, count=CUTOFFS))
    agreed = _as_in_one_piece(out, data, work)
    before, big, after = took
    is_judged = given.transactions >= FULL and given.large_transactions >= LARGE
    times, peak = big.seconds / statistics.mean([before.seconds, after.seconds]), big.peak_bytes / 1024**3
    checks = [
        Check("signals as in one bucket", f"{agreed.identical} columns identical", f"all {agreed.columns}",
              agreed.identical == agreed.columns),
        Check("peak memory of all processes together", f"{peak:.2f} GiB", f"at most {MOST_LARGE_BYTES / 1024**3:.0f}",
              big.peak_bytes <= MOST_LARGE_BYTES if is_judged else None),
        Check("time, large to small", f"{times:.2f}", f"at most {MOST_LARGE_TIMES:.0f}",
              times <= MOST_LARGE_TIMES if is_judged else None),
    ]  # fmt: skip
    header = ("transactions", "CPU s", "wall s", "peak GiB")
    rows: list[tuple[str, ...]] = [
        (told, number(each.cpu_seconds, 1), number(each.seconds, 1), _gibibytes(each.peak_bytes))
        for told, each in (
            (f"{given.transactions:,}, before", before),
            (f"{given.large_transactions:,}", big),
            (f"{given.transactions:,}, after", after),
        )
    ]
    return Part("large", "Buckets on disk: the same signals in bounded memory", checks, header, rows)


def spark_part(data: Path, given: argparse.Namespace, *, work: Path) -> Part:
    """Returns what Spark costs beside one process, and whether more buckets cost what they hold."""
    from signal_data import Scale, make
    from signal_spark import BUCKETS, TIMES, run_on_spark

    small = (given.data or work) / f"transactions_{given.transactions // TIMES}"
    make(small, Scale(given.transactions // TIMES), counts=(CUTOFFS,))
    _progress("on Spark")
    found = run_on_spark(data, small=small, count=CUTOFFS)
    overhead, flat = found.spark / found.local, found.large / TIMES / found.small
    is_judged = given.transactions >= FULL
    checks = [
        Check("signals as in one process", f"{found.identical} columns identical", f"all {found.columns}",
              found.identical == found.columns),
        _ratio("time on Spark to time in one process", overhead, AT_MOST_SPARK, is_judged),
        _ratio(f"time per bucket, {TIMES} x the data and buckets", flat, AT_MOST_PER_BUCKET, is_judged),
    ]  # fmt: skip
    rows = [
        ("one process", "1", number(found.local, 1)), ("Spark", str(BUCKETS), number(found.spark, 1)),
        ("Spark", str(BUCKETS * TIMES), number(found.large, 1)),
        (f"Spark, 1/{TIMES} of the data", str(BUCKETS), number(found.small, 1)),
    ]  # fmt: skip
    header = ("where", "buckets", "wall s")
    return Part("spark", "On Spark: the same signals from the tasks of local[2], session started", checks, header, rows)


def _as_in_one_piece(out: Path, data: Path, work: Path) -> Agreement:
    """How the signals that were written bucket by bucket compare with those of the race."""
    import pyarrow.parquet as pq
    from signal_answers import compare, write
    from signal_data import rows_file
    from signal_recipes import compared

    recipes = compared(data)
    write(work / "by_bucket.npy", pq.read_table(out), pq.read_table(rows_file(data, CUTOFFS)), recipes)
    return compare(work / "ours.npy", work / "by_bucket.npy", recipes)


def _ratio(what: str, found: float, most: float, is_judged: bool) -> Check:
    target = f"at most {most:.3g}" if most >= 1 else f"at most 1/{1 / most:.0f} = {most:.3f}"
    return Check(what, f"{found:.3f}", target, found <= most if is_judged else None)


def _gibibytes(size: float) -> str:
    return number(size / 1024**3, 2)


def _notes(rounds: int) -> list[str]:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    return [
        f"Python {platform.python_version()}, {versions}; {os.cpu_count()} cores; {rounds} round(s), medians; a ratio "
        "is the median of each round's own. CPU is user + system of a process and its children: reading the files "
        "counts, imports, compiling and a first run on a little data do not.",
        "Text ids, Parquet files and two threads for everyone. Whole numbers and cents must be the same to the last "
        "bit, quotients to the neighbouring float32.",
    ]


def _rows_of(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.ParquetFile(path).metadata.num_rows)


def _progress(step: str) -> None:
    print(f"{step} ...", file=sys.stderr, flush=True)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The benchmark of signals: each figure beside its target.")
    parser.add_argument("--quick", action="store_true", help=f"under a minute: {QUICK:,} transactions, one round")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--transactions", type=int, help=f"the size of the data; default {FULL:,}")
    parser.add_argument("--rounds", type=int, help="default 3; 1 with --quick")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep the data here, and use it again")
    parser.add_argument("--large", action="store_true", help=f"also {LARGE:,} transactions in bounded memory")
    parser.add_argument("--spark", action="store_true", help="also on Spark local[2]; it needs Java 17 or later")
    parser.add_argument("--large-transactions", type=int, default=LARGE, help="another size for --large")
    given = parser.parse_args(arguments)
    given.transactions = given.transactions or (QUICK if given.quick else FULL)
    given.rounds = given.rounds or (1 if given.quick else 3)
    if given.transactions < WARM or given.rounds < 1:
        parser.error(f"at least {WARM:,} transactions and one round")
    return given


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # churn needn't be installed
    sys.exit(main())
