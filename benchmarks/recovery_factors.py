"""One factor or two: p_leave x p(silent | leave) beside a direct model of silent leaving and one of three outcomes.

    python benchmarks/recovery_factors.py [--regime NAME ...] [--mechanism NAME ...] [--customers N] [--quick]

All learn from the same rows and signals, with the same settings of trees, rounds chosen on the same purged folds, and
calibrated on the latest of them; all are judged on the quiet. The decision is written down in docs/decisions.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from figures import Part, Results, interval, number
from measuring import ROOT

sys.path.insert(0, str(ROOT))  # churn needn't be installed

import lightgbm as lgb
from recovery_company import Plan, make_company
from recovery_learnt import Learnt, learn
from recovery_shares import Floats, aurocs
from recovery_shares import interval as interval_of
from scipy.special import logit

from churn.models import boosting
from churn.models.calibration import apply, fit_cautiously
from churn.models.factors import TrainingRows, predict
from churn.models.factors import learn as learn_factors
from churn.models.metrics import brier
from churn.models.view import View, view_of
from churn.simulation import regimes
from churn.simulation.regimes import HAZARD, MECHANISMS

STAYS, VOCAL, SILENT = range(3)
WAYS = ("two factors", "direct", "three outcomes", "p_leave alone")
HEADER = ("way", "AUROC", "minus two factors", "Brier")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the comparison and returns 0: it informs a decision, and has no targets."""
    given = _arguments(arguments)
    parts = []
    for regime in given.regime:
        for mechanism in given.mechanism:
            plan = Plan(
                regime=regime, mechanism=mechanism, seed=given.seed, customers=given.customers, months=24,
                is_varied=False, cutoffs=given.cutoffs, asked=0, particles=0, futures=0,
            )  # fmt: skip
            with tempfile.TemporaryDirectory(prefix="churn-factors-") as folder:
                company = make_company(plan, Path(folder) / "company", progress=_progress)
                parts += [
                    contest(
                        learn(company, gap_days=gap, is_ablated=False, progress=_progress), f"{plan.name}, gap {gap}"
                    )
                    for gap in plan.gaps
                ]
    results = Results(parts, [])
    print(json.dumps(results.to_dict(), ensure_ascii=False) if given.json else results.to_text())
    return 0


def contest(learnt: Learnt, name: str) -> Part:
    """Returns how well each way ranks who of the quiet leaves silently, over all test cutoffs."""
    parts = []
    for cutoff in learnt.schedule.tests:
        _progress(f"{name}: {cutoff.label}")
        parts.append(_at_cutoff(learnt, cutoff.at))
    rows = pd.concat(parts, ignore_index=True)
    drawn = aurocs(rows, "is_silent", {way: way for way in WAYS})
    ours = drawn[WAYS[0]]
    table = [
        (way, interval(interval_of(drawn[way])),
         "-" if way == WAYS[0] else interval(interval_of(drawn[way] - ours), is_difference=True),
         number(brier(rows["is_silent"].to_numpy(float), rows[way].to_numpy()), 4))
        for way in WAYS
    ]  # fmt: skip
    leavers = rows[rows["has_left"]]
    vocal = 1 - leavers["is_silent"].mean()
    share = rows["is_silent"].mean()
    title = f"{len(rows):,} rows of the quiet, {share:.1%} leave silently; {vocal:.1%} of the leavers speak"
    return Part(name, title, [], HEADER, table)


def _at_cutoff(learnt: Learnt, at: int) -> pd.DataFrame:
    material = learnt.made.material
    rows, cutoffs, _ = material.training_rows(at)
    here = (material.frame["at"] == at).to_numpy()
    told = learnt.predictions[learnt.predictions["at"] == at].reset_index(drop=True)
    features = material.features[here].reset_index(drop=True)
    quiet = (told["voice_status"] == "quiet").to_numpy() & told["p_silent"].notna().to_numpy()
    told, features = told[quiet].reset_index(drop=True), features[quiet].reset_index(drop=True)
    is_silent = rows.has_left & ~rows.has_spoken
    own = rows.keep(rows.is_quiet)
    direct = learn_factors(
        TrainingRows(own.features, own.at, is_silent[rows.is_quiet], own.is_quiet, own.has_spoken),
        cutoffs=cutoffs, grace_days=material.target.grace_days, can_hear=False, growing=material.growing,
    )  # fmt: skip
    status = np.full(len(features), "quiet")
    return pd.DataFrame({
        "customer": told["customer"], "at": at, "is_silent": told["is_silent"], "has_left": told["has_left"],
        "two factors": told["p_silent"], "p_leave alone": told["p_leave"],
        "direct": predict(direct, features, voice_status=status, at=at)["p_leave"],
        "three outcomes": _three(own, cutoffs, learnt, view_of(features)),
    })  # fmt: skip


def _three(rows: TrainingRows, cutoffs: Sequence, learnt: Learnt, asked: View) -> Floats:
    """P(leaves silently) of one model with three outcomes, learnt on the quiet, calibrated on the latest fold."""
    material = learnt.made.material
    outcome = np.where(rows.has_left, np.where(rows.has_spoken, VOCAL, SILENT), STAYS)
    features = view_of(rows.features)
    settings = boosting.parameters(len(rows.at), int((outcome == SILENT).sum()), material.growing)
    settings |= {"objective": "multiclass", "num_class": 3, "metric": "multi_logloss"}
    rounds, calibration = 150, None
    folds = boosting.rolling_folds(cutoffs, grace_days=material.target.grace_days, count=1)
    for fold in folds:
        before, then = (np.isin(rows.at, [cutoff.at for cutoff in part]) for part in (fold.train, fold.valid))
        train = lgb.Dataset(features.keep(before).numbers(), outcome[before])
        valid = lgb.Dataset(features.keep(then).numbers(), outcome[then], reference=train)
        stop = lgb.early_stopping(boosting.PATIENCE, verbose=False)
        model = lgb.train(settings, train, boosting.MAX_ROUNDS, valid_sets=[valid], callbacks=[stop])
        rounds = max(1, round(1.1 * model.best_iteration))
        p = model.predict(features.keep(then).numbers(), num_iteration=model.best_iteration)[:, SILENT]
        calibration = fit_cautiously(_margin(p), y=(outcome == SILENT)[then])
    final = lgb.train(settings, lgb.Dataset(features.numbers(), outcome), rounds)
    p = final.predict(asked.select(features.columns).numbers())[:, SILENT]
    return p if calibration is None else np.asarray(apply(calibration, _margin(p)))


def _margin(p: Floats) -> Floats:
    return np.asarray(logit(np.clip(p, 1e-9, 1 - 1e-9)))


def _progress(step: str) -> None:
    print(f"{step} ...", file=sys.stderr, flush=True)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Two factors beside one model of silent leaving.")
    parser.add_argument("--regime", nargs="+", choices=sorted(regimes), default=["retail"])
    parser.add_argument("--mechanism", nargs="+", choices=MECHANISMS, default=[HAZARD])
    parser.add_argument("--customers", type=int, default=5_000)
    parser.add_argument("--cutoffs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=12)
    parser.add_argument("--quick", action="store_true", help="1,500 customers, one cutoff: does it run?")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args(arguments)
    if given.quick:
        given.customers, given.cutoffs = 1_500, 1
    return given


if __name__ == "__main__":
    sys.exit(main())
