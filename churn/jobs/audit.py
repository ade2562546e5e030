"""Audit: whether anything that training learnt from knows the future."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn.config import Config
from churn.errors import LeakError
from churn.jobs.common import signals_of, threads_of
from churn.jobs.material import Made
from churn.models.factors import TrainingRows
from churn.models.frame import learn_prior
from churn.models.known import prepare
from churn.models.leak import TOO_GOOD, leaking_signals, signal_aurocs
from churn.models.matrix import category_columns
from churn.tables.contract import CONTRACT, TIME
from churn.tables.upto import upto
from churn.timeline.cutoffs import Cutoff

MOST_ROWS = 500
STRONGEST = 5


def audit(
    config: Config, made: Made, taught: TrainingRows, *, first: Cutoff, is_whole: bool = True, allow_leak: bool = False
) -> dict[str, Any]:
    """Returns what the leak alarm found: the strongest signals alone, and the answer of the time travel.

    Time travel: everything after the first test cutoff is taken out of the tables, and the signals of up to 500 of its
    rows are computed again; each must come out the same to the last bit.

    Args:
        config: the project.
        made: what the training has made.
        taught: the rows it learns from before the first test cutoff.
        first: the first test cutoff.
        is_whole: whether the tables at hand hold everybody; of a sample the base can't be asked again.
        allow_leak: reports a leak where it would be refused.

    Raises:
        LeakError: one problem per signal that tells the outcome almost alone, or changes once the future is gone.
    """
    found = signal_aurocs(
        taught.features, has_left=taught.has_left.astype(float), categories=category_columns(made.recipes)
    )
    leaking = leaking_signals(found)
    travelled = _time_travel(config, made, first, is_whole=is_whole)
    problems = [
        f"signal {name} tells the outcome almost alone (AUROC {value:.3f}): it probably knows the future; "
        "remove its column from churn.toml, or give the moment it became known as available_at, or train with "
        "--allow-leak"
        for name, value in leaking.items()
    ]
    problems += [
        f"signal {name} at {first.label} changes when everything after that day is taken out of the tables: it knows "
        "the future; please report it, and meanwhile leave out its table, or train with --allow-leak"
        for name in travelled["changed"]
    ]
    if problems and not allow_leak:
        raise LeakError(problems)
    strongest = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:STRONGEST]
    return {"most": TOO_GOOD, "strongest": dict(strongest), "leaking": leaking, "time_travel": travelled}


def _time_travel(config: Config, made: Made, first: Cutoff, *, is_whole: bool) -> dict[str, Any]:
    """Signals of rows at the first test cutoff beside the same from tables that end there; hidden friction apart.

    What a customer never said is an estimate of the voice model, learnt before the first test cutoff.
    """
    material, at = made.material, first.at
    hidden = {recipe.name for recipe in made.hearing.recipes}
    recipes = [recipe for recipe in made.recipes if recipe.name not in hidden]
    names = [recipe.name for recipe in recipes]
    here = np.flatnonzero(material.frame["at"].to_numpy() == at)
    rows = here[:: max(1, -(-len(here) // MOST_ROWS))]
    told = {"cutoff": first.label, "rows": len(rows), "signals": len(names)}
    if not len(rows):
        return {**told, "changed": []}
    tables = material.known.tables
    everybody = prepare(_past(_unlabelled(tables), at), config=config, base=None if is_whole else material.known.base)
    base, prior = everybody.base, learn_prior(everybody, at)
    del everybody  # what everybody did is large, and of these few alone signals are computed
    ids = material.known.customers.take(pa.array(material.frame["customer"].to_numpy()[rows]))
    few = {name: table.filter(pc.is_in(table["customer_id"], value_set=ids)) for name, table in tables.items()}
    known = prepare(_past(few, at), config=config, base=base)
    frame = material.frame.iloc[rows].assign(customer=known.codes_of(ids))
    order = np.argsort(frame["customer"].to_numpy(), kind="stable")
    again = signals_of(
        known, frame.iloc[order], recipes, target=material.target, prior=prior, threads=threads_of(config)
    )
    once = material.features.iloc[rows[order]]
    changed = [name for name in names if not np.array_equal(once[name], again[name], equal_nan=True)]
    return {**told, "changed": changed}


def _past(tables: Mapping[str, pa.Table], at: int) -> dict[str, pa.Table]:
    """The tables as they were known at `at`."""
    return {name: _as_known(name, table, at) for name, table in upto(tables, at).items()}


def _unlabelled(tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """The tables without the labels and words of transactions and visits, which say nothing of who came when."""
    bulky = {
        name: [column.name for column in CONTRACT[name].columns if column.kind in ("category", "text")]
        for name in ("transactions", "visits")
    }
    return {
        name: table.select([column for column in table.column_names if column not in bulky.get(name, [])])
        for name, table in tables.items()
    }


def _as_known(name: str, table: pa.Table, at: int) -> pa.Table:
    """The table with what became known of its rows later (when a case was resolved) not yet filled in."""
    moment = pa.scalar(at, pa.int64()).cast(TIME)
    for column in CONTRACT[name].columns:
        if column.kind == "clock" and column.name in table.column_names and column.name != "available_at":
            place = table.column_names.index(column.name)
            values = table[column.name]
            told = pc.if_else(pc.less(values, moment), values, pa.scalar(None, values.type))
            table = table.set_column(place, column.name, told)
    return table
