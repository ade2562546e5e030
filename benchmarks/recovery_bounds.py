"""What could be known of some customers: what the oracle and the observable ceiling say of them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
from recovery_company import Company, Progress, row_numbers
from recovery_learnt import Learnt

from churn.simulation import ceiling, oracle

MOST_CAUSES = 400
"""So many silent leavers with a cause are put to the ceiling beside the sample."""


def bounds(
    company: Company, learnt: Learnt, later: Learnt | None, *, kept: Path | None, progress: Progress
) -> pd.DataFrame:
    """Returns the oracle's and the ceiling's answers about the sampled customers of each test cutoff.

    One row per customer, cutoff and gap: `customer_id`, `at` (microseconds UTC), `gap_days`, `is_sampled` (drawn at
    random from the eligible, not chosen for what became of her), and `oracle:NAME` and `ceiling:NAME` of their columns.

    Args:
        company: which.
        learnt: without a gap; its test cutoffs and eligible customers are asked about, and who left for a known cause.
        later: with the later gap, if there is one; all of its vocal leavers are asked about too, since they are few.
        kept: a file to keep the answers in; read instead of asking again where it is there.
        progress: told what goes on.
    """
    if kept is not None and kept.is_file():
        return pd.read_parquet(kept)
    parts = []
    for cutoff in learnt.schedule.tests:
        progress(f"{company.plan.name}: the oracle and the ceiling at {cutoff.label}")
        rows = learnt.predictions[learnt.predictions["at"] == cutoff.at]
        sample = _sample(rows["customer_id"], company)
        causes = silent_with_cause(company, learnt) if cutoff.at == learnt.last else rows.iloc[:0]
        chosen = [causes["customer_id"].to_numpy()[:MOST_CAUSES], _vocal(later, cutoff.at)]
        ids = pd.Index(np.union1d(sample, np.concatenate(chosen)))
        found = _asked(company, ids, cutoff.at)
        parts.append(found.assign(is_sampled=found["customer_id"].isin(sample)))
    told = pd.concat(parts, ignore_index=True)
    if kept is not None:
        told.to_parquet(kept)
    return told


def silent_with_cause(company: Company, learnt: Learnt) -> pd.DataFrame:
    """Returns the quiet customers of the last test cutoff who leave silently because of a kind of incident, with it."""
    rows = learnt.predictions[learnt.predictions["at"] == learnt.last]
    rows = rows[rows["is_silent"] & (rows["voice_status"] == "quiet")]
    true = company.people.reindex(rows["customer_id"])
    closes = pd.Timestamp(learnt.schedule.tests[-1].closes, unit="us", tz="UTC")
    kinds = [kind.name for kind in company.setting.regime.kinds]
    goes = (true["exit_time"] < closes).to_numpy() & true["cause"].isin(kinds).to_numpy()
    return rows[goes].assign(cause=true["cause"].to_numpy()[goes])


def joined(learnt: Learnt, told: pd.DataFrame, *, gap_days: int) -> pd.DataFrame:
    """Returns the sampled rows of a training, and all quiet who left vocally, beside what could be known of them.

    Keep those with `is_sampled` for all but what looks at leavers by whether they spoke: an AUROC of two classes
    doesn't mind how many there are of each.
    """
    both = learnt.predictions.merge(told[told["gap_days"] == gap_days], on=["customer_id", "at"], how="inner")
    return both[both["is_sampled"] | (is_quiet(both) & both["has_left"] & both["has_spoken"])]


def is_quiet(rows: pd.DataFrame) -> pd.Series[bool]:
    """Returns which rows are of the quiet."""
    return rows["voice_status"] == "quiet"


def _vocal(later: Learnt | None, at: int) -> np.ndarray:
    if later is None:
        return np.empty(0, object)
    rows = later.predictions[later.predictions["at"] == at]
    return rows.loc[is_quiet(rows) & rows["has_left"] & rows["has_spoken"], "customer_id"].to_numpy()


def _sample(ids: pd.Series[str], company: Company) -> np.ndarray:
    rng = np.random.default_rng(company.plan.seed)
    size = min(company.plan.asked, len(ids))
    return np.sort(rng.choice(np.sort(ids.to_numpy()), size, replace=False))


def _asked(company: Company, ids: pd.Index[str], at: int) -> pd.DataFrame:
    plan = company.plan
    cutoff = dt.datetime.fromtimestamp(at / 1e6, tz=dt.UTC)
    asked = {
        "cutoffs": [cutoff], "customers": row_numbers(ids), "horizon_days": (plan.horizon_days,),
        "gap_days": plan.gaps, "activity": plan.activity, "futures": plan.futures,
    }  # fmt: skip
    keys = ["customer_id", "gap_days"]
    parts = []
    for name, found in (
        ("oracle", oracle(company.setting, **asked)),
        ("ceiling", ceiling(company.setting, **asked, particles=plan.particles)),
    ):
        some = [column for column in found.columns if column.startswith("p_") and not column.endswith("_se")]
        parts.append(found[keys + some].rename(columns={column: f"{name}:{column}" for column in some}))
    return parts[0].merge(parts[1], on=keys).assign(at=at)
