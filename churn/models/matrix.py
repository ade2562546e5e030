"""The matrix: signals as the float32 numbers that trees take, categories as their codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from churn.errors import BundleError
from churn.signals.recipes import Recipe


def matrix_of(features: pd.DataFrame, recipes: Sequence[Recipe]) -> pd.DataFrame:
    """Returns the columns of the recipes by name and in their order, float32; a category's code is its frozen position.

    Null and unseen categories are NaN. Columns that are float32 already are passed on without a copy.

    Raises:
        BundleError: a column is no number, or a category with other labels than the recipe's.
    """
    columns: dict[str, object] = {}
    for recipe in recipes:
        column = features[recipe.name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            if recipe.labels is None or tuple(column.cat.categories) != recipe.labels:
                raise BundleError(f"{recipe.name}: its labels are not those the model was trained with")
            codes = column.cat.codes.to_numpy()
            columns[recipe.name] = np.where(codes < 0, np.nan, codes).astype(np.float32)
        elif recipe.is_category and column.dtype != np.float32:
            # Bare codes of another making would be taken for ours: only what this function made passes twice.
            raise BundleError(
                f"{recipe.name}: expected a categorical with the labels of the model, found {column.dtype}"
            )
        elif column.dtype.kind not in "fiub":
            raise BundleError(f"{recipe.name}: expected numbers, found {column.dtype}")
        else:
            columns[recipe.name] = column.to_numpy(np.float32, copy=False)
    return pd.DataFrame(columns, index=features.index, copy=False)


def category_columns(recipes: Sequence[Recipe]) -> list[str]:
    """Returns the names of the features that are codes of categories."""
    return [recipe.name for recipe in recipes if recipe.is_category]
