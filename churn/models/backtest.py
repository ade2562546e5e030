"""The backtest: at each test cutoff a model learns from what was settled by then and is judged on what came after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from churn.errors import NotEnoughDataError
from churn.models.baselines import (
    BASELINES,
    PurchaseHistory,
    SilenceHistory,
    fit_predict,
    p_leave_alone,
    p_leave_x_share,
    silence_rule,
)
from churn.models.boosting import Growing
from churn.models.factors import Factors, SoFar, TrainingRows, learn, predict
from churn.models.frame import came_after, everybody_at, outcomes_of
from churn.models.known import Known
from churn.models.target import Target
from churn.models.view import View, view_of
from churn.tables.memory import give_back
from churn.timeline.cutoffs import Cutoff, purged, still_open
from churn.timeline.rhythm import Prior

SILENCE_BASELINES = ("p_leave_alone", "p_leave_x_share", "silence_rule")


@dataclass(frozen=True, slots=True)
class Material:
    """Everything a backtest learns from: rows at every cutoff, and their signals in the same order.

    Attributes:
        known: what is known of the customers.
        target: what is predicted.
        prior: the base's rhythm, learnt before the first test cutoff.
        frame: one row per eligible customer and cutoff (`models.frame.rows`).
        features: the signals of those rows.
        cutoffs: the training cutoffs, in time order.
        later: those after them, whose windows are still open where the data ends; they tell levels alone.
        leave_out_treated: whether rows of customers treated before or in the outcome window teach nothing.
        growing: how trees are grown.
    """

    known: Known
    target: Target
    prior: Prior
    frame: pd.DataFrame
    features: pd.DataFrame
    cutoffs: tuple[Cutoff, ...]
    later: tuple[Cutoff, ...]
    leave_out_treated: bool
    growing: Growing

    def training_rows(self, by: int) -> tuple[TrainingRows, tuple[Cutoff, ...], pd.DataFrame]:
        """Returns the rows whose outcomes are settled by the moment `by`, their cutoffs, and their part of the frame.

        Outcomes count only what was known at `by`.
        """
        cutoffs = purged(self.cutoffs, self.target.cutoff(by), grace_days=self.target.grace_days)
        is_train = np.isin(self.frame["at"], [cutoff.at for cutoff in cutoffs])
        told = outcomes_of(self.known, self.target, self.frame[is_train], known_by=by, prior=self.prior)
        if self.leave_out_treated:
            is_taught = ~(self.frame["is_treated"][is_train] | told["is_treated_since"]).to_numpy()
            is_train[is_train] = is_taught
            told = told[is_taught]
        frame = self.frame[is_train]
        rows = TrainingRows(
            features=view_of(self.features).keep(is_train),
            at=frame["at"].to_numpy(),
            has_left=told["has_left"].to_numpy(),
            is_quiet=(frame["voice_status"] == "quiet").to_numpy(),
            has_spoken=told["has_spoken"].to_numpy(),
            so_far=self._so_far(by, frame),
        )
        return rows, cutoffs, frame

    def _so_far(self, by: int, before: pd.DataFrame) -> SoFar | None:
        """What has come by the moment `by` of cutoffs whose windows are open, and in as many days of those `before`.

        Of contracts None: whether one is renewed shows at its end alone. None, too, where the treated teach nothing:
        who is treated in the rest of her window isn't known yet, and the others are no like for like.
        """
        if self.target.is_contractual or self.leave_out_treated:
            return None
        days = {cutoff.at: over for cutoff, over in still_open((*self.cutoffs, *self.later), by).items()}
        is_open = np.isin(self.frame["at"], list(days))
        frame = self.frame[is_open]
        came, came_before = (came_after(self.known, self.target, part, known_by=by) for part in (frame, before))
        return SoFar(view_of(self.features).keep(is_open), frame["at"].to_numpy(), came, came_before, days)


def learn_by(material: Material, by: int, *, columns: Sequence[str] | None = None) -> Factors:
    """Returns the two factors as they could be learnt at the moment `by`, from all signals or from some `columns`."""
    rows, cutoffs, _ = material.training_rows(by)
    return _learnt_from(material, rows, cutoffs, columns=columns)


def _learnt_from(
    material: Material, rows: TrainingRows, cutoffs: Sequence[Cutoff], *, columns: Sequence[str] | None = None
) -> Factors:
    """The two factors learnt from the rows of some cutoffs; from some `columns`, with a fold less."""
    if columns is not None:
        rows = replace(rows, features=view_of(rows.features).select(columns))
    return learn(
        rows, cutoffs=cutoffs, grace_days=material.target.grace_days, can_hear=material.known.has_voice,
        growing=material.growing, folds=2 if columns is None else 1,
    )  # fmt: skip


def run_backtest(
    material: Material, tests: Sequence[Cutoff], *, settled: int, families: dict[str, list[str]],
    progress: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:  # fmt: skip
    """Returns the test rows with outcomes and every model's predictions, one row per eligible customer and test cutoff.

    Columns: customer, at, voice_status, is_treated, has_left, has_spoken, expected_spend, days_since_last; margin,
    p_leave, p_silent, p_silent_given_leave; `rank:NAME` and `p:NAME` per baseline; `p:FAMILY` and `s:FAMILY` (p_leave
    and p_silent from the columns of one family of signals alone).

    Raises:
        NotEnoughDataError: nobody to test on, or too little to learn from.
    """
    empty = [test.label for test in tests if not (material.frame["at"] == test.at).any()]
    if empty:
        raise NotEnoughDataError(
            f"nobody is eligible at the test cutoff {', '.join(empty)}: choose other test_cutoffs "
            "or a wider population in churn.toml"
        )
    parts = []
    for number, test in enumerate(tests, start=1):
        progress(f"backtest {number} of {len(tests)}: cutoff {test.label}")
        give_back()
        parts.append(_one_cutoff(material, test, settled=settled, families=families))
    return pd.concat(parts, ignore_index=True)


def _one_cutoff(material: Material, test: Cutoff, *, settled: int, families: dict[str, list[str]]) -> pd.DataFrame:
    rows, cutoffs, train = material.training_rows(test.at)
    is_test = (material.frame["at"] == test.at).to_numpy()
    frame, features = material.frame[is_test], material.features[is_test]
    status = frame["voice_status"].to_numpy(str)
    told = outcomes_of(material.known, material.target, frame, known_by=settled, prior=material.prior)
    factors = _learnt_from(material, rows, cutoffs)
    predicted = predict(factors, features, voice_status=status, at=test.at)
    kept = frame[["customer", "at", "voice_status", "is_treated", "expected_spend", "days_since_last"]].astype(
        {"voice_status": "str", "expected_spend": np.float64, "days_since_last": np.float64}
    )
    result = pd.concat([kept, told[["has_left", "has_spoken"]], predicted], axis=1)
    everybody = purchases_of(everybody_at(material.known, test, prior=material.prior))
    for name in BASELINES:
        ranked, p = fit_predict(
            name, train=purchases_of(train), y=rows.has_left, test=purchases_of(frame), everybody=everybody,
            horizon_days=material.target.horizon_days, gap_days=material.target.gap_days,
        )  # fmt: skip
        result[f"rank:{name}"], result[f"p:{name}"] = ranked, p
    if factors.silent is not None:
        _add_silence_baselines(result, rows, features)
    for family, columns in families.items():
        alone = _learnt_from(material, rows, cutoffs, columns=columns)
        of_family = predict(alone, features[columns], voice_status=status, at=test.at)
        result[f"p:{family}"], result[f"s:{family}"] = of_family["p_leave"], of_family["p_silent"]
    return result


def _add_silence_baselines(result: pd.DataFrame, rows: TrainingRows, features: pd.DataFrame) -> None:
    quiet = rows.is_quiet
    is_silent = rows.has_left & ~rows.has_spoken
    p_leave = result["p_leave"].to_numpy()
    predictions = {
        "p_leave_alone": p_leave_alone(p_leave),
        "p_leave_x_share": p_leave_x_share(p_leave, is_silent=is_silent[quiet & rows.has_left]),
        "silence_rule": silence_rule(
            _silences(view_of(rows.features).keep(quiet)), y=is_silent[quiet], test=_silences(view_of(features))
        ),
    }
    for name, (ranked, p) in predictions.items():
        result[f"rank:{name}"], result[f"p:{name}"] = ranked, p


def purchases_of(frame: pd.DataFrame) -> PurchaseHistory:
    """Returns what the simple rules know of each row of a frame, in its order."""

    def column(name: str) -> np.ndarray:
        return frame[name].to_numpy(np.float64)

    return PurchaseHistory(
        frequency=np.maximum(column("active_days") - 1, 0), recency_age=column("tenure_days"),
        age=np.maximum(column("age_days"), 1e-6), days_since_last=column("days_since_last"),
        spend_mean=column("spend_mean"), spend_sum_180=column("spend_sum_180"), orders_recent=column("days_recent"),
        orders_before=column("days_before"), own_gap=column("own_gap"),
    )  # fmt: skip


def _silences(features: View) -> SilenceHistory:
    def column(name: str, default: float) -> np.ndarray:
        return features.column(name) if name in features else np.full(len(features), default)

    streak = np.nan_to_num(column("invitations_unanswered_streak", 0.0))
    return SilenceHistory(unanswered_streak=streak, days_since_voice=column("days_since_last_voice", np.nan))
