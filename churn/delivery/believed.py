"""Believed: what came of the foretold risks, at each test cutoff and at each height of the risk, as tables of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from churn.delivery.wording import count, percent

COLUMNS = ["Customers", "Foretold", "Left", "By chance", ""]


def believed(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns both tables of the report; none for a result of an earlier version, which has no such figures."""
    told = result.get("reliability")
    if told is None:
        return []
    by_cutoff = [{"title": cutoff, "cells": _cells(entry)} for cutoff, entry in told["by_cutoff"].items()]
    by_risk = [
        {"title": f"{percent(entry['from'])} to {percent(entry['to'])}", "cells": _cells(entry)}
        for entry in told["by_risk"]
    ]
    return [
        {"first": "Cutoff", "columns": COLUMNS, "rows": by_cutoff, "title": "At each cutoff",
         "sentence": _sentence(told)},
        {"first": "Risk", "columns": COLUMNS, "rows": by_risk, "title": "At each height of the risk",
         "sentence": "Of customers with such a risk, so many left; “by chance” is what their share could have been."},
    ]  # fmt: skip


def is_off(entry: Mapping[str, Any]) -> bool:
    """Returns whether foretold and observed lie further apart than chance explains."""
    return not entry["low"] <= entry["foretold"] <= entry["high"]


def _cells(entry: Mapping[str, Any]) -> list[dict[str, str]]:
    by_chance = f"{percent(entry['low'], digits=1)} to {percent(entry['high'], digits=1)}"
    values = (count(entry["customers"]), percent(entry["foretold"], digits=1), percent(entry["left"], digits=1))
    off = "off by more than chance" if is_off(entry) else ""
    return [{"value": value} for value in (*values, by_chance, off)]


def _sentence(told: Mapping[str, Any]) -> str:
    off = [cutoff for cutoff, entry in told["by_cutoff"].items() if is_off(entry)]
    if not off:
        return "At every cutoff the level of the risks was right, as far as chance lets one see."
    return (
        f"At {', '.join(off)} other shares left than foretold, beyond chance: the season or the business moved between "
        "training and test. Trust the order of the list more than the height of its risks."
    )
