"""The two factors: who leaves, and which of the quiet leavers leave silently; each calibrated on what it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from churn.errors import NotEnoughDataError
from churn.models import boosting
from churn.models.boosting import Bool, Floats, Growing
from churn.models.calibration import Calibration, apply, fit_cautiously
from churn.models.coverage import told_columns
from churn.models.ensemble import (
    LINEAR_WEIGHT,
    Members,
    ensemble_margin,
    rhythm_member,
    steepness,
    told_by_each,
    weighted_mean,
)
from churn.models.levels import Levels, OpenWindow, enough_rows, fit_levels
from churn.models.linear import fit_linear
from churn.models.view import Signals, View, view_of
from churn.timeline.cutoffs import Cutoff

MIN_LEAVERS = 50
MIN_OF_EACH_VOICE = 100
"""Under this many silent or vocal leavers the second factor is their constant share."""
_TWO_SIDED_95 = 1.96


@dataclass(frozen=True, slots=True)
class SilentFactor:
    """p(silent | leave) among the quiet: a booster, or a constant share; and its calibration.

    Attributes:
        booster: the model of the second factor, None where the share is constant.
        share: silent leavers among the quiet training leavers.
        calibration: of the booster's raw margin, on quiet leavers; none where the share is constant.
    """

    booster: lgb.Booster | None
    share: float
    calibration: Calibration


@dataclass(frozen=True, slots=True)
class Factors:
    """What training learns.

    Attributes:
        leave: the trees of the first factor.
        members: the rhythm and the linear member, which count beside them.
        slope: of the raw margin of all within cutoffs.
        levels: what is added to it at a moment: how likely leaving is in itself then.
        silent: the second factor, None where nobody can be heard (`why_no_silent` says why).
        why_no_silent: a sentence, empty when there is a silent model.
        notes: what was decided by sample size rather than by evidence, in sentences.
    """

    leave: lgb.Booster
    members: Members
    slope: float
    levels: Levels
    silent: SilentFactor | None
    why_no_silent: str
    notes: tuple[str, ...]

    def calibration_at(self, at: int) -> Calibration:
        """Returns what makes a probability of the raw margin at a moment (microseconds UTC)."""
        return Calibration("sigmoid", (self.slope, self.levels.forecast(at)))


@dataclass(frozen=True, slots=True)
class SoFar:
    """What has come, by the moment of learning, of cutoffs whose outcome windows are not over: it tells levels alone.

    Attributes:
        features: the signals of their rows, shape (rows, signals).
        at: cutoff of each of them, microseconds UTC.
        came: when she was known to have come, days from the window's opening; infinity where she hasn't so far.
        came_before: the same of the rows that are learnt from.
        days: of each open cutoff, how many days of its window are over, in whole weeks.
    """

    features: Signals
    at: npt.NDArray[np.int64]
    came: Floats
    came_before: Floats
    days: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """Rows to learn from, aligned with one another and sorted by (customer, cutoff).

    Attributes:
        features: the signals, shape (rows, signals).
        at: cutoff of each row, microseconds UTC.
        has_left: the first outcome.
        is_quiet: whether she was quiet (eligible, observable, no voice before) at the cutoff.
        has_spoken: whether she spoke between the cutoff and the close of the window.
        so_far: what has come of later cutoffs whose windows aren't over; None where it isn't asked.
    """

    features: Signals
    at: npt.NDArray[np.int64]
    has_left: Bool
    is_quiet: Bool
    has_spoken: Bool
    so_far: SoFar | None = None

    def keep(self, mask: Bool) -> TrainingRows:
        """Returns the rows where `mask` is true."""
        kept = view_of(self.features).keep(mask)
        so_far = None if self.so_far is None else replace(self.so_far, came_before=self.so_far.came_before[mask])
        return TrainingRows(
            kept, self.at[mask], self.has_left[mask], self.is_quiet[mask], self.has_spoken[mask], so_far
        )


def learn(
    rows: TrainingRows, *, cutoffs: Sequence[Cutoff], grace_days: int, can_hear: bool, growing: Growing, folds: int = 2
) -> Factors:
    """Returns the two factors learnt from `rows`, the rounds from up to `folds` purged folds inside them.

    Raises:
        NotEnoughDataError: under 50 leavers or stayers.
    """
    _check_enough(rows.has_left)
    rows, rolling = covered_folds(rows, cutoffs, grace_days=grace_days, count=folds)
    features, left, at = rows.features, rows.has_left, rows.at
    rounds = boosting.choose_rounds(features, y=left, at=at, folds=rolling, growing=growing, is_within=True)
    leave = boosting.fit(features, y=left, rounds=rounds.count, growing=growing, at=at)
    linear = fit_linear(features, y=left, at=at, weight=LINEAR_WEIGHT, categories=growing.categories)
    members = Members(rhythm_member(features, y=left, at=at), linear)
    some = rows.keep(enough_rows(at))
    told = told_by_each(leave, some.features, members)
    slope = steepness(told, at=some.at)
    levels = _levels(
        some, slope * weighted_mean(told), window=cutoffs[0].horizon_days,
        margin_of=lambda features: slope * ensemble_margin(leave, features, members),
    )  # fmt: skip
    notes = []
    if not rounds.judged:
        many = f"{boosting.MIN_OF_A_CLASS} leavers and as many stayers"
        notes.append(f"no purged fold with {many} fits into the training: rounds by sample size")
    silent, why = None, "no table carries the customers' own voice (contacts or feedback by themselves)"
    if can_hear:
        latest = rounds.judged[0].fold if rounds.judged else None
        silent, why, note = _learn_silent(rows, latest, rolling, growing=growing.untuned)
        notes += note
    return Factors(leave, members, slope, levels, silent, why, tuple(notes))


def predict(
    factors: Factors, features: pd.DataFrame, *, voice_status: npt.NDArray[np.str_], at: int | npt.NDArray[np.int64]
) -> pd.DataFrame:
    """Returns per row margin, p_leave with p_leave_low and p_leave_high, p_silent, p_vocal and p_silent_given_leave.

    Low and high are p_leave if the level of leaving turned out as low or as high as a forecast is off in 95 of 100
    cases at most: what the base may do by then, the same for all, not how much is known of her.

    p_silent is 0 for who has already spoken (her leaving would be vocal), null for who can't be heard and without a
    silent model; otherwise p_leave x p(silent | leave), and so below p_leave whenever leavers have been heard to speak.

    Args:
        factors: what was learnt.
        features: signals, a row per prediction.
        voice_status: of each row, shape (rows,).
        at: the cutoff of all rows, or of each; microseconds UTC.
    """
    margin = ensemble_margin(factors.leave, features, factors.members)
    p_leave, low, high = np.empty((3, len(margin)))
    moments = np.broadcast_to(at, len(margin))
    for moment in np.unique(moments).tolist():
        rows = moments == moment
        usual, off = factors.calibration_at(moment), _TWO_SIDED_95 * factors.levels.error(moment)
        for told, shift in ((p_leave, 0.0), (low, -off), (high, off)):
            slope, level = usual.parameters
            told[rows] = apply(Calibration(usual.method, (slope, level + shift)), margin[rows])
    p_silent = np.full(len(features), np.nan)
    given_leave = np.full(len(features), np.nan)
    if factors.silent is not None:
        given_leave = silent_given_leave(factors.silent, features)
        p_silent = np.select(
            [voice_status == "quiet", voice_status == "already_vocal"], [p_leave * given_leave, 0.0], np.nan
        )
    return pd.DataFrame({
        "margin": margin, "p_leave": p_leave, "p_leave_low": low, "p_leave_high": high, "p_silent": p_silent,
        "p_vocal": p_leave - p_silent, "p_silent_given_leave": given_leave,
    }, index=features.index)  # fmt: skip


def silent_given_leave(silent: SilentFactor, features: Signals) -> Floats:
    """Returns p(silent | leave), shape (rows,)."""
    if silent.booster is None:
        return np.full(len(features), silent.share)
    return apply(silent.calibration, boosting.raw_margin(silent.booster, features))


def covered_folds(
    rows: TrainingRows, cutoffs: Sequence[Cutoff], *, grace_days: int, count: int
) -> tuple[TrainingRows, tuple[boosting.Fold, ...]]:
    """Returns the rows with the columns to learn from, and up to `count` purged folds, the latest first."""
    view = view_of(rows.features)
    kept = replace(rows, features=view.select(told_columns(view)))
    moments = set(rows.at.tolist())
    here = [cutoff for cutoff in cutoffs if cutoff.at in moments]
    return kept, boosting.rolling_folds(here, grace_days=grace_days, count=count)


def _levels(rows: TrainingRows, margin: Floats, *, window: int, margin_of: Callable[[View], Floats]) -> Levels:
    """The levels' forecast, told by rows whose windows are over and, where they are asked, by those still open."""
    so_far = rows.so_far
    if so_far is None or not len(so_far.at):
        return fit_levels(margin, y=rows.has_left, at=rows.at, window=window)
    few = enough_rows(so_far.at)
    at, came, of_open = so_far.at[few], so_far.came[few], margin_of(view_of(so_far.features).keep(few))
    still_open = [
        OpenWindow(moment, days, of_open[at == moment], came[at == moment] > days)
        for moment, days in sorted(so_far.days.items())
        if (at == moment).any()
    ]
    was_absent = {days: so_far.came_before > days for days in sorted({each.days for each in still_open})}
    return fit_levels(margin, y=rows.has_left, at=rows.at, window=window, still_open=still_open, was_absent=was_absent)


