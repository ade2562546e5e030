"""The benchmark of accuracy: ours beside its peers, on two protocols of real data and on simulated companies.

    python benchmarks/accuracy.py [--quick] [--json] [--cutoffs development|test] [--data DIR] [--part NAME ...]
    python benchmarks/accuracy.py --transactions FILE [--horizon DAYS] [--population active:180]
    python benchmarks/accuracy.py --cutoffs test --keep DIR --write docs/results.md --date YYYY-MM-DD

Exit codes: 0 every figure meets its target; 1 one falls short; 2 the benchmark cannot be run so. The test cutoffs are
for a frozen version, once, and logged (benchmarks/README.md); without `--cutoffs test` they aren't looked at.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from figures import Part, Results
from measuring import DATA_VARIABLE, ROOT

sys.path.insert(0, str(ROOT))  # churn needn't be installed

from arenas import CDNOW, Arena, cdnow_arena, cdnow_file, file_arena, protocol_arena, simulated_arena
from btyd import HOW_TO_INSTALL
from contestants import OPERATIONS, contest
from judging import judged
from kept import kept
from page import day, earlier_runs, write_page
from published import PROTOCOLS

from churn import __version__
from churn.errors import ChurnError
from churn.jobs.learning import lesson_of
from churn.jobs.material import material_of
from churn.jobs.schedule import schedule_of

COMMAND = "python benchmarks/accuracy.py --cutoffs test --write docs/results.md --date YYYY-MM-DD"
FALLS_SHORT, UNUSABLE = 1, 2
REGIMES = {"retail": "A simulated retailer", "drifting": "A simulated retailer whose customers talk less every year"}
CUSTOMERS, MONTHS = 2_500, 24
QUICK_CUSTOMERS, QUICK_MONTHS = 600, 15
SIMULATED = "simulated"
PARTS = (*(protocol.name for protocol in PROTOCOLS), CDNOW, SIMULATED)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark and returns its exit code."""
    given = _arguments(arguments)
    try:
        if given.write is not None:
            earlier_runs(given.write)  # a page that is not ours is refused now, not after minutes
        results = measured(given)
        if given.write is not None:
            write_page(given.write, results, block="accuracy", command=COMMAND, version=given.version, date=given.date)
    except (ChurnError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return UNUSABLE
    print(json.dumps(results.to_dict(), ensure_ascii=False) if given.json else results.to_text())
    return FALLS_SHORT if results.short else 0


def measured(given: argparse.Namespace) -> Results:
    """Returns every arena's figures, and what was skipped and why."""
    parts: list[Part] = []
    skipped: list[str] = []
    for name, opened in _arenas(given, skipped):
        part, absent = kept(given.keep, name, of={"version": given.version}, measure=partial(_opened, opened))
        parts.append(part)
        skipped += [why for why in absent if why not in skipped]
    return Results(parts, skipped)


def _opened(opened: AbstractContextManager[Arena]) -> tuple[Part, tuple[str, ...]]:
    with opened as arena:
        return _held(arena)


def _held(arena: Arena) -> tuple[Part, tuple[str, ...]]:
    """One arena: everyone is trained and judged."""

    def progress(step: str) -> None:
        print(f"{arena.name}: {step} ...", file=sys.stderr, flush=True)

    with lesson_of(arena.config, progress=progress) as lesson:
        schedule = schedule_of(arena.config, lesson.known)
        made = material_of(arena.config, lesson, schedule, progress=progress)
    if arena.config.horizon_days is None:
        arena = replace(arena, title=f"{arena.title}; horizon {schedule.target.horizon_days} days, as churn proposes")
    operations = [recipe.name for recipe in made.recipes if recipe.is_operational]
    has_more = len(operations) < len(made.recipes)
    found = contest(
        made.material, schedule.tests, settled=lesson.known.settled, progress=progress,
        families={OPERATIONS: operations} if arena.shows_feedback and has_more else {},
    )  # fmt: skip
    return judged(arena, found, schedule.tests), found.absent


def _arenas(given: argparse.Namespace, skipped: list[str]) -> Iterator[tuple[str, AbstractContextManager[Arena]]]:
    if given.transactions is not None:
        yield (
            given.transactions.name,
            file_arena(given.transactions, horizon_days=given.horizon, population=given.population),
        )
        return
    if given.quick:
        skipped.append("both protocols on real data, and larger simulated companies (--quick)")
        quick = simulated_arena(
            "retail", customers=QUICK_CUSTOMERS, months=QUICK_MONTHS, title="A small simulated retailer"
        )
        yield "simulated small", quick
        return
    for protocol in PROTOCOLS:
        if protocol.name not in given.part:
            continue
        if (given.data / protocol.data).is_dir():
            yield (
                f"{protocol.name} {given.cutoffs}",
                nullcontext(protocol_arena(protocol, data=given.data, cutoffs=given.cutoffs)),
            )
        else:
            skipped.append(
                f"{protocol.name}: its data is absent, no {protocol.data}/ in the folder of --data or {DATA_VARIABLE}"
            )
    if CDNOW in given.part:
        yield from _cdnow(skipped)
    for regime, title in REGIMES.items() if SIMULATED in given.part else ():
        yield f"simulated {regime}", simulated_arena(regime, customers=CUSTOMERS, months=MONTHS, title=title)


def _cdnow(skipped: list[str]) -> Iterator[tuple[str, AbstractContextManager[Arena]]]:
    path = cdnow_file()
    if path is None:
        skipped.append(f"{CDNOW}: {HOW_TO_INSTALL}, which carries its data")
    else:
        yield CDNOW, cdnow_arena(path)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The benchmark of accuracy: ours beside its peers.")
    default = Path(os.environ.get(DATA_VARIABLE, ROOT.parent / "shared" / "data"))
    parser.add_argument("--quick", action="store_true", help="under a minute: a small simulated company")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--cutoffs", choices=("development", "test"), default="development",
                        help="of the real data; the test cutoffs judge a frozen version, once")  # fmt: skip
    parser.add_argument(
        "--data", type=Path, default=default, help=f"the folder of the real data; default ${DATA_VARIABLE}"
    )
    parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS, metavar="NAME",
                        help=f"some of {', '.join(PARTS)}; default: all")  # fmt: skip
    parser.add_argument("--transactions", type=Path, metavar="FILE", help="compare on a file of your own instead: "
                        "CSV or Parquet, a row per purchase with customer, time and amount")  # fmt: skip
    parser.add_argument("--horizon", type=int, metavar="DAYS", help="of --transactions; default: proposed from it")
    parser.add_argument("--population", help="of --transactions, such as active:180; default: by each one's rhythm")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep each part's figures there, and take those that "
                        "are there: a run that was stopped goes on")  # fmt: skip
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the page of results, and log this run on it")
    parser.add_argument("--version", default=__version__, help="of the code, for the log")
    parser.add_argument("--date", type=day, help="of the run, for the log, such as 2025-03-01")
    given = parser.parse_args(arguments)
    is_whole = given.transactions is None and not given.quick and set(given.part) == set(PARTS)
    if given.write is not None and (given.cutoffs != "test" or given.date is None or not is_whole):
        parser.error("--write needs --cutoffs test, all data and the --date: other runs are no results to keep")
    if given.transactions is None and (given.horizon or given.population):
        parser.error("--horizon and --population go with --transactions")
    return given


if __name__ == "__main__":
    sys.exit(main())
