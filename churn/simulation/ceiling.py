"""The observable ceiling: how probable each outcome is for who knows the equations, and sees what the company sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd

from churn.simulation.arrays import NEVER, Floats, Ints, Rows, ints, pick, spread
from churn.simulation.calendar import DAY
from churn.simulation.contracts import CANCELS
from churn.simulation.exits import Exits
from churn.simulation.filter import Filter, draw
from churn.simulation.kinds import SHOP_CHANNELS
from churn.simulation.life import Company
from churn.simulation.oracle import Morning, ask
from churn.simulation.people import People, draw_people
from churn.simulation.setting import Setting
from churn.simulation.sight import Sight, exposure, see
from churn.simulation.state import State
from churn.simulation.streams import Streams
from churn.simulation.surveys import SCORE_NOISE, mean_score
from churn.simulation.voice import chance_of_telling
from churn.simulation.world import World

_PRIOR_CHANNELS: Final = 1.5  # pseudo-visits, spread evenly over the shop channels
_SATISFACTION: Final = (9.1, 0.8)
_SPEAKS_WITHIN: Final = 2.5  # mean days between an incident and what is said about it
_RECENT_DAYS: Final = 14
_IS_VOICE: Final = 0.85  # of what is told, so much is marked as a complaint or written


def ceiling(
    world: World | Setting,
    *,
    cutoffs: Sequence[datetime],
    customers: Sequence[int] | Ints,
    horizon_days: Sequence[int] = (60, 90),
    gap_days: Sequence[int] = (0, 30),
    activity: str = "purchases",
    futures: int = 200,
    particles: int = 300,
) -> pd.DataFrame:
    """Returns the probability of each outcome given the visible rows only, in the rows and columns of `oracle`.

    Without the columns of the latent state; instead p_gone: how probable it is that she has left by the cutoff. The
    equations and parameters are known, the premises too (50,000 customers tell them), and nothing else that no row
    shows: the rate, habits, luck, personality and sensitivity of each customer, her decisions, her hidden state.

    Time rule: rows before the cutoff. Standard errors are those of the futures; the particles add to them (compare
    runs of two sizes). Cost: one pass over all days before each cutoff and the futures as for `oracle`; 2,000
    customers, 400 days, 200 particles and 100 futures take 32 s of one core.

    Raises:
        ConfigError: as `oracle`.

    Source: a bootstrap particle filter (Gordon, Salmond and Smith 1993) with the visit rate integrated out (Doucet and
    others 2000), then futures lived from posterior draws. Approximations, all of which lose a little and gain
    nothing: vacations begin at a constant chance, a seasonal pause is not expected to come again, incidents that are in
    no record and parcels under way are forgotten, mentions and reviews are not weighed.
    """
    return ask(
        world, cutoffs=cutoffs, customers=customers, horizon_days=horizon_days, gap_days=gap_days, activity=activity,
        futures=futures, morning=lambda *given: Posterior(*given, particles=particles),
    )  # fmt: skip


class Posterior(Morning):
    """The chosen customers of one block on the morning of a cutoff, as the company's rows show them."""

    def __init__(
        self,
        setting: Setting,
        block: int,
        company: Company,
        who: Ints,
        activity: str,
        streams: Streams,
        *,
        particles: int,
    ) -> None:
        super().__init__(setting, block, company, who, activity, streams)
        regime, people = setting.regime, company.people
        self.sight: Sight = see(company, who=self.who)
        self.filter = Filter(
            regime,
            sight=self.sight,
            joined=people.join_second[self.who] // DAY,
            calendar=setting.calendar,
            particles=particles,
            rng=streams["people"],
            terms=self._terms_begun() if activity == "contracts" else None,
        )
        self.filter.voice = self._told_or_not(self.filter.voice)
        self.filter.run(company.day)
        self._weight: Floats = np.exp(self.filter.particles.log_weight)
        if activity == "contracts":  # who has left in a term that runs on did not cancel
            self._weight *= np.where(self.filter.particles.exit_day <= company.day, 1.0 - CANCELS, 1.0)

    def _terms_begun(self) -> dict[int, Ints]:
        """Which customers, by their places in `who`, have a contract term begin on a day before this morning."""
        exits = ints(self.company.state.exits.exit_day)
        gone = np.where(exits <= self.company.day, exits * DAY, NEVER)
        terms = self.setting.terms(self.company.people, block=self._block, exit_second=gone)
        seen = spread(pick(terms, terms["start"] < self.company.day * DAY), who=self.who)
        day = ints(seen["start"]) // DAY
        return {one: np.unique(ints(seen["customer"])[day == one]) for one in np.unique(day[day >= 0]).tolist()}

    def _told_or_not(self, voice: Floats) -> Floats:
        """The personalities' grid after everything that was told or not, old enough to be sure of it."""
        told = self.sight.incidents
        old = pick(told, ints(told["second"]) < (self.company.day - _RECENT_DAYS) * DAY)
        log = np.log(voice)
        people = self.company.people
        for number, each in enumerate(self.filter.grid):
            alike = replace(people, voice=np.full(people.count, each))
            chance = chance_of_telling(old, regime=self.setting.regime, people=alike)
            seen = np.log(np.where(old["is_told"], chance, 1.0 - chance))
            log[:, number] += np.bincount(ints(old["customer"]), weights=seen, minlength=len(log))
        posterior = np.exp(log - log.max(axis=1, keepdims=True))
        scaled: Floats = posterior / posterior.sum(axis=1, keepdims=True)
        return scaled

    def _latent(self) -> dict[str, object]:
        gone = self.filter.particles.exit_day <= self.company.day
        return {"p_gone": (self._weight * gone).sum(axis=1) / self._weight.sum(axis=1)}

    def _copies(self, rows: Ints, *, streams: Streams) -> tuple[Company, Rows]:
        """Copies that live on from draws of the posterior, and what each of them may be about to say."""
        who = np.searchsorted(self.who, rows)
        first = np.flatnonzero(np.diff(who, prepend=-1))
        futures = len(rows) // len(first)
        rng = streams["people"]
        chosen = draw(self._weight[who[first]], size=futures, rng=rng).ravel()
        company, setting = self.company, self.setting
        people = _drawn_people(self, who=who, chosen=chosen, rows=rows, rng=rng)
        now = self.filter.particles
        friction = self.sight.friction.clones(who)
        friction.agenda.clear()
        exits = Exits(
            **{
                name: getattr(now, name)[who, chosen]
                for name in ("fade_from", "exit_day", "cause", "partly_from", "level", "mood", "blame")
            }
        )
        state = State(
            friction=friction,
            exits=exits,
            last_visit=company.state.last_visit[rows],
            last_said=self.sight.last_said[who],
            next_invitation=company.state.next_invitation[rows],
            away_until=now.away_until[who, chosen],
        )
        copies = Company(
            setting.regime, people=people, premises=company.premises, calendar=setting.calendar, streams=streams,
            state=state, day=company.day,
        )  # fmt: skip
        return copies, self._about_to_say(copies, who=who, rng=rng)

    def _about_to_say(self, copies: Company, *, who: Ints, rng: np.random.Generator) -> Rows:
        """Words about recent incidents that have not been spoken yet, but may be on their way."""
        day = self.company.day
        happened = self.sight.incidents
        is_open = (ints(happened["second"]) >= (day - _RECENT_DAYS) * DAY) & ~happened["is_told"].astype(np.bool_)
        recent = spread(pick(happened, is_open), who=who)
        chance = chance_of_telling(recent, regime=self.setting.regime, people=copies.people)
        waited = np.exp(-(day * DAY - ints(recent["second"])) / (_SPEAKS_WITHIN * DAY))
        says = rng.random(len(chance)) < _IS_VOICE * chance * waited / (1.0 - chance + chance * waited)
        said = pick(recent, says)
        size = len(said["customer"])
        second = day * DAY + rng.exponential(_SPEAKS_WITHIN * DAY, size).astype(np.int64)
        return {"customer": said["customer"], "second": second, "is_parting": np.zeros(size, dtype=np.bool_)}


