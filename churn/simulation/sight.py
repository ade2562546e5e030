"""What can be seen of some customers by a morning: the rows of the company's books, laid out by day for a filter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from churn.simulation.arrays import NEVER, Bools, Floats, Ints, Rows, ints, pick, spread
from churn.simulation.books import History
from churn.simulation.calendar import DAY
from churn.simulation.friction import Friction, no_friction
from churn.simulation.incidents import chance_of_incident
from churn.simulation.life import Company
from churn.simulation.people import People
from churn.simulation.premises import Premises
from churn.simulation.regimes import Regime
from churn.simulation.service import feel
from churn.simulation.truth import is_voice

ANSWER_DAYS: Final = 4  # an invitation that nobody has answered by then counts as unanswered
_SPOKEN_DAYS: Final = 60
_TOLD_DAYS: Final = 21


@dataclass(frozen=True, kw_only=True)
class Sight:
    """Customers are numbered in the order asked for; days are rows. Nothing in it comes from behind the morning."""

    came: Bools  # (days, customers)
    raised: Floats  # (days, customers): what went wrong, in friction units
    relieved: Bools  # (days, customers): something was resolved
    pressure: Floats  # (days, customers): friction as the rows tell it, of average sensitivity
    worst: Ints  # (days, customers): the kind with the largest stock
    spoke: Bools  # (days, customers): said something in the last 60 days
    friction: Friction  # this morning
    asked: dict[int, tuple[Ints, Bools, Floats]]  # day -> who was asked, who has answered by now, and with what score
    incidents: Rows  # customer, kind, severity, is_told
    visits: Rows
    last_said: Ints  # day


def see(company: Company, *, who: Ints) -> Sight:
    """Returns what the company's books tell this morning of these customers: rows before it, and before their exits."""
    day, regime = company.day, company.regime
    rows = _visible(company.history(), exits=company.state.exits.exit_day, day=day, who=who)
    visits, incidents, contacts, feedback = (rows[name] for name in ("visits", "incidents", "contacts", "feedback"))
    shape = (day, len(who))
    friction, raised, relieved, pressure, worst = _felt(incidents, contacts, regime=regime, shape=shape)
    words = pick(feedback, is_voice(feedback))
    spoken = np.zeros(shape, dtype=np.bool_)
    last_said = np.full(len(who), -(10**6))
    for said in (pick(contacts, contacts["is_complaint"]), words):
        spoken[ints(said["second"]) // DAY, ints(said["customer"])] = True
        np.maximum.at(last_said, ints(said["customer"]), ints(said["second"]) // DAY)
    came = np.zeros(shape, dtype=np.bool_)
    came[ints(visits["second"]) // DAY, ints(visits["customer"])] = True
    return Sight(
        came=came,
        raised=raised,
        relieved=relieved,
        pressure=pressure,
        worst=worst,
        spoke=_lately(spoken),
        friction=friction,
        asked=_asked(rows["invitations"], feedback, day=day),
        incidents=dict(incidents, is_told=_is_told(incidents, contacts=contacts, feedback=feedback)),
        visits=visits,
        last_said=last_said,
    )


def exposure(visits: Rows, *, regime: Regime, people: People, premises: Premises, customers: int) -> Floats:
    """Returns how many recorded incidents these visits would bring to customers of average luck; shape (customers,)."""
    average = replace(people, luck=np.ones(people.count))
    calm = replace(premises, shared_days=np.ones_like(premises.shared_days))
    chance = chance_of_incident(visits, day=0, regime=regime, people=average, premises=calm).sum(axis=0)
    weights = chance * regime.recorded_share
    return np.bincount(ints(visits["customer"]), weights=weights, minlength=customers).astype(np.float64)


def _visible(history: History, *, exits: Ints, day: int, who: Ints) -> dict[str, Rows]:
    """The rows of each book that the company has this morning, of these customers, renumbered."""
    gone = np.minimum(exits, day) * DAY
    books = {
        "visits": history.visits,
        "incidents": pick(history.incidents, history.incidents["is_recorded"]),
        "contacts": history.contacts,
        "feedback": history.feedback,
    }
    seen = {name: pick(rows, ints(rows["second"]) < gone[ints(rows["customer"])]) for name, rows in books.items()}
    parting = pick(history.feedback, history.feedback["is_parting"])
    late = (ints(parting["second"]) >= gone[ints(parting["customer"])]) & (ints(parting["second"]) < day * DAY)
    seen["feedback"] = {
        name: np.concatenate([column, parting[name][late]]) for name, column in seen["feedback"].items()
    }
    seen["invitations"] = pick(history.invitations, ints(history.invitations["second"]) < day * DAY)
    answered = ints(seen["invitations"]["answered"])
    is_known = answered < gone[ints(seen["invitations"]["customer"])]
    seen["invitations"] = dict(seen["invitations"], answered=np.where(is_known, answered, NEVER))
    resolved = ints(seen["contacts"]["resolved"])
    seen["contacts"] = dict(seen["contacts"], resolved=np.where(resolved < day * DAY, resolved, NEVER))
    return {name: spread(rows, who=who) for name, rows in seen.items()}


def _felt(
    incidents: Rows, contacts: Rows, *, regime: Regime, shape: tuple[int, int]
) -> tuple[Friction, Floats, Bools, Floats, Ints]:
    """Friction relived from the rows: as it stands, and day by day what raised, relieved and made it."""
    days, customers = shape
    friction = no_friction(regime, customers=customers)
    friction.announce(
        customer=ints(incidents["customer"]),
        kind=ints(incidents["kind"]),
        second=ints(incidents["second"]),
        raised=np.array(regime.friction_by_severity)[ints(incidents["severity"]) - 1],
        kept=np.ones(len(incidents["customer"])),
    )
    about = pick(contacts, ints(contacts["topic"]) < len(regime.kinds))
    order = np.lexsort((about["second"], about["case"]))
    about = pick(about, order)
    case = ints(about["case"])
    repeats = np.diff(case, prepend=-1) == 0
    moved = (np.diff(ints(about["agent"]), prepend=-2) != 0) | (np.diff(ints(about["channel"]), prepend=-2) != 0)
    feel(dict(about, is_handed_over=repeats & moved), friction=friction, relief=regime.relief)
    raised, relieved = np.zeros(shape), np.zeros(shape, dtype=np.bool_)
    pressure, worst = np.zeros(shape), np.zeros(shape, dtype=np.int64)
    for day in range(days):
        effects = friction.pass_day(day, half_life_days=regime.friction_half_life_days)
        np.add.at(raised[day], ints(effects["customer"]), effects["raised"])
        relieved[day, ints(effects["customer"])[effects["kept"] < 1.0]] = True
        pressure[day], worst[day] = friction.total(), friction.stock.argmax(axis=0)
    return friction, raised, relieved, pressure, worst


def _lately(spoken: Bools) -> Bools:
    """Whether she spoke on a day or in the 60 before it."""
    counts = np.cumsum(np.concatenate([np.zeros((1, spoken.shape[1]), dtype=np.int64), spoken]), axis=0)
    first = np.maximum(np.arange(len(spoken)) - _SPOKEN_DAYS, 0)
    lately: Bools = (counts[1:] - counts[first]) > 0
    return lately


def _asked(invitations: Rows, feedback: Rows, *, day: int) -> dict[int, tuple[Ints, Bools, Floats]]:
    """Invitations by the day on which their answer is waited for no longer."""
    scores = dict(
        zip(
            zip(feedback["customer"].tolist(), feedback["second"].tolist(), strict=True),
            feedback["score"].tolist(),
            strict=True,
        )
    )
    due = ints(invitations["second"]) // DAY + ANSWER_DAYS
    asked = {}
    for one in np.unique(due[due < day]).tolist():
        rows = pick(invitations, due == one)
        customer, answered = ints(rows["customer"]), ints(rows["answered"])
        in_time = answered < (one + 1) * DAY
        given = zip(customer.tolist(), answered.tolist(), in_time.tolist(), strict=True)
        score = np.array([scores.get((who, when), np.nan) if has else np.nan for who, when, has in given])
        asked[one] = (customer, in_time, score)
    return asked


def _is_told(incidents: Rows, *, contacts: Rows, feedback: Rows) -> Bools:
    """Whether words under an incident's topic followed it within three weeks."""
    moments = []
    for said in (contacts, feedback):
        moments.append((ints(said["customer"]) * 64 + ints(said["topic"]) + 1) * 2**36 + ints(said["second"]))
    words = np.sort(np.concatenate([*moments, [2**62]]))
    begins = (ints(incidents["customer"]) * 64 + ints(incidents["kind"]) + 1) * 2**36 + ints(incidents["second"])
    told: Bools = words[np.searchsorted(words, begins)] <= begins + _TOLD_DAYS * DAY
    return told
