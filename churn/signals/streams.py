"""Streams: each table of a bucket as exact integers in the order of time, ready for the walk back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn.signals.edges import first_known
from churn.tables.contract import CONTRACT
from churn.tables.history import DAY, NEVER, Events, Int64, events_of, rows_of, unsettled
from churn.tables.orders import MICRO, MISSING, Orders, micro, orders_of
from churn.tables.sorting import dense_codes
from churn.timeline import rhythm, voice

CENTS = 100.0
_FEW_CODES = 1024
_OF_THEIR_OWN = ("visits", "contacts", "incidents", "invitations", "subscriptions")
_OF_LINES = ("channel", "category")
_TIMES = ["customer_id", "time", "available_at"]

FOLLOW_DAYS = 14
"""An incident is followed when the customer says anything within this many days."""

ALWAYS = -(2**61)
"""The time of what has no time: before every cutoff and inside the whole history."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value of each event of a stream.

    Attributes:
        numbers: shape (rows,), `MISSING` where null; None when only the clocks matter.
        unit: how many of `numbers` make one of what is delivered (100 for cents).
        begins: shape (rows,), microseconds: the value counts at t if `begins <= t`; None: always.
        ends: shape (rows,), microseconds: the value counts at t if `t < ends`; None: for ever.
        labels: what the numbers stand for when they are codes that are delivered.
    """

    numbers: Int64 | None = None
    unit: float = 1.0
    begins: Int64 | None = None
    ends: Int64 | None = None
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """Events of one kind, sorted by customer and time.

    Attributes:
        tables: the tables it is made of; a window is covered when all of them cover it.
        starts: shape (customers + 1,); the rows of customer c are `starts[c]:starts[c + 1]`.
        time: microseconds, shape (rows,).
        known: microseconds, shape (rows,).
        values: by name.
    """

    tables: tuple[str, ...]
    starts: Int64
    time: Int64
    known: Int64
    values: Mapping[str, Value]


class Lazy(Mapping[str, Value]):
    """Values by name, each made when it is first asked for."""

    def __init__(self, makers: Mapping[str, Callable[[], Value]]) -> None:
        self._makers = {name: cache(make) for name, make in makers.items()}

    def __getitem__(self, name: str) -> Value:
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


Tables = Mapping[str, pa.Table]


@dataclass(frozen=True, slots=True)
class _Bucket:
    """The tables of one bucket of customers."""

    tables: Tables
    customers: pa.StringArray
    timezone: str

    def events(self, table: pa.Table, *columns: str, time_column: str = "time") -> Events:
        """The columns that are there, sorted; late clocks are given last, so that they cannot order what was known."""
        names = ["customer_id", time_column, "available_at", *columns]
        present = [name for name in names if name in table.column_names]
        return events_of(table.select(present), customers=self.customers, time_column=time_column)

    def day(self, time: Int64) -> Int64:
        return rhythm.days_of(time, self.timezone)


def streams(
    tables: Tables, *, customers: pa.StringArray, timezone: str, activity: str, only: Collection[str] | None = None
) -> dict[str, Stream]:
    """Returns the streams of `customers` by name; rows of other customers are left out.

    Nothing is cut off at any time here: the kernel decides at each cutoff what is visible. The result doesn't depend on
    the order of the tables' rows, and one customer's rows depend on hers alone.

    Args:
        tables: canonical tables by name; those that are absent give no streams.
        customers: ids; a customer's position is her code.
        timezone: the project's time zone, for days and weekdays.
        activity: what "coming" means, `purchases` or `visits`.
        only: the streams that are needed; others need not be made. Default: all.
    """
    bucket = _Bucket(tables, customers, timezone)
    bought = orders_of(tables["transactions"], customers=customers) if "transactions" in tables else None
    made = {}
    if activity == "visits":
        visits = unsettled(rows_of(tables["visits"].select(_TIMES), customers=customers))
        made["activity"] = _activity(visits, "visits", bucket)
    elif bought is not None:
        made["activity"] = _activity(bought.purchases, "transactions", bucket)
    if bought is not None:
        made |= _bought(bought)
    for name, make in _MAKERS.items():
        if name in tables and (only is None or name not in _OF_THEIR_OWN or name in only):
            made |= make(bucket)
    return made | (_words(bucket) if only is None or {"words", "voice"} & set(only) else {})


def _activity(events: Events, table: str, bucket: _Bucket) -> Stream:
    return _stream(events, table, Lazy(_dated(events, bucket)))


def _dated(events: Events, bucket: _Bucket) -> dict[str, Callable[[], Value]]:
    day = cache(lambda: bucket.day(events.time))
    return {"day": lambda: Value(day()), "weekday": lambda: _weekday(day())}


def _bought(orders: Orders) -> dict[str, Stream]:
    bought, given_back, lines = orders.purchases, orders.returns, orders.lines
    numbers = {
        "spend": lambda: _money(bought, "amount"),
        "discount": lambda: _money(bought, "discount"),
        "quantity": lambda: Value(_whole(bought, "quantity"), MICRO),
        "categories": lambda: Value(_whole(bought, "categories")),
    }
    told = {name: make for name, make in numbers.items() if name == "spend" or name in bought.columns}
    codes = {name: partial(_code, lines, name) for name in _OF_LINES if name in lines.columns}
    refund = Value(np.abs(_whole(given_back, "amount")), CENTS)
    return {
        "orders": _stream(bought, "transactions", Lazy(told)),
        "returns": _stream(given_back, "transactions", {"refund": refund}),
        "items": _stream(lines, "transactions", Lazy(codes)),
    }


def _visits(bucket: _Bucket) -> dict[str, Stream]:
    events = bucket.events(bucket.tables["visits"], "channel", "duration_seconds")
    values = _dated(events, bucket)
    if "channel" in events.columns:
        values["channel"] = partial(_code, events, "channel")
    if "duration_seconds" in events.columns:
        values["duration"] = partial(_number, events, "duration_seconds")
    return {"visits": _stream(events, "visits", Lazy(values))}


def _contacts(bucket: _Bucket) -> dict[str, Stream]:
    numbers = ("wait_seconds", "handle_seconds", "is_complaint")
    events = bucket.events(
        bucket.tables["contacts"], "case_id", "channel", "topic", "agent_id", *numbers, "resolved_at"
    )
    values = {"wait": "wait_seconds", "handle": "handle_seconds"}
    made = {name: _number(events, column) for name, column in values.items() if column in events.columns}
    made |= {name: _code(events, name) for name in ("channel", "topic") if name in events.columns}
    if "is_complaint" in events.columns:
        made["complaint"] = _where(events.columns["is_complaint"] == 1)
    case = _cases(events)
    if case is not None:
        made["case"] = _numbered(events, case, _FEW_CODES + 1)
        for name, column in (("case_agent", "agent_id"), ("case_channel", "channel")):
            if column in events.columns:
                pairs = _pairs(case, _whole(events, column))
                made[name] = _numbered(events, pairs, _FEW_CODES + 1)
    if "resolved_at" in events.columns:
        resolved = _after(events, "resolved_at")
        made |= {"resolved": Value(begins=resolved), "unresolved": Value(ends=resolved)}
        made["resolving"] = Value(_whole(events, "resolved_at") - events.time, float(DAY), begins=resolved)
        if case is not None:
            made["case_resolved"] = Value(made["case"].numbers, begins=resolved)
    return {"contacts": _stream(events, "contacts", made)}


def _incidents(bucket: _Bucket) -> dict[str, Stream]:
    events = bucket.events(bucket.tables["incidents"], "kind", "severity")
    values = {"kind": _label(events, "kind")}
    severity = _number(events, "severity").numbers if "severity" in events.columns else None
    if severity is not None:
        values["severity"] = Value(severity, MICRO)
    if _word_tables(bucket.tables):
        words = bucket.events(voice.word_events(bucket.tables))
        length = FOLLOW_DAYS * DAY
        matured = events.time + length
        told = first_known(events.customer, events.time, length, words.starts, words.time, words.known)
        values["matured"] = Value(begins=matured)
        values["unfollowed"] = Value(begins=matured, ends=told)
        if severity is not None:
            values["unfollowed_severity"] = Value(severity, MICRO, begins=matured, ends=told)
    return {"incidents": _stream(events, "incidents", values)}


def _feedback(bucket: _Bucket) -> dict[str, Stream]:
    table = bucket.tables["feedback"]
    table = table.select(["customer_id", "time", "available_at", "kind"])
    table = table.append_column("unit", pa.array(voice.unit_score(bucket.tables["feedback"])))
    table = table.append_column("negative", pa.array(voice.is_negative(bucket.tables["feedback"])))
    by_self = voice.is_by_self(bucket.tables["feedback"])
    made = {}
    for name, mask in (("feedback", by_self), ("about", ~by_self)):
        events = bucket.events(table.filter(pa.array(mask)), "unit", "kind", "negative")
        negative = _where(events.columns["negative"] == 1)
        values = {"kind": _label(events, "kind"), "score": _number(events, "unit"), "negative": negative}
        made[name] = _stream(events, "feedback", values)
    return made


def _invitations(bucket: _Bucket) -> dict[str, Stream]:
    events = bucket.events(bucket.tables["invitations"], "answered_at")
    values = {}
    if "answered_at" in events.columns:
        answered = _after(events, "answered_at")
        values = {"answered": Value(begins=answered), "unanswered": Value(ends=answered)}
    return {"invitations": _stream(events, "invitations", values)}


def _profile(bucket: _Bucket) -> dict[str, Stream]:
    """What doesn't change is one row before all time; an attribute with a `valid_from` is a row of that time."""
    table = bucket.tables["customers"]
    names = [
        name
        for name in table.column_names
        if name not in CONTRACT["customers"].names and not name.endswith("__valid_from")
    ]
    static = [name for name in names if f"{name}__valid_from" not in table.column_names]
    always = pa.repeat(ALWAYS, table.num_rows)
    events = bucket.events(table.append_column("time", always), *static, "since")
    values = {name: _attribute(events, name) for name in static}
    if "since" in events.columns:
        since = events.columns["since"].astype(np.int64)
        values["since"] = Value(np.where(since == NEVER, MISSING, since), float(DAY), begins=_after(events, "since"))
    made = {"profile": _stream(events, "customers", values)}
    for name in sorted(set(names) - set(static)):
        dated = table.filter(pc.is_valid(table[f"{name}__valid_from"]))
        events = bucket.events(dated, name, time_column=f"{name}__valid_from")
        made[f"profile_{name}"] = _stream(events, "customers", {name: _attribute(events, name)})
    return made


