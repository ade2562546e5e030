"""The benchmark of scoring: what reasons, sentences and files cost beside bare prediction; memory, time, kills, bytes.

python benchmarks/scoring.py --quick
python benchmarks/scoring.py --customers 1000000 --top 100000 --data DIR
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from figures import Check, Part, Results
from scoring_kills import killed
from scoring_project import MONTHS, Shop, made_shop
from scoring_rows import Costs, costs_of

FULL, KILLS = 1_000_000, 50
QUICK, QUICK_MONTHS = 500, 12
LEFT_OUT = "memory, time by size and kills; 64 buckets are 8 (--quick)"
LEAST_ROWS = 100_000
"""Rows below which ratios are shown and not judged: what is fixed weighs too much."""
MOST_TIMES, LEAST_SHARE = 8.0, 0.9
MOST_BYTES = 2 << 30
LINEAR = 1.2
"""Seconds per customer of the whole beside those of a quarter of it."""
MANY, QUICK_MANY = 64, 8
"""Buckets that must give the same bytes as one."""


def main() -> int:
    """Runs the parts that are asked for; exit code 1 if a figure misses its target."""
    options = _options()
    customers = options.customers or (QUICK if options.quick else FULL)
    with tempfile.TemporaryDirectory() as temporary:
        home = options.data or Path(temporary)
        shop = made_shop(home, customers=customers, months=QUICK_MONTHS if options.quick else MONTHS)
        rows = options.rows or customers
        parts = [_rows_part(costs_of(shop, rows=rows), rows)]
        if not options.quick:
            parts.append(_whole_part(shop, home, customers, options.top))
        parts.append(_bytes_part(shop, many=QUICK_MANY if options.quick else MANY))
        if options.kills:
            parts.append(_kills_part(shop, options.kills))
    results = Results(parts, [LEFT_OUT] if options.quick else [])
    print(json.dumps(results.to_dict(), indent=1) if options.json else results.to_text())
    return 1 if results.short else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"under a minute: {QUICK:,} customers, without {LEFT_OUT}")
    parser.add_argument("--customers", type=int, help=f"how many the company has; default {FULL:,}")
    parser.add_argument("--rows", type=int, help="ready-made rows that are explained; default: as many as customers")
    parser.add_argument("--top", type=int, default=100_000, help="how many get reasons when the whole is scored")
    parser.add_argument(
        "--kills", type=int, help=f"random moments at which a scoring is killed; 0: leave it out; default {KILLS}"
    )
    parser.add_argument("--data", type=Path, help="a folder in which the company and its model are kept")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    options.kills = (0 if options.quick else KILLS) if options.kills is None else options.kills
    return options


def _rows_part(costs: Costs, rows: int) -> Part:
    """Ready-made signals: prediction, reasons for everybody, sentences and the file."""
    is_judged = rows >= LEAST_ROWS
    times, share = costs.whole / costs.bare, costs.bare / costs.predict
    return Part(
        "rows",
        f"{rows:,} customers with ready-made signals, median of {costs.rounds} rounds in alternation, CPU",
        [
            Check("prediction, reasons for all, file: times bare prediction by all trees", f"{times:.1f}",
                  f"at most {MOST_TIMES:g}", times <= MOST_TIMES if is_judged else None),
            Check("prediction alone, beside bare Booster.predict (1: as fast)", f"{share:.2f}",
                  f"at least {LEAST_SHARE:g}", share >= LEAST_SHARE if is_judged else None),
        ],
        ("what", "CPU us a customer"),
        [(name, f"{1e6 * seconds / rows:.1f}") for name, seconds in costs.parts.items()],
    )  # fmt: skip


def _whole_part(shop: Shop, home: Path, customers: int, top: int) -> Part:
    """The command on everybody, and on a quarter of them."""
    few = made_shop(home, customers=max(customers // 4, 1), like=shop)
    small, large = few.scored(reasons=f"top:{max(top // 4, 1)}"), shop.scored(reasons=f"top:{top}")
    each = [run.cpu_seconds / count for run, count in ((small, few.customers), (large, shop.customers))]
    growth = each[1] / each[0]
    gib = large.peak_bytes / (1 << 30)
    return Part(
        "everybody",
        f"churn score of {customers:,} customers with reasons for the top {top:,}, from files to a file",
        [
            Check("peak memory", f"{gib:.2f} GiB", "under 2 GiB", large.peak_bytes < MOST_BYTES),
            Check("CPU per customer beside that of a quarter of them", f"{growth:.2f}", f"at most {LINEAR:g}",
                  growth <= LINEAR),
        ],
        ("customers", "seconds", "CPU seconds", "peak GiB"),
        [
            (f"{count:,}", f"{run.seconds:.1f}", f"{run.cpu_seconds:.1f}", f"{run.peak_bytes / (1 << 30):.2f}")
            for count, run in ((few.customers, small), (shop.customers, large))
        ],
        [f"Of it, CPU seconds: {', '.join(f'{name} {spent:.1f}' for name, spent in shop.stages().items())}."],
    )  # fmt: skip


def _bytes_part(shop: Shop, *, many: int) -> Part:
    """The same list whatever the threads, the buckets and the order of the rows; alone as in a list."""
    tried = ({"threads": 1}, {"threads": 2}, {"buckets": 1}, {"buckets": many}, {"shuffled": True})
    expected = shop.list_bytes()
    same = sum(shop.list_bytes(**settings) == expected for settings in tried)
    alone, listed = shop.alone()
    return Part(
        "bytes",
        f"The same bytes with 1 or 2 threads, 1 or {many} buckets, shuffled rows; one customer alone as in the list",
        [
            Check("lists equal to the first", f"{same} of {len(tried)}", "all", same == len(tried)),
            Check("customers that score alone as in the list", f"{alone} of {listed}", "all", alone == listed),
        ],
    )


def _kills_part(shop: Shop, kills: int) -> Part:
    """kill -9 at random moments."""
    found = killed(shop, kills=kills)
    return Part(
        "kills",
        f"kill -9 at {kills} random moments of a scoring in 16 buckets, each followed by another run",
        [
            Check("half or other files", f"{found.broken}", "none", found.broken == 0),
            Check("results after going on, equal to one go", f"{found.same} of {kills}", "all", found.same == kills),
        ],
        notes=[f"{found.went_on} of the runs that followed found work to go on with."],
    )


if __name__ == "__main__":
    sys.exit(main())
