"""A user's mistakes: exit code 2 (1 from `check`), every problem at once, the fix in it, never a traceback."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from made_project import Project, run

from churn.errors import (
    BundleError,
    ChurnError,
    ConfigError,
    CutoffError,
    LeakError,
    NotEnoughDataError,
    OutputError,
    TableError,
    did_you_mean,
)

TABLE = '[tables.transactions]\npath = "t.csv"\n'
SOME_ROWS = "customer_id,time,amount\nc1,2023-01-01,5\nc2,2023-02-01,6\n"


@pytest.mark.parametrize(
    "kind", [BundleError, ConfigError, CutoffError, LeakError, NotEnoughDataError, OutputError, TableError]
)
def test_a_users_mistake_ends_with_2(kind: type[ChurnError]) -> None:
    assert kind("one").exit_code == 2
    assert kind(["one", "two"]).problems == ("one", "two")
    assert str(kind(["one", "two"])) == "one\ntwo"


def test_only_a_close_word_is_meant() -> None:
    assert did_you_mean("amuont", ["amount", "time"]) == '; did you mean "amount"?'
    assert did_you_mean("zebra", ["amount", "time"]) == ""


@pytest.mark.parametrize(
    ("toml", "messages"),
    [
        ("", ["tables is required: add [tables.transactions] with a `path`"]),
        ("x = [\n", ["not readable as TOML"]),
        ("sead = 3\n" + TABLE, ['(line 1): "sead" is no setting; did you mean "seed"?']),
        ("seed = 'a'\ngap_days = -1\n" + TABLE, ["(line 1): seed", "(line 2): gap_days"]),
        ('timezone = "Mars"\n' + TABLE, ['"Mars" is no time zone; use a name such as']),
        ('[tables]\ntransactions = "t.csv"\n', ["write them under a line [tables.transactions]"]),
        ("contact = 3\n" + TABLE, ["write them under a line [contact]"]),
        (TABLE + '[tables.visists]\npath = "v.csv"\n', ['"visists" is no table; did you mean "visits"?']),
        ('[tables.visits]\npath = "t.csv"\n', ["`transactions` is required"]),
        (
            TABLE + 'time = "tiem"\namount = "amuont"\n',
            [
                'transactions: column "tiem" is not in t.csv; did you mean "time"?',
                'transactions: column "amuont" is not in t.csv; did you mean "amount"?',
                "Set tables.transactions.amount in churn.toml (line 4).",
            ],
        ),
        ('[tables.transactions]\npath = "orders.csv"\n', ["orders.csv does not exist (", "t.csv"]),
        ('[tables.transactions]\npath = "${NOT_SET_HERE}.csv"\n', ["export NOT_SET_HERE="]),
        (TABLE + '[tables.visits]\npath = "v.csv"\n', ["visits: v.csv does not exist"]),
        ("horizon_days = 3000\n" + TABLE, ["too short for a horizon of 3000 days", "at least 9"]),
        ("test_cutoffs = [2031-01-01]\n" + TABLE, ["the last valid cutoff is 20", "test_cutoffs"]),
        ('population = "contract"\n' + TABLE, ["[tables.subscriptions]"]),
        ('activity = "visits"\n' + TABLE, ['activity = "visits" needs the table visits: add [tables.visits]']),
    ],
)
def test_a_configuration_is_refused_with_every_problem_and_its_fix(
    toml: str, messages: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "churn.toml").write_text(toml, encoding="utf-8")
    (tmp_path / "t.csv").write_text(SOME_ROWS, encoding="utf-8")
    told = run(capsys, "check", "--config", str(tmp_path / "churn.toml"), "--quiet")
    assert told.code in (1, 2)
    shown = told.out + told.err
    assert [message for message in messages if message not in shown] == [], shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "transactions: t.csv is empty"),
        ("customer_id,time,amount\n", "transactions: t.csv has a header and no rows"),
        ("\0" * 40, "NUL byte"),
        ("customer_id;time;amount\nc1;2023-01-01\n", "rows 1"),
        ("customer_id,time,amount\nc1,01/02/2023,5\n", 'set tables.transactions.time_format, such as "%d/%m/%Y"'),
        ("customer_id,time,amount\nc1,01.02.2023,5\n", 'such as "%d.%m.%Y" (day first) or "%m.%d.%Y" (month first)'),
        (
            "customer_id,time,amount\nc1,01/02/2023,5\nc1,2023-01-02,5\n",
            "write all times in one way, such as 2025-03-01",
        ),
        ("customer_id,time,amount\nc1,2023-01-01,5 EUR\n", "write plain numbers, such as 1234.56"),
        ("customer_id,time,amount\nc1,2023-01-01,-5\n", "no table holds a purchase"),
        ("hello\nworld\n", 'column "amount" is not in t.csv'),
    ],
)
def test_a_file_that_is_no_table_is_refused_by_name(
    content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "churn.toml").write_text(TABLE, encoding="utf-8")
    (tmp_path / "t.csv").write_text(content, encoding="utf-8")
    for name in ("check", "train"):
        told = run(capsys, name, "--config", str(tmp_path / "churn.toml"), "--quiet")
        assert (told.code, told.out) == (2, "")
        assert message in told.err
    assert not (tmp_path / "models").exists()


def test_data_in_the_place_of_the_configuration_is_told_apart_from_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_text(SOME_ROWS, encoding="utf-8")
    told = run(capsys, "check", "--config", str(tmp_path / "t.csv"), "--quiet")
    assert told.code == 2
    assert (
        f"t.csv is a file of data; the churn.toml that says how to read it is written by: churn init --from {tmp_path}"
        in told.err
    )


def test_a_spreadsheets_csv_is_read_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{row % 9:05d};{1 + row % 28:02d}.{1 + row % 12:02d}.2023;1,50" for row in range(99)]
    lines = ["Kunde;Datum;Betrag", *rows]
    (tmp_path / "t.csv").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    mapping = 'customer_id = "Kunde"\ntime = "Datum"\namount = "Betrag"\ndecimal = ","\ntime_format = "%d.%m.%Y"\n'
    (tmp_path / "churn.toml").write_text(TABLE + mapping, encoding="utf-8")
    told = run(capsys, "check", "--config", str(tmp_path / "churn.toml"), "--json", "--quiet").json
    assert told["history"]["customers"] == 9


@pytest.mark.parametrize(
    ("customers", "leavers", "message"),
    [
        (1, 0, "0 leavers and 1 stayer, at least 50 of each are needed"),
        (200, 0, "0 leavers and 200 stayers, at least 50 of each are needed"),
        (200, 49, "49 leavers and "),
    ],
)
def test_too_little_to_learn_from_is_refused_before_fitting_and_says_how_much_is_needed(
    customers: int, leavers: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault 14: one customer, one class, fewer than 50 leavers (customers, not their rows at many cutoffs)."""
    config = _company(tmp_path, customers=customers, leavers=leavers)
    told = run(capsys, "check", "--config", str(config), "--quiet")
    assert told.code == 1
    assert message in told.out
    told = run(capsys, "train", "--config", str(config), "--quiet")
    assert (told.code, told.out) == (2, "")
    assert message in told.err
    assert not (tmp_path / "models").exists()


