"""Near: customers whom no prediction is asked for, but nearly is. A small company learns from them, too.

Who is one order short of the population, or silent a little longer than it allows, is no customer of another kind: what
makes her stay or leave makes the others do so, too. Where few customers are learnt from, her rows help
(docs/decisions/022-customers-nearby.md). She is neither judged nor scored, and no level or slope counts her.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from churn.models.frame import rows_at, why_not
from churn.models.known import Known
from churn.models.target import Target
from churn.timeline import population
from churn.timeline.cutoffs import Cutoff
from churn.timeline.rhythm import Prior, pace

FEW_CUSTOMERS = 3_000
"""From so many customers on their own rows tell enough."""
_KEPT = ["customer", "at", "voice_status", "is_treated"]


@dataclass(frozen=True, slots=True)
class Near:
    """Rows near the population and their signals, in the same order.

    Attributes:
        frame: customer, at, voice_status, is_treated; sorted by customer and cutoff.
        features: the signals of those rows.
    """

    frame: pd.DataFrame
    features: pd.DataFrame


def has_few(frame: pd.DataFrame, *, before: int) -> bool:
    """Returns whether the rows of cutoffs before a moment (microseconds UTC) are of few customers."""
    return bool(frame["customer"][frame["at"] < before].nunique() < FEW_CUSTOMERS)


def near_rows(known: Known, target: Target, cutoffs: Sequence[Cutoff], *, prior: Prior) -> pd.DataFrame:
    """Returns one row per customer and cutoff near the population, but not in it: columns as `Near.frame`.

    Nobody is near a population of contracts.
    """
    parts = [pd.DataFrame({name: [] for name in _KEPT}).astype({"customer": np.int64, "at": np.int64})]
    for cutoff in () if target.is_contractual else cutoffs:
        is_in = why_not(known, target, cutoff, prior=prior) == population.ELIGIBLE
        is_near = _why_not_near(known, target, cutoff, prior=prior) == population.ELIGIBLE
        parts.append(rows_at(known, cutoff, codes=np.flatnonzero(is_near & ~is_in), prior=prior)[_KEPT])
    there = [part for part in parts if len(part)] or parts[:1]
    return pd.concat(there, ignore_index=True).sort_values(["customer", "at"], ignore_index=True)


def _why_not_near(known: Known, target: Target, cutoff: Cutoff, *, prior: Prior) -> population.Why:
    """Why she isn't even near: she may be silent half as long again, and half as many orders are asked for."""
    seen = pace(known.active, cutoff.at)
    if target.population == "rhythm":
        return population.why_not_by_rhythm(seen, cutoff, standing=known.standing, prior=prior, patience=1.5)
    days, least = (int(part) for part in [*target.population.split(":"), "1"][1:3])
    return population.why_not_by_orders(
        known.active, seen, cutoff, standing=known.standing, days=days + days // 2, least=-(-least // 2)
    )
