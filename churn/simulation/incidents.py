"""What goes wrong: at most one incident per visit, and unkind answers at contacts."""

import numpy as np

from churn.simulation.arrays import Floats, Ints, Rows, choose, ints, pick
from churn.simulation.calendar import DAY
from churn.simulation.kinds import RUDE, SHOP_CHANNELS, IncidentKind
from churn.simulation.people import People
from churn.simulation.premises import Premises
from churn.simulation.regimes import Regime

NO_VISIT = -1
_MOST = 0.8  # chance per visit that something goes wrong, at most


def chance_of_incident(visits: Rows, *, day: int, regime: Regime, people: People, premises: Premises) -> Floats:
    """Returns P(kind) at each visit of a day, by the customer's luck, her place and the day; shape (kinds, visits)."""
    place = premises.place_factor[people.home_place[visits["customer"]]]
    is_there = np.array([channel in regime.place_channels for channel in SHOP_CHANNELS])[visits["channel"]]
    factor = np.where(is_there, place, 1.0)
    shared = premises.shared_days[:, day]
    chances = np.stack([_chance(visits, kind=kind, people=people) * factor for kind in regime.kinds])
    chances *= shared[:, None]
    capped: Floats = chances * np.minimum(1.0, _MOST / np.maximum(chances.sum(axis=0), 1e-12))
    return capped


def strike(
    visits: Rows, *, day: int, regime: Regime, people: People, premises: Premises, rng: np.random.Generator
) -> Rows:
    """Returns the incidents of a day's visits: customer, second, kind, severity, visit (position), is_recorded."""
    customer = ints(visits["customer"])
    cumulative = chance_of_incident(visits, day=day, regime=regime, people=people, premises=premises).cumsum(axis=0)
    draws = rng.random(len(customer))
    hit = np.flatnonzero(draws < cumulative[-1])
    kind = (draws[hit] >= cumulative[:, hit]).sum(axis=0)
    delays = np.array([each.delay_days for each in regime.kinds])[kind] * rng.standard_gamma(3.0, len(hit)) / 3.0
    minutes = rng.integers(1, 25, len(hit)) * 60
    return _incidents(
        customer[hit],
        second=ints(visits["second"][hit]) + minutes + np.floor(delays).astype(np.int64) * DAY,
        kind=kind,
        visit=hit,
        regime=regime,
        rng=rng,
    )


def unkind_answers(contacts: Rows, *, regime: Regime, premises: Premises, rng: np.random.Generator) -> Rows:
    """Returns the incidents that contacts with unkind agents are; none where the trade has no such kind."""
    names = [kind.name for kind in regime.kinds]
    agent = ints(contacts["agent"])
    chance = np.where(agent >= 0, regime.rude_share * premises.manner[agent], 0.0)
    rude = pick(contacts, (rng.random(len(agent)) < chance) & (RUDE in names))
    size = len(rude["customer"])
    return _incidents(
        ints(rude["customer"]),
        second=ints(rude["second"]) + ints(rude["handle"]),
        kind=np.full(size, names.index(RUDE) if RUDE in names else 0),
        visit=np.full(size, NO_VISIT),
        regime=regime,
        rng=rng,
    )


def _incidents(
    customer: Ints, *, second: Ints, kind: Ints, visit: Ints, regime: Regime, rng: np.random.Generator
) -> Rows:
    severities = np.array([each.severities for each in regime.kinds]).cumsum(axis=1)
    return {
        "customer": customer,
        "second": second,
        "kind": kind,
        "severity": choose(rng, severities[kind]) + 1,
        "visit": visit,
        "is_recorded": rng.random(len(customer)) < regime.recorded_share,
    }


def _chance(visits: Rows, *, kind: IncidentKind, people: People) -> Floats:
    """Chance of one kind at each visit: its rate where it can happen, times the customer's luck."""
    customer = visits["customer"]
    is_possible = np.array([channel in kind.channels for channel in SHOP_CHANNELS])[visits["channel"]]
    if kind.needs_order:
        is_possible &= visits["is_purchase"].astype(np.bool_)
    chance: Floats = kind.rate * is_possible * people.luck[customer]
    return chance * people.delivery_luck[customer] if kind.delay_days else chance