def test_a_history_of_a_day_is_refused_and_says_how_much_is_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "churn.toml").write_text(TABLE, encoding="utf-8")
    (tmp_path / "t.csv").write_text("customer_id,time,amount\nc1,2023-01-01,5\n", encoding="utf-8")
    told = run(capsys, "train", "--config", str(tmp_path / "churn.toml"), "--quiet")
    assert told.code == 2
    assert "days of history are too short" in told.err
    assert "days are needed" in told.err


def test_without_a_model_scoring_says_how_to_get_one(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "churn.toml"
    shutil.copy(project.config, config)
    for words in (("score", "--out", str(tmp_path / "s.csv")), ("why", "C000001"), ("report", "--out", "r.html")):
        told = run(capsys, *words, "--config", str(config), "--quiet")
        assert (told.code, told.out) == (2, "")
        assert told.err == f"error: no model in {tmp_path / 'models'}; train one first: churn train\n"


@pytest.mark.parametrize("name", ["bundle.json", "leave.txt", "SHA256SUMS"])
@pytest.mark.parametrize("damage", ["truncated", "one byte", "gone", "empty"])
def test_a_damaged_bundle_is_refused(
    name: str, damage: str, project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = _only_model(project, tmp_path)
    path = tmp_path / "models" / project.bundle.name / name
    _damage(path, damage)
    told = run(capsys, "score", "--out", str(tmp_path / "s.csv"), "--config", str(config), "--quiet")
    assert (told.code, told.out) == (2, "")
    assert str(path.parent) in told.err
    assert any(fix in told.err for fix in ("churn train", "copy the bundle again", "checksum differs"))
    assert not (tmp_path / "s.csv").exists()


def test_a_bundle_that_is_none_is_refused(project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for bundle in (tmp_path, tmp_path / "nowhere"):
        words = ("score", "--out", str(tmp_path / "s.csv"), "--bundle", str(bundle), "--config", str(project.config))
        told = run(capsys, *words, "--quiet")
        assert told.code == 2
        assert f"{bundle} is no bundle" in told.err


def test_a_damaged_pointer_to_the_champion_is_refused(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = _only_model(project, tmp_path)
    for content in ("{", '{"model_id": "../../elsewhere"}', '{"model_id": "0123456789abcdef"}'):
        (tmp_path / "models" / "champion.json").write_text(content, encoding="utf-8")
        told = run(capsys, "why", "C000001", "--config", str(config), "--quiet")
        assert told.code == 2
        assert "champion.json" in told.err
        assert "churn train" in told.err


def _only_model(project: Project, directory: Path) -> Path:
    """The project's model in a folder of its own; the tables stay where they are."""
    shutil.copytree(project.directory / "models", directory / "models")
    text = project.config.read_text(encoding="utf-8").replace('path = "', f'path = "{project.directory}/')
    (directory / "churn.toml").write_text(text, encoding="utf-8")
    return directory / "churn.toml"


def _damage(path: Path, damage: str) -> None:
    content = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
        return
    if damage == "one byte":
        content[len(content) // 2] ^= 1
    path.write_bytes({"truncated": bytes(content[:-9]), "one byte": bytes(content), "empty": b""}[damage])


def _company(directory: Path, *, customers: int, leavers: int) -> Path:
    """Customers who come every week for 600 days, but for leavers who stop one after the other, long before the end."""
    days = np.arange(0, 600, 7)
    lines = ["customer_id,time,amount"]
    for customer in range(customers):
        last = 90 + 6 * customer if customer < leavers else 600
        dates = np.datetime64("2023-01-01") + (days[days < last] + customer % 7).astype("timedelta64[D]")
        lines += [f"c{customer},{date},10" for date in dates]
    (directory / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (directory / "churn.toml").write_text("train_every_days = 14\nhorizon_days = 28\n" + TABLE, encoding="utf-8")
    return directory / "churn.toml"
