"""The bundle: a trained model on disk as text, JSON and checksums; nothing in it is code."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd

from churn.errors import BundleError
from churn.models import factors as two
from churn.models.calibration import calibration_from_json
from churn.models.ensemble import Members, RhythmMember
from churn.models.factors import Factors, SilentFactor
from churn.models.levels import Levels
from churn.models.linear import Curve, LinearMember
from churn.models.matrix import matrix_of
from churn.models.reference import Reference, reference_told
from churn.models.target import Target
from churn.models.voice_model import VoiceModel, voice_model_told
from churn.signals.recipes import Recipe, recipe_of
from churn.tables.atomic import in_plain_words
from churn.tables.workfolder import work_folder
from churn.timeline.mbg_nbd import MbgNbd
from churn.timeline.rhythm import Prior

SCHEMA = 9
"""1 had no reference (scoring could not tell whether customers still look as they did in training), no voice model; 2
calibrated the product of the two factors, not the second; 3 had no linear member; 4 one level for all
times; 5 levels that did not age; 6 and 7 levels that asked no open windows; 8 told no error of the levels."""
GOLDEN_ROWS = 32
_GOLDEN_AT = 1_700_000_000_000_000
"""A moment like any other, at which golden rows are scored."""
GOLDEN_TOLERANCE = 1e-12
CHECKSUMS = "SHA256SUMS"
_DRAFTS = ".drafts"
_FILES = ("bundle.json", "leave.txt", "silent.txt", "voice.txt")
_PARAMETERS = re.compile(r"\nparameters:.*?end of parameters\n", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A trained model with all that scoring needs.

    Attributes:
        target: what is predicted.
        recipes: the signals, in the order of the model's features, with the frozen labels of categories.
        prior: the base's rhythm.
        factors: who leaves, and which of them silently.
        percentiles: 1,001 quantiles of the training population's raw margin, rising.
        tables: the tables it was trained with.
        training: cutoffs, rows, columns, data fingerprint: facts about the training, no clock.
        voice: how likely customers are to say that something is wrong, None where nobody can be heard.
        reference: how signals were spread in training.
    """

    target: Target
    recipes: tuple[Recipe, ...]
    prior: Prior
    factors: Factors
    percentiles: tuple[float, ...]
    tables: tuple[str, ...]
    training: dict[str, Any]
    voice: VoiceModel | None = None
    reference: Reference = field(default_factory=Reference)

    @property
    def features(self) -> list[str]:
        """The names of the model's features, in order."""
        return [recipe.name for recipe in self.recipes]

    def predict(self, features: pd.DataFrame, *, voice_status: np.ndarray, at: int | np.ndarray) -> pd.DataFrame:
        """Returns `factors.predict` after matching the features by name, never by position.

        Raises:
            BundleError: a feature is missing.
        """
        return two.predict(self.factors, self.matched(features), voice_status=voice_status, at=at)

    def matched(self, features: pd.DataFrame) -> pd.DataFrame:
        """Returns the model's features by name, in its order, as `matrix_of` gives them.

        Raises:
            BundleError: a feature is missing, is no number, or a category has other labels.
        """
        missing = [name for name in self.features if name not in features.columns]
        if missing:
            raise BundleError(f"{len(missing)} signals of the model are missing: {', '.join(missing[:5])}")
        return matrix_of(features, self.recipes)

    def percentile(self, margin: np.ndarray) -> np.ndarray:
        """Returns the percentile (0-100) of raw margins against the training population, alike alone or in a list."""
        return np.asarray(np.searchsorted(self.percentiles, margin, side="right") / len(self.percentiles) * 100)


