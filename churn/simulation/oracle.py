"""The oracle: how probable each outcome is for who knows the whole latent state, by living many futures from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd

from churn.errors import ConfigError
from churn.simulation.arrays import NEVER, Bools, Floats, Ints, Rows, ints, pick, spread, stack
from churn.simulation.books import History
from churn.simulation.calendar import DAY, FIRST_DAY
from churn.simulation.exits import MOODS
from churn.simulation.life import Company
from churn.simulation.regimes import HIDDEN_STATES
from churn.simulation.setting import Setting, closing
from churn.simulation.streams import Streams, future_streams
from churn.simulation.truth import is_voice
from churn.simulation.world import World

_VOICE_DAYS: Final = 90  # the voice window reaches back so far, or the horizon if that is longer
_BEFORE_LAST: Final = 30 * DAY  # ... or to so long before the last activity
_TO_THE_BOOKS: Final = 240  # seconds from a visit to its order
_COPIES: Final = 40_000  # lived at once: bounds the memory


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked about each customer: the outcome in [t + gap, t + gap + horizon), in days."""

    gap_days: int
    horizon_days: int

    @property
    def days(self) -> int:
        """Days from the cutoff to the end of the window."""
        return self.gap_days + self.horizon_days


@dataclass(frozen=True, kw_only=True)
class Counted:
    """In how many of the futures each customer meets an outcome."""

    left: Floats
    silent: Floats
    silent_by_kind: Floats  # leaves silently, and the cause is a kind of incident; shape (customers, kinds)


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Rows that decide an outcome: whose, and when in seconds of the world."""

    customer: Ints
    second: Ints

    def within(self, opens: Ints, closes: Ints) -> Bools:
        """Returns who has one in [opens, closes), both per customer; shape (customers,)."""
        inside = (self.second >= opens[self.customer]) & (self.second < closes[self.customer])
        return np.bincount(self.customer[inside], minlength=len(opens)) > 0


def heard(words: Rows, *, exit_second: Ints, closed_second: Ints) -> Moments:
    """Returns the `words_of` customers that are said: before the exit or in parting, and before the account closes."""
    customer, second = ints(words["customer"]), ints(words["second"])
    said = (second < exit_second[customer]) | words["is_parting"].astype(np.bool_)
    said &= second < closed_second[customer]
    return Moments(customer=customer[said], second=second[said])


def words_of(history: History) -> Rows:
    """Returns what customers say is wrong, or would if they were still there: complaint contacts and bad feedback."""
    contacts, feedback = history.contacts, history.feedback
    complaints = pick(contacts, contacts["is_complaint"])
    bad = pick(feedback, is_voice(feedback))
    no_parting = np.zeros(len(complaints["customer"]), dtype=np.bool_)
    return stack(
        [
            {"customer": complaints["customer"], "second": complaints["second"], "is_parting": no_parting},
            {"customer": bad["customer"], "second": bad["second"], "is_parting": bad["is_parting"]},
        ]
    )


def activity_of(history: History, *, activity: str, exit_second: Ints) -> Moments:
    """Returns when each customer bought (or came) before her exit."""
    visits = history.visits
    customer, second = ints(visits["customer"]), ints(visits["second"]) + _TO_THE_BOOKS
    counts = np.ones(len(customer), dtype=np.bool_) if activity == "visits" else visits["is_purchase"].astype(np.bool_)
    counts &= second < exit_second[customer]
    return Moments(customer=customer[counts], second=second[counts])


def oracle(
    world: World | Setting,
    *,
    cutoffs: Sequence[datetime],
    customers: Sequence[int] | Ints,
    horizon_days: Sequence[int] = (60, 90),
    gap_days: Sequence[int] = (0, 30),
    activity: str = "purchases",
    futures: int = 200,
) -> pd.DataFrame:
    """Returns the probability of each outcome given the whole latent state, one row per customer, cutoff, gap, horizon.

    Columns: customer_id, cutoff, gap_days, horizon_days, p_leave and p_silent with their standard errors p_leave_se
    and p_silent_se, p_silent_KIND per kind of incident (she leaves for good and silently, and that kind is the cause),
    is_quiet (nothing said in the voice window before the cutoff), and of the latent state friction,
    state (null without hidden states) and has_decided (she has decided to leave by then). Leaving is hard: no order
    (or visit) in [t + gap, t + gap + horizon), or the account closed in [t, t + gap + horizon). With `activity =
    "contracts"` it is that the term which runs at t and ends in the window is her last; customers without one are left
    out. Silent is who leaves and says nothing between the start of the voice window and the end of the outcome window:
    0 where she is not quiet.

    Time rule: the state is that of the morning of the cutoff, known or not; outages to come are chance. Customers who
    have not joined by then, and windows that end after the world, have no row. Cost: `futures` times the days asked for
    per customer; 2,000 customers, 200 futures and 120 days take about ten seconds of one core.

    Raises:
        ConfigError: a cutoff outside the world or not at midnight, or an unknown activity or customer.

    Source: Monte Carlo over the transitions of `Company`, the same code that made the world; standard error
    sqrt(q (1 - q) / (n + 1)) with q = (x + 0.5) / (n + 1) of n futures, so never 0.
    """
    return ask(
        world, cutoffs=cutoffs, customers=customers, horizon_days=horizon_days, gap_days=gap_days, activity=activity,
        futures=futures, morning=Morning,
    )  # fmt: skip


def ask(
    world: World | Setting,
    *,
    cutoffs: Sequence[datetime],
    customers: Sequence[int] | Ints,
    horizon_days: Sequence[int],
    gap_days: Sequence[int],
    activity: str,
    futures: int,
    morning: Callable[[Setting, int, Company, Ints, str, Streams], Morning],
) -> pd.DataFrame:
    """Returns what somebody knows of each outcome who sees the morning of a cutoff as `morning` does; see `oracle`."""
    setting = world.setting if isinstance(world, World) else world
    who = np.unique(np.asarray(customers, dtype=np.int64))
    days = sorted(_day_of(cutoff, setting=setting) for cutoff in cutoffs)
    _check(setting, who=who, activity=activity)
    questions = [Question(gap_days=gap, horizon_days=horizon) for gap in gap_days for horizon in horizon_days]
    parts = []
    size = setting.block_size
    for block in np.unique(who // size).tolist():
        company = setting.company(block)
        chosen = who[who // size == block] - block * size
        for day in days:
            asked = [question for question in questions if day + question.days <= setting.calendar.days]
            company.live(day)
            if asked:
                streams = future_streams(setting.seed, block=block, day=day)
                parts.append(
                    morning(setting, block, company, chosen, activity, streams).answers(asked, futures=futures)
                )
    found = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["cutoff", "customer_id"])
    order = [name for name in ("cutoff", "customer_id", "gap_days", "horizon_days") if name in found]
    return found.sort_values(order, ignore_index=True)


class Morning:
    """The chosen customers of one block on the morning of a cutoff, their whole latent state known."""

    def __init__(
        self, setting: Setting, block: int, company: Company, who: Ints, activity: str, streams: Streams
    ) -> None:
        self.setting, self._block, self.company, self._activity = setting, block, company, activity
        self._streams = streams
        self._at = company.day * DAY
        self.who = who[company.people.join_second[who] < self._at]
        past = company.history()
        self._words = words_of(past)
        self._last = _last_active(past, at=self._at, activity=activity, customers=company.people.count)

    def answers(self, questions: list[Question], *, futures: int) -> pd.DataFrame:
        """One row per customer and question."""
        step = max(_COPIES // futures, 1)
        counts = [
            self._count(self.who[first : first + step], questions=questions, futures=futures, streams=self._streams)
            for first in range(0, len(self.who), step)
        ]
        frames = [
            self._frame(question, counts=[count[number] for count in counts], futures=futures)
            for number, question in enumerate(questions)
        ]
        return pd.concat(frames, ignore_index=True)

    def _count(self, who: Ints, *, questions: list[Question], futures: int, streams: Streams) -> list[Counted]:
        """In how many futures each customer leaves, and leaves without a word and why, by question."""
        rows = np.repeat(who, futures)
        copies, pending = self._copies(rows, streams=streams)
        # Outages to come are chance, independent from day to day: their mean does for every customer by herself.
        premises = self.company.premises
        copies.premises = replace(premises, shared_days=np.ones_like(premises.shared_days))
        copies.live(self.company.day + max(question.days for question in questions))
        future = copies.history()
        exits = _seconds(future.exits.exit_day)
        closed = closing(exits, people=copies.people)
        words = stack([words_of(future), pending])
        said = heard(words, exit_second=exits, closed_second=closed)
        came = activity_of(future, activity=self._activity, exit_second=exits)
        counts = []
        for question in questions:
            start, end = self._window(question, size=len(rows))
            if self._activity == "contracts":
                left = exits <= self._term_ends[rows]
            else:
                opens = start + question.gap_days * DAY
                left = ~came.within(opens, end) | ((closed >= start) & (closed < end))
            silent = left & ~said.within(start, end)
            gone = silent & (exits < end)
            by_kind = [gone & (future.exits.cause == kind) for kind in range(len(self.setting.regime.kinds))]
            happens, silently, *causes = (_per_customer(each, futures=futures) for each in (left, silent, *by_kind))
            counts.append(Counted(left=happens, silent=silently, silent_by_kind=np.stack(causes, axis=1)))
        return counts

    def _copies(self, rows: Ints, *, streams: Streams) -> tuple[Company, Rows]:
        """Copies of these customers this morning, and what each of them is already going to say."""
        return self.company.clones(rows, streams=streams), spread(self._words, who=rows)

    def _latent(self) -> dict[str, object]:
        """What is known of the latent state, by name of the column."""
        exits = self.company.state.exits
        has_mood = self.setting.regime.mechanism == HIDDEN_STATES
        return {
            "friction": self.company.state.friction.total()[self.who],
            "state": [MOODS[mood] if has_mood else None for mood in exits.mood[self.who]],
            "has_decided": exits.exit_day[self.who] < NEVER,
        }

    def _window(self, question: Question, *, size: int) -> tuple[Ints, Ints]:
        """The cutoff, and the end of the outcome window."""
        return np.full(size, self._at), np.full(size, self._at + question.days * DAY)

    def _frame(self, question: Question, *, counts: list[Counted], futures: int) -> pd.DataFrame:
        who, exits, kinds = self.who, self.company.state.exits, self.setting.regime.kinds
        left = np.concatenate([count.left for count in counts] or [np.empty(0)])
        silent = np.concatenate([count.silent for count in counts] or [np.empty(0)])
        by_kind = np.concatenate([count.silent_by_kind for count in counts] or [np.empty((0, len(kinds)))])
        begins = np.minimum(self._at - max(question.horizon_days, _VOICE_DAYS) * DAY, self._last - _BEFORE_LAST)
        now = np.full(len(begins), self._at)
        gone = _seconds(exits.exit_day)
        closed = closing(gone, people=self.company.people)
        is_quiet = ~heard(self._words, exit_second=gone, closed_second=closed).within(begins, now)[who]
        frame = pd.DataFrame(
            {
                "customer_id": [f"C{number:06d}" for number in who + self._block * self.setting.block_size],
                "cutoff": pd.Timestamp(FIRST_DAY) + pd.Timedelta(days=self.company.day),
                "gap_days": question.gap_days,
                "horizon_days": question.horizon_days,
                "p_leave": left / futures,
                "p_leave_se": standard_error(left, of=futures),
                "p_silent": np.where(is_quiet, silent / futures, 0.0),
                "p_silent_se": np.where(is_quiet, standard_error(silent, of=futures), 0.0),
                **{
                    f"p_silent_{kind.name}": np.where(is_quiet, by_kind[:, place] / futures, 0.0)
                    for place, kind in enumerate(kinds)
                },
                "is_quiet": is_quiet,
                **self._latent(),
            }
        )
        if self._activity != "contracts":
            return frame
        ends = self._term_ends[who]
        inside = (ends >= self._at + question.gap_days * DAY) & (ends < self._at + question.days * DAY)
        return frame[inside]

    @cached_property
    def _term_ends(self) -> Ints:
        """The agreed end of the term that runs this morning, -1 for who has none; shape (customers,)."""
        people = self.company.people
        exits = _seconds(self.company.state.exits.exit_day)
        gone = np.where(exits <= self._at, exits, NEVER)
        terms = self.setting.terms(people, block=self._block, exit_second=gone)
        runs = (terms["start"] < self._at) & (np.minimum(terms["end"], terms["ended"]) >= self._at)
        ends = np.full(people.count, -1)
        ends[terms["customer"][runs]] = terms["end"][runs]
        return ends


def standard_error(successes: Floats, *, of: int) -> Floats:
    """Returns the standard error of a share of `of` futures, never 0; shape as `successes`.

    >>> standard_error(np.array([50.0]), of=100).round(3).tolist()
    [0.05]
    """
    share = (successes + 0.5) / (of + 1)
    error: Floats = np.sqrt(share * (1.0 - share) / (of + 1))
    return error


def _per_customer(happens: Bools, *, futures: int) -> Floats:
    count: Floats = happens.reshape(-1, futures).sum(axis=1).astype(np.float64)
    return count


def _last_active(past: History, *, at: int, activity: str, customers: int) -> Ints:
    came = activity_of(past, activity=activity, exit_second=np.full(customers, NEVER))
    last = np.full(customers, NEVER)
    seen = came.second < at
    latest = np.full(customers, -1)
    np.maximum.at(latest, came.customer[seen], came.second[seen])
    return np.where(latest >= 0, latest, last)


def _seconds(day: Ints) -> Ints:
    return np.where(day < NEVER, np.where(day < NEVER, day, 0) * DAY, NEVER)


def _day_of(cutoff: datetime, *, setting: Setting) -> int:
    moment = cutoff if cutoff.tzinfo else cutoff.replace(tzinfo=UTC)
    day, rest = divmod((moment - FIRST_DAY).total_seconds(), DAY)
    if rest or not 0 <= day < setting.calendar.days:
        raise ConfigError([f"oracle: {cutoff} is not a midnight (UTC) of this world of {setting.months} months."])
    return int(day)


def _check(setting: Setting, *, who: Ints, activity: str) -> None:
    problems = []
    if activity not in ("purchases", "visits", "contracts"):
        problems.append(f'oracle: no activity is called "{activity}". Use purchases, visits or contracts.')
    if activity == "contracts" and not setting.regime.has_subscriptions:
        problems.append("oracle: this company has no contracts; use purchases or visits.")
    if len(who) and not 0 <= who.min() <= who.max() < setting.customers:
        problems.append(f"oracle: customers are numbered 0 to {setting.customers - 1}.")
    if problems:
        raise ConfigError(problems)
