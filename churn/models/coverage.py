"""Coverage of signals over the training cutoffs: a window that reaches back before its table begins is null for
everybody, and trees would learn from the null what the date is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from churn.models.view import Signals, view_of

MOST_LOST = 1 / 3
"""At most this share of the training cutoffs is given up for the sake of longer windows."""


def covered(
    features: Signals, at: npt.NDArray[np.int64], *, most_lost: float = MOST_LOST
) -> tuple[list[str], npt.NDArray[np.bool_]]:
    """Returns the columns to learn from and which rows to learn on: no column is null for a whole cutoff of those rows.

    A column that is null at more than `most_lost` of the cutoffs is left out; so are the cutoffs at which another is
    null. Both are decided on the rows given, so give those of the training period only.

    >>> import pandas as pd
    >>> features = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [np.nan, np.nan, np.nan, 1.0]})
    >>> covered(features, np.array([10, 20, 30, 40]))[0]
    ['a']
    """
    moments, place = np.unique(at, return_inverse=True)
    features = view_of(features)
    is_told = np.zeros((len(moments), len(features.columns)), bool)
    for number, name in enumerate(features.columns):
        is_told[place[~np.isnan(features.column(name))], number] = True
    keeps = (~is_told).mean(axis=0) <= most_lost if len(moments) else np.zeros(len(features.columns), bool)
    columns = [name for name, is_kept in zip(features.columns, keeps, strict=True) if is_kept]
    if not columns:
        return features.columns, np.ones(len(at), bool)
    is_covered = np.logical_and.reduce(is_told[:, keeps], axis=1)
    return columns, np.asarray(is_covered[place], bool)
