"""The benchmark of signals' worth: what is left out, the mean over companies, and the block it writes on a page."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from made_recipes import every_recipe

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def company(seed: int, **changes: float) -> dict[str, Any]:
    told = {name: {"mean": change, "low": change - 0.01, "high": change + 0.01} for name, change in changes.items()}
    contest = {"rows": 10, "auroc": {"mean": 0.8, "low": 0.7, "high": 0.9}, "changes": told}
    plan = {"name": f"retail hazard {seed}", "regime": "retail", "customers": 5000, "months": 24}
    return {"plan": plan, "sizes": dict.fromkeys(changes, 3), "leave": contest, "silent": contest}


def test_every_part_of_a_signal_is_found_among_all_recipes() -> None:
    measured = importlib.import_module("ablation_company")
    groups = measured.groups_of(every_recipe())
    assert {"spend", "silence", "hand-overs", "silence after an incident", "kinds of incident"} <= set(groups)
    assert groups["hand-overs"] == ["agents_per_case_180d", "channels_per_case_180d"]
    assert not any("unfollowed" in name for name in groups["kinds of incident"])
    assert set(measured._PARTS) - set(groups) <= {"hidden friction"}, "a pattern that finds nothing"


def test_a_group_that_does_harm_beyond_chance_falls_short_and_one_that_may_does_not() -> None:
    ablation, shown = importlib.import_module("ablation"), importlib.import_module("figures")
    found = [company(seed, spend=0.01 + 0.001 * seed, visits=0.01 * (-1) ** seed) for seed in range(4)]
    results = shown.Results([ablation.part_of(found)], [])
    assert results.parts[0].checks[0].measured == "spend (leave), spend (silent)"
    assert len(results.short) == 1
    assert results.parts[0].rows[0][3] == "+0.0115 [+0.0065, +0.0165]"
    assert not shown.Results([ablation.part_of(found[:2])], []).short, "two companies have no interval"


def test_companies_that_differ_more_than_chance_widen_the_interval() -> None:
    pooled = importlib.import_module("ablation").pooled
    alike, apart = pooled([(0.01, 0.001)] * 4), pooled([(0.0, 0.001), (0.02, 0.001)] * 2)
    assert alike[0] == pytest.approx(apart[0]) == pytest.approx(0.01)
    assert alike[2] - alike[0] == pytest.approx(1.96 * 0.0005)
    assert apart[2] - apart[0] > 10 * (alike[2] - alike[0])
    assert pooled([(0.0, 0.001), (0.1, 1.0)])[0] < 0.001, "who is not known well counts little"


def test_a_company_that_does_not_use_a_group_says_nothing_of_its_worth() -> None:
    ablation = importlib.import_module("ablation")
    found = [company(seed, spend=-0.01, visits=-0.01) for seed in range(4)]
    found[3]["leave"]["changes"]["spend"] = {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert ablation.changes(found, "spend", "leave") == ablation.changes(found[:3], "spend", "leave")
    rows = {row[0]: row for row in ablation.part_of(found).rows}
    assert rows["spend"][2:4] == ("3", "-0.0100 [-0.0158, -0.0042]")
    assert rows["visits"][2:4] == ("4", "-0.0100 [-0.0150, -0.0050]")


def test_the_block_is_written_between_its_marks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ablation = importlib.import_module("ablation")
    page, keep = tmp_path / "signals.md", tmp_path / "kept"
    keep.mkdir()
    (keep / "one.json").write_text(json.dumps(company(1, spend=-0.02)))
    page.write_text(f"before\n\n{ablation.START}\nold\n{ablation.END}\n\nafter\n")
    assert ablation.main(["--keep", str(keep), "--tell", "--write", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\n\nafter\n")
    assert "old" not in text
    assert "| spend    | 3        | 1         | -0.0200 | -0.0200  | retail -0.0200 |" in text
    page.write_text("mine")
    capsys.readouterr()
    assert ablation.main(["--keep", str(keep), "--tell", "--write", str(page)]) == 2
    assert "to write between" in capsys.readouterr().err
    assert ablation.main(["--keep", str(tmp_path / "none"), "--tell"]) == 2
    assert "measure some with --keep" in capsys.readouterr().err
