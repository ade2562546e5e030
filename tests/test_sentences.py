"""Sentences: true for the row they speak of, and readable for whatever the catalogue can give."""

import re

import numpy as np
import pandas as pd
import pytest
from made_recipes import BY_NAME, HORIZON_DAYS, Given, every_recipe, features_of

from churn.drivers.phrases import Rows, Wording
from churn.drivers.sentences import SENTENCES, key_of, sentence
from churn.signals.recipes import Recipe

SAID = """
# rhythm
days_since_last_purchase=74.6 gap_mean=19.2 days_since_first_purchase=500
    No purchase for 74 days; she used to come every 19.
recency_over_own_gap=3.8 days_since_last_purchase=74.6 gap_mean=19.2 days_since_first_purchase=500
    No purchase for 74 days; she used to come every 19.
days_since_last_purchase=74.6 gap_mean=1.1 days_since_first_purchase=500
    No purchase for 74 days; she used to come every day.
days_since_last_purchase=4 gap_mean=19.2 days_since_first_purchase=500
    Last purchase 4 days ago; she comes every 19 days.
days_since_last_purchase=1.9
    Last purchase 1 day ago.
gap_max=61 days_since_last_purchase=74
    Longest time between two purchases so far: 61 days; the last purchase was 74 days ago.
gap_last_over_mean=2 gap_last=40 gap_mean=20
    40 days between her last two purchases; 20 on average.
p_no_visit_by_rhythm=0.451
    At her own pace, the chance of 60 days without a purchase is 45 %.
expected_days=1
    At her own pace, 1 day with a purchase can be expected in 60 days.
active_days_before_60d=4 active_days_60d=1
    Purchased on 1 day in the last 60 days, on 4 in the 60 before.
season_factor=0.88
    Season: customers are 12 % less active than on average in the window ahead.
active_days_same_season_last_year=0
    Purchased on no day in the same season last year (60 days).
# spend: 427.4 EUR in the 275 days before, so 139.87 EUR in 90
spend_sum_90d=12 spend_sum_365d=439.4 days_since_first_purchase=900
    Spent 12 EUR in the last 90 days; 140 EUR would be her usual.
spend_trend_90d=0.1 spend_sum_90d=12 spend_sum_365d=439.4 days_since_first_purchase=900
    Spent 12 EUR in the last 90 days; 140 EUR would be her usual.
spend_sum_90d=0 spend_sum_365d=439.4 days_since_first_purchase=900
    Spent nothing in the last 90 days; 144 EUR would be her usual.
# a customer for 200 days: 100 EUR in the 110 days before, so 81.82 EUR in 90
spend_sum_90d=12 spend_sum_365d=112 days_since_first_purchase=200
    Spent 12 EUR in the last 90 days; 82 EUR would be her usual.
# a customer for 100 days: ten days are too few to know what is usual
spend_sum_90d=12 spend_sum_365d=112 days_since_first_purchase=100
    Spent 12 EUR in the last 90 days.
# the year isn't covered: all her time serves
spend_sum_90d=12 spend_sum=112 days_since_first_purchase=200
    Spent 12 EUR in the last 90 days; 82 EUR would be her usual.
orders_count_30d=1 orders_count_365d=23.3 days_since_first_purchase=800
    1 order in the last 30 days; 2 would be her usual.
orders_count_30d=0
    No order in the last 30 days.
drift_spend=0.34
    Spend in the last 90 days: 34 % of her pace in the 90 days before.
spend_last_over_mean=0.5 spend_last=12.5
    Last order: 12 EUR; her orders average 25 EUR.
spend_mean_change_90d=0.5 spend_mean_90d=20 spend_mean_365d=40
    Her orders in the last 90 days averaged 20 EUR; 40 EUR over the last 365 days.
returns_count_90d=2
    2 returns in the last 90 days.
# visits
visits_count_30d=1 visits_count_365d=73
    1 visit in the last 30 days; on average 6 per 30 days over the last 365.
visits_days_30d=0 visits_days_365d=73
    Visited on no day in the last 30 days; on average 6 per 30 days over the last 365.
days_since_last_visit=0.4
    Last visit less than a day ago.
days_since_last_visit=69.2 visits_count_365d=12
    Last visit 69 days ago; 12 visits in the last 365 days.
visits_count_7d=0 visits_count_365d=2
    No visit in the last 7 days; on average under 0.1 per 7 days over the last 365.
visit_seconds_mean_90d=45 visit_seconds_mean_365d=240
    Her visits in the last 90 days lasted 45 seconds on average; 4 minutes over the last 365 days.
# service
contacts_unresolved_count_180d=2
    2 contacts made in the last 180 days are still unresolved.
contacts_unresolved_count_180d=1
    1 contact made in the last 180 days is still unresolved.
contacts_per_case_180d=2.5
    Contacts per case in the last 180 days: 2.5.
wait_seconds_max_365d=720
    Longest wait for customer service in the last 365 days: 12 minutes.
# incidents
incidents_count_90d=3 days_since_last_incident=12.7
    3 incidents in the last 90 days, the last one 12 days ago.
incidents_count_90d=1 days_since_last_incident=12.7
    1 incident in the last 90 days, 12 days ago.
incidents_late_delivery_count_180d=3 incidents_count_365d=3 days_since_last_incident=12
    Late delivery: 3 in the last 180 days, the last one 12 days ago.
# the last incident may have been of another kind: when is not told
incidents_late_delivery_count_180d=3 incidents_count_365d=4 days_since_last_incident=12
    Late delivery: 3 in the last 180 days.
severity_sum_90d=3 incidents_count_90d=2 days_since_last_incident=12
    2 incidents in the last 90 days with a severity of 3 in total, the last one 12 days ago.
severity_sum_90d=3 incidents_count_90d=1 days_since_last_incident=12
    1 incident in the last 90 days with a severity of 3, 12 days ago.
severity_sum=3 incidents_count=2 days_since_last_incident=12
    2 incidents so far with a severity of 3 in total, the last one 12 days ago.
incidents_late_delivery_count=3 incidents_count=3 days_since_last_incident=12
    Late delivery: 3 so far, the last one 12 days ago.
severity_max_365d=3
    Severity of her worst incident in the last 365 days: 3.
# feedback
score_last=0.3
    Last score 3 of 10 (every scale brought to 0-10).
score_change=-0.45 score_last=0.2
    Last score 2 of 10, 6.5 on average (every scale brought to 0-10).
negative_share_365d=0.5
    50 % of her feedback in the last 365 days was negative.
feedback_count_90d=1
    Gave feedback once in the last 90 days.
# silence
invitations_unanswered_streak=4 response_rate=0.6
    Left the last 4 survey invitations unanswered; she has answered 60 % of all.
invitations_unanswered_streak=1 response_rate=0.6
    Left the last survey invitation unanswered; she has answered 60 % of all.
incidents_unfollowed_count_365d=2
    2 things went wrong in the last 365 days and she said nothing within 14 days.
incidents_unfollowed_count_365d=1
    1 thing went wrong in the last 365 days and she said nothing within 14 days.
severity_unfollowed_sum_180d=3
    After incidents in the last 180 days with a severity of 3 in total she said nothing within 14 days.
hidden_friction_sum_90d=2.25
    What she never mentioned of the last 90 days weighs 2.2: severity, less where she is the kind that speaks.
young_friction_sum_30d=1.5
    Something went wrong in the last 14 days and she has not mentioned it so far.
stopped_talking_90d=1 words_count_90d=0 words_count_365d=1
    Not heard from her in the last 90 days; once in the last 365.
response_rate_change_90d=-0.35 response_rate_90d=0.25 response_rate=0.6
    Answered 25 % of her survey invitations in the last 90 days; 60 % of all so far.
never_asked=1
    No survey invitation on record.
# profile
days_since_joined=40.9
    Customer for 40 days only.
days_since_joined=900
    Customer for 900 days.
profile_region=north
    Region: north.
profile_is_member=0
    Is member: no.
days_until_contract_end=20.4
    Her contract ends in 20 days.
days_until_contract_end=-1.4
    Her contract ended 1 day ago.
contract_amount_change=1.25 contract_amount_last=20
    Her contract costs 20 EUR; 16 EUR on average so far.
"""
"""Two lines a case: the feature that carries the risk and the rest of the row, then the sentence."""


