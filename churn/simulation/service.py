"""The service desk: cases of up to four contacts, with agents of unequal skill, and what they do to friction."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import expit

from churn.simulation.arrays import NEVER, Bools, Floats, Ints, Rows, choose, floats, ints, pick, stack
from churn.simulation.calendar import DAY
from churn.simulation.friction import Friction
from churn.simulation.people import People
from churn.simulation.premises import Premises
from churn.simulation.regimes import Regime
from churn.simulation.voice import by_day

SERVICE_CHANNELS: Final = ("phone", "chat", "email", "bot", "store")
NEUTRAL_TOPICS: Final = ("order_status", "product_question", "account")
NO_AGENT: Final = -1

# Shop channel (store, web, app) -> where she turns for help.
_HELP: Final = np.array(
    [[0.45, 0.05, 0.10, 0.05, 0.35], [0.30, 0.25, 0.30, 0.15, 0.0], [0.20, 0.40, 0.10, 0.30, 0.0]]
).cumsum(axis=1)
_ANYWHERE: Final = np.array([0.45, 0.20, 0.20, 0.05, 0.10]).cumsum()
_WAIT_MEDIAN: Final = np.array([240.0, 90.0, 5400.0, 2.0, 300.0])  # seconds, by service channel
_HANDLE_MEDIAN: Final = np.array([360.0, 420.0, 300.0, 120.0, 400.0])
_SKILL_LOG_ODDS: Final = np.array([0.1, 0.0, -0.1, -1.3, 0.2])  # a bot rarely solves a problem
_LONG_WAIT: Final = np.array([600.0, 300.0, 28_800.0, 60.0, 900.0])  # seconds that annoy
_MOST_CONTACTS: Final = 4
_REPEATS: Final = 0.68  # share of unresolved contacts after which she comes again
_CHANGES_CHANNEL: Final = 0.4
_EMAIL: Final = 2
_BOT: Final = 3
_HAND_OVER: Final = 0.2  # friction of telling it again to another agent or in another channel


@dataclass
class Desk:
    """The agents, what has closed, and the running number of the next case."""

    skill: Floats  # log odds of resolving, per agent
    closed: int  # code of the service channel that closes, below 0 for none
    closes_on: int
    next_case: int = 0

    def way(self, channel: Ints, *, day: Ints) -> Ints:
        """The channel by which a contact takes place: mail once the chosen one has closed."""
        return np.where((channel == self.closed) & (day >= self.closes_on), _EMAIL, channel)


def open_desk(regime: Regime, *, premises: Premises) -> Desk:
    """Returns the desk of a company before its first case."""
    name = regime.closing_channel
    closed = -1 if name is None else SERVICE_CHANNELS.index(name)
    return Desk(skill=premises.skill, closed=closed, closes_on=premises.closes_on)


def handle(told: Rows, *, desk: Desk, people: People, is_neutral: bool, rng: np.random.Generator) -> Rows:
    """Returns the contacts of one new case per row of `told` (customer, second, kind, severity).

    A case is resolved or not as a whole: `resolved` is the same moment on each of its contacts, or NEVER.
    """
    size = len(told["customer"])
    case = desk.next_case + np.arange(size)
    desk.next_case += size
    is_open: Bools = np.ones(size, dtype=np.bool_)
    resolved = np.full(size, NEVER)
    second = ints(told["second"])
    channel = choose(rng, _HELP[choose(rng, people.channels[told["customer"]])])
    steps: list[Rows] = []
    before: Rows | None = None
    for step in range(_MOST_CONTACTS):
        way = desk.way(channel, day=second // DAY)
        contact = _contact(told, case=case, step=step, second=second, channel=way, desk=desk, rng=rng)
        contact["is_handed_over"] = _is_handed_over(contact, before=before)
        before = contact
        steps.append(pick(contact, is_open))
        log_odds = _skill(contact, desk=desk) - 0.35 * (told["severity"] - 2.0) + 2.0 * is_neutral
        is_solved = is_open & (rng.random(size) < expit(log_odds))
        hours = rng.lognormal(1.5, 1.2, size)
        resolved = np.where(is_solved, second + ints(contact["handle"]) + (hours * 3600).astype(np.int64), resolved)
        is_open &= ~is_solved & (rng.random(size) < _REPEATS)
        second = by_day(second + (rng.gamma(2.0, 2.2, size) * DAY).astype(np.int64) + 3600)
        is_moving = rng.random(size) < _CHANGES_CHANNEL
        channel = np.where(is_moving, choose(rng, _ANYWHERE, size=size), channel)
    contacts = stack(steps)
    contacts["resolved"] = resolved[ints(contacts["case"]) - case[0]] if size else np.empty(0, dtype=np.int64)
    contacts["is_complaint"] = contacts["is_complaint"].astype(np.bool_) & (not is_neutral)
    return contacts


def _contact(
    told: Rows, *, case: Ints, step: int, second: Ints, channel: Ints, desk: Desk, rng: np.random.Generator
) -> Rows:
    """One contact of each case; which of them take place is the caller's choice."""
    size = len(case)
    return {
        "customer": ints(told["customer"]),
        "second": second,
        "case": case,
        "step": np.full(size, step),
        "channel": channel,
        "topic": ints(told["kind"]),
        "agent": np.where(channel == _BOT, NO_AGENT, rng.integers(0, len(desk.skill), size)),
        "wait": np.rint(_WAIT_MEDIAN[channel] * rng.lognormal(0.0, 0.9, size)).astype(np.int64),
        "handle": np.rint(_HANDLE_MEDIAN[channel] * rng.lognormal(0.0, 0.5, size)).astype(np.int64) + 10,
        "is_complaint": rng.random(size) < (0.8 if step == 0 else 0.9),
    }


