"""A small simulated company, trained once per session, and the command line as a user calls it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from churn.cli import app
from churn.jobs.simulate import simulate

CUSTOMERS, MONTHS, SEED = 1_200, 18, 7
SETTINGS = """
horizon_days = 60
train_every_days = 60
test_cutoffs = [2024-04-01]
"""
CANARY = "canary.4711@private.example"
"""An e-mail address that stands in every text column of some rows: nothing that training keeps may hold it."""
CANARY_ID = "CANARY-00-4711"
"""A customer's id, likewise."""
_TEXT_COLUMNS = {
    "transactions": ("order_id", "channel", "category"),
    "visits": ("channel",),
    "contacts": ("case_id", "channel", "topic", "agent_id", "text"),
    "incidents": ("kind", "order_id"),
    "feedback": ("kind", "author", "channel", "topic", "text"),
    "invitations": ("channel",),
    "customers": ("region", "segment", "age_band"),
}


@dataclass(frozen=True, slots=True)
class Told:
    """How a command ended: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


@dataclass(frozen=True, slots=True)
class Project:
    """A trained project: its folder, and how the training ended."""

    directory: Path
    training: Told

    @property
    def config(self) -> Path:
        """Its `churn.toml`."""
        return self.directory / "churn.toml"

    @property
    def bundle(self) -> Path:
        """The folder of its only model."""
        return Path(self.training.json["bundle"])

    def table(self, name: str) -> pd.DataFrame:
        """One of its tables."""
        return pd.read_parquet(self.directory / f"{name}.parquet")

    def copied(self, directory: Path) -> Project:
        """The same project in another folder, to be changed or damaged there; its experiments stay behind."""
        shutil.copytree(self.directory, directory, ignore=shutil.ignore_patterns("mlruns"))
        return Project(directory, self.training)


def make_project(directory: Path) -> Project:
    """Simulates the company, hides the canaries in it, and trains it in a process of its own."""
    simulate(directory, customers=CUSTOMERS, months=MONTHS, regime="retail", seed=SEED)
    config = directory / "churn.toml"
    config.write_text(SETTINGS + config.read_text(encoding="utf-8"), encoding="utf-8")
    for name, columns in _TEXT_COLUMNS.items():
        _hide_canaries(directory / f"{name}.parquet", columns)
    return Project(directory, run_apart("train", "--config", str(config), "--json"))


def run(capsys: pytest.CaptureFixture[str], *words: str) -> Told:
    """Runs a command in this process, where every warning is an error."""
    with pytest.raises(SystemExit) as ended:
        app(list(words), prog_name="churn")
    printed = capsys.readouterr()
    code = ended.value.code
    return Told(code if isinstance(code, int) else 0, printed.out, printed.err)


def run_apart(*words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Told:
    """Runs a command in a process of its own, as a user does."""
    done = subprocess.run(
        command(*words), cwd=cwd, env={**environment(), **(env or {})}, capture_output=True, text=True, check=False
    )
    return Told(done.returncode, done.stdout, done.stderr)


def command(*words: str) -> list[str]:
    """The command line that calls this checkout's churn."""
    return [sys.executable, "-m", "churn.cli", *words]


def environment() -> dict[str, str]:
    """The environment of such a call."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


def _hide_canaries(path: Path, columns: tuple[str, ...]) -> None:
    """The last customer gets a telling id, and three rows of each table an e-mail address in every text column."""
    table = pd.read_parquet(path)
    who = f"C{CUSTOMERS - 1:06d}"
    table["customer_id"] = table["customer_id"].where(table["customer_id"] != who, CANARY_ID)
    for column in columns:
        table.loc[table.index[[3, 33, 133]], column] = CANARY
    table.to_parquet(path)
