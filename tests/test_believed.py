"""Believed: the report says where the level of the risks was right, and where it was off by more than chance."""

from __future__ import annotations

from typing import Any

from churn.delivery.believed import believed


def entry(foretold: float) -> dict[str, Any]:
    return {"customers": 1200, "foretold": foretold, "left": 0.2, "low": 0.18, "high": 0.22}


def result(*foretold: float) -> dict[str, Any]:
    told = {f"2025-0{month}-01": entry(p) for month, p in enumerate(foretold, start=1)}
    return {"reliability": {"by_cutoff": told, "by_risk": [{"from": 0.1, "to": 0.3, **entry(0.2)}]}}


def test_each_cutoff_and_each_height_of_the_risk_has_its_line() -> None:
    by_cutoff, by_risk = believed(result(0.21, 0.3))
    assert [row["title"] for row in by_cutoff["rows"]] == ["2025-01-01", "2025-02-01"]
    cells = [[cell["value"].replace("\xa0", " ") for cell in row["cells"]] for row in by_cutoff["rows"]]
    assert cells[0][:3] == ["1,200", "21.0 %", "20.0 %"]
    assert [line[-1] for line in cells] == ["", "off by more than chance"]
    assert by_risk["rows"][0]["title"].replace("\xa0", " ") == "10 % to 30 %"


def test_who_could_foretell_only_so_much_is_told_when_it_was_as_much() -> None:
    told = result(0.3, 0.3)
    for label, low in (("2025-01-01", 0.21), ("2025-02-01", 0.25)):
        told["reliability"]["by_cutoff"][label] |= {"foretold_low": low, "foretold_high": 0.4}
    within, beyond = believed(told)[0]["rows"]
    assert within["cells"][1]["note"].replace("\xa0", " ") == "21.0 % to 40.0 %"
    assert within["cells"][-1]["value"] == "off by more than chance, within what can be foretold"
    assert beyond["cells"][-1]["value"] == "off by more than chance"


def test_the_sentence_names_the_cutoffs_that_were_off() -> None:
    assert believed(result(0.21, 0.3))[0]["sentence"].startswith("At 2025-02-01 other shares left than foretold")
    assert believed(result(0.21))[0]["sentence"].startswith("At every cutoff the level of the risks was right")


def test_the_result_of_an_earlier_version_has_no_such_tables() -> None:
    assert believed({}) == []
