"""Lists of customers as users keep them."""

from __future__ import annotations

import csv
from pathlib import Path

from churn.errors import TableError

HEADERS = ("customer_id", "customer", "id", "customerid", "customer id")


def read_ids(path: Path) -> list[str]:
    """Returns the ids in the first column of a text or CSV file, in their order, as text; empty lines left out.

    A first line that reads `customer_id`, `customer` or `id` is taken for a header.

    Raises:
        TableError: the file is missing, unreadable, or lists nobody.
    """
    if not path.is_file():
        raise TableError(f"--customers {path} does not exist; give a text file with one id a line")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            ids = [row[0] for row in csv.reader(file) if row and row[0].strip()]
    except (UnicodeDecodeError, csv.Error, OSError):
        raise TableError(f"--customers {path} is not readable as UTF-8 text; save it as a text file with one id a line") from None
    if ids and ids[0].strip().lower() in HEADERS:
        ids = ids[1:]
    if not ids:
        raise TableError(f"--customers {path} lists nobody; give one id a line")
    return ids
