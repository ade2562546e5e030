"""`churn init`: a commented `churn.toml`, its mapping guessed from a folder of files if one is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from churn.config import load_config
from churn.delivery.files import write_atomically
from churn.errors import OutputError
from churn.tables.guess import guess_config, template_config


def init(directory: Path, *, source: Path | None) -> dict[str, Any]:
    """Writes `directory/churn.toml` and returns where it is and which tables it maps.

    Raises:
        OutputError: there is a churn.toml already, or it cannot be written.
        TableError: `source` holds nothing that could be a table.
    """
    path = directory / "churn.toml"
    if path.exists():
        raise OutputError(f"{path} is there already; move it away, or name another folder: churn init DIR")
    text = template_config() if source is None else guess_config(source, relative_to=directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{directory} cannot be made: {error.strerror}") from None
    write_atomically(path, lambda new: new.write_text(text, encoding="utf-8"))
    if source is None:
        return {"config": str(path), "tables": ["a template: set the path and columns of your transactions"]}
    tables = load_config(path).tables
    return {"config": str(path), "tables": [f"{name}: {table.path or 'a query'}" for name, table in tables.items()]}
