"""From a raw margin (log odds) to a probability that can be believed: a calibration is a few numbers, not an object.

Fit it on the latest matured window (design 3.5): under time shift the window matters more than the method. Every
calibration is monotone, so it never reorders customers, but `isotonic` makes ties: rank on the raw margin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from churn.errors import BundleError
from churn.timeline.solving import solved

Floats = npt.NDArray[np.float64]
Method = Literal["none", "sigmoid", "isotonic", "beta"]
METHODS: tuple[Method, ...] = get_args(Method)
# Below this weight of either class a slope is mostly noise: only the level is learnt.
MIN_OF_A_CLASS = 50
SLOPE_BELIEVED, LEVEL_BELIEVED = 0.25, 0.5
"""How much of what the latest window says about slope and level is believed."""


@dataclass(frozen=True)
class Calibration:
    """A monotone map from raw margin to probability.

    Attributes:
        method: what was *fitted*, which may be less than what was asked for (see `fit_calibration`).
        parameters: `none`: empty. `sigmoid`: slope, intercept; p = expit(slope m + intercept). `beta`: a, b, c; p =
            expit(a ln s - b ln(1 - s) + c) with s = expit(m). `isotonic`: k rising margins, then their k probabilities;
            linear between.

    Raises:
        ValueError: an unknown method, the wrong number of parameters, one not finite, or a map that would fall.
    """

    method: Method
    parameters: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        problem = _problem(self.method, self.parameters)
        if problem:
            raise ValueError(f"calibration {self.method!r}: {problem}")

    def to_json(self) -> dict[str, object]:
        """Returns the calibration as a plain dict for the bundle."""
        return {"method": self.method, "parameters": list(self.parameters)}


def calibration_from_json(content: object) -> Calibration:
    """Returns the calibration that `Calibration.to_json` wrote.

    Raises:
        BundleError: anything but such a dict.

    >>> calibration_from_json(Calibration("sigmoid", (0.9, -0.2)).to_json())
    Calibration(method='sigmoid', parameters=(0.9, -0.2))
    """
    if not isinstance(content, dict) or set(content) != {"method", "parameters"}:
        raise BundleError("calibration: expected exactly method and parameters. Train the bundle again.")
    parameters = content["parameters"]
    if not isinstance(parameters, list) or not all(type(value) in (int, float) for value in parameters):
        raise BundleError("calibration: parameters must be a list of numbers. Train the bundle again.")
    try:
        return Calibration(method=content["method"], parameters=tuple(float(value) for value in parameters))
    except (ValueError, OverflowError) as error:
        raise BundleError(f"{error}. Train the bundle again.") from error


def fit_calibration(
    raw_margin: npt.ArrayLike, *, y: npt.ArrayLike, method: Method, weight: npt.ArrayLike | None = None
) -> Calibration:
    """Returns the calibration that makes the margins match the outcomes; the same numbers for any order of the rows.

    Where either class weighs less than 50, or the fitted slope would not rise, only the level is learnt: `sigmoid` with
    slope 1. Targets are smoothed as in Platt 1999, so no probability reaches 0 or 1.

    Args:
        raw_margin: log odds of the uncalibrated model, shape (n,).
        y: 1 for the customers who left, 0 for the others, shape (n,).
        method: `sigmoid` (Platt 1999), `beta` (Kull, Silva Filho, Flach 2017), `isotonic` (Zadrozny, Elkan 2002),
            `none`.
        weight: at least 0, shape (n,); default 1.

    Raises:
        ValueError: unknown method, lengths that differ, a margin that is not finite, y not 0 or 1, negative weight.
    """
    if method not in METHODS:
        raise ValueError(f"calibration {method!r}: expected one of {', '.join(METHODS)}")
    margin, outcome, weights = _checked(raw_margin, y, weight)
    if method == "none" or not weights.sum() > 0:
        return Calibration("none")
    target = _smoothed_target(outcome, weights)
    leavers = float(weights[outcome == 1].sum())
    if min(leavers, float(weights.sum()) - leavers) < MIN_OF_A_CLASS:
        return _level_only(margin, target, weights)
    if method == "isotonic":
        return _isotonic(margin, outcome, weights)
    columns = (margin,) if method == "sigmoid" else _beta_columns(margin)
    slopes, intercept = fit_logistic(columns, target=target, weight=weights, is_rising=True)
    if not max(slopes) > 0:
        return _level_only(margin, target, weights)
    return Calibration(method, (*slopes, intercept))


def fit_cautiously(raw_margin: npt.ArrayLike, *, y: npt.ArrayLike) -> Calibration:
    """Returns a sigmoid calibration that believes its rows only in part: a quarter of their slope, half of their level.

    The latest matured window is one draw of a season, and its judge saw less than the final model: its rounds were even
    chosen on these rows. So the slope hardly moves, and of the level that is missing one half is added
    (docs/decisions/004-calibration-halfway.md has the figures). The slope turns about the mean margin of the rows:
    about 0, the steep slope that chance gives to margins that hardly differ would carry the level away.

    Raises:
        ValueError: as `fit_calibration`.

    >>> fit_cautiously([-1.0, 0.0] * 200, y=[0, 0, 0, 1] * 100).method
    'sigmoid'
    """
    fitted = fit_calibration(raw_margin, y=y, method="sigmoid")
    if fitted.method != "sigmoid":
        return fitted
    margin, outcome, weights = _checked(raw_margin, y, None)
    slope = 1 + SLOPE_BELIEVED * (fitted.parameters[0] - 1)
    kept = (1 - slope) * float(margin.mean())
    level = _level_only(slope * margin + kept, _smoothed_target(outcome, weights), weights).parameters[1]
    return Calibration("sigmoid", (slope, kept + LEVEL_BELIEVED * level))


def apply(calibration: Calibration, raw_margin: npt.ArrayLike) -> Floats:
    """Returns the calibrated probabilities, shape as `raw_margin`; NaN stays NaN.

    >>> apply(Calibration("none"), [0.0]).tolist()
    [0.5]
    """
    margin = np.asarray(raw_margin, dtype=np.float64)
    parameters = calibration.parameters
    probability: Floats
    if calibration.method == "isotonic":
        half = len(parameters) // 2
        # Of a single corner np.interp makes a constant, for NaN too.
        probability = np.where(np.isnan(margin), np.nan, np.interp(margin, parameters[:half], parameters[half:]))
        return probability
    if calibration.method == "sigmoid":
        margin = parameters[0] * margin + parameters[1]
    elif calibration.method == "beta":
        rising, falling = _beta_columns(margin)
        margin = parameters[0] * rising + parameters[1] * falling + parameters[2]
    probability = expit(margin)
    return probability


def fit_logistic(
    columns: Sequence[Floats], *, target: Floats, weight: Floats, is_rising: bool = False
) -> tuple[tuple[float, ...], float]:
    """Returns (slopes, intercept) of the unpenalised logistic regression of `target` on the columns.

    scikit-learn's has neither targets between 0 and 1 nor a bound on the slopes. Sums are numpy's own, not BLAS's, so
    the result does not depend on the number of threads. The caller makes sure that a finite fit exists.

    Args:
        columns: k features of shape (n,).
        target: probabilities to meet, 0 to 1, shape (n,).
        weight: at least 0, shape (n,).
        is_rising: keeps every slope at or above 0.
    """
    centres = [float(np.average(column, weights=weight)) for column in columns]
    scales = [
        float(np.sqrt(np.average(np.square(c - m), weights=weight))) or 1.0
        for c, m in zip(columns, centres, strict=True)
    ]
    scaled = [(c - m) / s for c, m, s in zip(columns, centres, scales, strict=True)]
    total = float(weight.sum())

    def loss(parameters: Floats) -> tuple[float, Floats]:
        margin = parameters[-1] + sum(
            (b * column for b, column in zip(parameters, scaled, strict=False)), np.zeros(target.size)
        )
        value = float((weight * (np.logaddexp(0, margin) - target * margin)).sum()) / total
        residual = weight * (expit(margin) - target)
        slopes = [float((residual * column).sum()) / total for column in scaled]
        return value, np.array([*slopes, float(residual.sum()) / total])

    start = np.zeros(len(scaled) + 1)
    bounds = [(0.0, None) if is_rising else (None, None)] * len(scaled) + [(None, None)]
    options = {"maxiter": 1000, "ftol": 1e-15, "gtol": 1e-10}
    fitted = solved(loss, start, bounds=bounds, options=options).x
    slopes = tuple(float(b) / s for b, s in zip(fitted, scales, strict=False))
    return slopes, float(fitted[-1]) - sum(b * m for b, m in zip(slopes, centres, strict=True))


def _problem(method: str, parameters: tuple[float, ...]) -> str | None:
    """Returns what is wrong with the parameters, or None."""
    expected = {"none": 0, "sigmoid": 2, "beta": 3}
    if method not in METHODS:
        return f"expected one of {', '.join(METHODS)}"
    if not np.isfinite(parameters).all():
        return "a parameter is not finite"
    if method == "isotonic":
        half = len(parameters) // 2
        margins, levels = parameters[:half], parameters[half:]
        if not half or len(levels) != half or (np.diff(margins) <= 0).any() or (np.diff(levels) < 0).any():
            return "expected k rising margins and k probabilities that do not fall"
        return None if levels[0] >= 0 and levels[-1] <= 1 else "a probability lies outside 0 to 1"
    if len(parameters) != expected[method]:
        return f"expected {expected[method]} parameters, got {len(parameters)}"
    slopes = parameters[:-1]
    return "its slope must be above 0" if slopes and not (min(slopes) >= 0 and max(slopes) > 0) else None


def _checked(
    raw_margin: npt.ArrayLike, y: npt.ArrayLike, weight: npt.ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    """Returns margin, outcome and weight sorted by value, so that sums are the same bytes for any order of the rows."""
    margin, outcome = np.asarray(raw_margin, dtype=np.float64), np.asarray(y, dtype=np.float64)
    weights = np.ones(margin.size) if weight is None else np.asarray(weight, dtype=np.float64)
    if margin.ndim != 1 or margin.shape != outcome.shape or margin.shape != weights.shape:
        raise ValueError(f"margin, y and weight have shapes {margin.shape}, {outcome.shape}, {weights.shape}")
    if not np.isfinite(margin).all():
        raise ValueError("a raw margin is not finite")
    if not np.isin(outcome, (0.0, 1.0)).all():
        raise ValueError("y must hold only 0 and 1")
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError("a weight is negative or not finite")
    order = np.lexsort((weights, outcome, margin))
    return margin[order], outcome[order], weights[order]


def _smoothed_target(outcome: Floats, weights: Floats) -> Floats:
    """Returns Platt's targets: (n1 + 1) / (n1 + 2) for a leaver, 1 / (n0 + 2) for a stayer."""
    leavers = float(weights[outcome == 1].sum())
    stayers = float(weights[outcome == 0].sum())
    return np.where(outcome == 1, (leavers + 1) / (leavers + 2), 1 / (stayers + 2))


