"""The ensemble of the leave factor: the trees and the base's rhythm, combined on the log odds.

Trees learn what happened in the seasons they have seen; MBG/NBD knows nothing but rhythm, and so it keeps its level
when the season turns. How much it counts is chosen on the purged folds inside the training period,
never above one half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
from scipy.special import logit

from churn.models.boosting import Bool, Floats, Judged, raw_margin
from churn.models.calibration import apply, fit_cautiously
from churn.models.metrics import log_loss
from churn.models.view import Signals, view_of

RHYTHM_FEATURE = "p_no_visit_or_gone"
WEIGHTS = (0.0, 0.25, 0.5)
_EDGE = 1e-4


@dataclass(frozen=True, slots=True)
class RhythmMember:
    """What the base's rhythm counts in the ensemble.

    Attributes:
        weight: of its log odds, 0 to 0.5; the trees have the rest.
        mean: its mean log odds over the training rows: what it says of nobody in particular.
    """

    weight: float = 0.0
    mean: float = 0.0


def rhythm_margin(features: Signals, member: RhythmMember) -> Floats:
    """Returns the member's log odds per row, shape (rows,); its mean where she was never active."""
    if RHYTHM_FEATURE not in features:
        return np.full(len(features), member.mean)
    p = view_of(features).column(RHYTHM_FEATURE)
    return np.where(np.isnan(p), member.mean, logit(np.clip(p, _EDGE, 1 - _EDGE)))


def ensemble_margin(booster: lgb.Booster, features: Signals, member: RhythmMember) -> Floats:
    """Returns the raw margin of the leave factor before calibration, shape (rows,)."""
    return blend(raw_margin(booster, features), rhythm_margin(features, member), member.weight)


def blend(trees: Floats, rhythm: Floats, weight: float) -> Floats:
    """Returns the weighted mean of two margins."""
    return trees if weight == 0 else (1 - weight) * trees + weight * rhythm


def choose_member(features: Signals, *, y: Bool, judged: Sequence[Judged]) -> RhythmMember:
    """Returns the member with the weight that forecasts the latest fold best, calibrated on the fold before it.

    That is the position the final model will be in: its calibration comes from a window that is over. With one fold
    alone it is calibrated on that; without folds, or without the rhythm's feature, the member counts nothing.
    """
    if RHYTHM_FEATURE not in features or not judged:
        return RhythmMember()
    mean = float(np.nanmean(rhythm_margin(features, RhythmMember(mean=np.nan))))
    rhythm = rhythm_margin(features, RhythmMember(mean=mean))
    outcome = y.astype(np.float64)
    latest, before = judged[0], judged[min(1, len(judged) - 1)]

    def cost(weight: float) -> float:
        now, then = (blend(fold.margin, rhythm[fold.rows], weight) for fold in (latest, before))
        calibration = fit_cautiously(then, y=outcome[before.rows])
        return log_loss(outcome[latest.rows], apply(calibration, now))

    return RhythmMember(min(WEIGHTS, key=cost), mean)
