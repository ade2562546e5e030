"""Outcomes: who left in the window, who was heard, and who can be heard at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from churn.tables.history import DAY, NEVER, Events, Int64
from churn.timeline.cutoffs import GRACE_DAYS, Cutoff, happened_in, seen_at
from churn.timeline.population import Standing, ends_of, is_ending_contract
from churn.timeline.rhythm import Bool, Float64, Pace, Prior, expected_days

PARTIAL_SHARE = 0.5
PARTIAL_TAIL = 0.10
VOICE_DAYS = 90

Status = npt.NDArray[np.str_]
Number = TypeVar("Number", np.int64, np.float64)


def has_left(active: Events, cutoff: Cutoff, *, standing: Standing, known_by: int) -> Bool:
    """Returns who leaves for good: no activity in the outcome window, or closed in [at, closes). Shape (customers,).

    Rows of the window count when they are known by `known_by`, the moment the label is taken.
    """
    came = active_days(active, cutoff.opens, cutoff.closes, known_by) > 0
    has_closed = (standing.closed >= cutoff.at) & (standing.closed < min(cutoff.closes, known_by + 1))
    return ~came | has_closed


def first_coming(active: Events, cutoff: Cutoff, *, known_by: int) -> Int64:
    """Returns from when each customer is known to have come in the outcome window: the first moment at which a row of
    hers inside it is visible, microseconds UTC; NEVER where none is visible at `known_by`. Shape (customers,)."""
    inside = np.flatnonzero((active.time >= cutoff.opens) & (active.time < cutoff.closes))
    seen_at = np.maximum(active.time[inside] + 1, active.known[inside])
    is_seen = seen_at <= known_by
    first = np.full(len(active.starts) - 1, NEVER)
    np.minimum.at(first, active.customer[inside[is_seen]], seen_at[is_seen])
    return first


def has_left_partly(active: Events, seen: Pace, cutoff: Cutoff, *, prior: Prior, season: float, known_by: int) -> Bool:
    """Returns who came, but far less than she used to, or spent far less. Shape (customers,).

    Visits: n <= 0.5 E and the negative-binomial tail P(N <= n) <= 0.10 with E her expected active days in the window;
    spend: <= 0.5 of expected and below her own 10 % quantile of past windows of the same length (at least 4 of them),
    spend winsorised at the 95 % quantile of her own past orders.
    """
    tenure = (seen.last - seen.first) / DAY
    expected = expected_days(seen.days.astype(float), tenure, prior, window_days=cutoff.horizon_days, season=season)
    n = active_days(active, cutoff.opens, cutoff.closes, known_by)
    gaps = prior.shape + np.maximum(seen.days - 1, 0)
    odds = (prior.days + tenure) / (prior.days + tenure + cutoff.horizon_days * season)
    tail = stats.nbinom.cdf(n, gaps, odds)
    is_rarer = (n > 0) & (n <= PARTIAL_SHARE * expected) & (tail <= PARTIAL_TAIL)
    return np.asarray(is_rarer | ((n > 0) & _spends_less(active, seen, cutoff, expected, known_by)))


def has_lapsed(contracts: Events, cutoff: Cutoff, *, known_by: int) -> Bool:
    """Returns who doesn't renew a contract that ends in the outcome window within the grace. Shape (customers,).

    A renewal is any contract that runs on after hers has ended: one begun within the grace or, where she renews early
    or has two, one begun before. A payment failure or a switch of plan is not leaving.
    """
    code, ends = contracts.customer, ends_of(contracts)
    is_ending = is_ending_contract(contracts, cutoff)
    last_end = np.zeros(len(contracts.starts) - 1, np.int64)
    np.maximum.at(last_end, code[is_ending], ends[is_ending])
    is_in_time = contracts.time <= last_end[code] + GRACE_DAYS * DAY
    is_next = is_in_time & (ends > last_end[code]) & (contracts.known <= known_by)
    has_renewed, has_ended = contracts.whose(is_next), contracts.whose(is_ending)
    return np.asarray(has_ended & ~has_renewed & ~_is_excused(contracts, is_ending))


def voice_starts(seen: Pace, cutoff: Cutoff) -> Int64:
    """Returns where each customer's voice window begins: min(at - V, last activity - 30 d), V = max(H, 90 d)."""
    window = cutoff.at - max(cutoff.horizon_days, VOICE_DAYS) * DAY
    return np.where(seen.days > 0, np.minimum(window, seen.last - 30 * DAY), window)


