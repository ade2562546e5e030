"""A made-up result of a training run, as `churn train --json` prints it: small, and every part of it filled."""

from __future__ import annotations

from typing import Any

CUTOFFS = ("2024-05-01", "2024-06-01", "2024-07-01")
CANARY = "canary.person@example.com"
_AUROC = {
    "model": 0.80, "mbg_nbd": 0.75, "rfm_logistic": 0.74, "own_gap": 0.71, "recency": 0.70, "halved_window": 0.61,
    "base_rate": 0.50, "model_silent": 0.79, "p_leave_alone": 0.785, "p_leave_x_share": 0.785, "silence_rule": 0.58,
}  # fmt: skip
METRICS = (
    "auroc", "average_precision", "lift_at_5", "lift_at_10", "lift_at_20", "capture_at_5", "capture_at_10",
    "capture_at_20", "brier", "log_loss", "ece", "ece_perfect", "calibration_slope", "calibration_in_the_large",
)  # fmt: skip


def figure(mean: float, *, reach: float = 0.01) -> dict[str, Any]:
    """One metric: mean, interval, and a value per cutoff."""
    by_cutoff = {cutoff: mean + reach * (place - 1) / 2 for place, cutoff in enumerate(CUTOFFS)}
    return {"mean": mean, "low": mean - reach, "high": mean + reach, "by_cutoff": by_cutoff}


def made_result(*, project: str = "shop", is_promoted: bool = True) -> dict[str, Any]:
    """A result whose model ranks at AUROC 0.80 against 0.75 of the best rule."""
    metrics = {
        name: {metric: figure(auroc if metric == "auroc" else auroc / 4) for metric in METRICS}
        for name, auroc in _AUROC.items()
    }
    differences = {
        name: {metric: figure(0.80 - auroc) for metric in METRICS}
        for name, auroc in _AUROC.items()
        if not name.startswith("model")
    }
    contest = {
        name: {"auroc": figure(mean)} for name, mean in (("operations", 0.76), ("feedback", 0.70), ("both", 0.80))
    }
    contest["feedback_adds"] = {"auroc": figure(0.04)}
    return {
        "schema": 1, "run_id": None, "model_id": "0123456789abcdef", "bundle": "/somewhere/models/0123456789abcdef",
        "project": project,
        "target": {
            "activity": "purchases", "horizon_days": 28, "gap_days": 0, "population": "rhythm", "leave": "hard",
            "timezone": "UTC",
        },
        "cutoffs": list(CUTOFFS),
        "training_cutoffs": {"first": "2023-01-01", "last": "2024-07-01", "count": 40, "rows": 12_345, "every_days": 5},
        "population": {
            cutoff: {
                "customers": 2_000, "eligible": 1_500, "removed": {"one_timer": 300, "opted_out": 200},
                "leave_rate": 0.2, "leavers": 300, "quiet": 1_200, "already_vocal": 200, "unobservable": 100,
                "treated": 7,
                "silent_rate": 0.15, "silent_share": 0.9,
            }
            for cutoff in CUTOFFS
        },
        "metrics": metrics, "differences": differences, "ablation": {"eligible": contest, "quiet": contest},
        "gain": {
            "budget": 150, "cost": 5.0, "success_rate": 0.2, "currency": "EUR", "gain": 1_234.5, "random_gain": -99.0,
            "empc": 4.2,
        },
        "lead_time": {"median_days": 12.0, "customers": 80},
        "drivers": [
            {"signal": "rhythm", "mean_abs": 0.6, "share": 0.6}, {"signal": "silence", "mean_abs": 0.4, "share": 0.4},
        ],
        "horizon": {
            "proposed": True, "is_good": True, "days": 28,
            "candidates": [
                {"days": 28, "covers_gaps": 0.8, "leave_rate": 0.2, "comeback": 0.1, "is_enough_history": True,
                 "is_good": True},
                {"days": 60, "covers_gaps": 0.9, "leave_rate": 0.1, "comeback": 0.05, "is_enough_history": False,
                 "is_good": False},
            ],
        },
        "silence": {"is_modelled": True, "why": "", "share": 0.86},
        "verdict": {
            "is_promoted": is_promoted, "is_too_good": False, "best_baseline": "mbg_nbd",
            "sentence": "Better than every simple rule: AUROC 0.800.",
        },
        "findings": [
            {
                "severity": "warning", "code": "duplicate_rows", "table": "transactions", "column": None, "count": 3,
                "rows": [1, 2, 3], "message": "3 rows stand twice.", "fix": "Export once.",
            },
        ],
        "notes": [], "warnings": [], "seconds": 12.5,
    }  # fmt: skip
