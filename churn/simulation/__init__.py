"""A company with known truth, for tests, benchmarks and a first look; imports nothing of the package but its errors."""

from churn.simulation.ceiling import ceiling
from churn.simulation.company import simulate
from churn.simulation.oracle import oracle
from churn.simulation.regimes import Regime, regimes
from churn.simulation.world import World, make_world

__all__ = ["Regime", "World", "ceiling", "make_world", "oracle", "regimes", "simulate"]
