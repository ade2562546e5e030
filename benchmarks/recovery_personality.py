"""What can be seen of who speaks: the posterior of each personality by all that she told, or didn't, before."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pandas as pd
from recovery_company import Company
from recovery_learnt import Learnt
from recovery_shares import Floats

from churn.simulation.calendar import FIRST_DAY
from churn.simulation.surveys import chance_of_answering
from churn.simulation.voice import chance_of_telling, talk_factor

STEPS = 24
SETTLED = pd.Timedelta(days=14)
"""Whether she told of an incident, or answered, is known so long after it."""


def seen_chance(company: Company, learnt: Learnt, asked: pd.DataFrame) -> Floats:
    """Returns P(told) of some incidents for who knows the equations, and of each customer only what came before.

    That is what she told of her earlier recorded incidents, and which invitations she answered (as if without
    friction), until 14 days before the incident. Bayes' rule on a grid of personalities; shape as `asked` (columns
    customer_id, time, kind, severity).
    """
    grid = (np.arange(STEPS) + 0.5) / STEPS
    regime = company.setting.regime
    prior = (regime.voice_alpha - 1) * np.log(grid) + (regime.voice_beta - 1) * np.log1p(-grid)
    told = company.incidents[company.incidents["is_recorded"]]
    parts = [(told, np.where(told["is_told"].to_numpy()[:, None], *_logs(_telling(company, told, grid))))]
    invitations = learnt.known.tables.get("invitations")
    if invitations is not None:
        sent = invitations.select(["customer_id", "time", "answered_at"]).to_pandas()
        answered = sent["answered_at"].notna().to_numpy()[:, None]
        parts.append((sent, np.where(answered, *_logs(_answering(company, sent, grid)))))
    frame = pd.concat([rows[["customer_id", "time"]].assign(time=_micros(rows["time"])) for rows, _ in parts])
    weight = np.concatenate([log for _, log in parts])
    order = np.lexsort([frame["time"].to_numpy(), frame["customer_id"].to_numpy()])
    frame, weight = frame.iloc[order], weight[order]
    total = np.vstack([np.zeros(STEPS), np.cumsum(weight, axis=0)])
    ids, firsts = np.unique(frame["customer_id"].to_numpy(), return_index=True)
    ends = np.append(firsts[1:], len(frame))
    until = _micros(asked["time"]) - int(SETTLED.total_seconds() * 1e6)
    times = frame["time"].to_numpy()
    posterior = np.tile(prior, (len(asked), 1))
    for row, (customer, moment) in enumerate(zip(asked["customer_id"], until, strict=True)):
        place = np.searchsorted(ids, customer)
        if place < len(ids) and ids[place] == customer:
            first, end = firsts[place], ends[place]
            seen = first + np.searchsorted(times[first:end], moment)
            posterior[row] += total[seen] - total[first]
    chance = np.exp(posterior - posterior.max(axis=1, keepdims=True))
    chance /= chance.sum(axis=1, keepdims=True)
    return np.asarray((chance * _telling(company, asked, grid)).sum(axis=1))


def earlier_counts(company: Company, asked: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Returns how many incidents of hers were on record, and known to be told or not, before each of `asked`.

    Shape as `asked` (columns customer_id, time).
    """
    told = company.incidents[company.incidents["is_recorded"]]
    times = {who: np.sort(_micros(some)) for who, some in told.groupby("customer_id")["time"]}
    until = _micros(asked["time"]) - int(SETTLED.total_seconds() * 1e6)
    nothing = np.empty(0, np.int64)
    each = zip(asked["customer_id"], until, strict=True)
    return np.array([np.searchsorted(times.get(who, nothing), moment) for who, moment in each], np.int64)


def _telling(company: Company, rows: pd.DataFrame, grid: Floats) -> Floats:
    """P(told) per incident and personality."""
    regime = company.setting.regime
    kinds = {kind.name: code for code, kind in enumerate(regime.kinds)}
    size = len(rows)
    each = {
        "kind": np.repeat(rows["kind"].map(kinds).to_numpy(np.int64), STEPS),
        "severity": np.repeat(rows["severity"].to_numpy(np.float64), STEPS),
        "customer": np.tile(np.arange(STEPS), size),
    }
    chance = chance_of_telling(each, regime=regime, people=SimpleNamespace(voice=grid)).reshape(size, STEPS)
    factor = [talk_factor(day, regime=regime) for day in _days(rows["time"])]
    return np.clip(chance * np.array(factor)[:, None], 1e-6, 1 - 1e-6)


def _answering(company: Company, rows: pd.DataFrame, grid: Floats) -> Floats:
    regime, days = company.setting.regime, _days(rows["time"])
    by_day = {
        day: chance_of_answering(np.zeros(STEPS), voice=grid, day=int(day), regime=regime) for day in np.unique(days)
    }
    return np.clip(np.array([by_day[day] for day in days]), 1e-6, 1 - 1e-6)


def _logs(chance: Floats) -> tuple[Floats, Floats]:
    return np.log(chance), np.log1p(-chance)


def _micros(time: pd.Series[pd.Timestamp]) -> np.ndarray:
    return time.astype("datetime64[us, UTC]").astype("int64").to_numpy()


def _days(time: pd.Series[pd.Timestamp]) -> np.ndarray:
    return (_micros(time) - int(FIRST_DAY.timestamp() * 1e6)) // 86_400_000_000
