"""The interval of a slope: one step from the whole is where a fit of every draw would have come to."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from churn.models.calibration import fit_logistic
from churn.models.metrics import calibration_slope
from churn.models.slopes import line_of, slopes


def rows(size: int = 2_000, *, slope: float = 0.8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    margin = rng.normal(-1, 1.2, size)
    return margin, (rng.random(size) < expit(slope * margin)).astype(float), expit(margin)


def test_with_everybody_once_it_is_the_slope_itself() -> None:
    _, y, p = rows()
    assert slopes(line_of(y, p), np.ones((1, y.size)))[0] == pytest.approx(calibration_slope(y, p)[0])


def test_one_step_is_where_a_fit_of_each_draw_comes_to() -> None:
    margin, y, p = rows()
    rng = np.random.default_rng(1)
    drawn = np.stack([np.bincount(rng.integers(y.size, size=y.size), minlength=y.size) * 1.0 for _ in range(40)])
    fitted = np.array([fit_logistic((margin,), target=y, weight=weight)[0][0] for weight in drawn])
    quick = slopes(line_of(y, p), drawn)
    assert np.corrcoef(quick, fitted)[0, 1] > 0.99
    assert quick == pytest.approx(fitted, abs=0.02)
    assert quick.std() == pytest.approx(fitted.std(), rel=0.1)


def test_without_a_fit_there_is_no_slope_in_any_draw() -> None:
    y, p = np.array([0.0, 0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.4])
    assert np.isnan(slopes(line_of(y, p), np.ones((3, 4)))).all()
