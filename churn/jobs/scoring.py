"""Scoring: what becomes of the customers of one bucket, on a laptop as on a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from churn.config import Config
from churn.drivers.contributions import explain
from churn.drivers.owners import owners_of
from churn.drivers.reasons import reasons
from churn.jobs.explained import Explained
from churn.jobs.signals_of import bundle_signals
from churn.models.base import Base
from churn.models.bundle import Bundle
from churn.models.frame import rows_at, why_not
from churn.models.known import Known, prepare
from churn.models.reference import Counts, counts_of
from churn.timeline.cutoffs import Cutoff
from churn.timeline.population import ELIGIBLE

RANKS = (1, 2, 3)
REASONS = tuple(f"{what}_{rank}" for what in ("driver", "reason", "owner") for rank in RANKS)
"""The columns that say why."""
COLUMNS = (
    "customer_id", "cutoff", "status", "why_not_scored", "p_leave", "p_leave_low", "p_leave_high", "p_silent",
    "p_vocal", "voice_status", "percentile", "band", "p_no_visit_by_rhythm", "expected_spend", "value_at_risk",
    *REASONS, "model_id",
)  # fmt: skip
_TEXTS = ("voice_status", "band", *REASONS)
_PREDICTED = ("p_leave", "p_leave_low", "p_leave_high", "p_silent", "p_vocal")
_NUMBERS = (*_PREDICTED, "percentile", "p_no_visit_by_rhythm", "expected_spend", "value_at_risk")
_NOBODY = pd.DataFrame({
    **dict.fromkeys(_NUMBERS, pd.Series(dtype=float)), **dict.fromkeys(_TEXTS, pd.Series(dtype=object)),
    "is_treated": pd.Series(dtype="boolean"),
})  # fmt: skip
ALL = Explained("all")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of every bucket alike.

    Attributes:
        home: the bundle's folder.
        model_id: of the bundle.
        bundle: the model.
        cutoff: the moment of prediction.
        without: what the model was trained with and is absent now, as it is told; empty for nothing.
        columns: of the list.
        customers: the list in its order; None for everybody.
        explained: whose scores come with reasons.
    """

    home: Path
    model_id: str
    bundle: Bundle
    cutoff: Cutoff
    without: str
    columns: tuple[str, ...]
    customers: Sequence[str] | None
    explained: Explained = ALL


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of one bucket.

    Attributes:
        scores: of the listed customers in their order, or of everybody by risk.
        scored: how many distinct customers have a score.
        counts: in which bins of the reference their features lie.
    """

    scores: pd.DataFrame
    scored: int
    counts: Counts


def answer(question: Question, known: Known, customers: Sequence[str] | None, *, config: Config) -> Answer:
    """Returns the scores of the listed customers of a bucket in their order, or of everybody of it."""
    found = score_known(
        known, question.bundle, question.cutoff, customers=customers, explained=question.explained, config=config
    )
    told = found.scores
    told["is_treated"] = told["is_treated"].astype("boolean")
    told = told.assign(model_id=question.model_id, warning=question.without)
    return Answer(told, found.scored, found.counts)


def score_known(
    known: Known, bundle: Bundle, cutoff: Cutoff, *, customers: Sequence[str] | None, config: Config,
    explained: Explained = ALL,
) -> Answer:  # fmt: skip
    """Returns the score columns (but `model_id`) of the listed customers in their order, or of everybody by risk."""
    ids = known.customers if customers is None else pa.array(list(customers), pa.string())
    codes = known.codes_of(ids)
    why = np.append(why_not(known, bundle.target, cutoff, prior=bundle.prior), "unknown")[codes]
    eligible = np.unique(codes[why == ELIGIBLE])
    scored, counts = _NOBODY, list[npt.NDArray[np.int64]]()
    if len(eligible):
        frame = rows_at(known, cutoff, codes=eligible, prior=bundle.prior)
        features = _signals(known, frame, bundle, config)
        scored, counts = scored_rows(frame, features, bundle, explained=explained, config=config)
    position = pd.Series(np.arange(len(eligible)), index=eligible).reindex(codes)
    listed = scored.take(position.fillna(0).to_numpy(np.int64)) if len(scored) else scored.reindex(range(len(codes)))
    listed = listed.reset_index(drop=True).mask(pd.Series(why != ELIGIBLE), other=None)
    listed.insert(0, "customer_id", ids.to_pylist())
    listed.insert(1, "cutoff", cutoff.label)
    listed.insert(2, "status", np.where(why == ELIGIBLE, "scored", "not_scored"))
    listed.insert(3, "why_not_scored", pd.Series(why).where(why != ELIGIBLE, None))
    if customers is None:
        listed = listed.sort_values(
            ["status", "percentile", "p_leave", "customer_id"], ascending=[False, False, False, True]
        )
    return Answer(listed.reset_index(drop=True), len(eligible), counts)


def reasons_of(
    question: Question, tables: Mapping[str, pa.Table], chosen: Sequence[str], *, base: Base, config: Config
) -> pd.DataFrame:
    """Returns customer_id and `REASONS` of some scored customers, sorted by id; the rows of others are left alone.

    Args:
        question: what was asked when they were scored.
        tables: of one bucket.
        chosen: ids of that bucket.
        base: all customers together.
    """
    if not chosen:
        return _unexplained().assign(customer_id=pd.Series(dtype=object))[["customer_id", *REASONS]]
    ids = pa.array(sorted(chosen), pa.string())
    few = {name: table.filter(pc.is_in(table["customer_id"], value_set=ids)) for name, table in tables.items()}
    bundle, cutoff = question.bundle, question.cutoff
    known = prepare(few, config=config, activity_kind=bundle.target.activity, base=base)
    frame = pd.DataFrame({"customer": known.codes_of(ids), "at": cutoff.at})
    told = _told(bundle, _signals(known, frame, bundle, config), config)
    told.insert(0, "customer_id", ids.to_pylist())
    return told


def scored_rows(
    frame: pd.DataFrame, features: pd.DataFrame, bundle: Bundle, *, explained: Explained, config: Config
) -> tuple[pd.DataFrame, Counts]:
    """Returns the figures and reasons of eligible customers, and in which bins of the reference their features lie.

    Args:
        frame: what `rows_at` returns.
        features: their signals, in the same order.
        bundle: the model.
        explained: whose scores come with reasons; those of the top come later.
        config: bands, owners, currency.
    """
    predicted = bundle.predict(features, voice_status=frame["voice_status"].to_numpy(str), at=frame["at"].to_numpy())
    percentile = bundle.percentile(predicted["margin"].to_numpy())
    bands = np.array(config.bands.names, object)[np.searchsorted(config.bands.edges, percentile, side="right")]
    figures = pd.DataFrame({
        **{name: predicted[name] for name in _PREDICTED},
        "voice_status": frame["voice_status"], "percentile": percentile, "band": bands,
        "p_no_visit_by_rhythm": frame["p_no_visit_by_rhythm"], "expected_spend": frame["expected_spend"],
        "value_at_risk": predicted["p_leave"] * frame["expected_spend"], "is_treated": frame["is_treated"],
    })  # fmt: skip
    is_told = explained.at_once(predicted["p_leave"].to_numpy())
    told = _unexplained()
    if is_told.any():
        few = features if is_told.all() else features[is_told]
        told = _told(bundle, few, config, margin=predicted["margin"].to_numpy()[is_told])
    counts = counts_of(bundle.reference, features, bundle.recipes)
    return pd.concat([figures, told.reindex(figures.index)], axis=1), counts


def _signals(known: Known, frame: pd.DataFrame, bundle: Bundle, config: Config) -> pd.DataFrame:
    return bundle_signals(known, frame, bundle, threads=_threads(config))


def _threads(config: Config) -> int:
    """On a cluster each core has a task of its own."""
    return 1 if config.engine.kind == "spark" else config.engine.thread_count


def _told(
    bundle: Bundle, features: pd.DataFrame, config: Config, *, margin: npt.NDArray[np.float64] | None = None
) -> pd.DataFrame:
    """The reasons of rows, with their index; `margin` where it is known."""
    matched = bundle.matched(features)
    values = explain(bundle.factors, matched, bundle.recipes, threads=_threads(config), margin=margin)
    return reasons(
        features, values, bundle.recipes, currency=config.currency, activity=bundle.target.activity,
        horizon_days=bundle.target.horizon_days, owners=owners_of(config),
    )  # fmt: skip


def _unexplained() -> pd.DataFrame:
    return pd.DataFrame(dict.fromkeys(REASONS, pd.Series(dtype=object)))
