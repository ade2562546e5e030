"""What the company cannot see: who leaves when and why, who said so, and how much friction she carries."""

from dataclasses import dataclass

import numpy as np

from churn.simulation.arrays import NEVER, Bools, Floats, Ints, Rows, ints
from churn.simulation.calendar import DAY, Calendar
from churn.simulation.exits import STAYS, Exits
from churn.simulation.people import People
from churn.simulation.voice import COMPLAINT

OUTCOMES = ("stays", "leaves_vocally", "leaves_silently")
_VOICE_WINDOW = 90 * DAY  # before the exit ...
_BEFORE_LAST_VISIT = 30 * DAY  # ... or so long before her last visit, whichever is earlier
_AFTER_EXIT = 14 * DAY  # parting words come at most so late
_WORST_SHARE = 0.4
_DETRACTOR = 6.0


@dataclass(frozen=True, kw_only=True)
class Truth:
    """One entry per customer. Who would leave after the last day of the world stays: nobody can know."""

    exit_second: Ints  # NEVER for who stays
    fades_from_second: Ints  # NEVER for a sudden exit
    cause: Ints  # code: kinds, then `outside`; STAYS for who stays
    outcome: Ints  # code into OUTCOMES
    personality: Floats
    sensitivity: Floats
    partly_from_second: Ints  # from then on part of her custom goes elsewhere; NEVER for most


def exit_seconds(exits: Exits, *, calendar: Calendar) -> Ints:
    """Returns the moment of each exit, NEVER when it does not fall into the world."""
    return _moments(exits.exit_day, calendar=calendar)


def _moments(day: Ints, *, calendar: Calendar) -> Ints:
    """Midnights of days inside the world; NEVER for all others."""
    is_inside = day < calendar.days
    return np.where(is_inside, np.where(is_inside, day, 0) * DAY, NEVER)


def is_voice(feedback: Rows) -> Bools:
    """Returns which feedback rows are voice: complaints, NPS up to 6, other scores in the worst 40 %."""
    span = feedback["score_max"] - feedback["score_min"]
    height = (feedback["score"] - feedback["score_min"]) / span
    goodness = np.where(feedback["is_higher_better"], height, 1.0 - height)
    is_nps = (feedback["score_min"] == 0.0) & (feedback["score_max"] == 10.0)
    is_low = np.where(is_nps, feedback["score"] <= _DETRACTOR, goodness <= _WORST_SHARE)
    result: Bools = ((feedback["kind"] == COMPLAINT) | is_low) & ~feedback["is_other"].astype(np.bool_)
    return result


def find_truth(exits: Exits, *, people: People, calendar: Calendar, kept: dict[str, Rows]) -> Truth:
    """Returns the truth, the outcome being read off the rows the company keeps."""
    visits, contacts, feedback = kept["visits"], kept["contacts"], kept["feedback"]
    exit_second = exit_seconds(exits, calendar=calendar)
    leaves = exit_second < NEVER
    last_visit = np.full(people.count, -NEVER)
    np.maximum.at(last_visit, ints(visits["customer"]), ints(visits["second"]))
    opens = np.where(leaves, np.minimum(exit_second - _VOICE_WINDOW, last_visit - _BEFORE_LAST_VISIT), NEVER)
    closes = np.where(leaves, np.where(leaves, exit_second, 0) + _AFTER_EXIT, -NEVER)
    has_spoken = np.zeros(people.count, dtype=np.bool_)
    for rows, speaks in ((contacts, contacts["is_complaint"].astype(np.bool_)), (feedback, is_voice(feedback))):
        who, second = ints(rows["customer"]), ints(rows["second"])
        has_spoken[who[speaks & (second >= opens[who]) & (second < closes[who])]] = True
    return Truth(
        exit_second=exit_second,
        fades_from_second=_moments(exits.fade_from, calendar=calendar),
        cause=np.where(leaves, exits.cause, STAYS),
        outcome=np.where(leaves, np.where(has_spoken, 1, 2), 0),
        personality=people.voice,
        sensitivity=people.sensitivity,
        partly_from_second=_moments(exits.partly_from, calendar=calendar),
    )
