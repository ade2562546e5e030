"""A recipe's name says how it is made; recipes follow the tables; windows that are not covered are null."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from made_up import ATTRIBUTES, made_row, tables_of

from churn.signals.catalogue import recipes_for
from churn.signals.derived import DERIVED_HOWS
from churn.signals.experience import LONG_HORIZON_DAYS
from churn.signals.hidden import hidden_recipes
from churn.signals.local import compute_signals
from churn.signals.offered import LEAST_CUSTOMERS, MOST_KINDS, kinds_of, labels_of
from churn.signals.plan import BASE_HOWS
from churn.signals.recipes import OPERATIONS, SIGNALS, Recipe, base_recipes, recipe_of
from churn.signals.streams import streams
from churn.tables.history import DAY
from churn.timeline.rhythm import Prior

TABLES = (
    "transactions", "visits", "contacts", "incidents", "feedback", "invitations", "customers", "subscriptions",
)  # fmt: skip
ALL = tables_of({name: [made_row(name, "a", 5 * DAY, 5 * DAY, None, roll) for roll in range(12)] for name in TABLES})
SIGNALS_PAGE = Path(__file__).parents[1] / "docs" / "signals.md"


def everything(activity: str = "purchases", *, horizon_days: int = 60) -> tuple[Recipe, ...]:
    return recipes_for(ALL, horizon_days=horizon_days, attributes=ATTRIBUTES, activity=activity)


def names(recipes: tuple[Recipe, ...]) -> set[str]:
    return {recipe.name for recipe in recipes}


def frame(
    tables: dict[str, pa.Table], recipes: tuple[Recipe, ...], *, at: int, covers_from: dict[str, int | None]
) -> pd.DataFrame:
    made = streams(tables, customers=pa.array(["a"]), timezone="UTC", activity="purchases")
    return compute_signals(
        made, recipes, customer=np.array([0]), at=np.array([at]), prior=Prior(1.0, 30.0), horizon_days=60, gap_days=0,
        covers_from=covers_from,
    )  # fmt: skip


@pytest.mark.parametrize("activity", ["purchases", "visits"])
@pytest.mark.parametrize("horizon_days", [7, 14, 28, 60, 91, 182, 365])
def test_names_are_unique_and_fit_lightgbm(activity: str, horizon_days: int) -> None:
    recipes = everything(activity, horizon_days=horizon_days)
    assert len(names(recipes)) == len(recipes)
    assert all(re.fullmatch(r"\w+", name) for name in names(recipes))


def test_columns_are_neither_few_nor_too_many() -> None:
    only = {"transactions": ALL["transactions"]}
    assert 55 <= len(recipes_for(only, horizon_days=60)) <= 80
    assert 120 <= len(everything()) <= 180


def test_well_known_names_are_there() -> None:
    wanted = {
        "spend_sum_90d", "orders_count_30d", "days_since_last_purchase", "contacts_unresolved_count_180d", "gap_mean",
        "spend_trend_90d", "drift_spend", "drift_visits", "drift_mentions", "p_no_visit_by_rhythm", "active_days_60d",
        "active_days_before_60d", "invitations_unanswered_streak", "incidents_unfollowed_count_90d", "never_asked",
        "about_score_mean_365d", "own_gap", "days_since_last_voice", "profile_region",
    }  # fmt: skip
    assert wanted - names(everything()) == set()


def test_the_page_of_signals_explains_every_column_and_nothing_else() -> None:
    written = re.findall(r"^\| `([^`]+)`", SIGNALS_PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    patterns = [re.sub(r"<\w+>", r"\\w+", re.sub(r"<w>", r"\\d+", name)) for name in written]
    recipes = (
        *everything(),
        *everything("visits"),
        *everything(horizon_days=182),
        *recipes_for({"transactions": ALL["transactions"]}, horizon_days=60),
        *hidden_recipes(ALL),
    )
    unexplained = {recipe.name for recipe in recipes if not any(re.fullmatch(one, recipe.name) for one in patterns)}
    assert not unexplained
    idle = {
        name
        for name, one in zip(written, patterns, strict=True)
        if not any(re.fullmatch(one, name) for name in names(recipes))
    }
    assert not idle


def test_with_a_long_horizon_what_went_wrong_counts_over_the_whole_history_too() -> None:
    many = [f"C{number}" for number in range(LEAST_CUSTOMERS)]
    table = pa.table({"customer_id": many, "kind": ["late"] * len(many), "severity": [1.0] * len(many)})
    given = {"transactions": ALL["transactions"], "incidents": table}
    short, long = (names(recipes_for(given, horizon_days=days)) for days in (LONG_HORIZON_DAYS - 1, LONG_HORIZON_DAYS))
    added = {name for name in long - short if not name.startswith("active_days")}
    assert added == {"incidents_count", "incidents_late_count", "severity_sum"}


def test_only_known_signals_and_hows_are_used() -> None:
    for recipe in (*everything(), *base_recipes(everything())):
        assert recipe.signal in SIGNALS
        assert recipe.how in (DERIVED_HOWS if recipe.is_derived else BASE_HOWS)
        assert recipe.is_operational == (recipe.signal in OPERATIONS)


@pytest.mark.parametrize("table", ["visits", "contacts", "incidents", "feedback", "invitations", "subscriptions"])
def test_an_absent_table_switches_its_recipes_off(table: str) -> None:
    fewer = {name: rows for name, rows in ALL.items() if name != table}
    recipes = recipes_for(fewer, horizon_days=60, attributes=ATTRIBUTES)
    assert len(recipes) < len(everything())
    assert not any(base.table == table for base in base_recipes(recipes))


def test_where_only_others_speak_nobodys_silence_is_told() -> None:
    others = pa.array(["other"] * ALL["feedback"].num_rows)
    feedback = ALL["feedback"].set_column(ALL["feedback"].column_names.index("author"), "author", others)
    told = {name: ALL[name] for name in ("transactions", "incidents")} | {"feedback": feedback}
    recipes = recipes_for(told, horizon_days=60)
    assert {recipe.signal for recipe in recipes} >= {"feedback", "incidents"}
    assert not [recipe.name for recipe in recipes if recipe.signal == "silence"]
    assert all(base.table == "about" for base in base_recipes(recipes) if base.signal == "feedback")


@pytest.mark.parametrize("column", ["category", "channel", "quantity", "discount"])
def test_an_absent_column_switches_its_recipes_off(column: str) -> None:
    fewer = {"transactions": ALL["transactions"].drop_columns([column])}
    recipes = recipes_for(fewer, horizon_days=60)
    of_it = {"category": ("category", "categories")}.get(column, (column,))
    assert not any(base.value in of_it for base in base_recipes(recipes))
    assert len(recipes) < len(recipes_for({"transactions": ALL["transactions"]}, horizon_days=60))


def test_treatments_and_unlisted_attributes_are_no_signals() -> None:
    recipes = recipes_for(ALL, horizon_days=60, attributes=["region"])
    assert {recipe.name for recipe in recipes if recipe.how == "state"} == {"profile_region", "contract_plan"}
    assert not any("treat" in name for name in names(everything()))


def test_recipes_survive_json() -> None:
    told = json.dumps([recipe.as_dict() for recipe in everything()])
    assert tuple(recipe_of(one) for one in json.loads(told)) == everything()


def test_kinds_are_the_most_frequent_and_their_names_differ() -> None:
    said = ["Late!", "late", "晚点", *[f"k{n}" for n in range(30)]] * 5 + ["late"]
    kinds = kinds_of(pa.table({"customer_id": [str(row) for row in range(len(said))], "kind": said}))
    assert len(kinds) == MOST_KINDS
    assert kinds["late"] == "Late!"
    assert kinds["late_2"] == "late"


@pytest.mark.parametrize(("customers", "is_kept"), [(LEAST_CUSTOMERS, True), (LEAST_CUSTOMERS - 1, False)])
def test_a_label_of_few_customers_is_never_kept(customers: int, is_kept: bool) -> None:
    ids = [f"c{row % customers}" for row in range(60)]
    table = pa.table({"customer_id": ids, "kind": ["anna@example.org"] * 60, "region": ["Anna's street 1"] * 60})
    assert bool(kinds_of(table)) == is_kept
    assert bool(labels_of(table, "region")) == is_kept


def test_attributes_of_alike_names_have_names_of_their_own() -> None:
    table = ALL["customers"].append_column("Points", ALL["customers"]["points"])
    found = recipes_for({**ALL, "customers": table}, horizon_days=60, attributes=["points", "Points"])
    assert {recipe.name: recipe.value for recipe in found if recipe.name.startswith("profile_points")} == {
        "profile_points": "points", "profile_points_2": "Points",
    }  # fmt: skip


@pytest.mark.parametrize(("covers_from", "is_null"), [(10 * DAY, False), (10 * DAY + 1, True), (None, False)])
def test_a_window_that_begins_before_its_table_is_null(covers_from: int | None, is_null: bool) -> None:
    recipes = tuple(recipe for recipe in everything() if recipe.name in ("orders_count_90d", "orders_count"))
    found = frame(ALL, recipes, at=100 * DAY, covers_from={"transactions": covers_from})
    assert bool(found["orders_count_90d"].isna().iloc[0]) == is_null
    assert not found["orders_count"].isna().iloc[0]


def test_a_stream_or_column_that_has_gone_is_null() -> None:
    gone = {name: rows for name, rows in ALL.items() if name != "contacts"}
    gone["transactions"] = gone["transactions"].drop_columns(["category"])
    recipes = everything()
    found = frame(gone, recipes, at=100 * DAY, covers_from={})
    for name in ("contacts_count_30d", "categories_distinct_90d", "agents_per_case_180d"):
        assert found[name].isna().all()
    assert not found["orders_count"].isna().any()


def test_a_label_not_seen_in_training_is_null_and_labels_keep_their_codes() -> None:
    recipe = Recipe("profile", "profile_region", "state", "profile", "region", labels=("east", "north"))
    for region, expected in (("north", 1), ("south", -1), (None, -1)):
        customer = {**made_row("customers", "a", 0, 0, None, 0), "region": region}
        tables = {**ALL, "customers": tables_of({"customers": [customer]})["customers"]}
        column = frame(tables, (recipe,), at=DAY, covers_from={})["profile_region"]
        assert list(column.cat.categories) == ["east", "north"]
        assert column.cat.codes.tolist() == [expected]


def test_a_kind_that_nobody_in_the_bucket_met_is_zero() -> None:
    recipe = Recipe("incidents", "incidents_fire", "count", "incidents", "kind=fire", 180)
    assert frame(ALL, (recipe,), at=100 * DAY, covers_from={})["incidents_fire_count_180d"].tolist() == [0.0]


def test_a_ratio_of_nothing_is_null() -> None:
    recipes = tuple(recipe for recipe in everything() if recipe.name == "spend_trend_90d")
    empty = {"transactions": ALL["transactions"].slice(0, 0)}
    assert frame(empty, recipes, at=100 * DAY, covers_from={})["spend_trend_90d"].isna().all()
