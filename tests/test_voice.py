"""Voice: which events are the customer's own act of telling the company that something is wrong."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from made_histories import moment, purchases, table

from churn.timeline.voice import (
    has_voice,
    is_by_self,
    is_negative,
    unit_score,
    voice_events,
    voice_sources,
    word_events,
)


def said(header: str, *rows: str) -> pa.Table:
    return table("feedback", f"customer_id time {header}", *(f"ana 2024-03-01 {row}" for row in rows))


def spoken(**tables: pa.Table) -> list[tuple[str, int]]:
    """Who spoke when, of the voice events."""
    found = voice_events(tables)
    return sorted(zip(found["customer_id"].to_pylist(), found["time"].cast(pa.int64()).to_pylist(), strict=True))


@pytest.mark.parametrize(
    ("row", "is_voice"),
    [
        ("nps 6", True), ("nps 7", False), ("nps 0", True), ("nps 10", False),
        ("csat 2", True), ("csat 2.6", True), ("csat 2.61", False), ("csat 3", False),  # worst 40 % of 1 to 5
        ("ces 3.4", True), ("ces 3.5", False), ("review 1", True), ("review 5", False),
        ("mention -1", True), ("mention -0.2", True), ("mention 0", False),
        ("complaint -", True), ("complaint 9", True), ("csat -", False), ("nps -", False),
    ],
)  # fmt: skip
def test_voice_is_a_complaint_nps_up_to_6_or_the_worst_40_percent(row: str, is_voice: bool) -> None:
    assert is_negative(said("kind score", row)).tolist() == [is_voice]


@pytest.mark.parametrize(
    ("row", "is_voice"),
    [
        ("csat 40 0 100 -", True), ("csat 41 0 100 -", False),  # a scale of their own
        ("csat 4 1 5 no", True), ("csat 2 1 5 no", False), ("csat 3.4 1 5 no", True), ("csat 3.3 1 5 no", False),
        ("csat 2 1 5 yes", True), ("csat 2 - - -", True),
        ("nps 6 0 10 -", True), ("nps 4 0 10 no", True), ("nps 3 0 10 no", False),
        ("csat 0 5 5 -", False),  # a scale without a span tells nothing
        ("csat 99 1 5 -", False), ("csat -99 1 5 -", True),  # outside its scale: clipped
    ],
)  # fmt: skip
def test_scales_may_be_their_own_and_turned_round(row: str, is_voice: bool) -> None:
    assert is_negative(said("kind score score_min score_max higher_is_better", row)).tolist() == [is_voice]


def test_unit_score_runs_from_worst_to_best() -> None:
    scores = unit_score(said("kind score", "nps 0", "nps 10", "csat 3", "ces 1", "mention 0", "csat -"))
    np.testing.assert_array_equal(scores, [0.0, 1.0, 0.5, 0.0, 0.5, np.nan])
    assert np.isnan(unit_score(said("kind", "nps"))).all()


def test_words_about_her_by_others_are_not_her_voice() -> None:
    feedback = said("kind score author", "nps 1 self", "csat 1 other", "review 1 -")
    assert is_by_self(feedback).tolist() == [True, False, True]
    assert len(spoken(feedback=feedback)) == 2


def test_only_complaint_contacts_are_voice() -> None:
    contacts = table(
        "contacts", "customer_id time is_complaint topic",
        "ana 2024-03-01 yes bill", "bea 2024-03-02 no order_status", "cem 2024-03-03 - praise",
    )  # fmt: skip
    assert spoken(contacts=contacts) == [("ana", moment("2024-03-01"))]
    assert word_events({"contacts": contacts}).num_rows == 3


@pytest.mark.parametrize(("when", "is_voice"), [("2024-04-01T11:59:59.999999", True), ("2024-04-01T12:00", False)])
def test_an_exit_survey_answered_once_she_has_closed_is_no_voice(when: str, is_voice: bool) -> None:
    feedback = table("feedback", "customer_id time kind score", f"ana {when} nps 0", "bea 2024-05-01 nps 0")
    customers = table("customers", "customer_id closed_at", "ana 2024-04-01T12:00", "bea -")
    assert ("ana" in dict(spoken(feedback=feedback, customers=customers))) == is_voice
    assert "bea" in dict(spoken(feedback=feedback, customers=customers)), "who hasn't closed answers no exit survey"


def test_a_cancellation_with_a_stated_reason_is_voice_when_it_is_made_but_not_before_it_is_known() -> None:
    contracts = table(
        "subscriptions", "customer_id start end ended_at ended_how ended_reason available_at",
        "ana 2024-01-01 2025-01-01 2024-03-01 cancel too_dear 2024-01-01",
        "bea 2024-01-01 2025-01-01 2024-03-01 cancel - 2024-01-01",
        "cem 2024-01-01 2025-01-01 2024-03-01 lapse too_dear 2024-01-01",
        "dee 2024-01-01 2025-01-01 2024-03-01 payment_failure no_card 2024-01-01",
        "eve 2024-01-01 2025-01-01 - cancel moving 2024-01-01",
        "fay 2024-01-01 2025-01-01 2024-03-01 cancel rude 2024-04-15",  # the ledger came late
    )  # fmt: skip
    found = voice_events({"subscriptions": contracts})
    assert found["customer_id"].to_pylist() == ["ana", "fay"]
    assert found["time"].cast(pa.int64()).to_pylist() == [moment("2024-03-01")] * 2
    assert found["available_at"].cast(pa.int64()).to_pylist() == [moment("2024-03-01"), moment("2024-04-15")]


def test_voice_needs_a_table_that_can_carry_it() -> None:
    transactions = purchases(ana="2024-01-01")
    mute = table("contacts", "customer_id time topic", "ana 2024-01-01 bill")
    by_others = said("kind score author", "nps 1 other")
    invitations = table("invitations", "customer_id time", "ana 2024-01-01")
    assert not has_voice(
        {"transactions": transactions, "contacts": mute, "feedback": by_others, "invitations": invitations}
    )
    assert voice_sources({"contacts": table("contacts", "customer_id time is_complaint", "ana 2024-01-01 no")}) == (
        "contacts",
    )
    assert voice_sources({"contacts": mute, "feedback": said("kind", "csat")}) == ("feedback",)
    assert voice_events({"transactions": transactions}).num_rows == 0
