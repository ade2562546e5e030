"""Contributions: how much each feature, and each signal, moves one customer's raw margin."""

from __future__ import annotations

from collections.abc import Sequence

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from churn.models.boosting import raw_margin
from churn.models.calibration import Calibration, apply
from churn.models.ensemble import RHYTHM_FEATURE, ensemble_margin, rhythm_margin
from churn.models.factors import Factors
from churn.signals.recipes import SIGNALS, Recipe

Floats = npt.NDArray[np.float64]

BLOCK_ROWS = 16_384
"""Rows explained at a time: bounds the copies LightGBM makes."""

TOLERANCE = 1e-6
"""How far base value plus contributions may lie from the raw margin."""


def contributions(booster: lgb.Booster, features: pd.DataFrame) -> Floats:
    """Returns the exact Shapley values of the raw margin, one per feature, and in the last column the base value.

    Shape (rows, features + 1), in log odds before calibration; every row adds up to its raw margin. Path-dependent
    TreeSHAP (Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees").

    Args:
        features: the booster's features, in its order.

    Raises:
        RuntimeError: features that are not the booster's, or a row that does not add up: a fault of ours.
    """
    if list(features.columns) != booster.feature_name():
        # LightGBM matches by position: the values would still add up, and be about other features.
        raise RuntimeError("contributions: the features are not the booster's, in its order")
    values = np.empty((len(features), features.shape[1] + 1))
    for start in range(0, len(features), BLOCK_ROWS):
        block = features.iloc[start : start + BLOCK_ROWS]
        told = np.asarray(booster.predict(block, pred_contrib=True, num_iteration=-1), np.float64)
        _check_adds_up(told, raw_margin(booster, block))
        values[start : start + BLOCK_ROWS] = told
    return values


def explain(factors: Factors, features: pd.DataFrame) -> Floats:
    """Returns the contributions to the raw margin of the whole leave factor, trees and rhythm; as `contributions`.

    Members are combined on the margin, so their Shapley values add up: the rhythm is a game of one player, its own
    feature, whose value is its log odds less their mean in training.

    Raises:
        RuntimeError: a row that does not add up: a fault of ours.
    """
    names = factors.leave.feature_name()
    values = contributions(factors.leave, features[names])
    weight, mean = factors.rhythm.weight, factors.rhythm.mean
    if weight > 0:
        values *= 1 - weight
        values[:, names.index(RHYTHM_FEATURE)] += weight * (rhythm_margin(features, factors.rhythm) - mean)
        values[:, -1] += weight * mean
    _check_adds_up(values, ensemble_margin(factors.leave, features, factors.rhythm))
    return values


def of_signals(values: Floats, recipes: Sequence[Recipe]) -> pd.DataFrame:
    """Returns each signal's contribution: the sum of its features' Shapley values, base value left out.

    One row per customer and one column per signal present, in the order of `SIGNALS`; log odds. With the base value a
    row adds up to the raw margin. The sum is not the value of the game in which a signal's features move together,
    which may share what two signals do jointly in another way.

    Args:
        values: what `contributions` returns, shape (rows, features + 1).
        recipes: of the features, in their order.

    Raises:
        ValueError: another number of recipes than features, or a signal that is none.
    """
    if values.shape[1] != len(recipes) + 1:
        raise ValueError(f"{len(recipes)} recipes for {values.shape[1] - 1} features")
    strange = sorted({recipe.signal for recipe in recipes} - set(SIGNALS))
    if strange:
        raise ValueError(f"no signals: {', '.join(strange)}")
    present = [signal for signal in SIGNALS if any(recipe.signal == signal for recipe in recipes)]
    sums = pd.DataFrame(0.0, index=range(len(values)), columns=present)
    for column, recipe in enumerate(recipes):
        # One feature after the other: numpy's own sum may round a row differently alone than in a list.
        sums[recipe.signal] += values[:, column]
    return sums


def base_value(values: Floats) -> float:
    """Returns the raw margin the model gives to nobody in particular: the last column, the same in every row.

    Raises:
        ValueError: no rows.

    >>> base_value(np.array([[0.25, -0.5, -1.5]]))
    -1.5
    """
    if not len(values):
        raise ValueError("no rows, so no base value")
    return float(values[0, -1])


def points(margin: npt.ArrayLike, *, contribution: npt.ArrayLike, calibration: Calibration) -> Floats:
    """Returns how much of p_leave a contribution makes up: p minus p without it, in probability (0.05: 5 points).

    Shape as `margin` and `contribution` together. Not additive: the calibration curve is no straight line, so the
    points of several drivers do not add up to p. Show them under that label.

    >>> points([0.0], contribution=[0.0], calibration=Calibration("none")).tolist()
    [0.0]
    """
    with_it, part = np.asarray(margin, np.float64), np.asarray(contribution, np.float64)
    return np.asarray(apply(calibration, with_it) - apply(calibration, with_it - part))


def _check_adds_up(values: Floats, margin: Floats) -> None:
    gap = np.abs(values.sum(axis=1) - margin).max(initial=0.0)
    if not gap <= TOLERANCE:
        raise RuntimeError(f"contributions miss the raw margin by {gap:.3g}, more than {TOLERANCE:g}")
