"""The second mechanism of leaving: a hidden chain from loyal to wavering to leaving, pushed by what goes wrong."""

import numpy as np

from churn.simulation.arrays import NEVER, Bools, Floats, Ints, Rows, ints, pick
from churn.simulation.exits import LEAVING, LOYAL, WAVERING, Exits, stay_in_part
from churn.simulation.people import People
from churn.simulation.regimes import Regime


def chance_of_push(raised: Floats, *, sensitivity: Floats, regime: Regime) -> Floats:
    """Returns P(she begins to waver) for something that raises friction by so much."""
    chance: Floats = -np.expm1(-regime.push * regime.friction_matters * sensitivity * raised)
    return chance


def be_moved(exits: Exits, *, effects: Rows, regime: Regime, people: People, rng: np.random.Generator) -> None:
    """Lets what took place today push customers into wavering, and resolutions pull them back."""
    customer, raised = ints(effects["customer"]), effects["raised"].astype(np.float64)
    draws = rng.random(len(customer))
    pushes = draws < chance_of_push(raised, sensitivity=people.sensitivity[customer], regime=regime)
    pulls = (effects["kept"] < 1.0) & (draws < regime.pull)
    calmed = customer[pulls]
    calmed = calmed[exits.mood[calmed] == WAVERING]
    exits.mood[calmed] = LOYAL
    pushed = pick(effects, pushes)
    who = ints(pushed["customer"])
    may = exits.mood[who] != LEAVING
    exits.mood[who[may]] = WAVERING
    exits.blame[who[may]] = ints(pushed["kind"])[may]


def decide(exits: Exits, *, day: int, is_customer: Bools, regime: Regime, rng: np.random.Generator) -> Ints:
    """Lets a day's doubts, calm and decisions take place, and returns the positions of who leaves for good."""
    draws = rng.random(len(exits.mood)) * 7.0
    outside = len(regime.kinds)
    may = is_customer & (exits.exit_day == NEVER)
    wavers = may & (exits.mood == WAVERING)
    breaks = wavers & (draws < regime.break_hazard)
    calms = wavers & ~breaks & (draws < regime.break_hazard + regime.calm_hazard)
    loyal = may & (exits.mood == LOYAL)
    leaves_outside = may & ~breaks & ~calms & (draws > 7.0 - regime.outside_hazard)
    doubts = loyal & (draws < regime.doubt_hazard)
    exits.mood[calms] = LOYAL
    exits.mood[doubts] = WAVERING
    exits.blame[doubts | leaves_outside] = outside
    deciders = np.flatnonzero(breaks | leaves_outside)
    who = stay_in_part(deciders, exits=exits, day=day, regime=regime, rng=rng)
    exits.mood[np.setdiff1d(deciders, who)] = LOYAL
    exits.mood[who] = LEAVING
    exits.cause[who] = exits.blame[who]
    exits.fade_from[who] = day + 1
    exits.exit_day[who] = day + 1 + rng.geometric(1.0 / regime.leaving_days, len(who))
    return who
