"""The oracle: every recipe in plain Python, one row at a time, sharing no code with the kernel, to check it by.

Instead of clocks it looks at the tables as they stood at the cutoff: first it drops what nobody could have seen, then
it counts. Slow and obvious on purpose.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from scipy.special import roots_jacobi

from churn.signals.recipes import Recipe
from churn.timeline.rhythm import Prior

DAY = 86_400_000_000
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
SOURCES = {
    "orders": ["transactions"], "returns": ["transactions"], "items": ["transactions"], "about": ["feedback"],
    "words": ["contacts", "feedback"], "voice": ["contacts", "feedback"],
}  # fmt: skip
Row = dict[str, Any]
Rows = Mapping[str, list[Row]]


class Oracle:
    """What is known of one customer at one cutoff."""

    def __init__(
        self, rows: Rows, who: str, at: int, *, timezone: str, activity: str, prior: Prior, horizon_days: int,
        gap_days: int, covers_from: Mapping[str, int | None],
    ) -> None:  # fmt: skip
        self.at, self.zone, self.activity = at, ZoneInfo(timezone), activity
        self.prior, self.horizon_days, self.gap_days, self.covers_from = prior, horizon_days, gap_days, covers_from
        self.everything = {name: [row for row in listed if row["customer_id"] == who] for name, listed in rows.items()}
        self.streams: dict[str, list[Row]] = {}

    def feature(self, recipe: Recipe) -> Any:
        """The feature: a number, a label, or None for null."""
        if recipe.of:
            return self._derived(recipe, [self.feature(part) for part in recipe.of])
        rows = self._stream(recipe.table)
        if recipe.window is not None:
            opens = self.at - recipe.window * DAY
            tables = SOURCES.get(recipe.table, [recipe.table])
            if recipe.table == "activity":
                tables = ["visits" if self.activity == "visits" else "transactions"]
            if any((self.covers_from.get(table) or opens) > opens for table in tables):
                return None
            rows = [row for row in rows if row["time"] >= opens]
        return self._base(recipe, rows)

    # What stood in the tables at the cutoff

    def _visible(self, name: str) -> list[Row]:
        seen = []
        for row in self.everything[name]:
            time = row["start"] if name == "subscriptions" else row["time"]
            known = max(time, row["available_at"])
            if time < self.at and known <= self.at:
                seen.append({**row, "time": time, "known": known})
        return seen

    def _has_happened(self, clock: int | None) -> bool:
        return clock is not None and clock < self.at

    def _stream(self, name: str) -> list[Row]:
        if name not in self.streams:
            rows = getattr(self, "_profile" if name.startswith("profile_") else "_" + name)()
            # Ties are broken by when a row became known and then by the facts themselves, nulls first.
            self.streams[name] = sorted(
                rows,
                key=lambda row: (row["time"], row["known"], [(fact is not None, fact) for fact in row.get("ties", [])]),
            )
        return self.streams[name]

    def _all_orders(self) -> list[Row]:
        gathered: dict[Any, list[Row]] = {}
        for number, row in enumerate(self._visible("transactions")):
            order = row["order_id"] if row["order_id"] is not None else number
            gathered.setdefault((order, row["time"], row["known"], bool(row["is_return"])), []).append(row)
        found = []
        for (_, time, known, is_marked), rows in gathered.items():
            amount = sum(row["amount"] for row in rows)
            quantities = [row["quantity"] for row in rows if row["quantity"] is not None]
            found.append({
                "time": time, "known": known, "amount": amount, "is_return": is_marked or amount < 0,
                "discount": sum(row["discount"] or 0 for row in rows) / 100,
                "quantity": sum(quantities) if quantities else None,
                "categories": len({row["category"] for row in rows if row["category"] is not None}),
            })  # fmt: skip
        return found

    def _orders(self) -> list[Row]:
        found = [row for row in self._all_orders() if row["amount"] > 0 and not row["is_return"]]
        return [{**row, "spend": row["amount"] / 100, "ties": [row["amount"]]} for row in found]

    def _returns(self) -> list[Row]:
        return [{**row, "refund": abs(row["amount"]) / 100} for row in self._all_orders() if row["is_return"]]

    def _items(self) -> list[Row]:
        return [row for row in self._visible("transactions") if row["amount"] > 0 and not row["is_return"]]

    def _dated(self, rows: list[Row]) -> list[Row]:
        days = [(EPOCH + dt.timedelta(microseconds=row["time"])).astimezone(self.zone).date() for row in rows]
        return [{**row, "day": day.toordinal(), "weekday": day.weekday()} for row, day in zip(rows, days, strict=True)]

    def _activity(self) -> list[Row]:
        return self._dated(self._visible("visits") if self.activity == "visits" else self._orders())

    def _visits(self) -> list[Row]:
        return [{**row, "duration": row["duration_seconds"]} for row in self._dated(self._visible("visits"))]

    def _contacts(self) -> list[Row]:
        found = []
        for number, row in enumerate(self._visible("contacts")):
            is_resolved = self._has_happened(row["resolved_at"])
            case = row["case_id"] if row["case_id"] is not None else number
            wait = row["wait_seconds"]
            found.append({
                **row, "case": case, "is_resolved": is_resolved, "unresolved": None if is_resolved else 1,
                "wait": None if wait is None or math.isinf(wait) else wait, "handle": row["handle_seconds"],
                "complaint": 1 if row["is_complaint"] else None,
                "case_agent": None if row["agent_id"] is None else (case, row["agent_id"]),
                "case_channel": None if row["channel"] is None else (case, row["channel"]),
                "resolving": (row["resolved_at"] - row["time"]) / DAY if is_resolved else None,
            })  # fmt: skip
        return found

    def _incidents(self) -> list[Row]:
        found = []
        for row in self._visible("incidents"):
            until = row["time"] + 14 * DAY
            is_mature = until <= self.at
            is_followed = any(row["time"] <= word["time"] < until for word in self._words())
            is_unfollowed = is_mature and not is_followed
            found.append({
                **row, "matured": 1 if is_mature else None, "unfollowed": 1 if is_unfollowed else None,
                "unfollowed_severity": row["severity"] if is_unfollowed else None,
            })  # fmt: skip
        return found

    def _all_feedback(self) -> list[Row]:
        found = []
        for row in self._visible("feedback"):
            score = unit_score(row)
            limit = 0.6 if row["kind"] == "nps" else 0.4
            is_negative = row["kind"] == "complaint" or (score is not None and score <= limit + 1e-9)
            exact = None if score is None else round(score * 1e6) / 1e6
            found.append({**row, "score": exact, "negative": 1 if is_negative else None, "ties": [exact]})
        return found

    def _feedback(self) -> list[Row]:
        return [row for row in self._all_feedback() if row["author"] in (None, "self")]

    def _about(self) -> list[Row]:
        return [row for row in self._all_feedback() if row["author"] == "other"]

    def _words(self) -> list[Row]:
        return self._visible("contacts") + self._feedback()

    def _voice(self) -> list[Row]:
        closed = [row["closed_at"] for row in self.everything["customers"] if row["closed_at"] is not None]
        complaints = [row for row in self._contacts() if row["complaint"]]
        low = [
            row for row in self._feedback() if row["negative"] and not any(row["time"] >= moment for moment in closed)
        ]
        # A cancellation is voice from when it is made and known, wherever its contract began.
        stated = [
            max(row["ended_at"], row["available_at"]) for row in self.everything["subscriptions"]
            if row["ended_at"] is not None and row["ended_how"] == "cancel" and row["ended_reason"] is not None
        ]  # fmt: skip
        return complaints + low + [{"time": time, "known": time} for time in stated if time < self.at]

    def _invitations(self) -> list[Row]:
        found = []
        for row in self._visible("invitations"):
            is_answered = self._has_happened(row["answered_at"])
            states = {"answered": 1 if is_answered else None, "unanswered": None if is_answered else 1}
            found.append({**row, **states, "ties": [not is_answered]})
        return found

    def _profile(self) -> list[Row]:
        found = []
        for row in self.everything["customers"]:
            since = row["since"] if self._has_happened(row["since"]) else None
            member = None if row["is_member"] is None else float(row["is_member"])
            plan = row["plan"] if self._has_happened(row["plan__valid_from"]) else None
            found.append({**row, "time": 0, "known": 0, "since": since, "is_member": member, "plan": plan})
        return found

    def _subscriptions(self) -> list[Row]:
        found = []
        for row in self._visible("subscriptions"):
            ended = 1 if self._has_happened(row["ended_at"]) else None
            end = row["end"] if row["end"] is not None else math.inf
            ties = [end, row["plan"], row["amount"]]
            found.append({**row, "amount": row["amount"] / 100, "ended": ended, "ties": ties})
        return found

    # What recipes do with the rows

    def _base(self, recipe: Recipe, rows: list[Row]) -> Any:
        if recipe.how == "once":
            counts = Counter(row["case"] for row in rows)
            return sum(1 for row in rows if counts[row["case"]] == 1 and row["is_resolved"])
        if recipe.how == "streak":
            answered = [place for place, row in enumerate(reversed(rows)) if row[recipe.value] is None]
            return answered[0] if answered else len(rows)
        told = [(row["time"], fact) for row in rows if (fact := _fact(row, recipe.value)) is not None]
        times, facts = [time for time, _ in told], [fact for _, fact in told]
        if recipe.how in ("days", "gap_mean", "gap_std", "gap_last", "gap_max"):
            return _rhythm(recipe.how, sorted(set(facts)))
        if recipe.how == "sum":
            return math.fsum(facts)
        if recipe.how in ("count", "distinct", "most"):
            return {"count": len(facts), "distinct": len(set(facts)), "most": max(Counter(facts).values(), default=0)}[
                recipe.how
            ]
        if not told:
            return None
        last = facts[-1]
        if recipe.how == "state":
            return last if recipe.labels is None or last in recipe.labels else None
        return {
            "mean": lambda: math.fsum(facts) / len(facts), "max": lambda: max(facts), "min": lambda: min(facts),
            "last": lambda: last, "days_since_last": lambda: (self.at - max(times)) / DAY,
            "days_since_first": lambda: (self.at - min(times)) / DAY, "days_since": lambda: (self.at - last) / DAY,
            "days_until": lambda: (last - self.at) / DAY,
        }[recipe.how]()  # fmt: skip

    def _derived(self, recipe: Recipe, parts: Sequence[Any]) -> Any:
        if recipe.how == "season":
            return self._season()
        if any(part is None for part in parts):
            return None
        if recipe.how in ("own_gap", "p_no_visit", "expected_days"):
            return self._expectation(recipe.how, *parts)
        if recipe.how == "p_no_visit_or_gone":
            return self._absence(*parts)
        short, *rest = (part.window for part in recipe.of)
        first, second = [*parts, None][:2]
        if recipe.how == "is_zero":
            return float(first == 0)
        if recipe.how == "stopped":
            return float(first == 0 and second > 0)
        if recipe.how == "difference":
            return first - second
        above, below = {
            "ratio": lambda: (first, second),
            "share": lambda: (first, first + second),
            "rate_ratio": lambda: (first / short, second / rest[0]),
            "baseline_ratio": lambda: (first / short, (second - first) / (rest[0] - short)),
        }[recipe.how]()
        return None if abs(below) < 1e-12 else above / below

    def _expectation(self, how: str, days: float, since_first: float, since_last: float) -> float | None:
        if days == 0:
            return None
        exposure = self.prior.days + since_first - since_last
        visits = self.prior.shape + days - 1
        window = self.horizon_days * self._season()
        if how == "own_gap":
            return exposure / visits
        if how == "expected_days":
            return window * visits / exposure
        return math.exp(-visits * math.log1p(window / exposure))

    def _absence(self, days: float, since_first: float, since_last: float) -> float | None:
        """MBG/NBD by integrating over her own dropout probability p: alive now, through the gap, and then she comes."""
        if days == 0:
            return None
        base, x, window = self.prior.dropout, days - 1, self.horizon_days * self._season()
        shape, exposure = base.r + x, base.alpha + since_first
        gone = base.a / (base.b + x) * (exposure / (base.alpha + since_first - since_last)) ** shape

        def comes(p: float) -> float:
            at_opening = exposure + p * self.gap_days
            return (exposure / at_opening) ** shape - (exposure / (at_opening + window)) ** shape

        chance = sum(weight * comes(p) for p, weight in _beta_nodes(base.a, base.b + x + 1))
        return 1 - chance / (1 + gone)

    def _season(self) -> float:
        opens = self.at + self.gap_days * DAY
        days = [EPOCH + dt.timedelta(microseconds=opens + number * DAY) for number in range(self.horizon_days)]
        return sum(self.prior.season[day.month - 1] for day in days) / self.horizon_days


@cache
def _beta_nodes(a: float, b: float) -> list[tuple[float, float]]:
    """Places and weights that integrate a smooth function against a Beta(a, b) belief (Gauss-Jacobi)."""
    places, weights = roots_jacobi(20, b - 1, a - 1)
    return [((1 + place) / 2, weight / weights.sum()) for place, weight in zip(places, weights, strict=True)]


def unit_score(row: Row) -> float | None:
    """A score between 0 (worst) and 1 (best) of its scale."""
    scales = {"nps": (0, 10), "csat": (1, 5), "ces": (1, 7), "review": (1, 5), "mention": (-1, 1)}
    low, high = scales.get(row["kind"], (0, 1))
    low = low if row["score_min"] is None else row["score_min"]
    high = high if row["score_max"] is None else row["score_max"]
    if row["score"] is None or high <= low:
        return None
    unit = min(max((row["score"] - low) / (high - low), 0.0), 1.0)
    return 1.0 - unit if row["higher_is_better"] is False else unit


def _fact(row: Row, value: str) -> Any:
    name, _, kind = value.partition("=")
    if kind:
        return 1 if row[name] == kind else None
    return row[name] if name else 1


def _rhythm(how: str, days: list[int]) -> float | None:
    gaps = [later - earlier for earlier, later in pairwise(days)]
    if how == "days":
        return len(days)
    if len(gaps) < (2 if how == "gap_std" else 1):
        return None
    mean = sum(gaps) / len(gaps)
    spread = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    return {"gap_mean": mean, "gap_std": spread, "gap_last": gaps[-1], "gap_max": max(gaps)}[how]
