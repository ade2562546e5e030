"""Reasons: the strongest signals first, and every sentence true for the row it speaks of."""

import datetime as dt
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from made_recipes import ALL, BY_NAME, HORIZON_DAYS, features_of

from churn.drivers import reasons as module
from churn.drivers.contributions import Contributions, of_signals
from churn.drivers.reasons import reasons
from churn.signals import compute_signals, recipes_for, streams
from churn.signals.recipes import SIGNALS, Recipe
from churn.tables.history import DAY
from churn.timeline.rhythm import Prior

OWNERS = {signal: f"{signal} department" for signal in SIGNALS}
AT = int(dt.datetime(2024, 6, 1, tzinfo=dt.UTC).timestamp()) * 1_000_000
RHYTHM = {"days_since_last_purchase": 74.6, "gap_mean": 19.2, "days_since_first_purchase": 500}


def pushed(*rows: Mapping[str, float]) -> np.ndarray:
    """Values of features: 0 but for those named."""
    return np.array([[row.get(recipe.name, 0.0) for recipe in ALL] for row in rows], np.float64)


def summed(values: np.ndarray, recipes: tuple[Recipe, ...] = ALL) -> Contributions:
    """Contributions in which a signal has the sum of its features."""
    return Contributions(of_signals(values, recipes), values, -1.0)


def tell_all(features: pd.DataFrame, values: np.ndarray, *, lowering: bool = False) -> pd.DataFrame:
    return reasons(
        features, summed(values), ALL, currency="EUR", activity="purchases", horizon_days=HORIZON_DAYS, owners=OWNERS,
        lowering=lowering,
    )  # fmt: skip


def test_only_what_raises_the_risk_strongest_first_with_its_owner() -> None:
    features = features_of([{"score_last": 0.2, "returns_count_90d": 2, "visits_count_30d": 1}] * 2)
    values = pushed({"score_last": 0.4, "returns_count_90d": 0.9, "visits_count_30d": -2.0}, {"visits_count_30d": -1.0})
    found = tell_all(features, values)
    assert found.columns.tolist() == [f"{kind}_{rank}" for kind in ("driver", "reason", "owner") for rank in (1, 2, 3)]
    assert found.loc[0, ["driver_1", "driver_2", "driver_3"]].tolist() == ["spend", "feedback", None]
    assert found.loc[0, ["owner_1", "owner_2", "owner_3"]].tolist() == ["spend department", "feedback department", None]
    assert found.loc[0, "reason_1"] == "2 returns in the last 90 days."
    assert found.loc[0, "reason_3"] is None
    assert found.loc[1].tolist() == [None] * 9


def test_a_signal_counts_with_all_its_features_and_speaks_through_the_strongest() -> None:
    features = features_of([{"returns_count_90d": 2, "spend_max_365d": 50, "score_last": 0.2}])
    values = pushed({"returns_count_90d": 0.5, "spend_max_365d": 0.2, "orders_count_7d": -0.6, "score_last": 0.3})
    found = tell_all(features, values)
    assert found.loc[0, ["driver_1", "driver_2"]].tolist() == ["feedback", "spend"]
    assert found.loc[0, "reason_2"] == "2 returns in the last 90 days."


def test_a_null_feature_gives_way_to_the_next() -> None:
    features = features_of([{"spend_max_365d": 50}])
    found = tell_all(features, pushed({"spend_mean_90d": 0.9, "spend_max_365d": 0.1}))
    assert found.loc[0, "reason_1"] == "Largest order in the last 365 days: 50 EUR."


def test_a_sentence_that_sounds_the_other_way_gives_way_to_the_next() -> None:
    more = {"spend_sum_90d": 900, "spend_sum_365d": 1_000, "days_since_first_purchase": 900}
    features = features_of([{**more, "returns_count_90d": 2}, more])
    values = pushed({"spend_sum_90d": 0.9, "returns_count_90d": 0.1}, {"spend_sum_90d": 0.9})
    found = tell_all(features, values)
    assert found.loc[0, "reason_1"] == "2 returns in the last 90 days."
    assert (
        found.loc[1, "reason_1"] == "Spent 900 EUR in the last 90 days; 33 EUR would be her usual."
    )  # there is no other


