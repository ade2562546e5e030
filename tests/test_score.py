"""`churn score`: rows in = rows out, each scored or with a reason; alone as in a list; what would go wrong is told."""

from __future__ import annotations

import shutil
import tomllib
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_project import CANARY_ID, Project, run

from churn.config import load_config, parse_config
from churn.delivery.files import read_metadata, read_scores
from churn.errors import OutputError, TableError
from churn.jobs.explained import Explained
from churn.jobs.lists import list_warnings, read_list
from churn.jobs.outputs import check_page_out
from churn.jobs.score import score as score_as_asked
from churn.jobs.scoring import COLUMNS
from churn.jobs.signals_of import signals_of
from churn.models.bundle import load_bundle
from churn.models.frame import rows, rows_at
from churn.models.known import prepare
from churn.tables.sources import read_tables
from churn.timeline.population import REASONS

score = partial(score_as_asked, explained=Explained("all"))
NUMBERS = ["p_leave", "p_leave_low", "p_leave_high", "p_silent", "p_vocal", "percentile", "p_no_visit_by_rhythm"]
NUMBERS += ["expected_spend", "value_at_risk"]


@pytest.fixture(scope="module")
def everybody(project: Project) -> pd.DataFrame:
    """The scores of everybody in the tables."""
    return score(load_config(project.config)).scores


def test_everybody_gets_a_row_scored_or_with_a_reason(project: Project, everybody: pd.DataFrame) -> None:
    """Fault 16."""
    ids = pd.concat([project.table(name)["customer_id"] for name in ("transactions", "customers", "visits")])
    assert sorted(everybody["customer_id"]) == sorted(set(ids))
    is_scored = everybody["status"] == "scored"
    assert is_scored.sum() > 300
    assert set(everybody["status"]) == {"scored", "not_scored"}
    assert everybody.loc[is_scored, "why_not_scored"].isna().all()
    assert set(everybody.loc[~is_scored, "why_not_scored"]) <= set(REASONS)
    assert tuple(everybody.columns) == COLUMNS


def test_who_is_not_scored_has_no_number_and_no_reason_to_leave(everybody: pd.DataFrame) -> None:
    left_out = everybody[everybody["status"] == "not_scored"]
    assert (
        left_out.drop(columns=["customer_id", "cutoff", "status", "why_not_scored", "model_id"]).isna().all(axis=None)
    )


def test_the_numbers_are_those_of_the_contract(everybody: pd.DataFrame) -> None:
    scored = everybody[everybody["status"] == "scored"]
    assert scored["p_leave"].between(0, 1).all()
    assert (scored["p_silent"] <= scored["p_leave"]).all()
    assert (scored.loc[scored["voice_status"] == "already_vocal", "p_silent"] == 0).all()
    np.testing.assert_allclose(scored["value_at_risk"], scored["p_leave"] * scored["expected_spend"], rtol=1e-12)
    assert scored["percentile"].is_monotonic_decreasing, "the riskiest come first"
    assert scored["reason_1"].head(100).notna().all(), "only who is safe may have nothing that raises her risk"


def test_the_opted_out_have_no_score_and_no_reason(project: Project, everybody: pd.DataFrame) -> None:
    """Fault 40."""
    customers = project.table("customers")
    opted_out = set(customers.loc[customers["opted_out_at"].notna(), "customer_id"])
    assert opted_out
    theirs = everybody[everybody["customer_id"].isin(opted_out)]
    assert (theirs["status"] == "not_scored").all()
    assert (theirs["why_not_scored"].isin(["opted_out", "closed", "never_active"])).all()


def test_a_customer_scores_alone_as_in_a_list_in_any_order(project: Project, everybody: pd.DataFrame) -> None:
    """Fault 17: bit for bit, whoever else is scored."""
    config = load_config(project.config)
    some = list(everybody["customer_id"][[0, 40, 200, 590, len(everybody) - 1]])
    listed = score(config, customers=some[::-1]).scores
    alone = pd.concat([score(config, customers=[one]).scores for one in some[:2]], ignore_index=True)
    expected = everybody.set_index("customer_id")
    for found in (listed, alone):
        pd.testing.assert_frame_equal(
            found.set_index("customer_id"), expected.loc[found["customer_id"]], check_exact=True, check_dtype=False
        )
    assert list(listed["customer_id"]) == some[::-1]


