"""How models, metrics and signals are called where people read them; an unknown name is shown as it is."""

from __future__ import annotations

LEAVE_MODELS = {
    "model": "The model",
    "mbg_nbd": "Buying-process model (MBG/NBD)",
    "rfm_logistic": "Recency, frequency, spend (logistic)",
    "own_gap": "Days away against her own rhythm",
    "recency": "Days since last activity",
    "halved_window": "Activity halved since last window",
    "base_rate": "Same risk for everybody",
}
SILENT_MODELS = {
    "model_silent": "The model, silent leaving",
    "p_leave_alone": "Risk of leaving alone",
    "p_leave_x_share": "Risk of leaving x average silent share",
    "silence_rule": "Rule: unanswered invitations, time since she last spoke",
}
METRICS = {
    "auroc": "AUROC",
    "average_precision": "Average precision",
    "lift_at_5": "Lift, top 5 %",
    "lift_at_10": "Lift, top 10 %",
    "lift_at_20": "Lift, top 20 %",
    "capture_at_5": "Leavers found in top 5 %",
    "capture_at_10": "Leavers found in top 10 %",
    "capture_at_20": "Leavers found in top 20 %",
    "brier": "Brier score",
    "log_loss": "Log loss",
    "ece": "Calibration error",
    "ece_perfect": "Calibration error of a perfect model",
    "calibration_slope": "Calibration slope",
    "calibration_in_the_large": "Predicted minus observed",
}
LOWER_IS_BETTER = ("brier", "log_loss", "ece")


def model_label(name: str) -> str:
    """Returns what people call a model or baseline.

    >>> model_label("recency"), model_label("other")
    ('Days since last activity', 'other')
    """
    return {**LEAVE_MODELS, **SILENT_MODELS}.get(name, name)


def metric_label(name: str) -> str:
    """Returns what people call a metric.

    >>> metric_label("lift_at_10")
    'Lift, top 10 %'
    """
    return METRICS.get(name, name)