def save_bundle(bundle: Bundle, directory: Path, *, golden: pd.DataFrame) -> tuple[str, Path]:
    """Writes the bundle into `directory/<model_id>` whole or not at all; returns the model id and its folder.

    The id is a hash of the content, so the same model is written once; `golden` holds rows of features whose
    predictions are kept inside to be compared when another machine loads the bundle.

    Raises:
        OutputError: the folder cannot be written.
        BundleError: the same model is there already, and damaged.
    """
    files = _files_of(bundle, golden.head(GOLDEN_ROWS))
    sums = _listing({name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()})
    model_id = hashlib.sha256(sums).hexdigest()[:16]
    home = directory / model_id
    if home.exists():
        load_bundle(home)
        return model_id, home
    with work_folder(directory / _DRAFTS, key=None) as folder, in_plain_words(home):
        draft = folder / model_id
        draft.mkdir()
        for name, content in {**{name: text.encode() for name, text in files.items()}, CHECKSUMS: sums}.items():
            with (draft / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        draft.replace(home)
    return model_id, home


def load_bundle(home: Path) -> tuple[str, Bundle, float]:
    """Returns model id, bundle, and how far its golden predictions are from those made here (see GOLDEN_TOLERANCE).

    Every file is checked against its SHA-256 before a parser sees a byte of it.

    Raises:
        BundleError: not a bundle, damaged, changed, of another version, or with files that don't belong to it.
    """
    model_id, texts = _verified(home)
    try:
        content = json.loads(texts["bundle.json"])
    except (ValueError, RecursionError):
        raise BundleError(f"{home}: bundle.json is no JSON; train again with: churn train") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else None
        raise BundleError(
            f"{home}: bundle of schema {found}, this version reads schema {SCHEMA}; train again: churn train"
        )
    try:
        bundle = _parsed(content, texts)
        return model_id, bundle, _golden_gap(bundle, content["golden"])
    except (KeyError, TypeError, ValueError, lgb.basic.LightGBMError) as error:
        raise BundleError(
            f"{home}: bundle.json doesn't describe a bundle ({type(error).__name__}); train again: churn train"
        ) from None


def bundle_texts(home: Path) -> dict[str, str]:
    """Returns the files of a bundle by name, checked, to be sent to where `write_bundle_texts` makes it anew.

    Raises:
        BundleError: as `load_bundle`, before anything is parsed.
    """
    _, texts = _verified(home)
    return {**texts, CHECKSUMS: (home / CHECKSUMS).read_text(encoding="utf-8")}


def write_bundle_texts(texts: Mapping[str, str], home: Path) -> None:
    """Writes the files that `bundle_texts` has read into a new folder."""
    home.mkdir()
    for name in (*_FILES, CHECKSUMS):
        if name in texts:
            (home / name).write_bytes(texts[name].encode())


def model_text(booster: lgb.Booster) -> str:
    """Returns LightGBM's text of a booster without its parameter block, which names the threads it was trained with."""
    return _PARAMETERS.sub("\n", booster.model_to_string(num_iteration=-1))


def _files_of(bundle: Bundle, golden: pd.DataFrame) -> dict[str, str]:
    silent = bundle.factors.silent
    texts = {"leave.txt": model_text(bundle.factors.leave)}
    if silent is not None and silent.booster is not None:
        texts["silent.txt"] = model_text(silent.booster)
    if bundle.voice is not None and bundle.voice.booster is not None:
        texts["voice.txt"] = model_text(bundle.voice.booster)
    content = {
        "schema": SCHEMA,
        "target": bundle.target.to_dict(),
        "recipes": [recipe.as_dict() for recipe in bundle.recipes],
        "prior": asdict(bundle.prior),
        "rhythm": asdict(bundle.factors.members.rhythm),
        "linear": asdict(bundle.factors.members.linear),
        "slope": bundle.factors.slope,
        "levels": asdict(bundle.factors.levels),
        "silent": None if silent is None else {"share": silent.share, "calibration": silent.calibration.to_json()},
        "why_no_silent": bundle.factors.why_no_silent,
        "notes": list(bundle.factors.notes),
        "percentiles": list(bundle.percentiles),
        "tables": list(bundle.tables),
        "training": bundle.training,
        "voice": None if bundle.voice is None else bundle.voice.to_json(),
        "reference": bundle.reference.to_dict(),
        "golden": _golden(bundle, golden),
    }
    texts["bundle.json"] = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    return texts


def _golden(bundle: Bundle, features: pd.DataFrame) -> dict[str, Any]:
    status = np.full(len(features), "quiet")
    predicted = bundle.predict(features, voice_status=status, at=_GOLDEN_AT)[["margin", "p_leave", "p_silent"]]
    values = bundle.matched(features).to_numpy(np.float64)
    return {"features": _plain(values), "predictions": _plain(predicted.to_numpy(np.float64))}


def _golden_gap(bundle: Bundle, golden: dict[str, Any]) -> float:
    features = pd.DataFrame(
        _numbers(golden["features"], len(bundle.features)), columns=bundle.features, dtype=np.float32
    )
    expected = _numbers(golden["predictions"], 3)
    if not len(features):
        return 0.0
    status = np.full(len(features), "quiet")
    told = bundle.predict(features, voice_status=status, at=_GOLDEN_AT)
    predicted = told[["margin", "p_leave", "p_silent"]].to_numpy(np.float64)
    if (np.isnan(predicted) != np.isnan(expected)).any():
        return float("inf")
    return float(np.nanmax(np.abs(predicted - expected), initial=0.0))


def _plain(values: np.ndarray) -> list[list[float | None]]:
    return [[None if np.isnan(value) else float(value) for value in row] for row in values]


def _numbers(rows: Sequence[Sequence[float | None]], width: int) -> np.ndarray:
    return np.array([[np.nan if value is None else value for value in row] for row in rows], np.float64).reshape(
        -1, width
    )


def _verified(home: Path) -> tuple[str, dict[str, str]]:
    """Reads the listed files, and nothing else, after checking that they are plain files with the listed checksums."""
    sums = home / CHECKSUMS
    if home.is_symlink() or not home.is_dir() or sums.is_symlink() or not sums.is_file():
        raise BundleError(f"{home} is no bundle (no folder with {CHECKSUMS}); name a folder that `churn train` wrote")
    listing = sums.read_bytes()
    listed = dict(_listed(home, listing))
    present = {path.name for path in home.iterdir()} - {CHECKSUMS}
    if present != set(listed) or not {"bundle.json", "leave.txt"} <= present:
        odd = ", ".join(sorted(present ^ set(listed))) or "bundle.json"
        raise BundleError(
            f"{home}: files and {CHECKSUMS} differ ({odd}); copy the bundle again or train again: churn train"
        )
    texts = {}
    for name, expected in listed.items():
        path = home / name
        if path.is_symlink() or not path.is_file():
            raise BundleError(f"{path} is no plain file; a bundle holds no links")
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != expected:
            raise BundleError(
                f"{path}: checksum differs, the file is damaged or was changed; "
                "copy it again or train again: churn train"
            )
        try:
            texts[name] = content.decode("utf-8")
        except UnicodeDecodeError:
            raise BundleError(f"{path} is no text; train again: churn train") from None
    return hashlib.sha256(listing).hexdigest()[:16], texts


def _listing(checksums: Mapping[str, str]) -> bytes:
    """What `sha256sum` would list: the one way to write it, since the model id is its hash."""
    return "".join(f"{checksum}  {name}\n" for name, checksum in sorted(checksums.items())).encode()


def _listed(home: Path, listing: bytes) -> list[tuple[str, str]]:
    pairs = []
    for line in listing.decode("utf-8", errors="replace").splitlines():
        match = re.fullmatch(r"([0-9a-f]{64})  ([a-z.]+)", line)
        if match is None or match[2] not in _FILES:
            raise BundleError(
                f"{home}: {CHECKSUMS} is damaged or lists files that don't belong to a bundle; checksum differs"
            )
        pairs.append((match[2], match[1]))
    if listing != _listing(dict(pairs)):
        raise BundleError(f"{home}: {CHECKSUMS} is damaged; checksum differs")
    return pairs


def _voice_parsed(told: dict[str, Any] | None, texts: dict[str, str]) -> VoiceModel | None:
    trees = lgb.Booster(model_str=texts["voice.txt"]) if "voice.txt" in texts else None
    return None if told is None else voice_model_told(told, trees)


def _members_parsed(content: dict[str, Any], names: Sequence[str]) -> Members:
    told = content["linear"]
    curves = tuple(
        Curve(curve["name"], tuple(map(float, curve["at"])), tuple(map(float, curve["effect"])))
        for curve in told["curves"]
    )
    strange = [curve.name for curve in curves if curve.name not in names]
    if strange:
        raise BundleError(
            f"curves of {', '.join(strange[:3])}, which are no features of the model; train again: churn train"
        )
    rhythm = RhythmMember(*(float(content["rhythm"][name]) for name in ("weight", "mean", "slope")))
    return Members(rhythm, LinearMember(float(told["weight"]), float(told["intercept"]), curves))


def _slope_parsed(told: float) -> float:
    if not 0 < told < float("inf"):
        raise BundleError("the slope is no positive number; train again: churn train")
    return float(told)


def _parsed(content: dict[str, Any], texts: dict[str, str]) -> Bundle:
    silent = None
    if content["silent"] is not None:
        booster = lgb.Booster(model_str=texts["silent.txt"]) if "silent.txt" in texts else None
        silent = SilentFactor(
            booster, float(content["silent"]["share"]), calibration_from_json(content["silent"]["calibration"])
        )
    leave = lgb.Booster(model_str=texts["leave.txt"])
    recipes = tuple(recipe_of(recipe) for recipe in content["recipes"])
    names = [recipe.name for recipe in recipes]
    if leave.feature_name() != names or (silent and silent.booster and silent.booster.feature_name() != names):
        raise BundleError("the features of the trees are not those of bundle.json; train again: churn train")
    prior, levels = content["prior"], content["levels"]
    return Bundle(
        target=Target(**content["target"]),
        recipes=recipes,
        prior=Prior(prior["shape"], prior["days"], tuple(prior["season"]), MbgNbd(**prior["dropout"])),
        factors=Factors(
            leave,
            _members_parsed(content, names),
            _slope_parsed(content["slope"]),
            Levels(
                levels["mean"], levels["window"], *(tuple(levels[name]) for name in ("at", "days", "weight", "errors"))
            ),
            silent,
            content["why_no_silent"],
            tuple(content["notes"]),
        ),
        percentiles=tuple(content["percentiles"]),
        tables=tuple(content["tables"]),
        training=content["training"],
        voice=_voice_parsed(content["voice"], texts),
        reference=reference_told(content["reference"]),
    )