def _subscriptions(bucket: _Bucket) -> dict[str, Stream]:
    events = bucket.events(bucket.tables["subscriptions"], "end", "plan", "amount", "ended_at", time_column="start")
    end = _whole(events, "end")
    values = {"end": Value(np.where(end == NEVER, MISSING, end), float(DAY))}
    if "plan" in events.columns:
        values["plan"] = _label(events, "plan")
    if "amount" in events.columns:
        values["amount"] = _money(events, "amount")
    if "ended_at" in events.columns:
        values["ended"] = Value(begins=_after(events, "ended_at"))
    return {"subscriptions": _stream(events, "subscriptions", values)}


def _words(bucket: _Bucket) -> dict[str, Stream]:
    """Every word of the customers, and those among them that say something is wrong."""
    sources = _word_tables(bucket.tables)
    if not sources:
        return {}
    words = bucket.events(voice.word_events(bucket.tables))
    voices = bucket.events(voice.voice_events({**bucket.tables, **_endings_when_known(bucket.tables)}))
    return {
        "words": Stream(sources, words.starts, words.time, words.known, {}),
        "voice": Stream(sources, voices.starts, voices.time, voices.known, {}),
    }


def _endings_when_known(tables: Tables) -> dict[str, pa.Table]:
    """The subscriptions with each ending at the moment it became known: a row heard of late must not speak earlier."""
    if "subscriptions" not in tables or "ended_at" not in tables["subscriptions"].column_names:
        return {}
    table = tables["subscriptions"]
    ended, available = table["ended_at"], table["available_at"]
    known = pc.if_else(pc.greater(available, ended), available, ended)
    return {"subscriptions": table.set_column(table.column_names.index("ended_at"), "ended_at", known)}


