"""The benchmark that holds the figures: two protocols on real data and two simulated companies, each beside its target.

    python benchmarks/protocols.py [--quick] [--json] [--data DIR] [--write docs/results.md --date YYYY-MM-DD]

Exit codes: 0 every measured figure meets its target; 1 one falls short; 2 the benchmark cannot be run so. A full run
uses the test cutoffs: once per frozen version, and logged (benchmarks/README.md).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from figures import Check, Part, Results, interval, number, table
from measuring import DATA_VARIABLE, ROOT, CommandFailed, Measured, populations, run_churn
from page import LOG_HEADER, day, earlier_runs, log_row, write_page
from published import ORII, PROTOCOLS, SOURCE, Protocol

SIMPLE_RULES = ("mbg_nbd", "rfm_logistic", "recency", "own_gap", "halved_window", "base_rate")
SILENT_MODELS = ("model_silent", "p_leave_alone", "p_leave_x_share", "silence_rule")
MOST_MEMORY = 2 * 1024**3
MOST_SECONDS = 240.0
COMMAND = "python benchmarks/protocols.py --version VERSION --date YYYY-MM-DD --write docs/results.md"
SEED = 7
FULL_CUSTOMERS, FULL_MONTHS = 6_000, 24
QUICK_CUSTOMERS, QUICK_MONTHS = 600, 15
HEADER = ("model", "AUROC", "AP", "lift@10 %", "Brier", "model minus it, AUROC", "from")
FALLS_SHORT, UNUSABLE = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark and returns its exit code."""
    given = _arguments(arguments)
    try:
        if given.write is not None:
            earlier_runs(given.write)  # a page that is not ours is refused now, not after minutes
        results = quick(given.data) if given.quick else full(given.data)
        if given.write is not None:
            write_page(given.write, results, block="protocols", command=COMMAND, version=given.version, date=given.date)
    except (CommandFailed, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return UNUSABLE
    print(json.dumps(results.to_dict(), ensure_ascii=False) if given.json else results.to_text())
    if not given.quick and given.write is None and not given.json:
        row = log_row(results, version=given.version, date=given.date or "(today)")
        print(f"\nNot logged; --write would have added:\n\n{table(LOG_HEADER, [row])}")
    return FALLS_SHORT if results.short else 0


def full(data: Path) -> Results:
    """Returns everything: both protocols where their data is, and both simulated companies."""
    parts: list[Part] = []
    skipped: list[str] = []
    for protocol in PROTOCOLS:
        if _is_there(protocol, data, skipped):
            parts.append(protocol_part(protocol, _train_example(protocol, data)))
    parts.append(silence_part(_train_simulated("retail", FULL_CUSTOMERS, FULL_MONTHS)))
    parts.append(no_signal_part(_train_simulated("no_signal", FULL_CUSTOMERS, FULL_MONTHS)))
    return Results(parts, skipped)


def quick(data: Path) -> Results:
    """Returns what a minute allows: the populations of both protocols, and a small simulated company."""
    parts: list[Part] = []
    skipped = [
        "training on both protocols, and with it every figure on the test cutoffs (--quick)",
        f"the company without signal, and {FULL_CUSTOMERS:,} customers rather than {QUICK_CUSTOMERS:,} (--quick)",
    ]
    for protocol in PROTOCOLS:
        if _is_there(protocol, data, skipped):
            _progress(f"{protocol.name}: population")
            found = populations(ROOT / "examples" / protocol.example, data=data)
            parts.append(Part(protocol.name, protocol.title, population_checks(protocol, found)))
    parts.append(silence_part(_train_simulated("retail", QUICK_CUSTOMERS, QUICK_MONTHS), is_small=True))
    return Results(parts, skipped)


def protocol_part(protocol: Protocol, measured: Measured) -> Part:
    """Returns a protocol's figures beside their targets, its baselines, and what was measured elsewhere."""
    result = measured.result
    found = {label: (told["eligible"], told["leave_rate"]) for label, told in result["population"].items()}
    checks = population_checks(protocol, found)
    checks += _orii_checks(result) if protocol.name == ORII.name else _olist_checks(result)
    best = max(protocol.elsewhere, key=lambda name: protocol.elsewhere[name].auroc)
    auroc, elsewhere = result["metrics"]["model"]["auroc"]["mean"], protocol.elsewhere[best]
    checks.append(
        Check("AUROC beside the best elsewhere", number(auroc), f"{number(elsewhere.auroc)} ({best}), to compare")
    )
    checks += cost_checks(measured, is_judged=protocol.name == ORII.name)
    brier = result["metrics"]["model"]["brier"]["mean"]
    notes = [f"{result['verdict']['sentence']}", f'"elsewhere": {SOURCE}.', _seconds_note(measured)]
    figures = {"AUROC": number(auroc), "Brier": number(brier)}
    return Part(protocol.name, protocol.title, checks, HEADER, _protocol_rows(protocol, result), notes, figures)


def population_checks(protocol: Protocol, found: dict[str, tuple[int, float]]) -> list[Check]:
    """Returns the checks that the population is the protocol's, to the last digit given."""
    digits = protocol.decimals
    ours = [found.get(label, (0, 0.0)) for label in protocol.populations]
    wanted = list(protocol.populations.values())
    is_same = list(found) == list(protocol.populations)
    sizes, targets = ([f"{size:,}" for size, _ in side] for side in (ours, wanted))
    rates, rate_targets = ([f"{rate:.{digits}f}" for _, rate in side] for side in (ours, wanted))
    return [
        _same(f"customers at {', '.join(protocol.populations)}", sizes, targets, is_same),
        _same("share of them that leaves", rates, rate_targets, is_same),
    ]


def cost_checks(measured: Measured, *, is_judged: bool) -> list[Check]:
    """Returns memory and time of the training; only the larger protocol has targets for them."""
    memory, seconds = measured.peak_bytes / 1024**3, measured.seconds
    return [
        Check("peak memory of churn train", f"{memory:.2f} GiB", "under 2 GiB" if is_judged else "none",
              measured.peak_bytes < MOST_MEMORY if is_judged else None),
        Check("churn train with backtest", f"{seconds:.0f} s ({measured.cpu_seconds:.0f} s of processor time)",
              "under 4 minutes on 2 cores" if is_judged else "none", seconds < MOST_SECONDS if is_judged else None),
    ]  # fmt: skip


def silence_part(measured: Measured, *, is_small: bool = False) -> Part:
    """Returns who leaves silently in a simulated company: p_silent beside p_leave, and what hearing silence adds."""
    result = measured.result
    quiet, metrics = result["ablation"].get("quiet"), result["metrics"]
    name, size = "silence", f"{next(iter(result['population'].values()))['customers']:,}"
    title = f"A simulated retailer with {size} customers: who of the quiet leaves silently"
    if quiet is None or "model_silent" not in metrics:
        return Part(name, title, [Check("silence is modelled", result["silence"]["why"] or "no", "yes", False)])
    adds = quiet["feedback_adds"]["auroc"]
    # Few customers leave an interval too wide to be judged; there it is shown only.
    checks = [
        Check("incidents, effort and silence add to operations alone, AUROC", interval(adds, is_difference=True),
              "none with so few" if is_small else "interval above 0", None if is_small else (adds["low"] or 0) > 0),
        Check("of the leavers that can be heard, had said nothing", number(result["silence"]["share"]), "none"),
        *cost_checks(measured, is_judged=False),
    ]  # fmt: skip
    rows = [_row(model, metrics[model], result["differences"].get(model)) for model in SILENT_MODELS]
    rows += [_row(f"p_silent from {family}", quiet[family], None) for family in ("operations", "feedback", "both")]
    notes = [
        "Most leavers of the quiet population leave silently, so p_silent is close to p_leave there: right, and no "
        'achievement. What hearing silence is worth shows in "both" beside "operations".',
        result["verdict"]["sentence"],
    ]
    figures = {
        "AUROC": number(metrics["model_silent"]["auroc"]["mean"]),
        "added by hearing silence": interval(adds, is_difference=True),
    }
    return Part(name, title, checks, HEADER, rows, notes, figures)


def no_signal_part(measured: Measured) -> Part:
    """Returns whether a company where nothing tells who leaves is told so."""
    verdict = measured.result["verdict"]
    said = "promoted" if verdict["is_promoted"] else verdict["sentence"].split(":")[0].lower()
    check = Check("verdict", said, "no better than the baseline", said == "no better than the baseline")
    return Part("no signal", "A simulated company where nothing tells who leaves", [check], notes=[verdict["sentence"]])


def _same(what: str, ours: list[str], wanted: list[str], is_same_cutoffs: bool) -> Check:
    return Check(what, " / ".join(ours), " / ".join(wanted), is_same_cutoffs and ours == wanted)


def _orii_checks(result: dict[str, Any]) -> list[Check]:
    metrics = result["metrics"]
    checks = []
    for metric, title, best in (("auroc", "AUROC", max), ("brier", "Brier", min)):
        rule = best(SIMPLE_RULES, key=lambda name: metrics[name][metric]["mean"])
        ours, theirs = metrics["model"][metric]["mean"], metrics[rule][metric]["mean"]
        word, is_met = ("above", ours > theirs) if best is max else ("below", ours < theirs)
        checks.append(
            Check(title, number(ours, 4), f"{word} {number(theirs, 4)} ({rule}, the best simple rule)", is_met)
        )
    return checks


def _olist_checks(result: dict[str, Any]) -> list[Check]:
    ours, recency = (result["metrics"][name]["auroc"]["mean"] for name in ("model", "recency"))
    adds, silence = result["ablation"]["eligible"]["feedback_adds"]["auroc"], result["silence"]
    is_null = not silence["is_modelled"] and "model_silent" not in result["metrics"] and bool(silence["why"])
    return [
        Check("AUROC", number(ours, 4), f"above {number(recency, 4)} (recency)", ours > recency),
        Check("reviews and late deliveries add to operations alone, AUROC", interval(adds, is_difference=True), "none"),
        Check("p_silent", f"null: {silence['why']}" if is_null else "modelled", "null, with the reason", is_null),
    ]


def _protocol_rows(protocol: Protocol, result: dict[str, Any]) -> list[tuple[str, ...]]:
    metrics, differences = result["metrics"], result["differences"]
    rows = [_row(name, metrics[name], differences.get(name)) for name in ("model", *SIMPLE_RULES)]
    for name, told in protocol.elsewhere.items():
        figures = (number(told.auroc), number(told.average_precision), number(told.lift_at_10, 2), number(told.brier))
        rows.append((name, *figures, "-", "elsewhere"))
    return rows


def _row(name: str, told: dict[str, Any], difference: dict[str, Any] | None) -> tuple[str, ...]:
    against = interval(difference["auroc"], is_difference=True) if difference else "-"
    figures = (
        number(told["average_precision"]["mean"]),
        number(told["lift_at_10"]["mean"], 2),
        number(told["brier"]["mean"]),
    )
    return (name, interval(told["auroc"]), *figures, against, "this run")


def _seconds_note(measured: Measured) -> str:
    share = measured.cpu_seconds / measured.seconds
    return (
        f"Time is of one run, start of Python included, and grows when the machine is busy; this run had {share:.1f} "
        "cores on average. Processor time is the steadier figure."
    )


def _train_example(protocol: Protocol, data: Path) -> Measured:
    """Trains in a copy of the example, so that no model and no run is left behind in the repository."""
    _progress(f"{protocol.name}: churn train")
    with tempfile.TemporaryDirectory(prefix="churn-benchmark-") as folder:
        copy = Path(folder) / protocol.example
        copy.mkdir()
        shutil.copy(ROOT / "examples" / protocol.example / "churn.toml", copy)
        arguments = ["train", "--config", str(copy / "churn.toml")]
        return run_churn(arguments, environment={DATA_VARIABLE: str(data.resolve())})


def _train_simulated(regime: str, customers: int, months: int) -> Measured:
    _progress(f"{regime}: churn simulate and train, {customers:,} customers")
    with tempfile.TemporaryDirectory(prefix="churn-benchmark-") as folder:
        company = Path(folder) / regime
        size = ["--customers", str(customers), "--months", str(months)]
        run_churn(["simulate", str(company), *size, "--regime", regime, "--seed", str(SEED)])
        return run_churn(["train", "--config", str(company / "churn.toml")])


def _is_there(protocol: Protocol, data: Path, skipped: list[str]) -> bool:
    if (data / protocol.data).is_dir():
        return True
    skipped.append(
        f"{protocol.name}: its data is absent, no {protocol.data}/ in the folder of --data or {DATA_VARIABLE}"
    )
    return False


def _progress(step: str) -> None:
    print(f"{step} ...", file=sys.stderr, flush=True)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The benchmark that holds the figures: each beside its target.")
    default = Path(os.environ.get(DATA_VARIABLE, ROOT.parent / "shared" / "data"))
    parser.add_argument(
        "--quick", action="store_true", help="under a minute: populations and a small simulated company"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--data", type=Path, default=default, help=f"the folder of the real data; default ${DATA_VARIABLE}"
    )
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the page of results, and log this run on it")
    parser.add_argument("--version", default=_version(), help="of the code, for the log")
    parser.add_argument("--date", type=day, help="of the run, for the log, such as 2025-03-01")
    given = parser.parse_args(arguments)
    if given.write is not None and (given.quick or given.date is None):
        parser.error("--write needs a full run and its --date: a quick one has no results to keep")
    return given


def _version() -> str:
    from churn import __version__

    return __version__


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # churn needn't be installed
    sys.exit(main())
