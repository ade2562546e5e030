"""Tuning: settings of the trees are searched for on earlier time, and kept only if later time agrees.

The rows that were settled before the first test cutoff are parted in three, each settled before the next begins:

    learn from | judge every trial, up to three purged folds | decide between the best trial and the default

The best of many trials looks better than it is, since it was chosen for how it looks. So it meets the default settings
once more on the last part, and takes their place only where its log loss there is lower by more than chance explains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from churn.errors import ConfigError
from churn.models.boosting import Bool, Floats, Fold, Growing, Settings, choose_rounds, rolling_folds
from churn.models.factors import TrainingRows, covered_folds
from churn.models.levels import within
from churn.models.metrics import log_losses
from churn.models.view import view_of
from churn.timeline.cutoffs import Cutoff

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

LEAST_TRIALS = 2
"""The default settings are the first trial: a second is the least there is to compare."""
FOLDS = 3
BEYOND_CHANCE = 1.96
"""Standard errors that a difference must be above 0: its 95 % interval."""
SPAN = {
    "learning_rate": (0.5, 2.0), "leaves": (0.5, 4.0), "rows_in_leaf": (0.25, 4.0), "lambda_l2": (0.1, 100.0),
    "path_smooth": (0.1, 100.0),
}  # fmt: skip
"""From where to where each is searched for, evenly on its logarithm."""
SHARE = {"feature_fraction": (0.15, 1.0), "bagging_fraction": (0.4, 1.0)}
"""Likewise, evenly."""
TIMES = ("learning_rate", "leaves", "rows_in_leaf")
"""Settings that are times what the sample's size asks for."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial: its settings, their mean log loss on the folds (nats, within cutoffs), and the rounds it took."""

    settings: Settings
    log_loss: float
    rounds: int