def _learn_silent(
    rows: TrainingRows, latest: boosting.Fold | None, folds: Sequence[boosting.Fold], *, growing: Growing
) -> tuple[SilentFactor | None, str, list[str]]:
    is_leaver = rows.has_left & rows.is_quiet
    leavers = rows.keep(is_leaver)
    is_silent = ~leavers.has_spoken
    silent, vocal = int(is_silent.sum()), int((~is_silent).sum())
    if not silent:
        return None, "no quiet customer left silently in the training period", []
    share = silent / (silent + vocal)
    if min(silent, vocal) < MIN_OF_EACH_VOICE:
        note = (
            f"{silent} silent and {vocal} vocal leavers among the quiet: "
            f"p(silent | leave) is their constant share {share:.3f}"
        )
        if not vocal:
            note += ", no evidence of silence: whoever leaves unheard where nobody is ever heard counts as silent"
        return SilentFactor(None, share, Calibration("none")), "", [note]
    rounds = boosting.choose_rounds(leavers.features, y=is_silent, at=leavers.at, folds=folds, growing=growing)
    booster = boosting.fit(leavers.features, y=is_silent, rounds=rounds.count, growing=growing)
    calibration = _calibrate_silent(leavers, latest, rounds.count, growing=growing)
    return SilentFactor(booster, share, calibration), "", []


