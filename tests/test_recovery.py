"""The benchmark of recovery: shares with intervals, causes found where they are planted, and a whole small run."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def planted(size: int = 2000) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    risk = rng.beta(1, 3, size)
    return pd.DataFrame({
        "customer": np.arange(size) % (size // 2), "at": np.arange(size) // (size // 2),
        "has_left": rng.random(size) < risk, "ceiling": risk, "model": 0.5 * risk + 0.5 * rng.beta(1, 3, size),
        "baseline": rng.random(size),
    })  # fmt: skip


def test_who_knows_the_ceiling_has_all_of_it_and_half_of_it_is_less() -> None:
    shares = importlib.import_module("recovery_shares")
    rows = planted()
    names = {name: name for name in ("model", "baseline", "ceiling")}
    told = shares.contest(rows, "has_left", names, p=names)
    assert told["rows"] == 2000
    assert 0.4 < told["share"]["low"] < told["share"]["mean"] < told["share"]["high"] < 0.95
    assert told["less_than_ceiling"]["high"] < 0
    all_of_it = shares.contest(rows.assign(model=rows["ceiling"]), "has_left", names, p=names)
    assert all_of_it["share"] == {"mean": 1.0, "low": 1.0, "high": 1.0}
    assert told["scores"]["ceiling"]["brier"] < told["scores"]["model"]["brier"]


def test_the_auroc_is_the_mean_of_the_cutoffs() -> None:
    shares = importlib.import_module("recovery_shares")
    from churn.models.metrics import auroc

    rows = planted()
    drawn = shares.aurocs(rows, "has_left", {"ceiling": "ceiling"})["ceiling"]
    each = [auroc(some["has_left"], some["ceiling"]) for _, some in rows.groupby("at")]
    assert drawn[0] == pytest.approx(np.mean(each), abs=1e-12)
    assert drawn[1:].std() > 0.005


def figures(**changed: Any) -> dict[str, Any]:
    told = {"mean": 0.96, "low": 0.94, "high": 0.98}
    scores = {name: {"auroc": told, "lift_at_10": 3.0, "brier": 0.1} for name in ("model", "baseline", "ceiling")}
    contest = {"baseline": "mbg_nbd", "rows": 10, "scores": scores, "share": told, "share_beyond_baseline": told}
    return {
        "plan": {"name": "retail hazard 1", "regime": "retail", "customers": 9000, "months": 24, "horizon_days": 60},
        "train_rows": 100, "eligible": {"2024-01-01": 10}, "leave": contest, "silent": contest, "latent": {},
        "voice": {"why": "nobody"}, "causes": {"rows": 0}, "drivers": {"silent": 0, "vocal": 0},
        "judged": {"ablation": {}, "lead_time": None, "verdict": {"best_baseline": "mbg_nbd", "sentence": "Better."}},
        "metrics": {"model": {"ece": {"mean": 0.01}, "ece_perfect": {"mean": 0.009}}},
        "difference": {"mean": 0.02, "low": 0.01, "high": 0.03}, "said": [], **changed,
    }  # fmt: skip


def test_a_share_under_its_target_falls_short_and_a_small_company_is_not_judged() -> None:
    parts, shown = importlib.import_module("recovery_parts"), importlib.import_module("figures")
    good = shown.Results(parts.parts_of([figures()]), [])
    assert not good.short
    low = {**figures()["leave"], "share": {"mean": 0.7, "low": 0.6, "high": 0.8}}
    short = shown.Results(
        parts.parts_of([figures(leave=low, difference={"mean": -0.01, "low": -0.02, "high": 0.0})]), []
    )
    assert short.short == [
        "means: p_leave: share of the ceiling's AUROC beyond .5",
        "retail hazard 1 (9,000): AUROC beside the best rule (mbg_nbd)",
    ]  # fmt: skip
    small = figures(leave=low)
    small["plan"]["customers"] = 900
    assert not shown.Results(parts.parts_of([small]), []).short


def test_means_are_judged_on_companies_as_large_as_the_targets_mean_with_smaller_ones_beside_them() -> None:
    parts = importlib.import_module("recovery_parts")
    low = {**figures()["leave"], "share": {"mean": 0.7, "low": 0.6, "high": 0.8}}
    large, small = figures(), figures(leave=low)
    large["plan"] = {**large["plan"], "customers": 50_000}
    what = "p_leave: share of the ceiling's AUROC beyond .5"

    def told(*found: dict[str, Any]) -> dict[str, tuple[str, bool | None]]:
        part = parts.overall(list(found))
        return {check.what: (check.measured, check.is_met) for check in part.checks if check.what.startswith(what)}

    both = told(large, small)
    assert both[what] == ("96.0% ± 2.0% (1 company)", True)
    assert both[f"{what}; smaller companies"] == ("70.0% ± 10.0% (1 company)", None)
    assert told(small) == {what: ("70.0% ± 10.0% (1 company)", False)}, "without a large company all are judged"


def test_a_share_above_its_bound_or_too_wide_is_not_in_the_mean() -> None:
    mean_of = importlib.import_module("recovery_parts").mean_of
    good = {"mean": 0.9, "low": 0.85, "high": 0.95}
    above, wide = {"mean": 1.2, "low": 1.06, "high": 1.4}, {"mean": 0.2, "low": -0.5, "high": 0.9}
    assert mean_of([good, above, wide, None]) == mean_of([good])
    assert mean_of([above]) == (None, 0.0, 0)


def test_drivers_of_silent_and_vocal_leavers_stand_side_by_side_and_a_missing_difference_falls_short() -> None:
    parts, shown = importlib.import_module("recovery_parts"), importlib.import_module("figures")

    def told(silent: float, vocal: float) -> dict[str, Any]:
        gap = silent - vocal
        return {
            "silent": silent, "vocal": vocal, "difference": {"mean": gap, "low": gap - 0.1, "high": gap + 0.1},
        }  # fmt: skip

    for fading, speaking, short in ((told(0.8, 0.5), told(-0.1, 0.2), 0), (told(0.5, 0.45), told(0.2, -0.1), 2)):
        drivers = {"silent": 90, "vocal": 40, "signals": {"fading": fading, "speaking": speaking}}
        part = parts.company_part(figures(drivers=drivers))
        assert len(shown.Results([part], []).short) == short
        (table,) = [one for one in part.more if one.header[:3] == ("signal", "silent", "vocal")]
        assert [row[0] for row in table.rows] == ["fading", "speaking"]
    drivers["ahead"] = {"silent": 60, "vocal": 31, "signals": {"fading": told(0.7, 0.3), "speaking": told(0.0, 0.0)}}
    last = parts.company_part(figures(drivers=drivers)).checks[-1]
    assert last.what == "fading alone, of 60 silent and 31 vocal leavers whose exit lies ahead"
    assert (last.measured, last.is_met) == ("+0.400 [+0.300, +0.500]", None)


def test_what_the_rows_tell_of_who_speaks_stands_beside_the_known_personality() -> None:
    parts = importlib.import_module("recovery_parts")

    def told(mean: float) -> dict[str, float]:
        return {"mean": mean, "low": mean - 0.01, "high": mean + 0.01}

    scores = {"model": told(0.74), "by_kind": told(0.64), "seen": told(0.75), "personality": told(0.85)}
    voice = {
        "rows": 900, "told": 0.3, "scores": scores, "share": told(0.68), "seen_share": told(0.71),
        "share_of_seen": told(0.96),
    }  # fmt: skip
    (table,) = [one for one in parts.company_part(figures(voice=voice)).more if one.header[0] == "who"]
    assert [row[2:] for row in table.rows] == [
        ("0.680 [0.670, 0.690]", ""), ("", ""), ("0.710 [0.700, 0.720]", "0.960 [0.950, 0.970]"), ("", ""),
    ]  # fmt: skip
    checks = {check.what: check.measured for check in parts.overall([figures(voice=voice)]).checks}
    in_rows = "who knows the equations, and what she told before: the same share of the known personality's"
    assert checks[in_rows] == "71.0% ± 1.0% (1 company)"
    some = {"rows": 300, "scores": scores}
    voice["by_earlier"] = [
        {**some, "from": 0, "until": 1},
        {**some, "from": 2, "until": 4},
        {**some, "from": 4, "until": None},
    ]
    table = parts.company_part(figures(voice=voice)).more[-1]
    assert [row[0] for row in table.rows] == ["0", "2 to 3", "4 or more"]
    assert table.rows[0][2:] == ("0.740 [0.730, 0.750]", "0.750 [0.740, 0.760]", "0.850 [0.840, 0.860]")
    earlier = {name: figure for name, figure in voice.items() if name not in ("seen_share", "by_earlier")}
    (table,) = [one for one in parts.parts_of([figures(voice=earlier)])[1].more if one.header[0] == "who"]
    told_later = "figures kept before this one was measured get it from the two AUROCs, the interval as if independent"
    assert table.rows[2][2] == "0.714 [0.679, 0.749]", told_later


def test_incidents_on_record_before_are_those_that_are_settled() -> None:
    personality = importlib.import_module("recovery_personality")

    def days(*numbers: int) -> pd.Series[pd.Timestamp]:
        return pd.Series(pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(numbers, unit="D"))

    incidents = pd.DataFrame({
        "customer_id": ["a", "a", "a", "b", "a"], "time": days(30, 0, 10, 0, 5), "is_recorded": [True] * 4 + [False],
    })  # fmt: skip
    asked = pd.DataFrame({"customer_id": ["a", "a", "b", "c", "a"], "time": days(25, 23, 40, 40, 60)})
    company = SimpleNamespace(incidents=incidents)
    assert personality.earlier_counts(company, asked).tolist() == [2, 1, 1, 0, 3]


def test_the_page_keeps_what_was_written_by_hand(tmp_path: Path) -> None:
    page, shown = importlib.import_module("recovery_page"), importlib.import_module("figures")
    file = tmp_path / "recovery.md"
    page.write_recovery(file, shown.Results([], []), commands=["--plain"], version="1", date="2025-01-01")
    file.write_text(file.read_text(encoding="utf-8") + "my own words\n", encoding="utf-8")
    page.write_recovery(file, shown.Results([], []), commands=["--seeds 3"], version="2", date="2025-01-02")
    text = file.read_text(encoding="utf-8")
    assert text.endswith("my own words\n")
    assert "--seeds 3" in text
    assert "--plain" not in text
    (tmp_path / "other.md").write_text("mine")
    with pytest.raises(ValueError, match="was not written by this benchmark"):
        page.write_recovery(tmp_path / "other.md", shown.Results([], []), commands=[], version="1", date="2025-01-01")


def test_figures_that_are_kept_are_told_and_not_measured_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recovery = importlib.import_module("recovery")
    one = figures()
    one["plan"] |= {"mechanism": "hazard", "cutoffs": 1, "asked": 10, "seed": 1, "is_varied": False}
    (tmp_path / "one.json").write_text(json.dumps(one))
    assert recovery.main(["--keep", str(tmp_path), "--tell", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["is_met"]
    assert recovery.main(["--keep", str(tmp_path / "none"), "--tell"]) == 2
    assert "measure some with --keep" in capsys.readouterr().err
