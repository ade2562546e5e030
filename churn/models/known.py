"""All that is known of a set of customers, prepared once per job for cutoffs, outcomes and signals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn.config import Config
from churn.errors import TableError
from churn.models.base import Base, gathered
from churn.tables.history import Events, Int64, customers_of, events_of, histories
from churn.tables.orders import orders_of
from churn.timeline.cutoffs import microseconds
from churn.timeline.population import Standing, standing
from churn.timeline.rhythm import purchases, refunds, visits
from churn.timeline.voice import voice_events

STANDING_COLUMNS = {
    "transactions": ("customer_id", "time", "available_at", "amount", "order_id", "is_return"),
    "visits": ("customer_id", "time", "available_at"),
    "contacts": ("customer_id", "time", "available_at", "is_complaint"),
    "incidents": ("customer_id", "time", "available_at"),
    "feedback": (
        "customer_id", "time", "available_at", "kind", "author", "score", "score_min", "score_max", "higher_is_better",
    ),
}  # fmt: skip
"""The columns by which cutoffs, populations, outcomes and voice are told; of every other table they need all."""
_LOOKED_INTO = ("invitations", "subscriptions", "treatments")


@dataclass(frozen=True, slots=True)
class Known:
    """Tables as read, and the same as arrays per customer.

    Attributes:
        tables: the tables as `read_tables` gives them.
        customers: sorted ids; a customer's position is her code.
        events: contracts, invitations and treatments, those that are there, by name.
        active: the activity that "coming" means.
        bought: the purchases, which carry the spend; the same as `active` unless that is visits.
        returned: the returns, which carry the refunds.
        voice: the customers' own voice events.
        profile: the `customers` table aligned to the codes, or None.
        standing: closing and opting out.
        base: what is asked of all customers together, of whom these may be one bucket.
        covers_from: configured starts of coverage by table, microseconds UTC.
    """

    tables: Mapping[str, pa.Table]
    customers: pa.StringArray
    events: dict[str, Events]
    active: Events
    bought: Events
    returned: Events
    voice: Events
    profile: pa.Table | None
    standing: Standing
    base: Base
    covers_from: dict[str, int]

    @property
    def starts(self) -> int:
        """When the base's activity begins, microseconds UTC."""
        return self.base.starts

    @property
    def ends(self) -> int:
        """The midnight (UTC) that follows the base's last activity: the earliest moment that sees all of it."""
        return self.base.ends

    @property
    def settled(self) -> int:
        """The last moment up to which outcomes are observed: just after the last activity, microseconds UTC."""
        return self.base.settled

    @property
    def has_voice(self) -> bool:
        """Whether any table carries the customers' own voice."""
        return bool(self.base.voice_sources)

    def covered_at(self, at: int) -> dict[str, int]:
        """Returns from when each event table is complete, as known at `at`: configured, or its first visible row.

        A table without a visible row covers nothing yet: it is complete from `at` on.
        """
        return {name: self.covers_from.get(name, first) for name, first in self.base.covered_at(at).items()}

    def heard_from(self, at: int) -> dict[str, int]:
        """Returns from when each source of the customers' own voice covers the base, as far as known at `at`."""
        return {name: self.covers_from.get(name, first) for name, first in self.base.heard_from(at).items()}

    def codes_of(self, ids: pa.Array) -> Int64:
        """Returns the codes of customer ids, -1 where an id is unknown."""
        return np.asarray(pc.fill_null(pc.index_in(ids.cast(pa.string()), self.customers), -1).to_numpy(), np.int64)


def prepare(
    tables: Mapping[str, pa.Table], *, config: Config, activity_kind: str | None = None, base: Base | None = None
) -> Known:
    """Returns what is known of everybody in `tables`.

    Args:
        tables: canonical tables by name.
        config: the project.
        activity_kind: what "coming" means, of a bundle; default the configuration's.
        base: all customers together, if those in `tables` are one bucket of them.

    Raises:
        TableError: the table of the activity is not there.
    """
    kind = activity_kind or config.activity
    needed = {"purchases": "transactions", "visits": "visits"}[kind]
    if needed not in tables:
        raise TableError(f'activity = "{kind}" needs the table {needed}: add [tables.{needed}] to churn.toml')
    looked_into = {name: tables[name] for name in (*_LOOKED_INTO, "customers") if name in tables}
    customers = customers_of(tables)
    of_few = histories(looked_into, customers=customers)
    orders = orders_of(tables["transactions"], customers=customers)
    active = bought = purchases(orders, timezone=config.timezone)
    if kind == "visits":
        active = visits(tables["visits"], customers=customers, timezone=config.timezone)
    return Known(
        tables=tables,
        customers=customers,
        events=of_few.events,
        active=active,
        bought=bought,
        returned=refunds(orders),
        voice=events_of(voice_events(tables), customers=customers),
        profile=of_few.profile,
        standing=standing(of_few.profile, len(customers)),
        base=base or gathered(tables, active),
        covers_from=_configured(config),
    )


def base_of(tables: Mapping[str, pa.Table], *, config: Config, activity_kind: str | None = None) -> Base:
    """Returns what one bucket of customers tells of the base, without preparing the rest; see `prepare`."""
    customers = customers_of(tables)
    if (activity_kind or config.activity) == "visits":
        return gathered(tables, visits(tables["visits"], customers=customers, timezone=config.timezone))
    orders = orders_of(tables["transactions"], customers=customers)
    return gathered(tables, purchases(orders, timezone=config.timezone))


def _configured(config: Config) -> dict[str, int]:
    return {
        name: microseconds(source.covers_from, config.timezone)
        for name, source in config.tables.items()
        if source.covers_from is not None
    }