def _is_handed_over(contact: Rows, *, before: Rows | None) -> Bools:
    """Whether each contact is with another agent or in another channel than the one before it in its case."""
    if before is None:
        return np.zeros(len(contact["case"]), dtype=np.bool_)
    changed: Bools = (contact["agent"] != before["agent"]) | (contact["channel"] != before["channel"])
    return changed


def _skill(contact: Rows, *, desk: Desk) -> Floats:
    """Log odds that the one who answers resolves the matter."""
    agent = ints(contact["agent"])
    skill: Floats = np.where(agent == NO_AGENT, 0.0, desk.skill[agent]) + _SKILL_LOG_ODDS[contact["channel"]]
    return skill


def feel(contacts: Rows, *, friction: Friction, relief: float) -> None:
    """Announces what contacts do to friction: waits, repeats and an open end raise it, a resolution lowers it."""
    second = ints(contacts["second"])
    step = ints(contacts["step"])
    wait = contacts["wait"] / _LONG_WAIT[contacts["channel"]]
    raised: Floats = 0.25 * np.where(wait > 1.0, np.minimum(wait, 4.0), 0.0) + 0.3 * (step > 0)
    raised = raised + _HAND_OVER * floats(contacts["is_handed_over"])
    customer, kind = ints(contacts["customer"]), ints(contacts["topic"])
    ones = np.ones(len(second))
    friction.announce(customer=customer, kind=kind, second=second, raised=raised, kept=ones)
    resolved = ints(contacts["resolved"])
    solved = np.flatnonzero((step == 0) & (resolved < NEVER))
    friction.announce(
        customer=customer[solved],
        kind=kind[solved],
        second=resolved[solved],
        raised=np.zeros(len(solved)),
        kept=np.full(len(solved), 1.0 - relief),
    )
    ignored = np.flatnonzero((step == 0) & (resolved == NEVER))
    friction.announce(
        customer=customer[ignored],
        kind=kind[ignored],
        second=second[ignored] + 5 * DAY,
        raised=np.full(len(ignored), 0.8),
        kept=np.ones(len(ignored)),
    )
