"""Troubles: everything that went wrong for a customer, whether or not she said so: incidents, and contacts that nobody
resolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from churn.signals.edges import WHOLE, edges_of, first_known
from churn.signals.kernel import NOTHING, Op, walk_back
from churn.signals.streams import FOLLOW_DAYS
from churn.tables.contract import TIME
from churn.tables.history import DAY, Events, Int64, events_of
from churn.tables.orders import MISSING

Float64 = npt.NDArray[np.float64]
Tables = Mapping[str, pa.Table]

UNRESOLVED = "unresolved_contact"
"""The kind of a contact that was left unresolved."""

UNRESOLVED_DAYS = 7
"""A contact is left unresolved when nothing is resolved so many days after the first contact of its case."""

_EVENT = ["customer_id", "time", "available_at"]
_ROWS = pa.schema([
    ("customer_id", pa.string()), ("time", TIME), ("available_at", TIME), ("kind", pa.string()),
    ("severity", pa.float64()), ("order_id", pa.string()), ("channel", pa.string()),
])  # fmt: skip
_NO_CHANNEL = -1


@dataclass(frozen=True, slots=True)
class Troubles:
    """What went wrong, sorted by customer and time: one entry per incident and per case left unresolved.

    An entry never changes: what is learnt of it later (a row that arrives late, a word of hers) is a clock here.

    Attributes:
        starts: shape (customers + 1,); those of customer c are `starts[c]:starts[c + 1]`.
        time: microseconds UTC: when it happened; of a contact left unresolved, when its days were over.
        known: microseconds UTC: when the company could know it.
        told: microseconds UTC: when a voice of hers in the 14 days from `time` on became known; `NEVER` for none.
        kind: codes of `kinds`.
        channel: codes of `channels`, -1 where none is known: that of its order, else of her last visit, else of the
            contact; as it was known at `time`.
        severity: NaN where it isn't given.
        amount: of its order in currency units, as it was known at `time`; NaN without one.
    """

    starts: Int64
    time: Int64
    known: Int64
    told: Int64
    kind: Int64
    kinds: tuple[str, ...]
    channel: Int64
    channels: tuple[str, ...]
    severity: Float64
    amount: Float64

    def __len__(self) -> int:
        return len(self.time)

    @property
    def customer(self) -> Int64:
        """The customer code of each, shape (troubles,)."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    @property
    def matured(self) -> Int64:
        """From when on it is settled whether she told of it: its 14 days are over and it is known."""
        return np.maximum(self.time + FOLLOW_DAYS * DAY, self.known)


def has_troubles(tables: Tables) -> bool:
    """Returns whether the tables can tell of anything that went wrong."""
    return "incidents" in tables or _tells_resolutions(tables)


def troubles_of(tables: Tables, *, customers: pa.StringArray, voice: Events) -> Troubles:
    """Returns what went wrong for `customers`; the order of the rows doesn't matter, nor who else is asked for.

    Args:
        tables: canonical tables by name.
        customers: sorted ids; a customer's position is her code.
        voice: the customers' own voice events (`timeline.voice`).
    """
    parts = [_unresolved(tables, customers)]
    if "incidents" in tables:
        parts.append(_as_troubles(tables["incidents"]))
    events = events_of(pa.concat_tables(parts), customers=customers)
    customer = events.customer
    told = first_known(customer, events.time, FOLLOW_DAYS * DAY, voice.starts, voice.time, voice.known)
    last, names = _last_channel(tables, customers, customer, events.time.copy())  # the kernel wants writable arrays
    ordered, order_names, amount = _orders(tables, events, customers)
    channels = tuple(sorted({*names, *order_names, *events.labels["channel"]}))
    own = events.columns["channel"].astype(np.int64)
    channel = _renamed(own, events.labels["channel"], channels)
    for codes, labels in ((last, names), (ordered, order_names)):
        channel = np.where(codes >= 0, _renamed(codes, labels, channels), channel)
    return Troubles(
        events.starts, events.time, events.known, told, events.columns["kind"].astype(np.int64),
        tuple(events.labels["kind"]), channel, channels, events.columns["severity"], amount,
    )  # fmt: skip


def _tells_resolutions(tables: Tables) -> bool:
    return "contacts" in tables and "resolved_at" in tables["contacts"].column_names


