"""Made-up histories for property tests: few customers, many ties, and events right at the edges of windows."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

DAY = 86_400_000_000
AT = 1_711_922_400_000_000
"""31 March 2024, 22:00 UTC: midnight of 1 April in Berlin, the day after the clocks went forward."""

TIMEZONE = "Europe/Berlin"
CUSTOMERS = ("007", "1e5", "alice", "客户")
STRANGER = "alice "
"""Somebody in the tables whom nobody asks for."""
ATTRIBUTES = ("region", "plan", "points", "is_member")
_CLOCK = pa.timestamp("us", tz="UTC")
_CLOCK_CHANGES = (1_711_846_800_000_000, 1_698_541_200_000_000)
"""When clocks in Berlin went forward and back: 31 March 2024 and 29 October 2023, 01:00 UTC."""
_EDGES = (0, 7, 14, 28, 30, 44, 60, 90, 120, 180, 305, 365)
_NEAR = (-1, 0, 1)
Row = dict[str, Any]
Rows = dict[str, list[Row]]

_TYPES: dict[str, dict[str, pa.DataType]] = {
    "transactions": {"amount": pa.int64(), "order_id": pa.string(), "channel": pa.string(), "category": pa.string(),
                     "quantity": pa.float64(), "discount": pa.int64(), "is_return": pa.bool_()},
    "visits": {"channel": pa.string(), "duration_seconds": pa.float64()},
    "contacts": {"case_id": pa.string(), "channel": pa.string(), "topic": pa.string(), "agent_id": pa.string(),
                 "wait_seconds": pa.float64(), "handle_seconds": pa.float64(), "resolved_at": _CLOCK,
                 "is_complaint": pa.bool_()},
    "incidents": {"kind": pa.string(), "severity": pa.float64()},
    "feedback": {"kind": pa.string(), "author": pa.string(), "score": pa.float64(), "score_min": pa.float64(),
                 "score_max": pa.float64(), "higher_is_better": pa.bool_()},
    "invitations": {"answered_at": _CLOCK},
    "customers": {"since": _CLOCK, "closed_at": _CLOCK, "region": pa.string(), "points": pa.float64(),
                  "is_member": pa.bool_(), "plan": pa.string(), "plan__valid_from": _CLOCK},
    "subscriptions": {"end": _CLOCK, "plan": pa.string(), "amount": pa.int64(), "ended_at": _CLOCK,
                      "ended_how": pa.string(), "ended_reason": pa.string()},
}  # fmt: skip
KINDS = ("late", "rude service", "outage")


def moments() -> st.SearchStrategy[int]:
    """Microseconds: near the edges of windows before `AT`, near `AT`, on days of 23 and 25 hours, anywhere in three
    years."""
    edges = [AT - days * DAY + near for days in _EDGES for near in _NEAR]
    edges += [change + hours * DAY // 24 for change in _CLOCK_CHANGES for hours in (-3, -2, -1, 0, 1, 21, 22, 23)]
    return st.one_of(st.sampled_from(edges), st.integers(AT - 800 * DAY, AT + 40 * DAY))


def late_moments() -> st.SearchStrategy[int | None]:
    """When something is filled in, or never."""
    return st.one_of(st.none(), st.sampled_from([AT - 1, AT, AT + 1, AT - 30 * DAY]), moments())


def _maybe(dice: random.Random, *choices: Any) -> Any:
    return dice.choice([None, *choices])


def _transaction(dice: random.Random, late: int | None) -> Row:
    return {
        "amount": dice.choice([-1250, 0, 1, 999, 10_000, 123_456]), "order_id": _maybe(dice, "o1", "o2"),
        "channel": _maybe(dice, "web", "shop"),
        "category": _maybe(dice, "food", "toys", "books"),
        "quantity": _maybe(dice, 1.0, 2.5, 7.0), "discount": _maybe(dice, 0, 150),
        "is_return": _maybe(dice, False, False, True),
    }  # fmt: skip


def _contact(dice: random.Random, late: int | None) -> Row:
    return {
        "case_id": _maybe(dice, "c1", "c2", "c3"), "channel": _maybe(dice, "phone", "chat"),
        "topic": _maybe(dice, "bill", "return"),
        "agent_id": _maybe(dice, "a1", "a2"), "wait_seconds": _maybe(dice, 0.0, 12.25, 900.0, math.inf),
        "handle_seconds": _maybe(dice, 60.5, 61.5), "resolved_at": late, "is_complaint": _maybe(dice, True, False),
    }  # fmt: skip


def _said(dice: random.Random, late: int | None) -> Row:
    low, high = dice.choice([(None, None), (0.0, 100.0), (5.0, 5.0)])
    return {
        "kind": dice.choice(["nps", "csat", "ces", "review", "complaint", "mention"]),
        "author": _maybe(dice, "self", "other"),
        "score": _maybe(dice, -1.0, 0.0, 1.0, 3.0, 5.0, 6.0, 7.0, 10.0, 33.3), "score_min": low,
        "score_max": high,
        "higher_is_better": _maybe(dice, True, False),
    }  # fmt: skip


def _customer(dice: random.Random, late: int | None) -> Row:
    return {
        "since": late, "closed_at": _maybe(dice, AT - 50 * DAY, AT + DAY), "region": _maybe(dice, "north", "south"),
        "points": _maybe(dice, 1.5, -3.0), "is_member": _maybe(dice, True, False),
        "plan": _maybe(dice, "basic", "gold"),
        "plan__valid_from": _maybe(dice, AT - 1, AT, AT - 400 * DAY),
    }  # fmt: skip


def _contract(dice: random.Random, late: int | None) -> Row:
    return {
        "end": _maybe(dice, AT - DAY, AT + 10 * DAY), "plan": _maybe(dice, "basic", "gold"),
        "amount": dice.choice([999, 1999]),
        "ended_at": late, "ended_how": _maybe(dice, "cancel", "lapse"), "ended_reason": _maybe(dice, "too dear"),
    }  # fmt: skip


_FACTS: dict[str, Callable[[random.Random, int | None], Row]] = {
    "transactions": _transaction,
    "visits": lambda dice, late: {"channel": _maybe(dice, "web", "app"), "duration_seconds": _maybe(dice, 5.0, 0.333)},
    "contacts": _contact,
    "incidents": lambda dice, late: {"kind": dice.choice(KINDS), "severity": _maybe(dice, 1.0, 2.5)},
    "feedback": _said,
    "invitations": lambda dice, late: {"answered_at": late},
    "customers": _customer,
    "subscriptions": _contract,
}


def made_row(name: str, who: str, time: int, known: int, late: int | None, roll: int) -> Row:
    """One row of a table; all that isn't a moment follows from `roll`."""
    facts = _FACTS[name](random.Random(roll), late)
    if name == "customers":
        return {"customer_id": who, **facts}
    return {"customer_id": who, "start" if name == "subscriptions" else "time": time, "available_at": known, **facts}


