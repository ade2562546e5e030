"""How sure a calibration slope is: the slope of resampled customers, one Newton step from the slope of all.

A logistic regression per draw would cost more than all other metrics together. One step from the fit of the whole data
has the same distribution up to terms that vanish with the number of customers (Davidson and MacKinnon 1999).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from churn.models.gains import Floats
from churn.models.metrics import EPSILON, calibration_slope


@dataclass(frozen=True, slots=True)
class Line:
    """The logistic regression of the outcome on the log odds of a model, and what each row adds to its next step.

    Attributes:
        slope: of all rows; NaN where there is no finite fit.
        parts: score by intercept and by slope, then curvature (both intercept, mixed, both slope), shape (5, rows).
    """

    slope: float
    parts: Floats


def line_of(y: Floats, p: Floats) -> Line:
    """Returns the regression of the rows."""
    slope, intercept = calibration_slope(y, p)
    margin = logit(np.clip(p, EPSILON, 1 - EPSILON))
    if not np.isfinite(slope):
        return Line(slope, np.zeros((5, len(y))))
    fitted = expit(slope * margin + intercept)
    rest, spread = y - fitted, fitted * (1 - fitted)
    return Line(slope, np.stack([rest, rest * margin, spread, spread * margin, spread * margin**2]))


def slopes(line: Line, weight: Floats) -> Floats:
    """Returns the slope for each weighting (weightings, rows) of the rows, shape (weightings,); NaN without a fit."""
    # The fit stops a hair from where it would end: the step of everybody once is taken off, and they keep its slope.
    moved: Floats = line.slope + (_step(line, weight) - _step(line, np.ones((1, weight.shape[1]))))
    return moved


def _step(line: Line, weight: Floats) -> Floats:
    # Summed by numpy, not by BLAS: the same bytes for any number of threads.
    level, tilt, both, mixed, steep = ((weight * part).sum(axis=1) for part in line.parts)
    curvature = both * steep - mixed**2
    step = np.full(weight.shape[0], np.nan)
    np.divide(both * tilt - mixed * level, curvature, out=step, where=curvature > 0)
    return step
