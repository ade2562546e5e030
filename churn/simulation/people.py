"""Who the customers are: everything about a customer that does not change while she is one."""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from churn.simulation.arrays import NEVER, Bools, Floats, Ints, choose
from churn.simulation.calendar import DAY, Calendar
from churn.simulation.regimes import Regime

REGIONS: Final = ("north", "south", "east", "west")
SEGMENTS: Final = ("private", "family", "small_business")
AGE_BANDS: Final = ("18-29", "30-44", "45-59", "60+")
CATEGORIES: Final = ("grocery", "household", "clothing", "electronics", "beauty", "garden")

_REGION_SHARES: Final = np.array([0.30, 0.30, 0.25, 0.15])
_SEGMENT_SHARES: Final = np.array([0.60, 0.30, 0.10])
_AGE_SHARES: Final = np.array([0.22, 0.31, 0.27, 0.20])
_DELIVERY_LUCK: Final = np.array([0.85, 0.95, 1.0, 1.4])  # by region: the west is far from the warehouse
_SEGMENT_SPEND: Final = np.array([1.0, 1.35, 2.0])
_CHANNEL_TASTE: Final = np.array([[1.0, 2.0, 3.5], [1.6, 2.4, 2.2], [2.4, 2.2, 1.2], [3.4, 1.6, 0.7]])  # age x channel
_CLOSES_WITHIN: Final = 10 * DAY
_SEASONAL_DAYS: Final = (60, 111)
_JOIN_BY: Final = 0.85  # nobody joins in the last part of the world: she could not be judged


@dataclass(frozen=True, kw_only=True)
class People:
    """One entry per customer; shapes are (customers,) unless stated."""

    join_second: Ints  # negative: before the world began
    visits_per_day: Floats
    purchase_share: Floats
    basket: Floats  # currency units of a typical order
    weekdays: Floats  # (7, customers), mean 1 per customer
    channels: Floats  # (customers, 3), cumulative over SHOP_CHANNELS
    categories: Floats  # (customers, 6), cumulative over CATEGORIES
    pause_starts: Ints  # (pauses, customers), day numbers of vacations and seasonal pauses
    pause_ends: Ints
    home_place: Ints  # code of her store, hotel or seller
    sensitivity: Floats  # multiplies what friction does to her, mean 1
    closing_delay: Ints  # seconds from her exit to closing her account; NEVER for who doesn't close it
    luck: Floats  # multiplies every incident rate, mean 1
    delivery_luck: Floats  # multiplies the rate of incidents that come by delivery
    voice: Floats  # personality: chance of telling an average incident
    satisfaction: Floats  # NPS score without friction
    enthusiasm: Floats  # multiplies praise, mean 1
    is_contactable: Bools
    opted_out_second: Ints
    speaks_chinese: Bools
    region: Ints  # codes into REGIONS, SEGMENTS, AGE_BANDS
    segment: Ints
    age_band: Ints

    @property
    def count(self) -> int:
        """Number of customers."""
        return len(self.join_second)

    def clones(self, who: Ints) -> "People":
        """Copies of these customers: copy j is of customer `who[j]`, and several may be of one."""
        return People(
            **{
                each.name: np.take(getattr(self, each.name), who, axis=int(each.name in _BY_COLUMN))
                for each in fields(self)
            }
        )


_BY_COLUMN: Final = frozenset({"weekdays", "pause_starts", "pause_ends"})  # customers lie along the second axis