_MAKERS: dict[str, Callable[[_Bucket], dict[str, Stream]]] = {
    "visits": _visits,
    "contacts": _contacts,
    "incidents": _incidents,
    "feedback": _feedback,
    "invitations": _invitations,
    "customers": _profile,
    "subscriptions": _subscriptions,
}


def _word_tables(tables: Tables) -> tuple[str, ...]:
    return tuple(name for name in ("contacts", "feedback") if name in tables)


def _stream(events: Events, table: str, values: Mapping[str, Value]) -> Stream:
    return Stream((table,), events.starts, events.time, events.known, values)


def _where(mask: npt.NDArray[np.bool_]) -> Value:
    """A value of the rows where `mask` is true."""
    return Value(np.where(mask, 1, MISSING))


def _whole(events: Events, column: str) -> Int64:
    return np.asarray(events.columns[column], np.int64)


def _money(events: Events, column: str) -> Value:
    return Value(_whole(events, column), CENTS)


def _number(events: Events, column: str) -> Value:
    numbers = np.asarray(events.columns[column], np.float64)
    return Value(np.where(np.isfinite(numbers), micro(numbers), MISSING), MICRO)


def _after(events: Events, column: str) -> Int64:
    """The first microsecond at which a cutoff can see what was filled in late: what happens exactly at t is future."""
    clock = _whole(events, column)
    return np.where(clock == NEVER, NEVER, clock + 1)


