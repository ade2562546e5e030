"""Who speaks: the voice model beside the truth, and how much of what goes wrong is heard as time goes by."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from recovery_company import Company
from recovery_learnt import Learnt
from recovery_personality import earlier_counts, seen_chance
from recovery_shares import aurocs, interval, share

from churn.models.voice_judged import judge_voice
from churn.models.voice_model import VoiceModel

LATELY_DAYS = 90
MIN_OF_EACH = 30
EARLIER = (0, 1, 2, 4)
"""Incidents on record before the one that is judged: none, one, two or three, four or more."""
WHO = {"model": "model", "by_kind": "by_kind", "seen": "seen", "personality": "p_told"}
SHRUNK_BY = 10.0
"""So many futures of the usual kind are added to each customer's own, of which few leave."""


def voice_at_first(learnt: Learnt) -> VoiceModel | None:
    """Returns the voice model as it was learnt at the first test cutoff; None where nobody can be heard."""
    rows = learnt.made.hearing.rows
    if rows is None:
        return None
    return judge_voice(rows, first=learnt.schedule.tests[0].at, settled=learnt.known.settled).learnt.model


def voice_found(company: Company, learnt: Learnt, model: VoiceModel | None) -> dict[str, Any]:
    """Returns the AUROC of the voice model, of its kind alone, and of who knows each personality.

    Judged are the recorded incidents after the first test cutoff that are old enough: did she say so within 14 days, as
    the company's rows show it? The truth knows how probable it was that this customer would tell of this incident.
    """
    rows = learnt.made.hearing.rows
    if rows is None or model is None:
        return {"why": learnt.made.hearing.why}
    first, settled = learnt.schedule.tests[0].at, learnt.known.settled
    troubles = rows.troubles
    later = np.flatnonzero(rows.settled(settled) & (troubles.time >= first))
    ids = learnt.known.customers.to_pylist()
    frame = pd.DataFrame({
        "customer": troubles.customer[later],
        "customer_id": [ids[code] for code in troubles.customer[later]],
        "time": pd.to_datetime(troubles.time[later], unit="us", utc=True),
        "kind": np.array([*troubles.kinds, None], object)[troubles.kind[later]],
        "is_told": rows.is_told(settled)[later],
        "model": model.predict(troubles, later, rows.signals.iloc[later]),
        "by_kind": model.expected(troubles)[later],
    })  # fmt: skip
    true = company.incidents.rename(columns={"is_told": "was_told"})
    true["time"] = true["time"].astype(frame["time"].dtype)
    both = frame.merge(true.drop_duplicates(["customer_id", "time", "kind"]), on=["customer_id", "time", "kind"])
    both["at"] = 0
    if min(both["is_told"].sum(), (~both["is_told"]).sum()) < MIN_OF_EACH:
        return {"why": model.note or "too few of the later incidents were told to judge by", "rows": len(both)}
    both["seen"] = seen_chance(company, learnt, both)
    drawn = aurocs(both, "is_told", WHO)
    return {
        "rows": len(both), "told": float(both["is_told"].mean()), "note": model.note,
        "scores": {name: interval(one) for name, one in drawn.items()},
        "share": interval(share(drawn["model"], of=drawn["personality"], beyond=0.5)),
        "share_of_seen": interval(share(drawn["model"], of=drawn["seen"], beyond=0.5)),
        "seen_share": interval(share(drawn["seen"], of=drawn["personality"], beyond=0.5)),
        "share_beyond_kind": interval(share(drawn["model"], of=drawn["personality"], beyond=drawn["by_kind"])),
        "by_earlier": _by_earlier(both, earlier_counts(company, both)),
    }  # fmt: skip


