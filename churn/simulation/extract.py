"""From numbers to tables: the rows the company keeps, with the canonical column names and types."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn.simulation.arrays import NEVER, Bools, Floats, Ints, Rows, floats, ints, pick
from churn.simulation.books import History
from churn.simulation.calendar import DAY, FIRST_DAY, Calendar
from churn.simulation.contracts import ENDINGS, PLANS
from churn.simulation.exits import MOODS
from churn.simulation.kinds import SHOP_CHANNELS
from churn.simulation.people import AGE_BANDS, CATEGORIES, REGIONS, SEGMENTS, People
from churn.simulation.regimes import HIDDEN_STATES, Regime
from churn.simulation.service import NEUTRAL_TOPICS, SERVICE_CHANNELS
from churn.simulation.truth import OUTCOMES, Truth, is_voice
from churn.simulation.voice import FEEDBACK_CHANNELS, FEEDBACK_KINDS, MENTION, NO_TOPIC, REVIEW
from churn.simulation.words import GENERAL, OTHERS, PRAISE, text_codes, texts

TIME: Final = pa.timestamp("us", tz="UTC")
_ORDERS: Final = 10**9  # order numbers of one block
_CASES: Final = 10**8
_FIRST_SECOND: Final = int(FIRST_DAY.timestamp())
_DURATION_MEDIAN: Final = np.array([1500.0, 420.0, 240.0])  # seconds, by shop channel
_TEXT_SHARE_CONTACTS: Final = 0.7
_TEXT_SHARE_FEEDBACK: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class Extract:
    """The books as the company has them when the world ends: nothing later than that, and nothing yet unknown."""

    regime: Regime
    people: People
    calendar: Calendar
    exit_second: Ints
    block: int = 0  # number of this block of customers: its ids begin where those of the block before it cannot reach
    first: int = 0  # number of its first customer

    def keep(self, rows: Rows, *, after_exit: Bools | None = None) -> Rows:
        """Returns the rows inside the world and before the customer's exit (or marked `after_exit`), by time."""
        customer, second = ints(rows["customer"]), ints(rows["second"])
        is_hers = second < self.exit_second[customer]
        if after_exit is not None:
            is_hers |= after_exit
        is_known = rows["known"] < self.end if "known" in rows else np.ones(len(second), dtype=np.bool_)
        kept = np.flatnonzero(is_hers & is_known & (second >= 0) & (second < self.end))
        # One sort by a joint number is half the work of one by each; rows of one customer and second stay in order.
        return pick(rows, kept[np.argsort(second[kept] * self.people.count + customer[kept], kind="stable")])

    @cached_property
    def _names(self) -> pa.StringArray:
        return numbered("C", np.arange(self.people.count) + self.first, width=6)

    @property
    def end(self) -> int:
        """The second in which the world ends."""
        return self.calendar.days * DAY

    @property
    def topics(self) -> tuple[str, ...]:
        """Names of the topic codes: the kinds' topics, then the neutral ones."""
        return (*(kind.topic for kind in self.regime.kinds), *NEUTRAL_TOPICS)

    def moments(self, second: Ints) -> pa.Array[Any]:
        """Returns UTC timestamps; null for what has not come by the end of the world."""
        is_open = second >= self.end
        microseconds = (np.where(is_open, 0, second) + _FIRST_SECOND) * 1_000_000
        moments: pa.Array[Any] = pa.array(microseconds, type=pa.int64(), mask=is_open).cast(TIME)
        return moments

    def ids(self, customer: Ints) -> pa.StringArray:
        """Returns customer ids as text; each is written once and then looked up."""
        return self._names.take(pa.array(customer))

    def order_ids(self, order: Ints) -> pa.StringArray:
        """Returns order ids as text; null below 0."""
        return numbered("O", np.where(order < 0, order, order + self.block * _ORDERS), width=8)

    def transactions(self, kept: Rows) -> pa.Table:
        """Order lines and returns; money in currency units."""
        return pa.table(
            {
                "customer_id": self.ids(ints(kept["customer"])),
                "time": self.moments(ints(kept["second"])),
                "amount": pa.array(kept["cents"] / 100.0),
                "order_id": self.order_ids(ints(kept["order"])),
                "channel": named(SHOP_CHANNELS, ints(kept["channel"])),
                "category": named(CATEGORIES, ints(kept["category"]), absent="bill"),
                "quantity": pa.array(ints(kept["quantity"])),
                "discount": pa.array(kept["discount_cents"] / 100.0),
                "is_return": pa.array(kept["is_return"]),
                "available_at": self.moments(ints(kept["known"])),
            }
        )

    def visits(self, kept: Rows, *, rng: np.random.Generator) -> pa.Table:
        """Sessions and store visits."""
        channel = ints(kept["channel"])
        duration = np.rint(_DURATION_MEDIAN[channel] * rng.lognormal(0.0, 0.7, len(channel))).clip(5, 4 * 3600)
        return pa.table(
            {
                "customer_id": self.ids(ints(kept["customer"])),
                "time": self.moments(ints(kept["second"])),
                "channel": named(SHOP_CHANNELS, channel),
                "duration_seconds": pa.array(duration.astype(np.int64)),
            }
        )

    def contacts(self, kept: Rows, *, rng: np.random.Generator) -> pa.Table:
        """Service contacts; every contact of a resolved case has the case's `resolved_at`."""
        customer, topic = ints(kept["customer"]), ints(kept["topic"])
        in_chinese = self.people.speaks_chinese[customer]
        codes = text_codes(self.topics)[topic]
        return pa.table(
            {
                "customer_id": self.ids(customer),
                "time": self.moments(ints(kept["second"])),
                "case_id": numbered("K", ints(kept["case"]) + self.block * _CASES, width=7),
                "channel": named(SERVICE_CHANNELS, ints(kept["channel"])),
                "topic": named(self.topics, topic),
                "agent_id": numbered("A", ints(kept["agent"]), width=3, absent="BOT"),
                "wait_seconds": pa.array(ints(kept["wait"])),
                "handle_seconds": pa.array(ints(kept["handle"])),
                "resolved_at": self.moments(ints(kept["resolved"])),
                "is_complaint": pa.array(kept["is_complaint"]),
                "text": texts(codes, in_chinese=in_chinese, share=_TEXT_SHARE_CONTACTS, rng=rng),
            }
        )

    def incidents(self, kept: Rows, *, visits: Rows) -> pa.Table:
        """What went wrong, with the order it belongs to where there is one."""
        visit = ints(kept["visit"])
        order = np.where((visit >= 0) & visits["is_purchase"][visit].astype(np.bool_), visit, -1)
        return pa.table(
            {
                "customer_id": self.ids(ints(kept["customer"])),
                "time": self.moments(ints(kept["second"])),
                "kind": named(tuple(kind.name for kind in self.regime.kinds), ints(kept["kind"])),
                "severity": pa.array(ints(kept["severity"])),
                "order_id": self.order_ids(order),
            }
        )

    def feedback(self, kept: Rows, *, rng: np.random.Generator) -> pa.Table:
        """What was said in surveys, reviews, complaints and mentions."""
        customer = ints(kept["customer"])
        has_score = ~np.isnan(kept["score"])
        in_chinese = self.people.speaks_chinese[customer]
        return pa.table(
            {
                "customer_id": self.ids(customer),
                "time": self.moments(ints(kept["second"])),
                "kind": named(FEEDBACK_KINDS, ints(kept["kind"])),
                "author": named(("self", "other"), ints(kept["is_other"])),
                "score": pa.array(kept["score"], from_pandas=True),
                "score_min": pa.array(kept["score_min"], from_pandas=True),
                "score_max": pa.array(kept["score_max"], from_pandas=True),
                "higher_is_better": pa.array(kept["is_higher_better"], mask=~has_score),
                "channel": named(FEEDBACK_CHANNELS, ints(kept["channel"])),
                "topic": named(self.topics, ints(kept["topic"])),
                "text": texts(self._feedback_words(kept), in_chinese=in_chinese, share=_TEXT_SHARE_FEEDBACK, rng=rng),
            }
        )

    def _feedback_words(self, kept: Rows) -> Ints:
        """The code of the texts that fit each row: of the topic for bad news, praise else, none for middling scores."""
        is_bad, topic = is_voice(kept), ints(kept["topic"])
        praise, others, general = text_codes((PRAISE, OTHERS, GENERAL))
        bad = np.where(topic == NO_TOPIC, general, text_codes(self.topics)[topic])
        is_praise = np.isin(kept["kind"], (REVIEW, MENTION)) | (kept["score"] >= 9.0)
        good = np.where(kept["is_other"], others, np.where(is_praise, praise, -1))
        return np.where(is_bad, bad, good)

    def invitations(self, kept: Rows) -> pa.Table:
        """Surveys sent, answered or not."""
        return pa.table(
            {
                "customer_id": self.ids(ints(kept["customer"])),
                "time": self.moments(ints(kept["second"])),
                "channel": named(("email",), np.zeros(len(kept["customer"]), dtype=np.int64)),
                "answered_at": self.moments(ints(kept["answered"])),
            }
        )

    def customers(self, *, closed_second: Ints) -> pa.Table:
        """One row per customer; region, segment and age_band do not change."""
        people = self.people
        return pa.table(
            {
                "customer_id": self.ids(np.arange(people.count)),
                "since": self.moments(people.join_second),
                "closed_at": self.moments(closed_second),
                "opted_out_at": self.moments(people.opted_out_second),
                "is_contactable": pa.array(people.is_contactable),
                "region": named(REGIONS, people.region),
                "segment": named(SEGMENTS, people.segment),
                "age_band": named(AGE_BANDS, people.age_band),
                "home_store": numbered("S", people.home_place, width=3),
            }
        )

    def subscriptions(self, terms: Rows) -> pa.Table:
        """Monthly terms; `ended_how` is null while nothing has ended."""
        ended = ints(terms["ended"])
        is_known = ended < self.end
        order = np.lexsort((terms["start"], terms["customer"]))
        kept = pick(terms, order)
        start, end = ints(kept["start"]), ints(kept["end"])
        return pa.table(
            {
                "customer_id": self.ids(ints(kept["customer"])),
                "start": _clock(start),
                "end": _clock(end),
                "plan": named(PLANS, ints(kept["plan"])),
                "amount": pa.array(kept["cents"] / 100.0),
                "ended_at": self.moments(ended[order]),
                "ended_how": named(ENDINGS, np.where(is_known, terms["how"], -1)[order]),
            }
        )

    def truth_customers(self, truth: Truth) -> pa.Table:
        """The truth of every customer."""
        causes = (*(kind.name for kind in self.regime.kinds), "outside")
        return pa.table(
            {
                "customer_id": self.ids(np.arange(self.people.count)),
                "exit_time": self.moments(truth.exit_second),
                "fades_from": self.moments(truth.fades_from_second),
                "cause": named(causes, truth.cause),
                "outcome": named(OUTCOMES, truth.outcome),
                "voice_personality": pa.array(truth.personality),
                "sensitivity": pa.array(truth.sensitivity),
                "partly_from": self.moments(truth.partly_from_second),
            }
        )

    def truth_incidents(self, kept: Rows) -> pa.Table:
        """Every incident, recorded or not: how likely it was to be told, and whether it was."""
        return pa.table(
            {
                "customer_id": self.ids(ints(kept["customer"])),
                "time": self.moments(ints(kept["second"])),
                "kind": named(tuple(kind.name for kind in self.regime.kinds), ints(kept["kind"])),
                "severity": pa.array(ints(kept["severity"])),
                "is_recorded": pa.array(kept["is_recorded"]),
                "p_told": pa.array(_rounded(floats(kept["p_told"]))),
                "is_told": pa.array(kept["is_told"]),
            }
        )

    def truth_friction(self, latent: Rows) -> pa.Table:
        """Latent friction per customer at each month's end, in friction units, and her hidden state if she has one."""
        has_mood = self.regime.mechanism == HIDDEN_STATES
        return pa.table(
            {
                "customer_id": self.ids(ints(latent["customer"])),
                "time": _clock(ints(latent["day"]) * DAY),
                "friction": pa.array(_rounded(floats(latent["friction"]))),
                "state": named(MOODS, np.where(has_mood, ints(latent["mood"]), -1)),
            }
        )


