"""`churn init`: a commented `churn.toml`, its mapping guessed from a folder of files if one is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from churn.config import Config, load_config
from churn.errors import OutputError, TableError
from churn.tables.atomic import write_atomically
from churn.tables.files import READABLE
from churn.tables.guess import NOT_READ, guess_config, template_config


def init(directory: Path, *, source: Path | None) -> dict[str, Any]:
    """Writes `directory/churn.toml` and returns where it is, what it reads, what not, and what is left to fill in.

    Raises:
        OutputError: there is a churn.toml already, or it cannot be written.
        TableError: `source` holds nothing that could be a table.
    """
    path = directory / "churn.toml"
    if path.exists():
        raise OutputError(f"{path} is there already; move it away, or name another folder: churn init DIR")
    if source is not None and not _has_files(source):
        raise TableError(f"{source} has no CSV or Parquet file in it; give the folder that holds your files")
    text = template_config() if source is None else guess_config(source, relative_to=directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{directory} cannot be made: {error.strerror}; choose another folder") from None
    write_atomically(path, lambda new: new.write_text(text, encoding="utf-8"))
    return {"config": str(path), **_mapped(load_config(path))}


def _has_files(source: Path) -> bool:
    """Whether there is anything to guess from; a folder that isn't there is left to `guess_config` to name."""
    return not source.is_dir() or any(child.name.lower().endswith(READABLE) for child in source.iterdir())


def _mapped(config: Config) -> dict[str, list[str]]:
    """The tables whose files are there, files that are no table's, and what is left for the user to fill in."""
    found, missing = [], []
    for name, table in config.tables.items():
        if table.path is not None and config.resolve(table.path).exists():
            columns = ", ".join(f"{ours} = {theirs}" for ours, theirs in table.columns.items())
            found.append(f"{name}: {table.path} ({columns})")
        else:
            missing.append(f"fill in [tables.{name}]: set its path and columns; {table.path} is a placeholder")
    unread = [line.removeprefix(NOT_READ) for line in config.source.splitlines() if line.startswith(NOT_READ)]
    return {"tables": found, "missing": missing, "not_read": unread}
