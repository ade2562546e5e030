"""Files that are whole or not there: written beside their place, synced to disk, then moved in one step.

A writer that is killed leaves `.churn-tmp-*` beside the target; the next write into that folder removes it. Whether its
writer still lives is asked of a file lock, which the operating system gives back at any death, in any container.
"""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import errno
import json
import math
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.errors import OutputError

if TYPE_CHECKING:
    import pandas as pd

try:
    import fcntl
except ImportError:  # Windows has no fcntl: leftovers stay there, which is untidy and safe.
    fcntl = None  # type: ignore[assignment]
CAN_LOCK = fcntl is not None

LEFTOVER = ".churn-tmp-"
_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "it grew over the allowed file size",
}
SUFFIXES = (".parquet", ".csv", ".jsonl")
TEXT_COLUMNS = (
    "customer_id", "status", "why_not_scored", "voice_status", "band", "driver_1", "driver_2", "driver_3",
    "reason_1", "reason_2", "reason_3", "owner_1", "owner_2", "owner_3", "model_id",
)  # fmt: skip
NUMBER_COLUMNS = (
    "p_leave", "p_silent", "p_vocal", "percentile", "p_no_visit_by_rhythm", "expected_spend", "value_at_risk",
)  # fmt: skip
_ROWS_PER_GROUP = 100_000
# A spreadsheet runs a cell that begins so; one more apostrophe makes it text, and reading takes one away again.
_FORMULA = re.compile(r"(?='*[=+\-@\t\r\n])")
_NEUTRALISED = re.compile(r"'(?='*[=+\-@\t\r\n])")
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file whole or not at all; whatever stood at `path` stays until the new content is safely on disk.

    Args:
        path: the target. Its folder must exist. A link is refused: it would send the content to a place the caller
            did not name, or be replaced by a plain file without a word.
        write: is given a path in the same folder, with the same suffix, and writes the content there.

    Raises:
        OutputError: the target is a folder, a link or a device, its folder is missing or read-only, or the disk is
            full. Nothing is left behind.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "page.html"
    >>> write_atomically(target, lambda new: new.write_text("whole"))
    >>> target.read_text()
    'whole'
    """
    with replacing(path) as temporary:
        write(temporary)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path that takes the place of `path` when the block ends well; see `write_atomically`."""
    with _in_plain_words(path):
        _check_target(path)
        remove_leftovers(path.parent)
        temporary, held = _fresh_file(path)
    try:
        with _in_plain_words(path):
            yield temporary
            _sync(temporary)
            with contextlib.suppress(FileNotFoundError):
                temporary.chmod(path.stat().st_mode & 0o7777)
            temporary.replace(path)
            _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
        release(held)


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary files of writers in `folder` that no longer live."""
    for leftover in folder.glob(f"{LEFTOVER}*"):
        if CAN_LOCK and (held := claim(leftover)) is not None:
            leftover.unlink(missing_ok=True)
            release(held)


def claim(path: Path, *, wait: bool = False) -> int | None:
    """Returns a handle that locks the file at `path` (made if absent) until `release` or death; None if others hold it.

    A lock whose holder was killed is free again at once. On Windows nothing is locked.

    Args:
        path: the file.
        wait: whether to wait until others give it back.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    try:
        if CAN_LOCK:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(handle)
        return None
    return handle


def release(handle: int | None) -> None:
    """Gives back what `claim` returned."""
    if handle is not None:
        os.close(handle)


def write_scores(scores: pd.DataFrame, path: Path, *, metadata: Mapping[str, str] | None = None) -> None:
    """Writes a list of scores atomically, as its suffix says: .parquet, .csv or .jsonl.

    The same frame gives the same bytes. Ids are text everywhere. In a CSV, which people open in spreadsheets, a text
    that a spreadsheet would run as a formula gets a leading apostrophe; Parquet and JSON hold the raw text.

    Args:
        scores: one row per customer, the columns of the score list; further columns are kept. Rows are written in the
            order given, the index is not.
        path: the file to write.
        metadata: kept in the Parquet schema, for `read_metadata`; a CSV or JSON file has no place for it.

    Raises:
        OutputError: as `write_atomically`, or for another suffix.
    """
    writers = {".parquet": _write_parquet, ".csv": _write_csv, ".jsonl": _write_jsonl}
    write = writers[_suffix_of(path)]
    write_atomically(path, lambda temporary: write(scores, temporary, dict(metadata or {})))


