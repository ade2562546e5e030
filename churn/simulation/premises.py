"""What all customers share: places and agents of unequal quality, days of shared trouble, the day a channel closes."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from churn.simulation.arrays import NEVER, Floats
from churn.simulation.calendar import Calendar
from churn.simulation.regimes import Regime

_SHARED_DAY_SHARE: Final = 0.03  # days on which a shared incident (an outage) strikes
_SHARED_DAY_FACTOR: Final = 22.0  # multiplies its rate there; the quiet days make up for it
_SKILL_SPREAD: Final = 0.6  # log odds


@dataclass(frozen=True, kw_only=True)
class Premises:
    """Drawn once per company, the same for every block of its customers."""

    place_factor: Floats  # (places,), multiplies the incident rates there, mean 1
    skill: Floats  # (agents,), log odds of resolving at one contact
    manner: Floats  # (agents,), multiplies the chance of an unkind contact, mean 1
    shared_days: Floats  # (kinds, days), factor of each kind's rate, mean 1
    closes_on: int  # the day on which the closing channel is no more


def draw_premises(regime: Regime, *, calendar: Calendar, rng: np.random.Generator) -> Premises:
    """Returns the premises of a company, drawn in a fixed order from `rng`."""
    usual = np.log(regime.resolve_share / (1.0 - regime.resolve_share))
    return Premises(
        place_factor=rng.standard_gamma(regime.place_shape, regime.places) / regime.place_shape,
        skill=rng.normal(usual, _SKILL_SPREAD, regime.agents),
        manner=rng.standard_gamma(regime.manner_shape, regime.agents) / regime.manner_shape,
        shared_days=_shared_day_factors(regime, days=calendar.days, rng=rng),
        closes_on=int(NEVER) if regime.closing_channel is None else calendar.days // 2,
    )


def _shared_day_factors(regime: Regime, *, days: int, rng: np.random.Generator) -> Floats:
    quiet = (1.0 - _SHARED_DAY_SHARE * _SHARED_DAY_FACTOR) / (1.0 - _SHARED_DAY_SHARE)
    strikes = rng.random((len(regime.kinds), days)) < _SHARED_DAY_SHARE
    is_shared = np.array([kind.is_shared for kind in regime.kinds])[:, None]
    return np.where(is_shared, np.where(strikes, _SHARED_DAY_FACTOR, quiet), 1.0)