def _unresolved(tables: Tables, customers: pa.StringArray) -> pa.Table:
    """One row per case of which nothing was resolved in time: it happens when that time is over.

    Of the contacts of a case the first counts, as far as it was known when a later one was: a row that arrives late
    takes nothing away from what was known before.
    """
    if not _tells_resolutions(tables):
        return _ROWS.empty_table()
    table = tables["contacts"]
    names = [name for name in (*_EVENT, "case_id", "channel", "resolved_at") if name in table.column_names]
    events = events_of(table.select(names), customers=customers)
    over = events.time + UNRESOLVED_DAYS * DAY
    rows = np.flatnonzero((events.columns["resolved_at"] >= over) & _is_first(events))
    moment, known = over[rows], np.maximum(events.known[rows], over[rows])
    found = {
        "customer_id": customers.take(pa.array(events.customer[rows])), "time": pa.array(moment).cast(TIME),
        "available_at": pa.array(known).cast(TIME), "kind": pa.array([UNRESOLVED] * len(rows), pa.string()),
    }  # fmt: skip
    if "channel" in events.columns:
        names = pa.array([*events.labels["channel"], None], pa.string())
        found["channel"] = names.take(pa.array(events.columns["channel"][rows] % len(names)))
    return _as_troubles(pa.table(found))


def _is_first(events: Events) -> npt.NDArray[np.bool_]:
    """Whether no earlier contact of the same case was known when this one was."""
    case = events.columns.get("case_id")
    if case is None:
        return np.ones(len(events.time), bool)
    keys = [events.customer, case]
    known = pd.Series(events.known)
    earlier = known.groupby(keys).cummin().groupby(keys).shift()
    return np.asarray((case < 0) | ~(earlier <= known))


def _last_channel(tables: Tables, customers: pa.StringArray, customer: Int64, at: Int64) -> tuple[Int64, list[str]]:
    """The channel of her last visit (without that table: purchase) before each moment, as codes and their names."""
    for name in ("visits", "transactions"):
        if name in tables and "channel" in tables[name].column_names:
            came = events_of(tables[name].select([*_EVENT, "channel"]), customers=customers)
            codes = came.columns["channel"].astype(np.int64)
            numbers = np.where(codes < 0, MISSING, codes)
            edges = edges_of(came.starts, came.time, customer, at, np.array([WHOLE]))
            known = NOTHING if came.known is came.time else came.known
            whole = np.zeros(1, np.int64)
            found = walk_back(int(Op.LAST), edges, whole, at, came.time, known, numbers, NOTHING, NOTHING, 0)[0]
            return np.where(found == MISSING, _NO_CHANNEL, found), came.labels["channel"]
    return np.full(len(at), _NO_CHANNEL), []


def _orders(tables: Tables, events: Events, customers: pa.StringArray) -> tuple[Int64, list[str], Float64]:
    """The channel and the amount of each trouble's order, from the rows of it that were known when it happened."""
    channel, amount = np.full(len(events.time), _NO_CHANNEL), np.full(len(events.time), np.nan)
    table = tables.get("transactions")
    named = events.labels["order_id"]
    if not named or table is None or "order_id" not in table.column_names:
        return channel, [], amount
    lines = table.filter(pc.is_in(table["order_id"].cast(pa.string()), value_set=pa.array(named, pa.string())))
    names = [name for name in (*_EVENT, "amount", "order_id", "channel") if name in lines.column_names]
    bought = events_of(lines.select(names), customers=customers)
    place = {label: code for code, label in enumerate(named)}
    order = np.array([place[label] for label in bought.labels["order_id"]], np.int64)[bought.columns["order_id"]]
    pairs = pd.DataFrame({"customer": events.customer, "order": events.columns["order_id"], "at": events.time})
    pairs["trouble"] = np.arange(len(pairs))
    rows = pd.DataFrame({
        "customer": bought.customer, "order": order, "time": bought.time, "known": bought.known,
        "amount": np.maximum(bought.columns["amount"], 0), "channel": bought.columns.get("channel", -1),
    })  # fmt: skip
    joined = pairs[pairs["order"] >= 0].merge(rows, on=["customer", "order"])
    joined = joined[(joined["time"] <= joined["at"]) & (joined["known"] <= joined["at"])]
    cents = joined.groupby("trouble")["amount"].sum()
    amount[cents.index] = cents.to_numpy() / 100
    first = joined[joined["channel"] >= 0].drop_duplicates("trouble")
    channel[first["trouble"]] = first["channel"]
    return channel, bought.labels.get("channel", []), amount


def _as_troubles(table: pa.Table) -> pa.Table:
    """The rows with all columns of a trouble, null where the table has none such."""
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(table.num_rows, field.type)
        for field in _ROWS
    ]
    return pa.table(columns, schema=_ROWS)


def _renamed(codes: Int64, labels: Sequence[str], wanted: Sequence[str]) -> Int64:
    """The codes of labels as those of the wanted ones, which hold them all."""
    place = {label: code for code, label in enumerate(wanted)}
    return np.array([*(place[label] for label in labels), _NO_CHANNEL], np.int64)[codes]
