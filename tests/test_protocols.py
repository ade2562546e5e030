"""The benchmark judges what it measured: short of a target is said and costs the exit code, and no run is forgotten."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def interval(mean: float, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"mean": mean, "low": mean - 0.01 if low is None else low, "high": mean + 0.01 if high is None else high}


def figures_of(auroc: float, brier: float) -> dict[str, Any]:
    return {
        "auroc": interval(auroc),
        "brier": interval(brier),
        "average_precision": interval(0.7),
        "lift_at_10": interval(1.9),
    }


def result_of(protocol: Any, *, auroc: float, brier: float) -> dict[str, Any]:
    """A training's result as `churn train --json` prints it, with every simple rule at AUROC .77 and Brier .19."""
    rules = importlib.import_module("protocols").SIMPLE_RULES
    adds = {"auroc": interval(0.004, -0.006, 0.014)}
    return {
        "population": {at: {"eligible": size, "leave_rate": rate} for at, (size, rate) in protocol.populations.items()},
        "metrics": {"model": figures_of(auroc, brier)} | {name: figures_of(0.77, 0.19) for name in rules},
        "differences": {name: {"auroc": interval(auroc - 0.77)} for name in rules},
        "ablation": {"eligible": {"feedback_adds": adds}},
        "silence": {"is_modelled": False, "why": "no table carries their own voice", "share": None},
        "verdict": {"is_promoted": auroc > 0.77, "sentence": "Better than every simple rule: by much."},
    }


def measured(result: dict[str, Any], *, gibibytes: float = 1.0, seconds: float = 30.0) -> Any:
    return importlib.import_module("measuring").Measured(result, seconds, seconds * 1.5, int(gibibytes * 1024**3))


def short_of(protocol: str, *, auroc: float = 0.78, brier: float = 0.185, **cost: float) -> list[str]:
    module, published = importlib.import_module("protocols"), importlib.import_module("published")
    told = getattr(published, protocol)
    part = module.protocol_part(told, measured(result_of(told, auroc=auroc, brier=brier), **cost))
    return [check.what for check in part.checks if check.is_met is False]


def test_a_good_run_meets_every_target() -> None:
    assert short_of("ORII") == short_of("OLIST") == []


def test_each_figure_that_falls_short_is_named() -> None:
    assert short_of("ORII", auroc=0.77) == ["AUROC"]
    assert short_of("ORII", brier=0.19) == ["Brier"]
    assert short_of("ORII", gibibytes=2.0) == ["peak memory of churn train"]
    assert short_of("ORII", seconds=240.0) == ["churn train with backtest"]
    assert short_of("OLIST", auroc=0.77) == ["AUROC"]
    assert short_of("OLIST", gibibytes=2.0, seconds=999.0, brier=0.5) == []


@pytest.mark.parametrize(("size", "rate"), [(2742, 0.471), (2741, 0.4716)])
def test_one_customer_more_is_another_population(size: int, rate: float) -> None:
    module, published = importlib.import_module("protocols"), importlib.import_module("published")
    found = {**published.ORII.populations, "2011-07-12": (size, rate)}
    assert sum(not check.is_met for check in module.population_checks(published.ORII, found)) == 1
    del found["2011-07-12"]
    assert not any(check.is_met for check in module.population_checks(published.ORII, found))


def test_silence_that_adds_nothing_falls_short_but_not_on_few_customers() -> None:
    protocols = importlib.import_module("protocols")
    told = result_of(importlib.import_module("published").ORII, auroc=0.78, brier=0.18)
    told["population"] = {"2024-01-01": {"customers": 6000, "eligible": 3000}}
    told["metrics"] |= {name: figures_of(0.8, 0.1) for name in protocols.SILENT_MODELS}
    families = {name: figures_of(0.8, 0.1) for name in ("operations", "feedback", "both")}
    for low, is_met in ((0.001, True), (-0.001, False)):
        told["ablation"] = {"quiet": {**families, "feedback_adds": {"auroc": interval(0.02, low, 0.04)}}}
        assert protocols.silence_part(measured(told)).checks[0].is_met is is_met
        assert protocols.silence_part(measured(told), is_small=True).checks[0].is_met is None
    told["ablation"], told["silence"]["why"] = {}, "too few leavers"
    assert protocols.silence_part(measured(told)).checks[0].measured == "too few leavers"


@pytest.mark.parametrize(
    ("said", "is_met"), [("No better than the baseline: x", True), ("Worse than the baseline: x", False)]
)
def test_a_company_without_signal_must_be_told_so(said: str, is_met: bool) -> None:
    part = importlib.import_module("protocols").no_signal_part(
        measured({"verdict": {"is_promoted": False, "sentence": said}})
    )
    assert part.checks[0].is_met is is_met


def test_the_log_keeps_every_run_and_foreign_pages_are_refused(tmp_path: Path) -> None:
    figures, page = importlib.import_module("figures"), importlib.import_module("page")
    out = tmp_path / "results.md"
    for date, is_met in (("2025-01-01", False), ("2025-02-01", True)):
        part = figures.Part(
            "ORII-90", "who leaves", [figures.Check("AUROC", "0.78", "above 0.77", is_met)], figures={"AUROC": "0.78"}
        )
        page.write_page(
            out, figures.Results([part], []), block="protocols", command="measure", version="1.0", date=date
        )
    assert page.earlier_runs(out) == [
        ("2025-01-01", "1.0", "ORII-90 AUROC 0.78", "short: ORII-90: AUROC"),
        ("2025-02-01", "1.0", "ORII-90 AUROC 0.78", "all met"),
    ]
    assert "All 1 targets met." in out.read_text()
    out.write_text("# My own page\n")
    with pytest.raises(ValueError, match="was not written by this benchmark"):
        page.earlier_runs(out)


def test_absent_data_is_said_and_nothing_is_written_by_a_quick_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    protocols = importlib.import_module("protocols")
    skipped: list[str] = []
    assert not protocols._is_there(importlib.import_module("published").OLIST, tmp_path, skipped)
    assert skipped[0].startswith("OLIST-60: its data is absent")
    with pytest.raises(SystemExit, match="2"):
        protocols.main(["--quick", "--write", str(tmp_path / "results.md"), "--date", "2025-01-01"])
    assert "--write needs a full run" in capsys.readouterr().err
