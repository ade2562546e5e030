"""Sentences: what every feature says about one customer, in words with her own numbers; facts, never causes.

"Her usual" is her own rate before the window the sentence speaks of: over the rest of the year before the cutoff, or
over all her time where that is shorter than a year.
"""

from __future__ import annotations

from churn.drivers import tellings
from churn.drivers.phrases import (
    Lean,
    Row,
    Sentence,
    Tell,
    Told,
    ago,
    amounts,
    average,
    bad_above,
    bad_below,
    counts,
    days,
    duration,
    money,
    neutral,
    number,
    says,
    share,
    ten,
    usual,
)
from churn.signals.recipes import Recipe
from churn.signals.streams import FOLLOW_DAYS

OF_KIND = "*"
"""Stands for the noun of an incident's kind, which the user's own data names."""


# What sounds like risk: any, more than one, less than before, a poor score, whatever the number.
_SOME = bad_above(0)
_SEVERAL = bad_above(1)
_FALLING = bad_below(1)
_POOR = bad_below(0.6)
_ALWAYS = bad_above(-1)


def sentence(recipe: Recipe, row: Row) -> Told | None:
    """Returns what a feature says about a customer; None where it is null and its absence says nothing."""
    how = SENTENCES.get(key_of(recipe))
    x = row.rows.cell(recipe.name, row.index)
    if isinstance(x, str):
        return tellings.labelled(recipe, x)
    if x is not None:
        return how.tell(recipe, row, x) if how else tellings.plain(recipe, row, x)
    if how and how.absent and any(row.number(name) is not None for name in how.told_by):
        return Told(how.absent, is_weak=key_of(recipe) not in _TELLING)
    return None


def is_her_own(recipe: Recipe) -> bool:
    """Returns whether a feature says anything of one customer: the season is the same for everybody.

    >>> is_her_own(Recipe("rhythm", "season_factor", "season"))
    False
    """
    return recipe.how != "season"


def telling_absence(recipe: Recipe) -> tuple[str, ...]:
    """Returns the features one of which must be known for the absence of this one to be a reason; none where it is
    never one.

    >>> telling_absence(Recipe("feedback", "about_score", "last", "about", "score"))
    ()
    """
    how = SENTENCES.get(key_of(recipe))
    return how.told_by if how and how.absent and key_of(recipe) in _TELLING else ()


def key_of(recipe: Recipe) -> tuple[str, str]:
    """Returns where in `SENTENCES` to look.

    >>> key_of(Recipe("incidents", "incidents_late", "count", "incidents", "kind=late", 180))
    ('*', 'count')
    """
    is_of_kind = recipe.table == "incidents" and recipe.value.startswith("kind=")
    return (OF_KIND if is_of_kind else recipe.noun), recipe.how


def _as_part(place: int, *, otherwise: Tell = tellings.plain) -> Sentence:
    """How to tell a feature by the one it is made from, `recipe.of[place]`: that one has the plainer numbers."""

    def tell(recipe: Recipe, row: Row, x: float) -> Told | None:
        part = recipe.of[place]
        is_told = row.rows.cell(part.name, row.index) is not None
        return (sentence(part, row) if is_told else None) or otherwise(recipe, row, x)

    return Sentence(tell)


def _pace(what: str, *, lean: Lean = _FALLING) -> Sentence:
    """How fast she goes in a short window beside a long one (a trend), or beside the time before it (a drift)."""

    def tell(recipe: Recipe, row: Row, x: float) -> Told | None:
        short, long = (part.window or 0 for part in recipe.of)
        before = (
            f"in the {long - short} days before" if recipe.how == "baseline_ratio" else f"over the last {long} days"
        )
        pace = f"{share(x)} of" if x < 2 else f"{number(x)} times"
        # Where visits are not recorded, the days of her purchases stand for them.
        told = _ACTIVE_DAYS if recipe.of[0].noun == "active" else what
        return Told(f"{told} in the last {short} days: {pace} her pace {before}.", lean(x))

    return Sentence(tell)


def _trend(what: str) -> Sentence:
    return _as_part(0, otherwise=_pace(what).tell)


