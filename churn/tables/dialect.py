"""Dialects: how a CSV file is written: encoding, delimiter, header, and what is broken in it."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from churn.errors import TableError
from churn.tables.findings import SHOWN_ROWS

DELIMITERS = (",", ";", "\t", "|")
_HEAD = 1 << 18
_CHUNK = 1 << 22
_BOMS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one CSV file is written, the names in its header, and how many empty lines stand before it."""

    encoding: str
    delimiter: str
    header: tuple[str, ...]
    skip: int = 0


def sniff(path: Path, *, encoding: str = "utf-8", delimiter: str | None = None) -> Dialect:
    """Returns the dialect of the CSV file at `path`.

    A byte order mark wins over `encoding`; a `delimiter` that would leave one column while another splits the first
    lines evenly is replaced by that other.

    Raises:
        TableError: the file is empty, holds no row, NUL bytes or bytes of another encoding, or two delimiters fit.
    """
    with _open(path) as file:
        head = file.read(_HEAD)
    encoding = next((name for bom, name in _BOMS.items() if head.startswith(bom)), encoding)
    _check_bytes(path, encoding)
    text = head.decode(_codec(encoding), errors="ignore")
    if not text.strip():
        raise TableError("is empty: is the export complete?")
    is_whole = len(head) < _HEAD
    chosen = _delimiter(text, delimiter, is_whole=is_whole)
    records = _records(text, chosen, is_whole=is_whole)
    if len(records) < 2 and is_whole:
        raise TableError(
            "has a header and no rows: is the export complete? if nothing happened, take the table out of churn.toml"
        )
    skip = next(place for place, line in enumerate(text.splitlines()) if line)
    return Dialect(encoding, chosen, tuple(name.strip() for name in records[0]), skip)


def ragged_rows(path: Path, dialect: Dialect) -> tuple[int, tuple[int, ...]]:
    """Returns how many data rows have not the header's number of fields, and the numbers of the first three."""
    width, count = len(dialect.header), 0
    shown: list[int] = []
    with _open(path) as raw, io.TextIOWrapper(raw, _codec(dialect.encoding), newline="") as file:
        for number, record in enumerate(_read(file, dialect.delimiter)):
            if number and len(record) != width:
                count += 1
                shown = [*shown, number][:SHOWN_ROWS]
    return count, tuple(shown)


def _delimiter(text: str, wished: str | None, *, is_whole: bool) -> str:
    """The delimiter that splits header and rows into the same number of fields."""
    if wished is not None and len(_records(text, wished, is_whole=is_whole)[0]) > 1:
        return wished
    widths: dict[str, int] = {}
    for candidate in DELIMITERS:
        records = _records(text, candidate, is_whole=is_whole)
        counts = Counter(len(record) for record in records)
        if len(records[0]) > 1 and counts[len(records[0])] >= 0.9 * len(records):
            widths[candidate] = len(records[0])
    if not widths:
        present = {mark: text.splitlines()[0].count(mark) for mark in DELIMITERS}
        return wished or max(present, key=lambda mark: present[mark])
    best = [mark for mark, width in widths.items() if width == max(widths.values())]
    if len(best) > 1:
        names = " and ".join(_NAMES[mark] for mark in best)
        raise TableError(f"can be split at {names} alike; set its `delimiter`")
    return best[0]


def _records(text: str, delimiter: str, *, is_whole: bool) -> list[list[str]]:
    """The records of a file's head; the last one is left out when it may be cut."""
    records = list(_read(io.StringIO(text, newline=""), delimiter))
    return records if is_whole or len(records) < 2 else records[:-1]


def _read(file: io.TextIOBase, delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(1 << 30)
    return (record for record in csv.reader(cast("Iterator[str]", file), delimiter=delimiter) if record)


def _check_bytes(path: Path, encoding: str) -> None:
    decoder = codecs.getincrementaldecoder(_codec(encoding))()
    done, is_last = 0, False
    with _open(path) as file:
        while not is_last:
            chunk = file.read(_CHUNK)
            is_last = not chunk
            if encoding != "utf-16" and b"\0" in chunk:
                place = done + chunk.index(b"\0")
                raise TableError(
                    f"has a NUL byte at byte {place:,}: it is damaged, or text in utf-16 without its mark "
                    '(then set encoding = "utf-16")'
                )
            try:
                decoder.decode(chunk, final=is_last)
            except UnicodeDecodeError:
                raise TableError(f'is not {encoding}; set its `encoding`, such as "latin-1"') from None
            done += len(chunk)


def _codec(encoding: str) -> str:
    return "utf-8-sig" if encoding == "utf-8" else encoding


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb")
