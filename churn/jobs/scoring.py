"""Scoring: what becomes of the customers of one bucket, on a laptop as on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from churn.config import Config
from churn.drivers.contributions import explain
from churn.drivers.owners import owners_of
from churn.drivers.reasons import reasons
from churn.jobs.common import bundle_signals, threads_of
from churn.models.bundle import Bundle
from churn.models.frame import rows_at, why_not
from churn.models.known import Known
from churn.timeline.cutoffs import Cutoff
from churn.timeline.population import ELIGIBLE

COLUMNS = (
    "customer_id", "cutoff", "status", "why_not_scored", "p_leave", "p_silent", "p_vocal", "voice_status",
    "percentile", "band", "p_no_visit_by_rhythm", "expected_spend", "value_at_risk", "driver_1", "driver_2", "driver_3",
    "reason_1", "reason_2", "reason_3", "owner_1", "owner_2", "owner_3", "model_id",
)  # fmt: skip
_TEXTS = ("voice_status", "band", *(f"{what}_{rank}" for what in ("driver", "reason", "owner") for rank in (1, 2, 3)))
_NUMBERS = ("p_leave", "p_silent", "p_vocal", "percentile", "p_no_visit_by_rhythm", "expected_spend", "value_at_risk")
_NOBODY = pd.DataFrame({
    **dict.fromkeys(_NUMBERS, pd.Series(dtype=float)), **dict.fromkeys(_TEXTS, pd.Series(dtype=object)),
    "is_treated": pd.Series(dtype="boolean"),
})  # fmt: skip


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
    """

    home: Path
    model_id: str
    bundle: Bundle
    cutoff: Cutoff
    without: str
    columns: tuple[str, ...]
    customers: Sequence[str] | None


def answer(question: Question, known: Known, customers: Sequence[str] | None, *, config: Config) -> pd.DataFrame:
    """Returns the scores of the listed customers of a bucket in their order, or of everybody of it."""
    told = score_known(known, question.bundle, question.cutoff, customers=customers, config=config)
    told["is_treated"] = told["is_treated"].astype("boolean")
    return told.assign(model_id=question.model_id, warning=question.without)


def score_known(
    known: Known, bundle: Bundle, cutoff: Cutoff, *, customers: Sequence[str] | None, config: Config
) -> pd.DataFrame:
    """Returns the score columns (but `model_id`) of the listed customers in their order, or of everybody by risk."""
    ids = known.customers if customers is None else pa.array(list(customers), pa.string())
    codes = known.codes_of(ids)
    why = np.append(why_not(known, bundle.target, cutoff, prior=bundle.prior), "unknown")[codes]
    eligible = np.unique(codes[why == ELIGIBLE])
    scored = _scored_rows(known, bundle, cutoff, eligible, config) if len(eligible) else _NOBODY
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
    return listed.reset_index(drop=True)


def _scored_rows(known: Known, bundle: Bundle, cutoff: Cutoff, codes: np.ndarray, config: Config) -> pd.DataFrame:
    frame = rows_at(known, cutoff, codes=codes, prior=bundle.prior)
    # On a cluster each core has a task of its own.
    threads = 1 if config.engine.kind == "spark" else threads_of(config)
    features = bundle_signals(known, frame, bundle, threads=threads)
    predicted = bundle.predict(features, voice_status=frame["voice_status"].to_numpy(str))
    percentile = bundle.percentile(predicted["margin"].to_numpy())
    values = explain(bundle.factors, bundle.matched(features))
    told = reasons(
        features, values, bundle.recipes, currency=config.currency, activity=bundle.target.activity,
        horizon_days=bundle.target.horizon_days, owners=owners_of(config),
    )  # fmt: skip
    bands = np.array(config.bands.names, object)[np.searchsorted(config.bands.edges, percentile, side="right")]
    figures = pd.DataFrame({
        "p_leave": predicted["p_leave"], "p_silent": predicted["p_silent"], "p_vocal": predicted["p_vocal"],
        "voice_status": frame["voice_status"], "percentile": percentile, "band": bands,
        "p_no_visit_by_rhythm": frame["p_no_visit_by_rhythm"], "expected_spend": frame["expected_spend"],
        "value_at_risk": predicted["p_leave"] * frame["expected_spend"], "is_treated": frame["is_treated"],
    })  # fmt: skip
    return pd.concat([figures, told.set_index(figures.index)], axis=1)
