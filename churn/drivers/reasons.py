"""Reasons: the signals that move one customer's risk most, each in a sentence with her own numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from churn.drivers.contributions import Contributions, Floats
from churn.drivers.phrases import Row, Rows, Wording
from churn.drivers.sentences import is_her_own, sentence, telling_absence
from churn.drivers.tellings import plain
from churn.signals.recipes import Recipe

BLOCK_ROWS = 32_768
"""Customers told of at a time: bounds the values held as Python objects."""


def reasons(
    features: pd.DataFrame, values: Contributions, recipes: Sequence[Recipe], *, currency: str, activity: str,
    horizon_days: int, owners: Mapping[str, str], top: int = 3, lowering: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """Returns driver_1, reason_1, owner_1 and so on to `top`: the signals that raise each customer's risk most.

    One row per customer in the order and with the index of `features`; fewer signals than `top` where fewer raise her
    risk, then None. A signal is a driver only where it has something of her own to say: a number, or an absence that
    tells (`telling_absence`); what is not known is no reason. Ties go to the signal that stands first in `SIGNALS`. A
    reason states facts as of the cutoff, never causes: of the features that carry the signal, the strongest whose
    sentence doesn't sound the other way.

    Args:
        features: columns by recipe name, as the model saw them (numbers, or categories with their labels).
        values: what `explain` returns for them.
        recipes: of the features, in the order of `values.by_feature`.
        owners: department by signal (`owners_of`); a signal without one has None.
        lowering: tell what lowers the risk instead.

    Raises:
        ValueError: features, values and recipes that don't belong together.
    """
    missing = [recipe.name for recipe in recipes if recipe.name not in features.columns]
    if missing or len(features) != len(values):
        raise ValueError(f"{len(features)} rows of features for {len(values)} of values; missing: {missing[:3]}")
    side = -1.0 if lowering else 1.0
    pushes, by_signal = side * values.by_feature, side * values.by_signal
    can_tell = _can_tell(features, pushes, recipes, list(by_signal.columns))
    chosen, is_chosen = _strongest(np.where(can_tell, by_signal.to_numpy(), 0.0), top)
    wording = Wording(currency, activity, horizon_days)
    signals = np.array([*by_signal.columns, None], object)
    drivers = signals[np.where(is_chosen, chosen, -1)]
    told = np.full(drivers.shape, None, object)
    for start in range(0, len(features), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        rows = Rows(features.iloc[block], wording=wording)
        for signal in by_signal.columns:
            is_own = np.array([recipe.signal == signal for recipe in recipes])
            own = [recipe for recipe in recipes if recipe.signal == signal]
            where, rank = np.nonzero(drivers[block] == signal)
            told[start + where, rank] = _told(rows, where, pushes[block][where][:, is_own], own, lowering=lowering)
    department = {signal: owners.get(signal) for signal in by_signal.columns}
    return _table(drivers, told, department, index=features.index)


def _can_tell(
    features: pd.DataFrame, pushes: Floats, recipes: Sequence[Recipe], signals: Sequence[str]
) -> npt.NDArray[np.bool_]:
    """Whether a signal has something to say of a customer: one of the features that push, or of all where none does
    alone, is known or tells by its absence. Shape (rows, signals)."""
    known = {name: column.notna().to_numpy() for name, column in features.items()}
    speaks = np.zeros((2, len(features), len(signals)), bool)
    pushing = np.zeros((len(features), len(signals)), bool)
    for place, recipe in enumerate(recipes):
        says = known[recipe.name] & is_her_own(recipe)
        told_by = telling_absence(recipe)
        if told_by:
            says = says | np.logical_or.reduce([known[name] for name in told_by if name in known] or [says])
        column, is_pushing = signals.index(recipe.signal), pushes[:, place] > 0
        pushing[:, column] |= is_pushing
        speaks[0, :, column] |= says
        speaks[1, :, column] |= says & is_pushing
    return np.asarray(np.where(pushing, speaks[1], speaks[0]))


def _strongest(by_signal: Floats, top: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """The columns of the `top` largest values of each row, and which of them are above 0; shape (rows, top) both."""
    order = np.argsort(-by_signal, axis=1, kind="stable")[:, :top]
    is_pushing = np.take_along_axis(by_signal, order, axis=1) > 0
    short = ((0, 0), (0, max(0, top - order.shape[1])))
    return np.pad(order, short), np.pad(is_pushing, short)


def _told(
    rows: Rows, where: npt.NDArray[np.intp], pushes: Floats, recipes: Sequence[Recipe], *, lowering: bool
) -> list[str]:
    """One sentence per customer at `where`, from the features of one signal; pushes of shape (customers, features).

    A signal may push although none of its features does alone: then the one that pushes the other way least speaks.
    """
    order = np.argsort(-pushes, axis=1, kind="stable")
    pushing = (pushes > 0).sum(axis=1).tolist()
    side = -1 if lowering else 1
    found = []
    for index, places, count in zip(where.tolist(), order.tolist(), pushing, strict=True):
        found.append(_sentence(rows.at(index), [recipes[place] for place in places[: count or None]], side))
    return found


def _sentence(row: Row, recipes: Sequence[Recipe], side: int) -> str:
    """The first sentence that doesn't lean away from `side`, else the first that does, else a weak one."""
    leaning = weak = ""
    for recipe in recipes:
        told = sentence(recipe, row)
        if told is None:
            continue
        if told.is_weak:
            weak = weak or told.text
        elif told.leaning * side >= 0:
            return told.text
        else:
            leaning = leaning or told.text
    return leaning or weak or _by_name(row, recipes)


def _by_name(row: Row, recipes: Sequence[Recipe]) -> str:
    """The plain name and value of the first feature that is known."""
    for recipe in recipes:
        value = row.number(recipe.name)
        if value is not None:
            return plain(recipe, row, value).text
    return ""


def _table(
    drivers: npt.NDArray[np.object_],
    told: npt.NDArray[np.object_],
    department: Mapping[str, str | None],
    *,
    index: pd.Index,
) -> pd.DataFrame:
    owners = np.array([[department.get(signal) for signal in row] for row in drivers], object).reshape(drivers.shape)
    kinds = {"driver": drivers, "reason": told, "owner": owners}
    columns = {
        f"{kind}_{rank + 1}": cells[:, rank] for kind, cells in kinds.items() for rank in range(drivers.shape[1])
    }
    return pd.DataFrame(
        {name: pd.Series(cells, index=index, dtype=object) for name, cells in columns.items()}, index=index
    )
