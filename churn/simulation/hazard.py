"""The first mechanism of leaving: a weekly hazard, convex in friction, and outside reasons beside it."""

from typing import Final

import numpy as np

from churn.simulation.arrays import NEVER, Bools, Floats, Ints
from churn.simulation.exits import Exits, stay_in_part
from churn.simulation.regimes import Regime

SPOKEN_DAYS: Final = 60  # who said something so recently counts as vocal in the choice of fading


def friction_hazard(pressure: Floats, *, regime: Regime) -> Floats:
    """Returns the weekly hazard that friction adds: convex, and capped."""
    return np.minimum(regime.friction_hazard * pressure**2, regime.friction_hazard_cap)


def decide(
    exits: Exits,
    *,
    day: int,
    is_customer: Bools,
    pressure: Floats,
    stock: Floats,
    last_said: Ints,
    regime: Regime,
    rng: np.random.Generator,
) -> Ints:
    """Lets the day's deciders leave, and returns the positions of those who leave for good.

    `pressure` is friction as it matters to each customer, `stock` her friction by kind: the largest one is the cause.
    """
    pressured = friction_hazard(pressure, regime=regime)
    draws = rng.random(len(pressured))
    may = is_customer & (exits.exit_day == NEVER)
    who = np.flatnonzero(may & (draws < (regime.outside_hazard + pressured) / 7.0))
    who = stay_in_part(who, exits=exits, day=day, regime=regime, rng=rng)
    by_friction = draws[who] < pressured[who] / 7.0
    exits.cause[who] = np.where(by_friction, stock[:, who].argmax(axis=0), len(regime.kinds))
    fade_share = np.where(day - last_said[who] <= SPOKEN_DAYS, regime.fade_share_vocal, regime.fade_share_silent)
    fades = rng.random(len(who)) < fade_share
    length = np.rint(regime.fade_days * rng.uniform(0.7, 1.3, len(who))).astype(np.int64)
    exits.fade_from[who] = np.where(fades, day + 1, NEVER)
    exits.exit_day[who] = day + 1 + np.where(fades, length, 0)
    return who
