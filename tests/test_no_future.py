"""No feature knows the future, other customers, the order of rows, the threads or the buckets: not by a bit."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from made_up import (
    AT,
    ATTRIBUTES,
    CUSTOMERS,
    DAY,
    KINDS,
    TIMEZONE,
    Row,
    Rows,
    a_busy_past,
    histories,
    made_row,
    tables_of,
)

from churn.signals import parts
from churn.signals.bucket import Asked, bucket_signals
from churn.signals.catalogue import recipes_for
from churn.signals.recipes import SIGNALS, Recipe
from churn.timeline.rhythm import Prior

LATE = {
    "contacts": ["resolved_at"], "invitations": ["answered_at"], "subscriptions": ["ended_at"],
    "customers": ["since", "closed_at", "plan__valid_from"],
}  # fmt: skip
LATE_WITH = {"customers": {"plan__valid_from": ["plan"]}, "subscriptions": {"ended_at": ["ended_how", "ended_reason"]}}
"""What is filled in together with a late clock, and is as unknown as the clock until then."""


def recipes(activity: str = "purchases") -> tuple[Recipe, ...]:
    seen: Rows = {}
    seen |= {
        name: [made_row(name, "x", 0, 0, None, roll) for roll in range(12)]
        for name in ("transactions", "visits", "contacts", "feedback", "invitations", "customers", "subscriptions")
    }
    seen["incidents"] = [{**made_row("incidents", "x", 0, 0, None, 0), "kind": kind} for kind in KINDS]
    return recipes_for(tables_of(seen), horizon_days=60, gap_days=3, attributes=ATTRIBUTES, activity=activity)


def signals_of(
    rows: Rows,
    asked: Sequence[Recipe],
    *,
    activity: str = "purchases",
    customers: Sequence[str] = CUSTOMERS,
    at: Sequence[int] = (AT,),
    threads: int = 1,
) -> pd.DataFrame:
    """The features of every customer at every cutoff, indexed by both."""
    who, when = np.repeat(np.array(customers), len(at)), np.tile(np.array(at), len(customers))
    what = Asked(tuple(asked), Prior(1.3, 41.0), 60, 3, TIMEZONE, activity, {})
    frame = bucket_signals(tables_of(rows), pa.table({"customer_id": who, "at": when}), what, threads=threads)
    return frame.set_index(pd.MultiIndex.from_product([customers, at]))


def assert_same_bits(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """NaN equals NaN here, and 0.0 isn't -0.0."""
    assert list(one.columns) == list(other.columns)
    changed = []
    for name in one.columns:
        pair = [
            frame[name].cat.codes.to_numpy() if frame[name].dtype == "category" else frame[name].to_numpy()
            for frame in (one, other)
        ]
        if pair[0].tobytes() != pair[1].tobytes():
            changed.append(name)
    assert not changed


def is_visible(name: str, row: Row) -> bool:
    if name == "customers":
        return True
    return bool(row["start" if name == "subscriptions" else "time"] < AT and row["available_at"] <= AT)


def with_another_future(rows: Rows, dice: random.Random) -> Rows:
    """The same past: rows that aren't visible at `AT` are dropped, others are added, what is filled in at or after `AT`
    is filled in otherwise, and all rows are shuffled."""
    other: Rows = {}
    for name, listed in rows.items():
        kept = [_filled_otherwise(name, row, dice) for row in listed if is_visible(name, row)]
        if name != "customers":
            kept += [_future_row(name, dice) for _ in range(dice.randrange(8))]
        dice.shuffle(kept)
        other[name] = kept
    return other


def _future_row(name: str, dice: random.Random) -> Row:
    who, late = dice.choice(CUSTOMERS), dice.choice([None, AT, AT + DAY, AT - DAY])
    time, known = dice.choice(
        [(AT, AT), (AT + DAY, AT + DAY), (AT - 1, AT + 1), (AT - 40 * DAY, AT + 9 * DAY), (AT - 900 * DAY, AT + 1)]
    )
    row = made_row(name, who, time, known, late, dice.randrange(999))
    return {**row, "kind": "never heard of"} if name == "incidents" and dice.random() < 0.5 else row


def _filled_otherwise(name: str, row: Row, dice: random.Random) -> Row:
    changed = dict(row)
    for column in LATE.get(name, []):
        if row[column] is None or row[column] >= AT:
            changed[column] = dice.choice([None, AT, AT + 1, AT + 30 * DAY])
            for together in LATE_WITH.get(name, {}).get(column, []):
                changed[together] = made_row(name, "x", 0, 0, None, dice.randrange(999))[together]
    return changed


PROPERTY = settings(
    max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)


