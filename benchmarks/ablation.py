"""The benchmark of signals' worth: how much worse leaving is ranked without each group of them.

    python benchmarks/ablation.py [--quick] [--regime NAME ...] [--mechanism NAME ...] [--seeds N ...] [--customers N]
                                  [--months N] [--keep DIR [--tell]] [--write docs/signals.md] [--json]

Every company with something to be heard is trained on without one group of signals at a time. Exit codes: 0 no group
does harm beyond chance; 1 one does; 2 it cannot be run so. With `--keep` figures are kept in a folder, a company each,
and those that are there aren't measured again; `--tell` only tells them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from figures import Check, Part, Results, table
from measuring import ROOT, progress_of

sys.path.insert(0, str(ROOT))  # churn needn't be installed

from ablation_company import ablated
from recovery_company import NO_SIGNAL, Plan

from churn.errors import ChurnError
from churn.simulation import regimes
from churn.simulation.regimes import HAZARD, MECHANISMS

CUSTOMERS, MONTHS, CUTOFFS, SEEDS = 5_000, 24, 3, (31,)
FEWER_CUTOFFS = {"hotel": 1}
"""Where the horizon is long, earlier test cutoffs would leave nothing to learn from."""
QUICK_CUSTOMERS = 400
BOTH_MECHANISMS = ("retail",)
FEWEST = 3
"""Companies below which a mean has no interval worth telling."""
START, END = "<!-- made by benchmarks/ablation.py -->", "<!-- end of what benchmarks/ablation.py made -->"
FALLS_SHORT, UNUSABLE = 1, 2
Found = dict[str, Any]
Change = tuple[float, float]
WIDTH = 2 * 1.96
"""Of a 95 % interval, in standard errors."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark and returns its exit code."""
    given = _arguments(arguments)
    progress = progress_of(is_silent=given.json)
    try:
        if given.keep is not None:
            given.keep.mkdir(parents=True, exist_ok=True)
        if given.tell:
            found = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(given.keep.glob("*.json"))]
        else:
            found = [_measured(plan, given.keep, progress=progress) for plan in plans(given)]
        if not found:
            raise ValueError(f"no figures in {given.keep}: measure some with --keep {given.keep}")
        results = Results([part_of(found)], [])
        if given.write is not None:
            write_block(given.write, results)
    except (ChurnError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return UNUSABLE
    print(json.dumps(results.to_dict(), ensure_ascii=False) if given.json else results.to_text())
    return FALLS_SHORT if results.short else 0


def plans(given: argparse.Namespace) -> list[Plan]:
    """Returns the companies that are asked for, seed by seed in the order of regimes."""
    chosen = given.regime or (["retail"] if given.quick else [name for name in regimes if name not in NO_SIGNAL])
    return [
        Plan(
            regime=regime, mechanism=mechanism, seed=seed, customers=given.customers, months=given.months,
            is_varied=False, cutoffs=FEWER_CUTOFFS.get(regime, CUTOFFS), asked=0, particles=0, futures=0,
        )
        for seed in given.seeds
        for regime in chosen
        for mechanism in given.mechanism or (MECHANISMS if regime in BOTH_MECHANISMS and not given.quick else (HAZARD,))
    ]  # fmt: skip


def part_of(found: Sequence[Found]) -> Part:
    """Returns what each group is worth, the mean of the companies; a group does harm if without it all is better."""
    groups = list(dict.fromkeys(group for one in found for group in one["sizes"]))
    harmful = [
        f"{group} ({outcome})"
        for group in groups
        for outcome in ("leave", "silent")
        if len(told := changes(found, group, outcome)) >= FEWEST and pooled(told)[1] > 0
    ]
    companies = ", ".join(dict.fromkeys(one["plan"]["name"] for one in found))
    size, months = found[0]["plan"]["customers"], found[0]["plan"]["months"]
    return Part(
        "what each group of signals is worth",
        "Change of the AUROC of p_leave (all eligible) and of p_silent (the quiet) when a group is left out: the "
        f"weighted mean of {len(found)} simulated companies of {size:,} customers over {months} months, 95 %. Below 0: "
        "it earns its place",
        [Check("groups without which leaving is ranked better beyond chance", ", ".join(harmful) or "none", "none",
               not harmful if len(found) >= FEWEST else None)],
        ("left out", "features", "companies", "p_leave", "p_silent", "most in"),
        [_row(found, group) for group in groups],
        [f"Companies: {companies}."],
    )  # fmt: skip


def changes(found: Sequence[Found], group: str, outcome: str) -> list[Change]:
    """Returns by how much the AUROC changes without a group in each company that uses it, and its standard error.

    Where no customer's place changes, the group told nothing to learn from (its window reaches back before the tables
    begin): that says nothing of its worth.
    """
    told = [one[outcome]["changes"][group] for one in found if group in one.get(outcome, {}).get("changes", {})]
    return [
        (change["mean"], (change["high"] - change["low"]) / WIDTH)
        for change in told
        if change["mean"] is not None and change["low"] is not None and change["low"] < change["high"]
    ]


def _row(found: Sequence[Found], group: str) -> tuple[str, ...]:
    having = [one for one in found if group in one["sizes"]]
    sizes = sorted({one["sizes"][group] for one in having})
    most = min(having, key=lambda one: one["leave"]["changes"][group]["mean"])
    shown = f"{most['plan']['regime']} {most['leave']['changes'][group]['mean']:+.4f}"
    told = {outcome: changes(found, group, outcome) for outcome in ("leave", "silent")}
    return (
        group, "-".join(dict.fromkeys((f"{sizes[0]}", f"{sizes[-1]}"))), f"{len(told['leave'])}",
        *(_mean(one) for one in told.values()), shown,
    )  # fmt: skip


def _mean(told: Sequence[Change]) -> str:
    if len(told) < FEWEST:
        return f"{statistics.mean(change for change, _ in told):+.4f}" if told else "-"
    mean, low, high = pooled(told)
    return f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"


def pooled(told: Sequence[Change]) -> tuple[float, float, float]:
    """Returns the mean over companies and its 95 % interval.

    A company counts by the inverse of its variance over customers: one with few leavers says little. Where the
    companies differ by more than that explains (another training, another trade), the interval is as much wider.
    Source: Birge (1932), "The calculation of errors by the method of least squares".

    >>> pooled([(0.01, 0.001), (0.01, 0.001), (0.01, 0.001), (0.01, 0.001)])
    (0.01, 0.00902, 0.01098)
    """
    weights = [error**-2 for _, error in told]
    mean = sum(weight * change for weight, (change, _) in zip(weights, told, strict=True)) / sum(weights)
    excess = sum(((change - mean) / error) ** 2 for change, error in told) / max(len(told) - 1, 1)
    half = WIDTH / 2 * (max(excess, 1.0) / sum(weights)) ** 0.5
    return mean, mean - half, mean + half


def write_block(page: Path, results: Results) -> None:
    """Writes the table between its marks on a page; everything else stays.

    Raises:
        ValueError: the page has no marks.
    """
    text = page.read_text(encoding="utf-8")
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"{page} has no lines {START} and {END} to write between")
    (part,) = results.parts
    made = "\n\n".join([START, f"{part.title}.", table(part.header, part.rows), *part.notes, END])
    draft = page.with_name(f".{page.name}.draft")
    draft.write_text(before + made + after, encoding="utf-8")
    draft.replace(page)


