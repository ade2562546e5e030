"""A simulated company with a model, to be scored by the command or in this process."""

from __future__ import annotations

import shutil
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from measuring import Measured, run_churn

from churn.config import Config, parse_config
from churn.jobs.explained import explained_from
from churn.jobs.score import score

MONTHS, SEED = 24, 7
LEARNT_FROM = 5_000
"""Customers the model is trained on: its size, not its wisdom, matters here."""
SETTINGS = f"""horizon_days = 60
train_every_days = 60

[engine]
memory_limit = "1GB"
training_customers = {LEARNT_FROM}
"""


@dataclass(frozen=True, slots=True)
class Shop:
    """A company on disk.

    Attributes:
        home: its folder, with churn.toml and a model.
        bundle: the folder of the model.
        customers: how many it has.
    """

    home: Path
    bundle: Path
    customers: int

    def config(self, *, buckets: int | None = None, threads: int | None = None) -> Config:
        """Returns its configuration with other engine settings."""
        text = (self.home / "churn.toml").read_text(encoding="utf-8")
        given = tomllib.loads(text)
        given["engine"] |= {name: value for name, value in (("buckets", buckets), ("threads", threads)) if value}
        return parse_config(given, directory=self.home)

    def scored(self, *, reasons: str) -> Measured:
        """Returns what `churn score` of everybody takes, in a process of its own."""
        out = self.home / "scores.parquet"
        out.unlink(missing_ok=True)
        return run_churn([
            "score", "--config", str(self.home / "churn.toml"), "--out", str(out), "--bundle", str(self.bundle),
            "--reasons", reasons,
        ])  # fmt: skip

    def stages(self) -> dict[str, float]:
        """Returns the CPU seconds of each stage of a scoring without reasons: reading, asking all, scoring, sorting."""
        marks: list[tuple[str, float]] = []

        def note(step: str) -> None:
            name = step.split(":")[0].split(" in")[0].split(" at ")[0]
            if not marks or marks[-1][0] != name:
                marks.append((name, time.process_time()))

        score(self.config(), bundle=self.bundle, explained=explained_from("top:1"), progress=note)
        ends = [moment for _, moment in marks[1:]] + [time.process_time()]
        spent: dict[str, float] = {}
        for (name, start), end in zip(marks, ends, strict=True):
            spent[name] = spent.get(name, 0.0) + end - start
        return spent

    def list_bytes(
        self, *, buckets: int | None = 4, threads: int | None = None, shuffled: bool = False, name: str = "list.parquet"
    ) -> bytes:
        """Returns the file of everybody's scores, made so."""
        place = self._shuffled() if shuffled else self
        out = place.home / name
        out.unlink(missing_ok=True)
        config = place.config(buckets=buckets, threads=threads)
        score(config, out=out, bundle=self.bundle, explained=explained_from("top:500"))
        return out.read_bytes()

    def alone(self, *, count: int = 3) -> tuple[int, int]:
        """Returns how many of some customers score alone as in a list of them, and how many there are."""
        config, reasons = self.config(), explained_from("all")
        ids = [f"C{number:06d}" for number in range(0, self.customers, max(self.customers // 7, 1))][:count]
        together = score(config, bundle=self.bundle, customers=ids, explained=reasons).scores
        assert together is not None
        same = 0
        for place, one in enumerate(ids):
            single = score(config, bundle=self.bundle, customers=[one], explained=reasons).scores
            assert single is not None
            same += single.iloc[0].astype(str).equals(together.iloc[place].astype(str))
        return same, len(ids)

    def _shuffled(self) -> Shop:
        other = Shop(self.home.with_name(f"{self.home.name}-shuffled"), self.bundle, self.customers)
        shutil.rmtree(other.home, ignore_errors=True)
        other.home.mkdir()
        shutil.copy(self.home / "churn.toml", other.home)
        for path in self.home.glob("*.parquet"):
            if path.name != "list.parquet" and not path.name.startswith("scores"):
                pd.read_parquet(path).sample(frac=1, random_state=5).to_parquet(other.home / path.name, index=False)
        return other


def made_shop(home: Path, *, customers: int, months: int = MONTHS, like: Shop | None = None) -> Shop:
    """Returns a company of so many customers in a folder below `home`, simulated and trained unless it is there.

    With `like` it is scored by the other company's model.
    """
    folder = home / f"shop-{customers}"
    config = folder / "churn.toml"
    if not config.exists():
        home.mkdir(parents=True, exist_ok=True)
        run_churn([
            "simulate", str(folder), "--customers", str(customers), "--months", str(months), "--seed", str(SEED),
        ])  # fmt: skip
        text = config.read_text(encoding="utf-8")
        first, found, rest = text.partition("[contact]")
        horizon, engine = SETTINGS.split("\n\n", 1)
        config.write_text(f"{horizon}\n{first}{found}{rest}\n{engine}", encoding="utf-8")
    if like is not None:
        return Shop(folder, like.bundle, customers)
    bundles = sorted(path.parent for path in (folder / "models").glob("*/bundle.json"))
    if not bundles:
        run_churn(["train", "--config", str(config)])
        bundles = sorted(path.parent for path in (folder / "models").glob("*/bundle.json"))
    return Shop(folder, bundles[0], customers)
