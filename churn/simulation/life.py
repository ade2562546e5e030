"""Day by day: who comes, what goes wrong, who speaks, who is asked, who leaves. Everything causal happens here."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from churn.simulation.arrays import Book, Bools, Floats, Ints, Rows, choose, ints, pick
from churn.simulation.calendar import DAY, SEASON, Calendar, weekday
from churn.simulation.exits import Exits, decide, nobody_leaves, parting_complaints
from churn.simulation.friction import Friction, no_friction
from churn.simulation.incidents import shared_day_factors, strike
from churn.simulation.people import People
from churn.simulation.regimes import Regime
from churn.simulation.service import Desk, feel, handle, open_desk
from churn.simulation.surveys import invite, mention, rate_contacts, review
from churn.simulation.voice import tell, written_words

TOPICS: Final = ("visits", "incidents", "voice", "service", "surveys", "praise", "exits")
_LONG_AGO: Final = np.int64(-(10**6))
_STILL_ASKED_DAYS: Final = 120  # the company stops inviting who has not come for so long

VISITS: Final[dict[str, type[np.generic]]] = {
    "customer": np.int64, "second": np.int64, "channel": np.int64, "is_purchase": np.bool_, "strength": np.float64,
}  # fmt: skip
INCIDENTS: Final[dict[str, type[np.generic]]] = {
    "customer": np.int64, "second": np.int64, "kind": np.int64, "severity": np.int64, "visit": np.int64,
}  # fmt: skip
CONTACTS: Final[dict[str, type[np.generic]]] = {
    "customer": np.int64, "second": np.int64, "case": np.int64, "step": np.int64, "channel": np.int64,
    "topic": np.int64, "agent": np.int64, "wait": np.int64, "handle": np.int64, "resolved": np.int64,
    "is_complaint": np.bool_,
}  # fmt: skip
FEEDBACK: Final[dict[str, type[np.generic]]] = {
    "customer": np.int64, "second": np.int64, "kind": np.int64, "is_other": np.bool_, "is_parting": np.bool_,
    "score": np.float64, "score_min": np.float64, "score_max": np.float64, "is_higher_better": np.bool_,
    "channel": np.int64, "topic": np.int64,
}  # fmt: skip
INVITATIONS: Final[dict[str, type[np.generic]]] = {"customer": np.int64, "second": np.int64, "answered": np.int64}
FRICTION: Final[dict[str, type[np.generic]]] = {"customer": np.int64, "day": np.int64, "friction": np.float64}


@dataclass(frozen=True, kw_only=True)
class History:
    """All that happened, as numbers: moments in seconds of the world, channels, kinds and topics as codes."""

    visits: Rows
    incidents: Rows
    contacts: Rows
    feedback: Rows
    invitations: Rows
    friction: Rows  # latent, at month ends
    exits: Exits


class Company:
    """The state of the company on one day, and the books in which it writes."""

    def __init__(
        self, regime: Regime, *, people: People, calendar: Calendar, streams: dict[str, np.random.Generator]
    ) -> None:
        self._regime, self._people, self._calendar, self._streams = regime, people, calendar, streams
        self._join_day: Ints = people.join_second // DAY
        self._friction: Friction = no_friction(regime, customers=people.count)
        self._exits: Exits = nobody_leaves(people.count)
        self._desk: Desk = open_desk(regime, rng=streams["service"])
        self._factors: Floats = shared_day_factors(regime, days=calendar.days, rng=streams["incidents"])
        self._last_visit: Ints = np.where(self._join_day < 0, 0, _LONG_AGO)
        self._last_said: Ints = np.full(people.count, _LONG_AGO)
        first = streams["surveys"].uniform(0.0, regime.invitation_every_days, people.count)
        self._next_invitation: Floats = np.maximum(self._join_day, 0) + first
        self._visit_count = 0
        self._visits, self._incidents, self._contacts = Book(VISITS), Book(INCIDENTS), Book(CONTACTS)
        self._feedback, self._invitations, self._latent = Book(FEEDBACK), Book(INVITATIONS), Book(FRICTION)

    def live(self) -> History:
        """Returns the history of all days."""
        for day in range(self._calendar.days):
            visits = self._receive(day)
            self._go_wrong(visits, day=day)
            self._friction.pass_day(day, half_life_days=self._regime.friction_half_life_days)
            self._ask_and_praise(visits, day=day)
            self._leave(day)
            if self._calendar.is_month_end(day):
                self._note_friction(day)
        return History(
            visits=self._visits.bind(),
            incidents=self._incidents.bind(),
            contacts=self._contacts.bind(),
            feedback=self._feedback.bind(),
            invitations=self._invitations.bind(),
            friction=self._latent.bind(),
            exits=self._exits,
        )

    def _pressure(self, who: Ints) -> Floats:
        """Friction of these customers as far as it matters to what they do."""
        return self._regime.friction_matters * self._friction.total()[who]

    def _is_customer(self, day: int) -> Bools:
        """Who has joined and not left."""
        result: Bools = (self._join_day <= day) & (day < self._exits.exit_day)
        return result

    def _receive(self, day: int) -> Rows:
        """The day's visits, at most one per customer; who joins today comes and buys."""
        people, rng = self._people, self._streams["visits"]
        season = SEASON[self._calendar.month_of_year(day)] ** self._regime.season_strength
        strength = self._exits.strength(day)
        rate = people.visits_per_day * people.weekdays[weekday(day)] * season * strength
        is_away = ((people.vacation_starts <= day) & (day < people.vacation_ends)).any(axis=0)
        joins = self._join_day == day
        comes = (rng.random(people.count) < -np.expm1(-rate)) & ~is_away & self._is_customer(day) | joins
        who = np.flatnonzero(comes)
        hours = rng.beta(2.2, 2.0, len(who)) * 12.5 + 9.0
        visits: Rows = {
            "customer": who,
            "second": day * DAY + (hours * 3600).astype(np.int64),
            "channel": choose(rng, people.channels[who]),
            "is_purchase": (rng.random(len(who)) < people.purchase_share[who]) | joins[who],
            "strength": strength[who],
        }
        self._visits.write(visits)
        self._last_visit[who] = day
        return visits

    def _go_wrong(self, visits: Rows, *, day: int) -> None:
        """Incidents of the day's visits, what they do to friction, and who speaks about them."""
        regime, people = self._regime, self._people
        incidents = strike(
            visits, regime=regime, people=people, factors=self._factors[:, day], rng=self._streams["incidents"]
        )
        size = len(incidents["customer"])
        self._incidents.write(dict(incidents, visit=incidents["visit"] + self._visit_count))
        self._visit_count += len(visits["customer"])
        self._friction.announce(
            customer=ints(incidents["customer"]),
            kind=ints(incidents["kind"]),
            second=ints(incidents["second"]),
            raised=np.array(regime.friction_by_severity)[ints(incidents["severity"]) - 1],
            kept=np.ones(size),
        )
        by_contact, written = tell(incidents, regime=regime, people=people, rng=self._streams["voice"])
        contacts = handle(by_contact, desk=self._desk, people=people, is_neutral=False, rng=self._streams["service"])
        feel(contacts, friction=self._friction, relief=regime.relief)
        self._contacts.write(contacts)
        words = written_words(written, regime=regime, rng=self._streams["voice"])
        self._feedback.write(words)
        for told in (by_contact, written):
            np.maximum.at(self._last_said, ints(told["customer"]), ints(told["second"]) // DAY)
        self._neutral_contacts(visits, about=contacts)

    def _neutral_contacts(self, visits: Rows, *, about: Rows) -> None:
        """Questions after purchases, where nothing went wrong; and the ratings of the day's contacts."""
        rng, size = self._streams["service"], len(visits["customer"])
        asks = rng.random(size) < self._regime.neutral_contacts_per_purchase
        topics = len(self._regime.kinds) + rng.integers(0, 3, size)
        second = ints(visits["second"]) + rng.integers(3600, 40 * 3600, size)
        asked: Rows = {"customer": visits["customer"], "second": second, "kind": topics, "severity": np.full(size, 2)}
        asked = pick(asked, asks & visits["is_purchase"].astype(np.bool_))
        contacts = handle(asked, desk=self._desk, people=self._people, is_neutral=True, rng=rng)
        self._contacts.write(contacts)
        for each in (about, contacts):
            self._feedback.write(rate_contacts(each, rng=self._streams["surveys"]))

    def _ask_and_praise(self, visits: Rows, *, day: int) -> None:
        """Invitations and their answers, good reviews and mentions."""
        regime, people, rng = self._regime, self._people, self._streams["surveys"]
        is_known = (self._join_day <= day) & people.is_contactable & (people.opted_out_second > day * DAY)
        is_recent = day - self._last_visit <= _STILL_ASKED_DAYS
        due = np.flatnonzero(is_known & is_recent & (self._next_invitation <= day))
        self._next_invitation[due] = day + regime.invitation_every_days * rng.uniform(0.8, 1.2, len(due))
        is_gone = day >= self._exits.exit_day[due]
        invitations, answers = invite(
            due, day=day, is_gone=is_gone, pressure=self._pressure(due), regime=regime, people=people, rng=rng
        )
        self._invitations.write(invitations)
        self._feedback.write(answers)
        praise = self._streams["praise"]
        buyers = pick(visits, visits["is_purchase"].astype(np.bool_))
        who, second = ints(buyers["customer"]), ints(buyers["second"])
        pressure = self._pressure(who)
        self._feedback.write(review(who, second=second, pressure=pressure, regime=regime, people=people, rng=praise))
        here = np.flatnonzero(self._is_customer(day))
        pressure = self._pressure(here)
        self._feedback.write(mention(here, day=day, pressure=pressure, regime=regime, people=people, rng=praise))

    def _leave(self, day: int) -> None:
        """Who decides today to leave, and what they say about it."""
        rng = self._streams["exits"]
        who = decide(
            self._exits,
            day=day,
            is_customer=self._is_customer(day),
            friction=self._friction,
            last_said=self._last_said,
            regime=self._regime,
            rng=rng,
        )
        words = parting_complaints(who, day=day, exits=self._exits, regime=self._regime, people=self._people, rng=rng)
        self._feedback.write(words)

    def _note_friction(self, day: int) -> None:
        """The latent friction of those who are customers at the end of a month."""
        who = np.flatnonzero(self._is_customer(day) & (day + 1 < self._exits.exit_day))
        self._latent.write(
            {"customer": who, "day": np.full(len(who), day + 1), "friction": self._friction.total()[who]}
        )
