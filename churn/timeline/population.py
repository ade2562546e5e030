"""Population: the customers a prediction at a cutoff makes sense for, and why the others are left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn.tables.history import DAY, NEVER, Events, Int64
from churn.timeline.cutoffs import Cutoff, happened_in, seen_at
from churn.timeline.rhythm import Bool, Pace, Prior, own_gap

ELIGIBLE = ""
REASONS = {
    "never_active": "no activity before the date",
    "too_new": "first activity too recent to know her rhythm",
    "one_timer": "only one active day so far",
    "already_gone": "silent far longer than her own rhythm: already gone",
    "not_active": "too few orders in the days the population asks for",
    "closed": "account closed",
    "opted_out": "opted out: no signals, no score",
    "no_contract": "no contract running at the date",
    "not_ending": "her contract doesn't end in the outcome window",
    "unknown": "not in any table",
}
"""Every `why_not_scored`, in words."""

Why = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Standing:
    """Closing and opting out, microseconds UTC per customer (`NEVER` where it has not happened)."""

    closed: Int64
    opted_out: Int64

    def is_closed(self, at: int) -> Bool:
        """Returns who had closed before `at`."""
        return np.asarray(self.closed < at)

    def is_opted_out(self, at: int) -> Bool:
        """Returns who had opted out before `at`."""
        return np.asarray(self.opted_out < at)


def standing(profile: pa.Table | None, customers: int) -> Standing:
    """Returns closing and opting out of everybody, from the profile aligned to the customer codes."""
    return Standing(clock_column(profile, "closed_at", customers), clock_column(profile, "opted_out_at", customers))


def clock_column(profile: pa.Table | None, name: str, customers: int) -> Int64:
    """Returns a clock of the profile in microseconds, shape (customers,), `NEVER` where it has not happened."""
    if profile is None or name not in profile.column_names:
        return np.full(customers, NEVER)
    return np.asarray(pc.fill_null(profile[name].cast(pa.int64()), NEVER), np.int64)


def why_not_by_rhythm(seen: Pace, cutoff: Cutoff, *, standing: Standing, prior: Prior) -> Why:
    """Returns per customer the reason why she isn't eligible, empty for those who are: shape (customers,).

    The rules of a prediction without a contract: first activity at least max(30 d, H/2) ago; at least two active days;
    not silent for more than clip(3 x own shrunk gap, 14 d, 2H); neither closed nor opted out.
    """
    horizon = cutoff.horizon_days
    age = (cutoff.at - seen.first) / DAY
    recency = (cutoff.at - seen.last) / DAY
    patience = np.clip(3 * own_gap(seen.days.astype(float), (seen.last - seen.first) / DAY, prior), 14, 2 * horizon)
    return _first_reason(
        ("never_active", seen.days == 0),
        ("opted_out", standing.is_opted_out(cutoff.at)),
        ("closed", standing.is_closed(cutoff.at)),
        ("one_timer", seen.days < 2),
        ("too_new", age < max(30, horizon / 2)),
        ("already_gone", recency > patience),
    )


def why_not_by_orders(active: Events, seen: Pace, cutoff: Cutoff, *, standing: Standing, days: int, least: int) -> Why:
    """Returns per customer why she isn't eligible under `population = "active:<days>:<least>"`: shape (customers,).

    Eligible is who has at least `least` orders visible in the `days` before the cutoff and hasn't closed or opted out.
    """
    since = cutoff.at - days * DAY
    is_recent = happened_in(active, since, cutoff.at, known_by=cutoff.at)
    recent = np.bincount(active.customer[is_recent], minlength=len(seen.days))
    return _first_reason(
        ("never_active", seen.days == 0),
        ("opted_out", standing.is_opted_out(cutoff.at)),
        ("closed", standing.is_closed(cutoff.at)),
        ("not_active", recent < least),
    )


def why_not_by_contract(contracts: Events, cutoff: Cutoff, *, standing: Standing) -> Why:
    """Returns per customer why she isn't eligible in the contractual variant: shape (customers,).

    Eligible is who has a contract that is visible and running at the cutoff and ends in the outcome window.
    """
    seen = seen_at(contracts, cutoff.at)
    is_running = seen & (ends_of(contracts) >= cutoff.at)
    is_ending = is_ending_contract(contracts, cutoff)
    return _first_reason(
        ("never_active", ~contracts.whose(seen)),
        ("opted_out", standing.is_opted_out(cutoff.at)),
        ("closed", standing.is_closed(cutoff.at)),
        ("no_contract", ~contracts.whose(is_running)),
        ("not_ending", ~contracts.whose(is_ending)),
    )


def is_ending_contract(contracts: Events, cutoff: Cutoff) -> Bool:
    """Returns which contracts are visible and running at the cutoff and due to end in its window: shape (rows,).

    Due is the agreed `end`; a cancellation after the cutoff is the future and changes nothing here.
    """
    due = np.asarray(contracts.columns["end"], np.int64)
    is_running = seen_at(contracts, cutoff.at) & (ends_of(contracts) >= cutoff.at)
    return is_running & (due >= cutoff.opens) & (due < cutoff.closes)


def ends_of(contracts: Events) -> Int64:
    """Returns when each contract really ended: its `end`, or `ended_at` before it. Shape (rows,), microseconds UTC."""
    due = np.asarray(contracts.columns["end"], np.int64)
    return np.minimum(due, np.asarray(contracts.columns.get("ended_at", due), np.int64))


def counts_of(why: Why) -> dict[str, int]:
    """Returns how many customers each rule removed, and how many are `eligible`; in the order of `REASONS`."""
    counts = {"eligible": int((why == ELIGIBLE).sum())}
    counts.update({reason: int((why == reason).sum()) for reason in REASONS if (why == reason).any()})
    return counts


def _first_reason(*rules: tuple[str, Bool]) -> Why:
    return np.select([is_out for _, is_out in rules], [name for name, _ in rules], default=ELIGIBLE)
