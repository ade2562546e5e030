"""The workbook: texts are texts, nothing runs, the columns are explained; a CSV for Excel knows that it is UTF-8."""

from __future__ import annotations

import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from churn.delivery import workbook
from churn.delivery.described import COLUMNS as MEANINGS
from churn.delivery.files import read_scores, write_scores
from churn.errors import OutputError
from churn.jobs.scoring import COLUMNS

_NAMES = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
HOSTILE = ["=1+1", "00123", "1e5", "http://example.com", "+1", "größer", "{=1}", "-"]


def listed(count: int = len(HOSTILE)) -> pd.DataFrame:
    scores = pd.DataFrame({name: pd.Series([None] * count, dtype=object) for name in COLUMNS})
    scores["customer_id"] = HOSTILE[:count]
    scores["p_leave"] = np.linspace(0.1, 0.9, count)
    scores["p_silent"] = np.nan
    scores["reason_1"] = ["=cmd()" if number % 2 else None for number in range(count)]
    return scores


def sheet(path: Path, number: int) -> list[list[tuple[str, str]]]:
    """The cells of a sheet: each its type and content."""
    with zipfile.ZipFile(path) as book:
        root = ElementTree.fromstring(book.read(f"xl/worksheets/sheet{number}.xml"))
    cells = [row.findall(f"{_NAMES}c") for row in root.iter(f"{_NAMES}row")]
    assert not list(root.iter(f"{_NAMES}f")), "no cell is a formula"
    assert not list(root.iter(f"{_NAMES}hyperlink"))
    return [[(cell.get("t", "n"), "".join(cell.itertext())) for cell in row] for row in cells]


def test_texts_are_texts_and_numbers_numbers(tmp_path: Path) -> None:
    write_scores(listed(), tmp_path / "s.xlsx")
    head, *rows = sheet(tmp_path / "s.xlsx", 1)
    assert [text for _, text in head] == list(COLUMNS)
    assert [row[0] for row in rows] == [("inlineStr", text) for text in HOSTILE]
    assert [float(row[1][1]) for row in rows] == pytest.approx(np.linspace(0.1, 0.9, len(HOSTILE)))
    assert {row[1][0] for row in rows} == {"n"}


def test_only_those_with_a_reason_unless_all_are_wanted(tmp_path: Path) -> None:
    write_scores(listed(), tmp_path / "s.xlsx", is_whole=False)
    assert [row[0][1] for row in sheet(tmp_path / "s.xlsx", 1)[1:]] == HOSTILE[1::2]


def test_every_column_is_explained(tmp_path: Path) -> None:
    write_scores(listed(), tmp_path / "s.xlsx")
    told = {row[0][1]: row[1][1] for row in sheet(tmp_path / "s.xlsx", 2)[1:]}
    assert told == {name: MEANINGS[name] for name in COLUMNS}
    assert all(meaning.endswith(".") for meaning in MEANINGS.values())


def test_the_same_scores_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.xlsx", "b.xlsx"):
        write_scores(listed(), tmp_path / name)
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()


def test_what_does_not_fit_or_cannot_be_read_back_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scores(listed(), tmp_path / "s.xlsx")
    with pytest.raises(OutputError, match="is for people and is not read back"):
        read_scores(tmp_path / "s.xlsx")
    monkeypatch.setattr(workbook, "MOST_ROWS", 3)
    with pytest.raises(OutputError, match="a sheet holds 3 customers"):
        write_scores(listed(), tmp_path / "t.xlsx")
    assert not (tmp_path / "t.xlsx").exists()


def test_without_its_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "xlsxwriter", None)
    with pytest.raises(OutputError, match=r"pip install 'silent-churn\[excel\]', or write .csv with --bom"):
        workbook.check_workbook()


def test_a_csv_may_begin_with_the_mark_by_which_excel_knows_it(tmp_path: Path) -> None:
    write_scores(listed(), tmp_path / "s.csv", has_bom=True)
    write_scores(listed(), tmp_path / "t.csv")
    assert (tmp_path / "s.csv").read_bytes() == b"\xef\xbb\xbf" + (tmp_path / "t.csv").read_bytes()
    assert list(read_scores(tmp_path / "s.csv")["customer_id"]) == HOSTILE
