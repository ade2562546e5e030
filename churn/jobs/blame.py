"""Blame: how much lower a customer's risk would be if a kind of incident had not happened to her."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from churn.config import Config
from churn.jobs.signals_of import bundle_signals
from churn.models.bundle import Bundle
from churn.models.ensemble import ensemble_margin
from churn.models.known import Known, prepare

Floats = npt.NDArray[np.float64]


def blame(
    known: Known, bundle: Bundle, *, at: int, customers: Sequence[str], kinds: Sequence[str], config: Config,
    threads: int = 1,
) -> pd.DataFrame:  # fmt: skip
    """Returns how much lower each customer's raw margin would be without her incidents of each kind, in log odds.

    One row per customer in the order given, one column per kind; 0 where nothing of that kind happened to her. The
    incidents of a kind are taken out of her history and every signal is computed again, so that all that follows from
    them goes with them: counts, severity, days since, what was never said. Her own numbers afterwards (she came less,
    she complained) stay as they are, so it is what the model makes of the incidents, not all that they did. The kinds
    do not add up.

    Time rule: what was visible at `at`, microseconds UTC. The path from one kind to another is not asked about: each
    is taken out alone.
    """
    ids = pa.array(list(customers), pa.string())
    tables = {name: table.filter(pc.is_in(table["customer_id"], value_set=ids)) for name, table in known.tables.items()}
    usual = _margin(known, tables, bundle, at=at, ids=ids, config=config, threads=threads)
    found = {}
    for kind in kinds:
        rest = {**tables, "incidents": tables["incidents"].filter(pc.not_equal(tables["incidents"]["kind"], kind))}
        found[kind] = usual - _margin(known, rest, bundle, at=at, ids=ids, config=config, threads=threads)
    return pd.DataFrame(found, index=list(customers))


def _margin(
    known: Known, tables: dict[str, pa.Table], bundle: Bundle, *, at: int, ids: pa.Array, config: Config, threads: int
) -> Floats:
    few = prepare(tables, config=config, activity_kind=bundle.target.activity, base=known.base)
    codes = few.codes_of(ids)
    order = np.argsort(codes, kind="stable")
    frame = pd.DataFrame({"customer": codes[order], "at": at})
    features = bundle.matched(bundle_signals(few, frame, bundle, threads=threads))
    margin = np.empty(len(codes))
    margin[order] = ensemble_margin(bundle.factors.leave, features, bundle.factors.members)
    return margin
