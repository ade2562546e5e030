"""Files: lists of scores as Parquet, CSV and JSON lines, written whole and read back to the last bit; and for Excel."""

from __future__ import annotations

import csv
import datetime as dt
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.delivery.workbook import write_workbook
from churn.errors import OutputError
from churn.tables.atomic import check_path, write_atomically

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SUFFIXES = (".parquet", ".csv", ".jsonl", ".xlsx")
TEXT_COLUMNS = (
    "customer_id", "status", "why_not_scored", "voice_status", "band", "driver_1", "driver_2", "driver_3",
    "reason_1", "reason_2", "reason_3", "owner_1", "owner_2", "owner_3", "model_id",
)  # fmt: skip
NUMBER_COLUMNS = (
    "p_leave", "p_leave_low", "p_leave_high", "p_silent", "p_vocal", "percentile", "p_no_visit_by_rhythm",
    "expected_spend", "value_at_risk",
)  # fmt: skip
ROWS_PER_GROUP = 100_000
"""Rows that are written at once; a row group in Parquet."""
# A spreadsheet runs a cell that begins so; one more apostrophe makes it text, and reading takes one away again.
_FORMULA = re.compile(r"(?='*[=+\-@\t\r\n])")
_NEUTRALISED = re.compile(r"\A'(?='*[=+\-@\t\r\n])")


def write_scores(
    scores: pd.DataFrame | Iterable[pd.DataFrame], path: Path, *,
    metadata: Mapping[str, str] | Callable[[], Mapping[str, str]] | None = None, has_bom: bool = False,
    is_whole: bool = True,
) -> None:  # fmt: skip
    """Writes a list of scores atomically, as its suffix says: .parquet, .csv, .jsonl or .xlsx.

    The same rows give the same bytes, in one frame or in groups of `ROWS_PER_GROUP`. Ids are text everywhere. In a
    CSV, which people open in spreadsheets, a text that a spreadsheet would run as a formula gets a leading apostrophe;
    the others hold the raw text.

    Args:
        scores: one row per customer, the columns of the score list; further columns are kept. Rows are written in the
            order given, the index is not. A list that memory can't hold comes in frames, at least one, each of
            `ROWS_PER_GROUP` rows but the last.
        path: the file to write.
        metadata: kept in the Parquet file, for `read_metadata`; a function is asked when all rows are written.
            The other formats have no place for it.
        has_bom: whether a CSV begins with a byte order mark, from which Excel knows that it is UTF-8.
        is_whole: whether an .xlsx holds every row, and not those with a reason only.

    Raises:
        OutputError: as `write_atomically`, or for another suffix.
    """
    told = metadata if callable(metadata) else lambda: dict(metadata or {})
    writers: dict[str, Callable[[Iterator[pd.DataFrame], Path], None]] = {
        ".parquet": lambda groups, new: _write_parquet(groups, new, told),
        ".csv": lambda groups, new: _write_csv(groups, new, has_bom=has_bom),
        ".jsonl": _write_jsonl,
        ".xlsx": lambda groups, new: write_workbook(groups, new, is_whole=is_whole),
    }
    write = writers[_suffix_of(path)]
    write_atomically(path, lambda temporary: write(_groups(scores), temporary))


def check_scores_path(path: Path) -> None:
    """Refuses at once what `write_scores` would refuse after the work.

    Raises:
        OutputError: as `write_scores`, but for a disk that fills up meanwhile.
    """
    _suffix_of(path)
    check_path(path)


def read_scores(path: Path) -> pd.DataFrame:
    """Returns the scores that `write_scores` wrote: the same rows, texts and numbers to the last bit.

    Raises:
        OutputError: the suffix is none of ours, or the file is not there or not readable as such.
    """
    suffix = _suffix_of(path)
    if suffix == ".xlsx":
        raise OutputError(f"{path} is for people and is not read back; write the list as .parquet or .csv too")
    if not path.is_file():
        raise OutputError(f"{path} does not exist; write it with: churn score --out {path}")
    read = {".parquet": _read_parquet, ".csv": _read_csv, ".jsonl": _read_jsonl}[suffix]
    try:
        return read(path)
    except (ValueError, OSError) as error:  # ArrowInvalid is a ValueError, so are those of pandas and json.
        told = f"{path} is not readable as a {path.suffix} list of scores: {error}"
        raise OutputError(f"{told}; write it again with: churn score --out {path}") from error


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
        found = pq.read_metadata(path).metadata or {}
    except (pa.ArrowInvalid, OSError) as error:
        raise OutputError(f"{path} is not readable as Parquet: {error}; write it again") from error
    return {key.decode(): value.decode() for key, value in found.items() if key != b"ARROW:schema"}


def _suffix_of(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        ending = f'"{path.suffix}" is no format for scores' if suffix else "the file name has no suffix"
        raise OutputError(f"{path}: {ending}; use {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    return suffix


def _groups(scores: pd.DataFrame | Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    import pandas as pd

    if not isinstance(scores, pd.DataFrame):
        yield from scores
        return
    for start in range(0, max(len(scores), 1), ROWS_PER_GROUP):
        yield scores.iloc[start : start + ROWS_PER_GROUP]


def _write_parquet(groups: Iterator[pd.DataFrame], path: Path, told: Callable[[], Mapping[str, str]]) -> None:
    import pyarrow.parquet as pq

    first = plain_table(next(groups))
    with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
        writer.write_table(first)
        for group in groups:
            writer.write_table(plain_table(group).cast(first.schema))
        writer.add_key_value_metadata(dict(sorted(told().items())))


def plain_table(scores: pd.DataFrame) -> pa.Table:
    """Returns scores as Arrow: one type per column, whatever pandas made of it, and one chunk; missing as null."""
    import pyarrow as pa

    # Column by column: `pa.Table.from_pandas` keeps what is particular to one pandas frame, such as its index.
    table = pa.table({str(name): _arrow(cells) for name, cells in scores.items()})
    # A column of nulls has no type: the bytes depend on the values only. Page borders follow the chunks.
    plain = pa.schema([(field.name, _plain_type(field)) for field in table.schema])
    return table.replace_schema_metadata(None).cast(plain).combine_chunks()


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


def _write_csv(groups: Iterator[pd.DataFrame], path: Path, *, has_bom: bool) -> None:
    with path.open("w", encoding="utf-8-sig" if has_bom else "utf-8", newline="") as file:
        for number, group in enumerate(groups):
            # Every text in quotes: a lone carriage return would end a row otherwise, and an id reads as its text.
            _harmless(group).to_csv(
                file, index=False, header=number == 0, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC
            )


def _harmless(scores: pd.DataFrame) -> pd.DataFrame:
    """The same with no cell that a spreadsheet would run."""
    import pandas as pd

    is_number = pd.api.types.is_numeric_dtype
    return pd.DataFrame({
        neutral(name): cells if is_number(cells) else cells.astype(object).map(neutral)
        for name, cells in scores.items()
    })  # fmt: skip


def neutral(cell: Any) -> Any:
    """Returns a text cell that a spreadsheet shows and never runs; whatever is no text comes back as it is.

    >>> neutral("=1+1"), neutral("ok"), neutral(-1.5)
    ("'=1+1", 'ok', -1.5)
    """
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def _write_jsonl(groups: Iterator[pd.DataFrame], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as lines:
        for group in groups:
            for row in group.to_dict(orient="records"):
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
        path, dtype=dict.fromkeys((*TEXT_COLUMNS, *NUMBER_COLUMNS), str), keep_default_na=False, na_values=[""],
        encoding="utf-8-sig",
    )  # fmt: skip
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
