"""Files are whole or not there, and scores come back as they went out."""

from __future__ import annotations

import csv
import errno
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn.delivery.files import (
    LEFTOVER,
    claim,
    read_metadata,
    read_scores,
    release,
    remove_leftovers,
    replacing,
    write_atomically,
    write_scores,
)
from churn.errors import OutputError

HOSTILE = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "\nx",
    "'=1",
    "''=1",
    "'plain",
    "00123",
    "1e5",
    "NA",
    "null",
    "ü\r",
    'a"b,c',
]


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(f"{LEFTOVER}*"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def score_list(ids: list[str]) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    count = len(ids)
    return pd.DataFrame(
        {
            "customer_id": ids,
            "cutoff": pd.Timestamp("2011-07-12", tz="UTC"),
            "status": "scored",
            "why_not_scored": None,
            "p_leave": rng.random(count),
            "p_silent": [None, *rng.random(count - 1)],
            "band": pd.Categorical(rng.choice(["low", "high"], count), ["low", "high"]),
            "reason_1": "=cmd|' /C calc'!A0",
            "value_at_risk": -rng.random(count) / 3,
        }
    )


class TestWriteAtomically:
    def test_replaces_the_old_file_and_leaves_nothing(self, tmp_path: Path) -> None:
        target = tmp_path / "a.txt"
        target.write_text("old")
        write_atomically(target, lambda new: new.write_text("new"))
        assert target.read_text() == "new"
        assert names(tmp_path) == ["a.txt"]

    def test_an_exception_keeps_the_old_file(self, tmp_path: Path) -> None:
        target = tmp_path / "a.txt"
        target.write_text("old")

        def fail(new: Path) -> None:
            new.write_text("half")
            raise RuntimeError("power")

        with pytest.raises(RuntimeError, match="power"):
            write_atomically(target, fail)
        assert target.read_text() == "old"
        assert leftovers(tmp_path) == []

    def test_the_temporary_file_stands_beside_the_target_with_its_suffix(self, tmp_path: Path) -> None:
        with replacing(tmp_path / "a.parquet") as temporary:
            assert temporary.parent == tmp_path
            assert temporary.suffix == ".parquet"
            temporary.write_bytes(b"x")

    def test_keeps_the_rights_of_the_old_file(self, tmp_path: Path) -> None:
        target = tmp_path / "private.csv"
        target.write_text("old")
        target.chmod(0o600)
        write_atomically(target, lambda new: new.write_text("new"))
        assert target.stat().st_mode & 0o777 == 0o600

    def test_a_new_file_has_the_usual_rights(self, tmp_path: Path) -> None:
        target, plain = tmp_path / "a", tmp_path / "b"
        write_atomically(target, lambda new: new.write_text("new"))
        plain.write_text("new")
        assert target.stat().st_mode == plain.stat().st_mode

    def test_works_in_the_current_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        write_atomically(Path("a.txt"), lambda new: new.write_text("new"))
        assert (tmp_path / "a.txt").read_text() == "new"


class TestRefusals:
    def refused(self, path: Path, *, match: str) -> None:
        with pytest.raises(OutputError, match=match):
            write_atomically(path, lambda new: new.write_text("x"))

    def test_a_folder(self, tmp_path: Path) -> None:
        self.refused(tmp_path, match="is a folder; name a file in it")

    def test_a_missing_folder(self, tmp_path: Path) -> None:
        self.refused(tmp_path / "no" / "a.txt", match="does not exist; make it first: mkdir -p")

    def test_a_file_as_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        self.refused(tmp_path / "file" / "a.txt", match="cannot be written")

    def test_a_link_is_neither_followed_nor_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "target").write_text("old")
        link = tmp_path / "link"
        link.symlink_to(tmp_path / "target")
        self.refused(link, match="is a link; name the file it points to")
        assert link.is_symlink()
        assert (tmp_path / "target").read_text() == "old"

    def test_a_dangling_link(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(tmp_path / "nowhere")
        self.refused(tmp_path / "link", match="is a link")

    def test_a_device(self) -> None:
        self.refused(Path("/dev/null"), match="no regular file")

    def test_a_name_that_is_too_long(self, tmp_path: Path) -> None:
        self.refused(tmp_path / ("x" * 300), match=r"cannot be written: File name too long")

    def test_a_nul_in_the_name(self, tmp_path: Path) -> None:
        self.refused(tmp_path / "a\0b", match="NUL")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_read_only_folder(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        self.refused(tmp_path / "a.txt", match="is read-only for you; choose another folder")

    @pytest.mark.parametrize(
        ("code", "match"),
        [
            (errno.ENOSPC, "disk is full"),
            (errno.EDQUOT, "quota"),
            (errno.EROFS, "read-only"),
            (errno.EIO, "Input/output"),
        ],
    )
    def test_an_error_of_the_disk_says_so_and_leaves_the_old_file(self, tmp_path: Path, code: int, match: str) -> None:
        target = tmp_path / "a.txt"
        target.write_text("old")

        def fail(new: Path) -> None:
            new.write_text("half")
            raise OSError(code, os.strerror(code))

        with pytest.raises(OutputError, match=match):
            write_atomically(target, fail)
        assert target.read_text() == "old"
        assert leftovers(tmp_path) == []

    @pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
    def test_a_disk_that_takes_no_more(self, tmp_path: Path, suffix: str) -> None:
        """The operating system itself refuses to write on: a limit of 4 kB on every file of this process."""
        scores = pd.DataFrame({"customer_id": [f"{number * 7919 % 100_003}" for number in range(20_000)]})
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            with pytest.raises(OutputError, match="grew over the allowed file size"):
                write_scores(scores, tmp_path / f"scores{suffix}")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert names(tmp_path) == []


class TestLeftovers:
    def test_of_a_dead_writer_are_removed_at_the_next_write(self, tmp_path: Path) -> None:
        (tmp_path / f"{LEFTOVER}0123.parquet").write_bytes(b"half")
        write_atomically(tmp_path / "a.txt", lambda new: new.write_text("x"))
        assert names(tmp_path) == ["a.txt"]

    def test_of_a_living_writer_stay(self, tmp_path: Path) -> None:
        with replacing(tmp_path / "a.txt") as temporary:
            temporary.write_text("slow")
            write_atomically(tmp_path / "b.txt", lambda new: new.write_text("x"))
            assert temporary.exists()
        assert names(tmp_path) == ["a.txt", "b.txt"]

    def test_a_claim_is_free_again_when_released(self, tmp_path: Path) -> None:
        first = claim(tmp_path / "lock")
        assert first is not None
        assert claim(tmp_path / "lock") is None
        release(first)
        again = claim(tmp_path / "lock")
        assert again is not None
        release(again)

    def test_a_writer_killed_at_any_moment_leaves_the_old_file_or_the_new(self, tmp_path: Path) -> None:
        target = tmp_path / "a.bin"
        writer = (
            "import sys; from pathlib import Path; from churn.delivery.files import write_atomically\n"
            "target, turn = Path(sys.argv[1]), 0\n"
            "while True:\n"
            "    turn += 1\n"
            "    write_atomically(target, lambda new: new.write_bytes(bytes([turn % 251]) * 300_000))\n"
            "    turn == 1 and print('ready', flush=True)\n"
        )
        rng = np.random.default_rng(5)
        for _ in range(3):
            process = subprocess.Popen([sys.executable, "-c", writer, str(target)], stdout=subprocess.PIPE)
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(float(rng.uniform(0, 0.02)))
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()
            content = target.read_bytes()
            assert len(content) == 300_000
            assert len(set(content)) == 1
        remove_leftovers(tmp_path)
        assert names(tmp_path) == ["a.bin"]


class TestScores:
    @pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl", ".CSV"])
    def test_come_back_as_they_went_out(self, tmp_path: Path, suffix: str) -> None:
        scores = score_list(HOSTILE)
        write_scores(scores, tmp_path / f"scores{suffix}")
        back = read_scores(tmp_path / f"scores{suffix}")
        assert list(back.columns) == list(scores.columns)
        for name in ("customer_id", "status", "band", "reason_1"):
            assert back[name].tolist() == scores[name].tolist()
        assert back["why_not_scored"].isna().all()
        for name in ("p_leave", "p_silent", "value_at_risk"):
            np.testing.assert_array_equal(back[name].to_numpy(np.float64), scores[name].to_numpy(np.float64))
        assert (back["cutoff"] == scores["cutoff"]).all()

    def test_a_csv_holds_no_cell_a_spreadsheet_would_run(self, tmp_path: Path) -> None:
        write_scores(score_list(HOSTILE).rename(columns={"band": "=band"}), tmp_path / "scores.csv")
        with (tmp_path / "scores.csv").open(newline="", encoding="utf-8") as lines:
            header, *rows = csv.reader(lines)
        number = header.index("value_at_risk")
        texts = [cell for row in (header, *rows) for place, cell in enumerate(row) if place != number]
        assert len(rows) == len(HOSTILE)
        assert not [text for text in texts if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
        assert all(row[number].startswith("-") for row in rows), "a negative number is no formula"

    @pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
    def test_parquet_and_json_are_raw(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"scores{suffix}"
        write_scores(score_list(HOSTILE), path)
        raw = pd.read_parquet(path) if suffix == ".parquet" else pd.read_json(path, lines=True, dtype=False)
        assert raw["customer_id"].tolist() == HOSTILE

    @pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
    def test_the_same_values_give_the_same_bytes(self, tmp_path: Path, suffix: str) -> None:
        scores = score_list([f"c{number}" for number in range(500)])
        chunked = pd.concat([scores[:100], scores[100:]])
        chunked["band"] = chunked["band"].astype(object)
        chunked["customer_id"] = chunked["customer_id"].astype(object)
        write_scores(scores, tmp_path / f"a{suffix}", metadata={"x": "1", "y": "2"})
        write_scores(chunked.set_index(chunked.index + 7), tmp_path / f"b{suffix}", metadata={"y": "2", "x": "1"})
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()

    def test_metadata_is_kept_in_parquet(self, tmp_path: Path) -> None:
        write_scores(score_list(["a", "b"]), tmp_path / "a.parquet", metadata={"model_id": "m1"})
        write_scores(score_list(["a", "b"]), tmp_path / "a.csv", metadata={"model_id": "m1"})
        assert read_metadata(tmp_path / "a.parquet")["model_id"] == "m1"
        assert read_metadata(tmp_path / "a.csv") == {}

    @pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
    def test_nobody_scored_is_a_list_too(self, tmp_path: Path, suffix: str) -> None:
        write_scores(score_list(["a", "b"])[:0], tmp_path / f"a{suffix}")
        assert len(read_scores(tmp_path / f"a{suffix}")) == 0

    @pytest.mark.parametrize("name", ["scores.xlsx", "scores"])
    def test_another_suffix_names_the_three(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(OutputError, match=r"use \.parquet, \.csv or \.jsonl"):
            write_scores(score_list(["a", "b"]), tmp_path / name)

    def test_reading_what_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="does not exist; write it with: churn score"):
            read_scores(tmp_path / "a.parquet")

    @pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
    def test_reading_a_damaged_file(self, tmp_path: Path, suffix: str) -> None:
        (tmp_path / f"a{suffix}").write_bytes(b"PAR1 nonsense")
        with pytest.raises(OutputError, match="is not readable"):
            read_scores(tmp_path / f"a{suffix}")

    @settings(max_examples=25, deadline=None)
    @given(
        ids=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), min_size=1, max_size=5)
    )
    def test_any_text_survives_a_csv(self, tmp_path_factory: pytest.TempPathFactory, ids: list[str]) -> None:
        path = tmp_path_factory.mktemp("any") / "a.csv"
        write_scores(pd.DataFrame({"customer_id": ids}), path)
        assert read_scores(path)["customer_id"].tolist() == ids