def draw_people(regime: Regime, *, customers: int, calendar: Calendar, rng: np.random.Generator) -> People:
    """Returns the customers of a company, drawn in a fixed order from `rng`."""
    region = choose(rng, _REGION_SHARES.cumsum(), size=customers)
    segment = choose(rng, _SEGMENT_SHARES.cumsum(), size=customers)
    age_band = choose(rng, _AGE_SHARES.cumsum(), size=customers)
    starts, ends = _pauses(regime, customers=customers, calendar=calendar, rng=rng)
    return People(
        join_second=_join_seconds(regime, customers=customers, calendar=calendar, rng=rng),
        visits_per_day=regime.visits_per_day * _gamma(rng, shape=regime.visits_shape, size=customers),
        purchase_share=_beta(
            rng, mean=regime.purchase_share_mean, strength=regime.purchase_share_strength, size=customers
        ),
        basket=regime.basket_median * _SEGMENT_SPEND[segment] * np.exp(rng.normal(0.0, 0.5, customers)),
        weekdays=_weekday_habits(rng, concentration=regime.weekday_concentration, size=customers),
        channels=_dirichlet(rng, _CHANNEL_TASTE[age_band] * 0.8 * np.array(regime.channel_taste)).cumsum(axis=1),
        categories=_dirichlet(rng, np.repeat(rng.uniform(0.1, 1.5, customers)[:, None], 6, axis=1)).cumsum(axis=1),
        pause_starts=starts,
        pause_ends=ends,
        luck=_gamma(rng, shape=regime.luck_shape, size=customers),
        delivery_luck=_DELIVERY_LUCK[region],
        voice=rng.beta(regime.voice_alpha, regime.voice_beta, customers).clip(1e-4, 1 - 1e-4),
        satisfaction=rng.normal(9.1, 0.8, customers),
        enthusiasm=_gamma(rng, shape=0.5, size=customers),
        is_contactable=rng.random(customers) < 0.9,
        opted_out_second=np.where(rng.random(customers) < 0.01, rng.integers(0, calendar.days * DAY, customers), NEVER),
        speaks_chinese=rng.random(customers) < 0.2,
        region=region,
        segment=segment,
        age_band=age_band,
        # Stores of a region are its neighbours in number; nobody's place depends on anything else.
        home_place=(region + 4 * rng.integers(0, -(-regime.places // 4), customers)) % regime.places,
        sensitivity=_log_normal(rng, spread=regime.sensitivity_spread, size=customers),
        closing_delay=np.where(
            rng.random(customers) < regime.closed_share, rng.integers(0, _CLOSES_WITHIN, customers), NEVER
        ),
    )


def _join_seconds(regime: Regime, *, customers: int, calendar: Calendar, rng: np.random.Generator) -> Ints:
    """Before the world: up to three years. Inside: evenly, in the daytime of a day."""
    old = -rng.integers(1, 3 * 365 * DAY, customers)
    day = rng.integers(0, max(int(_JOIN_BY * calendar.days), 1), customers)
    new = day * DAY + rng.integers(8 * 3600, 9 * 3600, customers)
    return np.where(rng.random(customers) < regime.joined_before_share, old, new)


def _pauses(regime: Regime, *, customers: int, calendar: Calendar, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Two possible vacations a year, the first in July or August, and for some a long pause at their own time of it."""
    years = -(-calendar.days // 365)
    shape = (years, customers)
    year_starts = 365 * np.arange(years, dtype=np.int64)[:, None]
    summer = year_starts + rng.integers(181, 229, shape)
    any_time = year_starts + rng.integers(0, 365, shape)
    starts = np.concatenate([summer, any_time])
    ends = starts + rng.integers(14, 29, starts.shape)
    is_taken = rng.random(starts.shape) < regime.vacations_per_year / 2
    first, length = rng.integers(0, 365, customers), rng.integers(*_SEASONAL_DAYS, customers)
    is_seasonal = np.broadcast_to(rng.random(customers) < regime.seasonal_share, shape)
    starts = np.concatenate([starts, np.broadcast_to(year_starts + first, shape)])
    ends = np.concatenate([ends, np.broadcast_to(year_starts + first + length, shape)])
    is_taken = np.concatenate([is_taken, is_seasonal])
    return np.where(is_taken, starts, NEVER), np.where(is_taken, ends, NEVER)


def _weekday_habits(rng: np.random.Generator, *, concentration: float, size: int) -> Floats:
    """Own weights of the weekdays, leaning to the weekend; `inf` is no habit and an even week."""
    if np.isinf(concentration):
        return np.ones((7, size))
    lean = np.array([0.85, 0.85, 0.9, 0.95, 1.1, 1.3, 1.05])
    alphas = np.repeat((lean * concentration / 7)[None, :], size, axis=0)
    weights: Floats = 7.0 * _dirichlet(rng, alphas).T
    return np.ascontiguousarray(weights)


def _dirichlet(rng: np.random.Generator, alphas: Floats) -> Floats:
    """One Dirichlet draw per row of `alphas`, as normalised gammas."""
    draws = rng.standard_gamma(alphas) + 1e-9
    result: Floats = draws / draws.sum(axis=1, keepdims=True)
    return result


def _gamma(rng: np.random.Generator, *, shape: float, size: int) -> Floats:
    """Gamma draws of mean 1; an infinite shape is the constant 1."""
    return np.ones(size) if np.isinf(shape) else rng.standard_gamma(shape, size) / shape


def _log_normal(rng: np.random.Generator, *, spread: float, size: int) -> Floats:
    """Log-normal draws of mean 1."""
    return np.exp(rng.normal(-(spread**2) / 2, spread, size))


def _beta(rng: np.random.Generator, *, mean: float, strength: float, size: int) -> Floats:
    """Beta draws of a given mean; an infinite strength is the constant."""
    if np.isinf(strength):
        return np.full(size, mean)
    return rng.beta(mean * strength, (1.0 - mean) * strength, size)
