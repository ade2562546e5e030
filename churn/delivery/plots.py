"""Pictures of a model for people: PNG bytes, the same for the same numbers, drawn without any global figure.

Every picture is 7 inches wide at 200 dots an inch: sharp at 700 pixels. The colours are those of Okabe and Ito (2008),
which colour-blind people tell apart; lines differ in their strokes too.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from churn.delivery.labels import LEAVE_MODELS, SILENT_MODELS, metric_label, model_label
from churn.delivery.wording import is_known, number
from churn.models.gains import capture_of, gains, rank_rows

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

INK, SOFT, GRID, PAPER = "#1f2933", "#66717d", "#e3e7eb", "#ffffff"
BLUE, ORANGE = "#0072b2", "#d55e00"
_OTHERS = ("#52606d", "#7b8794", "#9aa5b1")
_STROKES: tuple[Any, ...] = (
    (0, (6, 2)),
    (0, (1, 1.5)),
    (0, (6, 2, 1, 2)),
    (0, (3, 1)),
    (0, (1, 3)),
    (0, (9, 3)),
    (0, (3, 3)),
)
_WIDTH, _DPI = 7.0, 200
_STYLE = {
    "font.family": "DejaVu Sans",  # the one that matplotlib brings along
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": "#b8c1ca",
    "axes.labelcolor": INK,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
}


def draw(
    result: Mapping[str, Any], *, outcome: npt.ArrayLike, scores: Mapping[str, npt.ArrayLike],
    contributions: Floats | None = None, features: pd.DataFrame | None = None,
) -> dict[str, bytes]:  # fmt: skip
    """Returns every picture of a training run by name, in the order in which the page shows them.

    Args:
        result: the result of the run.
        outcome: 1 for the customers who left, pooled over the test cutoffs, shape (n,).
        scores: p_leave as `model`, and the rankings of the baselines by name, each of shape (n,).
        contributions: exact Shapley values per feature, shape (m, features), in units of the raw margin.
        features: the rows explained, m rows.
    """
    pictures = {
        "metrics": metric_against_baselines(result["metrics"]),
        "gains": cumulative_gains(outcome, scores=scores),
        "lift": lift_curve(outcome, scores=scores),
        "calibration": calibration(outcome, probability=scores["model"]),
        "distribution": score_distribution(scores["model"], outcome=outcome),
        "drivers": drivers(result["drivers"]),
    }
    if contributions is not None and features is not None:
        pictures["beeswarm"] = shap_beeswarm(contributions, features=features)
    return pictures


def cumulative_gains(outcome: npt.ArrayLike, *, scores: Mapping[str, npt.ArrayLike]) -> bytes:
    """Returns the picture of the share of all leavers found (%) against the share of customers called (%), as PNG.

    Args:
        outcome: 0 or 1, shape (n,).
        scores: one ranking per model, highest first, each of shape (n,). Ties count by their expected value.
    """
    with _canvas(height=4.2) as (figure, picture):
        axes = figure.subplots()
        shares = np.linspace(0, 1, 201)
        axes.plot([0, 100], [0, 100], color=SOFT, linewidth=1, label="Calling at random")
        for name, line in _curves(outcome, scores, shares).items():
            axes.plot(100 * shares, 100 * line, **_stroke(name, list(scores)))
        axes.set(xlim=(0, 100), ylim=(0, 101), xlabel="Customers called, highest risk first (%)")
        axes.set_ylabel("Leavers found (%)")
        _legend(axes, loc="lower right")
    return picture.getvalue()


def lift_curve(outcome: npt.ArrayLike, *, scores: Mapping[str, npt.ArrayLike]) -> bytes:
    """Returns the picture of the lift among the called customers, as PNG: see `cumulative_gains`."""
    with _canvas(height=3.6) as (figure, picture):
        axes = figure.subplots()
        shares = np.linspace(0.02, 1, 197)
        axes.axhline(1, color=SOFT, linewidth=1, label="Calling at random")
        for name, line in _curves(outcome, scores, shares).items():
            axes.plot(100 * shares, line / shares, **_stroke(name, list(scores)))
        axes.set(xlim=(0, 100), xlabel="Customers called, highest risk first (%)")
        axes.set_ylim(bottom=0)
        axes.set_ylabel("Times as many leavers as at random")
        _legend(axes, loc="upper right")
    return picture.getvalue()


def calibration(outcome: npt.ArrayLike, *, probability: npt.ArrayLike, bins: int = 10) -> bytes:
    """Returns the picture of observed against predicted leaving in bins of equal size, with 95 % intervals, as PNG.

    Args:
        outcome: 0 or 1, shape (n,).
        probability: p_leave, shape (n,).
        bins: number of bins; fewer where there are fewer customers.

    Source of the interval: Wilson 1927 (score interval of a proportion).
    """
    left, p = np.asarray(outcome, dtype=np.float64), np.asarray(probability, dtype=np.float64)
    order = np.lexsort((left, p))
    groups = [part for part in np.array_split(order, bins) if part.size]
    predicted = np.array([p[part].mean() for part in groups])
    observed = np.array([left[part].mean() for part in groups])
    low, high = wilson(observed, np.array([part.size for part in groups]))
    with _canvas(height=4.4) as (figure, picture):
        axes = figure.subplots()
        top = 100 * min(1.0, 1.06 * float(max(predicted.max(initial=0.05), high.max(initial=0.05))))
        axes.plot([0, top], [0, top], color=SOFT, linewidth=1, linestyle=(0, (4, 3)), label="Perfectly calibrated")
        reach = 100 * np.vstack([observed - low, high - observed])
        axes.errorbar(
            100 * predicted, 100 * observed, yerr=reach, fmt="o-", color=BLUE, markersize=6, linewidth=1.2,
            elinewidth=1.6, label=f"{len(groups)} groups of equal size, 95 % interval",
        )  # fmt: skip
        axes.set(xlim=(0, top), ylim=(0, top), xlabel="Predicted risk of leaving (%)", ylabel="Customers who left (%)")
        _legend(axes, loc="upper left")
    return picture.getvalue()


def score_distribution(probability: npt.ArrayLike, *, outcome: npt.ArrayLike | None = None) -> bytes:
    """Returns the picture of how many customers have which risk, as PNG; apart by outcome where that is known.

    Args:
        probability: p_leave, shape (n,).
        outcome: 0 or 1, shape (n,), or None for a list whose outcome lies ahead.
    """
    p = 100 * np.asarray(probability, dtype=np.float64)
    edges = np.linspace(0, 100, 41)
    with _canvas(height=3.0) as (figure, picture):
        axes = figure.subplots()
        if outcome is None:
            axes.hist(p, bins=edges, color=BLUE, rwidth=0.92)
        else:
            left = np.asarray(outcome, dtype=np.float64) == 1
            axes.hist(
                [p[left], p[~left]], bins=edges, stacked=True, color=[ORANGE, "#9dc3dd"], rwidth=0.92,
                label=["Left", "Stayed"],
            )  # fmt: skip
            _legend(axes, loc="upper right")
        axes.set(xlim=(0, 100), xlabel="Predicted risk of leaving (%)", ylabel="Customers")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return picture.getvalue()


def drivers(shares: Sequence[Mapping[str, Any]]) -> bytes:
    """Returns the picture of how much each signal moves the predictions, as PNG.

    Args:
        shares: `signal`, `mean_abs` (mean |contribution|, in units of the raw margin) and `share` per signal.
    """
    ranked = sorted(shares, key=lambda row: (row["mean_abs"], row["signal"]))
    with _canvas(height=0.9 + 0.36 * max(len(ranked), 1)) as (figure, picture):
        axes = figure.subplots()
        names, sizes = [str(row["signal"]) for row in ranked], [row["mean_abs"] for row in ranked]
        bars = axes.barh(names, sizes, color=BLUE, height=0.62)
        axes.bar_label(bars, [f"{100 * row['share']:.0f} %" for row in ranked], padding=5, color=SOFT, fontsize=9)
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.1, y=0.02)
        axes.set_xlabel("Mean push on the risk, up or down (log-odds); share of the whole at the bar")
    return picture.getvalue()


def metric_against_baselines(metrics: Mapping[str, Any], *, metric: str = "auroc") -> bytes:
    """Returns the picture of one metric for every model: pooled with its interval, and each test cutoff, as PNG.

    Args:
        metrics: MODEL -> METRIC -> {"mean", "low", "high", "by_cutoff"}, as in the result of a run.
        metric: which one.
    """
    panels = [
        (title, [name for name in group if metric in metrics.get(name, {})])
        for title, group in (
            ("Who leaves: all eligible customers", LEAVE_MODELS),
            ("Who leaves silently: quiet customers", SILENT_MODELS),
        )
    ]  # fmt: skip
    panels = [(title, names) for title, names in panels if names]
    heights = [len(names) + 1.2 for _, names in panels] or [1.0]
    with _canvas(height=0.8 + 0.36 * sum(heights)) as (figure, picture):
        grid = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
        for axes, (title, names) in zip(grid[:, 0], panels, strict=False):
            axes.set_title(title)
            _dots(axes, {name: metrics[name][metric] for name in names})
        grid[-1, 0].set_xlabel(
            f"{metric_label(metric)}: dot and bar all cutoffs with 95 % interval, rings single cutoffs"
        )
    return picture.getvalue()


def shap_beeswarm(contributions: npt.ArrayLike, *, features: pd.DataFrame, max_display: int = 15) -> bytes:
    """Returns shap's beeswarm picture of per-feature contributions, as PNG.

    Args:
        contributions: Shapley values per row and feature in units of the raw margin, shape (n, features); n >= 2.
        features: the values they explain, same shape; columns that are no numbers are drawn in grey.
        max_display: how many features to show; the rest is summed up in the last line.
    """
    import pandas as pd

    with _quiet_shap() as shap:
        values = np.asarray(contributions, dtype=np.float64)
        numbers = [
            column.to_numpy(np.float64, na_value=np.nan)
            if pd.api.types.is_numeric_dtype(column)
            else np.full(len(column), np.nan)
            for _, column in features.items()
        ]
        explained = shap.Explanation(
            values, data=np.column_stack(numbers), feature_names=[str(name) for name in features]
        )
        shown = min(max_display, values.shape[1])
        with _canvas(height=1.0 + 0.34 * shown) as (figure, picture):
            axes = figure.subplots()
            axes.grid(visible=False)
            shap.plots.beeswarm(explained, max_display=max_display, ax=axes, show=False, plot_size=None, s=9)
            axes.tick_params(axis="y", labelsize=9, length=0)
            axes.tick_params(axis="x", labelsize=9)
            axes.set_xlabel("Push on the risk of leaving (log-odds)", fontsize=9.5)
            figure.axes[-1].yaxis.label.set_size(9.5)
            figure.axes[-1].tick_params(labelsize=9)
    return picture.getvalue()


@contextmanager
def _canvas(*, height: float) -> Iterator[tuple[Any, io.BytesIO]]:
    """Yields an empty figure in our style and the buffer that holds its PNG after the block."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    picture = io.BytesIO()
    defaults = {
        key: value for key, value in mpl.rcParamsDefault.items() if not key.startswith(("backend", "date", "webagg"))
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with mpl.rc_context({**defaults, **_STYLE}):
            figure = Figure(figsize=(_WIDTH, height), layout="constrained")
            FigureCanvasAgg(figure)
            figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)
            yield figure, picture
            # No software name and no date in the file: the same numbers give the same bytes.
            figure.savefig(picture, format="png", dpi=_DPI, metadata={"Software": None})