def _by_earlier(both: pd.DataFrame, earlier: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
    """The same AUROCs by how many incidents of hers were on record before: the fewer, the less her rows tell of her."""
    found = []
    for low, high in zip(EARLIER, [*EARLIER[1:], None], strict=True):
        some = both[(earlier >= low) & (earlier < (np.inf if high is None else high))]
        if min(some["is_told"].sum(), (~some["is_told"]).sum()) < MIN_OF_EACH:
            continue
        drawn = aurocs(some, "is_told", WHO)
        found.append({
            "from": low, "until": high, "rows": len(some),
            "scores": {name: interval(one) for name, one in drawn.items()},
        })  # fmt: skip
    return found


def coverage(learnt: Learnt) -> dict[str, Any]:
    """Returns which share of invitations was answered and of incidents told, in the training period and at the tests.

    The training period ends at the first test cutoff; each test is the 90 days before its cutoff, so that a fall shows
    before the outcomes of that cutoff are known.
    """
    day = 86_400_000_000
    starts, tests = learnt.known.starts, [cutoff.at for cutoff in learnt.schedule.tests]
    half = starts + (tests[0] - starts) // 2
    periods = {"early": (starts, half)} | {
        cutoff.label: (cutoff.at - LATELY_DAYS * day, cutoff.at) for cutoff in learnt.schedule.tests
    }
    found: dict[str, Any] = {"periods": list(periods)}
    invitations, rows = learnt.known.tables.get("invitations"), learnt.made.hearing.rows
    if invitations is not None:
        time = np.asarray(invitations["time"].cast("int64"))
        found["answered"] = _by_period(time, np.asarray(invitations["answered_at"].is_valid()), periods)
    if rows is not None:
        found["told"] = _by_period(rows.troubles.time, rows.is_told(learnt.known.settled), periods)
    for name in ("answered", "told"):
        if name in found:
            before, then = found[name]["early"], found[name][list(periods)[-1]]
            found[f"{name}_change"] = _difference(then, before)
    return found


def _by_period(time: np.ndarray, happens: np.ndarray, periods: dict[str, tuple[int, int]]) -> dict[str, list[float]]:
    inside = {name: (time >= opens) & (time < closes) for name, (opens, closes) in periods.items()}
    return {name: [float(happens[here].sum()), float(here.sum())] for name, here in inside.items()}


def _difference(then: list[float], before: list[float]) -> dict[str, float | None]:
    """The change of a share with its normal 95 % interval."""
    shares = [part / max(whole, 1.0) for part, whole in (then, before)]
    spread = sum(each * (1 - each) / max(whole, 1.0) for each, (_, whole) in zip(shares, (then, before), strict=True))
    change, wide = shares[0] - shares[1], 1.96 * spread**0.5
    return {"mean": change, "low": change - wide, "high": change + wide}


def silent_or_vocal(rows: pd.DataFrame, *, futures: int) -> dict[str, Any]:
    """Returns how well silent leavers are told from vocal ones, among the quiet who leave, beside the ceiling.

    Both probabilities of the ceiling (and of the oracle) are shares of `futures`, so their quotient is shrunk to its
    mean; it is still the noisiest figure here, and the ceiling lies higher than shown.

    Args:
        rows: joined rows of the later gap, with p_silent_given_leave and the probabilities of ceiling and oracle.
        futures: of both.
    """
    leavers = rows[rows["has_left"] & (rows["voice_status"] == "quiet")].copy()
    for name in ("ceiling", "oracle"):
        left, silent = (futures * leavers[f"{name}:{p}"] for p in ("p_leave", "p_silent"))
        usual = silent.sum() / max(left.sum(), 1.0)
        leavers[f"{name}:given"] = (silent + SHRUNK_BY * usual) / (left + SHRUNK_BY)
    vocal = int((~leavers["is_silent"]).sum())
    found = {"rows": len(leavers), "vocal": vocal}
    if vocal < 20 or leavers["p_silent_given_leave"].isna().any():
        return found
    drawn = aurocs(
        leavers, "is_silent",
        {"model": "p_silent_given_leave", "ceiling": "ceiling:given", "oracle": "oracle:given"},
    )  # fmt: skip
    return {
        **found, "scores": {name: interval(one) for name, one in drawn.items()},
        "share": interval(share(drawn["model"], of=drawn["ceiling"], beyond=0.5)),
    }  # fmt: skip
