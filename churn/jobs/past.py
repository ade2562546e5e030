"""The past: signals of some rows as tables tell them that end at their cutoff, whatever came after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from churn.config import Config
from churn.jobs.learning import Lesson
from churn.jobs.material import recipes_at
from churn.jobs.schedule import Schedule
from churn.jobs.signals_of import signals_of
from churn.models.frame import learn_prior, why_not
from churn.models.known import prepare
from churn.tables.contract import CONTRACT, TIME
from churn.tables.history import Int64
from churn.tables.upto import upto
from churn.timeline.cutoffs import Cutoff
from churn.timeline.population import ELIGIBLE

MOST_ROWS = 500


@dataclass(frozen=True, slots=True)
class Past:
    """Signals of some customers at a cutoff, from tables in which nothing comes after it.

    Attributes:
        cutoff: the cutoff.
        customers: their codes in the lesson, rising.
        signals: of each, a column per recipe, float32.
    """

    cutoff: Cutoff
    customers: Int64
    signals: pd.DataFrame


def past_of(config: Config, lesson: Lesson, schedule: Schedule) -> Past:
    """Returns the past of up to 500 customers who are eligible at the first test cutoff; hidden friction apart.

    What a customer never said is an estimate of the voice model, learnt before the first test cutoff. Of a sample the
    base of everybody cannot be asked again: it is that of the lesson, as what was known at the cutoff tells it. Call it
    before the signals of all rows are there: it holds the tables once more for a while.
    """
    known, target, first = lesson.known, schedule.target, schedule.tests[0]
    recipes = recipes_at(config, known, schedule)
    eligible = np.flatnonzero(why_not(known, target, first, prior=learn_prior(known, first.at)) == ELIGIBLE)
    few = eligible[:: max(1, -(-len(eligible) // MOST_ROWS))]
    if not len(few):
        return Past(first, few, pd.DataFrame(columns=[recipe.name for recipe in recipes], dtype=np.float32))
    everybody = prepare(
        _as_known_at(_unlabelled(known.tables), first.at), config=config,
        base=known.base.upto(first.at) if lesson.sample else None,
    )  # fmt: skip
    base, prior = everybody.base, learn_prior(everybody, first.at)
    del everybody  # what everybody did is large, and of these few alone signals are computed
    ids = known.customers.take(pa.array(few))
    theirs = {name: table.filter(pc.is_in(table["customer_id"], value_set=ids)) for name, table in known.tables.items()}
    then = prepare(_as_known_at(theirs, first.at), config=config, base=base)
    frame = pd.DataFrame({"customer": then.codes_of(ids), "at": np.full(len(few), first.at)})
    return Past(
        first, few, signals_of(then, frame, recipes, target=target, prior=prior, threads=config.engine.thread_count)
    )


def _as_known_at(tables: Mapping[str, pa.Table], at: int) -> dict[str, pa.Table]:
    """The tables as they were known at `at`."""
    return {name: _not_yet_told(name, table, at) for name, table in upto(tables, at).items()}


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


def _not_yet_told(name: str, table: pa.Table, at: int) -> pa.Table:
    """The table with what became known of its rows later (when a case was resolved) not yet filled in."""
    moment = pa.scalar(at, pa.int64()).cast(TIME)
    for column in CONTRACT[name].columns:
        if column.kind == "clock" and column.name in table.column_names and column.name != "available_at":
            place = table.column_names.index(column.name)
            values = table[column.name]
            told = pc.if_else(pc.less(values, moment), values, pa.scalar(None, values.type))
            table = table.set_column(place, column.name, told)
    return table
