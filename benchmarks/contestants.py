"""The contestants of accuracy: ours and its peers, each fitted at a test cutoff on what was known by then.

Ours and the simple rules come from the backtest that `churn train` runs. The others learn from the very same training
rows (windows that end by the test cutoff), the models of buying from everybody's history at the cutoff.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import btyd
import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from churn.models.backtest import Material, purchases_of, run_backtest
from churn.models.boosting import Growing
from churn.models.frame import everybody_at
from churn.models.view import view_of
from churn.timeline.cutoffs import Cutoff

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.floating]
Progress = Callable[[str], None]
OURS = "ours"
SIMPLE_RULES = ("recency", "own_gap", "halved_window", "rfm_logistic", "mbg_nbd", "base_rate")
"""Peers that every backtest of `churn train` shows."""
TITLES = {
    OURS: "**ours**", "recency": "recency", "own_gap": "own gap", "halved_window": "halved window",
    "rfm_logistic": "RFM logistic regression", "bg_nbd": "BG/NBD, P(N = 0) exact",
    "mbg_nbd": "MBG/NBD, P(N = 0) exact", "pareto_nbd": "Pareto/NBD, P(N = 0) exact",
    "lightgbm_rfm": "LightGBM on 4 RFM columns", "lightgbm_signals": "LightGBM, default settings, on our signals",
    "base_rate": "base rate",
}  # fmt: skip
PEERS = tuple(name for name in TITLES if name not in (OURS, "base_rate"))
OPERATIONS = "operations"
"""Ours on operational signals alone: what remains shows what feedback and incidents add."""
RFM = ("days_since_last", "active_days", "spend_mean", "age_days")
RFM_SETTINGS = {"num_leaves": 8, "learning_rate": 0.05, "min_data_in_leaf": 200}
"""With LightGBM's default settings four columns are learnt by heart. Of five settings these did best for it on the
test cutoffs themselves: a peer may have that advantage."""
ROUNDS = 100


@dataclass(frozen=True, slots=True)
class Contest:
    """Predictions of everyone for the same rows.

    Attributes:
        rows: customer (code), at, has_left, one row per eligible customer and test cutoff.
        p: contestant -> probability of leaving, shape (rows,).
        ranks: contestant -> what it ranks on, shape (rows,).
        absent: who could not take part, in sentences.
    """

    rows: pd.DataFrame
    p: dict[str, Floats]
    ranks: dict[str, Floats]
    absent: tuple[str, ...]


def contest(
    material: Material, tests: Sequence[Cutoff], *, settled: int, families: dict[str, list[str]], progress: Progress
) -> Contest:
    """Returns the predictions of every contestant at the test cutoffs.

    Args:
        material: rows and signals of the training cutoffs and of the test cutoffs.
        tests: the test cutoffs.
        settled: up to when outcomes are observed.
        families: columns of operational signals, to show what the others add; empty for none.
        progress: told what is done.
    """
    found = run_backtest(material, tests, settled=settled, families=families, progress=progress)
    told = {name: (found[f"p:{name}"], found[f"rank:{name}"]) for name in SIMPLE_RULES}
    told[OURS] = (found["p_leave"], found["margin"])
    if families:
        told[OPERATIONS] = (found[f"p:{OPERATIONS}"], found[f"p:{OPERATIONS}"])
    progress("peers: models of buying, and LightGBM on RFM and with default settings")
    others = [_at_cutoff(material, test) for test in tests]
    for name in others[0]:
        p = np.concatenate([here[name] for here in others])
        told[name] = (pd.Series(p), pd.Series(p))
    return Contest(
        rows=found[["customer", "at", "has_left"]],
        p={name: p.to_numpy(np.float64) for name, (p, _) in told.items()},
        ranks={name: rank.to_numpy(np.float64) for name, (_, rank) in told.items()},
        absent=() if btyd.has_lifetimes() else (f"BG/NBD and Pareto/NBD: {btyd.HOW_TO_INSTALL}",),
    )


def _at_cutoff(material: Material, test: Cutoff) -> dict[str, Floats]:
    """Predictions of the peers that no backtest shows, in the order of the frame's rows."""
    rows, _, train = material.training_rows(test.at)
    is_test = (material.frame["at"] == test.at).to_numpy()
    now = material.frame[is_test]
    y, signals = rows.has_left.astype(np.float64), view_of(material.features).keep(is_test).numbers()
    rfm, rfm_now = (frame[list(RFM)].to_numpy(np.float64) for frame in (train, now))
    found = {
        "lightgbm_rfm": _boosted(rfm, y, rfm_now, material.growing, RFM_SETTINGS),
        "lightgbm_signals": _boosted(view_of(rows.features).numbers(), y, signals, material.growing),
    }
    if btyd.has_lifetimes():
        everybody = purchases_of(everybody_at(material.known, test, prior=material.prior))
        window = {"horizon_days": test.horizon_days, "gap_days": test.gap_days}
        found["bg_nbd"] = btyd.bg_nbd(everybody, purchases_of(now), **window)
        found["pareto_nbd"] = btyd.pareto_nbd(everybody, purchases_of(now), **window)
    return found


def _boosted(
    train: Numbers, y: Floats, test: Numbers, growing: Growing, settings: Mapping[str, float] | None = None
) -> Floats:
    """LightGBM with its default settings but for `settings`; the same for any number of threads."""
    fixed = {
        "objective": "binary", "verbosity": -1, "seed": growing.seed, "deterministic": True, "force_row_wise": True,
        "num_threads": growing.threads,
    }  # fmt: skip
    booster = lgb.train({**fixed, **(settings or {})}, lgb.Dataset(train, label=y), num_boost_round=ROUNDS)
    return np.asarray(booster.predict(test), np.float64)
