"""The state of a company's customers on one morning: everything that tomorrow depends on besides chance."""

from dataclasses import dataclass

import numpy as np

from churn.simulation.arrays import Floats, Ints
from churn.simulation.calendar import DAY
from churn.simulation.exits import Exits, nobody_leaves
from churn.simulation.friction import Friction, no_friction
from churn.simulation.people import People
from churn.simulation.regimes import Regime

LONG_AGO = np.int64(-(10**6))


@dataclass
class State:
    """Shapes are (customers,); days count from the first one of the world."""

    friction: Friction  # stocks, and effects that are under way: a parcel, a call she will make, an answer she gets
    exits: Exits
    last_visit: Ints  # day
    last_said: Ints  # day of her last complaint, in words or by contact
    next_invitation: Floats  # day
    away_until: Ints  # first day after her pause

    def clones(self, who: Ints) -> "State":
        """The state of copies of these customers: copy j is of customer `who[j]`, and several may be of one."""
        return State(
            friction=self.friction.clones(who),
            exits=self.exits.clones(who),
            last_visit=self.last_visit[who],
            last_said=self.last_said[who],
            next_invitation=self.next_invitation[who],
            away_until=self.away_until[who],
        )


def first_morning(regime: Regime, *, people: People, rng: np.random.Generator) -> State:
    """Returns the state before the first day; `rng` spreads the first invitations."""
    join_day = people.join_second // DAY
    first = rng.uniform(0.0, regime.invitation_every_days, people.count)
    return State(
        friction=no_friction(regime, customers=people.count),
        exits=nobody_leaves(people.count),
        last_visit=np.where(join_day < 0, 0, LONG_AGO),
        last_said=np.full(people.count, LONG_AGO),
        next_invitation=np.maximum(join_day, 0) + first,
        away_until=np.full(people.count, LONG_AGO),
    )
