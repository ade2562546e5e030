"""Unsaid: what a training found out about who speaks when something goes wrong, in sentences and tables of texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from churn.delivery.wording import count, number, percent

Table = dict[str, Any]

RULES = {
    "model": "The voice model",
    "own_rate": "How often she spoke before",
    "kind": "How often everybody speaks of that kind",
    "severity": "How often everybody speaks at that severity",
}
_GROUPS = {"kind": "What went wrong", "channel": "Where", "month": "Month"}
_COLUMNS = ["Went wrong", "Told", "Never mentioned", "Expected told", "Silent, though the kind that speaks"]
_CONTACTS = "unresolved_contact"
_TOGETHER = "other"
MOST_SHOWN = 13
"""Rows of one table on the page: a year of months and one more."""


def iceberg_sentence(berg: Mapping[str, Any]) -> str:
    """Returns what was never mentioned of the kind of trouble of which most was not; empty where nothing went wrong.

    >>> row = {"label": "late_delivery", "troubles": 1240, "told": 150, "never_mentioned": 1090, "speakers": 305.2}
    >>> print(iceberg_sentence({"days": 90, "until": "2025-01-01", "total": row, "by": {"kind": [row]}}))
    Of 1,240 incidents “late delivery” in the 90 days to 2025-01-01, 1,090 were never mentioned. In about 305 of these \
she is the kind that speaks; from the other 785 we would hardly hear in any case.
    """
    rows = [row for row in berg["by"].get("kind", []) if row["label"] != _TOGETHER and row["never_mentioned"]]
    if not rows:
        return ""
    most = max(rows, key=lambda row: (row["never_mentioned"], row["label"]))
    what = f"incidents “{most['label'].replace('_', ' ')}”"
    if most["label"] == _CONTACTS:
        what = "contacts left unresolved"
    silent, speakers = most["never_mentioned"], round(most["speakers"])
    return (
        f"Of {count(most['troubles'])} {what} in the {berg['days']} days to {berg['until']}, {count(silent)} were "
        f"never mentioned. In about {count(speakers)} of these she is the kind that speaks; from the other "
        f"{count(silent - speakers)} we would hardly hear in any case."
    )


def voice_sentence(voice: Mapping[str, Any]) -> str:
    """Returns how well it can be said beforehand who speaks, beside the best simple rule."""
    judged, note = voice["judged"], voice.get("note", "")
    metrics = judged["metrics"]
    if not metrics:
        told = "Too little of what went wrong after the first test cutoff was told to judge who speaks."
    else:
        best = max((name for name in metrics if name != "model"), key=lambda name: metrics[name]["auroc"])
        told = (
            f"Of {count(judged['troubles'])} things that went wrong after the first test cutoff, customers told of "
            f"{count(judged['told'])}. The voice model ranks a told one above an untold one in "
            f"{percent(metrics['model']['auroc'])} of all pairs; the best simple rule, “{RULES.get(best, best)}”, in "
            f"{percent(metrics[best]['auroc'])}."
        )
    return f"{told} {note[0].upper()}{note[1:]}." if note else told


def voice_metrics(voice: Mapping[str, Any] | None) -> dict[str, float]:
    """Returns the figures of the voice model as experiments record them: `voice_auroc`, beside `voice_auroc_by_kind`
    and those of the other simple rules; likewise `voice_brier` and `voice_ece`."""
    found: dict[str, float] = {}
    if voice and voice["is_modelled"]:
        for name, metrics in voice["judged"]["metrics"].items():
            rule = "" if name == "model" else f"_by_{name}"
            found |= {f"voice_{metric}{rule}": value for metric, value in metrics.items()}
        total = voice["iceberg"]["total"]
        found |= {f"iceberg_{name}": total[name] for name in ("troubles", "told", "never_mentioned", "speakers")}
    return found


def unsaid(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the sentences and tables of the page's section; None for a result that knows nothing of voice models."""
    voice = result.get("voice")
    if not voice:
        return None
    if not voice["is_modelled"]:
        return {"sentence": f"What stays unsaid is not known here: {voice['why']}.", "voice": "", "rules": None,
                "tables": []}  # fmt: skip
    berg = voice["iceberg"]
    tables = [_table(name, rows) for name, rows in berg["by"].items() if rows]
    return {
        "sentence": iceberg_sentence(berg), "voice": voice_sentence(voice), "rules": _rules(voice["judged"]["metrics"]),
        "tables": tables,
    }  # fmt: skip


def _rules(metrics: Mapping[str, Mapping[str, float]]) -> Table | None:
    if not metrics:
        return None
    best = {
        "auroc": max(row["auroc"] for row in metrics.values()),
        "brier": min(row["brier"] for row in metrics.values()),
    }
    rows = [
        {
            "title": title, "is_ours": name == "model",
            "cells": [{"value": number(row[key]), "is_best": row[key] == best[key]} for key in best],
        }
        for name, title in RULES.items() if (row := metrics.get(name))
    ]  # fmt: skip
    return {"first": "Who speaks", "columns": ["AUROC", "Brier score"], "rows": rows}


def _table(name: str, rows: list[dict[str, Any]]) -> Table:
    told = [
        {
            "title": str(row["label"]).replace("_", " "),
            "cells": [
                {"value": count(row["troubles"])},
                {"value": count(row["told"]), "note": percent(row["told"] / row["troubles"])},
                {"value": count(row["never_mentioned"])}, {"value": count(row["expected_told"])},
                {"value": count(row["speakers"])},
            ],
        }
        for row in (rows[-MOST_SHOWN:] if name == "month" else rows[:MOST_SHOWN])
    ]  # fmt: skip
    return {"first": _GROUPS.get(name, name.replace("_", " ").capitalize()), "columns": _COLUMNS, "rows": told}
