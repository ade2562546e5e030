"""What goes wrong: at most one incident per visit."""

import numpy as np

from churn.simulation.arrays import Floats, Rows, choose, ints
from churn.simulation.calendar import DAY
from churn.simulation.people import People
from churn.simulation.regimes import SHOP_CHANNELS, IncidentKind, Regime

_SHARED_DAY_SHARE = 0.03  # days on which a shared incident (an outage) strikes
_SHARED_DAY_FACTOR = 22.0  # multiplies its rate there; the quiet days make up for it


def shared_day_factors(regime: Regime, *, days: int, rng: np.random.Generator) -> Floats:
    """Returns the factor of each kind's rate on each day, mean 1; shape (kinds, days)."""
    quiet = (1.0 - _SHARED_DAY_SHARE * _SHARED_DAY_FACTOR) / (1.0 - _SHARED_DAY_SHARE)
    strikes = rng.random((len(regime.kinds), days)) < _SHARED_DAY_SHARE
    is_shared = np.array([kind.is_shared for kind in regime.kinds])[:, None]
    return np.where(is_shared, np.where(strikes, _SHARED_DAY_FACTOR, quiet), 1.0)


def strike(visits: Rows, *, regime: Regime, people: People, factors: Floats, rng: np.random.Generator) -> Rows:
    """Returns the incidents of a day's visits: customer, second, kind, severity and the position of the visit."""
    customer = ints(visits["customer"])
    chances = np.stack(
        [
            _chances(visits, kind=kind, people=people) * factor
            for kind, factor in zip(regime.kinds, factors, strict=True)
        ]
    )
    cumulative = chances.cumsum(axis=0)
    cumulative *= np.minimum(1.0, 0.8 / np.maximum(cumulative[-1], 1e-12))
    draws = rng.random(len(customer))
    hit = np.flatnonzero(draws < cumulative[-1])
    kind = (draws[hit] >= cumulative[:, hit]).sum(axis=0)
    severities = np.array([each.severities for each in regime.kinds]).cumsum(axis=1)
    delays = np.array([each.delay_days for each in regime.kinds])[kind] * rng.standard_gamma(3.0, len(hit)) / 3.0
    minutes = rng.integers(1, 25, len(hit)) * 60
    return {
        "customer": customer[hit],
        "second": ints(visits["second"][hit]) + minutes + np.floor(delays).astype(np.int64) * DAY,
        "kind": kind,
        "severity": choose(rng, severities[kind]) + 1,
        "visit": hit,
    }


def _chances(visits: Rows, *, kind: IncidentKind, people: People) -> Floats:
    """Chance of one kind at each visit: its rate where it can happen, times the customer's luck."""
    customer = visits["customer"]
    is_possible = np.array([channel in kind.channels for channel in SHOP_CHANNELS])[visits["channel"]]
    if kind.needs_order:
        is_possible &= visits["is_purchase"].astype(np.bool_)
    chance: Floats = kind.rate * is_possible * people.luck[customer]
    return chance * people.delivery_luck[customer] if kind.delay_days else chance
