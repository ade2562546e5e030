"""The frame: one row per eligible customer and cutoff, with her standing before it and her outcome after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from churn.errors import TableError
from churn.models.known import Known
from churn.models.target import Target
from churn.tables.history import DAY, NEVER, Int64
from churn.timeline import outcomes, population
from churn.timeline.cutoffs import Cutoff, happened_in, seen_at
from churn.timeline.rhythm import (
    Bool,
    Float64,
    Pace,
    Prior,
    expected_days,
    fit_dropout,
    fit_prior,
    own_gap,
    p_no_visit,
    pace,
    season_factor,
    season_index,
)

_STATUSES = pd.CategoricalDtype(["already_vocal", "quiet", "unobservable"])


def learn_prior(known: Known, at: int) -> Prior:
    """Returns the base's prior over rhythms, learnt from what is visible at `at` alone."""
    seen = pace(known.active, at)
    starts = int(seen.first[seen.days > 0].min(initial=at))  # of what is visible: older rows may become known later
    prior = fit_prior(seen, season=season_index(known.active, starts=starts, at=at))
    return replace(prior, dropout=fit_dropout(seen, at))


def why_not(known: Known, target: Target, cutoff: Cutoff, *, prior: Prior) -> population.Why:
    """Returns per customer the reason why a prediction at the cutoff makes no sense, empty where it does.

    Raises:
        TableError: a contractual population without contracts.
    """
    if target.is_contractual:
        if "subscriptions" not in known.events:
            raise TableError('population = "contract" needs contracts: add [tables.subscriptions] to churn.toml')
        return population.why_not_by_contract(known.events["subscriptions"], cutoff, standing=known.standing)
    seen = pace(known.active, cutoff.at)
    if target.population == "rhythm":
        return population.why_not_by_rhythm(seen, cutoff, standing=known.standing, prior=prior)
    days, least = (int(part) for part in [*target.population.split(":"), "1"][1:3])
    return population.why_not_by_orders(known.active, seen, cutoff, standing=known.standing, days=days, least=least)


def rows_at(known: Known, cutoff: Cutoff, *, codes: Int64, prior: Prior) -> pd.DataFrame:
    """Returns one row per customer of `codes`: what is known of her at the cutoff.

    Columns: customer (code), at, voice_status, is_treated (in the horizon before the cutoff), and the figures of the
    simple rules: active_days, tenure_days (first to last activity), age_days (first activity to cutoff),
    days_since_last, own_gap, expected_days, p_no_visit_by_rhythm, spend_mean and spend_sum_180 (currency units),
    days_recent and days_before (active days in the last horizon and in the one before it), expected_spend.
    """
    seen = pace(known.active, cutoff.at)
    rules = _simple_figures(known, seen, cutoff, prior)
    status = _voice_status(known, seen, cutoff)
    treated = _was_treated(known, cutoff.at - cutoff.horizon_days * DAY, cutoff.at, cutoff.at)
    columns = {name: values[codes] for name, values in rules.items()}
    return pd.DataFrame({
        "customer": codes, "at": np.full(len(codes), cutoff.at), "voice_status": status[codes],
        "is_treated": treated[codes], **columns,
    })  # fmt: skip


def everybody_at(known: Known, cutoff: Cutoff, *, prior: Prior) -> pd.DataFrame:
    """Returns `rows_at` of everybody ever active before the cutoff, long gone or not."""
    return rows_at(known, cutoff, codes=np.flatnonzero(pace(known.active, cutoff.at).days), prior=prior)


def rows(known: Known, target: Target, cutoffs: Sequence[Cutoff], *, prior: Prior) -> pd.DataFrame:
    """Returns `rows_at` of everybody eligible at several cutoffs, sorted by customer and cutoff.

    They may be many: the figures of the simple rules are float32 here, and the statuses categories.
    """
    parts = []
    for cutoff in cutoffs:
        codes = np.flatnonzero(why_not(known, target, cutoff, prior=prior) == population.ELIGIBLE)
        part = rows_at(known, cutoff, codes=codes, prior=prior)
        figures = dict.fromkeys(part.select_dtypes(np.float64).columns, np.float32)
        parts.append(part.astype({**figures, "voice_status": _STATUSES}))
    together = (
        pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"customer": [], "at": []}, dtype=np.int64)
    )
    return together.sort_values(["customer", "at"], ignore_index=True)


def outcomes_of(known: Known, target: Target, frame: pd.DataFrame, *, known_by: int, prior: Prior) -> pd.DataFrame:
    """Returns `has_left`, `has_spoken` and `is_treated_since` (both in [at, closes)) per row, as known by `known_by`.

    Rows whose outcome isn't settled by then must not be asked for: the caller purges.
    """
    left = np.zeros(len(frame), bool)
    spoken, treated = np.zeros((2, len(frame)), bool)
    for at in np.unique(frame["at"]):
        cutoff, here = target.cutoff(int(at)), (frame["at"] == at).to_numpy()
        codes = frame["customer"].to_numpy()[here]
        left[here] = _has_left(known, target, cutoff, prior, known_by)[codes]
        starts = np.full(len(known.customers), cutoff.at)
        spoken[here] = outcomes.spoke(known.voice, starts, cutoff.closes, known_by=known_by)[codes]
        treated[here] = _was_treated(known, cutoff.at, cutoff.closes, known_by)[codes]
    return pd.DataFrame({"has_left": left, "has_spoken": spoken, "is_treated_since": treated}, index=frame.index)


