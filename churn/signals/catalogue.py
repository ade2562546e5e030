"""Catalogue: the recipes that a set of tables allows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn.signals.recipes import Recipe
from churn.timeline import voice

Tables = Mapping[str, pa.Table]

MOST_KINDS = 12
"""Kinds of incident with a column of their own."""

MOST_LABELS = 50
"""Labels of one category; the rest are null."""

YEAR = 365


def recipes_for(
    tables: Tables, *, horizon_days: int, gap_days: int = 0, attributes: Sequence[str] = (), activity: str = "purchases"
) -> tuple[Recipe, ...]:
    """Returns the recipes that the tables allow; those of absent tables and columns are left out.

    Kinds of incident and labels of categories are frozen from the rows given, so give the training period only.

    Args:
        attributes: columns of `customers` that may be features (never sensitive ones).
        activity: what "coming" means, `purchases` or `visits`.

    Raises:
        ValueError: when two recipes would have the same name.
    """
    has_visits = "visits" in tables
    found = [
        *_spend(tables, activity),
        *(_visits(tables["visits"], activity) if has_visits else ()),
        *_habits("visits" if has_visits else "items", has_channel=_has(tables, "visits" if has_visits else "transactions", "channel"),
                 has_visits=has_visits),
        *_rhythm(horizon_days, gap_days, activity),
        *_contacts(tables),
        *_incidents(tables),
        *_feedback(tables),
        *_invitations(tables),
        *_words(tables),
        *_unfollowed(tables),
        *_profile(tables, attributes),
        *_subscriptions(tables),
    ]  # fmt: skip
    names = [recipe.name for recipe in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two recipes have the same name: {', '.join(twice)}")
    return tuple(found)


def _spend(tables: Tables, activity: str) -> list[Recipe]:
    def spend(noun: str, how: str, window: int | None, value: str = "spend") -> Recipe:
        return Recipe("spend", noun, how, "orders", value, window)

    found = [spend("orders", "count", window, "") for window in (7, 30, 90, 180, YEAR, None)]
    found += [spend("spend", "sum", window) for window in (30, 90, 180, YEAR, None)]
    found += [spend("spend", "mean", window) for window in (90, YEAR)]
    found += [spend("spend", "max", YEAR), spend("spend", "last", None)]
    if activity != "purchases":
        found.append(spend("purchase", "days_since_last", None, ""))
    found += _changes("spend", "spend", spend("spend", "sum", None))
    found += _trends("spend", "orders", spend("orders", "count", None, ""))
    found.append(
        _derived("spend", "spend_mean_change", "ratio", 90, spend("spend", "mean", 90), spend("spend", "mean", YEAR))
    )
    found.append(
        _derived(
            "spend", "spend_last_over_mean", "ratio", None, spend("spend", "last", None), spend("spend", "mean", None)
        )
    )
    return found + _returns() + _baskets(tables)


def _returns() -> list[Recipe]:
    counts = [Recipe("spend", "returns", "count", "returns", "", window) for window in (90, YEAR)]
    refund = Recipe("spend", "refund", "sum", "returns", "refund", YEAR)
    spend = Recipe("spend", "spend", "sum", "orders", "spend", YEAR)
    return [*counts, _derived("spend", "returns_amount_share", "ratio", YEAR, refund, spend)]


def _baskets(tables: Tables) -> list[Recipe]:
    found = []

    def orders(noun: str, how: str, window: int, value: str) -> Recipe:
        return Recipe("spend", noun, how, "orders", value, window)

    if _has(tables, "transactions", "discount"):
        share = {
            window: _derived("spend", "discount_share", "share", window, orders("discount", "sum", window, "discount"),
                             orders("spend", "sum", window, "spend"))
            for window in (90, YEAR)
        }  # fmt: skip
        found += [*share.values(), _derived("spend", "discount_share_change", "difference", 90, share[90], share[YEAR])]
    for value, column in (("categories", "category"), ("quantity", "quantity")):
        if _has(tables, "transactions", column):
            mean = {window: orders(f"basket_{value}", "mean", window, value) for window in (90, YEAR)}
            found += [*mean.values(), _derived("spend", f"basket_{value}_change", "ratio", 90, mean[90], mean[YEAR])]
    if _has(tables, "transactions", "category"):
        found += [Recipe("spend", "categories", "distinct", "items", "category", window) for window in (90, YEAR)]
        most = Recipe("spend", "category", "most", "items", "category", YEAR)
        rows = Recipe("spend", "category", "count", "items", "category", YEAR)
        found.append(_derived("spend", "category_main_share", "ratio", YEAR, most, rows))
    return found


def _visits(table: pa.Table, activity: str) -> list[Recipe]:
    def visits(noun: str, how: str, window: int | None, value: str = "") -> Recipe:
        return Recipe("visits", noun, how, "visits", value, window)

    found = [visits("visits", "count", window) for window in (7, 30, 90, 180, YEAR)]
    found += [visits("visits", "days", window, "day") for window in (30, 90, YEAR)]
    found += _changes("visits", "visits", visits("visits", "count", None))
    if activity != "visits":
        found.append(visits("visit", "days_since_last", None))
    orders = Recipe("visits", "orders", "count", "orders", "", 90)
    found.append(_derived("visits", "orders_per_visit", "ratio", 90, orders, visits("visits", "count", 90)))
    if "duration_seconds" in table.column_names:
        mean = {window: visits("visit_seconds", "mean", window, "duration") for window in (90, YEAR)}
        found += [*mean.values(), _derived("visits", "visit_seconds_change", "ratio", 90, mean[90], mean[YEAR])]
    return found


def _habits(stream: str, *, has_channel: bool, has_visits: bool) -> list[Recipe]:
    """Where and when she comes: by her visits, or by her purchases where visits are not recorded."""
    coming, days = ("visits", "visits") if has_visits else ("purchases", "activity")
    found = []
    if has_channel:
        found += [
            Recipe("visits", f"{coming}_channels", "distinct", stream, "channel", window) for window in (90, YEAR)
        ]
        found.append(_main_share(f"{coming}_channel", stream, "channel"))
    found.append(_main_share(f"{coming}_weekday", days, "weekday"))
    if not has_visits:
        found.append(_drift("visits", "drift_visits", Recipe("visits", "active", "days", "activity", "day")))
    return found


def _main_share(noun: str, stream: str, value: str) -> Recipe:
    most = Recipe("visits", noun, "most", stream, value, YEAR)
    return _derived(
        "visits", f"{noun}_main_share", "ratio", YEAR, most, Recipe("visits", noun, "count", stream, value, YEAR)
    )


def _rhythm(horizon_days: int, gap_days: int, activity: str) -> list[Recipe]:
    def active(noun: str, how: str, window: int | None = None, value: str = "day") -> Recipe:
        return Recipe("rhythm", noun, how, "activity", value, window)

    coming = "visit" if activity == "visits" else "purchase"
    days = active("active", "days")
    since_last, since_first = active(coming, "days_since_last", None, ""), active(coming, "days_since_first", None, "")
    gaps = {name: active("", name) for name in ("gap_mean", "gap_std", "gap_last", "gap_max")}
    windows = sorted({30, 90, 180, YEAR, horizon_days})
    own_gap = _derived("rhythm", "own_gap", "own_gap", None, days, since_first, since_last)
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
        _derived("rhythm", "gap_last_over_mean", "ratio", None, gaps["gap_last"], gaps["gap_mean"]),
        _derived("rhythm", "gap_variation", "ratio", None, gaps["gap_std"], gaps["gap_mean"]),
        _derived("rhythm", "recency_over_own_gap", "ratio", None, since_last, own_gap),
        _derived("rhythm", "recency_over_gap_max", "ratio", None, since_last, gaps["gap_max"]),
        _derived("rhythm", "p_no_visit_by_rhythm", "p_no_visit", None, days, since_first, since_last),
        _derived("rhythm", "expected_days", "expected_days", None, days, since_first, since_last),
        _derived("rhythm", "season_factor", "season", None, days),
        _derived("rhythm", "active_days_before", "difference", horizon_days, last_two, recent),
        *_trends("rhythm", "active_days", days),
    ]
    opens, closes = YEAR - gap_days, YEAR - gap_days - horizon_days
    if closes >= 0:
        outer, inner = active("active", "days", opens), active("active", "days", closes)
        found.append(_derived("rhythm", "active_days_same_season_last_year", "difference", None, outer, inner))
    return found


def _contacts(tables: Tables) -> list[Recipe]:
    if "contacts" not in tables:
        return []

    def contacts(noun: str, how: str, window: int | None, value: str = "") -> Recipe:
        return Recipe("service", noun, how, "contacts", value, window)

    found = [contacts("contacts", "count", window) for window in (30, 90, YEAR)]
    found.append(contacts("contact", "days_since_last", None))
    found.append(_trend("service", "contacts", contacts("contacts", "count", None), 90, YEAR))
    if _has(tables, "contacts", "resolved_at"):
        found += [contacts("contacts_unresolved", "count", window, "unresolved") for window in (30, 180)]
        found.append(contacts("unresolved_contact", "days_since_last", None, "unresolved"))
        found.append(contacts("contact_days_to_resolve", "mean", YEAR, "resolving"))
    if _has(tables, "contacts", "is_complaint"):
        found += [contacts("contacts_complaint", "count", window, "complaint") for window in (90, YEAR)]
    for value in ("wait", "handle"):
        if _has(tables, "contacts", f"{value}_seconds"):
            found += [contacts(f"{value}_seconds", "mean", 90, value), contacts(f"{value}_seconds", "max", YEAR, value)]
    if _has(tables, "contacts", "topic"):
        found.append(contacts("contacts_of_one_topic", "most", 30, "topic"))
    return found + _cases(tables)


def _cases(tables: Tables) -> list[Recipe]:
    if not _has(tables, "contacts", "case_id"):
        return []

    def cases(noun: str, how: str, value: str) -> Recipe:
        return Recipe("service", noun, how, "contacts", value, 180)

    distinct = cases("cases", "distinct", "case")
    found = [
        distinct,
        _derived("service", "contacts_per_case", "ratio", 180, cases("contacts", "count", "case"), distinct),
        cases("contacts_of_one_case", "most", "case"),
    ]
    for noun, column in (("agents", "agent_id"), ("channels", "channel")):
        if _has(tables, "contacts", column):
            pairs = cases(f"case_{noun}", "distinct", f"case_{noun[:-1]}")
            found.append(_derived("service", f"{noun}_per_case", "ratio", 180, pairs, distinct))
    if _has(tables, "contacts", "resolved_at"):
        once = cases("cases_resolved_at_once", "once", "case_resolved")
        found.append(_derived("service", "first_contact_resolution", "ratio", 180, once, distinct))
    return found


def _incidents(tables: Tables) -> list[Recipe]:
    if "incidents" not in tables:
        return []

    def incidents(noun: str, how: str, window: int | None, value: str = "") -> Recipe:
        return Recipe("incidents", noun, how, "incidents", value, window)

    found = [incidents("incidents", "count", window) for window in (30, 90, YEAR)]
    found.append(incidents("incident", "days_since_last", None))
    found += [
        incidents(f"incidents_{slug}", "count", 180, f"kind={kind}")
        for kind, slug in _slugs(tables["incidents"]["kind"])
    ]
    if _has(tables, "incidents", "severity"):
        found += [incidents("severity", "sum", window, "severity") for window in (90, YEAR)]
        found.append(incidents("severity", "max", YEAR, "severity"))
    for noun, stream in (("order", "orders"), ("visit", "visits")):
        if stream == "orders" or stream in tables:
            coming = Recipe("incidents", f"{noun}s", "count", stream, "", YEAR)
            per = (incidents("incidents", "count", YEAR), coming)
            found.append(_derived("incidents", f"incidents_per_{noun}", "ratio", YEAR, *per))
    return found


def _feedback(tables: Tables) -> list[Recipe]:
    if "feedback" not in tables:
        return []
    has_score = _has(tables, "feedback", "score")
    found = [Recipe("feedback", "feedback", "count", "feedback", "", window) for window in (90, YEAR)]
    kinds = (("complaint", (90, YEAR)), ("mention", (90, YEAR)))
    found += [
        Recipe("feedback", f"feedback_{kind}", "count", "feedback", f"kind={kind}", window)
        for kind, windows in kinds for window in windows
    ]  # fmt: skip
    found += _scores("score", "feedback", has_score=has_score)
    if bool(voice.is_by_self(tables["feedback"]).all()):
        return found
    found += [Recipe("feedback", "about", "count", "about", "", window) for window in (90, YEAR)]
    return found + _scores("about_score", "about", has_score=has_score)


def _scores(noun: str, stream: str, *, has_score: bool) -> list[Recipe]:
    negative = Recipe("feedback", "negative", "count", stream, "negative", YEAR)
    rows = Recipe("feedback", "feedback", "count", stream, "", YEAR)
    share = _derived("feedback", f"{noun.replace('score', '')}negative_share", "ratio", YEAR, negative, rows)
    if not has_score:
        return [share]
    last, mean = (Recipe("feedback", noun, how, stream, "score") for how in ("last", "mean"))
    year = [Recipe("feedback", noun, how, stream, "score", YEAR) for how in ("mean", "min")]
    return [last, *year, _derived("feedback", f"{noun}_change", "difference", None, last, mean), share]


def _invitations(tables: Tables) -> list[Recipe]:
    if "invitations" not in tables:
        return []

    def invitations(noun: str, how: str, window: int | None, value: str = "") -> Recipe:
        return Recipe("silence", noun, how, "invitations", value, window)

    asked = invitations("invitations", "count", None)
    found = [invitations("invitations", "count", YEAR), _derived("silence", "never_asked", "is_zero", None, asked)]
    if not _has(tables, "invitations", "answered_at"):
        return found
    rate = {
        window: _derived("silence", "response_rate", "ratio", window, invitations("answered", "count", window, "answered"),
                         invitations("invitations", "count", window))
        for window in (90, None)
    }  # fmt: skip
    return [
        *found,
        *(invitations("invitations_unanswered", "count", window, "unanswered") for window in (90, YEAR)),
        invitations("invitations_unanswered", "streak", None, "unanswered"),
        invitations("answered_invitation", "days_since_last", None, "answered"),
        *rate.values(),
        _derived("silence", "response_rate_change", "difference", 90, rate[90], rate[None]),
    ]


def _words(tables: Tables) -> list[Recipe]:
    if "contacts" not in tables and "feedback" not in tables:
        return []
    words = {window: Recipe("silence", "words", "count", "words", "", window) for window in (90, YEAR, None)}
    found = [
        *(words[window] for window in (90, YEAR)),
        Recipe("silence", "word", "days_since_last", "words"),
        _derived("silence", "stopped_talking", "stopped", 90, words[90], words[YEAR]),
        _drift("silence", "drift_words", words[None]),
    ]
    if voice.has_voice(tables):
        found += [
            Recipe("silence", "voice", "days_since_last", "voice"),
            Recipe("silence", "voice", "count", "voice", "", YEAR),
        ]
    if "feedback" in tables:
        said = Recipe("silence", "feedback", "count", "feedback")
        found.append(_drift("silence", "drift_mentions", said))
    return found


def _unfollowed(tables: Tables) -> list[Recipe]:
    """Incidents after which she said nothing."""
    if "incidents" not in tables or not {"contacts", "feedback"} & set(tables):
        return []

    def incidents(noun: str, how: str, window: int | None, value: str) -> Recipe:
        return Recipe("silence", noun, how, "incidents", value, window)

    counts = {window: incidents("incidents_unfollowed", "count", window, "unfollowed") for window in (90, YEAR)}
    matured = incidents("incidents_matured", "count", YEAR, "matured")
    found = [
        *counts.values(),
        _derived("silence", "incidents_unfollowed_share", "ratio", YEAR, counts[YEAR], matured),
        incidents("unfollowed_incident", "days_since_last", None, "unfollowed"),
    ]
    if _has(tables, "incidents", "severity"):
        found.append(incidents("severity_unfollowed", "sum", 180, "unfollowed_severity"))
    return found


def _profile(tables: Tables, attributes: Sequence[str]) -> list[Recipe]:
    if "customers" not in tables:
        return []
    table, found = tables["customers"], []
    if "since" in table.column_names:
        found.append(Recipe("profile", "joined", "days_since", "profile", "since"))
    for name in attributes:
        if name not in table.column_names:
            continue
        stream = f"profile_{name}" if f"{name}__valid_from" in table.column_names else "profile"
        labels = _labels(table[name]) if pa.types.is_string(table[name].type) else None
        found.append(Recipe("profile", f"profile_{_slug(name)}", "state", stream, name, labels=labels))
    return found


def _subscriptions(tables: Tables) -> list[Recipe]:
    if "subscriptions" not in tables:
        return []

    def contracts(noun: str, how: str, value: str = "") -> Recipe:
        return Recipe("profile", noun, how, "subscriptions", value)

    found = [
        contracts("contract_end", "days_until", "end"),
        contracts("contract_start", "days_since_last"),
        contracts("first_contract", "days_since_first"),
        contracts("contracts", "count"),
    ]
    if _has(tables, "subscriptions", "plan"):
        found.append(
            Recipe(
                "profile",
                "contract_plan",
                "state",
                "subscriptions",
                "plan",
                labels=_labels(tables["subscriptions"]["plan"]),
            )
        )
    if _has(tables, "subscriptions", "amount"):
        last, mean = contracts("contract_amount", "last", "amount"), contracts("contract_amount", "mean", "amount")
        found += [last, _derived("profile", "contract_amount_change", "ratio", None, last, mean)]
    if _has(tables, "subscriptions", "ended_at"):
        found.append(contracts("contracts_ended", "count", "ended"))
    return found


def _derived(signal: str, noun: str, how: str, window: int | None, *of: Recipe) -> Recipe:
    return Recipe(signal, noun, how, window=window, of=of)


def _windowed(recipe: Recipe, window: int) -> Recipe:
    return Recipe(recipe.signal, recipe.noun, recipe.how, recipe.table, recipe.value, window)


def _changes(signal: str, noun: str, recipe: Recipe) -> list[Recipe]:
    return [*_trends(signal, noun, recipe), _drift(signal, f"drift_{noun}", recipe)]


def _trends(signal: str, noun: str, recipe: Recipe) -> list[Recipe]:
    return [_trend(signal, noun, recipe, short, long) for short, long in ((30, 180), (90, YEAR))]


def _trend(signal: str, noun: str, recipe: Recipe, short: int, long: int) -> Recipe:
    """Her rate in the short window over her rate in the long one that holds it."""
    return _derived(signal, f"{noun}_trend", "rate_ratio", short, _windowed(recipe, short), _windowed(recipe, long))


def _drift(signal: str, noun: str, recipe: Recipe) -> Recipe:
    """Her rate in the last 90 days over her own in the 90 days before them: her baseline."""
    return _derived(signal, noun, "baseline_ratio", None, _windowed(recipe, 90), _windowed(recipe, 180))


def _has(tables: Tables, table: str, column: str) -> bool:
    return table in tables and column in tables[table].column_names


def _labels(column: pa.ChunkedArray) -> tuple[str, ...]:
    """The most frequent labels (ties in alphabetical order), sorted."""
    counts = pc.value_counts(column.drop_null())
    ranked = sorted((-row["counts"], row["values"]) for row in counts.to_pylist())
    return tuple(sorted(label for _, label in ranked[:MOST_LABELS]))


def _slugs(kinds: pa.ChunkedArray) -> list[tuple[str, str]]:
    """The most frequent kinds with the part of a column's name that stands for each."""
    ranked = pc.value_counts(kinds.drop_null()).to_pylist()
    chosen = sorted(ranked, key=lambda row: (-row["counts"], row["values"]))[:MOST_KINDS]
    taken: dict[str, str] = {}
    for kind in sorted(row["values"] for row in chosen):
        slug = _slug(kind)
        taken[slug if slug not in taken else f"{slug}_{len(taken)}"] = kind
    return [(kind, slug) for slug, kind in taken.items()]


def _slug(label: str) -> str:
    return re.sub(r"\W+", "_", label.lower()).strip("_") or "other"
