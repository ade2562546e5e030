"""A company with known truth, for tests, benchmarks and a first look; imports nothing of the package but its errors."""

from churn.simulation.company import simulate
from churn.simulation.regimes import Regime, regimes

__all__ = ["Regime", "regimes", "simulate"]
