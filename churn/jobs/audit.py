"""Audit: whether anything that training learnt from knows the future."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from churn.errors import LeakError
from churn.jobs.material import Made
from churn.jobs.past import Past
from churn.models.factors import TrainingRows
from churn.models.leak import TOO_GOOD, leaking_signals, signal_aurocs, undated_signals
from churn.models.matrix import category_columns

STRONGEST = 5


def audit(made: Made, taught: TrainingRows, *, past: Past, allow_leak: bool = False) -> dict[str, Any]:
    """Returns what the leak alarm found: the strongest signals alone, and the answer of the time travel.

    Time travel: signals at the first test cutoff must be, to the last bit, what they are where everything after it is
    taken out of the tables.

    Args:
        made: what the training has made.
        taught: the rows it learns from before the first test cutoff.
        past: signals of some customers at the first test cutoff, from tables that end there.
        allow_leak: reports a leak where it would be refused.

    Raises:
        LeakError: one problem per signal that tells the outcome almost alone, or changes once the future is gone.
    """
    found = signal_aurocs(
        taught.features, has_left=taught.has_left.astype(float), categories=category_columns(made.recipes)
    )
    leaking, changed = leaking_signals(found), _changed(made, past)
    problems = [
        f"signal {name} tells the outcome almost alone (AUROC {value:.3f}): it probably knows the future; "
        "remove its column from churn.toml, or give the moment it became known as available_at, or train with "
        "--allow-leak"
        for name, value in leaking.items()
    ]
    problems += [
        f"signal {name} at {past.cutoff.label} changes when everything after that day is taken out of the tables: it "
        "knows the future; please report it, and meanwhile leave out its table, or train with --allow-leak"
        for name in changed
    ]
    if problems and not allow_leak:
        raise LeakError(problems)
    strongest = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:STRONGEST]
    travelled = {
        "cutoff": past.cutoff.label, "rows": len(past.customers), "signals": past.signals.shape[1], "changed": changed,
    }  # fmt: skip
    return {
        "most": TOO_GOOD, "strongest": dict(strongest), "leaking": leaking,
        "undated": undated_signals(found, made.recipes), "time_travel": travelled,
    }  # fmt: skip


def doubts_of(leak: Mapping[str, Any]) -> list[str]:
    """Returns a note per undated signal of an audit that tells more than it should."""
    return [
        f"{name} alone ranks the leavers better (AUROC {value:.3f}) than anything with a date does, and an undated "
        "column of customers counts as known since ever. If it is filled in or overwritten later (a status, a total, "
        "the start of her last contract), it knows the future: name the column that says since when it holds in "
        "churn.toml, or leave it out"
        for name, value in leak["undated"].items()
    ]


def _changed(made: Made, past: Past) -> list[str]:
    """The signals that are others in the past than they are now."""
    frame = made.material.frame
    is_asked = (frame["at"] == past.cutoff.at) & frame["customer"].isin(past.customers)
    now = made.material.features[is_asked.to_numpy()]
    return [
        name
        for name in past.signals.columns.tolist()
        if not np.array_equal(now[name], past.signals[name], equal_nan=True)
    ]