def test_a_signal_that_pushes_though_none_of_its_features_does_speaks_through_the_least_of_them() -> None:
    features = features_of([{"returns_count_90d": 2, "spend_max_365d": 50}])
    others = dict.fromkeys((recipe.name for recipe in ALL if recipe.signal == "spend"), -0.5)
    values = summed(pushed({**others, "returns_count_90d": -0.1}))
    values.by_signal["spend"] = 0.4
    found = reasons(features, values, ALL, currency="EUR", activity="purchases", horizon_days=60, owners=OWNERS)
    assert found.loc[0, ["driver_1", "driver_2"]].tolist() == ["spend", None]
    assert found.loc[0, "reason_1"] == "2 returns in the last 90 days."


def test_ties_go_to_the_first_signal() -> None:
    features = features_of(
        [{"score_last": 0.2, "returns_count_90d": 2, "contacts_count_30d": 1, "visits_count_30d": 1}]
    )
    values = pushed(dict.fromkeys(("score_last", "contacts_count_30d", "visits_count_30d", "returns_count_90d"), 0.5))
    assert tell_all(features, values).loc[0, ["driver_1", "driver_2", "driver_3"]].tolist() == [
        "spend",
        "visits",
        "service",
    ]


def test_lowering_tells_what_keeps_her() -> None:
    given = {**RHYTHM, "days_since_last_purchase": 4, "contacts_unresolved_count_180d": 0, "score_last": 0.1}
    values = pushed({"days_since_last_purchase": -0.5, "contacts_unresolved_count_180d": -0.2, "score_last": 0.7})
    found = tell_all(features_of([given]), values, lowering=True)
    assert found.loc[0, ["driver_1", "driver_2", "driver_3"]].tolist() == ["rhythm", "service", None]
    assert found.loc[0, "reason_1"] == "Last purchase 4 days ago; she comes every 19 days."
    assert found.loc[0, "reason_2"] == "No contact made in the last 180 days is unresolved."


def test_more_drivers_than_signals_are_none() -> None:
    recipe = BY_NAME["returns_count_90d"]
    features, values = features_of([{"returns_count_90d": 1}], (recipe,)), summed(np.array([[0.5]]), (recipe,))
    found = reasons(features, values, (recipe,), currency="EUR", activity="purchases", horizon_days=60, owners={})
    assert found.loc[0].tolist() == ["spend", None, None, "1 return in the last 90 days.", None, None, None, None, None]


