"""Judging: what the contestants' predictions come to, every figure beside its target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from arenas import Arena
from contestants import OPERATIONS, OURS, PEERS, TITLES, Contest
from figures import Check, Part, Table, interval, number

from churn.models.intervals import Bootstrap, Interval, bootstrap
from churn.timeline.cutoffs import Cutoff

METRICS = {
    "auroc": "AUROC", "average_precision": "AP", "lift_at_10": "lift@10 %", "brier": "Brier", "log_loss": "log loss",
}  # fmt: skip
LOWER_IS_BETTER = ("brier", "log_loss")
DECIDING = ("auroc", "average_precision", "lift_at_10", "brier")
NEVER_BELOW = ("auroc", "brier")
MOST_MISCALIBRATED = 0.01
SLOPES = (0.9, 1.1)
DRAWS = 500
SEED = 7
HEADER = ("model", *METRICS.values(), "ECE", "of a perfect model", "slope")


def judged(arena: Arena, contest: Contest, tests: Sequence[Cutoff]) -> Part:
    """Returns the tables of an arena: everyone's figures, ours minus each peer's, and the calibration by cutoff."""
    found = bootstrap(
        contest.rows["customer"].to_numpy(), cutoffs=contest.rows["at"].to_numpy(),
        y=contest.rows["has_left"].to_numpy(np.float64), predictions=contest.p, ranks=contest.ranks,
        cutoff_names=[test.label for test in tests], reference=OURS, draws=DRAWS, seed=SEED,
    )  # fmt: skip
    present = [name for name in TITLES if name in contest.p]
    checks = [*_reached(arena, found), *_against_best(arena, found), *_calibrated(found)]
    if OPERATIONS in contest.p:
        adds = interval(dict(found.differences[OPERATIONS]["auroc"]), is_difference=True)
        checks.append(Check("feedback and incidents add to operations alone, AUROC", adds, "none"))
    ours = found.metrics[OURS]
    return Part(
        arena.name, arena.title, checks, HEADER, [_row(name, found) for name in present],
        figures={title: number(ours[metric]["mean"]) for metric, title in METRICS.items() if metric in DECIDING},
        more=[
            Table(
                "Ours minus each, mean of the cutoffs, with its 95 % interval (customers drawn jointly); "
                "for Brier and log loss below 0 is better:",
                ("model", *METRICS.values()),
                [_differences(name, found) for name in present if name != OURS],
            ),
            Table("Ours by cutoff:", ("cutoff", "customers", "leave", "mean p", "p - leave", "AUROC", "Brier"),
                  _by_cutoff(contest, found, tests)),
        ],
    )  # fmt: skip


def _reached(arena: Arena, found: Bootstrap) -> list[Check]:
    """The figures that ours must reach."""
    checks = []
    for metric, target in arena.targets.items():
        told, is_lower = found.metrics[OURS][metric], metric in LOWER_IS_BETTER
        value = told["mean"] if told["mean"] is not None else np.nan
        wanted = f"{'at most' if is_lower else 'at least'} {target:.{_decimals(metric)}f}"
        is_met = value <= target if is_lower else value >= target
        checks.append(Check(f"{METRICS[metric]} of ours", _shown(told, metric), wanted, bool(is_met)))
    return checks


def _against_best(arena: Arena, found: Bootstrap) -> list[Check]:
    """Ours minus the best peer of each figure: beyond chance where the arena asks for it, else not below it."""
    checks = []
    for metric in DECIDING:
        is_lower = metric in LOWER_IS_BETTER
        best = _best_peer(metric, found)
        told = found.differences[best][metric]
        mean, low, high = (told[key] if told[key] is not None else np.nan for key in ("mean", "low", "high"))
        if arena.must_lead:
            target, is_met = f"interval {'below' if is_lower else 'above'} 0", bool(high < 0 if is_lower else low > 0)
        elif metric in NEVER_BELOW:
            target, is_met = f"{'at most' if is_lower else 'at least'} 0", bool(mean <= 0 if is_lower else mean >= 0)
        else:
            target, is_met = "none", None
        what = f"{METRICS[metric]}, ours minus the best peer's ({_plain(best)}, {_figure(best, metric, found)})"
        checks.append(Check(what, interval(dict(told), is_difference=True), target, is_met))
    return checks


def _calibrated(found: Bootstrap) -> list[Check]:
    """How far the probabilities can be believed, over all cutoffs."""
    ours = found.metrics[OURS]
    error, perfect, slope = (ours[name]["mean"] or np.nan for name in ("ece", "ece_perfect", "calibration_slope"))
    return [
        Check("ECE of ours over a perfect model's, all cutoffs pooled", f"{error:.3f} over {perfect:.3f}",
              f"at most {MOST_MISCALIBRATED} more", bool(error - perfect <= MOST_MISCALIBRATED)),
        Check("calibration slope of ours, all cutoffs pooled", _shown(ours["calibration_slope"], "slope"),
              f"{SLOPES[0]} to {SLOPES[1]}", bool(SLOPES[0] <= slope <= SLOPES[1])),
    ]  # fmt: skip


def _best_peer(metric: str, found: Bootstrap) -> str:
    sign = -1 if metric in LOWER_IS_BETTER else 1
    known = [name for name in PEERS if name in found.metrics and found.metrics[name][metric]["mean"] is not None]
    return max(known, key=lambda name: sign * (found.metrics[name][metric]["mean"] or 0.0))


def _row(name: str, found: Bootstrap) -> tuple[str, ...]:
    told = found.metrics[name]
    figures = [_shown(told[metric], metric) if metric == "auroc" else _figure(name, metric, found)
               for metric in METRICS]  # fmt: skip
    calibrated = [number(told[key]["mean"]) for key in ("ece", "ece_perfect", "calibration_slope")]
    if name == "base_rate":
        calibrated[-1] = "-"  # one probability a cutoff has no slope
    return (TITLES[name], *figures, *calibrated)


def _differences(name: str, found: Bootstrap) -> tuple[str, ...]:
    told = found.differences[name]
    return (TITLES[name], *(interval(dict(told[metric]), is_difference=True) for metric in METRICS))


def _by_cutoff(contest: Contest, found: Bootstrap, tests: Sequence[Cutoff]) -> list[tuple[str, ...]]:
    rows = []
    ours = found.metrics[OURS]
    for test in tests:
        here = (contest.rows["at"] == test.at).to_numpy()
        left = contest.rows["has_left"].to_numpy(np.float64)[here]
        p = contest.p[OURS][here]
        figures = [number(ours[metric]["by_cutoff"][test.label]) for metric in ("auroc", "brier")]
        shares = (number(left.mean()), number(p.mean()), f"{p.mean() - left.mean():+.3f}")
        rows.append((test.label, f"{len(left):,}", *shares, *figures))
    return rows


def _figure(name: str, metric: str, found: Bootstrap) -> str:
    return number(found.metrics[name][metric]["mean"], _decimals(metric))


def _shown(told: Interval, metric: str) -> str:
    return interval(dict(told)) if told["low"] is not None else number(told["mean"], _decimals(metric))


def _plain(name: str) -> str:
    return TITLES[name].strip("*")


def _decimals(metric: str) -> int:
    return 2 if metric == "lift_at_10" else 3
