"""Contributions: how much each signal, and each feature, moves one customer's raw margin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from churn.drivers.games import Game, game_of
from churn.drivers.shapley import shapley_values
from churn.drivers.trees import UnknownTrees, read_trees
from churn.models.calibration import Calibration, apply
from churn.models.ensemble import RHYTHM_FEATURE, Members, ensemble_margin, rhythm_margin
from churn.models.factors import Factors
from churn.models.linear import add_effect
from churn.signals.recipes import SIGNALS, Recipe

Floats = npt.NDArray[np.float64]

BLOCK_ROWS = 65_536
"""Rows explained at a time: bounds the copies."""

TOLERANCE = 1e-6
"""How far base value plus contributions may lie from the raw margin."""


@dataclass(frozen=True, slots=True)
class Contributions:
    """What moves the raw margin of some customers, in log odds before calibration; one row per customer.

    Attributes:
        by_signal: drivers: the Shapley values of the game whose players are signals, a column per signal present, in
            the order of `SIGNALS`. With `base` a row adds up to the raw margin.
        by_feature: those of the game whose players are features (TreeSHAP), shape (rows, features), which add up alike.
        base: the raw margin the model gives to nobody in particular.
    """

    by_signal: pd.DataFrame
    by_feature: Floats
    base: float

    def __len__(self) -> int:
        return len(self.by_feature)

    @property
    def margin(self) -> Floats:
        """The raw margins, shape (rows,)."""
        return _total(self.by_signal.to_numpy()) + self.base


def explain(
    factors: Factors, features: pd.DataFrame, recipes: Sequence[Recipe], *, threads: int = 1,
    margin: Floats | None = None,
) -> Contributions:  # fmt: skip
    """Returns what moves the raw margin of the leave factor: trees, rhythm and linear member.

    The members of the ensemble are combined on the margin, so their Shapley values add up: the rhythm is a game of one
    player, its own feature, whose value is its log odds less their mean in training; the linear member is a sum of
    features, each with its own effect. The trees' games are path-dependent, see `docs/explanations.md`; trees that are
    not understood are left to LightGBM, which refuses linear ones, and then a signal has the sum of its features.

    Args:
        features: numbers, found by name; categories as codes (`matrix_of`).
        recipes: of the model's features, in its order.
        threads: how many share the rows; the bytes are the same.
        margin: the raw margins, where they are known.

    Raises:
        ValueError: recipes that are not of the model's features, a signal that is none, features that are no numbers.
        RuntimeError: a row that does not add up: a fault of ours.
    """
    names = [recipe.name for recipe in recipes]
    if names != factors.leave.feature_name():
        # LightGBM matches by position: the values would still add up, and be about other features.
        raise ValueError("contributions: the recipes are not those of the model's features, in its order")
    present = _present(recipes)
    members, weight = factors.members, factors.members.weight_of_trees
    trees = _of_trees(factors.leave, features[names], recipes, threads=threads)
    by_signal, by_feature = weight * trees[0], weight * trees[1]
    base = weight * trees[2] + members.rhythm.weight * members.rhythm.mean
    base += members.linear.weight * members.linear.intercept
    for place, values in _of_members(members, features, names):
        by_signal[:, present.index(recipes[place].signal)] += values
        by_feature[:, place] += values
    if len(features):
        expected = ensemble_margin(factors.leave, features, members) if margin is None else margin
        for values in (by_signal, by_feature):
            _check_adds_up(values, base, expected)
    return Contributions(pd.DataFrame(by_signal, columns=present), by_feature, base)


def _of_members(members: Members, features: pd.DataFrame, names: Sequence[str]) -> Iterator[tuple[int, Floats]]:
    """Yields what single features add to the margin beside the trees: the feature's place, and a value per row."""
    rhythm, linear = members.rhythm, members.linear
    if rhythm.weight > 0:
        yield names.index(RHYTHM_FEATURE), rhythm.weight * (rhythm_margin(features, rhythm) - rhythm.mean)
    for curve in linear.curves if linear.weight > 0 else ():
        values = np.zeros(len(features))
        add_effect(features, curve, weight=linear.weight, out=values)
        yield names.index(curve.name), values


