"""What a scored list holds, in aggregates only: no customer can be told from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from churn.delivery.wording import count, money, percent
from churn.timeline.population import REASONS

if TYPE_CHECKING:
    import pandas as pd

_VOICES = {"quiet": "Quiet", "already_vocal": "Already vocal", "unobservable": "Unobservable"}
_SHOWN_DRIVERS = 3


def list_summary(scores: pd.DataFrame, *, currency: str) -> dict[str, Any]:
    """Returns the sums of a scored list as text: in one sentence, by band, by voice, and by reason for no score.

    Args:
        scores: one row per customer, the columns of the score list.
        currency: of the value at risk.
    """
    scored = scores[scores["status"] == "scored"]
    leavers, at_risk = scored["p_leave"].astype(float).sum(), scored["value_at_risk"].astype(float).sum()
    cutoffs = sorted({str(cutoff)[:10] for cutoff in scores["cutoff"].dropna()})
    sentence = (
        f"Of {count(len(scores))} customers at {', '.join(cutoffs)}, {count(len(scored))} are scored; {count(leavers)} "
        f"of them are expected to leave{_about(scored)}, and {money(at_risk, currency)} of expected spend is at risk. "
        "Who they are stands in the scores file only."
    )
    return {
        "sentence": sentence,
        "bands": {
            "first": "Band",
            "columns": ["Customers", "Expected to leave", "Value at risk", "Most frequent first drivers"],
            "rows": [_band(band, rows, currency=currency) for band, rows in _by_band(scored)],
        },
        "voices": {
            "first": "Voice",
            "columns": ["Customers", "Expected to leave", "Expected to leave silently", "Value at risk"],
            "rows": [
                _voice(name, scored[scored["voice_status"] == status], currency=currency)
                for status, name in _VOICES.items() if (scored["voice_status"] == status).any()
            ],
        },
        "not_scored": {
            "first": "Not scored, because",
            "columns": ["Customers"],
            "rows": [
                {"title": REASONS.get(str(reason), str(reason)), "cells": [{"value": count(int(found))}]}
                for reason, found in scores["why_not_scored"].value_counts().sort_index().items()
            ],
        },
    }  # fmt: skip


def _about(scored: pd.DataFrame) -> str:
    """How few and how many may leave; nothing for a list of an earlier version, which doesn't tell."""
    if "p_leave_low" not in scored:
        return ""
    few, many = (count(float(scored[f"p_leave_{end}"].astype(float).sum())) for end in ("low", "high"))
    return f" ({few} to {many}, as far as the level of leaving can be foretold)"


def _by_band(scored: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Returns the rows of each band, the riskiest band first."""
    risk = scored["p_leave"].astype(float).groupby(scored["band"].astype(str)).mean()
    riskiest_first = sorted(risk.index, key=lambda band: (-risk[band], band))
    return [(str(band), scored[scored["band"].astype(str) == band]) for band in riskiest_first]


def _band(band: str, rows: pd.DataFrame, *, currency: str) -> dict[str, Any]:
    found = rows["driver_1"].dropna().astype(str).value_counts()
    top = sorted(found.items(), key=lambda item: (-item[1], str(item[0])))[:_SHOWN_DRIVERS]
    drivers = ", ".join(f"{name} {percent(number / len(rows))}" for name, number in top)
    return {"title": band, "cells": [*_sums(rows, currency=currency), {"value": drivers or "–", "is_text": True}]}


def _voice(name: str, rows: pd.DataFrame, *, currency: str) -> dict[str, Any]:
    customers, leavers, at_risk = _sums(rows, currency=currency)
    silent = rows["p_silent"].astype(float).sum(min_count=1)
    return {"title": name, "cells": [customers, leavers, {"value": count(float(silent))}, at_risk]}


def _sums(rows: pd.DataFrame, *, currency: str) -> list[dict[str, Any]]:
    leavers, at_risk = float(rows["p_leave"].astype(float).sum()), float(rows["value_at_risk"].astype(float).sum())
    return [{"value": count(len(rows))}, {"value": count(leavers)}, {"value": money(at_risk, currency)}]
