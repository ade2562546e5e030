"""Nothing that training prints or keeps names a customer or repeats a text (fault 39)."""

from __future__ import annotations

import re
import sqlite3
import zipfile
from pathlib import Path

import pytest
from made_project import CANARY, CANARY_ID, Project, run

TELLING = re.compile(rb"canary\.4711|private\.example|CANARY-00-4711|C0\d{5}(?!\d)")
"""Any part of the address, the telling id, and every other id of the company."""


PICTURE = re.compile(rb"base64,[A-Za-z0-9+/=]+")
"""Pictures on a page are random letters to the eye; as files they are looked at byte by byte."""


def test_the_canaries_are_in_the_data(project: Project) -> None:
    """Else the other tests would prove nothing."""
    assert _told(CANARY.encode("utf-16-le"))
    assert _told(f"x{CANARY_ID}".encode())
    assert set(project.table("visits")["customer_id"].map(lambda one: len(_told(one.encode())) > 0)) == {True}
    for name in ("transactions", "contacts", "feedback", "incidents", "invitations", "customers", "visits"):
        table = project.table(name)
        assert (table == CANARY).any(axis=None), name
    assert (project.table("transactions")["customer_id"] == CANARY_ID).any()


def test_no_file_that_training_keeps_names_a_customer_or_repeats_a_text(project: Project) -> None:
    """Bundle, record, page, pictures, artifacts, and the store with its parameters, metrics and tags."""
    kept = [path for name in ("models", "mlruns") for path in (project.directory / name).rglob("*") if path.is_file()]
    assert {path.suffix for path in kept} >= {".json", ".txt", ".html", ".png", ".db"}
    assert [(path.name, word) for path in kept for word in _told(path.read_bytes())] == []


def test_no_parameter_metric_or_tag_does(project: Project) -> None:
    """Row by row too: a database may keep a text in pieces."""
    with sqlite3.connect(project.directory / "mlruns" / "mlflow.db") as store:
        tables = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = [row for table in tables for row in store.execute(f'SELECT * FROM "{table}"')]
    store.close()
    assert {"params", "metrics", "tags"} <= set(tables)
    assert _told(repr(rows).encode()) == []


def test_neither_training_nor_checking_prints_it(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    told = run(capsys, "check", "--config", str(project.config))
    for printed in (project.training.out, project.training.err, told.out, told.err):
        assert printed
        assert _told(printed.encode()) == []


def test_a_list_names_customers_and_repeats_no_text(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores, page = tmp_path / "scores.csv", tmp_path / "report.html"
    told = run(capsys, "score", "--out", str(scores), "--config", str(project.config))
    assert told.code == 0
    assert _told((told.out + told.err).encode()) == []
    told = run(capsys, "report", "--out", str(page), "--scores", str(scores), "--config", str(project.config))
    assert told.code == 0
    assert CANARY_ID in scores.read_text(encoding="utf-8")
    for path in (scores, page):
        assert CANARY not in path.read_text(encoding="utf-8")


def test_sensitive_columns_are_never_signals(project: Project) -> None:
    bundle = (project.bundle / "bundle.json").read_text(encoding="utf-8")
    assert "profile_region" in bundle
    assert "age_band" not in bundle


def test_a_bundle_is_text_and_nothing_else(project: Project) -> None:
    for path in project.bundle.iterdir():
        path.read_bytes().decode("utf-8")
        assert not zipfile.is_zipfile(path)


def _told(content: bytes) -> list[bytes]:
    """The telling words a content holds, in UTF-8 or in UTF-16."""
    content = PICTURE.sub(b"", content)
    return TELLING.findall(content) + TELLING.findall(content.replace(b"\0", b""))
