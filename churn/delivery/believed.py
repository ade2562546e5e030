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


def verdict_on(entry: Mapping[str, Any]) -> str:
    """Returns in words whether foretold and observed lie apart; empty where chance explains it."""
    if not is_off(entry):
        return ""
    few, many = entry.get("foretold_low", entry["foretold"]), entry.get("foretold_high", entry["foretold"])
    is_within = few <= entry["high"] and entry["low"] <= many
    return "off by more than chance" + (", within what can be foretold" if is_within else "")


def _cells(entry: Mapping[str, Any]) -> list[dict[str, str]]:
    by_chance = f"{percent(entry['low'], digits=1)} to {percent(entry['high'], digits=1)}"
    foretold = {"value": percent(entry["foretold"], digits=1)}
    if "foretold_low" in entry:
        foretold["note"] = " to ".join(percent(entry[f"foretold_{end}"], digits=1) for end in ("low", "high"))
    left = {"value": percent(entry["left"], digits=1)}
    return [{"value": count(entry["customers"])}, foretold, left, {"value": by_chance}, {"value": verdict_on(entry)}]


def _sentence(told: Mapping[str, Any]) -> str:
    entries = told["by_cutoff"]
    off = [cutoff for cutoff, entry in entries.items() if is_off(entry)]
    could = (
        " Below what was foretold stands how little and how much it could have been, as far as such levels can be "
        "foretold."
        if any("foretold_low" in entry for entry in entries.values())
        else ""
    )
    if not off:
        return f"At every cutoff the level of the risks was right, as far as chance lets one see.{could}"
    return (
        f"At {', '.join(off)} other shares left than foretold, beyond chance: the season or the business moved between "
        f"training and test. Trust the order of the list more than the height of its risks.{could}"
    )
