"""What is measured of one company: plain figures, which can be kept in a file and told later."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from recovery_bounds import bounds, joined
from recovery_causes import causes_found, drivers_side_by_side
from recovery_company import GAP_DAYS, Company, Plan, Progress, make_company
from recovery_learnt import Learnt, factors_at, learn, with_latent_state
from recovery_shares import aurocs, contest, interval, share
from recovery_voice import coverage, silent_or_vocal, voice_at_first, voice_found

from churn.delivery.plain import plain
from churn.models.baselines import BASELINES

SILENCE_RULE = "silence_rule"


def measured(plan: Plan, *, keep: Path | None, progress: Progress) -> dict[str, Any]:
    """Returns the figures of a company, those kept in the folder `keep` where they are of the same plan."""
    file = None if keep is None else keep / f"{plan.name.replace(' ', '-')}-{plan.customers}.json"
    if file is not None and file.is_file():
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if found["plan"] == json.loads(json.dumps(plan.to_dict())):
            return found
    started = time.process_time()
    with tempfile.TemporaryDirectory(prefix="churn-recovery-") as folder:
        company = make_company(plan, Path(folder) / "company", progress=progress)
        found = plain({"plan": plan.to_dict(), **_figures(company, keep=keep, progress=progress)})
    found["cpu_seconds"] = time.process_time() - started
    if file is not None:
        file.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return found


def _figures(company: Company, *, keep: Path | None, progress: Progress) -> dict[str, Any]:
    plan = company.plan
    now = learn(company, gap_days=0, is_ablated=True, progress=progress)
    kept = None if keep is None else keep / f"{plan.name.replace(' ', '-')}-{plan.customers}-{plan.asked}.parquet"
    later = None
    if GAP_DAYS in plan.gaps:
        later = learn(company, gap_days=GAP_DAYS, is_ablated=False, progress=progress)
    told = bounds(company, now, later, kept=kept, progress=progress)
    both = joined(now, told, gap_days=0)
    both = both[both["is_sampled"]]
    judged = now.judged()
    progress(f"{plan.name}: drivers and causes")
    factors, voice = factors_at(now, now.last), voice_at_first(now)
    found = {
        "train_rows": len(now.made.material.frame),
        "eligible": {cutoff.label: int((now.predictions["at"] == cutoff.at).sum()) for cutoff in now.schedule.tests},
        "leave": _contest(both, now, "has_left", "p_leave", rank="margin", operations="p:operations"),
        "silent": _silent(both, now),
        "latent": _latent(company, now),
        "voice": voice_found(company, now, voice),
        "coverage": coverage(now),
        "causes": causes_found(company, now, factors, voice, told),
        "drivers": drivers_side_by_side(company, now, factors),
        "judged": {name: judged[name] for name in ("ablation", "lead_time", "verdict")},
        "metrics": {name: judged["metrics"].get(name) for name in ("model", "model_silent", *BASELINES)},
        "difference": judged["differences"][judged["verdict"]["best_baseline"]]["auroc"],
        "said": [*now.said, *factors.notes, *([factors.why_no_silent] if factors.why_no_silent else [])],
    }
    if later is not None:
        both = joined(later, told, gap_days=GAP_DAYS)
        sampled = both[both["is_sampled"]]
        found["later"] = _contest(sampled, later, "has_left", "p_leave", rank="margin", operations=None)
        found["later_silent"] = _silent(sampled, later, has_operations=False)
        found["vocal"] = silent_or_vocal(both, futures=plan.futures)
    return found


def _silent(both: pd.DataFrame, learnt: Learnt, *, has_operations: bool = True) -> dict[str, Any]:
    """The contest for p_silent on the quiet; without a silent model only the rows are told."""
    quiet = both[(both["voice_status"] == "quiet") & both["p_silent"].notna()]
    if quiet.empty:
        return {"rows": 0}
    operations = "s:operations" if has_operations else None
    return _contest(quiet, learnt, "is_silent", "p_silent", rank="p_silent", operations=operations)


def _contest(
    rows: pd.DataFrame, learnt: Learnt, outcome: str, p: str, *, rank: str, operations: str | None
) -> dict[str, Any]:
    best = _best_baseline(learnt, outcome)
    scores = {"model": rank, "baseline": f"rank:{best}", "ceiling": f"ceiling:{p}", "oracle": f"oracle:{p}"}
    chances = {"model": p, "ceiling": f"ceiling:{p}", "oracle": f"oracle:{p}", "baseline": f"p:{best}"}
    if operations is not None and operations in rows and rows[operations].notna().all():
        scores["operations"] = chances["operations"] = operations
    return {"baseline": best, **contest(rows, outcome, scores, p=chances)}


def _best_baseline(learnt: Learnt, outcome: str) -> str:
    """The simple rule with the highest AUROC over all rows, not only those the ceiling was asked about."""
    rows = learnt.predictions
    if outcome == "is_silent":
        rows = rows[rows["voice_status"] == "quiet"]
    names = [
        name for name in (*BASELINES, SILENCE_RULE) if f"rank:{name}" in rows and rows[f"rank:{name}"].notna().all()
    ]
    drawn = aurocs(rows, outcome, {name: f"rank:{name}" for name in names})
    return max(names, key=lambda name: np.nan_to_num(drawn[name][0]))


def _latent(company: Company, learnt: Learnt) -> dict[str, Any]:
    """What the latent state adds to operations alone on the quiet of the last cutoff, and how much of it we get."""
    if "s:operations" not in learnt.predictions:
        return {}
    rows = learnt.predictions[learnt.predictions["at"] == learnt.last].reset_index(drop=True)
    knows = with_latent_state(company, learnt)
    rows = rows.assign(**{"p:latent": knows["p_leave"], "s:latent": knows["p_silent"]})
    quiet = rows[(rows["voice_status"] == "quiet") & rows["p_silent"].notna() & rows["s:latent"].notna()]
    outcome, columns = "is_silent", {"model": "p_silent", "operations": "s:operations", "latent": "s:latent"}
    if quiet.empty:
        quiet, outcome = rows, "has_left"
        columns = {"model": "p_leave", "operations": "p:operations", "latent": "p:latent"}
    drawn = aurocs(quiet, outcome, columns)
    return {
        "rows": len(quiet), "outcome": outcome, "scores": {name: interval(one) for name, one in drawn.items()},
        "adds": interval(drawn["latent"] - drawn["operations"]),
        "share": interval(share(drawn["model"], of=drawn["latent"], beyond=drawn["operations"])),
    }  # fmt: skip
