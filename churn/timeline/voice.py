"""Voice: which events are the customer's own act of telling the company that something is wrong."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn.tables.contract import TIME

NPS_DETRACTOR = 6
WORST_SHARE = 0.4
"""A score in the worst 40 % of its scale is voice."""

_EVENT = ["customer_id", "time", "available_at"]
_SCALES = {"nps": (0.0, 10.0), "csat": (1.0, 5.0), "ces": (1.0, 7.0), "review": (1.0, 5.0), "mention": (-1.0, 1.0)}


def is_by_self(feedback: pa.Table) -> npt.NDArray[np.bool_]:
    """Returns, per feedback row, whether the customer herself spoke (`author` is `self` or not given)."""
    if "author" not in feedback.column_names:
        return np.ones(feedback.num_rows, bool)
    return np.asarray(pc.is_in(feedback["author"], value_set=pa.array(["self", None], pa.string())))


def unit_score(feedback: pa.Table) -> npt.NDArray[np.float64]:
    """Returns each row's score between 0 (worst) and 1 (best) of its scale, shape (rows,); NaN where there is none.

    The scale is `score_min`..`score_max` where given, else the usual one of the kind: NPS 0-10, CSAT and reviews 1-5,
    CES 1-7, mentions -1..1. Scores outside their scale are clipped to it. `higher_is_better = false` turns it round.
    """
    rows = feedback.num_rows
    if "score" not in feedback.column_names:
        return np.full(rows, np.nan)
    scales = np.array([*_SCALES.values(), (0.0, 1.0)])
    kind = pc.index_in(feedback["kind"].cast(pa.string()), pa.array(list(_SCALES)))
    usual = scales[pc.fill_null(kind, len(_SCALES)).to_numpy()]
    low = _given(feedback, "score_min", usual[:, 0])
    high = _given(feedback, "score_max", usual[:, 1])
    score = _given(feedback, "score", np.full(rows, np.nan))
    span = np.where(high > low, high - low, np.nan)
    unit = np.clip((score - low) / span, 0.0, 1.0)
    if "higher_is_better" in feedback.column_names:
        is_better = np.asarray(pc.fill_null(feedback["higher_is_better"], True))
        unit = np.where(is_better, unit, 1.0 - unit)
    return np.asarray(unit, np.float64)


def is_negative(feedback: pa.Table) -> npt.NDArray[np.bool_]:
    """Returns, per feedback row, whether it says that something is wrong: a complaint, NPS <= 6, or a score in the
    worst 40 % of its scale (also of a mention)."""
    kind = feedback["kind"].cast(pa.string())
    unit = unit_score(feedback)
    is_nps = np.asarray(pc.is_in(kind, value_set=pa.array(["nps"])))
    is_complaint = np.asarray(pc.is_in(kind, value_set=pa.array(["complaint"])))
    with np.errstate(invalid="ignore"):
        is_low = np.where(is_nps, unit <= NPS_DETRACTOR / 10 + 1e-9, unit <= WORST_SHARE + 1e-9)
    return is_complaint | is_low


def voice_events(tables: Mapping[str, pa.Table]) -> pa.Table:
    """Returns the voice events of everybody: columns customer_id, time, available_at.

    Complaint contacts, negative feedback by the customer herself, and cancellations with a stated reason. An exit
    survey (feedback once she has closed) is no voice. A cancellation is heard when it is made, but not before its row
    is known.
    """
    parts = [_no_event(tables)]
    if "contacts" in tables and "is_complaint" in tables["contacts"].column_names:
        contacts = tables["contacts"]
        parts.append(contacts.filter(pc.fill_null(contacts["is_complaint"], False)).select(_EVENT))
    if "feedback" in tables:
        feedback = tables["feedback"]
        spoke = is_by_self(feedback) & is_negative(feedback) & ~_is_after_the_end(feedback, tables)
        parts.append(feedback.filter(pa.array(spoke)).select(_EVENT))
    if "subscriptions" in tables:
        parts.append(_stated_cancellations(tables["subscriptions"]))
    return pa.concat_tables([part.cast(parts[0].schema) for part in parts])


def word_events(tables: Mapping[str, pa.Table]) -> pa.Table:
    """Returns every word of the customers, good or bad: contacts, and feedback by themselves; as `voice_events`."""
    parts = [_no_event(tables)]
    if "contacts" in tables:
        parts.append(tables["contacts"].select(_EVENT))
    if "feedback" in tables:
        feedback = tables["feedback"]
        parts.append(feedback.filter(pa.array(is_by_self(feedback))).select(_EVENT))
    return pa.concat_tables([part.cast(parts[0].schema) for part in parts])


def has_voice(tables: Mapping[str, pa.Table]) -> bool:
    """Returns whether any table can carry the customers' own voice."""
    return bool(voice_sources(tables))


def voice_sources(tables: Mapping[str, pa.Table]) -> tuple[str, ...]:
    """Returns the tables that can carry the customers' own voice.

    These are `contacts` if they tell which are complaints, and `feedback` if any of it is by the customers themselves.
    """
    sources = []
    if "contacts" in tables and "is_complaint" in tables["contacts"].column_names:
        sources.append("contacts")
    if "feedback" in tables and is_by_self(tables["feedback"]).any():
        sources.append("feedback")
    return tuple(sources)


def _no_event(tables: Mapping[str, pa.Table]) -> pa.Table:
    """Ids are as in the tables: text, or the codes that stand for it."""
    kinds = {
        table["customer_id"].type for table in tables.values() if not pa.types.is_dictionary(table["customer_id"].type)
    }
    kind = kinds.pop() if kinds else pa.string()
    return pa.schema([("customer_id", kind), ("time", TIME), ("available_at", TIME)]).empty_table()


def _given(table: pa.Table, name: str, default: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if name not in table.column_names:
        return default
    values = pc.fill_null(table[name], float("nan")).to_numpy()
    return np.where(np.isnan(values), default, values)


def _is_after_the_end(feedback: pa.Table, tables: Mapping[str, pa.Table]) -> npt.NDArray[np.bool_]:
    if "customers" not in tables or "closed_at" not in tables["customers"].column_names:
        return np.zeros(feedback.num_rows, bool)
    customers = tables["customers"]
    position = pc.index_in(feedback["customer_id"], customers["customer_id"].combine_chunks())
    closed = customers["closed_at"].combine_chunks().take(position.combine_chunks())
    return np.asarray(pc.fill_null(pc.greater_equal(feedback["time"].combine_chunks(), closed), False))


def _stated_cancellations(subscriptions: pa.Table) -> pa.Table:
    names = subscriptions.column_names
    if not {"ended_at", "ended_how", "ended_reason"} <= set(names):
        return subscriptions.select(["customer_id", "start", "start"]).slice(0, 0).rename_columns(_EVENT)
    is_cancelled = np.asarray(pc.is_in(subscriptions["ended_how"], value_set=pa.array(["cancel"])))
    is_stated = np.asarray(pc.is_valid(subscriptions["ended_reason"])) & np.asarray(
        pc.is_valid(subscriptions["ended_at"])
    )
    ended = subscriptions.filter(pa.array(is_cancelled & is_stated))
    known = pc.max_element_wise(ended["ended_at"].cast(pa.int64()), ended["available_at"].cast(pa.int64()))
    return pa.table([ended["customer_id"], ended["ended_at"], known.cast(TIME)], names=_EVENT)
