"""Finished: what a file of scores was made of, so that nothing is done twice."""

from __future__ import annotations

from churn import __version__
from churn.config import Config
from churn.jobs.order import Order
from churn.jobs.outputs import Destination
from churn.models.bundle import Bundle
from churn.tables.buckets import sources_key
from churn.tables.workfolder import key_of

_ASIDE = {"directory", "source", "engine", "tracking", "output", "models"}
"""Settings that change no score."""


def job_key(config: Config, model_id: str, order: Order, destination: Destination) -> str | None:
    """Returns a name of all that a file of scores depends on; None where a source does not tell when it changes."""
    sources = sources_key(config)
    if sources is None:
        return None
    settings = config.model_dump(mode="json", exclude=_ASIDE)
    customers = None if order.customers is None else list(order.customers)
    told = [
        __version__, settings, sources, model_id, order.at, customers, str(order.explained), destination.has_bom,
    ]  # fmt: skip
    return key_of(told)


def signals_key(bundle: Bundle) -> str:
    """Returns a name of the signals of a model: of all their recipes with the labels they were frozen with."""
    return key_of([recipe.as_dict() for recipe in bundle.recipes])