@dataclass(frozen=True, slots=True)
class Decision:
    """Log loss of the default settings minus that of the best trial, on customers of a time that no trial has seen.

    Attributes:
        gain: mean over the rows, nats; above 0 the best trial is better.
        low: lower end of its 95 % interval, customers being independent of one another.
        high: upper end.
        rows: how many were judged.
    """

    gain: float
    low: float
    high: float
    rows: int

    @property
    def is_won(self) -> bool:
        """Whether the best trial is better by more than chance explains."""
        return self.low > 0


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came of tuning.

    Attributes:
        settings: to grow trees with from now on.
        trials: all of them in order, the default settings first; empty where the history is too short.
        decision: between the best trial and the default; None where the default was the best trial or none was made.
    """

    settings: Settings
    trials: tuple[Trial, ...] = ()
    decision: Decision | None = None

    @property
    def note(self) -> str:
        """What came of it, in a sentence."""
        if not self.trials:
            return "not tuned: the history before the first test cutoff is too short for it, so the usual settings stay"
        if self.decision is None:
            return f"tuned: {len(self.trials)} trials, none better than the usual settings, which stay"
        return f"tuned: {len(self.trials)} trials; {self._decided(self.decision)}"

    def _decided(self, told: Decision) -> str:
        """How the best trial did beside the usual settings, and what follows."""
        beside = f"log loss {-told.gain:+.4f} [{-told.high:+.4f}, {-told.low:+.4f}] beside the usual settings"
        later = f"on {told.rows:,} later rows, which no trial had seen, the best has {beside}"
        if told.is_won:
            return f"{later}, so it takes their place: {_changes(self.settings)}"
        return f"{later}, {'no better by more than chance' if told.high > 0 else 'which is worse'}: they stay"

    def to_dict(self) -> dict[str, Any]:
        """Returns all of it as numbers and texts."""
        return {
            "settings": asdict(self.settings), "is_default": self.settings == Settings(), "note": self.note,
            "decision": None if self.decision is None else asdict(self.decision),
            "trials": [
                {**asdict(trial.settings), "log_loss": trial.log_loss, "rounds": trial.rounds} for trial in self.trials
            ],
        }  # fmt: skip


def check_tunable(trials: int) -> None:
    """Refuses to tune before any work is done.

    Raises:
        ConfigError: fewer than two trials, or Optuna is not installed.
    """
    if trials < LEAST_TRIALS:
        raise ConfigError(f"--tune {trials}: give at least {LEAST_TRIALS} trials; the first is of the usual settings")
    if find_spec("optuna") is None:
        raise ConfigError(
            "--tune needs the package optuna, which is not installed: pip install 'silent-churn[tune]'; or train "
            "without --tune"
        )


def tune(
    rows: TrainingRows, *, customers: npt.NDArray[np.int64], cutoffs: Sequence[Cutoff], grace_days: int,
    growing: Growing, trials: int, told: Callable[[int, float], None] = lambda _done, _best: None,
) -> Tuned:  # fmt: skip
    """Returns the settings to grow trees with; the same for the same rows and seed, whatever the number of threads.

    Args:
        rows: what was settled before the first test cutoff, and nothing else.
        customers: codes, one for each row of the frame that `rows.features` is a view of.
        cutoffs: of the rows.
        grace_days: after a window, until its outcomes are settled.
        growing: seed, threads and categories; its settings are not looked at.
        trials: how many, the default settings being the first.
        told: told after each trial how many are done, and the lowest log loss so far.

    Source: Bergstra, Bardenet, Bengio, Kegl 2011 (tree-structured Parzen estimator), as Optuna has it.
    """
    growing = growing.untuned
    rows, latest = covered_folds(rows, cutoffs, grace_days=grace_days, count=1)
    earlier = rolling_folds(latest[0].train, grace_days=grace_days, count=FOLDS) if latest else ()
    usual = _losses(rows, latest, growing)
    done = _searched(rows, earlier, growing=growing, trials=trials, told=told) if usual.losses else ()
    if not done:
        return Tuned(Settings())
    best = min(done, key=lambda trial: trial.log_loss)
    if best.settings == Settings():
        return Tuned(Settings(), done)
    other = _losses(rows, latest, replace(growing, settings=best.settings))
    judged = view_of(rows.features).keep(usual.rows[0])
    decision = decided(usual.losses[0] - other.losses[0], customers[judged.rows])
    return Tuned(best.settings if decision.is_won else Settings(), done, decision)


def decided(gains: Floats, customers: npt.NDArray[np.int64]) -> Decision:
    """Returns the mean gain and its 95 % interval; rows of one customer count as one draw.

    Args:
        gains: log loss of the default settings minus that of the best trial, shape (rows,).
        customers: whose rows they are, shape (rows,).

    >>> decided(np.array([0.2, 0.0, 0.1, 0.1]), np.array([1, 1, 2, 2])).low
    0.1
    """
    mean = float(gains.mean())
    of_customers = np.bincount(np.unique(customers, return_inverse=True)[1], weights=gains - mean)
    error = float(np.sqrt(np.sum(of_customers**2))) / len(gains)
    return Decision(mean, mean - BEYOND_CHANCE * error, mean + BEYOND_CHANCE * error, len(gains))


@dataclass(frozen=True, slots=True)
class _Judged:
    """The log loss of every row that each fold judged, which rows these are, and the rounds the folds agree on."""

    losses: tuple[Floats, ...]
    rows: tuple[Bool, ...]
    rounds: int


def _losses(rows: TrainingRows, folds: Sequence[Fold], growing: Growing) -> _Judged:
    left, at = rows.has_left, rows.at
    found = choose_rounds(rows.features, y=left, at=at, folds=folds, growing=growing, is_within=True)
    outcome = left.astype(np.float64)
    return _Judged(
        tuple(
            log_losses(outcome[fold.rows], p=expit(within(fold.margin, y=left[fold.rows], at=at[fold.rows])))
            for fold in found.judged
        ),
        tuple(fold.rows for fold in found.judged), found.count,
    )  # fmt: skip


def _searched(
    rows: TrainingRows, folds: Sequence[Fold], *, growing: Growing, trials: int, told: Callable[[int, float], None]
) -> tuple[Trial, ...]:
    """The trials in order; none where no fold can judge."""
    study, space = _study(growing.seed), _space()
    done: list[Trial] = []
    for number in range(1, trials + 1):
        asked = study.ask(space)
        settings = Settings(**asked.params)
        judged = _losses(rows, folds, replace(growing, settings=settings))
        if not judged.losses:
            return ()
        done.append(Trial(settings, float(np.mean([losses.mean() for losses in judged.losses])), judged.rounds))
        study.tell(asked, done[-1].log_loss)
        told(number, min(trial.log_loss for trial in done))
    return tuple(done)


def _study(seed: int) -> Study:
    """A search in memory alone, which begins with the default settings and tells nothing."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial(asdict(Settings()))
    return study


def _space() -> dict[str, BaseDistribution]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {
        **{name: FloatDistribution(low, high, log=True) for name, (low, high) in SPAN.items()},
        **{name: FloatDistribution(low, high) for name, (low, high) in SHARE.items()},
        "extra_trees": CategoricalDistribution((True, False)),
    }


def _changes(settings: Settings) -> str:
    """What differs from the default settings, such as `leaves x 1.8`."""
    usual = asdict(Settings())
    told = [
        f"{name.replace('_', ' ')} {'x ' if name in TIMES else ''}{_value(value)}"
        for name, value in asdict(settings).items()
        if value != usual[name]
    ]
    return ", ".join(told)


def _value(value: float | bool) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else f"{value:.2g}"
