"""Arenas: the data sets on which the contestants of accuracy meet, each as a configuration to train with."""

from __future__ import annotations

import datetime as dt
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measuring import DATA_VARIABLE, ROOT
from published import Protocol

from churn.config import Config, parse_config
from churn.jobs.simulate import simulate
from churn.tables.guess import guess_config

SEED = 7
CDNOW = "CDNOW"


@dataclass(frozen=True, slots=True)
class Arena:
    """One data set and what must be shown on it.

    Attributes:
        name: short, unique.
        title: what it is about, in one line.
        config: to train with.
        targets: metric -> what ours must reach; empty where it need only hold its own.
        must_lead: whether each difference to the best peer must be beyond chance.
        shows_feedback: whether what feedback and incidents add is shown.
    """

    name: str
    title: str
    config: Config
    targets: dict[str, float]
    must_lead: bool = False
    shows_feedback: bool = True


def protocol_arena(protocol: Protocol, *, data: Path, cutoffs: str) -> Arena:
    """Returns a protocol at its `development` or its `test` cutoffs; only on the latter it has targets to reach."""
    folder = ROOT / "examples" / protocol.example
    source = (folder / "churn.toml").read_text(encoding="utf-8")
    given = tomllib.loads(source.replace(f"${{{DATA_VARIABLE}}}", data.resolve().as_posix()))
    is_test = cutoffs == "test"
    moments = protocol.populations if is_test else protocol.development
    given["test_cutoffs"] = [dt.date.fromisoformat(moment) for moment in moments]
    return Arena(
        name=protocol.name, title=protocol.title, config=parse_config(given, directory=folder, source=source),
        targets=protocol.targets if is_test else {}, must_lead=protocol.must_lead,
    )  # fmt: skip


@contextmanager
def simulated_arena(regime: str, *, customers: int, months: int, title: str) -> Iterator[Arena]:
    """Gives a simulated company for as long as the block lasts."""
    with TemporaryDirectory(prefix="churn-benchmark-") as folder:
        home = Path(folder) / regime
        simulate(home, customers=customers, months=months, regime=regime, seed=SEED)
        yield Arena(f"simulated {regime}", title, _loaded(home, {}), {})


@contextmanager
def file_arena(path: Path, *, horizon_days: int | None, population: str | None) -> Iterator[Arena]:
    """Gives a file of transactions, its columns guessed as `churn init --from` does, for as long as the block lasts.

    Raises:
        ValueError: the file isn't there, or its columns can't be guessed.
    """
    if not path.is_file():
        raise ValueError(f"{path} is no file; give one with a row per purchase: customer, time, amount")
    with TemporaryDirectory(prefix="churn-benchmark-") as folder:
        home = Path(folder) / "project"
        (home / "data").mkdir(parents=True)
        shutil.copy(path, home / "data" / f"transactions{path.suffix}")
        text = guess_config(home / "data", relative_to=home)
        (home / "churn.toml").write_text(text, encoding="utf-8")
        if "# No file looks like transactions" in text:
            raise ValueError(f"{path}: no columns that look like customer, time and amount; name them so in its header")
        settings = {"horizon_days": horizon_days, "population": population}
        config = _loaded(home, {name: value for name, value in settings.items() if value is not None})
        yield Arena(path.name, f"{path.name}: who does not buy again", config, {}, shows_feedback=False)


def cdnow_file() -> Path | None:
    """Returns CDNOW as `lifetimes` carries it: a line per purchase of 2,357 customers, January 1997 to June 1998."""
    found = find_spec("lifetimes")
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0]) / "datasets" / "CDNOW_sample.txt"
    return path if path.is_file() else None


@contextmanager
def cdnow_arena(path: Path) -> Iterator[Arena]:
    """Gives CDNOW as somebody would hand it over: one CSV with customer, date and amount, and nothing else said.

    Source: Fader, Hardie 2001: a tenth of the cohort that first bought in the first quarter of 1997.
    """
    with TemporaryDirectory(prefix="churn-benchmark-") as folder:
        csv = Path(folder) / "cdnow.csv"
        lines = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
        rows = [f"{who},{day[:4]}-{day[4:6]}-{day[6:]},{amount}" for _, who, day, _, amount in lines]
        csv.write_text("\n".join(["customer,date,amount", *rows]) + "\n", encoding="ascii")
        with file_arena(csv, horizon_days=None, population=None) as arena:
            yield replace(arena, name=CDNOW, title="CDNOW, dated purchases only: who does not buy again")


def _loaded(home: Path, settings: dict[str, Any]) -> Config:
    source = (home / "churn.toml").read_text(encoding="utf-8")
    return parse_config({**tomllib.loads(source), **settings}, directory=home, source=source)
