"""The workbook: customers to act on, for Excel, with a second sheet that says what the columns mean."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.delivery.described import COLUMNS
from churn.errors import OutputError

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 1_048_575
"""What a sheet can hold below its header."""
_EPOCH = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
"""When the workbook says that it was made: always the same, so that the same scores give the same bytes."""
_SHARES = ("p_leave", "p_leave_low", "p_leave_high", "p_silent", "p_vocal", "p_no_visit_by_rhythm")
_MONEY = ("expected_spend", "value_at_risk")
_WIDTHS = {"customer_id": 16, "cutoff": 12, **{f"reason_{rank}": 60 for rank in (1, 2, 3)}}


def check_workbook() -> None:
    """Refuses .xlsx where the library that writes it isn't there.

    Raises:
        OutputError: it isn't; names what to install.
    """
    try:
        import xlsxwriter  # noqa: F401
    except ImportError:
        fix = "pip install 'silent-churn[excel]', or write .csv with --bom, which Excel opens"
        raise OutputError(f".xlsx needs XlsxWriter: {fix}") from None


def write_workbook(groups: Iterator[pd.DataFrame], path: Path, *, is_whole: bool) -> None:
    """Writes the customers with a reason (or all rows, if `is_whole`) and the meaning of the columns.

    Texts are texts: no cell is a formula, a link or a number that was an id. One row after another goes to the file.

    Raises:
        OutputError: no library, or more customers than a sheet can hold.
    """
    check_workbook()
    import xlsxwriter

    options = {
        "constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False,
        "nan_inf_to_errors": False,
    }  # fmt: skip
    with xlsxwriter.Workbook(str(path), options) as book:
        book.set_properties({"title": "Customers at risk", "created": _EPOCH.replace(tzinfo=None)})
        kinds = {
            "": None, "head": book.add_format({"bold": True}), "share": book.add_format({"num_format": "0.0%"}),
            "money": book.add_format({"num_format": "#,##0"}), "number": book.add_format({"num_format": "0.0"}),
        }  # fmt: skip
        names = _write_customers(book.add_worksheet("customers"), groups, kinds, is_whole=is_whole)
        _write_meanings(book.add_worksheet("columns"), names, kinds)


def _write_customers(sheet: Any, groups: Iterator[pd.DataFrame], kinds: dict[str, Any], *, is_whole: bool) -> list[str]:
    names: list[str] = []
    row = 0
    for group in groups:
        if not names:
            names = [str(name) for name in group.columns]
            _write_head(sheet, names, kinds)
        shown = group if is_whole else group[group["reason_1"].notna()]
        if row + len(shown) > MOST_ROWS:
            raise OutputError(f"a sheet holds {MOST_ROWS:,} customers; write .parquet, or --reasons top:100000")
        for cells in shown.astype(object).itertuples(index=False, name=None):
            row += 1
            for place, cell in enumerate(cells):
                _write_cell(sheet, row, place, cell, kinds[_kind(names[place])])
    sheet.autofilter(0, 0, row, len(names) - 1)
    return names


def _write_head(sheet: Any, names: list[str], kinds: dict[str, Any]) -> None:
    for place, name in enumerate(names):
        sheet.set_column(place, place, _WIDTHS.get(name, 13))
        sheet.write_string(0, place, name, kinds["head"])
    sheet.freeze_panes(1, 1)


def _write_cell(sheet: Any, row: int, place: int, cell: Any, kind: Any) -> None:
    if isinstance(cell, str):
        sheet.write_string(row, place, cell)
    elif isinstance(cell, bool):
        sheet.write_boolean(row, place, cell)
    elif isinstance(cell, float) and math.isfinite(cell):
        sheet.write_number(row, place, cell, kind)


def _write_meanings(sheet: Any, names: list[str], kinds: dict[str, Any]) -> None:
    sheet.set_column(0, 0, 24)
    sheet.set_column(1, 1, 110)
    for place, title in enumerate(("column", "meaning")):
        sheet.write_string(0, place, title, kinds["head"])
    for row, name in enumerate(names, start=1):
        sheet.write_string(row, 0, name)
        sheet.write_string(row, 1, COLUMNS.get(name, ""))


def _kind(name: str) -> str:
    if name in _SHARES:
        return "share"
    return "money" if name in _MONEY else "number" if name == "percentile" else ""
