"""Described: what each column of a score list means, in a sentence for those who act on it."""

from __future__ import annotations

COLUMNS = {
    "customer_id": "The customer, as in your tables.",
    "cutoff": "The moment of prediction: nothing that happened or became known later was used.",
    "status": "scored, or not_scored with the reason in why_not_scored.",
    "why_not_scored": "Why a prediction makes no sense for her: for example one_timer, already_gone, unknown.",
    "p_leave": "Probability that she does not come in the outcome window: 0.35 means 35 of 100 such customers leave.",
    "p_leave_low": "p_leave if the base as a whole turns out to leave as little as one can reasonably expect (95 %).",
    "p_leave_high": "p_leave if it leaves as much as one can reasonably expect; both say nothing of her alone.",
    "p_silent": "Probability that she leaves without a word; 0 for who has complained, empty for who cannot be heard.",
    "p_vocal": "Probability that she leaves after saying what is wrong.",
    "voice_status": "quiet, already_vocal (she has told you: see to her complaint first), or unobservable.",
    "percentile": "Her risk among the customers of the training: 95 means higher than 95 % of them.",
    "band": "The percentile in words.",
    "p_no_visit_by_rhythm": "What her own rhythm alone would make of it: how likely such a pause is for her anyway.",
    "expected_spend": "What she would spend in the window, net of returns, if she went on as before.",
    "value_at_risk": "p_leave times expected_spend.",
    "driver_1": "The kind of signal that raises her risk most.",
    "reason_1": "Her own numbers behind it; a fact, not a cause.",
    "owner_1": "The department that can do something about it.",
    "driver_2": "The second.",
    "reason_2": "Her own numbers behind the second.",
    "owner_2": "Its department.",
    "driver_3": "The third.",
    "reason_3": "Her own numbers behind the third.",
    "owner_3": "Its department.",
    "model_id": "The model that made the score.",
    "is_treated": "Whether you did something to keep her in the window before: her risk may be lower because of it.",
    "warning": "What was missing when she was scored.",
}
