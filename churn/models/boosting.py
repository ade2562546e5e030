"""Boosted trees: one binary LightGBM model, with its number of rounds chosen on time-ordered, purged folds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import logit

from churn.models.levels import level_steps, starts_of
from churn.models.view import Signals, View, view_of
from churn.tables.history import moments_of
from churn.timeline.cutoffs import Cutoff, purged

Floats = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

MAX_ROUNDS = 600
_EDGE = 1e-12
PATIENCE = 40
SMALL_SAMPLE = 30_000
"""Up to so many rows trees learn slowly; beyond, a third fewer rounds do as well (measured on development cutoffs)."""
_COPIED = 10_000_000
"""Numbers up to which a copy of the rows is the faster way to LightGBM."""
_FEW_SAMPLES = {"bin_construct_sample_cnt": 20_000, "verbosity": -1}
"""Rows from which 63 bins are laid out where batches are large: LightGBM holds several copies of them as doubles."""
MIN_OF_A_CLASS = 30
"""A fold needs this many rows of either class to say anything about the number of rounds."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is tried when trees are tuned; the default is what every sample begins with.

    Attributes:
        learning_rate: times the one that fits the sample's size.
        leaves: of a tree, times as many as the sample allows: tuned or not, few rows grow small trees.
        rows_in_leaf: at least, times as many as the sample asks for.
        feature_fraction: of the signals that a tree is offered.
        bagging_fraction: of the rows that a tree is grown on.
        lambda_l2: weight of the penalty on a leaf's value.
        path_smooth: how much a leaf of few rows says what its parent says.
        extra_trees: whether thresholds are drawn at random.
    """

    learning_rate: float = 1.0
    leaves: float = 1.0
    rows_in_leaf: float = 1.0
    feature_fraction: float = 0.4
    bagging_fraction: float = 0.7
    lambda_l2: float = 10.0
    path_smooth: float = 10.0
    extra_trees: bool = True


@dataclass(frozen=True, slots=True)
class Growing:
    """How trees are grown, whatever the data: seed of every draw, threads to use, categorical features, settings."""

    seed: int
    threads: int
    categories: tuple[str, ...] = ()
    settings: Settings = Settings()

    @property
    def untuned(self) -> Growing:
        """The same with the default settings: for what the tuned ones were not chosen for."""
        return replace(self, settings=Settings())

    def categories_in(self, features: View) -> list[str]:
        """Returns the categorical features among the columns."""
        return [name for name in self.categories if name in features]


@dataclass(frozen=True, slots=True)
class Fold:
    """One purged fold: train on the rows of `train`, judge on those of `valid`, all of them later."""

    train: tuple[Cutoff, ...]
    valid: tuple[Cutoff, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """What a fold's model says of rows it has not seen.

    Attributes:
        fold: the fold.
        rows: which rows it judged, shape (all rows,).
        margin: their raw margins in order of the rows, shape (judged rows,).
    """

    fold: Fold
    rows: Bool
    margin: Floats


@dataclass(frozen=True, slots=True)
class Rounds:
    """How many rounds to boost, and what the folds that chose them judged, the latest first.

    Without a fold that could judge, `judged` is empty and the sample's size chose the count.
    """

    count: int
    judged: tuple[Judged, ...] = ()


def rolling_folds(cutoffs: Sequence[Cutoff], *, grace_days: int = 0, count: int = 2) -> tuple[Fold, ...]:
    """Returns up to `count` rolling-origin folds inside the training cutoffs, the latest first.

    Each judges the cutoffs of a third of a horizon and learns from those whose outcomes are complete before the first
    of them; a fold without training cutoffs is left out.
    """
    folds: list[Fold] = []
    remaining = tuple(sorted(cutoffs))
    while remaining and len(folds) < count:
        width = max(1, round(remaining[-1].horizon_days / 3))
        valid = tuple(cutoff for cutoff in remaining if cutoff > remaining[-1].moved(-width))
        train = purged(remaining, valid[0], grace_days=grace_days)
        if not train:
            break
        folds.append(Fold(train, valid))
        remaining = tuple(cutoff for cutoff in remaining if cutoff < valid[0])
    return tuple(folds)


def parameters(rows: int, rarer: int, growing: Growing) -> dict[str, object]:
    """Returns LightGBM's parameters for a sample: the smaller it is, the fewer leaves and the larger each must be.

    Args:
        rows: training rows.
        rarer: rows of the rarer class.
        growing: seed, threads and settings; the model is the same for any number of threads.
    """
    settings = growing.settings
    return {
        "objective": "binary",
        "learning_rate": (0.04 if rows <= SMALL_SAMPLE else 0.06) * settings.learning_rate,
        "num_leaves": max(2, round(int(np.clip(rarer // 150, 4, 16)) * settings.leaves)),
        "min_data_in_leaf": max(5, round(int(np.clip(rows // 150, 20, 500)) * settings.rows_in_leaf)),
        "extra_trees": settings.extra_trees,
        "feature_fraction": settings.feature_fraction,
        "bagging_fraction": settings.bagging_fraction,
        "bagging_freq": 1,
        "lambda_l2": settings.lambda_l2,
        "path_smooth": settings.path_smooth,
        "max_bin": 63,
        "seed": growing.seed,
        "num_threads": growing.threads,
        "deterministic": True,
        "force_col_wise": True,  # the same bits; row by row costs a third more for 160 signals, and a copy of the rows
        "verbosity": -1,
    }


def log_through_python() -> None:
    """Has LightGBM's words go to the log "lightgbm" from now on, in the whole process, and not to stdout, where
    `--json` prints one object; but for its word on few samples for bins, which are meant (`_FEW_SAMPLES`)."""
    log = logging.getLogger("lightgbm")
    log.addFilter(_is_not_of_samples)
    lgb.register_logger(log)


def _is_not_of_samples(record: logging.LogRecord) -> bool:
    return "bin_construct_sample_cnt" not in record.getMessage()


def choose_rounds(
    features: Signals, *, y: Bool, at: npt.NDArray[np.int64], folds: Sequence[Fold], growing: Growing,
    is_within: bool = False,
) -> Rounds:  # fmt: skip
    """Returns the rounds that the folds agree on (mean of their best), or a number by sample size where none fits.

    Args:
        features: signals, shape (rows, columns).
        y: what is to be told, shape (rows,).
        at: cutoff of each row, microseconds UTC.
        folds: the latest first.
        growing: how trees are grown.
        is_within: whether trees are grown and judged within cutoffs alone, whatever the level of each (`levels`).
    """
    features = view_of(features)
    best: list[int] = []
    judged: list[Judged] = []
    for fold in folds:
        is_train = np.isin(at, [cutoff.at for cutoff in fold.train])
        is_valid = np.isin(at, [cutoff.at for cutoff in fold.valid])
        if min(_rarer(y[is_train]), _rarer(y[is_valid])) < MIN_OF_A_CLASS:
            continue
        moments = at if is_within else None
        booster, rounds = _fit_until_worse(
            features, y=y, at=moments, is_train=is_train, is_valid=is_valid, growing=growing
        )
        best.append(max(1, rounds))
        margin = raw_margin(booster, features.keep(is_valid), rounds=rounds)
        judged.append(Judged(fold, is_valid, margin))
    if not best:
        return Rounds(int(np.clip(_rarer(y) // 10, 20, 150)))
    return Rounds(round(float(np.mean(best)) * 1.1), tuple(judged))


def fit(
    features: Signals, *, y: Bool, rounds: int, growing: Growing, at: npt.NDArray[np.int64] | None = None
) -> lgb.Booster:
    """Returns the booster after `rounds` rounds on all rows; given their cutoffs `at`, trees learn within these."""
    data = _dataset(view_of(features), y, growing, start=None if at is None else starts_of(y, at))
    return _alone(lgb.train(parameters(len(y), _rarer(y), growing), data, num_boost_round=rounds))


def raw_margin(booster: lgb.Booster, features: Signals, *, rounds: int = -1) -> Floats:
    """Returns the log odds before calibration, shape (rows,); the booster's features are found by name."""
    if isinstance(features, pd.DataFrame):
        frame = features[booster.feature_name()]
        return np.asarray(booster.predict(frame, raw_score=True, num_iteration=rounds), np.float64)
    matched = features.select(booster.feature_name())
    margin = np.empty(len(matched), np.float64)
    for rows, batch in matched.batches():
        margin[rows] = booster.predict(batch, raw_score=True, num_iteration=rounds)
    return margin


