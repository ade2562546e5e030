"""Coverage of signals: which columns the training rows tell anything in.

A window that reaches back before its table begins is null for everybody at that cutoff. The model learns within
cutoffs alone (`models.levels`), so it cannot read the date off such a null, and the column tells what it has to say
from the cutoffs that cover it.
"""

from __future__ import annotations

import numpy as np

from churn.models.view import Signals, view_of


def told_columns(features: Signals) -> list[str]:
    """Returns the columns that are told for at least one row, in their order; all where none is told.

    Give the rows of the training period only: what is told later is not known yet.

    >>> import pandas as pd
    >>> features = pd.DataFrame({"a": [1.0, 2.0], "b": [np.nan, 1.0], "c": [np.nan, np.nan]})
    >>> told_columns(features)
    ['a', 'b']
    """
    view = view_of(features)
    told = [name for name in view.columns if not np.isnan(view.column(name)).all()]
    return told or view.columns
