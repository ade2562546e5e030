"""`churn.toml` is checked once, and every problem names its line and its fix."""

import os
from pathlib import Path

import pytest

from churn.config import Config, line_of, load_config, parse_config
from churn.errors import ConfigError

SALES = {"transactions": {"path": "sales.csv"}}


def write(folder: Path, text: str) -> Path:
    path = folder / "churn.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_least_configuration_is_one_path(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, '[tables.transactions]\npath = "sales.csv"\namount = "total"\n'))
    assert config.tables["transactions"].columns == {"amount": "total"}
    assert config.resolve("sales.csv") == tmp_path / "sales.csv"
    assert (config.timezone, config.activity, config.gap_days) == ("UTC", "purchases", 0)


def test_every_problem_is_named_at_once_with_its_line(tmp_path: Path) -> None:
    text = 'horizn_days = 30\nactivity = "calls"\ntimezone = "Mars/Base"\n[tables.transactions]\npath = "sales.csv"\n'
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert caught.value.exit_code == 2
    problems = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 3
    assert 'churn.toml (line 1): "horizn_days" is no setting; did you mean "horizon_days"?' in problems
    assert "churn.toml (line 2): activity" in problems
    assert 'churn.toml (line 3): timezone: "Mars/Base" is no time zone' in problems


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"visits": {"path": "visits.csv"}}, "`transactions` is required"),
        ({**SALES, "feedbak": {"path": "x.csv"}}, 'did you mean "feedback"'),
        ({"transactions": {}}, "give either `path` or `query`"),
        ({"transactions": {"path": "a.csv", "query": "SELECT 1"}}, "give either `path` or `query`"),
        ({"transactions": {"path": "a.csv", "files": {"a": "a.csv"}}}, "`files` names the inputs of a `query`"),
        ({"transactions": {"path": "a.csv", "encoding": "klingon"}}, "encoding"),
        ({"transactions": {"path": "a.csv", "timezone": "Nowhere"}}, "is no time zone"),
        ({"transactions": {"path": "a.csv", "amount": 3}}, r"tables\.transactions\.amount"),
    ],
)
def test_tables_that_cannot_be_meant_are_refused(tables: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config({"tables": tables}, directory=Path())


def test_numbers_are_not_taken_from_text() -> None:
    with pytest.raises(ConfigError, match="horizon_days"):
        parse_config({"horizon_days": "30", "tables": SALES}, directory=Path())


@pytest.mark.parametrize(
    ("population", "meaning"), [("rhythm", None), ("active:180", (180, 1)), ("active:90:3", (90, 3))]
)
def test_population_is_the_rhythm_rules_or_recent_orders(population: str, meaning: tuple[int, int] | None) -> None:
    assert parse_config({"population": population, "tables": SALES}, directory=Path()).active_within == meaning


def test_an_unknown_population_is_refused() -> None:
    with pytest.raises(ConfigError, match="active:<days>"):
        parse_config({"population": "active:0", "tables": SALES}, directory=Path())


def test_variables_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALES_FOLDER", "exports")
    given = {"tables": {"transactions": {"path": "${SALES_FOLDER}/sales.csv"}}}
    assert parse_config(given, directory=Path()).tables["transactions"].path == "exports/sales.csv"


def test_a_variable_that_is_not_set_is_named() -> None:
    assert "NOT_SET_ANYWHERE" not in os.environ
    with pytest.raises(ConfigError, match="export NOT_SET_ANYWHERE="):
        parse_config({"currency": "${NOT_SET_ANYWHERE}", "tables": SALES}, directory=Path())


def test_a_missing_or_broken_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="churn init"):
        load_config(tmp_path / "churn.toml")
    with pytest.raises(ConfigError, match="not readable as TOML"):
        load_config(write(tmp_path, "tables = [\n"))


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "churn.toml"
    path.write_text('[tables.transactions]\npath = "a.csv"\n', encoding="utf-8-sig")
    assert isinstance(load_config(path), Config)


def test_the_line_of_a_setting_or_of_its_section() -> None:
    source = 'seed = 1\n# score = "no"\n[tables.feedback]\npath = "x"\nscore = "scroe"\n\n[tables.visits]\npath = "y"\n'
    assert line_of(source, "tables", "feedback", "score") == 5
    assert line_of(source, "tables", "feedback", "time") == 3
    assert line_of(source, "tables", "contacts", "time") is None
    assert line_of(source, "seed") == 1


def test_a_folder_in_place_of_the_file_is_told_as_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder; name the file in it"):
        load_config(tmp_path)
