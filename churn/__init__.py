"""Predicts silent churn: who drifts away without complaining, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from churn.jobs.frames import score as score

__version__ = "0.1.0"
__all__ = ["__version__", "score"]


def __getattr__(name: str) -> Any:
    """Returns `score`, loaded when it is first asked for: the libraries behind it take seconds."""
    if name == "score":
        from churn.jobs.frames import score

        return score
    raise AttributeError(f"module 'churn' has no attribute {name!r}")
