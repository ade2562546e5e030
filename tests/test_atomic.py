"""Files are whole or not there."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from churn.errors import OutputError
from churn.tables.atomic import (
    CAN_LOCK,
    LEFTOVER,
    alone_at,
    claim,
    release,
    remove_leftovers,
    replacing,
    write_atomically,
)


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(f"{LEFTOVER}*"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


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
            "import sys; from pathlib import Path; from churn.tables.atomic import write_atomically\n"
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


class TestAloneAt:
    def test_a_second_run_is_refused_until_the_first_has_ended(self, tmp_path: Path) -> None:
        target = tmp_path / "scores.csv"
        with alone_at(target):
            with pytest.raises(OutputError, match="being made by another run"), alone_at(target):
                pass
            with alone_at(tmp_path / "others.csv"):
                write_atomically(target, lambda new: new.write_text("whole"))
        with alone_at(target), alone_at(None):
            pass
        assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]

    @pytest.mark.skipif(not CAN_LOCK, reason="Windows has no file locks of this kind")
    def test_a_lock_that_its_holder_removes_before_it_is_ours_is_no_lock(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        open_file = os.open

        def open_and_lose(path: Path, *arguments: int) -> int:
            handle = open_file(path, *arguments)
            monkeypatch.undo()
            path.unlink()  # as a run does that ends just then
            return handle

        monkeypatch.setattr(os, "open", open_and_lose)
        target = tmp_path / "scores.csv"
        with alone_at(target), pytest.raises(OutputError, match="another run"), alone_at(target):
            pass

    def test_what_a_dead_run_left_hinders_nobody(self, tmp_path: Path) -> None:
        (tmp_path / ".churn-tmp-scores.csv.lock").touch()
        with alone_at(tmp_path / "scores.csv"):
            pass
        assert not list(tmp_path.iterdir())
