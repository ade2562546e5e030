"""Monthly contracts of a telecom-like company, and the bill of each."""

from typing import Final

import numpy as np

from churn.simulation.arrays import NEVER, Ints, Rows, pick, stack
from churn.simulation.calendar import DAY, Calendar
from churn.simulation.people import People

PLANS: Final = ("basic", "plus", "family")
PLAN_CENTS: Final = np.array([1499, 2499, 3999])
ENDINGS: Final = ("cancel", "lapse", "payment_failure", "switch")
CANCEL, LAPSE, PAYMENT_FAILURE, SWITCH = range(4)
RUNS_OUT: Final = -1  # a term that ends on its day and is renewed
_TERM: Final = 30 * DAY
_SWITCHES: Final = 0.01  # share of terms broken off for another plan
_FAILS: Final = 0.004  # share of terms broken off by a failed payment, and taken up again
CANCELS: Final = 0.6  # share of leavers who cancel; the others let the term run out


def subscriptions(people: People, *, exit_second: Ints, calendar: Calendar, rng: np.random.Generator) -> Rows:
    """Returns one row per customer and monthly term: start, end, plan, cents, ended, how (codes), in seconds.

    A customer's terms follow one another without a gap, but for three days after a failed payment. The term in which
    she leaves is the last: cancelled at her exit, or lapsed at its end.
    """
    world_end = calendar.days * DAY
    cancels = rng.random(people.count) < CANCELS
    plan = rng.integers(0, len(PLANS), people.count)
    phase = rng.integers(0, _TERM // DAY, people.count) * DAY
    start = np.where(people.join_second < 0, -phase, people.join_second // DAY * DAY)
    terms: list[Rows] = []
    while True:
        runs = start < np.minimum(exit_second, world_end)
        if not runs.any():
            break
        broken, at = rng.random(people.count), start + rng.integers(5, 25, people.count) * DAY
        end = start + _TERM
        how = np.where(broken < _SWITCHES, SWITCH, np.where(broken < _SWITCHES + _FAILS, PAYMENT_FAILURE, RUNS_OUT))
        how = np.where(exit_second <= end, np.where(cancels, CANCEL, LAPSE), how)
        ended = np.select([how == CANCEL, how == LAPSE, how == RUNS_OUT], [exit_second, end, NEVER], at)
        row: Rows = {
            "customer": np.arange(people.count),
            "start": start,
            "end": end,
            "plan": plan,
            "cents": PLAN_CENTS[plan],
            "ended": ended,
            "how": how,
        }
        terms.append(pick(row, runs))
        plan = np.where(how == SWITCH, (plan + 1) % len(PLANS), plan)
        resumed = at + np.where(how == PAYMENT_FAILURE, 3 * DAY, 0)
        start = np.where((how == SWITCH) | (how == PAYMENT_FAILURE), resumed, end)
    return stack(terms)


def bills(terms: Rows) -> Rows:
    """Returns the paid bill of each term as a transaction row without an order of the shop."""
    size = len(terms["customer"])
    second = terms["start"] + 6 * 3600
    return {
        "customer": terms["customer"],
        "second": second,
        "order": np.full(size, -1),
        "channel": np.full(size, 1),
        "category": np.full(size, -1),
        "quantity": np.ones(size, dtype=np.int64),
        "cents": terms["cents"],
        "discount_cents": np.zeros(size, dtype=np.int64),
        "is_return": np.zeros(size, dtype=np.bool_),
        "known": second + 600,
    }