def check_scores_path(path: Path) -> None:
    """Refuses at once what `write_scores` would refuse after the work.

    Raises:
        OutputError: as `write_scores`, but for a disk that fills up meanwhile.
    """
    _suffix_of(path)
    check_path(path)


def check_path(path: Path) -> None:
    """Refuses at once what `write_atomically` would refuse after the work.

    Raises:
        OutputError: as `write_atomically`, but for a disk that fills up meanwhile.
    """
    with _in_plain_words(path):
        _check_target(path)
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def read_scores(path: Path) -> pd.DataFrame:
    """Returns the scores that `write_scores` wrote: the same rows, texts and numbers to the last bit.

    Raises:
        OutputError: the suffix is none of ours, or the file is not there or not readable as such.
    """
    readers = {".parquet": _read_parquet, ".csv": _read_csv, ".jsonl": _read_jsonl}
    read = readers[_suffix_of(path)]
    if not path.is_file():
        raise OutputError(f"{path} does not exist; write it with: churn score --out {path}")
    try:
        return read(path)
    except (ValueError, OSError) as error:  # ArrowInvalid is a ValueError, so are those of pandas and json.
        raise OutputError(f"{path} is not readable as a {path.suffix} list of scores: {error}") from error


def read_metadata(path: Path) -> dict[str, str]:
    """Returns the metadata of a Parquet list of scores; empty for the other formats.

    Raises:
        OutputError: the file is no Parquet file.
    """
    if _suffix_of(path) != ".parquet":
        return {}
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_schema(path).metadata or {}
    except (pa.ArrowInvalid, OSError) as error:
        raise OutputError(f"{path} is not readable as Parquet: {error}") from error
    return {key.decode(): value.decode() for key, value in found.items()}


