"""The voice model: of everything that goes wrong for a customer, how likely she is to say so within 14 days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from scipy.special import logit

from churn.models import boosting
from churn.models.boosting import Bool, Growing
from churn.models.calibration import Calibration, apply, calibration_from_json, fit_cautiously
from churn.models.troubles import Troubles
from churn.models.voice_rows import AMOUNT, CHANNEL, KIND, OWN, SEVERITY, codes_in, own_telling
from churn.signals.offered import labels_of
from churn.signals.recipes import Recipe, recipe_of
from churn.tables.history import Int64

Float64 = npt.NDArray[np.float64]

MIN_OF_EACH = 200
"""Under so many troubles told of, or not told of, everybody's rate by kind is all there is to learn."""
MOST_TROUBLES = 60_000
"""So many of the latest troubles are learnt from: more teach nothing new."""
ROUNDS = 220
"""Of boosting: fewer leave small samples too timid, more change nothing (measured on 2,000 and 35,000 troubles)."""
KIND_PRIOR = 50.0
"""How many troubles the rate of all kinds together is worth against a kind's own."""
_TOLD_OF_THREE = (1.0, 3.0)
"""Before any is settled one of three is told of: two thirds of customers tell nobody."""


@dataclass(frozen=True, slots=True)
class VoiceModel:
    """P(she says that something is wrong within 14 days | what went wrong, who she is, what she said before).

    Attributes:
        recipes: the signals it asks for, at the midnight before.
        rates: how often everybody tells of a kind, shrunk; kinds of fewer than 5 customers are not among them.
        rate: how often everybody tells of anything.
        severities: the mean severity by kind, for troubles of which it isn't given.
        severity: the mean severity of all; 1 where none is given.
        channels: the channels it knows.
        booster: the trees, None where there was too little to learn from: then the rate of the kind is all.
        calibration: of the trees' log odds.
        troubles: how many settled ones it was learnt from.
        told: how many of them were told of.
    """

    recipes: tuple[Recipe, ...]
    rates: Mapping[str, float]
    rate: float
    severities: Mapping[str, float]
    severity: float
    channels: tuple[str, ...]
    booster: lgb.Booster | None
    calibration: Calibration
    troubles: int
    told: int

    @property
    def columns(self) -> list[str]:
        """The names of the trees' features, in order."""
        return [*(recipe.name for recipe in self.recipes), *OWN]

    @property
    def note(self) -> str:
        """What was decided by sample size, in a sentence; empty where nothing was."""
        if self.booster is not None:
            return ""
        silent = self.troubles - self.told
        return (
            f"{self.told:,} things that went wrong were told of and {silent:,} were not: with fewer than {MIN_OF_EACH} "
            "of either, whether a customer speaks is taken from the kind of thing alone"
        )

    def expected(self, troubles: Troubles) -> Float64:
        """Returns how often everybody tells of each trouble's kind, shape (troubles,)."""
        return np.array([*(self.rates.get(kind, self.rate) for kind in troubles.kinds), self.rate])[troubles.kind]

    def weights(self, troubles: Troubles) -> Float64:
        """Returns each trouble's severity, the usual one of its kind where it isn't given; shape (troubles,)."""
        usual = np.array([*(self.severities.get(kind, self.severity) for kind in troubles.kinds), self.severity])
        return np.where(np.isnan(troubles.severity), usual[troubles.kind], troubles.severity)

    def features(self, troubles: Troubles, rows: Int64, signals: pd.DataFrame) -> pd.DataFrame:
        """Returns the features of some troubles, float32; `signals` are theirs, in the order of `rows`."""
        kind = codes_in(troubles.kind[rows], troubles.kinds, list(self.rates))
        channel = codes_in(troubles.channel[rows], troubles.channels, self.channels)
        own = {
            KIND: np.where(kind < 0, np.nan, kind), CHANNEL: np.where(channel < 0, np.nan, channel),
            SEVERITY: troubles.severity[rows], AMOUNT: troubles.amount[rows],
            **own_telling(troubles, rows, expected=self.expected(troubles)),
        }  # fmt: skip
        made = pd.DataFrame(own, index=signals.index).astype(np.float32)
        return pd.concat([signals, made], axis=1)[self.columns]

    def margin(self, troubles: Troubles, rows: Int64, signals: pd.DataFrame) -> Float64:
        """Returns the log odds before calibration, shape (rows,)."""
        if self.booster is None:
            return np.asarray(logit(self.expected(troubles)[rows]))
        return boosting.raw_margin(self.booster, self.features(troubles, rows, signals))

    def predict(self, troubles: Troubles, rows: Int64, signals: pd.DataFrame) -> Float64:
        """Returns P(she says so within 14 days) of some troubles, shape (rows,)."""
        if self.booster is None:
            return self.expected(troubles)[rows]
        return apply(self.calibration, self.margin(troubles, rows, signals))

    def to_json(self) -> dict[str, Any]:
        """Returns all but the trees as plain JSON data; `voice_model_told` reads it back."""
        return {
            "recipes": [recipe.as_dict() for recipe in self.recipes], "rates": dict(self.rates), "rate": self.rate,
            "severities": dict(self.severities), "severity": self.severity, "channels": list(self.channels),
            "calibration": self.calibration.to_json(), "troubles": self.troubles, "told": self.told,
        }  # fmt: skip


