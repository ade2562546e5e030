"""What each group of signals is worth in one company: learnt without it, how well leaving is ranked."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from recovery_company import Plan, Progress, make_company
from recovery_shares import aurocs, interval

from churn.jobs.learning import lesson_of
from churn.jobs.material import material_of
from churn.jobs.schedule import Schedule, schedule_of
from churn.models.backtest import Material, learn_by
from churn.models.factors import predict
from churn.models.frame import outcomes_of
from churn.signals.recipes import SIGNALS, Recipe

ALL = "all signals"
OUTCOMES = {"leave": ("has_left", "margin"), "silent": ("is_silent", "p_silent")}
"""What is ranked, and by which column; `silent` is asked of the quiet alone."""
_PARTS = {
    "windows of a year": r"\w+_365d$",
    "windows of half a year": r"\w+_180d$",
    "own baselines": r"drift_",
    "breadth of the basket": r"basket_|categories_distinct|category_main_share",
    "channels": r"\w+_channels_distinct|\w+_channel_main_share",
    "weekdays": r"\w+_weekday_main_share",
    "effort of a case": r"contacts_per_case|contacts_of_one|wait_seconds|handle_seconds",
    "hand-overs": r"agents_per_case|channels_per_case",
    "recovery": r"contacts_unresolved|days_since_last_unresolved|contact_days_to_resolve|first_contact_resolution",
    "kinds of incident": r"incidents_(?!count|per|unfollowed)\w+_count",
    "severity": r"severity_(sum|max)",
    "scores": r"score_|negative_share",
    "mentions": r"drift_mentions|feedback_mention",
    "words of others": r"about_",
    "answers to surveys": r"invitations_|response_rate|never_asked|days_since_last_answered",
    "silence after an incident": r"\w*unfollowed",
    "hidden friction": r"hidden_friction|young_friction",
}


def groups_of(recipes: Sequence[Recipe]) -> dict[str, list[str]]:
    """Returns the columns of each group that a company has: every signal, and what belongs together within signals.

    >>> groups_of([Recipe("spend", "spend", "sum", "orders", "spend", 90)])
    {'spend': ['spend_sum_90d']}
    """
    found = {signal: [recipe.name for recipe in recipes if recipe.signal == signal] for signal in SIGNALS}
    for part, pattern in _PARTS.items():
        found[part] = [recipe.name for recipe in recipes if re.match(pattern, recipe.name)]
    return {name: columns for name, columns in found.items() if columns}


def ablated(plan: Plan, *, progress: Progress) -> dict[str, Any]:
    """Returns the AUROC with all signals, and by how much it changes without each group, as plain JSON.

    One model learns at the first test cutoff from each set of signals, and ranks the customers of all test cutoffs;
    intervals are 95 % over customers drawn jointly for all cutoffs.
    """
    started = time.process_time()
    with tempfile.TemporaryDirectory(prefix="churn-ablation-") as folder:
        config = make_company(plan, Path(folder), progress=progress).config(gap_days=0)
        with lesson_of(config, progress=_silent) as lesson:
            schedule = schedule_of(config, lesson.known)
            made = material_of(config, lesson, schedule, progress=_silent)
    groups = groups_of(made.recipes)
    rows = _ranked(made.material, schedule, _left_out(made.recipes, groups), plan.name, progress=progress)
    return {
        "plan": plan.to_dict(), "rows": len(rows), "sizes": {name: len(columns) for name, columns in groups.items()},
        **{outcome: _judged(rows, outcome, groups) for outcome in OUTCOMES},
        "cpu_seconds": time.process_time() - started,
    }  # fmt: skip


def _left_out(recipes: Sequence[Recipe], groups: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The columns that are left without each group."""
    every = [recipe.name for recipe in recipes]
    return {ALL: every} | {name: [one for one in every if one not in set(gone)] for name, gone in groups.items()}


def _ranked(
    material: Material, schedule: Schedule, sets: Mapping[str, list[str]], name: str, *, progress: Callable[[str], None]
) -> pd.DataFrame:
    """The customers of all test cutoffs with outcomes, and what a model of each set of signals says of them."""
    is_test = np.isin(material.frame["at"], [test.at for test in schedule.tests])
    frame, features = material.frame[is_test], material.features[is_test]
    told = outcomes_of(material.known, material.target, frame, known_by=material.known.settled, prior=material.prior)
    status = frame["voice_status"].to_numpy(str)
    rows = frame[["customer", "at", "voice_status"]].assign(
        has_left=told["has_left"], is_silent=told["has_left"] & ~told["has_spoken"]
    )
    for without, columns in sets.items():
        progress(f"{name}: without {without}" if without != ALL else f"{name}: {ALL}")
        factors = learn_by(material, schedule.tests[0].at, columns=columns)
        predicted = predict(factors, features[columns], voice_status=status, at=frame["at"].to_numpy())
        rows = rows.assign(**{f"{column}:{without}": predicted[column] for _, column in OUTCOMES.values()})
    return rows.reset_index(drop=True)


def _judged(rows: pd.DataFrame, outcome: str, groups: Mapping[str, list[str]]) -> dict[str, Any]:
    column, score = OUTCOMES[outcome]
    if outcome == "silent":
        rows = rows[(rows["voice_status"] == "quiet") & rows[f"{score}:{ALL}"].notna()]
    if rows.empty:
        return {}
    drawn = aurocs(rows, column, {name: f"{score}:{name}" for name in (ALL, *groups)})
    return {
        "rows": len(rows), "auroc": interval(drawn[ALL]),
        "changes": {name: interval(drawn[name] - drawn[ALL]) for name in groups},
    }  # fmt: skip


def _silent(step: str) -> None:
    """Tells nobody."""
