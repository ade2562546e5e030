"""The leak alarm: a single signal that tells the outcome too well is not a signal but the answer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import pandas as pd

from churn.models.gains import Floats
from churn.models.metrics import auroc
from churn.models.view import Signals, view_of
from churn.signals.recipes import Recipe

TOO_GOOD = 0.95
ENOUGH_ROWS = 20_000
_MORE = 0.03  # AUROC: what chance gives the best of a few undated columns beyond the best of many dated ones


def leaking_signals(aurocs: Mapping[str, float]) -> dict[str, float]:
    """Returns those of `signal_aurocs` that are above 0.95."""
    return {name: value for name, value in aurocs.items() if value > TOO_GOOD}


def undated_signals(aurocs: Mapping[str, float], recipes: Iterable[Recipe]) -> dict[str, float]:
    """Returns those made of undated columns of `customers` that tell more alone than every dated signal does.

    Such a column counts as true since ever: one that was filled in later (a status, a total, the start of her last
    contract) knows the future, and neither an AUROC below 0.95 nor a cut of the tables at a date shows it.
    """
    undated = {recipe.name for recipe in recipes if recipe.table == "profile"}
    most = max((value for name, value in aurocs.items() if name not in undated), default=0.5)
    return {name: value for name, value in aurocs.items() if name in undated and value > most + _MORE}


def signal_aurocs(features: Signals, *, has_left: Floats, categories: Collection[str] = ()) -> dict[str, float]:
    """Returns the AUROC of every signal alone, in the better direction, by name; none where there is one outcome only.

    A null counts as the lowest value in one look and as the highest in the other. The codes of `categories` have no
    order: each stands for the share of its own rows that leave. Of 40,000 rows or more an even sample is looked at.
    """
    features = view_of(features)
    step = max(1, len(features) // ENOUGH_ROWS)
    y = np.asarray(has_left, np.float64)[::step]
    found: dict[str, float] = {}
    if not 0 < y.sum() < len(y):
        return found
    for name in features.columns:
        values = features.column(name)[::step]
        if name in categories:
            values = pd.Series(y).groupby(values).transform("mean").to_numpy()
        looks = [
            auroc(y, np.nan_to_num(values, nan=missing, posinf=1e300, neginf=-1e300)) for missing in (-1e300, 1e300)
        ]
        found[name] = round(max(max(look, 1 - look) for look in looks), 4)
    return found