@st.composite
def histories(draw: st.DrawFn, *, most_rows: int = 14) -> Rows:
    """Rows of every table; one of the customers has none, and there is a stranger."""
    made: Rows = {}
    delay = st.sampled_from([0, 0, 0, 1, DAY, 14 * DAY, 40 * DAY])
    who = st.sampled_from([*CUSTOMERS[:3], STRANGER])
    event = st.tuples(who, moments(), delay, late_moments(), st.integers(0, 999))
    for name in _FACTS:
        if name == "customers":
            rows = [(who, 0, 0, draw(late_moments()), draw(st.integers(0, 999))) for who in [*CUSTOMERS[1:], STRANGER]]
        else:
            rows = draw(st.lists(event, max_size=most_rows))
        made[name] = [made_row(name, who, time, time + late, clock, roll) for who, time, late, clock, roll in rows]
    return made


def a_busy_past(seed: int) -> Rows:
    """Many rows of every table for everybody, from two years before `AT` until after it, half of them on whole days."""
    dice = random.Random(seed)
    rows: Rows = {}
    for name in ("transactions", "visits", "contacts", "incidents", "feedback", "invitations", "subscriptions"):
        days = [dice.choice([dice.randrange(-100, 700), dice.uniform(-100, 700)]) for _ in range(dice.randrange(90))]
        moments = [AT - round(before * DAY) for before in days]
        late = [None if dice.random() < 0.5 else time + dice.randrange(40 * DAY) for time in moments]
        rows[name] = [
            made_row(
                name,
                dice.choice([*CUSTOMERS, STRANGER]),
                time,
                time + dice.choice([0, 0, DAY, 20 * DAY]),
                clock,
                dice.randrange(999),
            )
            for time, clock in zip(moments, late, strict=True)
        ]
    since = [AT - dice.randrange(-DAY, 900 * DAY) for _ in CUSTOMERS]
    rows["customers"] = [
        made_row("customers", who, 0, 0, joined, dice.randrange(999))
        for who, joined in zip(CUSTOMERS, since, strict=True)
    ]
    return rows


def tables_of(rows: Mapping[str, list[Row]]) -> dict[str, pa.Table]:
    """The rows as the canonical tables."""
    tables = {}
    for name, listed in rows.items():
        time = (
            {}
            if name == "customers"
            else {"start" if name == "subscriptions" else "time": _CLOCK, "available_at": _CLOCK}
        )
        schema = pa.schema({"customer_id": pa.string(), **time, **_TYPES[name]})
        columns = [
            pa.array([row[field.name] for row in listed], pa.int64() if field.type == _CLOCK else field.type)
            for field in schema
        ]
        tables[name] = pa.table(
            [column.cast(field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
        )
    return tables


def _column(facts: list[Any], kind: pa.DataType) -> pa.Array:
    """Moments are integers in rows and clocks in tables."""
    return pa.array(facts, pa.int64()).cast(kind) if kind == _CLOCK else pa.array(facts, kind)