def came_after(known: Known, target: Target, frame: pd.DataFrame, *, known_by: int) -> Float64:
    """Returns per row how many days after the opening of its window, over or not, she was known to have come; infinity
    where that wasn't known by `known_by`. Shape (rows,)."""
    after = np.full(len(frame), np.inf)
    for at in np.unique(frame["at"]):
        cutoff, here = target.cutoff(int(at)), (frame["at"] == at).to_numpy()
        seen = outcomes.first_coming(known.active, cutoff, known_by=known_by)[frame["customer"].to_numpy()[here]]
        after[here] = np.where(seen < NEVER, (seen - cutoff.opens) / DAY, np.inf)
    return after


def _has_left(known: Known, target: Target, cutoff: Cutoff, prior: Prior, known_by: int) -> Bool:
    if target.is_contractual:
        return outcomes.has_lapsed(known.events["subscriptions"], cutoff, known_by=known_by)
    left = outcomes.has_left(known.active, cutoff, standing=known.standing, known_by=known_by)
    if target.leave == "hard":
        return left
    seen = pace(known.active, cutoff.at)
    season = season_factor(prior, cutoff.opens, cutoff.closes)
    return left | outcomes.has_left_partly(known.active, seen, cutoff, prior=prior, season=season, known_by=known_by)


def _voice_status(known: Known, seen: Pace, cutoff: Cutoff) -> outcomes.Status:
    starts = outcomes.voice_starts(seen, cutoff)
    has_spoken = outcomes.spoke(known.voice, starts, cutoff.at, known_by=cutoff.at)
    observable = outcomes.is_observable(
        known.base.voice_sources, known.events, starts, cutoff.at, covers_from=known.heard_from(cutoff.at),
        profile=known.profile,
    )  # fmt: skip
    return outcomes.voice_status(has_spoken, observable & known.has_voice)


def _was_treated(known: Known, starts: int, ends: int, known_by: int) -> Bool:
    """Who was treated (and is no control) in [starts, ends), as far as known by `known_by`."""
    treated = known.events.get("treatments")
    if treated is None:
        return np.zeros(len(known.customers), bool)
    is_inside = happened_in(treated, starts, ends, known_by=known_by)
    control = treated.columns.get("is_control")
    if control is not None:
        is_inside &= control != 1
    return treated.whose(is_inside)


def _simple_figures(known: Known, seen: Pace, cutoff: Cutoff, prior: Prior) -> dict[str, Float64]:
    active, horizon = known.active, cutoff.horizon_days
    days = seen.days.astype(float)
    tenure = (seen.last - seen.first) / DAY
    season = season_factor(prior, cutoff.opens, cutoff.closes)
    expected = expected_days(days, tenure, prior, window_days=horizon, season=season)
    spend = _spend_since(known, cutoff.at, None)
    spend_per_day = spend / np.maximum(days, 1)
    recent = _active_days(known, cutoff.at - horizon * DAY, cutoff.at, cutoff.at)
    before = _active_days(known, cutoff.at - 2 * horizon * DAY, cutoff.at - horizon * DAY, cutoff.at)
    assert len(active.starts) - 1 == len(days)
    return {
        "active_days": days,
        "tenure_days": tenure,
        "age_days": (cutoff.at - seen.first) / DAY,
        "days_since_last": (cutoff.at - seen.last) / DAY,
        "own_gap": own_gap(days, tenure, prior),
        "expected_days": expected,
        "p_no_visit_by_rhythm": p_no_visit(days, tenure, prior, window_days=horizon, season=season),
        "spend_mean": spend_per_day,
        "spend_sum_180": _spend_since(known, cutoff.at, cutoff.at - 180 * DAY),
        "days_recent": recent,
        "days_before": before,
        "expected_spend": expected * np.maximum(spend - _refunded(known, cutoff.at), 0) / np.maximum(days, 1),
    }


def _spend_since(known: Known, at: int, since: int | None) -> Float64:
    bought = known.bought
    seen = seen_at(bought, at)
    if since is not None:
        seen &= bought.time >= since
    cents = np.asarray(bought.columns["spend"][seen], np.int64)
    # Whole cents, summed exactly: floats hold them up to 2**53.
    return np.asarray(np.bincount(bought.customer[seen], cents, len(known.customers)) / 100)


def _refunded(known: Known, at: int) -> Float64:
    returned = known.returned
    seen = seen_at(returned, at)
    cents = np.asarray(returned.columns["refund"][seen], np.int64)
    return np.asarray(np.bincount(returned.customer[seen], cents, len(known.customers)) / 100)


def _active_days(known: Known, opens: int, closes: int, known_by: int) -> Float64:
    return outcomes.active_days(known.active, opens, closes, known_by).astype(float)
