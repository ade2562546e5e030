"""How sure a metric is: the bootstrap over customers, drawn jointly for all test cutoffs and all models.

One customer stands in several cutoffs, and her outcomes resemble one another; a bootstrap over rows would call that
independent evidence. Here a customer is drawn with all her rows, and every model sees the same draws, so the difference
of two models is a paired one. Not covered: shocks that all customers share (a strike, a season), of which a few cutoffs
can tell nothing. Source: Field and Welsh 2007 (cluster bootstrap).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from churn.models.gains import (
    Floats,
    Ints,
    Ranking,
    auroc_of,
    average_precision_of,
    capture_of,
    checked_outcome,
    checked_score,
    cumulate,
    gains,
    rank_rows,
)
from churn.models.metrics import (
    BINS,
    CELLS,
    SHARES,
    brier_losses,
    calibration_in_the_large,
    calibration_slope,
    ece,
    ece_of,
    log_losses,
    perfect_ece,
    perfect_eces,
)
from churn.models.slopes import Line, line_of, slopes

# Above this many rows every draw costs more and tells less: draws shrink in proportion, down to MIN_DRAWS.
ROWS_AT_FULL_DRAWS = 100_000
MIN_DRAWS = 100
TAILS = (0.025, 0.975)

PER_CUTOFF: tuple[str, ...] = (
    "auroc",
    "average_precision",
    *(f"lift_at_{round(100 * share)}" for share in SHARES),
    *(f"capture_at_{round(100 * share)}" for share in SHARES),
    "brier",
    "log_loss",
)
POOLED: tuple[str, ...] = ("ece", "calibration_in_the_large", "calibration_slope")


class Interval(TypedDict):
    """A metric with its 95 % interval; None where it is undefined or has no interval."""

    mean: float | None
    low: float | None
    high: float | None
    by_cutoff: dict[str, float | None]


@dataclass(frozen=True)
class Bootstrap:
    """Metrics with intervals, in the shape `churn train --json` prints.

    Attributes:
        draws: how many draws the intervals rest on (fewer than asked for above 100,000 rows).
        metrics: model -> metric -> interval.
        differences: other model -> metric -> reference minus the other, paired, empty without a reference.
    """

    draws: int
    metrics: dict[str, dict[str, Interval]]
    differences: dict[str, dict[str, Interval]]


@dataclass(frozen=True)
class _Judged:
    """One model on one group of rows, sorted once for all draws."""

    ranking: Ranking
    by_probability: Ranking
    brier: Floats
    log_loss: Floats
    excess: Floats


def bootstrap(
    customers: npt.ArrayLike,
    *,
    cutoffs: npt.ArrayLike,
    y: npt.ArrayLike,
    predictions: Mapping[str, npt.ArrayLike],
    seed: int,
    draws: int = 500,
    ranks: Mapping[str, npt.ArrayLike] | None = None,
    cutoff_names: Sequence[str] | None = None,
    reference: str | None = None,
) -> Bootstrap:
    """Returns every metric of every model with its 95 % percentile interval over resampled customers.

    Ranking metrics, Brier and log loss are computed in each cutoff, then averaged over the cutoffs in which they exist;
    calibration metrics pool the rows of all cutoffs. The draws of the ECE are moved onto its point value: an absolute
    value only grows when rows are resampled. The interval of `ece_perfect` is what chance alone makes of the ECE of a
    perfect model: it is simulated, not resampled, and has no differences.

    Args:
        customers: a code or id per row, shape (n,); draws depend on the sorted ids only, not on the order of the rows.
        cutoffs: code of the row's cutoff, shape (n,).
        y: 1 for the customers who left, 0 for the others, shape (n,).
        predictions: probabilities of each model, shape (n,).
        seed: of the draws.
        draws: how many.
        ranks: score to rank on, for models whose probabilities tie; default their probabilities.
        cutoff_names: name of each distinct cutoff in ascending order of its code; default the code.
        reference: the model that all others are subtracted from.

    Raises:
        ValueError: lengths that differ, values out of range, an unknown reference, draws below 1.
    """
    outcome = checked_outcome(y)
    who = np.unique(np.asarray(customers), return_inverse=True)[1].reshape(-1)
    codes, when = np.unique(np.asarray(cutoffs), return_inverse=True)
    names = [str(code) for code in codes] if cutoff_names is None else list(cutoff_names)
    _check_sizes(outcome.size, who.size, when.size, len(names), codes.size, draws)
    if reference is not None and reference not in predictions:
        raise ValueError(f"reference {reference!r} is not among the predictions")
    # A fixed order of the rows: floating-point sums are then the same bytes whatever order they came in.
    order = np.lexsort((outcome, who, when))
    groups = [order[when[order] == code] for code in range(codes.size)]
    ranks = ranks or {}
    scored = {
        name: (checked_score(p, like=outcome), checked_score(ranks.get(name, p), like=outcome))
        for name, p in predictions.items()
    }
    drawn = min(draws, max(MIN_DRAWS, draws * ROWS_AT_FULL_DRAWS // max(outcome.size, 1)))
    table = _draw_all(outcome, who, groups, scored, drawn=drawn, seed=seed)
    metrics = {name: _intervals(table[name], names) for name in scored}
    for name, (p, _) in scored.items():
        metrics[name]["ece_perfect"] = _by_chance(p, groups, order, names)
    others = [name for name in scored if name != reference] if reference is not None else []
    return Bootstrap(
        draws=drawn,
        metrics=metrics,
        differences={name: _intervals(_minus(table[str(reference)], table[name]), names) for name in others},
    )


@dataclass(frozen=True)
class _Drawn:
    """Values of one model; the last axis is the draw, and draw 0 is the data themselves.

    Attributes:
        per_cutoff: shape (PER_CUTOFF, cutoffs, 1 + draws).
        pooled: shape (POOLED, 1 + draws).
        pooled_by_cutoff: shape (POOLED, cutoffs).
        is_difference: whether this is one model minus another.
    """

    per_cutoff: Floats
    pooled: Floats
    pooled_by_cutoff: Floats
    is_difference: bool = False


def _draw_all(
    y: Floats,
    who: Ints,
    groups: list[Ints],
    scored: Mapping[str, tuple[Floats, Floats]],
    *,
    drawn: int,
    seed: int,
) -> dict[str, _Drawn]:
    """Returns the metrics of every model on the data and on each draw, all models on the same draws."""
    everyone = np.concatenate(groups) if groups else np.empty(0, np.int64)
    blocks = [*groups, everyone]
    judged = {name: [_judge(y[rows], p[rows], rank[rows]) for rows in blocks] for name, (p, rank) in scored.items()}
    lines = {name: line_of(y[everyone], p[everyone]) for name, (p, _) in scored.items()}
    per_cutoff = {name: np.full((len(PER_CUTOFF), len(groups), 1 + drawn), np.nan) for name in scored}
    pooled = {name: np.full((len(POOLED), 1 + drawn), np.nan) for name in scored}
    size = int(who.max()) + 1 if who.size else 0
    for first, counts in _counts(size, rows=y.size, drawn=drawn, seed=seed):
        part = slice(first, first + counts.shape[0])
        for block, rows in enumerate(blocks):
            weight = np.take(counts, who[rows], axis=1)
            for name in scored:
                if block < len(groups):
                    per_cutoff[name][:, block, part] = _per_cutoff(judged[name][block], weight)
                else:
                    pooled[name][:, part] = _pooled(judged[name][block], lines[name], weight)
    by_cutoff = {
        name: np.array([_points_pooled(y[rows], p[rows]) for rows in groups]).reshape(len(groups), len(POOLED)).T
        for name, (p, _) in scored.items()
    }
    return {name: _Drawn(per_cutoff[name], _recentred(pooled[name]), by_cutoff[name]) for name in scored}


def _counts(size: int, *, rows: int, drawn: int, seed: int) -> Iterator[tuple[int, Floats]]:
    """Yields (first draw, how often each customer is drawn), a few draws at a time; draw 0 has everybody once."""
    rng = np.random.default_rng(seed)
    step = max(1, CELLS // max(rows, 1))
    for first in range(0, 1 + drawn, step):
        counts = np.ones((min(step, 1 + drawn - first), size))
        for line in range(counts.shape[0]):
            if first + line > 0 and size:
                counts[line] = np.bincount(rng.integers(size, size=size), minlength=size)
        yield first, counts


def _judge(y: Floats, p: Floats, rank: Floats) -> _Judged:
    by_probability = rank_rows(y, score=p)
    return _Judged(
        ranking=rank_rows(y, score=rank),
        by_probability=by_probability,
        brier=brier_losses(y, p=p),
        log_loss=log_losses(y, p=p),
        excess=(p - y)[by_probability.order],
    )


def _per_cutoff(judged: _Judged, weight: Floats) -> Floats:
    """Returns PER_CUTOFF for each weighting (weightings, n) of the rows, shape (PER_CUTOFF, weightings)."""
    curve = gains(judged.ranking, weight=np.take(weight, judged.ranking.order, axis=1))
    captured = capture_of(curve, shares=SHARES).T
    lifted = captured / np.array(SHARES)[:, np.newaxis]
    total = weight.sum(axis=1)
    losses = np.full((2, total.size), np.nan)
    for line, loss in enumerate((judged.brier, judged.log_loss)):
        np.divide((weight * loss).sum(axis=1), total, out=losses[line], where=total > 0)
    return np.vstack([auroc_of(curve), average_precision_of(curve), lifted, captured, losses])


def _pooled(judged: _Judged, line: Line, weight: Floats) -> Floats:
    """Returns POOLED for each weighting of the rows, shape (POOLED, weightings)."""
    ranking = judged.by_probability
    ranked = np.take(weight, ranking.order, axis=1)
    excess = cumulate(ranked * judged.excess, edges=ranking.edges)
    rows = cumulate(ranked, edges=ranking.edges)
    large = np.full(weight.shape[0], np.nan)
    np.divide(excess[:, -1], rows[:, -1], out=large, where=rows[:, -1] > 0)
    return np.vstack([ece_of(excess, rows=rows, bins=BINS), large, slopes(line, weight)])


def _points_pooled(y: Floats, p: Floats) -> tuple[float, float, float]:
    return ece(y, p), calibration_in_the_large(y, p), calibration_slope(y, p)[0]


def _recentred(pooled: Floats) -> Floats:
    """Returns the draws with those of the ECE moved by the bias that resampling gives an absolute value."""
    moved = pooled.copy()
    line = POOLED.index("ece")
    if pooled.shape[1] > 1:
        moved[line, 1:] -= pooled[line, 1:].mean() - pooled[line, 0]
    return moved


def _minus(one: _Drawn, other: _Drawn) -> _Drawn:
    return _Drawn(
        per_cutoff=one.per_cutoff - other.per_cutoff,
        pooled=one.pooled - other.pooled,
        pooled_by_cutoff=one.pooled_by_cutoff - other.pooled_by_cutoff,
        is_difference=True,
    )


def _intervals(drawn: _Drawn, names: Sequence[str]) -> dict[str, Interval]:
    """Returns metric -> interval of one model or one difference."""
    result = {}
    for metric, values in zip(PER_CUTOFF, drawn.per_cutoff, strict=True):
        result[metric] = _interval(_mean_of_known(values), values[:, 0], names)
    for metric, values, points in zip(POOLED, drawn.pooled, drawn.pooled_by_cutoff, strict=True):
        if metric == "calibration_slope" and drawn.is_difference:
            continue  # nearer to 1 is better, which no difference says
        floor = 0.0 if metric == "ece" and not drawn.is_difference else -np.inf
        result[metric] = _interval(np.maximum(values, floor), points, names)
    return result


def _interval(draws: Floats, by_cutoff: Floats, names: Sequence[str]) -> Interval:
    """Returns the point value (draw 0) with the tails of the others."""
    known = draws[1:][np.isfinite(draws[1:])]
    low, high = np.quantile(known, TAILS) if known.size else (np.nan, np.nan)
    values = {name: _known(value) for name, value in zip(names, by_cutoff, strict=True)}
    return Interval(mean=_known(draws[0]), low=_known(low), high=_known(high), by_cutoff=values)


def _by_chance(p: Floats, groups: list[Ints], everyone: Ints, names: Sequence[str]) -> Interval:
    """Returns the ECE of a perfect model with these probabilities: its mean, and how far chance moves it."""
    pooled = perfect_eces(p[everyone])
    by_cutoff = np.array([perfect_ece(p[rows]) for rows in groups])
    return _interval(np.append(pooled.mean() if pooled.size else np.nan, pooled), by_cutoff, names)


def _mean_of_known(values: Floats) -> Floats:
    """Returns the mean over the cutoffs in which the metric exists, NaN where there is none; shape (1 + draws,)."""
    is_known = np.isfinite(values)
    mean = np.full(values.shape[1], np.nan)
    np.divide(np.where(is_known, values, 0).sum(axis=0), is_known.sum(axis=0), out=mean, where=is_known.any(axis=0))
    return mean


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _check_sizes(rows: int, customers: int, cutoffs: int, names: int, codes: int, draws: int) -> None:
    if not rows == customers == cutoffs:
        raise ValueError(f"{rows} outcomes, {customers} customers and {cutoffs} cutoffs: expected one of each per row")
    if names != codes:
        raise ValueError(f"{names} cutoff names for {codes} cutoffs")
    if draws < 1:
        raise ValueError("at least one draw is needed")
