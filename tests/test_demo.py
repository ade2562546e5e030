"""`churn demo` and `churn simulate`: the first thing a newcomer runs, never over what is her own."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_project import run

from churn.errors import OutputError
from churn.jobs.demo import demo
from churn.jobs.simulate import simulate


def test_a_company_is_simulated_again_to_the_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("simulate", str(tmp_path), "--customers", "20", "--months", "3", "--json", "--quiet")
    assert run(capsys, *words).code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert run(capsys, *words).code == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("own", ["churn.toml", "transactions.parquet", "feedback.parquet"])
def test_a_project_of_ones_own_is_never_simulated_over(own: str, tmp_path: Path) -> None:
    (tmp_path / own).write_text("my own", encoding="utf-8")
    for job in (_simulate, _demo):
        with pytest.raises(OutputError, match="holds a project that was not simulated; name an empty folder"):
            job(tmp_path)
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [(own, "my own")]


def test_a_simulation_that_was_killed_can_be_run_again(tmp_path: Path) -> None:
    _simulate(tmp_path)
    (tmp_path / "churn.toml").unlink()
    (tmp_path / "visits.parquet").unlink()
    _simulate(tmp_path)
    assert (tmp_path / "churn.toml").exists()


def test_an_unknown_regime_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = run(capsys, "simulate", str(tmp_path / "shop"), "--regime", "retial", "--quiet")
    assert (told.code, told.out) == (2, "")
    assert 'did you mean "retail"' in told.err
    assert not (tmp_path / "shop").exists()


def test_a_demo_of_too_few_customers_says_how_many_leavers_are_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = run(capsys, "demo", str(tmp_path / "demo"), "--customers", "40", "--quiet")
    assert (told.code, told.out) == (2, "")
    assert "at least 50 of each are needed" in told.err


def _simulate(directory: Path) -> None:
    simulate(directory, customers=20, months=3, regime="retail", seed=7)


def _demo(directory: Path) -> None:
    demo(directory, customers=20)