def _fit_until_worse(
    features: View, *, y: Bool, at: npt.NDArray[np.int64] | None, is_train: Bool, is_valid: Bool, growing: Growing
) -> tuple[lgb.Booster, int]:
    """The booster and its best number of rounds; with cutoffs that within them."""
    settings = parameters(int(is_train.sum()), _rarer(y[is_train]), growing)
    start, first, judge = None, None, None
    if at is not None:
        start, first = starts_of(y[is_train], at[is_train]), np.zeros(int(is_valid.sum()))
        judge, settings = _judge_within(y[is_valid], at[is_valid]), {**settings, "metric": "None"}
    train = _dataset(features.keep(is_train), y[is_train], growing, start=start)
    valid = _dataset(features.keep(is_valid), y[is_valid], growing, reference=train, start=first)
    stop = lgb.early_stopping(PATIENCE, verbose=False)
    grown = lgb.train(settings, train, num_boost_round=MAX_ROUNDS, valid_sets=[valid], feval=judge, callbacks=[stop])
    return _alone(grown), int(grown.best_iteration)


def _judge_within(y: Bool, at: npt.NDArray[np.int64]) -> Callable[[Floats, lgb.Dataset], tuple[str, float, bool]]:
    """The log loss with each cutoff at its best level: judged with a level that is wrong, whoever is bold looks worse
    than he is, and boosting stops too early."""
    outcome, place = y.astype(np.float64), moments_of(at)[1]
    level = np.zeros(place.max() + 1)

    def loss(p: Floats, _: lgb.Dataset) -> tuple[str, float, bool]:
        margin = logit(np.clip(p, _EDGE, 1 - _EDGE))
        level[:] = level_steps(margin, outcome=outcome, place=place, start=level)
        raised = margin + level[place]
        return "log loss within cutoffs", float((np.logaddexp(0, raised) - outcome * raised).mean()), False

    return loss


