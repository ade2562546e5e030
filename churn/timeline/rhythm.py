"""Rhythm: each customer's own rate of active days, shrunk towards the base, and how informative her silence is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import optimize, special

from churn.tables.history import DAY, Array, Events, Int64, events_of
from churn.tables.orders import Orders
from churn.timeline.cutoffs import seen_at
from churn.timeline.mbg_nbd import MbgNbd, fit_mbg_nbd, p_no_activity

Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

LOUD_SILENCE = 0.37
"""Above this P(no activity in the window | own rate), silence says little."""


USUAL_DROPOUT = MbgNbd(1.0, 30.0, 1.0, 9.0)
"""Of a base nobody has been seen of: a gap of 30 days, and one in ten gone after each active day."""


BASE_MONTHS = 3
"""The season is measured on customers active in so many months before."""

WHOLE_MONTH = np.timedelta64(2, "D")
"""Data that begin within the first two days of a month hold all of it."""


@dataclass(frozen=True, slots=True)
class Prior:
    """The base's gamma prior over rates of active days, part of a bundle's reference.

    Attributes:
        shape: gamma shape, about "how many gaps the base's word is worth".
        days: gamma rate in days; the base's mean rate is `shape / days` active days per day.
        season: twelve factors, January first: how lively the base is in that month (mean 1).
        dropout: the base's MBG/NBD, which knows that some have silently gone.
    """

    shape: float
    days: float
    season: tuple[float, ...] = (1.0,) * 12
    dropout: MbgNbd = USUAL_DROPOUT


@dataclass(frozen=True, slots=True)
class Pace:
    """What is visible of the activity at one cutoff; each array has shape (customers,).

    Attributes:
        days: distinct active days.
        first: time of the first activity, microseconds; meaningless where `days` is 0.
        last: time of the last activity, microseconds; meaningless where `days` is 0.
    """

    days: Int64
    first: Int64
    last: Int64


def purchases(orders: Orders, *, timezone: str) -> Events:
    """Returns the purchases as events with columns `day` (local days since 1970) and `spend` (cents)."""
    bought = orders.purchases
    columns = {"spend": bought.columns["amount"], "day": days_of(bought.time, timezone).astype(np.int32)}
    return Events(bought.starts, bought.time, bought.known, columns, {})


def visits(table: pa.Table, *, customers: pa.StringArray, timezone: str) -> Events:
    """Returns the visits as events with columns `day` (local days since 1970) and `spend` (cents, 0)."""
    came = events_of(table.select(["customer_id", "time", "available_at"]), customers=customers)
    columns: dict[str, Array] = {
        "spend": np.zeros(len(came.time), np.int64), "day": days_of(came.time, timezone).astype(np.int32),
    }  # fmt: skip
    return Events(came.starts, came.time, came.known, columns, {})


def refunds(orders: Orders) -> Events:
    """Returns the returns as events with a column `refund` (cents, positive)."""
    back = orders.returns
    return Events(back.starts, back.time, back.known, {"refund": np.abs(back.columns["amount"])}, {})


def days_of(time: Int64, timezone: str) -> Int64:
    """Returns the day of each moment in the project's time zone, as days since 1970. Shape (rows,)."""
    if timezone != "UTC":
        moments = pa.array(time).cast(pa.timestamp("us", tz=timezone))
        time = np.asarray(pc.local_timestamp(moments).cast(pa.int64()))
    return time // DAY


def pace(active: Events, at: int) -> Pace:
    """Returns what is visible at `at` of everybody's activity."""
    customers = len(active.starts) - 1
    seen = np.flatnonzero(seen_at(active, at))
    code, day, time = active.customer[seen], active.columns["day"][seen], active.time[seen]
    is_new_customer = np.diff(code, prepend=-1) != 0
    is_new_day = is_new_customer | (np.diff(day, prepend=-1) != 0)
    is_last = np.diff(code, append=-1) != 0
    first, last = np.zeros((2, customers), np.int64)
    first[code[is_new_customer]] = time[is_new_customer]
    last[code[is_last]] = time[is_last]
    return Pace(np.bincount(code[is_new_day], minlength=customers), first, last)


def fit_prior(seen: Pace, *, season: tuple[float, ...] = (1.0,) * 12) -> Prior:
    """Returns the gamma prior that makes the visible gaps most likely.

    n - 1 exponential gaps that add up to s days have the likelihood
    `G(r + n - 1) / G(r) * a**r / (a + s)**(r + n - 1)` under a gamma prior (r, a). Customers with one active day say
    nothing about gaps. With fewer than 10 others the prior is one gap of 30 days.
    """
    repeats = (seen.days - 1).astype(float)
    is_told = repeats > 0
    if is_told.sum() < 10:
        return Prior(1.0, 30.0, season)
    n, s = repeats[is_told], np.maximum((seen.last - seen.first)[is_told] / DAY, 0.5)

    def cost(logs: Float64) -> float:
        r, a = np.exp(np.clip(logs, -7, 9))
        gain = special.gammaln(r + n) - special.gammaln(r) + r * np.log(a) - (r + n) * np.log(a + s)
        return float(-gain.mean())

    found = optimize.minimize(
        cost, np.log([1.0, np.median(s / n)]), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9}
    )
    shape, days = np.exp(np.clip(found.x, -7, 9))
    return Prior(float(shape), float(days), season)