def test_rows_in_another_order_and_one_thread_give_the_same_scores(
    project: Project, everybody: pd.DataFrame, tmp_path: Path
) -> None:
    copy = project.copied(tmp_path / "shop")
    for path in copy.directory.glob("*.parquet"):
        pd.read_parquet(path).sample(frac=1, random_state=5).to_parquet(path, index=False)
    copy.config.write_text(copy.config.read_text(encoding="utf-8") + "\n[engine]\nthreads = 1\n", encoding="utf-8")
    pd.testing.assert_frame_equal(score(load_config(copy.config)).scores, everybody, check_exact=True)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
@pytest.mark.parametrize("is_listed", [False, True])
def test_one_or_seven_buckets_in_any_order_of_rows_make_the_same_file(
    suffix: str, is_listed: bool, project: Project, everybody: pd.DataFrame, tmp_path: Path
) -> None:
    """Fault 17: the list is sorted on disk as in memory, and keeps its own order where it has one."""
    copy = project.copied(tmp_path / "shop")
    for path in copy.directory.glob("*.parquet"):
        pd.read_parquet(path).sample(frac=1, random_state=5).to_parquet(path, index=False)
    some = [*everybody["customer_id"][::3], "nobody", everybody["customer_id"][0], " C000001"]
    customers = some[::-1] if is_listed else None
    made = []
    for place, count in ((project, 1), (copy, 7)):
        text = place.config.read_text(encoding="utf-8") + f"\n[engine]\nbuckets = {count}\n"
        config = parse_config(tomllib.loads(text), directory=place.directory)
        out = tmp_path / f"{count}{suffix}"
        made.append(score(config, out=out, customers=customers))
    assert (tmp_path / f"1{suffix}").read_bytes() == (tmp_path / f"7{suffix}").read_bytes()
    assert made[0].warnings == made[1].warnings
    assert made[0].tally.to_dict() == made[1].tally.to_dict()
    assert made[1].scores is None
    assert not (copy.directory / ".churn-work").exists()


def test_a_list_of_several_buckets_comes_out_as_a_frame_without_a_file(
    project: Project, everybody: pd.DataFrame
) -> None:
    config = load_config(project.config)
    several = config.model_copy(update={"engine": config.engine.model_copy(update={"buckets": 3})})
    found = score(several, customers=["nobody", "C000007"]).scores
    assert found is not None
    assert list(found["customer_id"]) == ["nobody", "C000007"]
    pd.testing.assert_frame_equal(score(several).scores, everybody, check_exact=True)


def test_signals_of_training_are_those_of_scoring(project: Project) -> None:
    """Fault 6: the frame of many cutoffs and the list of one date hold the same numbers, to the bit."""
    config = load_config(project.config)
    known = prepare(read_tables(config)[0], config=config)
    _, bundle, _ = load_bundle(project.bundle)
    cutoffs = [bundle.target.cutoff(known.ends).moved(-days) for days in (180, 150, 90)]
    frame = rows(known, bundle.target, cutoffs, prior=bundle.prior)
    together = signals_of(known, frame, bundle.recipes, target=bundle.target, prior=bundle.prior)
    is_asked = (frame["at"] == cutoffs[1].at).to_numpy()
    codes = frame["customer"].to_numpy()[is_asked][::7]
    alone_frame = rows_at(known, cutoffs[1], codes=codes, prior=bundle.prior)
    alone = signals_of(known, alone_frame, bundle.recipes, target=bundle.target, prior=bundle.prior)
    assert len(alone) > 20
    pd.testing.assert_frame_equal(
        alone.reset_index(drop=True), together[is_asked][::7].reset_index(drop=True), check_exact=True
    )


