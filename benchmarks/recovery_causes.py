"""Why: which kind of incident drove a silent leaver away, as her drivers, three rules and the posterior name it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from recovery_bounds import silent_with_cause
from recovery_company import Company
from recovery_learnt import Learnt, explained, features_at
from recovery_shares import Floats, resampled

from churn.jobs.blame import blame
from churn.models.bundle import Bundle
from churn.models.factors import Factors
from churn.models.voice_model import VoiceModel

DAY = 86_400_000_000
WITHIN_DAYS, RECENT_DAYS = 180, 90
RULES = ("most common kind", "latest incident", "worst recent incident")
DRIVERS = "features of the kind"
REMOVAL = "without the kind"
POSTERIOR = "posterior"
FADING, SPEAKING = ("spend", "visits", "rhythm"), ("service", "feedback")
FEWEST_LEAVERS = 30
"""Silent, or vocal: fewer have no mean worth telling."""


def causes_found(
    company: Company, learnt: Learnt, factors: Factors, voice: VoiceModel | None, told: pd.DataFrame
) -> dict[str, Any]:
    """Returns how often each way names the true kind, of the silent leavers of the last test cutoff who have a cause.

    The ways: the kind without whose incidents the risk would fall most, as `churn why` tells it; the kind whose own
    features push the risk up most, other features of the same incidents left aside; three rules about her visible
    incidents; and the ceiling's posterior.
    """
    rows = silent_with_cause(company, learnt)
    answers = told[(told["at"] == learnt.last) & (told["gap_days"] == 0)]
    rows = rows[rows["customer_id"].isin(answers["customer_id"])].reset_index(drop=True)
    kinds = [kind.name for kind in company.setting.regime.kinds]
    if len(rows) < 30:
        return {"rows": len(rows)}
    truth = np.array([kinds.index(cause) for cause in rows["cause"]])
    posterior = answers.set_index("customer_id").loc[rows["customer_id"]]
    chosen = {
        DRIVERS: _by_drivers(learnt, factors, rows, kinds),
        REMOVAL: _by_removal(learnt, factors, voice, rows, kinds),
        **_by_rules(learnt, rows, kinds),
        POSTERIOR: posterior[[f"ceiling:p_silent_{kind}" for kind in kinds]].to_numpy().argmax(axis=1),
    }
    hits = {name: (choice == truth).astype(np.float64) for name, choice in chosen.items()}
    return {
        "rows": len(rows), "by_kind": {kind: int((truth == code).sum()) for code, kind in enumerate(kinds)},
        "hits": {name: _mean(hit) for name, hit in hits.items()},
        **{
            key: {
                "share": resampled(len(rows), lambda some, hit=hit: hit[some].mean() / hits[POSTERIOR][some].mean()),
                "above_latest": _mean(hit - hits["latest incident"]),
            }
            for key, hit in (("features", hits[DRIVERS]), ("removal", hits[REMOVAL]))
        },
    }  # fmt: skip


def _mean(values: Floats) -> dict[str, float | None]:
    return resampled(len(values), lambda some: values[some].mean())


def _by_drivers(learnt: Learnt, factors: Factors, rows: pd.DataFrame, kinds: list[str]) -> npt.NDArray[np.int64]:
    """The kind with the largest contribution of its own features; a kind without a feature has none."""
    features = _features_of(learnt, rows)
    values, recipes = explained(learnt, factors, features)
    scores = np.full((len(rows), len(kinds)), -np.inf)
    for place, recipe in enumerate(recipes):
        kind = recipe.value.removeprefix("kind=")
        if recipe.table == "incidents" and recipe.value.startswith("kind=") and kind in kinds:
            scores[:, kinds.index(kind)] = np.maximum(scores[:, kinds.index(kind)], 0) + values.by_feature[:, place]
    return np.asarray(scores.argmax(axis=1))


def _by_removal(
    learnt: Learnt, factors: Factors, voice: VoiceModel | None, rows: pd.DataFrame, kinds: list[str]
) -> npt.NDArray[np.int64]:
    """The kind whose incidents, taken out of her history, lower the margin most: what `churn why` shows."""
    material, names = learnt.made.material, set(factors.leave.feature_name())
    bundle = Bundle(
        target=material.target, recipes=tuple(one for one in learnt.made.recipes if one.name in names),
        prior=material.prior, factors=factors, percentiles=(), tables=(), training={}, voice=voice,
    )  # fmt: skip
    ids = rows["customer_id"].to_list()
    falls = blame(learnt.known, bundle, at=learnt.last, customers=ids, kinds=kinds, config=learnt.config)
    return np.asarray(falls.to_numpy().argmax(axis=1))


def _features_of(learnt: Learnt, rows: pd.DataFrame) -> pd.DataFrame:
    told, features = features_at(learnt, learnt.last)
    place = pd.Index(told["customer_id"]).get_indexer(pd.Index(rows["customer_id"]))
    return features.iloc[place].reset_index(drop=True)


def _by_rules(learnt: Learnt, rows: pd.DataFrame, kinds: list[str]) -> dict[str, npt.NDArray[np.int64]]:
    """What three rules say of her visible incidents; -1 for who has none."""
    table = learnt.known.tables["incidents"].select(["customer_id", "time", "kind", "severity"])
    seen = table.filter(pc.is_in(table["customer_id"], value_set=pa.array(rows["customer_id"].to_list(), pa.string())))
    frame = seen.to_pandas()
    frame["time"] = np.asarray(seen["time"].cast("int64"))
    frame = frame[(frame["time"] < learnt.last) & (frame["time"] >= learnt.last - WITHIN_DAYS * DAY)]
    frame = frame.sort_values(["customer_id", "time", "kind"])
    count = frame.groupby(["customer_id", "kind"])["time"].agg(["size", "max"]).reset_index()
    recent = frame[frame["time"] >= learnt.last - RECENT_DAYS * DAY]
    orders = (count.sort_values(["size", "max"]), frame, recent.sort_values(["severity", "time"]))
    found = {}
    for name, ordered in zip(RULES, orders, strict=True):
        kind = ordered.groupby("customer_id")["kind"].last().reindex(rows["customer_id"])
        found[name] = np.array([kinds.index(each) if isinstance(each, str) else -1 for each in kind])
    return found


def drivers_side_by_side(company: Company, learnt: Learnt, factors: Factors) -> dict[str, Any]:
    """Returns the mean driver by signal of silent and of vocal leavers at the last test cutoff, and the difference.

    Vocal is who has spoken before the cutoff or until the window closes; silent is who was quiet and stayed so. Under
    `ahead` the same of those alone whose exit still lies ahead: of the others the model knows that they have stopped,
    and who stops at once has stopped more plainly than who fades.
    """
    told, features = features_at(learnt, learnt.last)
    left = told["has_left"].to_numpy()
    was_quiet, spoke = (told["voice_status"] == "quiet").to_numpy(), told["has_spoken"].to_numpy()
    silent, vocal = left & was_quiet & ~spoke, left & ((told["voice_status"] == "already_vocal").to_numpy() | spoke)
    exits = company.people["exit_time"].reindex(told["customer_id"])
    is_ahead = (exits >= pd.Timestamp(learnt.last, unit="us", tz="UTC")).to_numpy()
    some = silent | vocal
    found: dict[str, Any] = {"silent": int(silent.sum()), "vocal": int(vocal.sum())}
    if min(found["silent"], found["vocal"]) < FEWEST_LEAVERS:
        return found
    values, _ = explained(learnt, factors, features[some].reset_index(drop=True))
    found["signals"] = _differences(values.by_signal, silent[some])
    ahead = {"silent": int((silent & is_ahead).sum()), "vocal": int((vocal & is_ahead).sum())}
    if min(ahead.values()) >= FEWEST_LEAVERS:
        few = is_ahead[some]
        found["ahead"] = {**ahead, "signals": _differences(values.by_signal[few], silent[some][few])}
    return found


def _differences(by_signal: pd.DataFrame, is_silent: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """The mean of each driver of silent and of other leavers, and their difference with its normal 95 % interval."""
    both = by_signal.assign(
        fading=lambda one: one[[name for name in FADING if name in one]].sum(axis=1),
        speaking=lambda one: one[[name for name in SPEAKING if name in one]].sum(axis=1),
    )
    table = {}
    for name, column in both.items():
        numbers = column.to_numpy()
        ours, theirs = numbers[is_silent], numbers[~is_silent]
        wide = 1.96 * float(np.sqrt(ours.var() / len(ours) + theirs.var() / len(theirs)))
        gap = float(ours.mean() - theirs.mean())
        table[str(name)] = {
            "silent": float(ours.mean()), "vocal": float(theirs.mean()),
            "difference": {"mean": gap, "low": gap - wide, "high": gap + wide},
        }  # fmt: skip
    return table