def _calibrate_silent(
    leavers: TrainingRows, fold: boosting.Fold | None, rounds: int, *, growing: Growing
) -> Calibration:
    """The calibration of p(silent | leave) on the latest fold's leavers, judged by those settled before them."""
    if fold is None:
        return Calibration("none")
    is_silent = ~leavers.has_spoken
    before, then = (np.isin(leavers.at, [cutoff.at for cutoff in part]) for part in (fold.train, fold.valid))
    if min(is_silent[before].sum(), (~is_silent)[before].sum()) < boosting.MIN_OF_A_CLASS or not then.any():
        return Calibration("none")
    features = view_of(leavers.features)
    earlier = boosting.fit(features.keep(before), y=is_silent[before], rounds=rounds, growing=growing)
    margin = boosting.raw_margin(earlier, features.keep(then))
    return fit_cautiously(margin, y=is_silent[then])


def _check_enough(has_left: Bool) -> None:
    leavers, stayers = int(has_left.sum()), int((~has_left).sum())
    if min(leavers, stayers) < MIN_LEAVERS:
        raise NotEnoughDataError(
            f"{leavers} rows (customer, cutoff) that leave and {stayers} that stay in the training period: at least "
            f"{MIN_LEAVERS} of each are needed; give a longer history, a shorter horizon_days, or a wider population "
            "in churn.toml"
        )
