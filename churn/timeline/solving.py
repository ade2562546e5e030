"""Solving for a few unknowns: the minimum of a smooth function, on one BLAS thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import OptimizeResult, minimize
from threadpoolctl import ThreadpoolController

Floats = npt.NDArray[np.float64]


def solved(
    loss: Callable[[Floats], tuple[float, Floats]], start: npt.ArrayLike, *,
    bounds: Sequence[tuple[float | None, float | None]], options: Mapping[str, float],
) -> OptimizeResult:  # fmt: skip
    """Returns scipy's answer: the unknowns `x` at which `loss` is least (`fun`), found by L-BFGS-B.

    BLAS's threads cost several times what they compute for a few unknowns (four for a calibration, eight for MBG/NBD),
    and the last bits would depend on how many they are.

    Args:
        loss: value and gradient.
        start: where the search begins, shape (unknowns,).
        bounds: of each unknown.
        options: of L-BFGS-B.

    >>> solved(lambda x: (float((x**2).sum()), 2 * x), [3.0], bounds=[(1.0, None)], options={}).x
    array([1.])
    """
    with on_one_thread():
        return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=dict(options))


def on_one_thread() -> AbstractContextManager[Any]:
    """Returns a context in which BLAS computes on one thread: last bits depend on how many there are."""
    context: AbstractContextManager[Any] = _pools().limit(limits=1)
    return context


@cache
def _pools() -> Any:
    """The thread pools of the process: to look for them takes longer than a fit."""
    return ThreadpoolController()