def _suffix_of(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        ending = f'"{path.suffix}" is no format for scores' if suffix else "the file name has no suffix"
        raise OutputError(f"{path}: {ending}; use {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    return suffix


def _write_parquet(scores: pd.DataFrame, path: Path, metadata: dict[str, str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Column by column: `pa.Table.from_pandas` keeps what is particular to one pandas frame, such as its index.
    table = pa.table({str(name): _arrow(cells) for name, cells in scores.items()})
    # One type per column, whatever pandas made of it (a column of nulls has none): the bytes depend on the values only.
    types = {field.name: _plain_type(field) for field in table.schema}
    schema = pa.schema(list(types.items()), metadata=dict(sorted(metadata.items())))
    # One chunk per column, because page borders follow the chunks.
    plain = table.replace_schema_metadata(None).cast(schema).combine_chunks()
    pq.write_table(plain, path, compression="zstd", row_group_size=_ROWS_PER_GROUP)


def _arrow(cells: pd.Series[Any]) -> Any:
    """Returns a column as Arrow knows it, missing as null, times in UTC to the microsecond."""
    import pandas as pd
    import pyarrow as pa

    if isinstance(cells.dtype, pd.DatetimeTZDtype):
        return pa.array(cells.dt.tz_convert(None).to_numpy(), pa.timestamp("us", tz="UTC"), from_pandas=True)
    return pa.array(cells, from_pandas=True)


def _plain_type(field: Any) -> Any:
    import pyarrow as pa

    is_text = pa.types.is_large_string(field.type) or pa.types.is_dictionary(field.type)
    if field.name in TEXT_COLUMNS or is_text:
        return pa.string()
    return pa.float64() if field.name in NUMBER_COLUMNS else field.type


def _write_csv(scores: pd.DataFrame, path: Path, _metadata: dict[str, str]) -> None:
    import pandas as pd

    is_number = pd.api.types.is_numeric_dtype
    safe = {
        neutral(name): cells if is_number(cells) else cells.astype(object).map(neutral)
        for name, cells in scores.items()
    }
    # Every text in quotes: a lone carriage return would end a row otherwise, and an id reads as the text it is.
    pd.DataFrame(safe).to_csv(path, index=False, encoding="utf-8", lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)


def neutral(cell: Any) -> Any:
    """Returns a text cell that a spreadsheet shows and never runs; whatever is no text comes back as it is.

    >>> neutral("=1+1"), neutral("ok"), neutral(-1.5)
    ("'=1+1", 'ok', -1.5)
    """
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def _write_jsonl(scores: pd.DataFrame, path: Path, _metadata: dict[str, str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as lines:
        for start in range(0, len(scores), _ROWS_PER_GROUP):
            for row in scores.iloc[start : start + _ROWS_PER_GROUP].to_dict(orient="records"):
                lines.write(json.dumps({name: _json_value(cell) for name, cell in row.items()}, ensure_ascii=False))
                lines.write("\n")


def _json_value(cell: Any) -> Any:
    """Returns a cell as JSON knows it: missing is null, a time is its ISO text."""
    if isinstance(cell, str | int):
        return cell
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    return cell.isoformat() if isinstance(cell, dt.date) and cell == cell else None


def _read_parquet(path: Path) -> pd.DataFrame:
    import pandas as pd

    return pd.read_parquet(path)


def _read_csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    # Numbers are read as text too and cast by `_typed`: pandas' own reading is not exact to the last bit.
    scores = pd.read_csv(
        path, dtype=dict.fromkeys((*TEXT_COLUMNS, *NUMBER_COLUMNS), str), keep_default_na=False, na_values=[""]
    )
    for name in scores.columns:
        if pd.api.types.is_string_dtype(scores[name]):
            scores[name] = scores[name].str.replace(_NEUTRALISED, "", n=1, regex=True)
    return _typed(scores)


def _read_jsonl(path: Path) -> pd.DataFrame:
    import pandas as pd

    with path.open(encoding="utf-8") as lines:
        return _typed(pd.DataFrame([json.loads(line) for line in lines]))


def _typed(scores: pd.DataFrame) -> pd.DataFrame:
    """Returns the scores with their numbers and the cutoff typed, as Parquet keeps them."""
    import pandas as pd

    typed = scores.astype({name: "float64" for name in NUMBER_COLUMNS if name in scores})
    if "cutoff" in typed:
        typed["cutoff"] = pd.to_datetime(typed["cutoff"], format="ISO8601")
    return typed


def _fresh_file(target: Path) -> tuple[Path, int | None]:
    """Returns a new empty file beside `target`, and its lock."""
    while True:
        temporary = target.parent / f"{LEFTOVER}{secrets.token_hex(8)}{target.suffix[:20]}"
        held = claim(temporary)
        if not CAN_LOCK:
            release(held)
            return temporary, None
        # Between its making and its locking another writer may take the file for a leftover, and remove it.
        if held is not None and os.fstat(held).st_nlink:
            return temporary, held
        release(held)


def _check_target(path: Path) -> None:
    parent = path.parent
    if "\0" in str(path):
        raise OutputError("the path to write to contains a NUL character; choose another name")
    if path.is_symlink():
        raise OutputError(f"{path} is a link; name the file it points to instead")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file in it, such as {path / 'scores.parquet'}")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is no regular file; name a file on disk")
    if not parent.exists():
        raise OutputError(f"the folder {parent} does not exist; make it first: mkdir -p {parent}")
    if not parent.is_dir():
        raise OutputError(f"{path} cannot be written: {parent} is a file, not a folder")


@contextlib.contextmanager
def _in_plain_words(path: Path) -> Iterator[None]:
    """Turns an error of the operating system into a sentence with its fix."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            message = f"{path} was not written: {_FULL[error.errno]}; free some space or write elsewhere"
        elif error.errno in _READ_ONLY:
            message = f"{path} cannot be written: {path.parent} is read-only for you; choose another folder"
        else:
            message = f"{path} cannot be written: {error.strerror or error}"
        raise OutputError(message) from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    """Makes the move itself outlive a power cut, where the system can open folders (Windows cannot)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
