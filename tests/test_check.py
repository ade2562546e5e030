"""`churn check`: the gate before training, in the same words as what it guards."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from made_project import CUSTOMERS, Project, run

from churn.config import load_config
from churn.delivery.plain import plain
from churn.jobs.check import check
from churn.jobs.schedule import schedule_of
from churn.models.known import prepare
from churn.tables.sources import read_tables


def test_the_report_counts_everybody_once(project: Project) -> None:
    told = check(load_config(project.config))
    population = told["population"]
    assert told["history"]["customers"] == CUSTOMERS
    assert population["eligible"] + sum(population["removed"].values()) == CUSTOMERS
    heard = population["quiet"] + population["already_vocal"] + population["unobservable"]
    assert heard == population["eligible"]
    assert 0 < population["silent_leavers"] <= population["leavers"] < population["eligible"]


def test_check_and_train_look_at_the_same_cutoffs(project: Project) -> None:
    config = load_config(project.config)
    schedule = schedule_of(config, prepare(read_tables(config)[0], config=config))
    told = check(config)
    assert told["population"]["cutoff"] == schedule.tests[-1].label == project.training.json["cutoffs"][-1]
    assert told["population"]["training_cutoffs"] == len(schedule.cutoffs)


def test_any_number_of_buckets_has_the_same_report(project: Project) -> None:
    config = load_config(project.config)
    buckets = config.engine.model_copy(update={"buckets": 5})
    assert plain(check(config.model_copy(update={"engine": buckets}))) == plain(check(config))
    assert not (project.directory / ".churn-work").exists()


def test_a_sample_is_told_of_and_findings_and_history_are_of_everybody(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = project.copied(tmp_path / "shop")
    whole = check(load_config(copy.config))
    with copy.config.open("a", encoding="utf-8") as file:
        file.write("\n[engine]\ntraining_customers = 1000\n")
    told = check(load_config(copy.config))
    assert (told["findings"], told["history"]) == (whole["findings"], whole["history"])
    assert told["sample"] == {"customers": 1000, "of_customers": CUSTOMERS}
    assert told["population"]["eligible"] + sum(told["population"]["removed"].values()) == 1000
    assert told["population"]["cutoff"] == whole["population"]["cutoff"]
    assert whole["sample"] == {}
    shown = run(capsys, "check", "--config", str(copy.config), "--quiet").out
    assert f"Sample    what follows is told of 1,000 of the {CUSTOMERS:,} customers" in shown


def test_every_finding_says_where_it_is_and_those_that_matter_what_to_do(project: Project) -> None:
    for finding in check(load_config(project.config))["findings"]:
        assert finding["table"] in load_config(project.config).tables
        assert finding["fix"] or finding["severity"] == "info"


def test_the_candidates_of_the_horizon_are_shown_and_the_chosen_one_marked(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = project.copied(tmp_path / "shop")
    text = copy.config.read_text(encoding="utf-8")
    told = run(capsys, "check", "--config", str(copy.config), "--quiet").out
    assert "Horizon   60 days (set in churn.toml)" in told
    assert [line.split()[1] for line in told.splitlines() if line.startswith(" * ")] == ["60"]
    copy.config.write_text(text.replace("horizon_days = 60\n", "").replace("test_cutoffs", "# "), encoding="utf-8")
    told = run(capsys, "check", "--config", str(copy.config), "--quiet").out
    assert "(proposed)" in told


def test_a_column_of_equal_values_and_repeated_rows_are_found(project: Project, tmp_path: Path) -> None:
    """Faults 15 and 18 reach the user."""
    copy = project.copied(tmp_path / "shop")
    visits = copy.table("visits")
    pd.concat([visits, visits.head(50)]).assign(channel="app").to_parquet(copy.directory / "visits.parquet")
    found = {(one["code"], one["table"]): one for one in check(load_config(copy.config))["findings"]}
    assert found["constant_column", "visits"]["column"] == "channel"
    assert found["duplicate_rows", "visits"]["count"] == 50


def test_one_row_of_a_wrong_year_closes_the_gate(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = project.copied(tmp_path / "shop")
    text = copy.config.read_text(encoding="utf-8")
    copy.config.write_text(text.replace("test_cutoffs", "# "), encoding="utf-8")
    sales = copy.table("transactions")
    late = sales.tail(1).assign(time=pd.Timestamp("2049-01-01", tz="UTC"))
    pd.concat([sales, late.assign(**{c: late["time"] for c in ("available_at",) if c in late})]).to_parquet(
        copy.directory / "transactions.parquet"
    )
    told = run(capsys, "check", "--config", str(copy.config), "--quiet")
    assert told.code == 1
    assert "nobody is eligible at 20" in told.out


def test_without_a_voice_the_run_says_that_silence_cannot_be_told(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = project.copied(tmp_path / "shop")
    sections = copy.config.read_text(encoding="utf-8").split("\n\n")
    voiceless = [part for part in sections if not part.startswith(("[tables.contacts]", "[tables.feedback]"))]
    copy.config.write_text("\n\n".join(voiceless), encoding="utf-8")
    told = run(capsys, "check", "--config", str(copy.config), "--quiet")
    assert told.code == 0
    assert "no table carries their own voice, so p_silent will be null" in told.out
