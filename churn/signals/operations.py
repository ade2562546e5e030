"""Operations: the recipes of what customers do: spend, visits, rhythm, and who they are."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from churn.signals.offered import Tables, has, labels_of, slug_of
from churn.signals.recipes import YEAR, Recipe, changes, derived, drift, trends


def spend_recipes(tables: Tables, activity: str) -> list[Recipe]:
    """Returns the recipes of money, orders, returns and baskets."""

    def spend(noun: str, how: str, window: int | None, value: str = "spend") -> Recipe:
        return Recipe("spend", noun, how, "orders", value, window)

    found = [spend("orders", "count", window, "") for window in (7, 30, 90, 180, YEAR, None)]
    found += [spend("spend", "sum", window) for window in (30, 90, 180, YEAR, None)]
    found += [spend("spend", "mean", window) for window in (90, YEAR)]
    found += [spend("spend", "max", YEAR), spend("spend", "last", None)]
    if activity != "purchases":
        found.append(spend("purchase", "days_since_last", None, ""))
    found += changes("spend", "spend", spend("spend", "sum", None))
    found += trends("spend", "orders", spend("orders", "count", None, ""))
    mean = {window: spend("spend", "mean", window) for window in (90, YEAR, None)}
    found.append(derived("spend", "spend_mean_change", "ratio", 90, mean[90], mean[YEAR]))
    found.append(derived("spend", "spend_last_over_mean", "ratio", None, spend("spend", "last", None), mean[None]))
    return found + _returns() + _baskets(tables)


def _returns() -> list[Recipe]:
    counts = [Recipe("spend", "returns", "count", "returns", "", window) for window in (90, YEAR)]
    refund = Recipe("spend", "refund", "sum", "returns", "refund", YEAR)
    spend = Recipe("spend", "spend", "sum", "orders", "spend", YEAR)
    return [*counts, derived("spend", "returns_amount_share", "ratio", YEAR, refund, spend)]


def _baskets(tables: Tables) -> list[Recipe]:
    found = []

    def orders(noun: str, how: str, window: int, value: str) -> Recipe:
        return Recipe("spend", noun, how, "orders", value, window)

    if has(tables, "transactions", "discount"):
        share = {
            window: derived("spend", "discount_share", "share", window, orders("discount", "sum", window, "discount"),
                             orders("spend", "sum", window, "spend"))
            for window in (90, YEAR)
        }  # fmt: skip
        found += [*share.values(), derived("spend", "discount_share_change", "difference", 90, share[90], share[YEAR])]
    for value, column in (("categories", "category"), ("quantity", "quantity")):
        if has(tables, "transactions", column):
            mean = {window: orders(f"basket_{value}", "mean", window, value) for window in (90, YEAR)}
            found += [*mean.values(), derived("spend", f"basket_{value}_change", "ratio", 90, mean[90], mean[YEAR])]
    if has(tables, "transactions", "category"):
        found += [Recipe("spend", "categories", "distinct", "items", "category", window) for window in (90, YEAR)]
        most = Recipe("spend", "category", "most", "items", "category", YEAR)
        rows = Recipe("spend", "category", "count", "items", "category", YEAR)
        found.append(derived("spend", "category_main_share", "ratio", YEAR, most, rows))
    return found


def visit_recipes(tables: Tables, activity: str) -> list[Recipe]:
    """Returns the recipes of visits, if these are recorded."""
    if "visits" not in tables:
        return []

    def visits(noun: str, how: str, window: int | None, value: str = "") -> Recipe:
        return Recipe("visits", noun, how, "visits", value, window)

    found = [visits("visits", "count", window) for window in (7, 30, 90, 180, YEAR)]
    found += [visits("visits", "days", window, "day") for window in (30, 90, YEAR)]
    found += changes("visits", "visits", visits("visits", "count", None))
    if activity != "visits":
        found.append(visits("visit", "days_since_last", None))
    orders = Recipe("visits", "orders", "count", "orders", "", 90)
    found.append(derived("visits", "orders_per_visit", "ratio", 90, orders, visits("visits", "count", 90)))
    if has(tables, "visits", "duration_seconds"):
        mean = {window: visits("visit_seconds", "mean", window, "duration") for window in (90, YEAR)}
        found += [*mean.values(), derived("visits", "visit_seconds_change", "ratio", 90, mean[90], mean[YEAR])]
    return found


def habit_recipes(*, has_visits: bool, has_channel: bool) -> list[Recipe]:
    """Returns the recipes of where and when she comes: by visits, or by purchases where no visits are recorded."""
    coming, stream, days = ("visits", "visits", "visits") if has_visits else ("purchases", "items", "activity")
    found = []
    if has_channel:
        found += [
            Recipe("visits", f"{coming}_channels", "distinct", stream, "channel", window) for window in (90, YEAR)
        ]
        found.append(_main_share(f"{coming}_channel", stream, "channel"))
    found.append(_main_share(f"{coming}_weekday", days, "weekday"))
    if not has_visits:
        found.append(drift("visits", "drift_visits", Recipe("visits", "active", "days", "activity", "day")))
    return found


def _main_share(noun: str, stream: str, value: str) -> Recipe:
    most = Recipe("visits", noun, "most", stream, value, YEAR)
    return derived(
        "visits", f"{noun}_main_share", "ratio", YEAR, most, Recipe("visits", noun, "count", stream, value, YEAR)
    )


def rhythm_recipes(horizon_days: int, gap_days: int, activity: str) -> list[Recipe]:
    """Returns the recipes of active days, their gaps, and what is to be expected of them."""

    def active(noun: str, how: str, window: int | None = None, value: str = "day") -> Recipe:
        return Recipe("rhythm", noun, how, "activity", value, window)

    coming = "visit" if activity == "visits" else "purchase"
    days = active("active", "days")
    since_last, since_first = active(coming, "days_since_last", None, ""), active(coming, "days_since_first", None, "")
    gaps = {name: active("", name) for name in ("gap_mean", "gap_std", "gap_last", "gap_max")}
    windows = sorted({30, 90, 180, YEAR, horizon_days})
    own_gap = derived("rhythm", "own_gap", "own_gap", None, days, since_first, since_last)
    found = [
        *(active("active", "days", window) for window in windows),
        days,
        *gaps.values(),
        since_last,
        since_first,
        own_gap,
    ]
    last_two = active("active", "days", 2 * horizon_days)
    recent = active("active", "days", horizon_days)
    found += [
        derived("rhythm", "gap_last_over_mean", "ratio", None, gaps["gap_last"], gaps["gap_mean"]),
        derived("rhythm", "gap_variation", "ratio", None, gaps["gap_std"], gaps["gap_mean"]),
        derived("rhythm", "recency_over_own_gap", "ratio", None, since_last, own_gap),
        derived("rhythm", "recency_over_gap_max", "ratio", None, since_last, gaps["gap_max"]),
        derived("rhythm", "p_no_visit_by_rhythm", "p_no_visit", None, days, since_first, since_last),
        derived("rhythm", "p_no_visit_or_gone", "p_no_visit_or_gone", None, days, since_first, since_last),
        derived("rhythm", "expected_days", "expected_days", None, days, since_first, since_last),
        derived("rhythm", "season_factor", "season", None, days),
        derived("rhythm", "active_days_before", "difference", horizon_days, last_two, recent),
        *trends("rhythm", "active_days", days),
    ]
    opens, closes = YEAR - gap_days, YEAR - gap_days - horizon_days
    if closes >= 0:
        outer, inner = active("active", "days", opens), active("active", "days", closes)
        found.append(derived("rhythm", "active_days_same_season_last_year", "difference", None, outer, inner))
    return found


def profile_recipes(tables: Tables, attributes: Sequence[str]) -> list[Recipe]:
    """Returns the recipes of the attributes given and of how long she has been a customer."""
    if "customers" not in tables:
        return []
    table, found = tables["customers"], []
    if "since" in table.column_names:
        found.append(Recipe("profile", "joined", "days_since", "profile", "since"))
    for name in attributes:
        if name not in table.column_names:
            continue
        stream = f"profile_{name}" if f"{name}__valid_from" in table.column_names else "profile"
        labels = labels_of(table, name) if pa.types.is_string(table[name].type) else None
        noun, again = f"profile_{slug_of(name)}", 1
        while noun in {recipe.noun for recipe in found}:
            again += 1
            noun = f"profile_{slug_of(name)}_{again}"
        found.append(Recipe("profile", noun, "state", stream, name, labels=labels))
    return found


def contract_recipes(tables: Tables) -> list[Recipe]:
    """Returns the recipes of subscriptions."""
    if "subscriptions" not in tables:
        return []

    def contracts(noun: str, how: str, value: str = "") -> Recipe:
        return Recipe("profile", noun, how, "subscriptions", value)

    found = [
        contracts("contract_end", "days_until", "end"),
        contracts("contract_start", "days_since_last"),
        contracts("contract", "days_since_first"),
        contracts("contracts", "count"),
    ]
    if has(tables, "subscriptions", "plan"):
        plans = labels_of(tables["subscriptions"], "plan")
        found.append(Recipe("profile", "contract_plan", "state", "subscriptions", "plan", labels=plans))
    if has(tables, "subscriptions", "amount"):
        last, mean = contracts("contract_amount", "last", "amount"), contracts("contract_amount", "mean", "amount")
        found += [last, derived("profile", "contract_amount_change", "ratio", None, last, mean)]
    if has(tables, "subscriptions", "ended_at"):
        found.append(contracts("contracts_ended", "count", "ended"))
    return found