def cases(text: str) -> list[tuple[str, Given, str]]:
    lines = [line for line in text.strip().splitlines() if not line.startswith("#")]
    found = []
    for row, expected in zip(lines[::2], lines[1::2], strict=True):
        given = dict(pair.split("=") for pair in row.split())
        numbers = {name: value if value == "north" else float(value) for name, value in given.items()}
        found.append((next(iter(given)), numbers, expected.strip()))
    return found


def told(
    name: str, given: Given, *, currency: str = "EUR", activity: str = "purchases", horizon_days: int = HORIZON_DAYS
) -> str:
    """What one feature says about a customer; empty where it says nothing."""
    rows = Rows(pd.DataFrame([dict(given)]), wording=Wording(currency, activity, horizon_days))
    found = sentence(BY_NAME[name], rows.at(0))
    return found.text if found else ""


@pytest.mark.parametrize(("name", "given", "expected"), cases(SAID))
def test_a_sentence_states_the_customers_own_numbers(name: str, given: Given, expected: str) -> None:
    assert told(name, given) == expected


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("days_since_last_contact", {"contacts_count_365d": 0}, "No contact with customer service on record."),
        ("days_since_last_contact", {}, ""),  # no table to see contacts in
        ("days_since_last_word", {"words_count_90d": 0}, "No contact or feedback on record."),
        ("score_last", {"feedback_count_90d": 0}, "No score on record."),
        ("days_since_last_answered_invitation", {"never_asked": 0}, "No answer to a survey on record."),
        ("spend_mean_90d", {"spend_sum_90d": 0}, ""),
        ("invitations_unanswered_streak", {"invitations_unanswered_streak": 0}, ""),  # nobody asked her
    ],
)
def test_absence_is_told_only_where_it_can_be_seen(name: str, given: Given, expected: str) -> None:
    assert told(name, given) == expected


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        (1234.56, "GBP", "Largest order in the last 365 days: 1,235 GBP."),
        (9.5, "EUR", "Largest order in the last 365 days: 9.50 EUR."),
        (9, "{CHF}", "Largest order in the last 365 days: 9 {CHF}."),
    ],
)
def test_amounts_carry_the_currency(amount: float, currency: str, expected: str) -> None:
    assert told("spend_max_365d", {"spend_max_365d": amount}, currency=currency) == expected