def numbered(letter: str, numbers: Ints, *, width: int, absent: str | None = None) -> pa.StringArray:
    """Returns ids such as C000123; `absent` for numbers below 0.

    >>> numbered("C", np.array([123, -1]), width=6).to_pylist()
    ['C000123', None]
    """
    is_absent = numbers < 0
    digits = pc.utf8_lpad(pa.array(numbers, mask=is_absent).cast(pa.string()), width=width, padding="0")
    names: pa.StringArray = pc.binary_join_element_wise(pa.scalar(letter), digits, "")
    return names if absent is None else pc.fill_null(names, absent)


def named(names: tuple[str, ...], codes: Ints, *, absent: str | None = None) -> pa.StringArray:
    """Returns the names of codes; `absent` for codes below 0.

    >>> named(("web", "app"), np.array([1, -1])).to_pylist()
    ['app', None]
    """
    return pa.array([absent, *names], type=pa.string()).take(pa.array(np.maximum(codes, -1) + 1, type=pa.int64()))


def _rounded(values: Floats) -> Floats:
    """Six digits behind the point: the last bits of a float differ from one platform to the next."""
    rounded: Floats = np.rint(values * 1e6) / 1e6
    return rounded


def _clock(second: Ints) -> pa.Array[Any]:
    """UTC timestamps of moments that are known in advance, the end of the world or not."""
    return pa.array((second + _FIRST_SECOND) * 1_000_000).cast(TIME)


def history_rows(history: History, *, extract: Extract) -> dict[str, Rows]:
    """Returns the rows of the event tables that the company keeps, by table; mute companies hear nothing."""
    gone = extract.exit_second[ints(history.invitations["customer"])]
    answered = ints(history.invitations["answered"])
    invitations = dict(history.invitations, answered=np.where(answered < gone, answered, NEVER))
    feedback = history.feedback
    if not extract.regime.has_feedback:
        feedback = pick(feedback, np.empty(0, dtype=np.int64))
    return {
        "visits": extract.keep(history.visits),
        "incidents": extract.keep(pick(history.incidents, history.incidents["is_recorded"])),
        "all_incidents": extract.keep(history.incidents),
        "contacts": extract.keep(history.contacts),
        "feedback": extract.keep(feedback, after_exit=feedback["is_parting"].astype(np.bool_)),
        "invitations": extract.keep(invitations, after_exit=np.ones(len(answered), dtype=np.bool_)),
    }