def _measured(plan: Plan, keep: Path | None, *, progress: Any) -> Found:
    file = None if keep is None else keep / f"{plan.name.replace(' ', '-')}-{plan.customers}-{plan.months}.json"
    if file is not None and file.is_file():
        kept: Found = json.loads(file.read_text(encoding="utf-8"))
        return kept
    found = ablated(plan, progress=progress)
    if file is not None:
        file.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return found


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small retailer; nothing is judged")
    parser.add_argument("--regime", nargs="+", choices=sorted(regimes), help="default: all that have a signal")
    parser.add_argument("--mechanism", nargs="+", choices=MECHANISMS, help="default: hazard, of retail both")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), help="a company of each regime each")
    parser.add_argument("--customers", type=int, help=f"of each company; default {CUSTOMERS:,}")
    parser.add_argument("--months", type=int, default=MONTHS, help=f"of each company's history; default {MONTHS}")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep figures there, and take those that are there")
    parser.add_argument("--tell", action="store_true", help="measure nothing: tell all that --keep DIR holds")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the table between its marks on a page")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args(arguments)
    given.customers = given.customers or (QUICK_CUSTOMERS if given.quick else CUSTOMERS)
    if given.tell and given.keep is None:
        parser.error("--tell needs --keep DIR: the folder with the figures")
    return given


if __name__ == "__main__":
    sys.exit(main())