def random_rows(rows: int, *, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = features_of([{}] * rows)
    for recipe in ALL:
        if recipe.labels is None:
            column = rng.integers(0, 40, rows).astype(np.float32)
            features[recipe.name] = np.where(rng.random(rows) < 0.3, np.float32(np.nan), column)
    return features, rng.normal(0, 0.1, (rows, len(ALL)))


def test_alone_as_in_a_list_in_any_order_and_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    features, values = random_rows(120, seed=3)
    features.index = pd.Index([f"c{row}" for row in range(120)])
    whole = tell_all(features, values)
    assert whole.index.equals(features.index)
    pd.testing.assert_frame_equal(tell_all(features, values), whole)
    pd.testing.assert_frame_equal(tell_all(features.iloc[[77]], values[[77]]), whole.iloc[[77]])
    pd.testing.assert_frame_equal(tell_all(features.iloc[::-1], values[::-1]), whole.iloc[::-1])
    monkeypatch.setattr(module, "BLOCK_ROWS", 7)
    pd.testing.assert_frame_equal(tell_all(features, values), whole)


def test_what_is_not_known_is_no_driver() -> None:
    pushes = {"days_since_last_contact": 0.9, "invitations_unanswered_streak": 0.5, "returns_count_90d": 0.2}
    (found,) = tell_all(
        features_of([{"invitations_unanswered_streak": 0, "returns_count_90d": 1}]), pushed(pushes)
    ).to_dict("records")
    # There is no table to see contacts in; nobody asked her, but that is known of her.
    assert [found[f"driver_{rank}"] for rank in (1, 2, 3)] == ["silence", "spend", None]
    assert found["reason_1"] == "Invitations unanswered (in a row): 0."


def test_an_absence_is_a_driver_only_where_it_tells() -> None:
    given = {"about_count_365d": 0, "contacts_count_365d": 0, "season_factor": 0.8}
    pushes = {"about_score_last": 0.9, "season_factor": 0.7, "days_since_last_contact": 0.1}
    (found,) = tell_all(features_of([given]), pushed(pushes)).to_dict("records")
    # Nobody scored her: that is not about her. The season is everybody's. That she never wrote is hers.
    assert [found[f"driver_{rank}"] for rank in (1, 2, 3)] == ["service", None, None]
    assert found["reason_1"] == "No contact with customer service on record."


def test_a_weak_sentence_gives_way_to_a_number_of_her_own() -> None:
    given = {"about_count_365d": 0, "score_last": 0.2}
    found = tell_all(features_of([given]), pushed({"about_score_last": 0.9, "score_last": 0.1}))
    assert found.loc[0, "driver_1"] == "feedback"
    assert found.loc[0, "reason_1"].startswith("Last score 2 of 10")


def test_no_customers_give_no_reasons() -> None:
    features, values = random_rows(3, seed=4)
    found = tell_all(features.iloc[:0], values[:0])
    assert found.shape == (0, 9)


def test_what_does_not_belong_together_is_refused() -> None:
    features, values = random_rows(3, seed=5)
    with pytest.raises(ValueError, match="missing: \\['gap_mean'\\]"):
        tell_all(features.drop(columns="gap_mean"), values)
    with pytest.raises(ValueError, match="3 rows of features for 2 of values"):
        tell_all(features, values[:2])


def test_from_rows_to_words() -> None:
    """Sentences against the raw rows, counted here by hand: the whole way from a table to a reason."""
    days_ago = [700, 600, 500, 400, 300, 280, 260, 240, 220, 200, 180, 74]
    amounts = [100.0] * 11 + [12.0]
    time = pa.array([AT - days * DAY for days in days_ago]).cast(pa.timestamp("us", tz="UTC"))
    cents = pa.array([round(100 * amount) for amount in amounts])
    orders = pa.table({"customer_id": ["c1"] * 12, "time": time, "available_at": time, "amount": cents})
    tables, customers = {"transactions": orders}, pa.array(["c1"])
    recipes = recipes_for(tables, horizon_days=60)
    features = compute_signals(
        streams(tables, customers=customers, timezone="UTC", activity="purchases"), recipes,
        customer=np.zeros(1, np.int64),
        at=np.full(1, AT), prior=Prior(1.0, 30.0), horizon_days=60, gap_days=0, covers_from={},
    )  # fmt: skip
    pushing = {"spend_sum_90d": 0.9, "days_since_last_purchase": 0.5}
    values = summed(np.array([[pushing.get(recipe.name, 0.0) for recipe in recipes]]), recipes)
    found = reasons(features, values, recipes, currency="EUR", activity="purchases", horizon_days=60, owners=OWNERS)
    before = sum(amount for amount, days in zip(amounts, days_ago, strict=True) if 90 < days <= 365)
    assert (
        found.loc[0, "reason_1"]
        == f"Spent 12 EUR in the last 90 days; {before / (365 - 90) * 90:.0f} EUR would be her usual."
    )
    assert found.loc[0, "reason_2"] == f"No purchase for 74 days; she used to come every {(700 - 74) / 11:.0f}."
