"""Predicts silent churn: who drifts away without complaining, and why."""

__version__ = "0.1.0"