def _of_trees(
    booster: lgb.Booster, features: pd.DataFrame, recipes: Sequence[Recipe], *, threads: int
) -> tuple[Floats, Floats, float]:
    """The contributions of signals and of features to the margin of the trees, and its base value."""
    strange = [
        name for name, kind in features.dtypes.items() if not isinstance(kind, np.dtype) or kind.kind not in "fiub"
    ]
    if strange:
        raise ValueError(f"contributions: no numbers in {', '.join(map(str, strange[:3]))}; categories go in as codes")
    games = _games(booster, tuple(recipe.signal for recipe in recipes))
    if games is None:
        told = _by_lightgbm(booster, features)
        return of_signals(told[:, :-1], recipes).to_numpy(), told[:, :-1], float(told[:1, -1].sum())
    signals, single = games
    by_signal = np.empty((len(features), signals.players))
    by_feature = np.empty(features.shape, order="F")  # the linear member adds to it column by column
    for rows in _blocks(len(features), BLOCK_ROWS * threads):
        numbers = features.iloc[rows].to_numpy()
        by_signal[rows] = shapley_values(signals, numbers, threads=threads)
        by_feature[rows] = shapley_values(single, numbers, threads=threads)
    return by_signal, by_feature, signals.base


@lru_cache(maxsize=4)
def _games(booster: lgb.Booster, signals: tuple[str, ...]) -> tuple[Game, Game] | None:
    """The games with signals and with features as players, laid out once per model; None if its trees are unknown."""
    present = [signal for signal in SIGNALS if signal in signals]
    try:
        trees = read_trees(booster.model_to_string(num_iteration=-1))
        return game_of(trees, [present.index(signal) for signal in signals]), game_of(trees, range(len(signals)))
    except UnknownTrees:
        return None


def _by_lightgbm(booster: lgb.Booster, features: pd.DataFrame) -> Floats:
    values = np.empty((len(features), features.shape[1] + 1))
    for rows in _blocks(len(features), BLOCK_ROWS):
        values[rows] = booster.predict(features.iloc[rows], pred_contrib=True, num_iteration=-1)
    return values


def _blocks(rows: int, size: int) -> Iterator[slice]:
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def of_signals(values: Floats, recipes: Sequence[Recipe]) -> pd.DataFrame:
    """Returns the sum of the values of each signal's features.

    One row per customer and one column per signal present, in the order of `SIGNALS`. Of Shapley values it is not the
    value of the game in which a signal's features move together, which shares otherwise what two signals do jointly.

    Args:
        values: per feature, shape (rows, features).
        recipes: of the features, in their order.

    Raises:
        ValueError: another number of recipes than features, or a signal that is none.
    """
    if values.shape[1] != len(recipes):
        raise ValueError(f"{len(recipes)} recipes for {values.shape[1]} features")
    sums = pd.DataFrame(0.0, index=range(len(values)), columns=_present(recipes))
    for column, recipe in enumerate(recipes):
        # One feature after the other: numpy's own sum may round a row differently alone than in a list.
        sums[recipe.signal] += values[:, column]
    return sums


def _present(recipes: Sequence[Recipe]) -> list[str]:
    strange = sorted({recipe.signal for recipe in recipes} - set(SIGNALS))
    if strange:
        raise ValueError(f"no signals: {', '.join(strange)}")
    return [signal for signal in SIGNALS if any(recipe.signal == signal for recipe in recipes)]


def points(margin: npt.ArrayLike, *, contribution: npt.ArrayLike, calibration: Calibration) -> Floats:
    """Returns how much of p_leave a contribution makes up: p minus p without it, in probability (0.05: 5 points).

    Shape as `margin` and `contribution` together. Not additive: the calibration curve is no straight line, so the
    points of several drivers do not add up to p. Show them under that label.

    >>> points([0.0], contribution=[0.0], calibration=Calibration("none")).tolist()
    [0.0]
    """
    with_it, part = np.asarray(margin, np.float64), np.asarray(contribution, np.float64)
    return np.asarray(apply(calibration, with_it) - apply(calibration, with_it - part))


def _total(values: Floats) -> Floats:
    """The sum of each row, one column after the other: the same alone as in a list."""
    total = np.zeros(len(values))
    for column in values.T:
        total += column
    return total


def _check_adds_up(values: Floats, base: float, margin: Floats) -> None:
    gap = np.abs(_total(values) + base - margin).max()
    if not gap <= TOLERANCE:
        raise RuntimeError(f"contributions miss the raw margin by {gap:.3g}, more than {TOLERANCE:g}")
