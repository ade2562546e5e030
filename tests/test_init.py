"""`churn init`: a `churn.toml` that can be read back, guessed or empty, and never over one that is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_project import Project, run

from churn.config import load_config
from churn.errors import OutputError, TableError
from churn.jobs.init import init


def test_a_folder_of_exports_is_guessed_and_can_be_checked(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = run(capsys, "init", str(tmp_path), "--from", str(project.directory))
    assert told.code == 0
    assert "customer_id = customer_id" in told.out
    assert "placeholder" not in told.out
    assert set(load_config(tmp_path / "churn.toml").tables) == set(load_config(project.config).tables)
    checked = run(capsys, "check", "--config", str(tmp_path / "churn.toml"), "--quiet")
    assert checked.code == 0


def test_what_cannot_be_guessed_is_left_to_the_user_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "exports"
    source.mkdir()
    (source / "a.csv").write_text("colour,taste\nred,sweet\nblue,sour\n", encoding="utf-8")
    told = run(capsys, "init", str(tmp_path / "shop"), "--from", str(source))
    assert told.code == 0
    assert "fill in [tables.transactions]: set its path and columns" in told.out
    assert "transactions: data" not in told.out, "a placeholder is no guess"
    assert "not read: a.csv (no table's columns are in it, or not under names that are known here)" in told.out


def test_a_file_whose_times_are_written_in_two_ways_is_named_with_its_column(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sales.csv").write_text("customer,date,amount\na,2024-01-31,5\nb,31/01/2024,6\n", encoding="utf-8")
    told = run(capsys, "init", str(tmp_path / "shop"), "--from", str(tmp_path))
    assert 'not read: sales.csv (looks like transactions, but its column "date" does not hold times' in told.out


def test_a_template_names_every_table_and_the_next_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = run(capsys, "init", str(tmp_path / "shop"))
    assert told.code == 0
    config = tmp_path / "shop" / "churn.toml"
    assert f"check --config {config}" in told.out
    assert "[tables.feedback]" in config.read_text(encoding="utf-8")
    assert run(capsys, "init", str(tmp_path / "other"), "--json").json["missing"]


def test_a_configuration_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "churn.toml").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="is there already; move it away, or name another folder: churn init DIR"):
        init(tmp_path, source=None)
    assert (tmp_path / "churn.toml").read_text(encoding="utf-8") == "mine"


def test_a_folder_that_is_missing_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="is no folder; give the folder that holds your CSV or Parquet files"):
        init(tmp_path, source=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(TableError, match="has no CSV or Parquet file in it"):
        init(tmp_path, source=tmp_path / "empty")
    assert not (tmp_path / "churn.toml").exists()


def test_a_place_that_cannot_hold_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot be made"):
        init(tmp_path / "file" / "shop", source=None)