def spoke(voice: Events, starts: Int64, ends: int, *, known_by: int) -> Bool:
    """Returns who has a voice event in [starts, ends) known by `known_by`. Shape (customers,)."""
    return voice.whose(happened_in(voice, starts[voice.customer], ends, known_by=known_by))


def is_observable(
    sources: Sequence[str], events: Mapping[str, Events], starts: Int64, at: int, *, covers_from: Mapping[str, int],
    profile: pa.Table | None,
) -> Bool:  # fmt: skip
    """Returns who could have been heard in her voice window: shape (customers,).

    One of the voice-bearing `sources` (contacts that tell complaints; feedback by the customers themselves) covers her
    window, or she was invited in it, or she is known to be contactable.
    """
    heard = np.zeros(len(starts), bool)
    for name in sources:
        heard |= covers_from.get(name, NEVER) <= starts
    if "invitations" in events:
        asked = events["invitations"]
        heard |= asked.whose(happened_in(asked, starts[asked.customer], at, known_by=at))
    if profile is not None and "is_contactable" in profile.column_names:
        heard |= np.asarray(pc.fill_null(profile["is_contactable"], False), bool)
    return heard


def voice_status(has_spoken: Bool, observable: Bool) -> Status:
    """Returns `already_vocal`, `quiet` or `unobservable` per customer."""
    return np.select([has_spoken, observable], ["already_vocal", "quiet"], default="unobservable")


def active_days(active: Events, opens: int, closes: int, known_by: int) -> Int64:
    """Returns each customer's distinct active days in [opens, closes), known by `known_by`. Shape (customers,)."""
    is_inside = happened_in(active, opens, closes, known_by=known_by)
    code, day = active.customer[is_inside], active.columns["day"][is_inside]
    is_new = (np.diff(code, prepend=-1) != 0) | (np.diff(day, prepend=-1) != 0)
    return np.bincount(code[is_new], minlength=len(active.starts) - 1)


def _spends_less(active: Events, seen: Pace, cutoff: Cutoff, expected: Float64, known_by: int) -> Bool:
    customers = len(seen.days)
    is_past = seen_at(active, cutoff.at)
    is_inside = happened_in(active, cutoff.opens, cutoff.closes, known_by=known_by)
    code, spend = active.customer, active.columns["spend"].astype(float)
    cap = np.full(customers, np.inf)
    for customer, values in _groups(code[is_past], spend[is_past]):
        cap[customer] = np.quantile(values, 0.95)
    capped = np.minimum(spend, cap[code])
    per_day = np.bincount(code[is_past], capped[is_past], customers) / np.maximum(seen.days, 1)
    spent = np.bincount(code[is_inside], capped[is_inside], customers)
    window = cutoff.horizon_days * DAY
    low = np.full(customers, -1.0)
    bucket = (cutoff.at - 1 - active.time) // window
    for customer, rows in _groups(code[is_past], np.flatnonzero(is_past)):
        windows = np.bincount(bucket[rows], capped[rows])
        full = int((cutoff.at - seen.first[customer]) // window)
        if full >= 4:
            low[customer] = np.quantile(windows[:full], 0.10)
    return np.asarray((spent <= PARTIAL_SHARE * per_day * expected) & (spent < low))


def _groups(code: Int64, values: npt.NDArray[Number]) -> list[tuple[int, npt.NDArray[Number]]]:
    if not len(code):
        return []
    edges = np.flatnonzero(np.diff(code, prepend=-1))
    return [(int(code[edge]), part) for edge, part in zip(edges, np.split(values, edges[1:]), strict=True)]


def _is_excused(contracts: Events, is_ending: Bool) -> Bool:
    how = contracts.columns.get("ended_how")
    if how is None:
        return np.zeros(len(contracts.starts) - 1, bool)
    labels = contracts.labels["ended_how"]
    excused = [code for code, label in enumerate(labels) if label in ("payment_failure", "switch")]
    return contracts.whose(is_ending & np.isin(how, excused))
