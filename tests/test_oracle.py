"""The walk back agrees with the oracle on every recipe: exactly for whole numbers, to 1e-9 for the rest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from made_up import AT, ATTRIBUTES, CUSTOMERS, DAY, KINDS, TIMEZONE, Rows, a_busy_past, histories, made_row, tables_of
from oracle import Oracle

from churn.signals.catalogue import recipes_for
from churn.signals.experience import LONG_HORIZON_DAYS, incident_recipes
from churn.signals.local import compute_signals, exact_signals
from churn.signals.plan import BASE_HOWS
from churn.signals.recipes import Recipe, base_recipes
from churn.signals.streams import streams
from churn.timeline.rhythm import Prior

PRIOR = Prior(1.3, 41.0, tuple(0.7 + month / 20 for month in range(12)))
EVERY_KIND = tables_of({
    "transactions": [], "visits": [], "contacts": [], "invitations": [], "subscriptions": [
        made_row("subscriptions", "x", 0, 0, None, roll) for roll in range(8)],
    "customers": [made_row("customers", "x", 0, 0, None, roll) for roll in range(8)],
    "incidents": [{**made_row("incidents", "x", 0, 0, None, 0), "kind": kind} for kind in KINDS],
    "feedback": [{**made_row("feedback", "x", 0, 0, None, 0), "author": author} for author in ("self", "other")],
})  # fmt: skip
"""Tables from which all recipes are frozen, as training would."""


def frozen(activity: str, *, gap_days: int = 3) -> tuple[Recipe, ...]:
    found = recipes_for(EVERY_KIND, horizon_days=60, gap_days=gap_days, attributes=ATTRIBUTES, activity=activity)
    slow = incident_recipes(EVERY_KIND, horizon_days=LONG_HORIZON_DAYS)
    return (*found, *(recipe for recipe in slow if recipe not in found))


def signals_of(
    rows: Rows, recipes: Sequence[Recipe], activity: str, cutoffs: Sequence[int], covers_from: Mapping[str, int | None]
) -> dict[str, np.ndarray]:
    made = streams(tables_of(rows), customers=pa.array(CUSTOMERS), timezone=TIMEZONE, activity=activity)
    customer, at = np.repeat(np.arange(len(CUSTOMERS)), len(cutoffs)), np.tile(np.array(cutoffs), len(CUSTOMERS))
    return exact_signals(
        made, recipes, customer=customer, at=at, prior=PRIOR, horizon_days=60, gap_days=3, covers_from=covers_from
    )


EXACT = frozenset({"count", "distinct", "most", "days", "streak", "once", "gap_last", "gap_max", "stopped", "is_zero"})


def differs(recipe: Recipe, ours: float, expected: Any) -> bool:
    if recipe.labels is not None:
        # A label never seen in training is code -1 before it is delivered as null.
        return (None if math.isnan(ours) or ours < 0 else recipe.labels[int(ours)]) != expected
    if expected is None or math.isnan(ours):
        return (expected is None) != math.isnan(ours)
    if recipe.how in EXACT:
        return ours != expected
    return not math.isclose(ours, expected, rel_tol=1e-9, abs_tol=1e-9)


PARTLY_COVERED: dict[str, int | None] = {"transactions": AT - 200 * DAY, "contacts": AT - 90 * DAY, "feedback": None}


def disagreements(rows: Rows, activity: str, covers_from: Mapping[str, int | None]) -> list[object]:
    """Every feature, and every part of one, that isn't what the oracle says."""
    delivered = frozen(activity)
    recipes = tuple({recipe.name: recipe for recipe in (*base_recipes(delivered), *delivered)}.values())
    cutoffs = [AT, AT + 1, AT - 45 * DAY]
    ours = signals_of(rows, recipes, activity, cutoffs, covers_from)
    wrong: list[object] = []
    for place, (who, at) in enumerate((who, at) for who in CUSTOMERS for at in cutoffs):
        oracle = Oracle(
            rows,
            who,
            at,
            timezone=TIMEZONE,
            activity=activity,
            prior=PRIOR,
            horizon_days=60,
            gap_days=3,
            covers_from=covers_from,
        )
        for recipe in recipes:
            expected = oracle.feature(recipe)
            if differs(recipe, ours[recipe.name][place], expected):
                wrong.append((recipe.name, who, at - AT, ours[recipe.name][place], expected))
    return wrong


