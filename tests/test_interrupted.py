"""Stopped, out of disk, or not alone: exit codes and plain words, the old file or none, and the same list after all."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from made_project import Project, command, environment, run_apart

from churn.tables.atomic import CAN_LOCK, claim, release, sign

pytestmark = pytest.mark.skipif(not CAN_LOCK, reason="signals, limits and locks as on Unix")
SMALL = 120_000
"""Bytes that no file may outgrow: buckets fit, the list does not."""


@pytest.fixture
def shop(project: Project, tmp_path: Path) -> Project:
    copy = project.copied(tmp_path / "shop")
    copy.config.write_text(copy.config.read_text(encoding="utf-8") + "\n[engine]\nbuckets = 6\n", encoding="utf-8")
    return copy


def stopped(shop: Project, out: Path, which: signal.Signals, *, after: str) -> tuple[int, str]:
    """How a scoring ends that is sent a signal once it has said a word."""
    words = command("score", "--out", str(out), "--config", str(shop.config))
    with subprocess.Popen(words, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = ""
        while after not in said:
            line = process.stderr.readline()
            assert line, f"ended before it said {after}: {said}"
            said += line
        process.send_signal(which)
        said += process.stderr.read()
    return process.returncode, said


@pytest.mark.parametrize(
    ("which", "code", "words", "after"),
    [
        (signal.SIGTERM, 143, "stopped; nothing is half-written", "sorting"),
        (signal.SIGINT, 130, "interrupted; nothing is half-written", "scoring at"),
    ],
)
def test_a_stopped_run_is_gone_on_with(
    which: signal.Signals, code: int, words: str, after: str, shop: Project, tmp_path: Path
) -> None:
    out = tmp_path / "scores.csv"
    found, said = stopped(shop, out, which, after=after)
    assert found == code
    assert words in said
    assert not out.exists()
    assert (shop.directory / ".churn-work").exists()
    again = run_apart("score", "--out", str(out), "--config", str(shop.config))
    assert again.code == 0
    assert "splitting" not in again.err
    whole = run_apart("score", "--out", str(tmp_path / "whole.csv"), "--config", str(shop.config), "--quiet")
    assert whole.code == 0
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_full_disk_is_a_plain_error_and_the_rerun_goes_on(shop: Project, tmp_path: Path) -> None:
    out = tmp_path / "scores.jsonl"
    words = command("score", "--out", str(out), "--config", str(shop.config), "--reasons", "all")
    limited = subprocess.run(
        ["bash", "-c", f'ulimit -f {SMALL // 1024}; exec "$@"', "limited", *words],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert limited.returncode == 2, limited.stderr
    assert "it grew over the allowed file size" in limited.stderr or "was not written" in limited.stderr
    assert "Traceback" not in limited.stderr
    assert not out.exists()
    again = run_apart("score", "--out", str(out), "--config", str(shop.config), "--reasons", "all")
    assert again.code == 0
    assert out.exists()


def test_two_scorers_do_not_meet(shop: Project, tmp_path: Path) -> None:
    lock = tmp_path / ".churn-tmp-scores.csv.lock"
    held = claim(lock)
    sign(held)
    try:
        told = run_apart("score", "--out", str(tmp_path / "scores.csv"), "--config", str(shop.config), "--quiet")
    finally:
        release(held)
    assert told.code == 2
    assert f"is being made by another run (process {os.getpid()})" in told.err


def test_missing_inputs_are_refused_before_a_row_is_read(shop: Project, tmp_path: Path) -> None:
    text = shop.config.read_text(encoding="utf-8").replace('[tables.incidents]\npath = "incidents.parquet"\n', "")
    shop.config.write_text(text, encoding="utf-8")
    told = run_apart("score", "--out", str(tmp_path / "scores.csv"), "--config", str(shop.config))
    assert told.code == 2
    assert "the model was trained with incidents, absent now" in told.err
    assert "reading tables" not in told.err
    assert "splitting" not in told.err
    assert not (shop.directory / ".churn-work").exists()
