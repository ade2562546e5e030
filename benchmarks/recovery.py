"""The benchmark of recovery: how much of what could be known of a simulated company's customers the package finds.

    python benchmarks/recovery.py [--quick] [--regime NAME ...] [--mechanism NAME ...] [--seeds N ...] [--customers N]
                                  [--cutoffs N] [--asked N] [--plain] [--keep DIR [--tell]] [--json]
                                  [--write docs/recovery.md --date YYYY-MM-DD]

Exit codes: 0 every measured figure meets its target; 1 one falls short; 2 the benchmark cannot be run so. The targets
are those of 50,000 customers (`--customers 50000`, hours); the default is smaller, so that a run ends.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from figures import Results
from measuring import ROOT, progress_of

sys.path.insert(0, str(ROOT))  # churn needn't be installed

from page import day
from recovery_company import Plan
from recovery_measured import measured
from recovery_page import write_recovery
from recovery_parts import parts_of

from churn import __version__
from churn.errors import ChurnError
from churn.simulation import regimes
from churn.simulation.regimes import HAZARD, MECHANISMS

CUSTOMERS, MONTHS, CUTOFFS, ASKED = 10_000, 24, 2, 1_500
PARTICLES, FUTURES = 200, 100
QUICK = {"customers": 900, "cutoffs": 1, "asked": 150, "particles": 60, "futures": 40}
SEEDS = (11,)
BOTH_MECHANISMS = ("retail",)
FALLS_SHORT, UNUSABLE = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark and returns its exit code."""
    given = _arguments(arguments)
    progress = progress_of(is_silent=given.json)
    try:
        if given.keep is not None:
            given.keep.mkdir(parents=True, exist_ok=True)
        if given.tell:
            found = kept(given.keep)
        else:
            found = [measured(plan, keep=given.keep, progress=progress) for plan in plans(given)]
        results = Results(parts_of(found), [])
        if given.write is not None:
            commands = list(dict.fromkeys(_retold(one["plan"]) for one in found))
            write_recovery(given.write, results, commands=commands, version=__version__, date=given.date)
    except (ChurnError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return UNUSABLE
    print(json.dumps(results.to_dict(), ensure_ascii=False) if given.json else results.to_text())
    return FALLS_SHORT if results.short else 0


def plans(given: argparse.Namespace) -> list[Plan]:
    """Returns the companies that are asked for, in the order of regimes."""
    size = {"customers": given.customers, "cutoffs": given.cutoffs, "asked": given.asked}
    size |= {"particles": PARTICLES, "futures": FUTURES} | (QUICK if given.quick else {})
    chosen = given.regime or (["retail"] if given.quick else list(regimes))
    return [
        Plan(regime=regime, mechanism=mechanism, seed=seed, months=MONTHS, is_varied=not given.plain, **size)
        for regime in chosen
        for mechanism in _mechanisms(regime, given)
        for seed in given.seeds
    ]


def kept(folder: Path) -> list[dict[str, Any]]:
    """Returns the figures of all companies kept in a folder, in the order of regimes.

    Raises:
        ValueError: there are none.
    """
    found = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]
    if not found:
        raise ValueError(f"no figures in {folder}: measure some with --keep {folder}")
    order = list(regimes)
    return sorted(
        found, key=lambda one: (order.index(one["plan"]["regime"]), one["plan"]["name"], one["plan"]["customers"])
    )


def _mechanisms(regime: str, given: argparse.Namespace) -> Sequence[str]:
    if given.mechanism:
        return given.mechanism
    return MECHANISMS if regime in BOTH_MECHANISMS and not given.quick else (HAZARD,)


def _retold(plan: Mapping[str, Any]) -> str:
    """The options that make the figures of a company, as they would be typed."""
    told = [f"--{name} {plan[name]}" for name in ("regime", "mechanism", "customers", "cutoffs", "asked")]
    return " ".join([*told, f"--seeds {plan['seed']}", *([] if plan["is_varied"] else ["--plain"])])


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How much of what could be known of simulated customers is found.")
    parser.add_argument("--quick", action="store_true", help="about a minute: one small retailer, nothing is judged")
    parser.add_argument("--regime", nargs="+", choices=sorted(regimes), help="default: all")
    parser.add_argument("--mechanism", nargs="+", choices=MECHANISMS, help="default: hazard, of retail both")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), help="a company each")
    parser.add_argument("--customers", type=int, default=CUSTOMERS, help=f"of each company; default {CUSTOMERS:,}")
    parser.add_argument("--asked", type=int, default=ASKED, help="customers per cutoff put to oracle and ceiling")
    parser.add_argument("--cutoffs", type=int, default=CUTOFFS, help=f"test cutoffs, 60 days apart; default {CUTOFFS}")
    parser.add_argument("--plain", action="store_true", help="the regime's own parameters, not drawn anew by seed")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep figures there, and take those that are there")
    parser.add_argument("--tell", action="store_true", help="measure nothing: tell all that --keep DIR holds")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the page of recovery; what is by hand stays")
    parser.add_argument("--date", type=day, help="of the run, for the page, such as 2025-03-01")
    given = parser.parse_args(arguments)
    if given.tell and given.keep is None:
        parser.error("--tell needs --keep DIR: the folder with the figures")
    if given.write is not None and (given.quick or given.date is None):
        parser.error("--write needs a full run and its --date: a quick one has no results to keep")
    return given


if __name__ == "__main__":
    sys.exit(main())
