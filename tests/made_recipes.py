"""Made-up recipes: everything the catalogue can give, and features as the model sees them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import numpy as np
import pandas as pd
import pyarrow as pa

from churn.signals import recipes_for
from churn.signals.experience import LONG_HORIZON_DAYS, incident_recipes
from churn.signals.hidden import hidden_recipes
from churn.signals.recipes import Recipe
from churn.tables.contract import CONTRACT

Given = Mapping[str, float | str]
HORIZON_DAYS = 60


def full_tables() -> dict[str, pa.Table]:
    """Every table with every column, and no more rows than the catalogue needs to know kinds and labels."""
    tables = {
        name: pa.table({column.name: pa.array([None], column.arrow_type) for column in contract.columns})
        for name, contract in CONTRACT.items()
    }
    # A label is kept when five customers have it.
    many = [f"C{number}" for number in range(5)]
    said = {"customer_id": many * 2, "kind": ["nps"] * 10, "author": ["self"] * 5 + ["other"] * 5, "score": [1.0] * 10}
    gone_wrong = {
        "customer_id": many * 2, "kind": ["late_delivery"] * 5 + ["<b>ärger</b>"] * 5, "severity": [1.0, 2.0] * 5,
    }  # fmt: skip
    profile = {
        "customer_id": many,
        "region": ["north"] * 5,
        "age": [41.0] * 5,
        "is_member": [True] * 5,
        "since": pa.array([None] * 5, pa.timestamp("us", tz="UTC")),
    }
    subscriptions = tables["subscriptions"]
    contracts = {column: pa.nulls(5, subscriptions[column].type) for column in subscriptions.column_names} | {
        "customer_id": many,
        "plan": ["basic"] * 5,
    }
    return tables | {
        "feedback": pa.table(said),
        "incidents": pa.table(gone_wrong),
        "customers": pa.table(profile),
        "subscriptions": pa.table(contracts),
    }


def every_recipe(*, activity: str = "purchases", without: tuple[str, ...] = ()) -> tuple[Recipe, ...]:
    tables = {name: table for name, table in full_tables().items() if name not in without}
    attributes = ("region", "age", "is_member")
    found = recipes_for(tables, horizon_days=HORIZON_DAYS, attributes=attributes, activity=activity)
    slow = incident_recipes(tables, horizon_days=LONG_HORIZON_DAYS) if "incidents" in tables else []
    return (*found, *(recipe for recipe in slow if recipe not in found), *hidden_recipes(tables))


ALL = every_recipe()
BY_NAME = {
    recipe.name: recipe for recipe in chain(every_recipe(activity="visits"), every_recipe(without=("visits",)), ALL)
}


def features_of(rows: list[Given], recipes: tuple[Recipe, ...] = ALL) -> pd.DataFrame:
    """Features as the model sees them: float32, categories with their frozen labels, null where a row says nothing."""
    columns = {}
    for recipe in recipes:
        cells = [row.get(recipe.name, np.nan) for row in rows]
        columns[recipe.name] = pd.Categorical(cells, recipe.labels) if recipe.labels else np.array(cells, np.float32)
    return pd.DataFrame(columns)
