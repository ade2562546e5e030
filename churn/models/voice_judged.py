"""How good the voice model is: learnt before the first test cutoff, judged on what went wrong after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from churn.models.metrics import auroc, brier, ece, perfect_ece
from churn.models.troubles import Troubles
from churn.models.voice_model import Learnt, VoiceModel, VoiceRows, fit_voice
from churn.models.voice_rows import OWN_COUNT, OWN_TOLD, own_telling
from churn.tables.history import DAY, Int64

Float64 = npt.NDArray[np.float64]

WINDOW_DAYS = 90
"""What was settled in so many days before the first test cutoff calibrates the model that is judged."""
MIN_OF_EACH = 30
"""Under so many told or untold ones after the first test cutoff there is nothing to judge."""
_RULE_PRIOR = 3.0
_SEVERITY_BINS = 4


@dataclass(frozen=True, slots=True)
class JudgedVoice:
    """What judging found.

    Attributes:
        learnt: the model that was judged.
        metrics: auroc, brier, ece and ece_perfect (a perfect model's, by chance alone) of the model and of each simple
            rule by name; empty where too little went wrong.
        troubles: how many were judged.
        told: how many of them she told of.
    """

    learnt: Learnt
    metrics: dict[str, dict[str, float]]
    troubles: int
    told: int

    def to_dict(self) -> dict[str, Any]:
        """Returns the figures as plain JSON data."""
        return {"troubles": self.troubles, "told": self.told, "metrics": self.metrics}


def judge_voice(rows: VoiceRows, *, first: int, settled: int) -> JudgedVoice:
    """Returns how well a model learnt at `first` says who speaks of what went wrong from then on, beside simple rules.

    The rules: everybody's rate of the kind alone (`kind`), of the severity alone (`severity`), and the customer's own
    past rate, shrunk (`own_rate`). Judged is what was settled by `settled`; both moments in microseconds UTC.
    """
    every = np.ones(len(rows.troubles), bool)
    before = fit_voice(rows, every, by=first - WINDOW_DAYS * DAY)
    learnt = fit_voice(rows, every, by=first, before=before)
    later = np.flatnonzero(rows.settled(settled) & (rows.troubles.time >= first))
    y = rows.is_told(settled)[later].astype(np.float64)
    metrics: dict[str, dict[str, float]] = {}
    if min(y.sum(), len(y) - y.sum()) >= MIN_OF_EACH:
        told = {"model": learnt.model.predict(rows.troubles, later, rows.signals.iloc[later])}
        told |= _rules(rows, learnt, later)
        metrics = {
            name: {"auroc": auroc(y, p), "brier": brier(y, p), "ece": ece(y, p), "ece_perfect": perfect_ece(p)}
            for name, p in told.items()
        }
    return JudgedVoice(learnt, metrics, len(later), int(y.sum()))


def _rules(rows: VoiceRows, learnt: Learnt, later: Int64) -> dict[str, Float64]:
    """What each simple rule says of some troubles, learnt from those that were settled when the model was learnt."""
    troubles, model = rows.troubles, learnt.model
    own = own_telling(troubles, later, expected=model.expected(troubles))
    taught = np.flatnonzero(rows.settled(learnt.by))
    return {
        "kind": model.expected(troubles)[later],
        "severity": _by_severity(troubles, model, taught, rows.is_told(learnt.by)[taught], later),
        "own_rate": (own[OWN_TOLD] + _RULE_PRIOR * model.rate) / (own[OWN_COUNT] + _RULE_PRIOR),
    }


def _by_severity(
    troubles: Troubles, model: VoiceModel, taught: Int64, is_told: npt.NDArray[np.bool_], later: Int64
) -> Float64:
    weights = model.weights(troubles)
    if not len(taught):
        return np.full(len(later), model.rate)
    edges = np.unique(np.quantile(weights[taught], np.linspace(0, 1, _SEVERITY_BINS + 1))[1:])
    place = np.searchsorted(edges, weights, side="left")
    told = np.bincount(place[taught], is_told, len(edges) + 1)
    count = np.bincount(place[taught], minlength=len(edges) + 1)
    return np.asarray(((told + _RULE_PRIOR * model.rate) / (count + _RULE_PRIOR))[place[later]])