def _drawn_people(morning: Posterior, *, who: Ints, chosen: Ints, rows: Ints, rng: np.random.Generator) -> People:
    """Customers whose every invisible trait is a draw from its posterior; the visible ones are their own."""
    sight, now, grid = morning.sight, morning.filter.particles, morning.filter.grid
    company, regime = morning.company, morning.setting.regime
    day, count, size = company.day, len(sight.last_said), len(rows)
    visits = sight.visits
    customer = ints(visits["customer"])
    came = np.bincount(customer, minlength=count)
    bought = np.bincount(customer[visits["is_purchase"].astype(np.bool_)], minlength=count)
    mean, strength = regime.purchase_share_mean, regime.purchase_share_strength
    struck = np.bincount(ints(sight.incidents["customer"]), minlength=count)
    seen = company.people.clones(morning.who)
    exposed = exposure(visits, regime=regime, people=seen, premises=company.premises, customers=count)
    shops = np.zeros((count, len(SHOP_CHANNELS)))
    np.add.at(shops, (customer, ints(visits["channel"])), 1.0)
    taste = np.array(regime.channel_taste)
    shops += _PRIOR_CHANNELS * taste / taste.sum()
    habit = 7.0 * morning.filter.habit / morning.filter.habit.sum(axis=1, keepdims=True)
    fresh = draw_people(regime, customers=size, calendar=morning.setting.calendar, rng=rng)
    is_later = fresh.pause_starts >= day
    voice = morning.filter.voice[who].cumsum(axis=1)
    step = (rng.random(size)[:, None] >= voice).sum(axis=1).clip(0, len(grid) - 1)
    known = company.people.opted_out_second[rows]
    share = fresh.purchase_share
    if np.isfinite(strength):
        share = rng.beta(mean * strength + bought[who], (1.0 - mean) * strength + came[who] - bought[who])
    rate = np.full(size, regime.visits_per_day)
    if np.isfinite(regime.visits_shape):
        rate = rng.standard_gamma(now.count[who, chosen]) / now.days[who, chosen]
    return replace(
        company.people.clones(rows),
        visits_per_day=rate,
        weekdays=fresh.weekdays if np.isinf(regime.weekday_concentration) else np.ascontiguousarray(habit[who].T),
        purchase_share=share,
        channels=(shops / shops.sum(axis=1, keepdims=True)).cumsum(axis=1)[who],
        luck=rng.standard_gamma(regime.luck_shape + struck[who]) / (regime.luck_shape + exposed[who]),
        voice=(grid[step] + rng.uniform(-0.5, 0.5, size) / len(grid)).clip(1e-4, 1 - 1e-4),
        sensitivity=now.sensitivity[who, chosen],
        satisfaction=_satisfaction(morning, who=who, rng=rng),
        enthusiasm=fresh.enthusiasm,
        closing_delay=fresh.closing_delay,
        opted_out_second=np.where(known < day * DAY, known, fresh.opted_out_second),
        pause_starts=np.where(is_later, fresh.pause_starts, NEVER),
        pause_ends=np.where(is_later, fresh.pause_ends, NEVER),
    )


def _satisfaction(morning: Posterior, *, who: Ints, rng: np.random.Generator) -> Floats:
    """Draws from the normal posterior of the score without friction, given the scores and friction by the rows."""
    prior, spread_of_prior = _SATISFACTION
    count = len(morning.sight.last_said)
    total, answers = np.zeros(count), np.zeros(count)
    for day, (asked, _, score) in morning.sight.asked.items():
        given = ~np.isnan(score)
        gap = prior - mean_score(morning.sight.pressure[day][asked[given]], satisfaction=np.full(1, prior))
        np.add.at(total, asked[given], score[given] + gap)
        np.add.at(answers, asked[given], 1.0)
    weight = 1.0 / spread_of_prior**2 + answers / SCORE_NOISE**2
    mean = (prior / spread_of_prior**2 + total / SCORE_NOISE**2) / weight
    drawn: Floats = rng.normal(mean[who], np.sqrt(1.0 / weight[who]))
    return drawn
