"""A simulated company in memory: its tables, its truth, and the setting from which its latent state can be relived."""

from dataclasses import dataclass

import pyarrow as pa

from churn.simulation.regimes import Regime
from churn.simulation.setting import Setting, setting_of


@dataclass(frozen=True, kw_only=True)
class World:
    """A company that has lived. `tables` is what it knows at its end, `truth` what no company sees."""

    setting: Setting
    tables: dict[str, pa.Table]
    truth: dict[str, pa.Table]  # customers, friction, incidents


def make_world(
    regime: str | Regime,
    *,
    customers: int = 5000,
    months: int = 24,
    seed: int = 7,
    mechanism: str | None = None,
    vary: bool = False,
) -> World:
    """Returns a simulated company in memory.

    Rows and columns as `simulate` writes them; about 25 MB per 1,000 customers and 24 months. The latent state of any
    morning is had by living it again: `world.setting.company(block).live(day)`, and `oracle(world, ...)` does so.

    Raises:
        ConfigError: an unknown regime or mechanism, or a number of customers or months that makes no world.

    Source: docs/simulator.md.

    >>> world = make_world("retail", customers=20, months=2, seed=1)
    >>> world.truth["customers"].num_rows, "feedback" in world.tables
    (20, True)
    """
    setting = setting_of(regime, customers=customers, months=months, seed=seed, mechanism=mechanism, vary=vary)
    made = build(setting)
    truth = {name.removeprefix("truth_"): table for name, table in made.items() if name.startswith("truth_")}
    return World(setting=setting, tables={name: made[name] for name in setting.regime.tables}, truth=truth)


def build(setting: Setting) -> dict[str, pa.Table]:
    """Returns all tables of a company by name, those of the truth as `truth_*`."""
    blocks = [setting.tables(block) for block in range(setting.blocks)]
    return {name: pa.concat_tables([each[name] for each in blocks]) for name in setting.names}
