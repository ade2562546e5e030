"""Signals: what was known of a customer at a cutoff."""

from churn.signals.catalogue import recipes_for
from churn.signals.local import compute_signals
from churn.signals.recipes import OPERATIONS, SIGNALS, Recipe, recipe_of
from churn.signals.streams import Stream, streams

__all__ = ["OPERATIONS", "SIGNALS", "Recipe", "Stream", "compute_signals", "recipe_of", "recipes_for", "streams"]
