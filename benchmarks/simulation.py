"""The benchmark of the simulator: what a large company costs, whether its size costs memory, and its bytes.

    python benchmarks/simulation.py [--quick] [--customers N] [--regime NAME] [--json]

Exit codes: 0 every measured figure meets its target; 1 one falls short; 2 the benchmark cannot be run so. The targets
are those of a million customers over 24 months on two cores that nobody else uses: on a busy machine look at the
processor seconds. Smaller companies are shown, and only their bytes are judged.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from figures import Check, Part, Results
from measuring import ROOT, CommandFailed, Measured, run_churn

sys.path.insert(0, str(ROOT))  # churn needn't be installed

from churn.simulation import regimes
from churn.simulation.company import simulate

FULL, QUICK, MONTHS, SEED = 1_000_000, 50_000, 24, 7
SAME_CUSTOMERS = 50_000
MOST_SECONDS, MOST_BYTES = 180.0, 6 << 30
GIB = 1 << 30
FALLS_SHORT, UNUSABLE = 1, 2


@dataclass(frozen=True, slots=True)
class Cost:
    """What a company cost.

    Attributes:
        customers: how many it has.
        run: of the command; its processor seconds are those of all processes.
        peak_bytes: the most memory that all processes held at once, looked at twenty times a second.
        rows, file_bytes: of the files it wrote.
    """

    customers: int
    run: Measured
    peak_bytes: int
    rows: int
    file_bytes: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark and returns its exit code."""
    given = _arguments(arguments)
    customers = given.customers or (QUICK if given.quick else FULL)
    try:
        parts = [size_part(_cost(customers, given.regime), _cost(max(customers // 4, 1), given.regime))]
        parts.append(bytes_part(given.regime, customers=min(customers, SAME_CUSTOMERS)))
    except (CommandFailed, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return UNUSABLE
    results = Results(parts, [])
    print(json.dumps(results.to_dict(), ensure_ascii=False) if given.json else results.to_text())
    return FALLS_SHORT if results.short else 0


def size_part(large: Cost, small: Cost) -> Part:
    """Returns what a company and a quarter of it cost, the large one beside its targets if it is a million."""
    is_judged = large.customers >= FULL
    gib = large.peak_bytes / GIB
    return Part(
        "size",
        f"churn simulate of {large.customers:,} customers over {MONTHS} months, and of a quarter of them",
        [
            Check("time", f"{large.run.seconds:.0f} s", f"under {MOST_SECONDS:.0f} s",
                  large.run.seconds < MOST_SECONDS if is_judged else None),
            Check("memory of all processes together", f"{gib:.2f} GiB", f"under {MOST_BYTES // GIB} GiB",
                  large.peak_bytes < MOST_BYTES if is_judged else None),
        ],
        ("customers", "seconds", "CPU seconds", "CPU seconds by cores", "peak GiB", "rows", "files, GiB"),
        [
            (f"{one.customers:,}", f"{one.run.seconds:.0f}", f"{one.run.cpu_seconds:.0f}",
             f"{one.run.cpu_seconds / (os.cpu_count() or 1):.0f}", f"{one.peak_bytes / GIB:.2f}", f"{one.rows:,}",
             f"{one.file_bytes / GIB:.2f}")
            for one in (small, large)
        ],
        ["CPU seconds by cores are the seconds it takes where every core is free."],
    )  # fmt: skip


def bytes_part(regime: str, *, customers: int) -> Part:
    """Returns whether one process and two write the same files."""
    with tempfile.TemporaryDirectory(prefix="churn-simulation-") as folder:
        found = [_digest(Path(folder) / str(workers), regime, customers, workers=workers) for workers in (1, 2)]
    is_same = found[0] == found[1]
    check = Check("files the same, byte for byte", "yes" if is_same else "no", "yes", is_same)
    return Part("bytes", f"{customers:,} customers simulated by one process and by two", [check])


def _cost(customers: int, regime: str) -> Cost:
    print(f"simulating {customers:,} customers", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="churn-simulation-") as folder:
        asked = ["simulate", folder, "--customers", str(customers), "--months", str(MONTHS)]
        with _Watch() as watch:
            run = run_churn([*asked, "--regime", regime, "--seed", str(SEED)])
        files = sorted(Path(folder).rglob("*.parquet"))
        rows, size = sum(_rows(file) for file in files), sum(file.stat().st_size for file in files)
    return Cost(customers, run, watch.peak_bytes, rows, size)


class _Watch:
    """Watches how much memory all processes below this one hold together; needs /proc, as Linux has it."""

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Watch:
        if not Path("/proc/self/stat").is_file():
            raise OSError("memory of several processes is read from /proc, which this system doesn't have")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(0.05):
            self.peak_bytes = max(self.peak_bytes, _held_below(os.getpid()))


def _held_below(root: int) -> int:
    """Bytes of memory that all processes below `root` hold; what two of them share counts twice."""
    children: dict[int, list[tuple[int, int]]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        children.setdefault(int(fields[1]), []).append((int(stat.parent.name), int(fields[21])))
    asked, pages = [root], 0
    while asked:
        below = children.get(asked.pop(), [])
        asked += [pid for pid, _ in below]
        pages += sum(held for _, held in below)
    return pages * os.sysconf("SC_PAGE_SIZE")


def _rows(file: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(file).num_rows)


def _digest(folder: Path, regime: str, customers: int, *, workers: int) -> dict[str, str]:
    paths = simulate(folder, customers=customers, months=6, regime=regime, seed=SEED, workers=workers)
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items()}


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} customers instead of {FULL:,}")
    parser.add_argument("--customers", type=int, help=f"how many the company has; default {FULL:,}")
    parser.add_argument("--regime", default="retail", choices=sorted(regimes), help="default: retail")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
