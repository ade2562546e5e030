"""Catalogue: the recipes that a set of tables allows."""

from __future__ import annotations

from collections.abc import Sequence

from churn.signals import experience, operations
from churn.signals.offered import Tables, has
from churn.signals.recipes import Recipe


def recipes_for(
    tables: Tables, *, horizon_days: int, gap_days: int = 0, attributes: Sequence[str] = (), activity: str = "purchases"
) -> tuple[Recipe, ...]:
    """Returns the recipes that the tables allow; those of absent tables and columns are left out.

    Kinds of incident and labels of categories are frozen from the rows given, so give the training period only.

    Args:
        attributes: columns of `customers` that may be features (never sensitive ones).
        activity: what "coming" means, `purchases` or `visits`.

    Raises:
        ValueError: when two recipes would have the same name.
    """
    has_visits = "visits" in tables
    has_channel = has(tables, "visits" if has_visits else "transactions", "channel")
    found = (
        *operations.spend_recipes(tables, activity),
        *operations.visit_recipes(tables, activity),
        *operations.habit_recipes(has_visits=has_visits, has_channel=has_channel),
        *operations.rhythm_recipes(horizon_days, gap_days, activity),
        *experience.service_recipes(tables),
        *experience.incident_recipes(tables, horizon_days=horizon_days),
        *experience.feedback_recipes(tables),
        *experience.invitation_recipes(tables),
        *experience.word_recipes(tables),
        *experience.unfollowed_recipes(tables),
        *operations.profile_recipes(tables, attributes),
        *operations.contract_recipes(tables),
    )
    names = [recipe.name for recipe in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two recipes have the same name: {', '.join(twice)}")
    return found