def _level_only(margin: Floats, target: Floats, weights: Floats) -> Calibration:
    """Returns the shift of all margins that makes their mean probability meet the mean target."""
    mean = float(np.average(target, weights=weights))
    level = float(np.log(mean) - np.log1p(-mean))

    def surplus(shift: float) -> float:
        return float((weights * (expit(margin + shift) - target)).sum())

    # The answer lies between the shifts that would bring the highest and the lowest margin to the mean.
    shift = brentq(surplus, level - float(margin.max()) - 1, level - float(margin.min()) + 1, xtol=1e-12)
    return Calibration("sigmoid", (1.0, float(shift)))


def _isotonic(margin: Floats, outcome: Floats, weights: Floats) -> Calibration:
    """Returns the isotonic fit at its corners, kept off 0 and 1 as far as Platt's targets are."""
    leavers, stayers = float(weights[outcome == 1].sum()), float(weights[outcome == 0].sum())
    fitted = IsotonicRegression().fit(margin, outcome, sample_weight=weights)
    levels = np.clip(fitted.y_thresholds_, 1 / (stayers + 2), (leavers + 1) / (leavers + 2))
    return Calibration("isotonic", (*map(float, fitted.X_thresholds_), *map(float, levels)))


def _beta_columns(margin: Floats) -> tuple[Floats, Floats]:
    """Returns ln s and -ln(1 - s) for s = expit(margin), without overflow; both rise with the margin."""
    rest = np.log1p(np.exp(-np.abs(margin)))
    return np.minimum(margin, 0.0) - rest, np.maximum(margin, 0.0) + rest
