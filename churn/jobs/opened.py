"""Opened: the bundle that a command uses, checked and loaded, with what the user should know about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from churn.config import Config
from churn.errors import BundleError
from churn.models.bundle import GOLDEN_TOLERANCE, Bundle, load_bundle
from churn.models.champion import champion_of, newest_of


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle ready to be used.

    Attributes:
        home: its folder.
        model_id: of the bundle.
        bundle: the model.
        is_strange: whether it predicts otherwise here than where it was trained.
        warnings: what the user should know about it.
    """

    home: Path
    model_id: str
    bundle: Bundle
    is_strange: bool
    warnings: tuple[str, ...]


def open_bundle(config: Config, bundle: Path | None) -> Opened:
    """Returns the bundle to use, checked and loaded: the given one, the champion, or the newest.

    Raises:
        BundleError: there is none, or it is damaged.
    """
    home, warnings = find_bundle(config, bundle)
    opened = opened_at(home)
    return replace(opened, warnings=(*warnings, *opened.warnings))


def opened_at(home: Path) -> Opened:
    """Returns the bundle in a folder, checked and loaded.

    Raises:
        BundleError: it is none, or damaged.
    """
    model_id, model, gap = load_bundle(home)
    is_strange, warnings = not gap <= GOLDEN_TOLERANCE, list[str]()
    if is_strange:
        warnings.append(
            f"this machine's libraries give other predictions than the training's (difference {gap:.1e}); "
            "train again: churn train"
        )
    return Opened(home, model_id, model, is_strange, tuple(warnings))


def find_bundle(config: Config, bundle: Path | None) -> tuple[Path, list[str]]:
    """Returns the folder of the bundle to use and what to warn of: the given one, the champion, or the newest.

    Raises:
        BundleError: there is none.
    """
    if bundle is not None:
        return bundle, []
    models = config.resolve(config.models)
    champion = champion_of(models)
    if champion is not None:
        return champion, []
    newest = newest_of(models)
    if newest is None:
        raise BundleError(f"no model in {models}; train one first: churn train")
    doubt = "no model has been promoted (none was better than the simple rules): this is the newest one"
    return newest, [doubt]