def _is_large(features: View) -> bool:
    return len(features) * len(features.columns) > _COPIED


def _alone(booster: lgb.Booster) -> lgb.Booster:
    """The trees without the rows they were grown on, which a booster fresh from training holds on to."""
    trees = booster.model_to_string(num_iteration=-1)
    booster.free_dataset()  # the two hold on to each other: without this they would wait for the garbage collector
    return lgb.Booster(model_str=trees)


def _dataset(
    features: View, y: Bool, growing: Growing, *, reference: lgb.Dataset | None = None, start: Floats | None = None
) -> lgb.Dataset:
    """The rows binned for LightGBM; many of them go there batch by batch, without a copy of them all."""
    data = [_Batches(features)] if _is_large(features) else features.numbers()
    sampled = reference.get_params() if reference is not None else _FEW_SAMPLES if _is_large(features) else None
    return lgb.Dataset(
        data, label=y.astype(np.float32), feature_name=features.columns, reference=reference, init_score=start,
        categorical_feature=growing.categories_in(features), params=sampled,
    )  # fmt: skip


class _Batches(lgb.Sequence):  # type: ignore[misc]
    """The rows of a view, as LightGBM asks for them."""

    def __init__(self, features: View) -> None:
        self._features = features
        self.batch_size = 16_384

    def __len__(self) -> int:
        return len(self._features)

    def __getitem__(self, rows: int | slice) -> npt.NDArray[np.float32] | Floats:
        if isinstance(rows, slice):
            return self._features.numbers(rows.start, rows.stop)
        return np.asarray(self._features.numbers(rows, rows + 1)[0], np.float64)  # a sample: LightGBM wants doubles


def _rarer(y: Bool) -> int:
    return int(min(y.sum(), (~y).sum()))