def test_activity_and_horizon_choose_the_words() -> None:
    given = {"days_since_last_visit": 30, "gap_mean": 7, "p_no_visit_by_rhythm": 0.5}
    assert told("gap_mean", given, activity="visits") == "No visit for 30 days; she used to come every 7."
    expected = "At her own pace, the chance of 28 days without a visit is 50 %."
    assert told("p_no_visit_by_rhythm", given, activity="visits", horizon_days=28) == expected


@pytest.mark.parametrize("activity", ["purchases", "visits"])
@pytest.mark.parametrize("value", [0.0, 1.0, 2.0, 17.25, 4321.0])
def test_every_recipe_reads_well(activity: str, value: float) -> None:
    recipes = every_recipe(activity=activity) + every_recipe(
        activity=activity, without=() if activity == "visits" else ("visits",)
    )
    row = {recipe.name: recipe.labels[0] if recipe.labels else value for recipe in recipes}
    rows = Rows(
        features_of([row], tuple({recipe.name: recipe for recipe in recipes}.values())),
        wording=Wording("EUR", activity, HORIZON_DAYS),
    )
    for recipe in recipes:
        found = sentence(recipe, rows.at(0))
        assert found is not None, recipe.name
        assert_reads_well(found.text)


def assert_reads_well(text: str) -> None:
    assert re.fullmatch(r"[A-Z0-9<].{5,139}\.", text), text
    assert not re.search(r"[{}_]|\bnan\b|None|\binf\b|  | ;|;;|\b1 (days|orders|visits|times|contacts)\b|-0\b", text), (
        text
    )


def test_every_sentence_belongs_to_a_recipe_and_all_but_the_users_own_have_one() -> None:
    reached = {key_of(recipe) for recipe in BY_NAME.values()}
    assert set(SENTENCES) <= reached  # a noun that is renamed would fall back to its plain name in silence
    assert {how for _, how in reached - set(SENTENCES)} <= {"state"}


def test_a_recipe_without_a_sentence_is_told_by_its_plain_name() -> None:
    recipe = Recipe("silence", "hidden_worry", "sum", "incidents", "worry", 90)
    rows = Rows(pd.DataFrame({recipe.name: [2.345]}), wording=Wording("EUR", "purchases", HORIZON_DAYS))
    found = sentence(recipe, rows.at(0))
    assert found is not None
    assert found.text == "Hidden worry (total, in the last 90 days): 2.3."


def test_codes_of_a_category_are_told_by_their_labels() -> None:
    recipe = BY_NAME["profile_region"]
    rows = Rows(pd.DataFrame({recipe.name: np.zeros(1, np.float32)}), wording=Wording("EUR", "purchases", HORIZON_DAYS))
    found = sentence(recipe, rows.at(0))
    assert found is not None
    assert found.text == "Region: north."
