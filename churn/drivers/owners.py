"""Owners: the department that can do something about a signal."""

from __future__ import annotations

from churn.config import Config
from churn.errors import ConfigError, did_you_mean
from churn.signals.recipes import SIGNALS

_DEPARTMENTS = {
    "spend": "Marketing",
    "visits": "Digital",
    "rhythm": "Marketing",
    "service": "Customer service",
    "incidents": "Operations",
    "feedback": "Customer insight",
    "silence": "Customer insight",
    "text": "Customer insight",
    "profile": "Marketing",
}


def owners_of(config: Config) -> dict[str, str]:
    """Returns the owner of every signal, in the order of `SIGNALS`: the usual department, or the one in `[owners]`.

    Raises:
        ConfigError: `[owners]` names what is no signal, or an owner without a name; every problem at once.
    """
    problems = [problem for signal, owner in config.owners.items() if (problem := _problem(config, signal, owner))]
    if problems:
        raise ConfigError(problems)
    return {**_DEPARTMENTS, **config.owners}


def _problem(config: Config, signal: str, owner: str) -> str | None:
    line = config.line_of("owners", signal)
    where = f"churn.toml (line {line})" if line else "churn.toml"
    if signal not in SIGNALS:
        known = ", ".join(SIGNALS)
        return f'{where}: owners: "{signal}" is no signal{did_you_mean(signal, SIGNALS)} (signals: {known})'
    return None if owner.strip() else f"{where}: owners.{signal}: names no department; write one or remove the line"
