"""Drift: whether the customers who are scored, and their tables, still look as they did in training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from churn.drivers.tellings import plain_name
from churn.jobs.survey import Survey
from churn.models.bundle import Bundle
from churn.models.reference import Bins, Int64, compared, stability
from churn.signals.recipes import SIGNALS, Recipe
from churn.tables.findings import plural
from churn.tables.history import DAY
from churn.timeline.cutoffs import Cutoff, moment_of

UNLIKE = 0.25
"""The population stability index from which a model should be doubted."""
LEAST = 500
"""Customers below whom the index says more of chance than of change."""
_CALM_DAYS = 7
"""Tables may always be so old: a week's end, or a load that is late."""
_AGEING = frozenset({"season", "days_since_first", "days_since"})
"""What is another number at every cutoff though nothing has changed: the season, and ages in a young company."""
_PLURALS = ("visits", "incidents")


def drift_warnings(bundle: Bundle, counts: Sequence[Sequence[Sequence[int]]]) -> list[str]:
    """Returns a warning for each signal whose features are spread otherwise than in training: the mean of their
    population stability indices, and the one that differs most. One feature alone may turn with the season.

    Args:
        bundle: the model with its reference.
        counts: of every bucket, of every feature, how many customers are in each of its bins.
    """
    summed = [np.sum([np.asarray(one) for one in each], axis=0) for each in zip(*filter(None, counts), strict=True)]
    if not summed or int(summed[0].sum()) < LEAST or bundle.reference.rows < LEAST:
        return []
    warnings = []
    for signal in SIGNALS:
        found = [
            (stability(bundle.reference.bins[recipe.name], each), recipe, each)
            for recipe, each in zip(bundle.recipes, summed, strict=True)
            if recipe.signal == signal and recipe.how not in _AGEING
        ]
        index = float(np.mean([one[0] for one in found])) if found else 0.0
        if index > UNLIKE:
            _, recipe, each = max(found, key=lambda one: one[0])
            looks = f"{signal.capitalize()} look{'' if signal in _PLURALS else 's'} different from training"
            change = _change(recipe, bundle.reference.bins[recipe.name], each)
            fix = "check that the table is complete; if it is, train again: churn train"
            warnings.append(f"{looks} (PSI {index:.2f}): {change}; {fix}")
    return warnings


def table_warnings(bundle: Bundle, surveyed: Survey, *, cutoff: Cutoff) -> list[str]:
    """Returns a warning for each table that had rows in training and has none, or whose newest row is too old."""
    warnings = []
    for name, pause in sorted(bundle.reference.pause_days.items()):
        if name not in surveyed.newest:
            continue
        newest = surveyed.newest[name]
        if newest is None:
            warnings.append(f"{name} has no row before {cutoff.label}, in training it had: is the table complete?")
            continue
        age = (cutoff.at - newest) // DAY
        if age > max(2 * pause, _CALM_DAYS):
            warnings.append(
                f"{name}: the newest row is of {moment_of(newest):%Y-%m-%d}, {age:,} days before {cutoff.label}; in "
                f"training it never paused longer than {plural(pause, 'day')}: is the table up to date?"
            )
    return warnings


def _change(recipe: Recipe, bins: Bins, counts: Int64) -> str:
    """The bin that has gained or lost most, in words."""
    then, now = compared(bins, counts)
    place = int(np.argmax(np.abs(now - then)))
    whom = "the customers" if len(now) == len(bins.shares) else "those of whom it is known"
    told = f"{now[place]:.0%} of {whom}, {then[place]:.0%} in training"
    return f"{plain_name(recipe)} is {_range(recipe, bins, place)} for {told}"


def _range(recipe: Recipe, bins: Bins, place: int) -> str:
    edges = bins.edges
    if place == len(bins.shares) - 1:
        return "not known"
    if recipe.labels is not None:
        return recipe.labels[place]
    if not edges:
        return "known"
    if place == 0:
        return f"{edges[0]:.3g}" + (" or less" if edges[0] else "")
    if place == len(edges):
        return f"above {edges[-1]:.3g}"
    return f"between {edges[place - 1]:.3g} and {edges[place]:.3g}"
