"""A particle filter over the simulator's equations: what the visible rows say about who has left or is leaving."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import ndtr

from churn.simulation.arrays import NEVER, Bools, Floats, Ints
from churn.simulation.calendar import Calendar, weekday
from churn.simulation.exits import LEAVING, LOYAL, STAYS, WAVERING
from churn.simulation.hazard import friction_hazard
from churn.simulation.moods import chance_of_push
from churn.simulation.regimes import HIDDEN_STATES, Regime
from churn.simulation.sight import ANSWER_DAYS, Sight
from churn.simulation.surveys import SCORE_NOISE, chance_of_answering, mean_score

_LEAN: Final = np.array([0.85, 0.85, 0.9, 0.95, 1.1, 1.3, 1.05])  # weekdays of the average customer
_VOICES: Final = 12  # steps of the grid on which the voice personality is learnt
_BOLD: Final = 6.0  # rare turns are proposed so much more often than they come, and weighed so much less
_SATISFACTION: Final = (9.1, 0.8)
_IMPOSSIBLE: Final = float(np.log(1e-12))


@dataclass
class Particles:
    """Shapes are (customers, particles); the visit rate is integrated out as gamma(count, days)."""

    count: Floats
    days: Floats
    sensitivity: Floats
    fade_from: Ints
    exit_day: Ints
    cause: Ints
    partly_from: Ints
    level: Floats
    mood: Ints
    blame: Ints
    away_until: Ints
    log_weight: Floats

    def keep(self, rows: Ints, *, chosen: Ints) -> None:
        """Replaces the particles of some customers by chosen ones of their own, with equal weights."""
        for name in self.__dataclass_fields__:
            column = getattr(self, name)
            column[rows] = np.take_along_axis(column[rows], chosen, axis=1)
        self.log_weight[rows] = 0.0


class Filter:
    """Follows some customers day by day; after `run`, `particles` and `voice` are the posterior of this morning."""

    def __init__(
        self,
        regime: Regime,
        *,
        sight: Sight,
        joined: Ints,
        calendar: Calendar,
        particles: int,
        rng: np.random.Generator,
        terms: Mapping[int, Ints] | None = None,
    ) -> None:
        self._regime, self._sight, self._joined, self._calendar, self._rng = regime, sight, joined, calendar, rng
        self._terms = terms or {}
        customers = len(joined)
        shape = (customers, particles)
        spread = regime.sensitivity_spread
        is_even = np.isinf(regime.visits_shape)
        self._is_fixed = is_even
        self._weekdays = np.isinf(regime.weekday_concentration)
        self.habit = np.tile(_LEAN * (1.0 if self._weekdays else regime.weekday_concentration) / 7.0, (customers, 1))
        shape_of_rate = 1e6 if is_even else regime.visits_shape
        self.particles = Particles(
            count=np.full(shape, shape_of_rate),
            days=np.full(shape, shape_of_rate / regime.visits_per_day),
            sensitivity=np.exp(rng.normal(-(spread**2) / 2, spread, shape)),
            fade_from=np.full(shape, NEVER),
            exit_day=np.full(shape, NEVER),
            cause=np.full(shape, STAYS),
            partly_from=np.full(shape, NEVER),
            level=np.ones(shape),
            mood=np.full(shape, LOYAL),
            blame=np.full(shape, STAYS),
            away_until=np.full(shape, -1),
            log_weight=np.zeros(shape),
        )
        self.grid = (np.arange(_VOICES) + 0.5) / _VOICES
        prior = self.grid ** (regime.voice_alpha - 1) * (1 - self.grid) ** (regime.voice_beta - 1)
        self.voice: Floats = np.tile(prior / prior.sum(), (customers, 1))

    def run(self, days: int) -> None:
        """Lives the days before this morning."""
        for day in range(days):
            self._pause(day)
            self._see_visits(day)
            if self._regime.mechanism == HIDDEN_STATES:
                self._be_moved(day)
            if day in self._sight.asked:
                self._see_answers(day)
            if day in self._terms:
                self._see_terms(day)
            self._decide(day)
            self._resample()

    def pressure(self, day: int) -> Floats:
        """Friction as far as it matters, by customer and particle."""
        regime = self._regime
        if regime.mechanism == HIDDEN_STATES:
            mood: Floats = np.array(regime.mood_pressure)[self.particles.mood]
            by_mood: Floats = regime.friction_matters * mood
            return by_mood
        felt: Floats = self.particles.sensitivity * self._sight.pressure[day][:, None]
        return regime.friction_matters * felt

    def _pause(self, day: int) -> None:
        """Vacations and seasonal pauses begin at the rate at which they do in the world."""
        regime, now, rng = self._regime, self.particles, self._rng
        each = regime.vacations_per_year / 2
        vacation = each / 365 + (each / 48 if 181 <= day % 365 < 229 else 0.0)
        seasonal = regime.seasonal_share / 365
        draws = rng.random(now.level.shape)
        is_hit = draws < _BOLD * (vacation + seasonal)
        now.log_weight += _turn_weight(is_hit, chance=np.full(1, vacation + seasonal))
        hit = np.nonzero(is_hit)
        is_long = draws[hit] < _BOLD * seasonal
        size = len(is_long)
        length = np.where(is_long, rng.integers(60, 111, size), rng.integers(14, 29, size))
        now.away_until[hit] = np.maximum(now.away_until[hit], day + length)

    def _see_visits(self, day: int) -> None:
        now, regime = self.particles, self._regime
        here: Bools = (self._joined < day)[:, None]
        habit = 7.0 * self.habit / self.habit.sum(axis=1, keepdims=True)
        index = 1.0 if self._weekdays else habit[:, weekday(day)]
        season = regime.season[self._calendar.month_of_year(day)] ** regime.season_strength
        is_open = (now.away_until <= day) & (day < now.exit_day)
        exposed = np.where(is_open, self._strength(day), 0.0) * np.broadcast_to(season * index, len(here))[:, None]
        came = self._sight.came[day][:, None]
        stays_away = -now.count * np.log1p(exposed / now.days)
        with np.errstate(divide="ignore"):
            comes = np.log(-np.expm1(stays_away))
        seen = np.where(came, comes, stays_away)
        lost = came[:, 0] & here[:, 0] & ~np.isfinite(seen).any(axis=1)
        self._revive(np.flatnonzero(lost))
        seen[lost] = 0.0
        now.log_weight += np.where(here, seen, 0.0)
        if not self._is_fixed:
            mean = now.count / now.days * exposed
            # A day with a visit stands for one or more arrivals of the Poisson process behind it.
            arrivals = np.where(mean > 0, mean / np.maximum(-np.expm1(-mean), 1e-12), 1.0)
            now.count += np.where(here & came, arrivals, 0.0)
            now.days += np.where(here, exposed, 0.0)
        self.habit[self._sight.came[day] & here[:, 0], weekday(day)] += 1.0

    def _strength(self, day: int) -> Floats:
        now, regime = self.particles, self._regime
        if regime.mechanism == HIDDEN_STATES:
            by_mood: Floats = np.array([1.0, regime.wavering_strength, regime.leaving_strength])[now.mood]
            left: Floats = by_mood * now.level
            return left
        length = np.maximum(now.exit_day - now.fade_from, 1)
        faded: Floats = ((day - now.fade_from) / length).clip(0.0, 1.0)
        return (1.0 - 0.9 * faded) * now.level

    def _revive(self, rows: Ints) -> None:
        """She came although every particle had her gone or away: all of them were wrong."""
        now = self.particles
        for column, value in (
            (now.fade_from, NEVER), (now.exit_day, NEVER), (now.away_until, -1), (now.mood, LOYAL),
        ):  # fmt: skip
            column[rows] = value
        now.log_weight[rows] = 0.0

    def _be_moved(self, day: int) -> None:
        now, regime, rng = self.particles, self._regime, self._rng
        rows = np.flatnonzero((self._sight.raised[day] > 0) | self._sight.relieved[day])
        raised = self._sight.raised[day][rows][:, None]
        mood, draws = now.mood[rows], rng.random((len(rows), now.mood.shape[1]))
        calms = self._sight.relieved[day][rows][:, None] & (draws > 1.0 - regime.pull) & (mood == WAVERING)
        pushed = (draws < chance_of_push(raised, sensitivity=now.sensitivity[rows], regime=regime)) & (mood != LEAVING)
        now.mood[rows] = np.where(pushed, WAVERING, np.where(calms, LOYAL, mood))
        now.blame[rows] = np.where(pushed, self._sight.worst[day][rows][:, None], now.blame[rows])

    def _see_answers(self, day: int) -> None:
        """Answers to the invitations of some days ago, and silence; nobody answers who was gone then."""
        who, answered, score = self._sight.asked[day]
        now, regime = self.particles, self._regime
        asked_on = day - ANSWER_DAYS
        pressure = self.pressure(day)[who]
        alive = now.exit_day[who] > asked_on
        chances = np.stack(
            [chance_of_answering(pressure, voice=np.full(1, v), day=asked_on, regime=regime) for v in self.grid], axis=2
        )
        chance = np.where(alive, (chances * self.voice[who][:, None, :]).sum(axis=2), 0.0)
        seen = np.where(answered[:, None], chance, 1.0 - chance)
        mean = mean_score(pressure, satisfaction=np.full(1, _SATISFACTION[0]))
        wide = float(np.hypot(_SATISFACTION[1], SCORE_NOISE))
        given = np.nan_to_num(score, nan=5.0)[:, None]
        high = np.where(given >= 10.0, 1.0, ndtr((given + 0.5 - mean) / wide))
        low = np.where(given <= 0.0, 0.0, ndtr((given - 0.5 - mean) / wide))
        seen = np.where(np.isnan(score)[:, None], seen, seen * np.maximum(high - low, 1e-9))
        now.log_weight[who] += np.log(np.maximum(seen, 1e-12))
        usual = chances.mean(axis=1)
        might = now.exit_day[who].max(axis=1, keepdims=True) > asked_on
        kept = self.voice[who] * np.where(answered[:, None], usual, np.where(might, 1.0 - usual, 1.0))
        self.voice[who] = kept / kept.sum(axis=1, keepdims=True)

    def _see_terms(self, day: int) -> None:
        """A contract term begins: whoever has one begin has not left before."""
        who = self._terms[day]
        self.particles.log_weight[who] += np.where(self.particles.exit_day[who] <= day, _IMPOSSIBLE, 0.0)

    def _decide(self, day: int) -> None:
        now, regime, rng = self.particles, self._regime, self._rng
        may = (self._joined <= day)[:, None] & (now.exit_day == NEVER)
        draws = rng.random(may.shape) * 7.0
        outside = len(regime.kinds)
        if regime.mechanism == HIDDEN_STATES:
            wavers, loyal = may & (now.mood == WAVERING), may & (now.mood == LOYAL)
            turn = np.where(wavers, regime.break_hazard, np.where(loyal, regime.doubt_hazard, 0.0))
            breaks, doubts = (each & (draws < _BOLD * turn) for each in (wavers, loyal))
            leaves = may & (draws > 7.0 - _BOLD * regime.outside_hazard)
            chance = (turn + regime.outside_hazard) / 7.0
            now.log_weight += np.where(may, _turn_weight(breaks | doubts | leaves, chance=chance), 0.0)
            calms = wavers & ~breaks & ~leaves & (rng.random(may.shape) < regime.calm_hazard / 7.0)
            now.mood[calms] = LOYAL
            now.mood[doubts] = WAVERING
            now.blame[doubts | leaves] = outside
            self._go(np.nonzero(breaks | leaves), day=day, cause=None)
            return
        pressured = friction_hazard(self.pressure(day), regime=regime)
        is_hit = may & (draws < _BOLD * (regime.outside_hazard + pressured))
        now.log_weight += np.where(may, _turn_weight(is_hit, chance=(regime.outside_hazard + pressured) / 7.0), 0.0)
        hit = np.nonzero(is_hit)
        cause = np.where(draws[hit] < _BOLD * pressured[hit], self._sight.worst[day][hit[0]], outside)
        self._go(hit, day=day, cause=cause)

    def _go(self, hit: tuple[Ints, ...], *, day: int, cause: Ints | None) -> None:
        """Lets the particles that decided today leave, now, after a fade, or in part."""
        now, regime, rng = self.particles, self._regime, self._rng
        size = len(hit[0])
        in_part = (rng.random(size) < regime.partial_share) & (now.partly_from[hit] == NEVER)
        level = rng.uniform(*regime.partial_level, size)
        part, whole = tuple(axis[in_part] for axis in hit), tuple(axis[~in_part] for axis in hit)
        now.partly_from[part], now.level[part] = day + 1, level[in_part]
        if cause is None:
            now.mood[part], now.mood[whole] = LOYAL, LEAVING
            now.cause[whole], now.fade_from[whole] = now.blame[whole], day + 1
            now.exit_day[whole] = day + 1 + rng.geometric(1.0 / regime.leaving_days, len(whole[0]))
            return
        now.cause[whole] = cause[~in_part]
        share = np.where(self._sight.spoke[day][whole[0]], regime.fade_share_vocal, regime.fade_share_silent)
        fades = rng.random(len(whole[0])) < share
        length = np.rint(regime.fade_days * rng.uniform(0.7, 1.3, len(fades))).astype(np.int64)
        now.fade_from[whole] = np.where(fades, day + 1, NEVER)
        now.exit_day[whole] = day + 1 + np.where(fades, length, 0)

    def _resample(self) -> None:
        """Systematic resampling of the customers whose weights have grown uneven."""
        now = self.particles
        now.log_weight -= now.log_weight.max(axis=1, keepdims=True)
        weight = np.exp(now.log_weight)
        effective = weight.sum(axis=1) ** 2 / (weight**2).sum(axis=1)
        rows = np.flatnonzero(effective < 0.5 * weight.shape[1])
        if len(rows):
            now.keep(rows, chosen=draw(weight[rows], size=weight.shape[1], rng=self._rng))


def _turn_weight(turns: Bools, *, chance: Floats) -> Floats:
    """Log weight of a turn proposed with `_BOLD` times its chance (at most 1), and of its absence; shape as `turns`."""
    proposed = np.minimum(_BOLD * chance, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight: Floats = np.where(turns, np.log(chance / proposed), np.log1p(-chance) - np.log1p(-proposed))
    return np.nan_to_num(weight, nan=0.0, posinf=0.0)


def draw(weight: Floats, *, size: int, rng: np.random.Generator) -> Ints:
    """Returns `size` positions per row, drawn systematically by weight; shape (rows, size)."""
    rows = len(weight)
    cumulative = np.cumsum(weight, axis=1)
    cumulative /= cumulative[:, -1:]
    points = (rng.random((rows, 1)) + np.arange(size)) / size
    lift = np.arange(rows)[:, None]
    found = np.searchsorted((cumulative + lift).ravel(), (points + lift).ravel(), side="right").reshape(rows, size)
    inside: Ints = np.clip(found - lift * weight.shape[1], 0, weight.shape[1] - 1)
    return inside
