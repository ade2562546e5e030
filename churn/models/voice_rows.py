"""What the voice model looks at: who she is, what went wrong, and what she has said before, as it was known then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from churn.models.target import Target
from churn.models.troubles import Troubles
from churn.signals.bucket import Asked, signals_frame
from churn.signals.edges import WHOLE, edges_of
from churn.signals.kernel import NOTHING, Op, walk_back
from churn.signals.recipes import Recipe
from churn.tables.history import DAY, Int64
from churn.timeline.rhythm import Prior

Float64 = npt.NDArray[np.float64]

KIND, CHANNEL = "trouble_kind", "trouble_channel"
SEVERITY, AMOUNT = "trouble_severity", "trouble_order_amount"
OWN_COUNT, OWN_TOLD, OWN_EXPECTED, OWN_TELLING = "own_troubles", "own_told", "own_expected_told", "own_telling"
OWN = (KIND, CHANNEL, SEVERITY, AMOUNT, OWN_COUNT, OWN_TOLD, OWN_EXPECTED, OWN_TELLING)
"""Features of the trouble itself and of her own past tellings, beside the signals."""
TELLING_PRIOR = 0.5
"""How many tellings the word of everybody is worth against a customer's own."""

_ASKED = frozenset({
    "response_rate", "response_rate_90d", "days_since_last_answered_invitation", "invitations_unanswered_streak",
    "never_asked", "words_count_90d", "days_since_last_word", "days_since_last_voice", "contacts_count_90d",
    "contacts_complaint_count_90d", "contacts_unresolved_count_30d", "days_since_last_contact",
    "days_since_last_unresolved_contact", "feedback_count_90d", "score_last", "score_mean", "incidents_count_30d",
    "incidents_count_90d", "days_since_last_incident", "days_since_last_unfollowed_incident", "orders_count",
    "active_days", "days_since_last_visit", "days_since_last_purchase", "spend_mean_90d",
})  # fmt: skip
"""Signals among those of a customer that may tell whether she speaks."""

_NO_RHYTHM = Prior(1.0, 30.0)
"""None of the signals asked for needs the base's rhythm."""


def asked_recipes(recipes: Sequence[Recipe]) -> tuple[Recipe, ...]:
    """Returns those of a project's recipes that the voice model asks for: of words, answers, effort, and her profile.

    >>> asked_recipes([Recipe("spend", "spend", "sum", "orders", "spend", 90)])
    ()
    """
    return tuple(recipe for recipe in recipes if recipe.name in _ASKED or recipe.signal == "profile")


def signals_before(
    tables: Mapping[str, pa.Table], troubles: Troubles, rows: Int64, recipes: Sequence[Recipe], *,
    customers: pa.StringArray, covered_at: Callable[[int], Mapping[str, int]], target: Target, threads: int = 1,
) -> pd.DataFrame:  # fmt: skip
    """Returns the signals of the customers of some troubles at the midnight (UTC) before each, one row per trouble.

    Float32; a category is its code. Rows of the day itself and later are invisible, and so are those known later.

    Args:
        tables: canonical tables by name.
        troubles: of `customers`.
        rows: places of the troubles asked for.
        recipes: the signals.
        customers: sorted ids.
        covered_at: from when each table is complete, as known at a moment.
        target: whose time zone and activity the signals mean.
        threads: how many share the work.
    """
    at = troubles.time[rows] // DAY * DAY
    covered = {int(day): covered_at(int(day)) for day in np.unique(at)}
    asked = Asked(tuple(recipes), _NO_RHYTHM, 1, 0, target.timezone, target.activity, covered)
    code = troubles.customer[rows].astype(np.int32)
    return signals_frame(tables, customers=customers, code=code, at=at, asked=asked, threads=threads)


def own_telling(troubles: Troubles, rows: Int64, *, expected: Float64) -> dict[str, Float64]:
    """Returns how a customer's own past tellings stand at some troubles, each of shape (rows,).

    Columns: how many earlier troubles of hers were settled by then, how many of them she told of, how many everybody
    would have told of, and the ratio of the last two, shrunk towards 1: 2 is twice as often as everybody.

    Args:
        troubles: of all customers asked for.
        rows: places of the troubles.
        expected: the chance with which everybody tells of each trouble, shape (troubles,).
    """
    at, customer = troubles.time[rows].copy(), troubles.customer[rows]
    edges = edges_of(troubles.starts, troubles.time, customer, at, np.array([WHOLE]))
    micro = np.rint(expected * 1e6).astype(np.int64)  # whole millionths: the same sum in any company

    def before(op: Op, numbers: Int64, begins: Int64) -> Float64:
        asked = (int(op), edges, np.zeros(1, np.int64), at, troubles.time, troubles.known, numbers, begins, NOTHING, 0)
        return np.asarray(np.maximum(walk_back(*asked)[0], 0), np.float64)  # `MISSING`: none was settled

    count = before(Op.COUNT, NOTHING, troubles.matured)
    told = before(Op.COUNT, NOTHING, np.maximum(troubles.matured, troubles.told))
    everybody = before(Op.SUM, micro, troubles.matured) / 1e6
    telling = (told + TELLING_PRIOR) / (everybody + TELLING_PRIOR)
    return {OWN_COUNT: count, OWN_TOLD: told, OWN_EXPECTED: everybody, OWN_TELLING: telling}


def codes_in(codes: Int64, labels: Sequence[str], frozen: Mapping[str, object] | Sequence[str]) -> Int64:
    """Returns codes of labels as places among frozen ones, -1 for a label that isn't among them.

    >>> codes_in(np.array([0, 1, -1]), ["app", "web"], ["web"]).tolist()
    [-1, 0, -1]
    """
    place = {label: code for code, label in enumerate(frozen)}
    return np.array([*(place.get(label, -1) for label in labels), -1], np.int64)[codes]
