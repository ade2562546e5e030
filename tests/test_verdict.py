"""The verdict: promoted only beyond chance, told in a user's words, and never a crash where nothing can be said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_predictions import labels, predictions

from churn.config import Contact
from churn.models.baselines import BASELINES
from churn.models.verdict import SILENCE_BASELINES, judge
from churn.tables.history import DAY

CONTACT = Contact(budget=30, cost=5.0, success_rate=0.2)


def judged(
    frame: pd.DataFrame, *, contact: Contact = CONTACT, seed: int = 1, allow_leak: bool = False
) -> dict[str, Any]:
    return judge(frame, labels=labels(frame), contact=contact, currency="EUR", seed=seed, allow_leak=allow_leak)


@pytest.fixture(scope="module")
def good() -> pd.DataFrame:
    return predictions(seed=1, model=1.0, silent=1.0)


@pytest.fixture(scope="module")
def of_good(good: pd.DataFrame) -> dict[str, Any]:
    return judged(good)


def test_a_model_that_knows_more_than_the_rules_is_promoted(of_good: dict[str, Any]) -> None:
    verdict = of_good["verdict"]
    assert verdict["is_promoted"] is True
    assert verdict["best_baseline"] in BASELINES
    ours = of_good["metrics"]["model"]["auroc"]["mean"]
    assert verdict["sentence"].startswith(f"Better than every simple rule: AUROC {ours:.3f} against ")


def test_a_model_that_knows_the_outcome_is_not_promoted_unless_the_user_says_so(good: pd.DataFrame) -> None:
    """Each signal alone may be weak enough for the alarm, and all of them together too good to be true."""
    told = good.assign(margin=good["margin"] + 10 * good["has_left"])
    verdict = judged(told)["verdict"]
    assert (verdict["is_promoted"], verdict["is_too_good"]) == (False, True)
    assert verdict["sentence"].startswith("Too good to be true: AUROC 1.000 against ")
    trusted = judged(told, allow_leak=True)["verdict"]
    assert (trusted["is_promoted"], trusted["is_too_good"]) == (True, False)


def test_a_model_that_knows_less_than_the_rules_is_called_worse() -> None:
    verdict = judged(predictions(seed=2, rules=1.0))["verdict"]
    assert verdict["is_promoted"] is False
    assert verdict["sentence"].startswith("Worse than the baseline: AUROC ")
    assert verdict["sentence"].endswith(". Not promoted.")


def test_a_model_that_knows_nothing_more_is_called_no_better() -> None:
    same = predictions(seed=3, rules=1.0)
    verdict = judged(same.assign(margin=same["rank:recency"], p_leave=same["p:recency"]))["verdict"]
    assert verdict["is_promoted"] is False
    assert verdict["sentence"].startswith("No better than the baseline: AUROC ")


def test_only_a_promoted_model_is_to_be_trusted_in_its_order(good: pd.DataFrame) -> None:
    """The better ranking with the worse probabilities has an order to trust; a model that is no better has none."""
    shifted = good.assign(p_leave=np.clip(good["p_leave"] + 0.4, 0.0, 1.0))
    promoted = judged(shifted)["verdict"]
    assert promoted["is_promoted"] is True
    assert promoted["sentence"].endswith(": trust its order, not its level.")
    same = predictions(seed=3, rules=1.0)
    level = np.clip(same["p:recency"] + 0.3, 0.0, 1.0)
    verdict = judged(same.assign(margin=same["rank:recency"], p_leave=level))["verdict"]
    assert verdict["is_promoted"] is False
    assert "trust its order" not in verdict["sentence"]


def test_every_model_has_its_metrics_on_its_own_rows(good: pd.DataFrame, of_good: dict[str, Any]) -> None:
    assert set(of_good["metrics"]) == {"model", "model_silent", *BASELINES, *SILENCE_BASELINES}
    by_cutoff = of_good["metrics"]["model"]["auroc"]["by_cutoff"]
    assert list(by_cutoff) == list(labels(good).values())
    of_silence = of_good["metrics"]["model_silent"]["brier"]["mean"]
    quiet = good[good["voice_status"] == "quiet"]
    losses = (quiet["p_silent"] - (quiet["has_left"] & ~quiet["has_spoken"])) ** 2
    assert of_silence == pytest.approx(losses.groupby(quiet["at"]).mean().mean())


def test_silence_is_judged_on_the_quiet_alone_beside_p_leave(good: pd.DataFrame, of_good: dict[str, Any]) -> None:
    assert of_good["metrics"]["model_silent"]["auroc"]["mean"] > of_good["metrics"]["p_leave_alone"]["auroc"]["mean"]
    assert of_good["differences"]["p_leave_alone"]["auroc"]["low"] > 0
    loud = good.assign(has_spoken=np.where(good["voice_status"] == "quiet", good["has_spoken"], True))
    assert judged(loud)["metrics"]["model_silent"] == of_good["metrics"]["model_silent"]


def test_without_a_silent_model_nothing_is_said_about_silence(good: pd.DataFrame) -> None:
    deaf = good.assign(voice_status="unobservable", p_silent=np.nan)
    found = judged(deaf.drop(columns=[name for name in deaf if name.split(":")[-1] in SILENCE_BASELINES]))
    assert set(found["metrics"]) == {"model", *BASELINES}
    assert found["verdict"]["is_promoted"] is True


def test_the_same_rows_in_another_order_are_judged_alike(good: pd.DataFrame, of_good: dict[str, Any]) -> None:
    assert judged(good.sample(frac=1, random_state=5)) == of_good


@pytest.mark.parametrize("outcome", [True, False])
def test_one_class_cannot_be_judged_and_says_so(outcome: bool) -> None:
    one_class = predictions(seed=1, customers=40).assign(has_left=outcome, has_spoken=False)
    verdict = judged(one_class)["verdict"]
    assert verdict["is_promoted"] is False
    assert verdict["sentence"].startswith("Cannot be judged: no test cutoff has both")


def test_one_customer_is_judged_without_a_crash() -> None:
    alone = predictions(seed=1, customers=1, cutoffs=1)
    assert judged(alone)["verdict"]["is_promoted"] is False


def test_gain_is_that_of_calling_the_top_of_each_list() -> None:
    rows = pd.DataFrame({
        "customer": [0, 1, 2, 3], "at": 100 * DAY, "voice_status": "unobservable", "p_silent": np.nan,
        "is_treated": False, "has_left": [True, False, True, False], "has_spoken": False,
        "expected_spend": [100.0, 100.0, 40.0, -20.0], "days_since_last": 1.0, "margin": [3.0, 2.0, 1.0, 0.0],
        "p_leave": [0.9, 0.5, 0.4, 0.1], "p_leave_low": 0.1, "p_leave_high": 0.9,
    })  # fmt: skip
    for name in BASELINES:
        rows[f"rank:{name}"] = rows[f"p:{name}"] = 0.5
    gain = judged(rows, contact=Contact(budget=2, cost=5.0, success_rate=0.2))["gain"]
    assert (gain["budget"], gain["currency"]) == (2, "EUR")
    assert gain["gain"] == pytest.approx(0.2 * 100 - 2 * 5), "the two highest by p x value: one leaver of 100.00"
    assert gain["random_gain"] == pytest.approx(0.2 * (100 + 40) / 2 - 2 * 5)


def test_without_a_budget_a_tenth_is_called(good: pd.DataFrame) -> None:
    assert judged(good, contact=Contact())["gain"]["budget"] == 30


def test_lead_time_runs_from_the_first_alert_to_her_last_activity() -> None:
    frame = predictions(seed=1, customers=20, cutoffs=2).sort_values(["at", "customer"], ignore_index=True)
    is_ana = frame["customer"] == 0
    frame["margin"] = np.where(is_ana, 9.0, frame["margin"].clip(upper=2.0))
    frame["has_left"] = is_ana & (frame["at"] == frame["at"].max())
    frame.loc[is_ana, "days_since_last"] = 3.0
    told = judged(frame)["lead_time"]
    assert told == {"median_days": 7.0, "customers": 1}, (
        "alerted ten days before the second cutoff, last seen three before it"
    )
    assert judged(frame.assign(has_left=False))["lead_time"] is None


def test_the_ablation_tells_what_feedback_adds_to_operations(good: pd.DataFrame) -> None:
    blind = good.copy()
    for family, known in (("operations", 0.3), ("feedback", 0.1)):
        blind[f"p:{family}"] = blind["p_leave"] * known + 0.3
        blind[f"s:{family}"] = np.where(blind["p_silent"].notna(), 0.5, np.nan)
    found = judged(blind)["ablation"]
    assert set(found) == {"eligible", "quiet"}
    assert set(found["quiet"]) == {"both", "operations", "feedback", "feedback_adds"}
    assert found["eligible"]["feedback_adds"]["auroc"]["mean"] == pytest.approx(0), "ranked alike"
    assert found["quiet"]["feedback_adds"]["auroc"]["low"] > 0, "of silence operations know nothing"
    assert judged(good)["ablation"] == {}
