"""A list that is made is not made again, and says what it was made of."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from made_project import Project, run

from churn.config import Config, load_config
from churn.delivery.about import about, about_path
from churn.delivery.files import read_metadata
from churn.jobs.explained import Explained
from churn.jobs.score import score


@pytest.fixture
def shop(project: Project, tmp_path: Path) -> Project:
    return project.copied(tmp_path / "shop")


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".xlsx"])
def test_a_rerun_leaves_the_file_and_says_so(suffix: str, shop: Project, capsys: pytest.CaptureFixture[str]) -> None:
    out = shop.directory / f"scores{suffix}"
    words = ("score", "--out", str(out), "--config", str(shop.config), "--json", "--quiet")
    first = run(capsys, *words)
    before = out.stat()
    second = run(capsys, *words)
    assert (first.code, second.code) == (0, 0)
    assert (before.st_ino, before.st_mtime_ns) == (out.stat().st_ino, out.stat().st_mtime_ns)
    assert second.json == {**first.json, "is_unchanged": True}
    assert not first.json["is_unchanged"]
    shown = run(capsys, *words[:-2])
    assert f"unchanged {out}: 1,200 customers" in shown.out
    assert "remove it to make it anew" in shown.out


def test_whatever_scores_depend_on_makes_them_anew(shop: Project) -> None:
    config, out = load_config(shop.config), shop.directory / "scores.csv"

    def is_made(given: Config, **asked: object) -> bool:
        return not score(given, out=out, **asked).is_unchanged  # type: ignore[arg-type]

    assert is_made(config)
    assert not is_made(config)
    assert is_made(config, explained=Explained("top", count=7))
    assert is_made(config, customers=["C000007"])
    assert not is_made(config, customers=["C000007"])
    assert is_made(config, customers=["C000007"], at=int(pd.Timestamp("2024-06-01").value // 1000))
    assert is_made(config.model_copy(update={"currency": "GBP"}))
    out.write_text("changed by hand", encoding="utf-8")
    assert is_made(config.model_copy(update={"currency": "GBP"}))
    visits = shop.table("visits")
    visits.iloc[1:].to_parquet(shop.directory / "visits.parquet")
    assert is_made(config.model_copy(update={"currency": "GBP"}))


def test_a_file_says_what_made_it(shop: Project) -> None:
    config, out = load_config(shop.config), shop.directory / "scores.parquet"
    made = score(config, out=out)
    told = read_metadata(out)
    assert (told["model_id"], told["cutoff"], told["reasons"]) == (made.model_id, made.cutoff, "top:200")
    assert set(json.loads(told["data"])) == set(config.tables)
    assert json.loads(told["warnings"]) == list(made.warnings)
    assert json.loads(told["tally"]) == made.tally.to_dict()
    assert "job" not in told, "the same tables elsewhere give the same bytes"
    beside = about(out)
    assert beside is not None
    assert {name: text for name, text in beside.items() if name != "job"} == told
    about_path(out).write_text("no JSON", encoding="utf-8")
    assert about(out) is None


def test_the_data_and_the_signals_have_names_that_change_with_them(shop: Project) -> None:
    config, out = load_config(shop.config), shop.directory / "scores.parquet"
    score(config, out=out, customers=["C000007"])
    before = read_metadata(out)
    visits = shop.table("visits")
    visits.sample(frac=1, random_state=3).to_parquet(shop.directory / "visits.parquet")
    score(config, out=out, customers=["C000007"])
    assert read_metadata(out)["data"] == before["data"], "in another order they are the same rows"
    visits.iloc[1:].to_parquet(shop.directory / "visits.parquet")
    score(config, out=out, customers=["C000007"])
    after = read_metadata(out)
    changed = {name for name, text in json.loads(after["data"]).items() if text != json.loads(before["data"])[name]}
    assert changed == {"visits"}
    assert after["signals"] == before["signals"]
