"""The ensemble of the leave factor: trees, the base's rhythm, and a linear member, combined on the log odds.

Trees learn what happened in the seasons they have seen; MBG/NBD knows nothing but rhythm, and so it keeps its level
when the season turns; straight lines take what rises little by little, which trees must cut into steps. What each
counts is fixed: a fold is one draw of a season, and weights chosen by it forecast worse than a half and two quarters
(docs/decisions/017-a-linear-member.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from scipy.special import logit

from churn.models.boosting import Floats, raw_margin
from churn.models.levels import slope_of
from churn.models.linear import LinearMember, linear_margin
from churn.models.view import Signals, view_of
from churn.tables.history import Int64, moments_of

RHYTHM_FEATURE = "p_no_visit_or_gone"
RHYTHM_WEIGHT = 0.25
LINEAR_WEIGHT = 0.25
_EDGE = 1e-4
_FLAT = 1e-9
"""Log odds that vary less than this within cutoffs (squared) are the same for everybody."""
BELIEVED, STEEPEST = 0.8, 1.3
"""How much of the members' disagreement is taken for knowledge: the rest is what few rows taught each by chance; and
how steep a mean is made at most: members that hardly agree at all know little (measured, docs/decisions/027)."""


@dataclass(frozen=True, slots=True)
class RhythmMember:
    """What the base's rhythm counts in the ensemble.

    Attributes:
        weight: of its log odds; 0 where its signal is missing or tells nobody apart.
        mean: its mean log odds over the training rows: what it says of nobody in particular.
        slope: how steep its log odds turned out about that mean: MBG/NBD is too sure where it doesn't fit the base.
    """

    weight: float = 0.0
    mean: float = 0.0
    slope: float = 1.0


@dataclass(frozen=True, slots=True)
class Members:
    """The members of the leave factor beside its trees, which have the rest of the weight."""

    rhythm: RhythmMember = field(default_factory=RhythmMember)
    linear: LinearMember = field(default_factory=LinearMember)

    @property
    def weight_of_trees(self) -> float:
        """What the trees count."""
        return 1 - self.rhythm.weight - self.linear.weight


def rhythm_member(
    features: Signals, *, y: npt.NDArray[np.bool_] | None = None, at: npt.NDArray[np.int64] | None = None
) -> RhythmMember:
    """Returns the rhythm as a member, with its mean over the training rows; without its feature it counts nothing.

    Given who left and the cutoffs of the rows, its slope is theirs within cutoffs. Where it is the same for everybody,
    as under contracts, or ranks them the wrong way round, it counts nothing, too: it would only make the others timid.
    """
    if RHYTHM_FEATURE not in features:
        return RhythmMember()
    told = rhythm_margin(features, RhythmMember(mean=np.nan))
    if np.isnan(told).all():
        return RhythmMember()
    slope, is_told = 1.0, ~np.isnan(told)
    if y is not None and at is not None:
        found, _ = slope_of(told[is_told], y=y[is_told], at=at[is_told])
        slope = slope if np.isnan(found) else found
        if slope <= 0 or _spread_within(told[is_told], at[is_told]) < _FLAT:
            return RhythmMember()
    return RhythmMember(RHYTHM_WEIGHT, float(np.nanmean(told)), slope)


def rhythm_margin(features: Signals, member: RhythmMember) -> Floats:
    """Returns the member's log odds per row, shape (rows,); its mean where she was never active."""
    if RHYTHM_FEATURE not in features:
        return np.full(len(features), member.mean)
    p = view_of(features).column(RHYTHM_FEATURE)
    odds = logit(np.clip(p, _EDGE, 1 - _EDGE))
    if member.slope != 1:
        odds = member.mean + member.slope * (odds - member.mean)
    return np.where(np.isnan(p), member.mean, odds)


def ensemble_margin(booster: lgb.Booster, features: Signals, members: Members) -> Floats:
    """Returns the raw margin of the leave factor before calibration, shape (rows,): its members' weighted mean."""
    return weighted_mean(told_by_each(booster, features, members))


def told_by_each(booster: lgb.Booster, features: Signals, members: Members) -> list[tuple[float, Floats]]:
    """Returns what each member counts, and its log odds per row, shape (rows,); the trees first."""
    told = [(members.weight_of_trees, raw_margin(booster, features))]
    if members.rhythm.weight > 0:
        told.append((members.rhythm.weight, rhythm_margin(features, members.rhythm)))
    if members.linear.weight > 0:
        told.append((members.linear.weight, linear_margin(features, members.linear)))
    return told


def weighted_mean(told: Sequence[tuple[float, Floats]]) -> Floats:
    """Returns the mean of the members' log odds, shape (rows,)."""
    margin = told[0][0] * told[0][1]
    for weight, odds in told[1:]:
        margin = margin + weight * odds
    return margin


def steepness(told: Sequence[tuple[float, Floats]], *, at: Int64) -> float:
    """Returns how much steeper than the members' mean the truth is believed to be within cutoffs; 1 to `STEEPEST`.

    A calibrated member goes with the truth as far as it goes at all: their covariance is its own variance. The mean of
    members that differ varies less than they do, and still goes with the truth as far as they do on the mean; so the
    truth on the mean has the slope (mean of the members' variances) / (variance of their mean), which is 1 and how far
    they disagree ("ambiguity": Krogh, Vedelsby, "Neural network ensembles", 1995). No outcome is asked; of the
    disagreement `BELIEVED` is counted.

    Args:
        told: what each member counts and says of the rows.
        at: cutoff of each row, shape (rows,).
    """
    each = sum(weight * _spread_within(odds, at) for weight, odds in told)
    mean = _spread_within(weighted_mean(told), at)
    return float(min(1 + BELIEVED * max(each / mean - 1, 0.0), STEEPEST)) if mean > _FLAT else 1.0


def _spread_within(margin: Floats, at: Int64) -> float:
    """The variance of a margin within cutoffs."""
    _, place = moments_of(at)
    count = np.bincount(place)
    apart = margin - (np.bincount(place, weights=margin) / count)[place]
    return float((apart * apart).mean())
