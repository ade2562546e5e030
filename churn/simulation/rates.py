"""Base rates: what a simulated company looks like from outside, measured on its tables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

_ELIGIBLE_DAYS = {"recency": 60, "tenure": 30}


def base_rates(tables: Mapping[str, pa.Table]) -> dict[str, float]:
    """Returns the base rates of a company by name; NaN where a table it needs is absent or empty.

    Rates per customer-year count the time between joining (or the first day) and the exit; shares are between 0 and 1.

    >>> import pyarrow as pa
    >>> base_rates({"truth_customers": pa.table({"exit_time": [None]})})
    Traceback (most recent call last):
    KeyError: 'customers'
    """
    frames = {name: table.to_pandas() for name, table in tables.items()}
    customers = frames["customers"].merge(frames["truth_customers"], on="customer_id")
    begins, ends = _span(frames)
    stays = customers["exit_time"].fillna(ends).clip(upper=ends) - customers["since"].clip(lower=begins)
    years = float(stays.dt.total_seconds().clip(lower=0).sum() / (365.25 * 86_400))
    orders = frames["transactions"].query("amount > 0 and order_id == order_id")
    rates = {
        "visits_per_year": len(frames["visits"]) / years,
        "orders_per_year": orders["order_id"].nunique() / years,
        "median_order": float(orders.groupby("order_id")["amount"].sum().median()),
        "incidents_per_visit": len(frames["incidents"]) / max(len(frames["visits"]), 1),
        "contacts_per_year": len(frames["contacts"]) / years,
    }
    return (
        rates | _told(frames) | _cases(frames) | _asked(frames) | _leaving(customers, years) | _absent(frames, orders)
    )


def _span(frames: Mapping[str, pd.DataFrame]) -> tuple[pd.Timestamp, pd.Timestamp]:
    visits = frames["visits"]["time"]
    return visits.min().normalize(), visits.max().ceil("D")


def _share(flags: pd.Series | npt.NDArray[np.bool_]) -> float:
    return float(np.mean(flags)) if len(flags) else float("nan")


def _told(frames: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """Shares of incidents told within 14 days, by the truth where it is kept."""
    if "truth_incidents" not in frames:
        return {}
    incidents = frames["truth_incidents"]
    by_kind = incidents.groupby("kind")["is_told"].mean()
    return {"told": _share(incidents["is_told"])} | {f"told_{kind}": float(x) for kind, x in by_kind.items()}


def _cases(frames: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    contacts = frames["contacts"]
    about = contacts[contacts["is_complaint"]] if len(contacts) else contacts
    cases = contacts[contacts["case_id"].isin(about["case_id"])].groupby("case_id")
    if not len(about):
        return {"resolved": float("nan"), "repeated": float("nan"), "handed_over": float("nan")}
    sizes = cases.size()
    return {
        "resolved": _share(cases["resolved_at"].first().notna()),
        "repeated": _share(sizes > 1),
        "handed_over": _share(cases["agent_id"].nunique()[sizes > 1] > 1),
    }


def _asked(frames: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    if "invitations" not in frames:
        return {"answered": float("nan"), "detractors": float("nan")}
    nps = frames["feedback"].query("kind == 'nps'")["score"]
    return {"answered": _share(frames["invitations"]["answered_at"].notna()), "detractors": _share(nps <= 6)}


def _leaving(customers: pd.DataFrame, years: float) -> dict[str, float]:
    leavers = customers[customers["exit_time"].notna()]
    rates = {
        "exits_per_year": len(leavers) / years,
        "silent": _share(leavers["outcome"] == "leaves_silently"),
        "outside": _share(leavers["cause"] == "outside"),
        "faded": _share(leavers["fades_from"].notna()),
    }
    if "partly_from" in customers:
        rates["partly_per_year"] = int(customers["partly_from"].notna().sum()) / years
    return rates


def _absent(frames: Mapping[str, pd.DataFrame], orders: pd.DataFrame) -> dict[str, float]:
    """Share of customers with two orders, one in the last 60 days, who order nothing in the next 60 or 90."""
    _, ends = _span(frames)
    rates: dict[str, float] = {}
    for days in (60, 90):
        cutoff = ends - pd.Timedelta(days=days + 1)
        past = orders[orders["time"] < cutoff].groupby("customer_id")["time"].agg(["nunique", "min", "max"])
        known = past["min"] <= cutoff - pd.Timedelta(days=_ELIGIBLE_DAYS["tenure"])
        lately = past["max"] >= cutoff - pd.Timedelta(days=_ELIGIBLE_DAYS["recency"])
        active = past.index[known & lately & (past["nunique"] >= 2)]
        later = orders.loc[
            (orders["time"] >= cutoff) & (orders["time"] < cutoff + pd.Timedelta(days=days)), "customer_id"
        ]
        rates[f"absent_{days}d"] = _share(~active.isin(later))
    return rates
