"""The benchmark of accuracy: peers scored exactly, any file of purchases, and a verdict on every figure."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn.models.baselines import PurchaseHistory
from churn.timeline.cutoffs import Cutoff
from churn.timeline.mbg_nbd import MbgNbd, p_no_activity

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def histories(size: int = 400) -> PurchaseHistory:
    rng = np.random.default_rng(4)
    age = rng.uniform(30, 300, size)
    x = rng.poisson(age * 0.02).astype(float)
    tenure = np.where(x > 0, age * rng.random(size), 0)
    nothing = np.zeros(size)
    return PurchaseHistory(x, tenure, age, age - tenure, nothing, nothing, nothing, nothing, nothing + 1)


class Fitted:
    """Parameters as `lifetimes` gives them, with everybody alive for sure: what is left is the window."""

    def __init__(self, **parameters: float) -> None:
        self.params_ = parameters

    def conditional_probability_alive(self, x: np.ndarray, last: np.ndarray, age: np.ndarray) -> np.ndarray:
        return np.ones(len(x))


def simulated(life: np.ndarray, rate: np.ndarray, *, gap: float, horizon: float, rng: np.random.Generator) -> float:
    """Share of lives without a purchase in [gap, gap + horizon)."""
    alive_for = np.clip(life - gap, 0, horizon)
    return float((rng.poisson(rate * alive_for) == 0).mean())


@pytest.mark.parametrize("gap", [0.0, 30.0])
def test_pareto_nbd_is_the_share_of_simulated_lives_without_a_purchase(
    gap: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    btyd = importlib.import_module("btyd")
    monkeypatch.setattr(btyd, "fitted", lambda *_: Fitted(r=0.6, alpha=10.0, s=0.7, beta=12.0))
    one = histories(1)
    p = btyd.pareto_nbd(one, one, horizon_days=60, gap_days=gap)[0]
    rng = np.random.default_rng(1)
    x, age = one.frequency[0], one.age[0] / 7
    rate = rng.gamma(0.6 + x, 1 / (10 + age), 200_000)
    life = rng.exponential(1 / rng.gamma(0.7, 1 / (12 + age), 200_000))
    assert p == pytest.approx(simulated(life, rate, gap=gap / 7, horizon=60 / 7, rng=rng), abs=0.005)


@pytest.mark.parametrize("gap", [0.0, 30.0])
def test_bg_nbd_of_the_living_is_the_silence_of_her_own_rate_and_a_gap_adds_to_it(
    gap: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    btyd = importlib.import_module("btyd")
    monkeypatch.setattr(btyd, "fitted", lambda *_: Fitted(r=0.6, alpha=10.0, a=0.8, b=2.4))
    everybody = histories()
    found = btyd.bg_nbd(everybody, everybody, horizon_days=60, gap_days=gap)
    window = {"frequency": everybody.frequency, "recency_age": everybody.age, "age": everybody.age}
    alike = MbgNbd(r=0.6, alpha=70.0, a=1e-9, b=2.4)  # nobody dies: alive for sure, and p is 0
    if gap == 0:
        assert found == pytest.approx(p_no_activity(alike, **window, horizon_days=60), abs=1e-6)
    else:
        assert (found > btyd.bg_nbd(everybody, everybody, horizon_days=60)).all()  # some stop in the gap


def test_bg_nbd_has_the_published_parameters_of_cdnow() -> None:
    """Fader, Hardie, Lee 2005."""
    btyd = importlib.import_module("btyd")
    if not btyd.has_lifetimes():
        pytest.skip(btyd.HOW_TO_INSTALL)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        datasets = importlib.import_module("lifetimes.datasets")
    told = datasets.load_cdnow_summary(index_col=[0])
    nothing = np.zeros(len(told))
    everybody = PurchaseHistory(
        told["frequency"].to_numpy(float), told["recency"].to_numpy(float) * 7, told["T"].to_numpy(float) * 7,
        nothing, nothing, nothing, nothing, nothing, nothing + 1,
    )  # fmt: skip
    found = list(btyd.fitted("BetaGeoFitter", everybody).params_)
    assert found == pytest.approx([0.243, 4.414, 0.793, 2.426], abs=2e-3)


def csv(path: Path, header: str, *, rows: int = 40) -> Path:
    days = pd.date_range("2024-01-01", periods=rows, freq="3D").strftime("%Y-%m-%d")
    path.write_text(header + "\n" + "\n".join(f"c{number % 7},{day},12.50" for number, day in enumerate(days)) + "\n")
    return path


def test_a_csv_of_three_columns_becomes_a_project(tmp_path: Path) -> None:
    arenas = importlib.import_module("arenas")
    path = csv(tmp_path / "sold.csv", "Client,Order date,Total")
    with arenas.file_arena(path, horizon_days=60, population="active:90") as arena:
        assert (arena.config.horizon_days, arena.config.population) == (60, "active:90")
        assert set(arena.config.tables["transactions"].columns.values()) == {"Client", "Order date", "Total"}
    assert not arena.targets


@pytest.mark.parametrize("header", ["a,b,c", None])
def test_a_file_that_cannot_be_read_as_purchases_says_what_is_needed(tmp_path: Path, header: str | None) -> None:
    arenas = importlib.import_module("arenas")
    path = tmp_path / "sold.csv" if header is None else csv(tmp_path / "sold.csv", header)
    with (
        pytest.raises(ValueError, match=r"customer, time,? (and )?amount"),
        arenas.file_arena(path, horizon_days=None, population=None),
    ):
        pass


def contested(*, ours: float, seed: int = 3) -> tuple[Any, list[Cutoff]]:
    """Two cutoffs; ours knows `ours` of what there is to know, every peer 0.8 of it."""
    contestants = importlib.import_module("contestants")
    rng = np.random.default_rng(seed)
    margin = rng.normal(-1, 1.5, 3_000)
    y = rng.random(3_000) < 1 / (1 + np.exp(-margin))
    at = np.repeat([0, 86_400_000_000], 1_500)
    blurred = 1 / (1 + np.exp(-(0.8 * margin + rng.normal(0, 0.9, 3_000))))
    sharp = 1 / (1 + np.exp(-(ours * margin + (1 - ours) * rng.normal(-1, 1.5, 3_000))))
    rows = pd.DataFrame({"customer": np.tile(np.arange(1_500), 2), "at": at, "has_left": y})
    p = dict.fromkeys((*contestants.PEERS, "base_rate"), blurred) | {contestants.OURS: sharp}
    return contestants.Contest(rows, p, p, ()), [Cutoff(0, 0, 60), Cutoff(86_400_000_000, 0, 60)]


def arena(**settings: Any) -> Any:
    made = importlib.import_module("arenas").Arena("X-60", "who leaves", None, {})
    return replace(made, **settings)


def test_ours_is_judged_against_the_best_peer_of_each_figure() -> None:
    judging = importlib.import_module("judging")
    part = judging.judged(arena(must_lead=True), *contested(ours=1.0))
    assert [check.what for check in part.checks if check.is_met is False] == []
    worse = judging.judged(arena(), *contested(ours=0.3))
    short = [check.what.split(",")[0] for check in worse.checks if check.is_met is False]
    assert short[:2] == ["AUROC", "Brier"]


def test_absolute_targets_are_judged_where_an_arena_has_them() -> None:
    judging = importlib.import_module("judging")
    targets = {"auroc": 0.999, "brier": 0.5}
    checks = {check.what: check.is_met for check in judging.judged(arena(targets=targets), *contested(ours=1.0)).checks}
    assert (checks["AUROC of ours"], checks["Brier of ours"]) == (False, True)


def test_each_cutoff_has_its_calibration_and_each_peer_its_difference() -> None:
    part = importlib.import_module("judging").judged(arena(), *contested(ours=1.0))
    differences, by_cutoff = part.more
    assert [row[0] for row in by_cutoff.rows] == ["1970-01-01", "1970-01-02"]
    assert len(differences.rows) == len(part.rows) - 1


def test_only_the_test_cutoffs_write_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    accuracy = importlib.import_module("accuracy")
    with pytest.raises(SystemExit, match="2"):
        accuracy.main(["--write", str(tmp_path / "results.md"), "--date", "2025-01-01"])
    assert "--write needs --cutoffs test" in capsys.readouterr().err
    assert accuracy.main(["--transactions", str(tmp_path / "none.csv")]) == accuracy.UNUSABLE
    assert "is no file" in capsys.readouterr().err


def test_blocks_of_a_page_leave_one_another_alone(tmp_path: Path) -> None:
    figures, page = importlib.import_module("figures"), importlib.import_module("page")
    out = tmp_path / "results.md"
    for block in ("protocols", "accuracy", "protocols"):
        told = figures.Results([figures.Part(f"of {block}", "who leaves", figures={"AUROC": "0.8"})], [])
        page.write_page(out, told, block=block, command=f"run {block}", version="1", date="2025-01-01")
    text = out.read_text()
    assert [text.count(f"## of {block}") for block in ("accuracy", "protocols")] == [1, 1]
    assert text.index("run accuracy") < text.index("run protocols") < text.index(page.LOG_HEADING)
    assert len(page.earlier_runs(out)) == 3


def test_cdnow_is_handed_over_as_three_columns_and_nothing_else(tmp_path: Path) -> None:
    arenas = importlib.import_module("arenas")
    file = tmp_path / "CDNOW_sample.txt"
    file.write_text(
        " 00004 0001 19970101  2   29.33\n 00004 0001 19970118  2   29.73\n 00021 0002 19970101  3   63.34\n"
    )
    with arenas.cdnow_arena(file) as arena:
        source = arena.config.tables["transactions"]
        data = (arena.config.directory / str(source.path)).read_text()
        assert data.splitlines()[:2] == ["customer,date,amount", "0001,1997-01-01,29.33"]
        assert set(source.columns) == {"customer_id", "time", "amount"}
        assert (arena.name, arena.config.horizon_days, arena.targets) == ("CDNOW", None, {})


def test_parts_are_chosen_by_name_and_only_all_of_them_are_results_to_keep(capsys: pytest.CaptureFixture[str]) -> None:
    accuracy = importlib.import_module("accuracy")
    assert tuple(accuracy._arguments([]).part) == accuracy.PARTS
    skipped: list[str] = []
    given = accuracy._arguments(["--part", "OLIST-60", "--data", "nowhere"])
    assert list(accuracy._arenas(given, skipped)) == []
    assert ["OLIST-60" in why for why in skipped] == [True]
    words = ["--part", "CDNOW", "--cutoffs", "test", "--date", "2025-03-01", "--write", "page.md"]
    with pytest.raises(SystemExit):
        accuracy._arguments(words)
    assert "all data" in capsys.readouterr().err


def test_a_part_that_is_kept_is_not_measured_again(tmp_path: Path) -> None:
    figures, kept = importlib.import_module("figures"), importlib.import_module("kept").kept
    part = figures.Part(
        "ORII-90", "who leaves", [figures.Check("AUROC", "0.8", "none")], ("model", "AUROC"), [("ours", "0.8")],
        ["a note"], {"AUROC": "0.8"}, [figures.Table("by cutoff", ("cutoff",), [("2011-01-01",)])],
    )  # fmt: skip
    asked: list[str] = []

    def measure() -> tuple[object, tuple[str, ...]]:
        asked.append("once")
        return part, ("what was absent",)

    first = kept(tmp_path / "keep", "ORII-90", of={"version": "1"}, measure=measure)
    again = kept(tmp_path / "keep", "ORII-90", of={"version": "1"}, measure=measure)
    assert first == again == (part, ("what was absent",))
    assert asked == ["once"]
    with pytest.raises(ValueError, match=r"give another folder to --keep"):
        kept(tmp_path / "keep", "ORII-90", of={"version": "2"}, measure=measure)
    assert kept(None, "ORII-90", of={}, measure=measure)[0] == part
    assert len(asked) == 2
