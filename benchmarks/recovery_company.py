"""A company of the recovery benchmark: which one, how large, where it lies, and what is true of it."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from churn.config import Config, parse_config
from churn.jobs.simulate import simulate
from churn.simulation.calendar import FIRST_DAY
from churn.simulation.setting import Setting, setting_of

Progress = Callable[[str], None]
GAP_DAYS = 30
"""The later gap: leaving is foretold and not noticed, so that there is something left to be said."""
HORIZON_DAYS = {"hotel": 182, "telecom": 30}
USUAL_HORIZON_DAYS = 60
BETWEEN_TESTS_DAYS = 60
NO_SIGNAL = ("no_signal",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which company, and how much is asked of it.

    Attributes:
        regime, mechanism, seed, customers, months: of the company.
        is_varied: whether its parameters are drawn anew around the regime's, by seed.
        cutoffs: so many test cutoffs.
        asked: so many eligible customers of each test cutoff are put to the oracle and to the ceiling.
        particles: of the ceiling.
        futures: of both.
    """

    regime: str
    mechanism: str
    seed: int
    customers: int
    months: int
    is_varied: bool
    cutoffs: int
    asked: int
    particles: int
    futures: int

    @property
    def name(self) -> str:
        """Short and unique among companies of one size."""
        return f"{self.regime} {self.mechanism} {self.seed}"

    @property
    def horizon_days(self) -> int:
        """The horizon that suits the trade."""
        return HORIZON_DAYS.get(self.regime, USUAL_HORIZON_DAYS)

    @property
    def activity(self) -> str:
        """What leaving means, as the oracle names it."""
        return "contracts" if self.regime == "telecom" else "purchases"

    @property
    def gaps(self) -> tuple[int, ...]:
        """Gaps that are measured: of contracts only none, since a term that runs ends in the window itself."""
        return (0,) if self.activity == "contracts" else (0, GAP_DAYS)

    @property
    def has_signal(self) -> bool:
        """Whether there is anything to be found."""
        return self.regime not in NO_SIGNAL

    def to_dict(self) -> dict[str, Any]:
        """Returns the plan as plain JSON."""
        return {**asdict(self), "name": self.name, "horizon_days": self.horizon_days}


@dataclass(frozen=True, slots=True)
class Company:
    """A simulated company on disk.

    Attributes:
        plan: which.
        folder: where its `churn.toml` and tables are.
        setting: from which its latent state can be relived.
        people: the truth of every customer, by `customer_id`.
        incidents: the truth of everything that went wrong.
    """

    plan: Plan
    folder: Path
    setting: Setting
    people: pd.DataFrame
    incidents: pd.DataFrame

    def config(self, *, gap_days: int) -> Config:
        """Returns its configuration with the test cutoffs of the plan; those of every gap are the same."""
        source = (self.folder / "churn.toml").read_text(encoding="utf-8")
        given = tomllib.loads(source)
        given |= {
            "horizon_days": self.plan.horizon_days,
            "gap_days": gap_days,
            "test_cutoffs": [moment.date() for moment in self.tests()],
        }
        return parse_config(given, directory=self.folder, source=source)

    def tests(self) -> list[dt.datetime]:
        """Returns the test cutoffs, first to last: at the longest gap the last window ends a day before the world."""
        last = self.setting.calendar.days - 1 - self.plan.horizon_days - max(self.plan.gaps)
        if self.plan.activity == "contracts":
            last -= GAP_DAYS  # the days of grace
        days = [last - BETWEEN_TESTS_DAYS * back for back in reversed(range(self.plan.cutoffs))]
        return [FIRST_DAY + dt.timedelta(days=day) for day in days]


def make_company(plan: Plan, folder: Path, *, progress: Progress) -> Company:
    """Returns the company of a plan, simulated into `folder`."""
    progress(f"{plan.name}: simulating {plan.customers:,} customers")
    drawn = {
        "customers": plan.customers, "months": plan.months, "seed": plan.seed, "mechanism": plan.mechanism,
    }  # fmt: skip
    simulate(folder, regime=plan.regime, vary=plan.is_varied, **drawn)
    truth = {name: pd.read_parquet(folder / "truth" / f"{name}.parquet") for name in ("customers", "incidents")}
    setting = setting_of(plan.regime, vary=plan.is_varied, **drawn)
    return Company(plan, folder, setting, truth["customers"].set_index("customer_id"), truth["incidents"])


def row_numbers(ids: pd.Index[str]) -> list[int]:
    """Returns the numbers of customers in their world.

    >>> row_numbers(pd.Index(["C000012"]))
    [12]
    """
    return [int(each[1:]) for each in ids]