@contextmanager
def _quiet_shap() -> Iterator[Any]:
    """Yields the shap package; its warnings stay inside, and the global random state it draws from is put back."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap

        # shap's pictures draw from NumPy's global generator and offer no other.
        before = np.random.get_state()  # noqa: NPY002
        np.random.seed(0)  # noqa: NPY002
        try:
            yield shap
        finally:
            np.random.set_state(before)  # noqa: NPY002


def _curves(outcome: npt.ArrayLike, scores: Mapping[str, npt.ArrayLike], shares: Floats) -> dict[str, Floats]:
    """Returns the share of the leavers found at each depth, per model."""
    depths: list[float] = shares.tolist()
    return {
        name: capture_of(gains(rank_rows(outcome, score=score)), shares=depths)[0] for name, score in scores.items()
    }


def _stroke(name: str, names: Sequence[str]) -> dict[str, Any]:
    """Returns how the line of a model looks: ours thick and blue, the baselines thin and grey in different strokes."""
    if name.startswith("model"):
        return {"label": model_label(name), "color": BLUE, "linewidth": 2.4, "zorder": 5}
    place = [other for other in names if not other.startswith("model")].index(name)
    look = {"color": _OTHERS[place % len(_OTHERS)], "linestyle": _STROKES[place % len(_STROKES)]}
    return {"label": model_label(name), "linewidth": 1.5, **look}


def _dots(axes: Any, figures: Mapping[str, Mapping[str, Any]]) -> None:
    """Draws one line of a metric per model: interval, pooled dot, and a ring per cutoff; the best at the top."""
    names = list(figures)[::-1]
    for height, name in enumerate(names):
        figure, colour = figures[name], BLUE if name.startswith("model") else SOFT
        single = [value for value in figure.get("by_cutoff", {}).values() if is_known(value)]
        axes.plot(single, [height - 0.27] * len(single), "o", markersize=3.5, markerfacecolor="none", color=colour)
        if is_known(figure.get("low")) and is_known(figure.get("high")):
            axes.plot(
                [figure["low"], figure["high"]], [height, height], color=colour, linewidth=2.4, solid_capstyle="butt"
            )
        if is_known(figure["mean"]):
            axes.plot([figure["mean"]], [height], "o", color=colour, markersize=7.5, zorder=4)
        at_the_edge = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "center"}
        axes.annotate(number(figure["mean"]), (1.0, height), fontsize=9, color=colour, **at_the_edge)
    axes.set_yticks(range(len(names)), [model_label(name) for name in names])
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")


def _legend(axes: Any, *, loc: str) -> None:
    axes.legend(loc=loc, handlelength=2.6)


def wilson(rate: Floats, count: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Returns the 95 % score interval of proportions; none ends on the far side of its rate, rounding or not."""
    squared = 1.959963984540054**2
    middle = (rate + squared / (2 * count)) / (1 + squared / count)
    reach = np.sqrt(squared * (rate * (1 - rate) / count + squared / (4 * count**2))) / (1 + squared / count)
    return np.minimum(middle - reach, rate), np.maximum(middle + reach, rate)
