"""The experiment store: where it is, that it is whole, and plain words when it cannot be used."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from churn.config import Config
from churn.errors import ChurnError
from churn.tables.atomic import claim, release, replacing

_LOUD = ("mlflow", "mlflow.store.db.utils", "mlflow.tracking", "alembic", "alembic.runtime.migration")
_PATIENCE = 5.0
"""Seconds to wait for another program that holds the store."""


class TrackingError(ChurnError):
    """The experiment store cannot be used; the model itself is safe on disk."""


def store_uri(config: Config) -> str:
    """Returns the tracking store: the configured one, or SQLite in `mlruns/` beside `churn.toml`.

    A relative SQLite path in the configuration counts from the folder of `churn.toml`, as every path there.
    """
    path = store_path(config)
    return str(config.tracking.uri) if path is None else _sqlite_uri(path)


def store_path(config: Config) -> Path | None:
    """Returns the SQLite file of the store, or None if the store is no such file."""
    if config.tracking.uri is None:
        return config.resolve("mlruns/mlflow.db")
    scheme, _, path = config.tracking.uri.partition(":///")
    return config.resolve(path) if scheme == "sqlite" and path else None


def artifacts_of(config: Config) -> Path:
    """Returns the folder of the artifacts, unless a server keeps them."""
    return config.resolve("mlruns/artifacts")


def is_server(uri: str) -> bool:
    """Returns whether a store is a server rather than a database.

    >>> is_server("https://mlflow.example"), is_server("sqlite:///mlruns/mlflow.db")
    (True, False)
    """
    return uri.startswith(("http://", "https://", "databricks"))


def prepare_store(config: Config) -> None:
    """Makes sure that the store is there, whole, free, and knows where its artifacts are now.

    MLflow makes its tables in many steps, and a store killed between two of them can never be opened again: so a new
    one is made beside its place and moved there in one step. The first use of a store takes some seconds.

    Raises:
        TrackingError: it cannot be used.
    """
    with quiet_mlflow():
        if not is_server(store_uri(config)):
            artifacts_of(config).mkdir(parents=True, exist_ok=True)
        path = store_path(config)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        held = claim(path.with_name(f".{path.name}.lock"), wait=True)
        try:
            if not path.exists():
                _make_store(path, config)
            _check_store(path, config)
        finally:
            release(held)


@contextlib.contextmanager
def quiet_mlflow() -> Iterator[None]:
    """Inside, MLflow sends nothing anywhere, shows nothing, and gives up soon; its errors come out as TrackingError."""
    for name, value in _settings().items():
        os.environ.setdefault(name, value)
    levels = {name: logging.getLogger(name).level for name in _LOUD}
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr), _in_plain_words():
            warnings.simplefilter("ignore")
            import mlflow  # noqa: F401  it sets the levels of its loggers when it is first imported

            for name in _LOUD:
                logging.getLogger(name).setLevel(logging.CRITICAL)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _settings() -> dict[str, str]:
    """Settings of MLflow that it reads when it is imported or at each request."""
    return {
        "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    }  # fmt: skip


@contextlib.contextmanager
def _in_plain_words() -> Iterator[None]:
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError, ImportError) as error:
        raise TrackingError(
            f"not tracked: the experiment store {_reason(error)}; the model, its report and its figures are kept. Mend "
            "the store ([tracking] in churn.toml; by default mlruns/mlflow.db) and train again: the same data give the "
            "same model"
        ) from error


def _reason(error: Exception) -> str:
    """Returns why a store fails, without its address: that may hold a password."""
    text = str(error).lower()
    known = {
        "locked": "is locked by another program",
        "not a database": "is damaged",
        "malformed": "is damaged",
        "no such table": "is damaged",
        "readonly": "is read-only",
        "connection": "does not answer",
        "max retries": "does not answer",
    }
    return next((reason for sign, reason in known.items() if sign in text), f"cannot be used ({type(error).__name__})")


def _sqlite_uri(path: Path) -> str:
    """Returns the address of a SQLite file, whatever signs its folders' names have."""
    from sqlalchemy import URL

    return str(URL.create("sqlite", database=str(path)).render_as_string(hide_password=False))


def _make_store(path: Path, config: Config) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with replacing(path) as temporary:
        store = SqlAlchemyStore(_sqlite_uri(temporary), artifacts_of(config).as_uri())
        store.engine.dispose()


def _check_store(path: Path, config: Config) -> None:
    """Asks for the store before MLflow does, which would wait for minutes; and follows a project that was moved."""
    here = artifacts_of(config).as_uri()
    with contextlib.closing(sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)) as store:
        store.execute("BEGIN IMMEDIATE")
        for (there,) in store.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall():
            if config.tracking.uri is None and there != here and str(there).endswith("/mlruns/artifacts"):
                _move_artifacts(store, there, here)
        store.execute("COMMIT")


def _move_artifacts(store: Any, there: str, here: str) -> None:
    """Rewrites where artifacts are: MLflow records whole paths, wrong once the folder of churn.toml is moved."""
    store.execute("UPDATE experiments SET artifact_location = ? WHERE artifact_location = ?", (here, there))
    store.execute(
        "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) WHERE substr(artifact_uri, 1, ?) = ?",
        (here, len(there) + 1, len(there), there),
    )