def test_scoring_checks_that_contributions_add_up(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 26: a batch whose contributions don't add up to the raw score never leaves."""
    from churn.drivers import contributions
    from churn.drivers.shapley import shapley_values

    monkeypatch.setattr(contributions, "shapley_values", lambda *given, **named: shapley_values(*given, **named) + 1e-3)
    with pytest.raises(RuntimeError, match="contributions miss the raw margin"):
        score(load_config(project.config))


def test_a_list_keeps_its_order_its_doubles_and_its_strangers(
    project: Project, everybody: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = everybody["customer_id"][0]
    listed = ["00123", first, "1e5", first, f" {first}", CANARY_ID]
    (tmp_path / "list.txt").write_text("\n".join(["customer_id", *listed]) + "\n\n", encoding="utf-8")
    out = tmp_path / "scores.jsonl"
    words = ("--customers", str(tmp_path / "list.txt"), "--config", str(project.config), "--json", "--quiet")
    told = run(capsys, "score", "--out", str(out), *words)
    assert told.code == 0
    scores = read_scores(out)
    assert list(scores["customer_id"]) == listed
    assert list(scores["why_not_scored"][[0, 2, 4]]) == ["unknown"] * 3
    assert list(scores.astype(str).loc[1]) == list(scores.astype(str).loc[3])
    summary = told.json
    assert summary["rows"] == summary["scored"] + sum(summary["not_scored"].values()) == len(listed)
    assert "1 line of the list repeats an id" in told.err
    assert "1 unknown id differs from a known one only in spaces, capitals or leading zeros" in told.err


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        (b"c1\nc2\n", ["c1", "c2"]),
        (b"customer_id\r\nc1\r\n", ["c1"]),
        (b"\xef\xbb\xbfid;name\nc1;Anna\n00123;Zoe\n", ["c1", "00123"]),
        (b"Kunde\tx\nc1\ty\n", ["c1"]),
        ("ID\n晚点\n".encode("utf-16"), ["晚点"]),
        (b'"a,b",x\n"c d"\n', ["a,b", "c d"]),
        (b"\n\n c1\n\n", [" c1"]),
        (b"id,name\nc1,Anna\n,Zoe\n,\nc2,ID\n", ["c1", "", "c2"]),
        (b"c1,ID\nc2,ID\n", ["c1", "c2"]),
    ],
)
def test_lists_are_read_as_users_keep_them(content: bytes, ids: list[str], tmp_path: Path) -> None:
    (tmp_path / "churn.toml").write_text(
        '[tables.transactions]\npath = "t.csv"\ncustomer_id = "Kunde"\n', encoding="utf-8"
    )
    (tmp_path / "list").write_bytes(content)
    assert read_list(tmp_path / "list", config=load_config(tmp_path / "churn.toml")) == ids


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "lists nobody"),
        (b"customer_id\n", "lists nobody"),
        (b"name,Customer_ID\nAnna,c1\n", '"Customer_ID" is column 2; the ids must be in the first'),
        (b"\xff\x00\x01", "not readable"),
        (b"a\0b", "readable"),
    ],
)
def test_a_list_that_is_none_is_refused(content: bytes, message: str, project: Project, tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(content)
    config = load_config(project.config)
    with pytest.raises(TableError, match=message):
        read_list(tmp_path / "list", config=config)
    with pytest.raises(TableError, match="does not exist; give a text or CSV file"):
        read_list(tmp_path / "none", config=config)
    with pytest.raises(TableError, match="is a folder"):
        read_list(tmp_path, config=config)


def test_a_list_is_doubted_only_where_it_looks_wrong() -> None:
    assert list_warnings(["a", "b"], unknown=["b"], known=["a", "c"]) == []
    assert len(list_warnings(["123", "123"], unknown=["123"], known=["00123"])) == 2


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_each_format_holds_the_same_scores(
    suffix: str, project: Project, everybody: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"s{suffix}"
    told = run(capsys, "score", "-o", str(out), "-c", str(project.config), "--quiet")
    assert told.code == 0
    assert f"wrote {out}" in told.out
    found = read_scores(out)
    assert list(found["customer_id"]) == list(everybody["customer_id"])
    np.testing.assert_array_equal(found[NUMBERS].to_numpy(float), everybody[NUMBERS].to_numpy(float))
    if suffix == ".parquet":
        assert read_metadata(out)["model_id"] == project.bundle.name


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("s.ods", "use .parquet, .csv, .jsonl or .xlsx"),
        ("s", "has no suffix"),
        ("nowhere/s.csv", "make it first: mkdir -p"),
        ("churn.toml/s.csv", "is a file, not a folder"),
        ("visits.parquet", "is one of the files read; scores would overwrite it"),
        ("truth/../visits.parquet", "is one of the files read"),
        ("list.csv", "is one of the files read"),
        ("folder.csv", "is a folder; name a file in it"),
    ],
)
def test_where_scores_cannot_go_is_told_before_the_work(
    out: str, message: str, project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = project.copied(tmp_path / "shop")
    (copy.directory / "folder.csv").mkdir()
    (copy.directory / "list.csv").write_text("C000001\n", encoding="utf-8")
    before = {path: path.read_bytes() for path in copy.directory.rglob("*") if path.is_file()}
    words = ("--customers", str(copy.directory / "list.csv"), "--config", str(copy.config))
    told = run(capsys, "score", "--out", str(copy.directory / out), *words)
    assert (told.code, told.out) == (2, "")
    assert message in told.err
    assert "reading tables" not in told.err
    assert {path: path.read_bytes() for path in copy.directory.rglob("*") if path.is_file()} == before


def test_a_page_is_never_written_over_scores(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"use a name that ends in \.html"):
        check_page_out(tmp_path / "scores.parquet")


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ("2010-01-01", "the first activity is of 2023-01-01; give a later date"),
        ("2031-01-01", "everybody would look gone"),
        ("yesterday", '--at "yesterday" is no date; write it as 2025-03-01 or 2025-03-01T12:00'),
        ("0001-01-01", "the first activity is of"),
    ],
)
def test_dates_that_make_no_sense_are_refused(
    at: str, message: str, project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--at", at, "--out", str(tmp_path / "s.csv"), "--config", str(project.config), "--quiet")
    told = run(capsys, "score", *words)
    assert (told.code, told.out) == (2, "")
    assert message in told.err
    assert not list(tmp_path.iterdir())


def test_tables_out_of_date_are_warned_of(project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--at", "2024-07-20", "--out", str(tmp_path / "s.csv"), "--config", str(project.config), "--quiet")
    told = run(capsys, "score", *words)
    assert told.code == 0
    assert "warning: the last activity is of 2024-06-30, 19 days before 2024-07-20" in told.err


def test_a_date_when_nobody_can_be_scored_gives_everybody_her_reason(project: Project) -> None:
    scored = score(load_config(project.config), at=int(pd.Timestamp("2023-01-02").value // 1000))
    assert (scored.scores["status"] == "not_scored").all()
    assert set(scored.scores["why_not_scored"]) == {"never_active", "one_timer"}


def test_a_table_that_is_absent_at_scoring_is_refused_or_warned_of_on_every_row(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault 19."""
    copy = project.copied(tmp_path / "shop")
    text = copy.config.read_text(encoding="utf-8").replace('[tables.incidents]\npath = "incidents.parquet"\n', "")
    copy.config.write_text(text, encoding="utf-8")
    out = tmp_path / "s.csv"
    words = ("score", "--out", str(out), "--config", str(copy.config), "--quiet")
    told = run(capsys, *words)
    assert (told.code, told.out) == (2, "")
    assert "the model was trained with incidents, absent now" in told.err
    assert 'missing_table = "warn"' in told.err
    assert not out.exists()
    copy.config.write_text('missing_table = "warn"\n' + text, encoding="utf-8")
    told = run(capsys, *words)
    assert told.code == 0
    assert "warning: the model was trained with incidents, absent now" in told.err
    assert read_scores(out)["warning"].str.startswith("the model was trained with incidents").all()


def test_a_column_that_is_absent_at_scoring_is_refused_too_unless_no_signal_reads_it(
    project: Project, tmp_path: Path
) -> None:
    copy = project.copied(tmp_path / "shop")
    contacts = copy.table("contacts").drop(columns="text")
    contacts.to_parquet(copy.directory / "contacts.parquet")
    config = load_config(copy.config)
    assert not any("absent now" in each for each in score(config).warnings)
    contacts.drop(columns="resolved_at").to_parquet(copy.directory / "contacts.parquet")
    with pytest.raises(TableError, match=r"trained with contacts\.resolved_at, absent now"):
        score(config)


def test_scores_of_a_newest_model_that_was_not_promoted_come_with_a_warning(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = project.copied(tmp_path / "shop")
    (copy.directory / "models" / "champion.json").unlink()
    shutil.rmtree(copy.directory / "models" / f"{project.bundle.name}.training")
    told = run(capsys, "score", "--out", str(tmp_path / "s.csv"), "--config", str(copy.config), "--quiet")
    assert told.code == 0
    assert "warning: no model has been promoted" in told.err
