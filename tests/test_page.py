"""The page: safe whatever the names are, the same for the same result, and true to its figures."""

from __future__ import annotations

import copy
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn.delivery.page import report_page

PICTURE = b"\x89PNG\r\n\x1a\nno more is needed here"
CUTOFFS = ("2024-09-22", "2024-10-12", "2024-11-01")
METRICS = (
    "auroc",
    "average_precision",
    "lift_at_10",
    "capture_at_10",
    "brier",
    "ece",
    "ece_perfect",
    "calibration_slope",
)
ATTACKS = ("<script>alert(1)</script>", "{{7*7}}", "{% raise %}", "[red]loud[/red]", '"><img src=x onerror=alert(1)>')
CANARY = "canary@example.org"


class Elements(HTMLParser):
    """Every element with its attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def figures(mean: float | None) -> dict[str, Any]:
    low, high = (None, None) if mean is None else (mean - 0.02, mean + 0.02)
    return {"mean": mean, "low": low, "high": high, "by_cutoff": dict.fromkeys(CUTOFFS, mean)}


def model(auroc: float | None) -> dict[str, Any]:
    large = {"calibration_in_the_large": figures(0.024)}
    return {name: figures(auroc if name == "auroc" else 0.31) for name in METRICS} | large


@pytest.fixture
def result() -> dict[str, Any]:
    at = {
        "customers": 4000,
        "eligible": 1763,
        "removed": {"closed": 98, "one_timer": 117},
        "leave_rate": 0.14,
        "leavers": 247,
        "quiet": 1611,
        "already_vocal": 152,
        "unobservable": 0,
        "treated": 0,
        "silent_rate": 0.126,
        "silent_share": 0.985,
    }
    return {
        "schema": 1,
        "run_id": "run-of-today",
        "model_id": "3bb1c8e7",
        "bundle": "/somewhere/models/3bb1c8e7",
        "project": "shop",
        "target": {"activity": "purchases", "horizon_days": 60, "gap_days": 0, "population": "rhythm", "leave": "hard"},
        "cutoffs": list(CUTOFFS),
        "population": {cutoff: copy.deepcopy(at) for cutoff in CUTOFFS},
        "seconds": 12.5,
        "training_cutoffs": {"first": "2023-02-20", "last": "2024-11-01", "count": 32, "rows": 59579, "every_days": 20},
        "metrics": {
            "model": model(0.819),
            "recency": model(0.691),
            "mbg_nbd": model(0.764),
            "model_silent": model(0.8),
            "p_leave_alone": model(0.8),
        },
        "differences": {
            "recency": {"auroc": figures(0.128)},
            "mbg_nbd": {"auroc": figures(0.055)},
            "p_leave_alone": {"auroc": figures(0.001)},
        },
        "ablation": {
            "eligible": {
                "operations": model(0.773),
                "feedback": model(0.722),
                "both": model(0.819),
                "feedback_adds": {"auroc": figures(0.046)},
            }
        },
        "gain": {
            "budget": 200,
            "cost": 5.0,
            "success_rate": 0.2,
            "currency": "EUR",
            "gain": 1707.9,
            "random_gain": -355.5,
            "empc": 4.2,
        },
        "lead_time": {"median_days": 12.0, "customers": 214},
        "drivers": [{"signal": "rhythm", "mean_abs": 0.61, "share": 1.0}],
        "horizon": {
            "proposed": True,
            "candidates": [
                {
                    "days": 60,
                    "covers_gaps": 0.81,
                    "leave_rate": 0.23,
                    "comeback": None,
                    "is_enough_history": True,
                    "is_good": True,
                }
            ],
        },
        "silence": {"is_modelled": True, "why": "", "share": 0.862},
        "verdict": {
            "is_promoted": True,
            "best_baseline": "mbg_nbd",
            "sentence": "Better than the best simple rule (mbg_nbd).",
        },
        "findings": [
            {
                "severity": "warning",
                "code": "future_rows",
                "table": "visits",
                "column": "time",
                "count": 9,
                "rows": [3, 8, 11],
                "message": "9 rows lie in the future.",
                "fix": "Check the clock.",
            }
        ],
        "notes": [],
    }


@pytest.fixture
def scores() -> pd.DataFrame:
    scored = {
        "cutoff": "2025-01-01",
        "status": "scored",
        "voice_status": "quiet",
        "driver_1": "incidents",
        "model_id": "3bb1c8e7",
    }
    rows = [
        {"customer_id": CANARY, "p_leave": 0.9, "p_silent": 0.8, "band": "high", "value_at_risk": 90.0, **scored},
        {"customer_id": "id-0002", "p_leave": 0.3, "p_silent": 0.3, "band": "low", "value_at_risk": 10.0, **scored},
        {"customer_id": "id-0003", "cutoff": "2025-01-01", "status": "not_scored", "why_not_scored": "closed"},
    ]
    return pd.DataFrame(rows).assign(reason_1=f"late parcel, wrote {CANARY}")


def test_nothing_is_run_or_fetched(result: dict[str, Any]) -> None:
    elements = Elements(report_page(result, plots={"gains": PICTURE})).found
    policies = [attrs["content"] for tag, attrs in elements if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert {tag for tag, _ in elements}.isdisjoint({"script", "link", "iframe", "object", "embed", "form", "base"})
    sources = [
        (name, value) for _, attrs in elements for name, value in attrs.items() if name in {"src", "href", "srcset"}
    ]
    assert "src" in dict(sources)
    assert all(value.startswith(("#", "data:image/png;base64,")) for _, value in sources)
    assert not [name for _, attrs in elements for name in attrs if name.startswith("on")]


def test_no_address_stands_in_the_page(result: dict[str, Any]) -> None:
    page = report_page(result, plots={})
    assert re.findall(r"https?:|//\w|url\(|@import", page) == []


@pytest.mark.parametrize("attack", ATTACKS)
def test_names_are_text_wherever_they_come_from(result: dict[str, Any], scores: pd.DataFrame, attack: str) -> None:
    clean = len(Elements(report_page(result, plots={}, scores=scores)).found)
    result["project"] = attack
    result["verdict"]["sentence"] = attack
    result["drivers"][0]["signal"] = attack
    result["findings"][0] |= {"message": attack, "fix": attack, "column": attack}
    result["population"][CUTOFFS[-1]]["removed"][attack] = 1
    page = report_page(result, plots={}, scores=scores.replace({"high": attack, "incidents": attack}), currency=attack)
    elements = Elements(page)
    assert elements.text.count(attack) >= 8
    assert "<script" not in page
    # One more row in the table of those left out, with its four cells, and nothing else.
    assert len(elements.found) == clean + 5


def test_the_same_input_gives_the_same_page(result: dict[str, Any], scores: pd.DataFrame) -> None:
    page = report_page(result, plots={"gains": PICTURE, "lift": PICTURE}, scores=scores)
    other = {**result, "run_id": "of-tomorrow", "seconds": 99.0, "bundle": "/elsewhere"}
    assert report_page(other, plots={"lift": PICTURE, "gains": PICTURE}, scores=scores) == page
    assert not [word for word in ("run-of-today", "/somewhere", "12.5") if word in page]


def test_no_customer_can_be_told_from_the_page(result: dict[str, Any], scores: pd.DataFrame) -> None:
    page = report_page(result, plots={}, scores=scores)
    assert not [word for word in (CANARY, "id-000", "late parcel") if word in page]


def test_the_list_is_summed(result: dict[str, Any], scores: pd.DataFrame) -> None:
    page = report_page(result, plots={}, scores=scores, currency="CHF")
    text = Elements(page).text
    assert "Of 3 customers at 2025-01-01, 2 are scored; 1 of them are expected to leave, and 100\u00a0CHF" in text
    assert page.index(">high<") < page.index(">low<")
    assert "account closed" in text
    with_ends = scores.assign(p_leave_low=[0.7, 0.1, None], p_leave_high=[1.0, 0.9, None])
    told = Elements(report_page(result, plots={}, scores=with_ends, currency="CHF")).text
    assert "1 of them are expected to leave (1 to 2, as far as the level of leaving can be foretold)" in told


def test_the_answer_comes_first(result: dict[str, Any]) -> None:
    text = Elements(report_page(result, plots={})).text
    told = [
        "Better than the best simple rule, “Buying-process model (MBG/NBD)”.",
        "1,708\u00a0EUR",
        "The model beats the strongest rule",
    ]
    assert sorted(told, key=text.index) == told
    assert "Of the leavers in this backtest, 86\u00a0% had said nothing." in text
    assert "no more than chance: +0.001 [−0.019, +0.021]" in text


@pytest.mark.parametrize(("mean", "told"), [(0.0, "no more than chance"), (-0.05, "worse than the strongest rule")])
def test_noise_and_defeat_are_said(result: dict[str, Any], mean: float, told: str) -> None:
    result["differences"]["mbg_nbd"]["auroc"] = figures(mean)
    result["verdict"]["is_promoted"] = False
    text = Elements(report_page(result, plots={})).text
    assert "Not promoted" in text
    assert told in text


def test_the_best_of_each_column_is_bold(result: dict[str, Any]) -> None:
    result["metrics"]["recency"]["brier"] = figures(0.11)
    page = report_page(result, plots={})
    assert "<strong>0.819</strong>" in page
    assert "<strong>0.110</strong>" in page  # the lowest error
    assert "<strong>0.691</strong>" not in page


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_what_is_not_known_is_a_dash(result: dict[str, Any], missing: float | None) -> None:
    result["metrics"]["recency"] = model(None)
    result["silence"] = {"is_modelled": False, "why": "no table carries a voice.", "share": missing}
    result["population"][CUTOFFS[0]]["silent_share"] = missing
    result |= {"lead_time": None, "ablation": {}, "findings": [], "gain": result["gain"] | {"random_gain": missing}}
    text = Elements(report_page(result, plots={})).text
    assert re.findall(r"\b(?:nan|None)\b", text) == []
    assert "against – for the same calls at random" in text
    assert "is not known here: no table carries a voice." in text
    assert "Nothing to mend." in text


def test_numpy_numbers_read_as_numbers(result: dict[str, Any]) -> None:
    plain = report_page(result, plots={})
    result["training_cutoffs"]["rows"] = np.int64(59579)
    result["population"][CUTOFFS[0]]["quiet"] = np.int64(1611)
    assert report_page(result, plots={}) == plain


def test_findings_come_with_rows_and_fix(result: dict[str, Any]) -> None:
    text = Elements(report_page(result, plots={})).text
    assert "9 rows lie in the future. (rows 3, 8, 11, …)" in text
    assert "Fix: Check the clock." in text


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ({"gap_days": 14}, "the 60 days that begin 14 days after the cutoff"),
        ({"leave": "hard+partial"}, "markedly less than her own"),
        ({"population": "contract"}, "does not renew that contract within 30 days"),
        ({"population": "active:90:1"}, "the population active:90:1"),
    ],
)
def test_leaving_is_told_as_it_was_defined(result: dict[str, Any], target: dict[str, Any], told: str) -> None:
    result["target"] |= target
    assert told in Elements(report_page(result, plots={})).text


def test_a_picture_that_is_none_is_refused(result: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be PNG"):
        report_page(result, plots={"gains": b"<svg onload=alert(1)>"})
