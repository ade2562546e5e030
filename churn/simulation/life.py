"""Day by day: who comes, what goes wrong, who speaks, who is asked, who leaves. Everything causal happens here."""

from typing import Final

import numpy as np

from churn.simulation import hazard, moods
from churn.simulation.arrays import Bools, Floats, Ints, Rows, choose, ints, pick, stack
from churn.simulation.books import Books, History
from churn.simulation.calendar import DAY, Calendar, weekday
from churn.simulation.exits import parting_complaints
from churn.simulation.incidents import strike, unkind_answers
from churn.simulation.people import People
from churn.simulation.premises import Premises
from churn.simulation.regimes import HIDDEN_STATES, Regime
from churn.simulation.service import Desk, feel, handle, open_desk
from churn.simulation.state import State, first_morning
from churn.simulation.streams import Streams
from churn.simulation.surveys import invite, mention, rate_contacts, review
from churn.simulation.voice import tell, written_words

_STILL_ASKED_DAYS: Final = 120  # the company stops inviting who has not come for so long


class Company:
    """Some customers of a company: their state on one morning, and the books in which their days are written."""

    def __init__(
        self,
        regime: Regime,
        *,
        people: People,
        premises: Premises,
        calendar: Calendar,
        streams: Streams,
        state: State | None = None,
        day: int = 0,
    ) -> None:
        self.regime, self.people, self.premises, self.calendar = regime, people, premises, calendar
        self.day = day
        self.state = first_morning(regime, people=people, rng=streams["surveys"]) if state is None else state
        self.books = Books()
        self._streams = streams
        self._join_day: Ints = people.join_second // DAY
        self._pauses = _by_start(people)
        self._desk: Desk = open_desk(regime, premises=premises)
        self._visit_count = 0

    def live(self, until: int) -> None:
        """Lives the days from the present one up to, not including, `until`; may be called again to go on."""
        for day in range(self.day, until):
            visits = self._receive(day)
            self._go_wrong(visits, day=day)
            self._feel(day)
            pressure = self.pressure()
            self._ask(day, pressure=pressure)
            self._praise(visits, day=day, pressure=pressure)
            self._leave(day, pressure=pressure)
            if self.calendar.is_month_end(day):
                self._note_latent(day)
        self.day = max(self.day, until)

    def history(self) -> History:
        """Returns all that was written so far, rows that lie ahead too: an answer on its way, a call she will make."""
        return self.books.history(self.state.exits)

    def clones(self, who: Ints, *, streams: Streams) -> "Company":
        """Returns copies of these customers this morning, with empty books and chances of their own."""
        return Company(
            self.regime,
            people=self.people.clones(who),
            premises=self.premises,
            calendar=self.calendar,
            streams=streams,
            state=self.state.clones(who),
            day=self.day,
        )

    def pressure(self) -> Floats:
        """Returns friction as far as it matters to what each customer says and does today; shape (customers,)."""
        if self.regime.mechanism == HIDDEN_STATES:
            mood: Floats = np.array(self.regime.mood_pressure)[self.state.exits.mood]
            return self.regime.friction_matters * mood
        return self.regime.friction_matters * self.people.sensitivity * self.state.friction.total()

    def is_customer(self, day: int) -> Bools:
        """Returns who has joined and not left; shape (customers,)."""
        result: Bools = (self._join_day <= day) & (day < self.state.exits.exit_day)
        return result

    def usual_rate(self, day: int) -> Floats:
        """Returns each customer's rate of coming on a day if nothing is wrong: season and habit. Shape (customers,)."""
        season = self.regime.season[self.calendar.month_of_year(day)] ** self.regime.season_strength
        rate: Floats = self.people.visits_per_day * self.people.weekdays[weekday(day)] * season
        return rate

    def _receive(self, day: int) -> Rows:
        """The day's visits, at most one per customer; who joins today comes and buys."""
        people, rng, state = self.people, self._streams["visits"], self.state
        who, ends = self._pauses.get(day, (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)))
        state.away_until[who] = np.maximum(state.away_until[who], ends)
        joins = self._join_day == day
        strength = state.exits.strength(day, regime=self.regime)
        # An exponential draw below the rate has the chance 1 - exp(-rate).
        comes = rng.standard_exponential(people.count) < self.usual_rate(day) * strength
        comes &= (state.away_until <= day) & self.is_customer(day)
        who = np.flatnonzero(comes | joins)
        hours = rng.beta(2.2, 2.0, len(who)) * 12.5 + 9.0
        visits: Rows = {
            "customer": who,
            "second": day * DAY + (hours * 3600).astype(np.int64),
            "channel": choose(rng, people.channels[who]),
            "is_purchase": (rng.random(len(who)) < people.purchase_share[who]) | joins[who],
            "strength": strength[who],
        }
        self.books.visits.write(visits)
        state.last_visit[who] = day
        return visits

    def _go_wrong(self, visits: Rows, *, day: int) -> None:
        """Incidents of the day's visits, who speaks about them, and what unkind answers add."""
        regime, people, premises = self.regime, self.people, self.premises
        rng, service = self._streams["incidents"], self._streams["service"]
        struck = strike(visits, day=day, regime=regime, people=people, premises=premises, rng=rng)
        struck["visit"] = struck["visit"] + self._visit_count
        self._visit_count += len(visits["customer"])
        by_contact = self._speak(struck, day=day)
        about = handle(by_contact, desk=self._desk, people=people, is_neutral=False, rng=service)
        feel(about, friction=self.state.friction, relief=regime.relief)
        asked = self._questions(visits)
        contacts = stack([about, asked])
        self.books.contacts.write(contacts)
        self._speak(unkind_answers(contacts, regime=regime, premises=premises, rng=rng), day=day)
        self.books.feedback.write(rate_contacts(contacts, rng=self._streams["surveys"]))

    def _speak(self, incidents: Rows, *, day: int) -> Rows:
        """Writes incidents, what they do to friction and what is said about them; returns those told by contact."""
        regime, people, voice = self.regime, self.people, self._streams["voice"]
        closes_on = self.premises.closes_on
        told, by_contact, written = tell(
            incidents, day=day, closes_on=closes_on, regime=regime, people=people, rng=voice
        )
        self.books.incidents.write(told)
        self.state.friction.announce(
            customer=ints(incidents["customer"]),
            kind=ints(incidents["kind"]),
            second=ints(incidents["second"]),
            raised=np.array(regime.friction_by_severity)[ints(incidents["severity"]) - 1],
            kept=np.ones(len(incidents["customer"])),
        )
        self.books.feedback.write(written_words(written, regime=regime, rng=voice))
        for each in (by_contact, written):
            np.maximum.at(self.state.last_said, ints(each["customer"]), ints(each["second"]) // DAY)
        return by_contact

    def _questions(self, visits: Rows) -> Rows:
        """Contacts after purchases where nothing went wrong."""
        rng, size = self._streams["service"], len(visits["customer"])
        asks = rng.random(size) < self.regime.neutral_contacts_per_purchase
        topics = len(self.regime.kinds) + rng.integers(0, 3, size)
        second = ints(visits["second"]) + rng.integers(3600, 40 * 3600, size)
        asked: Rows = {"customer": visits["customer"], "second": second, "kind": topics, "severity": np.full(size, 2)}
        asked = pick(asked, asks & visits["is_purchase"].astype(np.bool_))
        return handle(asked, desk=self._desk, people=self.people, is_neutral=True, rng=rng)

    def _feel(self, day: int) -> None:
        """A day of forgetting, and what was announced for today."""
        effects = self.state.friction.pass_day(day, half_life_days=self.regime.friction_half_life_days)
        if self.regime.mechanism == HIDDEN_STATES:
            rng = self._streams["exits"]
            moods.be_moved(self.state.exits, effects=effects, regime=self.regime, people=self.people, rng=rng)

    def _ask(self, day: int, *, pressure: Floats) -> None:
        """Invitations and their answers."""
        regime, people, rng, state = self.regime, self.people, self._streams["surveys"], self.state
        is_known = (self._join_day <= day) & people.is_contactable & (people.opted_out_second > day * DAY)
        is_recent = day - state.last_visit <= _STILL_ASKED_DAYS
        due = np.flatnonzero(is_known & is_recent & (state.next_invitation <= day))
        state.next_invitation[due] = day + regime.invitation_every_days * rng.uniform(0.8, 1.2, len(due))
        is_gone = day >= state.exits.exit_day[due]
        invitations, answers = invite(
            due, day=day, is_gone=is_gone, pressure=pressure[due], regime=regime, people=people, rng=rng
        )
        self.books.invitations.write(invitations)
        self.books.feedback.write(answers)

    def _praise(self, visits: Rows, *, day: int, pressure: Floats) -> None:
        """Good reviews and mentions."""
        regime, people, praise = self.regime, self.people, self._streams["praise"]
        buyers = pick(visits, visits["is_purchase"].astype(np.bool_))
        who, second = ints(buyers["customer"]), ints(buyers["second"])
        self.books.feedback.write(
            review(who, second=second, pressure=pressure[who], regime=regime, people=people, rng=praise)
        )
        here = self.is_customer(day)
        self.books.feedback.write(mention(here, day=day, pressure=pressure, regime=regime, people=people, rng=praise))

    def _leave(self, day: int, *, pressure: Floats) -> None:
        """Who decides today to leave, and what they say about it."""
        rng, regime, exits, here = self._streams["exits"], self.regime, self.state.exits, self.is_customer(day)
        if regime.mechanism == HIDDEN_STATES:
            who = moods.decide(exits, day=day, is_customer=here, regime=regime, rng=rng)
        else:
            who = hazard.decide(
                exits,
                day=day,
                is_customer=here,
                pressure=pressure,
                stock=self.state.friction.stock,
                last_said=self.state.last_said,
                regime=regime,
                rng=rng,
            )
        words = parting_complaints(who, day=day, exits=exits, regime=regime, people=self.people, rng=rng)
        self.books.feedback.write(words)

    def _note_latent(self, day: int) -> None:
        """The latent state of those who are customers at the end of a month."""
        who = np.flatnonzero(self.is_customer(day) & (day + 1 < self.state.exits.exit_day))
        friction = self.state.friction.total()[who]
        mood = self.state.exits.mood[who]
        self.books.latent.write(
            {"customer": who, "day": np.full(len(who), day + 1), "friction": friction, "mood": mood}
        )


def _by_start(people: People) -> dict[int, tuple[Ints, Ints]]:
    """Pauses by their first day: who, and until when."""
    pause, who = np.nonzero(people.pause_starts < 2**40)
    start, end = people.pause_starts[pause, who], people.pause_ends[pause, who]
    order = np.argsort(start, kind="stable")
    days, firsts = np.unique(start[order], return_index=True)
    groups = np.split(order, firsts[1:]) if len(days) else []
    return {day: (who[rows], end[rows]) for day, rows in zip(days.tolist(), groups, strict=True)}