@pytest.mark.parametrize("activity", ["purchases", "visits"])
@PROPERTY
@given(rows=histories(), dice=st.randoms(use_true_random=False))
def test_another_future_changes_no_feature_by_a_bit(activity: str, rows: Rows, dice: random.Random) -> None:
    asked = recipes(activity)
    now = signals_of(rows, asked, activity=activity)
    assert_same_bits(now, signals_of(with_another_future(rows, dice), asked, activity=activity))


@settings(parent=PROPERTY, max_examples=6)
@given(rows=histories(), dice=st.randoms(use_true_random=False))
def test_order_buckets_and_company_change_no_feature_by_a_bit(rows: Rows, dice: random.Random) -> None:
    asked, at = recipes(), [AT - 200 * DAY, AT]
    whole = signals_of(rows, asked, at=at)
    shuffled = {name: dice.sample(listed, len(listed)) for name, listed in rows.items()}
    assert_same_bits(whole, signals_of(shuffled, asked, at=at))
    for bucket in (CUSTOMERS[:1], CUSTOMERS[1:], CUSTOMERS[::-1]):
        split = signals_of(rows, asked, at=at, customers=bucket)
        assert_same_bits(whole.loc[list(bucket)], split)
    for code in range(len(whole)):
        who, when = whole.index[code]
        assert_same_bits(whole.iloc[[code]], signals_of(rows, asked, at=[when], customers=[who]))


def test_threads_change_no_feature_by_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, cutoffs = recipes(), range(AT - 700 * DAY, AT, DAY // 4)
    one = signals_of(a_busy_past(5), asked, at=cutoffs)
    monkeypatch.setattr(parts, "_LEAST_ROWS", 10)
    assert_same_bits(one, signals_of(a_busy_past(5), asked, at=cutoffs, threads=3))


def test_every_recipe_can_change_when_the_past_does() -> None:
    """Otherwise the properties above would hold of features that are always null."""
    asked = [recipe for recipe in recipes() if recipe.how != "season"]
    changed: set[str] = set()
    before = signals_of(a_busy_past(0), asked)
    for seed in range(1, 12):
        now = signals_of(a_busy_past(seed), asked)
        changed |= {name for name in now.columns if (now[name].astype(str) != before[name].astype(str)).any()}
        before = now
    assert {recipe.name for recipe in asked} - changed == set()


def test_an_event_counts_from_a_microsecond_after_it() -> None:
    """One microsecond before, exactly at and one after the cutoff: in, out, out."""
    asked = [
        recipe
        for recipe in recipes()
        if recipe.name in ("orders_count", "visits_count_30d", "contacts_unresolved_count_30d")
    ]
    for offset, expected in ((-1, 1.0), (0, 0.0), (1, 0.0)):
        time = AT + offset
        bought = {**made_row("transactions", "007", time, time, None, 0), "amount": 5, "is_return": None}
        rows = {"transactions": [bought], "visits": [made_row("visits", "007", time, time, None, 0)],
                "contacts": [made_row("contacts", "007", time, time, AT, 0)]}  # fmt: skip
        frame = signals_of(rows, asked, customers=["007"])
        assert frame.to_numpy().tolist() == [[expected] * 3]


def test_a_row_known_after_the_cutoff_is_invisible_even_if_it_happened_before() -> None:
    asked = [recipe for recipe in recipes() if recipe.name in ("orders_count", "gap_last", "active_days")]
    days = [(AT - 90 * DAY, 0), (AT - 50 * DAY, 50 * DAY + 1), (AT - 10 * DAY, 10 * DAY)]
    purchase = {"amount": 5, "is_return": None, "order_id": None}
    rows = {
        "transactions": [made_row("transactions", "007", time, time + late, None, 0) | purchase for time, late in days]
    }
    frame = signals_of(rows, asked, customers=["007"], at=[AT, AT + 1])
    assert frame[["orders_count", "active_days", "gap_last"]].to_numpy().tolist() == [[2, 2, 80], [3, 3, 40]]


def test_training_and_scoring_see_the_same() -> None:
    """The same customer and cutoff among other cutoffs (training) and alone with what was known then (scoring)."""
    rows = a_busy_past(3)
    asked = recipes()
    training = signals_of(rows, asked, at=[AT - 60 * DAY, AT - 30 * DAY, AT, AT + 60 * DAY])
    then = {name: [row for row in listed if is_visible(name, row)] for name, listed in rows.items()}
    scoring = signals_of(then, asked)
    assert_same_bits(training.loc[[(who, AT) for who in CUSTOMERS]], scoring)


def test_all_signals_but_text_have_recipes() -> None:
    assert {recipe.signal for recipe in recipes()} == set(SIGNALS) - {"text"}