def voice_model_told(told: Mapping[str, Any], booster: lgb.Booster | None) -> VoiceModel:
    """Returns the model that `VoiceModel.to_json` told of, with its trees.

    Raises:
        ValueError: trees of other features.
    """
    model = VoiceModel(
        tuple(recipe_of(recipe) for recipe in told["recipes"]), dict(sorted(told["rates"].items())), told["rate"],
        told["severities"], told["severity"], tuple(told["channels"]), booster,
        calibration_from_json(told["calibration"]), told["troubles"], told["told"],
    )  # fmt: skip
    if booster is not None and booster.feature_name() != model.columns:
        raise ValueError("the features of the voice model's trees are others")
    return model


@dataclass(frozen=True, slots=True)
class VoiceRows:
    """All troubles to learn from, and the signals of their customers before each.

    Attributes:
        troubles: of all customers.
        signals: one row per trouble (`voice_rows.signals_before`).
        recipes: of the signals.
        heard_from: from when on some table would show her voice, microseconds UTC: whether what went wrong earlier was
            told, nobody knows.
        growing: seed and threads of the trees.
    """

    troubles: Troubles
    signals: pd.DataFrame
    recipes: tuple[Recipe, ...]
    heard_from: int
    growing: Growing

    def settled(self, by: int) -> Bool:
        """Returns of which troubles it was settled by a moment whether she told of them, shape (troubles,)."""
        return np.asarray((self.troubles.matured <= by) & (self.troubles.time >= self.heard_from))

    def is_told(self, by: int) -> Bool:
        """Returns of which troubles a telling was known by a moment, shape (troubles,)."""
        return np.asarray(self.troubles.told <= by)


@dataclass(frozen=True, slots=True)
class Learnt:
    """A voice model and the moment (microseconds UTC) of what it knows."""

    model: VoiceModel
    by: int


def fit_voice(rows: VoiceRows, among: Bool, *, by: int, before: Learnt | None = None) -> Learnt:
    """Returns the voice model as it could be learnt at the moment `by`.

    Only troubles settled by then teach, and only tellings known by then. What has been settled since an earlier model
    was learnt calibrates: the latest matured window; without an earlier one the trees are taken at their word.

    Args:
        rows: everything there is to learn from.
        among: which troubles may teach, shape (troubles,).
        by: the moment, microseconds UTC.
        before: an earlier model of the same customers.
    """
    settled = np.flatnonzero(among & rows.settled(by))
    latest = np.argsort(rows.troubles.time[settled], kind="stable")[-MOST_TROUBLES:]
    taught = np.sort(settled[latest])
    y = rows.is_told(by)[taught]
    model = _by_kind(rows, taught, y)
    if min(model.told, model.troubles - model.told) < MIN_OF_EACH:
        return Learnt(model, by)
    features = model.features(rows.troubles, taught, rows.signals.iloc[taught])
    names = (KIND, CHANNEL, *(recipe.name for recipe in rows.recipes if recipe.is_category))
    growing = Growing(rows.growing.seed, rows.growing.threads, names)
    booster = boosting.fit(features, y=y, rounds=ROUNDS, growing=growing)
    return Learnt(replace(model, booster=booster, calibration=_calibrated(rows, among, by, before)), by)


def _by_kind(rows: VoiceRows, taught: Int64, y: Bool) -> VoiceModel:
    """The model that knows how often everybody tells of each kind, and nothing else."""
    troubles = rows.troubles
    kinds = pa.array(troubles.kinds, pa.string()).take(pa.array(troubles.kind[taught]))
    channels = pa.array([*troubles.channels, None], pa.string()).take(
        pa.array(troubles.channel[taught] % (len(troubles.channels) + 1))
    )
    known = pa.table({"customer_id": troubles.customer[taught], "kind": kinds, "channel": channels})
    told, least = (float(y.sum()), len(y)), _TOLD_OF_THREE
    rate = (told[0] + least[0]) / (told[1] + least[1])
    rates, severities = {}, {}
    severity = troubles.severity[taught]
    for kind in labels_of(known, "kind"):
        here = troubles.kind[taught] == troubles.kinds.index(kind)
        rates[kind] = (float(y[here].sum()) + KIND_PRIOR * rate) / (float(here.sum()) + KIND_PRIOR)
        if not np.isnan(severity[here]).all():
            severities[kind] = float(np.nanmean(severity[here]))
    usual = 1.0 if np.isnan(severity).all() else float(np.nanmean(severity))
    return VoiceModel(
        rows.recipes, rates, rate, severities, usual, labels_of(known, "channel"), None, Calibration("none"),
        len(y), int(y.sum()),
    )  # fmt: skip


def _calibrated(rows: VoiceRows, among: Bool, by: int, before: Learnt | None) -> Calibration:
    if before is None or before.model.booster is None:
        return Calibration("none")
    since = np.flatnonzero(among & rows.settled(by) & (rows.troubles.time >= before.by))
    margin = before.model.margin(rows.troubles, since, rows.signals.iloc[since])
    return fit_cautiously(margin, y=rows.is_told(by)[since])
