"""Lists of customers as users keep them, and what looks wrong with one."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from churn.config import Config
from churn.errors import TableError
from churn.tables.dialect import DELIMITERS
from churn.tables.findings import plural

HEADERS = ("customer_id", "customer", "id", "customerid", "customer id")
_CERTAIN = ("customer_id", "customerid", "customer id")
"""What is a header wherever it stands; `ID` may be a country."""
_SHAPES = "a text or CSV file (UTF-8) with one id a line, or the ids in its first column"


def read_list(path: Path, *, config: Config) -> list[str]:
    """Returns the ids in the first column of a text or CSV file, in their order, as text; empty lines left out.

    A line that has other cells and no id is a line of the list, of a customer nobody knows.
    A first line that reads `customer_id`, `customer`, `id`, or as the configuration calls the column, is a header.

    Raises:
        TableError: the file is missing, unreadable, lists nobody, or has its ids in another column.
    """
    if not path.is_file():
        raise TableError(f"--customers {path} {'is a folder' if path.is_dir() else 'does not exist'}; give {_SHAPES}")
    try:
        text = _text(path.read_bytes())
        first = next((line for line in text.splitlines() if line.strip()), "")
        read = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=first.count))
        rows = [row for row in read if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error, OSError):
        raise TableError(f"--customers {path} is not readable as text; give {_SHAPES}") from None
    headers = {*HEADERS, *(source.columns.get("customer_id", "").lower() for source in config.tables.values())}
    titles = [cell.strip().lower() for cell in rows[0]] if rows else []
    if titles and titles[0] in headers:
        rows = rows[1:]
    elif place := next((place for place, title in enumerate(titles) if title in _CERTAIN), None):
        raise TableError(f'--customers {path}: "{rows[0][place]}" is column {place + 1}; the ids must be in the first')
    if not rows:
        raise TableError(f"--customers {path} lists nobody; give {_SHAPES}")
    return [row[0] for row in rows]


def list_warnings(ids: Sequence[str], *, unknown: Sequence[str], known: Iterable[str]) -> list[str]:
    """Returns what looks wrong with a list: ids given twice, and unknown ones that are almost a known one.

    Args:
        ids: the list.
        unknown: those of it that are in no table.
        known: the ids in the tables; looked at only when some are unknown.
    """
    warnings = []
    twice = len(ids) - len(set(ids))
    if twice:
        verb = "repeats" if twice == 1 else "repeat"
        warnings.append(f"{plural(twice, 'line')} of the list {verb} an id listed before; every line gets its row")
    if unknown:
        bare = {_bare(each) for each in known}
        close = sum(_bare(each) in bare for each in set(unknown))
        if close:
            verb = "differs" if close == 1 else "differ"
            warnings.append(
                f"{plural(close, 'unknown id')} {verb} from a known one only in spaces, capitals or leading zeros: "
                "ids are text and must match to the letter; did a spreadsheet change them?"
            )
    return warnings


def _text(content: bytes) -> str:
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if is_wide else "utf-8-sig")
    if "\0" in text:
        raise csv.Error("NUL")
    return text


def _bare(customer_id: str) -> str:
    return customer_id.strip().lstrip("0").casefold()