@pytest.mark.parametrize("activity", ["purchases", "visits"])
@settings(
    max_examples=50, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)
@given(rows=histories())
def test_every_recipe_and_its_parts_agree_with_the_oracle(activity: str, rows: Rows) -> None:
    assert not disagreements(rows, activity, {})


@pytest.mark.parametrize("activity", ["purchases", "visits"])
def test_every_recipe_and_its_parts_agree_on_busy_pasts(activity: str) -> None:
    for seed in range(30):
        assert not disagreements(a_busy_past(seed), activity, PARTLY_COVERED if seed % 3 == 0 else {})


def test_the_oracle_is_asked_for_every_way_of_walking_back() -> None:
    asked = {recipe.how for activity in ("purchases", "visits") for recipe in base_recipes(frozen(activity))}
    assert asked == set(BASE_HOWS)


def test_what_is_delivered_is_the_exact_feature_rounded_once() -> None:
    rows: Rows = {}
    for name in set(EVERY_KIND) - {"customers"}:
        times = [AT - roll * DAY for roll in range(40)]
        rows[name] = [made_row(name, CUSTOMERS[at % 3], time, time, AT - DAY, at) for at, time in enumerate(times)]
    rows["customers"] = [made_row("customers", who, 0, 0, AT - 90 * DAY, 5) for who in CUSTOMERS]
    recipes = frozen("purchases")
    exact = signals_of(rows, recipes, "purchases", [AT], {})
    made = streams(tables_of(rows), customers=pa.array(CUSTOMERS), timezone=TIMEZONE, activity="purchases")
    frame = compute_signals(
        made,
        recipes,
        customer=np.arange(4),
        at=np.full(4, AT),
        prior=PRIOR,
        horizon_days=60,
        gap_days=3,
        covers_from={},
    )
    assert list(frame.columns) == [recipe.name for recipe in recipes]
    for recipe in recipes:
        if recipe.labels is None:
            assert frame[recipe.name].dtype == np.float32
            np.testing.assert_array_equal(frame[recipe.name], exact[recipe.name].astype(np.float32))
        else:
            assert tuple(frame[recipe.name].cat.categories) == recipe.labels


def test_more_than_65536_customers_with_odd_ids_agree_with_the_oracle() -> None:
    """A packed (customer, time) key once overflowed silently above customer 65,535."""
    customers = sorted(f"{'  ' if n % 3 else '00'}{n:x}é" for n in range(70_001))
    chosen = [0, 1, 255, 32_768, 65_534, 65_535, 65_536, 65_537, 70_000]
    dice = np.random.default_rng(5)
    time = AT - dice.integers(-5 * DAY, 700 * DAY, 200_000)
    who = np.concatenate([dice.integers(0, 70_001, 200_000 - 40 * len(chosen)), np.repeat(chosen, 40)])
    amount = dice.integers(-300, 9_000, 200_000)
    clock = pa.array(time).cast(pa.timestamp("us", tz="UTC"))
    table = pa.table(
        {"customer_id": pa.array(customers).take(pa.array(who)), "time": clock, "available_at": clock, "amount": amount}
    )
    recipes = recipes_for({"transactions": table}, horizon_days=60)
    made = streams({"transactions": table}, customers=pa.array(customers), timezone="UTC", activity="purchases")
    asked = {"prior": PRIOR, "horizon_days": 60, "gap_days": 0, "covers_from": {"transactions": AT - 650 * DAY}}
    ours = exact_signals(made, recipes, customer=np.arange(70_001), at=np.full(70_001, AT), **asked)  # type: ignore[arg-type]
    empty = {"order_id": None, "is_return": None, "quantity": None, "discount": None, "category": None, "channel": None}
    few = table.filter(pa.array(np.isin(who, chosen)))
    few = few.set_column(1, "time", few["time"].cast(pa.int64())).set_column(
        2, "available_at", few["time"].cast(pa.int64())
    )
    rows: Rows = {"transactions": [row | empty for row in few.to_pylist()]}
    for code in chosen:
        oracle = Oracle(rows, customers[code], AT, timezone="UTC", activity="purchases", **asked)  # type: ignore[arg-type]
        wrong = [recipe.name for recipe in recipes if differs(recipe, ours[recipe.name][code], oracle.feature(recipe))]
        assert not wrong
