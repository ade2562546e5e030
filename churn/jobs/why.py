"""`churn why`: one customer, her risk, what raises and lowers it, what went wrong, and her last events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from churn.config import Config
from churn.drivers.contributions import explain, points
from churn.drivers.owners import owners_of
from churn.drivers.reasons import reasons
from churn.errors import TableError
from churn.jobs.blame import blame
from churn.jobs.bucketwise import bucketwise
from churn.jobs.inputs import missing_inputs
from churn.jobs.lists import list_warnings
from churn.jobs.moments import cutoff_at
from churn.jobs.opened import open_bundle
from churn.jobs.scoring import score_known
from churn.jobs.signals_of import bundle_signals
from churn.models.bundle import Bundle
from churn.models.frame import rows_at
from churn.models.known import Known, prepare
from churn.signals.recipes import YEAR
from churn.tables.history import DAY, Events, histories
from churn.timeline.cutoffs import Cutoff, happened_in, moment_of, seen_at

SHOWN_EVENTS = 15
_HER_CODE = np.array([0])
"""Of all customers she alone is known here."""


def why(
    config: Config,
    customer_id: str,
    *,
    at: int | None,
    bundle: Path | None,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Returns one customer's score, her drivers in both directions, what went wrong, and her latest visible events.

    Raises:
        TableError: nobody of that id is in any table.
    """
    opened = open_bundle(config, bundle)
    model = opened.bundle
    without: list[str] = []
    with bucketwise(
        config, check=lambda columns: without.extend(missing_inputs(model, columns, config)), progress=progress
    ) as engine:
        base = engine.base(model.target.activity)
        tables = engine.rows_of(customer_id)
        if not any(table.num_rows for table in tables.values()):
            doubts = list_warnings([customer_id], unknown=[customer_id], known=engine.customers())
            raise TableError(["no table has a customer of that id; ids are text and must match to the letter", *doubts])
    known = prepare(tables, config=config, activity_kind=model.target.activity, base=base)
    cutoff, doubts = cutoff_at(at, base=base, target=model.target)
    scores = score_known(known, model, cutoff, customers=[customer_id], config=config).scores
    row = scores.astype(object).where(scores.notna(), None).to_dict("records")[0]
    told: dict[str, Any] = {
        "model_id": opened.model_id, "score": row, "warnings": [*opened.warnings, *without, *doubts],
        "raises": [], "lowers": [], "incidents": [], "events": [],
    }  # fmt: skip
    own = histories(tables).events
    if row["why_not_scored"] != "opted_out":
        told["events"] = _events(own, cutoff)
    if row["status"] == "scored":
        told |= _drivers(known, model, cutoff, config)
        told["incidents"] = _incidents(known, model, customer_id, _kinds(own.get("incidents"), cutoff), cutoff, config)
    return told


def _drivers(known: Known, bundle: Bundle, cutoff: Cutoff, config: Config) -> dict[str, Any]:
    frame = rows_at(known, cutoff, codes=_HER_CODE, prior=bundle.prior)
    features = bundle_signals(known, frame, bundle)
    values = explain(bundle.factors, bundle.matched(features), bundle.recipes)
    by_signal = values.by_signal.iloc[0]
    margin, calibration = values.margin, bundle.factors.calibration_at(cutoff.at)
    found: dict[str, Any] = {}
    for name, lowering in (("raises", False), ("lowers", True)):
        told = reasons(
            features, values, bundle.recipes, currency=config.currency, activity=bundle.target.activity,
            horizon_days=bundle.target.horizon_days, owners=owners_of(config), lowering=lowering,
        ).iloc[0]  # fmt: skip
        found[name] = [
            {
                "signal": told[f"driver_{rank}"], "reason": told[f"reason_{rank}"], "owner": told[f"owner_{rank}"],
                "points": float(
                    points(margin, contribution=by_signal[told[f"driver_{rank}"]], calibration=calibration)[0]
                ),
            }
            for rank in (1, 2, 3)
            if told[f"driver_{rank}"] is not None
        ]  # fmt: skip
    return found


def _kinds(incidents: Events | None, cutoff: Cutoff) -> dict[str, int]:
    """How many incidents of each kind she had in the year before the cutoff, as far as they were known then."""
    if incidents is None:
        return {}
    seen = happened_in(incidents, cutoff.at - YEAR * DAY, cutoff.at, known_by=cutoff.at)
    seen &= incidents.columns["kind"] >= 0
    counts = np.bincount(incidents.columns["kind"][seen], minlength=len(incidents.labels["kind"]))
    return {kind: int(count) for kind, count in zip(incidents.labels["kind"], counts, strict=True) if count}


def _incidents(
    known: Known, bundle: Bundle, customer_id: str, kinds: dict[str, int], cutoff: Cutoff, config: Config
) -> list[dict[str, Any]]:
    """Each kind of incident of hers: how many, and how many points of p_leave go away without them; most first."""
    if not kinds:
        return []
    falls = blame(known, bundle, at=cutoff.at, customers=[customer_id], kinds=list(kinds), config=config).iloc[0]
    frame = rows_at(known, cutoff, codes=_HER_CODE, prior=bundle.prior)
    margin = bundle.predict(
        bundle_signals(known, frame, bundle), voice_status=frame["voice_status"].to_numpy(str), at=cutoff.at
    )["margin"].to_numpy()  # fmt: skip
    calibration = bundle.factors.calibration_at(cutoff.at)
    found = [
        {"kind": kind, "count": count,
         "points": float(points(margin, contribution=falls[kind], calibration=calibration)[0])}
        for kind, count in kinds.items()
    ]  # fmt: skip
    return sorted(found, key=lambda one: (-one["points"], one["kind"]))


def _events(by_table: Mapping[str, Events], cutoff: Cutoff) -> list[dict[str, str]]:
    """Her latest visible events of every table, newest first: when, which table, and what kind."""
    found = []
    for name, events in by_table.items():
        rows = np.flatnonzero(seen_at(events, cutoff.at))
        for row in rows[-SHOWN_EVENTS:]:
            found.append((int(events.time[row]), name, _detail(events, int(row))))
    found.sort(reverse=True)
    return [
        {"time": f"{moment_of(time):%Y-%m-%d %H:%M}", "table": name, "detail": detail}
        for time, name, detail in found[:SHOWN_EVENTS]
    ]


def _detail(events: Events, row: int) -> str:
    parts = []
    for column in ("kind", "topic", "channel"):
        if column in events.labels and events.columns[column][row] >= 0:
            parts.append(events.labels[column][events.columns[column][row]])
    if "amount" in events.columns:
        parts.append(f"{events.columns['amount'][row] / 100:,.2f}")
    if "score" in events.columns and not np.isnan(events.columns["score"][row]):
        parts.append(f"score {events.columns['score'][row]:g}")
    return ", ".join(parts)
