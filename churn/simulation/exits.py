"""Leaving: the hazard, the fade before an exit, and parting words."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from churn.simulation.arrays import NEVER, Floats, Ints, Rows, ints
from churn.simulation.calendar import DAY
from churn.simulation.friction import Friction
from churn.simulation.people import People
from churn.simulation.regimes import Regime
from churn.simulation.voice import COMPLAINT, EMAIL, feedback_rows

STAYS: Final = -1  # cause of who does not leave; causes are kinds, then `outside` = number of kinds
_FADED: Final = 0.1  # share of the own visit rate left at the end of a fade
_SPOKEN_DAYS: Final = 60  # who said something so recently counts as vocal in the choice of fading
_PARTING_DAYS: Final = 14  # no word comes later than this after an exit


@dataclass
class Exits:
    """Who leaves when; shapes are (customers,). A decision comes first, the exit with it or after a fade."""

    fade_from: Ints  # first day of the fade; NEVER for a sudden exit
    exit_day: Ints  # first day without her; NEVER while she has not decided to leave
    cause: Ints

    def strength(self, day: int) -> Floats:
        """Share of her own visit rate that is left on a day: 1, falling to 0.1 over a fade, 0 from the exit on."""
        length = np.maximum(self.exit_day - self.fade_from, 1)
        gone = ((day - self.fade_from) / length).clip(0.0, 1.0)
        return np.where(day >= self.exit_day, 0.0, 1.0 - (1.0 - _FADED) * gone)


def nobody_leaves(customers: int) -> Exits:
    """Returns the state before anyone has decided to leave."""
    never = np.full(customers, NEVER)
    return Exits(fade_from=never, exit_day=never.copy(), cause=np.full(customers, STAYS))


def friction_hazard(pressure: Floats, *, regime: Regime) -> Floats:
    """Returns the weekly hazard that friction adds: convex, and capped."""
    return np.minimum(regime.friction_hazard * pressure**2, regime.friction_hazard_cap)


def decide(
    exits: Exits,
    *,
    day: int,
    is_customer: np.ndarray,
    friction: Friction,
    last_said: Ints,
    regime: Regime,
    rng: np.random.Generator,
) -> Ints:
    """Lets the day's deciders leave, and returns their positions."""
    pressured = friction_hazard(regime.friction_matters * friction.total(), regime=regime)
    draws = rng.random(len(pressured))
    may = is_customer & (exits.exit_day == NEVER)
    who = np.flatnonzero(may & (draws < (regime.outside_hazard + pressured) / 7.0))
    by_friction = draws[who] < pressured[who] / 7.0
    exits.cause[who] = np.where(by_friction, friction.stock[:, who].argmax(axis=0), len(regime.kinds))
    fade_share = np.where(day - last_said[who] <= _SPOKEN_DAYS, regime.fade_share_vocal, regime.fade_share_silent)
    fades = rng.random(len(who)) < fade_share
    length = np.rint(regime.fade_days * rng.uniform(0.7, 1.3, len(who))).astype(np.int64)
    exits.fade_from[who] = np.where(fades, day + 1, NEVER)
    exits.exit_day[who] = day + 1 + np.where(fades, length, 0)
    return who


def parting_complaints(
    who: Ints, *, day: int, exits: Exits, regime: Regime, people: People, rng: np.random.Generator
) -> Rows:
    """Returns the complaints of today's deciders around their exits; outside reasons are not told."""
    size = len(who)
    chance = regime.parting_words * people.voice[who] * np.minimum(regime.voice_odds, 1.0)
    says = (rng.random(size) < chance) & (exits.cause[who] < len(regime.kinds))
    second = (day + 1) * DAY + 9 * 3600 + rng.integers(0, 12 * 3600, size)
    second = second + np.rint(rng.exponential(5.0, size)).astype(np.int64) * DAY
    says &= second < (exits.exit_day[who] + _PARTING_DAYS) * DAY
    speakers = who[says]
    rows = feedback_rows(speakers, second=second[says], kind=COMPLAINT, channel=EMAIL)
    rows["is_parting"] = np.ones(len(speakers), dtype=np.bool_)
    rows["topic"] = ints(exits.cause[speakers])
    return rows