def _weekday(day: Int64) -> Value:
    return Value((day + 3) % 7)  # 1 January 1970 was a Thursday; Monday is 0


def _label(events: Events, column: str) -> Value:
    codes = _whole(events, column)
    return Value(np.where(codes < 0, MISSING, codes), labels=tuple(events.labels[column]))


def _code(events: Events, column: str) -> Value:
    return _numbered(events, _whole(events, column), len(events.labels[column]))


def _numbered(events: Events, codes: Int64, count: int) -> Value:
    """Codes of something to be told apart within a customer; where there are many they are numbered anew from 0 for
    each customer, so that a scratch pad is as wide as the most varied customer."""
    if count <= _FEW_CODES:
        return Value(codes if codes.min(initial=0) >= 0 else np.where(codes < 0, MISSING, codes))
    return Value(dense_codes(events.starts, codes, MISSING))


def _attribute(events: Events, name: str) -> Value:
    if name in events.labels:
        return _label(events, name)
    column = events.columns[name]
    if column.dtype.kind == "f":
        return _number(events, name)
    numbers = _whole(events, name)
    is_null = numbers == (-1 if column.dtype == np.int8 else NEVER)
    return Value(np.where(is_null, MISSING, numbers))


def _cases(events: Events) -> Int64 | None:
    """The case of each contact; a contact without a case is one of its own."""
    if "case_id" not in events.columns:
        return None
    case = _whole(events, "case_id")
    return np.where(case < 0, len(events.labels["case_id"]) + np.arange(len(case)), case)


def _pairs(first: Int64, second: Int64) -> Int64:
    """One code per pair; -1 where the second is null."""
    return np.where(second < 0, -1, first * (second.max(initial=0) + 1) + second)
