"""Hearing: what a training learns about who speaks when something goes wrong, and what stays unsaid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from churn.config import Config
from churn.models.boosting import Growing
from churn.models.hidden_friction import Hidden, rolling, voice_rows_of
from churn.models.iceberg import iceberg
from churn.models.known import Known
from churn.models.target import Target
from churn.models.troubles import has_troubles
from churn.models.voice_judged import judge_voice
from churn.models.voice_model import VoiceModel, VoiceRows, fit_voice
from churn.models.voice_rows import asked_recipes
from churn.signals.hidden import hidden_recipes
from churn.signals.recipes import Recipe
from churn.timeline.rhythm import Prior


@dataclass(frozen=True, slots=True)
class Hearing:
    """What is known of who speaks.

    Attributes:
        rows: everything the voice model learns from; None where nobody can be heard or nothing goes wrong.
        hidden: what was thought of each trouble at the time; None likewise.
        recipes: the signals it adds.
        why: why there is none, in words.
    """

    rows: VoiceRows | None
    hidden: Hidden | None
    recipes: tuple[Recipe, ...] = ()
    why: str = ""

    def fill(
        self, features: pd.DataFrame, known: Known, frame: pd.DataFrame, recipes: Sequence[Recipe], *, target: Target,
        prior: Prior,
    ) -> None:  # fmt: skip
        """Writes the signals it adds into the features of the recipes."""
        if self.hidden is not None:
            self.hidden.fill(features, known, frame, recipes, target=target, prior=prior)


def hearing_of(
    known: Known, recipes: Sequence[Recipe], *, first: int, cutoffs: Sequence[int], target: Target, growing: Growing
) -> Hearing:
    """Returns what rows at `cutoffs` may know of who speaks; the first test cutoff is `first`, microseconds UTC."""
    if not known.has_voice:
        return Hearing(None, None, why="no table carries the customers' own voice (contacts or feedback by themselves)")
    if not has_troubles(known.tables):
        return Hearing(None, None, why="no table tells what went wrong (incidents, or contacts with resolved_at)")
    rows = voice_rows_of(known, asked_recipes(recipes), by=first, target=target, growing=growing)
    if not rows.settled(first).any():
        return Hearing(None, None, why="nothing went wrong long enough before the first test cutoff")
    return Hearing(rows, rolling(rows, known.customers, cutoffs=cutoffs), hidden_recipes(known.tables))


def voice_learnt(
    hearing: Hearing, known: Known, *, first: int, config: Config
) -> tuple[VoiceModel | None, dict[str, Any]]:
    """Returns the voice model learnt from everything, and what is told of it: metrics beside simple rules, the iceberg.

    The dict has `is_modelled`, `why`, `note`, `learnt_from`, `judged` and `iceberg`; the last three only where there is
    a model.
    """
    if hearing.rows is None or hearing.hidden is None:
        return None, {"is_modelled": False, "why": hearing.why}
    rows, settled = hearing.rows, known.settled
    judged = judge_voice(rows, first=first, settled=settled)
    final = fit_voice(rows, np.ones(len(rows.troubles), bool), by=settled, before=judged.learnt).model
    berg = iceberg(
        known, hearing.hidden, heard_from=rows.heard_from, settled=settled, attributes=config.signal_attributes
    )
    return final, {
        "is_modelled": True, "why": "", "note": final.note,
        "learnt_from": {"troubles": final.troubles, "told": final.told},
        "judged": judged.to_dict(), "iceberg": berg,
    }  # fmt: skip
