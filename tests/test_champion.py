"""The champion: a pointer that is whole or not there, and never leads out of its folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from churn.errors import BundleError
from churn.models.champion import POINTER, champion_of, newest_of, promote


def bundle(models: Path, name: str, *, age: int = 0) -> Path:
    home = models / name
    home.mkdir(parents=True)
    (home / "bundle.json").write_text("{}", encoding="utf-8")
    os.utime(home / "bundle.json", (1_700_000_000 - age, 1_700_000_000 - age))
    return home


def test_nothing_promoted_is_no_champion(tmp_path: Path) -> None:
    assert champion_of(tmp_path) is None
    assert champion_of(tmp_path / "nowhere") is None


def test_the_last_one_promoted_is_the_champion_and_no_draft_is_left(tmp_path: Path) -> None:
    old, new = bundle(tmp_path, "0" * 16), bundle(tmp_path, "1" * 16)
    for home in (old, new, old):
        promote(home)
        assert champion_of(tmp_path) == home
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([old.name, new.name, POINTER])


@pytest.mark.parametrize("name", ["..", ".", "", "../" + "0" * 16, "/tmp", 5, None, ["0" * 16], "0" * 15, "Z" * 16])
def test_a_pointer_out_of_its_folder_is_refused(tmp_path: Path, name: object) -> None:
    models = tmp_path / "models"
    bundle(models, "0" * 16)
    (models / POINTER).write_text(json.dumps({"model_id": name}), encoding="utf-8")
    with pytest.raises(BundleError, match="names no model id"):
        champion_of(models)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'"0000000000000000"', b"null"])
def test_a_damaged_pointer_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / POINTER).write_bytes(content)
    with pytest.raises(BundleError, match=r"champion.json is damaged.* train again"):
        champion_of(tmp_path)


def test_a_champion_that_is_gone_is_named(tmp_path: Path) -> None:
    home = bundle(tmp_path, "a" * 16)
    promote(home)
    (home / "bundle.json").unlink()
    home.rmdir()
    with pytest.raises(BundleError, match=r"names the bundle a{16}, which is not in"):
        champion_of(tmp_path)


def test_the_newest_is_the_one_written_last(tmp_path: Path) -> None:
    assert newest_of(tmp_path) is None
    bundle(tmp_path, "b" * 16, age=50)
    newest = bundle(tmp_path, "a" * 16, age=10)
    bundle(tmp_path, ".draft-x")
    (tmp_path / ("c" * 16)).mkdir()
    assert newest_of(tmp_path) == newest