def fit_dropout(seen: Pace, at: int) -> MbgNbd:
    """Returns the MBG/NBD of everybody ever active before `at`, long gone or not; `USUAL_DROPOUT` without anybody."""
    is_told = seen.days > 0
    if not is_told.any():
        return USUAL_DROPOUT
    first, last = seen.first[is_told], seen.last[is_told]
    return fit_mbg_nbd(seen.days[is_told] - 1, recency_age=(last - first) / DAY, age=(at - first) / DAY)


def own_gap(days: Float64, tenure_days: Float64, prior: Prior) -> Float64:
    """Returns each customer's own gap between active days, in days, shrunk towards the base.

    `days` counts distinct active days, `tenure_days` runs from the first to the last of them.
    """
    return np.asarray((prior.days + tenure_days) / (prior.shape + np.maximum(days - 1, 0)))


def expected_days(
    days: Float64, tenure_days: Float64, prior: Prior, *, window_days: float, season: float = 1.0
) -> Float64:
    """Returns the expected active days in a window of `window_days` if she goes on at her own (shrunk) rate."""
    return np.asarray(window_days * season / own_gap(days, tenure_days, prior))


def p_no_visit(
    days: Float64, tenure_days: Float64, prior: Prior, *, window_days: float, season: float = 1.0
) -> Float64:
    """Returns P(no activity in a window | own rate): the gamma posterior's mean of `exp(-rate * window)`."""
    rate_days = prior.days + tenure_days
    gaps = prior.shape + np.maximum(days - 1, 0)
    return np.asarray((rate_days / (rate_days + window_days * season)) ** gaps)


def p_no_visit_or_gone(
    days: Float64, tenure_days: Float64, age_days: Float64, prior: Prior, *, window_days: float, gap_days: float,
    season: float = 1.0,
) -> Float64:  # fmt: skip
    """Returns P(no activity in the window | her history): she has gone, or just doesn't come; NaN where `days` is.

    `age_days` runs from her first activity to the cutoff; a lively season counts as a longer window. MBG/NBD of the
    base, Batislam, Denizel, Filiztekin 2007.
    """
    answer = np.full(len(days), np.nan)
    told = days > 0
    answer[told] = p_no_activity(
        prior.dropout, frequency=days[told] - 1, recency_age=tenure_days[told], age=age_days[told],
        horizon_days=window_days * season, gap_days=gap_days,
    )  # fmt: skip
    return answer


def season_factor(prior: Prior, opens: int, closes: int) -> float:
    """Returns the mean season factor over the days of a window (microseconds UTC)."""
    days = np.arange(opens, closes, DAY).astype("datetime64[us]")
    months = days.astype("datetime64[M]").astype(int) % 12
    return float(np.mean(np.asarray(prior.season)[months])) if len(months) else 1.0


def season_index(active: Events, *, starts: int, at: int) -> tuple[float, ...]:
    """Returns twelve monthly factors of the base's liveliness learnt from what is visible at `at`, mean 1.

    Liveliness of a month is active days per customer among those active in the three months before it: neither growth
    of the base nor those long gone look like a season. Where the full months so measured don't show every month of a
    year there is no season (all ones). One year is one draw: a month seen n times is shrunk to 1 by n / (n + 1).
    """
    began = np.datetime64(starts, "us")
    month_of = began.astype("datetime64[M]")
    first = int(month_of.astype(int)) + int(began - month_of >= WHOLE_MONTH)
    months = np.arange(first + BASE_MONTHS, int(np.datetime64(at, "us").astype("datetime64[M]").astype(int)))
    if len(months) < 12:
        return (1.0,) * 12
    code, month = _active_days(active, at)
    level = np.array([_liveliness(code, month, at=number) for number in months.tolist()])
    if not (level > 0).all():
        return (1.0,) * 12
    seen = [level[months % 12 == number] for number in range(12)]
    mean = np.mean([levels.mean() for levels in seen])
    shrunk = np.array([1 + len(levels) / (len(levels) + 1) * (levels.mean() / mean - 1) for levels in seen])
    return tuple(float(factor) for factor in shrunk / shrunk.mean())


def _active_days(active: Events, at: int) -> tuple[Int64, Int64]:
    """Customer code and month (since 1970) of every distinct active day visible at `at`."""
    visible = seen_at(active, at)
    pairs = np.unique(np.stack([active.customer[visible], active.columns["day"][visible]]), axis=1)
    return pairs[0], pairs[1].astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def _liveliness(code: Int64, month: Int64, *, at: int) -> float:
    base = np.unique(code[(month >= at - BASE_MONTHS) & (month < at)])
    came = np.isin(code[month == at], base).sum()
    return float(came / len(base)) if len(base) else 0.0
