"""The work folder: gone with the run that made it, also where nothing can be locked."""

from __future__ import annotations

from pathlib import Path

import pytest

from churn.tables import atomic, workfolder
from churn.tables.workfolder import work_folder

OPEN_FILES = Path("/proc/self/fd")


def open_below(folder: Path) -> list[str]:
    links = [link for link in list(OPEN_FILES.iterdir()) if link.is_symlink()]
    return [str(link.readlink()) for link in links if folder in link.readlink().parents]


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="only Linux tells which files are open")
@pytest.mark.parametrize("can_lock", [True, False])
def test_it_is_removed_and_where_nothing_is_locked_no_file_in_it_is_open_by_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_lock: bool
) -> None:
    """Windows has no locks, and moves no folder in which a file is open."""
    monkeypatch.setattr(atomic, "CAN_LOCK", can_lock)
    monkeypatch.setattr(workfolder, "CAN_LOCK", can_lock)
    remove, opened = workfolder._remove, list[str]()

    def watched(folder: Path) -> None:
        opened.extend(open_below(folder))
        remove(folder)

    monkeypatch.setattr(workfolder, "_remove", watched)
    with work_folder(tmp_path / "work", key="key") as folder:
        (folder / "part").write_text("rows", encoding="utf-8")
    assert not (tmp_path / "work").exists()
    assert bool(opened) == can_lock
