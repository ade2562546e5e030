"""Leaving: who has decided to leave and when she goes, the fade before it, and parting words."""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from churn.simulation.arrays import NEVER, Floats, Ints, Rows, ints
from churn.simulation.calendar import DAY
from churn.simulation.people import People
from churn.simulation.regimes import HIDDEN_STATES, Regime
from churn.simulation.voice import COMPLAINT, EMAIL, feedback_rows

STAYS: Final = -1  # cause of who does not leave; causes are kinds, then `outside` = number of kinds
LOYAL, WAVERING, LEAVING = range(3)
MOODS: Final = ("loyal", "wavering", "leaving")
_FADED: Final = 0.1  # share of the own visit rate left at the end of a fade
_PARTING_DAYS: Final = 14  # no word comes later than this after an exit


@dataclass
class Exits:
    """Who leaves when; shapes are (customers,). A decision comes first, the exit with it or after a fade."""

    fade_from: Ints  # first day of the fade; NEVER for a sudden exit
    exit_day: Ints  # first day without her; NEVER while she has not decided to leave
    cause: Ints
    partly_from: Ints  # first day on which part of her custom goes elsewhere; NEVER while all of it is here
    level: Floats  # share of her visit rate that is left by then
    mood: Ints  # hidden state of the second mechanism: LOYAL, WAVERING, LEAVING
    blame: Ints  # code of the cause that made her waver

    def strength(self, day: int, *, regime: Regime) -> Floats:
        """Share of her own visit rate that is left on a day: fading before the exit, 0 from the exit on."""
        if regime.mechanism == HIDDEN_STATES:
            by_mood = np.array([1.0, regime.wavering_strength, regime.leaving_strength])
            left = by_mood[self.mood]
        else:
            length = np.maximum(self.exit_day - self.fade_from, 1)
            left = 1.0 - (1.0 - _FADED) * ((day - self.fade_from) / length).clip(0.0, 1.0)
        return np.where(day >= self.exit_day, 0.0, left * self.level)

    def clones(self, who: Ints) -> "Exits":
        """The exits of copies of these customers."""
        return Exits(**{each.name: getattr(self, each.name)[who] for each in fields(self)})


def nobody_leaves(customers: int) -> Exits:
    """Returns the state before anyone has decided to leave."""
    never = np.full(customers, NEVER)
    return Exits(
        fade_from=never,
        exit_day=never.copy(),
        cause=np.full(customers, STAYS),
        partly_from=never.copy(),
        level=np.ones(customers),
        mood=np.full(customers, LOYAL),
        blame=np.full(customers, STAYS),
    )


def stay_in_part(who: Ints, *, exits: Exits, day: int, regime: Regime, rng: np.random.Generator) -> Ints:
    """Lets some of the deciders take only part of their custom elsewhere, once; returns those who leave for good."""
    draws, levels = rng.random(len(who)), rng.uniform(*regime.partial_level, len(who))
    in_part = (draws < regime.partial_share) & (exits.partly_from[who] == NEVER)
    exits.partly_from[who[in_part]] = day + 1
    exits.level[who[in_part]] = levels[in_part]
    for_good: Ints = who[~in_part]
    return for_good


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
