"""What purchases look like in the books: order lines, discounts, returns, and rows that become known late."""

import numpy as np

from churn.simulation.arrays import Floats, Ints, Rows, choose, ints, pick, stack
from churn.simulation.calendar import DAY
from churn.simulation.people import People
from churn.simulation.regimes import Regime

_MOST_LINES = 3
_RETURN_BY_CHANNEL = np.array([0.6, 1.4, 1.4])  # store, web, app


def transactions(visits: Rows, *, regime: Regime, people: People, rng: np.random.Generator) -> Rows:
    """Returns the order lines and returns of all purchases; `order` is the position of the visit.

    Money is in whole cents; a line's cents are net of its discount.
    """
    position = np.flatnonzero(visits["is_purchase"])
    bought = pick(visits, position)
    lines = np.minimum(1 + rng.poisson(0.35, len(position)), _MOST_LINES)
    row = np.repeat(np.arange(len(position)), lines)
    cents, discount = _prices(bought, row=row, lines=lines, regime=regime, people=people, rng=rng)
    # Each line's cents have a remainder of its own: two equal lines of an order would look like one exported twice.
    line = np.arange(len(row)) - np.repeat(np.cumsum(lines) - lines, lines)
    cents = np.maximum(cents, _MOST_LINES) // _MOST_LINES * _MOST_LINES + line
    customer = ints(bought["customer"])[row]
    orders: Rows = {
        "customer": customer,
        "second": ints(bought["second"])[row] + 240,
        "order": position[row],
        "channel": ints(bought["channel"])[row],
        "category": choose(rng, people.categories[customer]),
        "quantity": 1 + rng.poisson(0.4, len(row)),
        "cents": cents,
        "discount_cents": discount,
        "is_return": np.zeros(len(row), dtype=np.bool_),
    }
    returns = _returns(orders, regime=regime, rng=rng)
    # An order is booked as a whole: lines known at different moments could not be told from several orders.
    booked = _known(ints(bought["second"]) + 240, regime=regime, rng=rng)[row]
    returned = _known(ints(returns["second"]), regime=regime, rng=rng)
    return stack([dict(orders, known=booked), dict(returns, known=returned)])


def _prices(
    bought: Rows, *, row: Ints, lines: Ints, regime: Regime, people: People, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Net cents and discount cents of each line: log-normal orders, split evenly but for noise, smaller in a fade."""
    basket = people.basket[bought["customer"]] * np.exp(rng.normal(0.0, 0.45, len(lines)))
    basket *= 0.6 + 0.4 * bought["strength"]
    gross = (basket / lines)[row] * np.exp(rng.normal(0.0, 0.25, len(row)))
    share: Floats = np.where(rng.random(len(lines)) < regime.discount_share, rng.uniform(0.05, 0.3, len(lines)), 0.0)
    discount = np.rint(100.0 * gross * share[row]).astype(np.int64)
    return np.maximum(np.rint(100.0 * gross).astype(np.int64) - discount, 1), discount


def _returns(orders: Rows, *, regime: Regime, rng: np.random.Generator) -> Rows:
    """Lines that come back, as negative rows of their own time."""
    chance = regime.return_share * _RETURN_BY_CHANNEL[orders["channel"]]
    back = pick(orders, rng.random(len(chance)) < chance)
    size = len(back["customer"])
    return dict(
        back,
        second=ints(back["second"]) + rng.integers(2, 15, size) * DAY + rng.integers(-7200, 7200, size),
        cents=-ints(back["cents"]),
        discount_cents=np.zeros(size, dtype=np.int64),
        is_return=np.ones(size, dtype=np.bool_),
    )


def _known(second: Ints, *, regime: Regime, rng: np.random.Generator) -> Ints:
    """When each order or return becomes known: minutes later, for a few up to five days."""
    minutes = rng.integers(1, 30, len(second)) * 60
    late = rng.integers(6 * 3600, 5 * DAY, len(second))
    return second + np.where(rng.random(len(second)) < regime.late_row_share, late, minutes)
