"""All that is known of a set of customers, prepared once per job for cutoffs, outcomes and signals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn.config import Config
from churn.errors import TableError
from churn.tables.history import DAY, Events, Int64, events_of, histories
from churn.tables.orders import orders_of
from churn.timeline.cutoffs import microseconds
from churn.timeline.population import Standing, standing
from churn.timeline.rhythm import purchases, refunds, visits
from churn.timeline.voice import has_voice, voice_events


@dataclass(frozen=True, slots=True)
class Known:
    """Tables as read, and the same as arrays per customer.

    Attributes:
        tables: the tables as `read_tables` gives them.
        customers: sorted ids; a customer's position is her code.
        events: every event table by name.
        active: the activity that "coming" means.
        bought: the purchases, which carry the spend; the same as `active` unless that is visits.
        returned: the returns, which carry the refunds.
        voice: the customers' own voice events.
        profile: the `customers` table aligned to the codes, or None.
        standing: closing and opting out.
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
    covers_from: dict[str, int]

    @property
    def starts(self) -> int:
        """When the activity begins, microseconds UTC."""
        return int(self.active.time.min()) if len(self.active.time) else 0

    @property
    def ends(self) -> int:
        """The midnight (UTC) that follows the last activity: the earliest moment that sees all of it."""
        if not len(self.active.time):
            return 0
        return int(self.active.time.max()) // DAY * DAY + DAY

    @property
    def settled(self) -> int:
        """The last moment up to which outcomes are observed: just after the last activity, microseconds UTC."""
        return int(self.active.time.max()) + 1 if len(self.active.time) else 0

    @property
    def has_voice(self) -> bool:
        """Whether any table carries the customers' own voice."""
        return has_voice(self.tables)

    def covered_at(self, at: int) -> dict[str, int]:
        """Returns from when each event table is complete, as known at `at`: configured, or its first visible row.

        A table without a visible row covers nothing yet: it is complete from `at` on.
        """
        return {name: self.covers_from.get(name, _first_visible(events, at)) for name, events in self.events.items()}

    def heard_from(self, at: int) -> dict[str, int]:
        """Returns from when each source of the customers' own voice covers the base, as far as known at `at`."""
        sources = {name: self.events[name] for name in ("contacts", "feedback") if name in self.events}
        if "feedback" in sources:
            sources["feedback"] = sources["feedback"].keep(_by_self(sources["feedback"]))
        return {name: self.covers_from.get(name, _first_visible(events, at)) for name, events in sources.items()}

    def codes_of(self, ids: pa.Array) -> Int64:
        """Returns the codes of customer ids, -1 where an id is unknown."""
        return np.asarray(pc.fill_null(pc.index_in(ids.cast(pa.string()), self.customers), -1).to_numpy(), np.int64)


def prepare(tables: Mapping[str, pa.Table], *, config: Config, activity_kind: str | None = None) -> Known:
    """Returns what is known of everybody in `tables`; `activity_kind` (of a bundle) overrules the configuration's.

    Raises:
        TableError: the table of the activity is not there.
    """
    kind = activity_kind or config.activity
    needed = {"purchases": "transactions", "visits": "visits"}[kind]
    if needed not in tables:
        raise TableError(f'activity = "{kind}" needs the table {needed}: add [tables.{needed}] to churn.toml')
    all_histories = histories(tables)
    customers = all_histories.customers
    covers = {
        name: microseconds(source.covers_from, config.timezone)
        for name, source in config.tables.items()
        if source.covers_from is not None
    }
    orders = orders_of(tables["transactions"], customers=customers)
    active = bought = purchases(orders, timezone=config.timezone)
    if kind == "visits":
        active = visits(tables["visits"], customers=customers, timezone=config.timezone)
    return Known(
        tables=tables,
        customers=customers,
        events=all_histories.events,
        active=active,
        bought=bought,
        returned=refunds(orders),
        voice=events_of(voice_events(tables), customers=customers),
        profile=all_histories.profile,
        standing=standing(all_histories.profile, len(customers)),
        covers_from=covers,
    )


def _first_visible(events: Events, at: int) -> int:
    visible = (events.time < at) & (events.known <= at)
    return int(events.time[visible].min()) if visible.any() else at


def _by_self(feedback: Events) -> np.ndarray:
    author = feedback.columns.get("author")
    if author is None:
        return np.ones(len(feedback.time), bool)
    labels = feedback.labels["author"]
    own = labels.index("self") if "self" in labels else -2
    return np.asarray((author == own) | (author == -1))