_TELLING = frozenset({
    ("purchase", "days_since_last"), ("visit", "days_since_last"), ("contact", "days_since_last"),
    ("word", "days_since_last"), ("answered_invitation", "days_since_last"),
})  # fmt: skip
"""Absences that tell: she has never come, never spoken, never answered. That nobody scored her tells nothing of her."""
_ACTIVE_DAYS = "Days on which she came"
_SEEN_CONTACTS = ("contacts_count_30d", "contacts_count_90d", "contacts_count_365d")
_SEEN_INCIDENTS = ("incidents_count_30d", "incidents_count_90d", "incidents_count_365d")
_SEEN_FEEDBACK = ("feedback_count_90d", "feedback_count_365d")
_SEEN_ABOUT = ("about_count_90d", "about_count_365d")
_SEEN_WORDS = ("words_count_90d", "words_count_365d")
_SEEN_VISITS = ("visits_count_7d", "visits_count_30d", "visits_count_90d", "visits_count_365d")
_NO_WORD = f"she said nothing within {FOLLOW_DAYS} days"
_SCALE = "(every scale brought to 0-10)"

SENTENCES: dict[tuple[str, str], Sentence] = {
    # spend
    ("orders", "count"): counts("No order", "1 order", "{n} orders", versus=usual),
    ("spend", "sum"): amounts("Spent nothing", "Spent {value}", show=money, versus=usual),
    ("spend", "mean"): says("Her orders {period} averaged {value}{year}.", show=money),
    ("spend", "max"): says("Largest order {period}: {value}.", show=money),
    ("spend", "last"): Sentence(tellings.last_spend),
    ("spend_trend", "rate_ratio"): _trend("Spend"),
    ("orders_trend", "rate_ratio"): _trend("Orders"),
    ("drift_spend", "baseline_ratio"): _pace("Spend"),
    ("spend_mean_change", "ratio"): _as_part(0),
    ("spend_last_over_mean", "ratio"): _as_part(0),
    ("returns", "count"): counts("No return", "1 return", "{n} returns", lean=_SOME),
    ("returns_amount_share", "ratio"): says(
        "Returned goods worth {value} of what she spent {period}.", show=share, lean=_SOME
    ),
    ("discount_share", "share"): says("Discounts took {value} off her orders {period}{year}.", show=share),
    ("discount_share_change", "difference"): _as_part(0),
    ("basket_categories", "mean"): says("Categories per order {period}: {value}{year}."),
    ("basket_quantity", "mean"): says("Items per order {period}: {value}{year}."),
    ("basket_categories_change", "ratio"): _as_part(0),
    ("basket_quantity_change", "ratio"): _as_part(0),
    ("categories", "distinct"): counts(
        "Bought from no category", "Bought from 1 category", "Bought from {n} categories"
    ),
    ("category_main_share", "ratio"): says("{value} of what she bought {period} was of one category.", show=share),
    # visits
    ("visits", "count"): counts("No visit", "1 visit", "{n} visits", versus=average),
    ("visits", "days"): counts("Visited on no day", "Visited on 1 day", "Visited on {n} days", versus=average),
    ("visits_trend", "rate_ratio"): _trend("Visits"),
    ("drift_visits", "baseline_ratio"): _pace("Visits"),
    ("orders_per_visit", "ratio"): says("Orders per visit {period}: {value}."),
    ("visit_seconds", "mean"): says("Her visits {period} lasted {value} on average{year}.", show=duration),
    ("visit_seconds_change", "ratio"): _as_part(0),
    ("visits_channels", "distinct"): counts(
        "Visited through no known channel", "Visited through 1 channel", "Visited through {n} channels"
    ),
    ("purchases_channels", "distinct"): counts(
        "Bought through no known channel", "Bought through 1 channel", "Bought through {n} channels"
    ),
    ("visits_channel_main_share", "ratio"): says(
        "{value} of her visits {period} came through one channel.", show=share
    ),
    ("purchases_channel_main_share", "ratio"): says(
        "{value} of what she bought {period} came through one channel.", show=share
    ),
    ("visits_weekday_main_share", "ratio"): says(
        "{value} of her visits {period} fell on the same day of the week.", show=share
    ),
    ("purchases_weekday_main_share", "ratio"): says(
        "{value} of her purchases {period} fell on the same day of the week.", show=share
    ),
    # rhythm
    ("active", "days"): counts("{came} on no day", "{came} on 1 day", "{came} on {n} days", versus=usual),
    ("purchase", "days_since_last"): Sentence(tellings.last_time, "No purchase on record.", ("orders_count",)),
    ("visit", "days_since_last"): Sentence(tellings.last_time, "No visit on record.", _SEEN_VISITS),
    ("purchase", "days_since_first"): says("First purchase on record {value}.", show=ago),
    ("visit", "days_since_first"): says("First visit on record {value}.", show=ago),
    ("", "gap_mean"): Sentence(tellings.recency),
    ("", "gap_std"): Sentence(tellings.gap_spread),
    ("", "gap_last"): Sentence(tellings.gap_last),
    ("", "gap_max"): Sentence(tellings.gap_max),
    ("own_gap", "own_gap"): Sentence(tellings.recency),
    ("gap_last_over_mean", "ratio"): _as_part(0),
    ("gap_variation", "ratio"): _as_part(0),
    ("recency_over_own_gap", "ratio"): Sentence(tellings.recency),
    ("recency_over_gap_max", "ratio"): _as_part(1),
    ("p_no_visit_by_rhythm", "p_no_visit"): Sentence(tellings.chance_of_absence),
    ("p_no_visit_or_gone", "p_no_visit_or_gone"): Sentence(tellings.chance_of_leaving),
    ("expected_days", "expected_days"): Sentence(tellings.expected),
    ("season_factor", "season"): Sentence(tellings.season),
    ("active_days_before", "difference"): Sentence(tellings.days_before),
    ("active_days_trend", "rate_ratio"): _trend(_ACTIVE_DAYS),
    ("active_days_same_season_last_year", "difference"): Sentence(tellings.last_year),
    # service
    ("contacts", "count"): counts(
        "No contact with customer service", "1 contact with customer service", "{n} contacts with customer service"
    ),
    ("contact", "days_since_last"): says(
        "Last contact with customer service {value}.",
        show=ago,
        absent="No contact with customer service on record.",
        told_by=_SEEN_CONTACTS,
    ),
    ("contacts_trend", "rate_ratio"): _pace("Contacts", lean=neutral),
    ("contacts_unresolved", "count"): counts(
        "No contact made {period} is unresolved",
        "1 contact made {period} is still unresolved",
        "{n} contacts made {period} are still unresolved",
        lean=_SOME,
    ),
    ("unresolved_contact", "days_since_last"): says(
        "A contact made {value} is still unresolved.",
        show=ago,
        lean=_ALWAYS,
        absent="No unresolved contact on record.",
        told_by=_SEEN_CONTACTS,
    ),
    ("contact_days_to_resolve", "mean"): says("Resolving her contacts {period} took {value} on average.", show=days),
    ("contacts_complaint", "count"): counts(
        "No complaint to customer service",
        "1 complaint to customer service",
        "{n} complaints to customer service",
        lean=_SOME,
    ),
    ("wait_seconds", "mean"): says("Waited {value} per contact on average {period}.", show=duration),
    ("wait_seconds", "max"): says("Longest wait for customer service {period}: {value}.", show=duration),
    ("handle_seconds", "mean"): says("Her contacts {period} took {value} on average.", show=duration),
    ("handle_seconds", "max"): says("Longest contact {period}: {value}.", show=duration),
    ("contacts_of_one_topic", "most"): counts(
        "No contact on a known topic", "At most 1 contact on one topic", "{n} contacts on one topic"
    ),
    ("cases", "distinct"): counts(
        "No case with customer service", "1 case with customer service", "{n} cases with customer service"
    ),
    ("contacts_per_case", "ratio"): says("Contacts per case {period}: {value}.", lean=_SEVERAL),
    ("contacts_of_one_case", "most"): counts(
        "No contact on a case", "At most 1 contact on one case", "{n} contacts on one case", lean=_SEVERAL
    ),
    ("agents_per_case", "ratio"): says("Agents per case {period}: {value}.", lean=_SEVERAL),
    ("channels_per_case", "ratio"): says("Channels per case {period}: {value}.", lean=_SEVERAL),
    ("first_contact_resolution", "ratio"): says(
        "{value} of her cases {period} were resolved at the first contact.", show=share
    ),
    # incidents
    ("incidents", "count"): Sentence(tellings.incidents),
    (OF_KIND, "count"): Sentence(tellings.incidents_of_kind),
    ("incident", "days_since_last"): says(
        "Last incident {value}.", show=ago, absent="No incident on record.", told_by=_SEEN_INCIDENTS
    ),
    ("severity", "sum"): Sentence(tellings.severity),
    ("severity", "max"): says("Severity of her worst incident {period}: {value}.", lean=_SOME),
    ("incidents_per_order", "ratio"): says("Incidents per order {period}: {value}.", lean=_SOME),
    ("incidents_per_visit", "ratio"): says("Incidents per visit {period}: {value}.", lean=_SOME),
    # feedback
    ("feedback", "count"): counts("Gave no feedback", "Gave feedback once", "Gave feedback {n} times"),
    ("feedback_complaint", "count"): counts(
        "No complaint in her feedback", "1 complaint in her feedback", "{n} complaints in her feedback", lean=_SOME
    ),
    ("feedback_mention", "count"): counts("No mention by her", "1 mention by her", "{n} mentions by her"),
    ("score", "last"): Sentence(tellings.last_score, "No score on record.", _SEEN_FEEDBACK),
    ("score", "mean"): says(f"Average score {{period}}: {{value}} {_SCALE}.", show=ten, lean=_POOR),
    ("score", "min"): says(f"Lowest score {{period}}: {{value}} {_SCALE}.", show=ten, lean=_POOR),
    ("score_change", "difference"): _as_part(0),
    ("negative_share", "ratio"): says("{value} of her feedback {period} was negative.", show=share, lean=_SOME),
    ("about", "count"): counts(
        "Nobody else gave feedback about her",
        "Others gave feedback about her once",
        "Others gave feedback about her {n} times",
    ),
    ("about_score", "last"): Sentence(tellings.last_score, "No score by others on record.", _SEEN_ABOUT),
    ("about_score", "mean"): says(f"Average score by others {{period}}: {{value}} {_SCALE}.", show=ten, lean=_POOR),
    ("about_score", "min"): says(f"Lowest score by others {{period}}: {{value}} {_SCALE}.", show=ten, lean=_POOR),
    ("about_score_change", "difference"): _as_part(0),
    ("about_negative_share", "ratio"): says(
        "{value} of the feedback by others {period} was negative.", show=share, lean=_SOME
    ),
    # silence
    ("invitations", "count"): counts("No survey invitation", "1 survey invitation", "{n} survey invitations"),
    ("never_asked", "is_zero"): Sentence(tellings.never_asked),
    ("invitations_unanswered", "count"): counts(
        "No survey invitation sent {period} is unanswered",
        "1 survey invitation sent {period} is unanswered",
        "{n} survey invitations sent {period} are unanswered",
        lean=_SOME,
    ),
    ("invitations_unanswered", "streak"): Sentence(tellings.streak),
    ("answered_invitation", "days_since_last"): says(
        "The last survey invitation she answered was sent {value}.",
        show=ago,
        absent="No answer to a survey on record.",
        told_by=("never_asked",),
    ),
    ("response_rate", "ratio"): Sentence(tellings.response_rate),
    ("response_rate_change", "difference"): _as_part(0),
    ("words", "count"): Sentence(tellings.words),
    ("word", "days_since_last"): says(
        "Last heard from her {value}.", show=ago, absent="No contact or feedback on record.", told_by=_SEEN_WORDS
    ),
    ("stopped_talking", "stopped"): _as_part(0),
    ("drift_words", "baseline_ratio"): _pace("Contacts and feedback"),
    ("drift_mentions", "baseline_ratio"): _pace("Feedback"),
    ("voice", "days_since_last"): says(
        "Last said that something was wrong {value}.",
        show=ago,
        absent="No word on record that something was wrong.",
        told_by=_SEEN_WORDS,
    ),
    ("voice", "count"): counts(
        "Has not said {period} that something was wrong",
        "Said once {period} that something was wrong",
        "Said {n} times {period} that something was wrong",
    ),
    ("incidents_unfollowed", "count"): counts(
        "No incident {period} was met with silence",
        f"1 thing went wrong {{period}} and {_NO_WORD}",
        f"{{n}} things went wrong {{period}} and {_NO_WORD}",
        lean=_SOME,
    ),
    ("incidents_unfollowed_share", "ratio"): says(
        f"Of her incidents {{period}} at least {FOLLOW_DAYS} days old, {{value}} were met with silence.",
        show=share,
        lean=_SOME,
    ),
    ("unfollowed_incident", "days_since_last"): says(
        f"Something went wrong {{value}} and {_NO_WORD}.",
        show=ago,
        lean=_ALWAYS,
        absent="No incident met with silence on record.",
        told_by=_SEEN_INCIDENTS,
    ),
    ("severity_unfollowed", "sum"): Sentence(tellings.severity_unfollowed),
    ("hidden_friction", "sum"): Sentence(tellings.hidden_friction),
    ("young_friction", "sum"): Sentence(tellings.young_friction),
    # profile
    ("joined", "days_since"): Sentence(tellings.joined),
    ("contract_end", "days_until"): Sentence(tellings.contract_end),
    ("contract_start", "days_since_last"): says("Her contract began {value}.", show=ago),
    ("contract", "days_since_first"): says("Her first contract began {value}.", show=ago),
    ("contracts", "count"): counts("No contract", "1 contract", "{n} contracts"),
    ("contract_amount", "last"): Sentence(tellings.contract_amount),
    ("contract_amount_change", "ratio"): _as_part(0),
    ("contracts_ended", "count"): counts("No contract has ended", "1 contract has ended", "{n} contracts have ended"),
}
"""Every family of recipes by (noun, how), and how it is told; what is not here is told by its plain name."""
