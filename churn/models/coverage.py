"""Coverage of signals over the training cutoffs: a window that reaches back before its table begins is null for
everybody, and trees would learn from the null what the date is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

MOST_LOST = 1 / 3
"""At most this share of the training cutoffs is given up for the sake of longer windows."""


def covered(
    features: pd.DataFrame, at: npt.NDArray[np.int64], *, most_lost: float = MOST_LOST
) -> tuple[list[str], npt.NDArray[np.bool_]]:
    """Returns the columns to learn from and which rows to learn on: no column is null for a whole cutoff of those rows.

    A column that is null at more than `most_lost` of the cutoffs is left out; so are the cutoffs at which another is
    null. Both are decided on the rows given, so give those of the training period only.

    >>> features = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [np.nan, np.nan, np.nan, 1.0]})
    >>> covered(features, np.array([10, 20, 30, 40]))[0]
    ['a']
    """
    moments, place = np.unique(at, return_inverse=True)
    is_told = np.zeros((len(moments), features.shape[1]), bool)
    for number in range(features.shape[1]):
        told = place[features.iloc[:, number].notna().to_numpy()]
        is_told[told, number] = True
    keeps = (~is_told).mean(axis=0) <= most_lost if len(moments) else np.zeros(features.shape[1], bool)
    columns = [str(name) for name in features.columns[keeps]]
    if not columns:
        return [str(name) for name in features.columns], np.ones(len(at), bool)
    is_covered = np.logical_and.reduce(is_told[:, keeps], axis=1)
    return columns, np.asarray(is_covered[place], bool)
