"""Owners: every signal has a department, and a mistake in `[owners]` is named with its line and its fix."""

from pathlib import Path

import pytest

from churn.config import Config, parse_config
from churn.drivers.owners import owners_of
from churn.errors import ConfigError
from churn.signals.recipes import SIGNALS


def configured(owners: dict[str, str], *, source: str = "") -> Config:
    given = {"tables": {"transactions": {"path": "orders.csv"}}, "owners": owners}
    return parse_config(given, directory=Path(), source=source)


def test_every_signal_has_a_department() -> None:
    owners = owners_of(configured({}))
    assert tuple(owners) == SIGNALS
    assert all(owners.values())
    assert owners["service"] == "Customer service"
    assert owners["incidents"] == "Operations"


def test_the_configuration_overrules_the_usual_department_alone() -> None:
    usual, own = owners_of(configured({})), owners_of(configured({"visits": "Shop floor"}))
    assert own["visits"] == "Shop floor"
    assert {**own, "visits": usual["visits"]} == usual
    assert tuple(own) == SIGNALS


def test_every_mistake_is_named_with_its_line_and_fix() -> None:
    source = '[tables.transactions]\npath = "orders.csv"\n[owners]\nspent = "Sales"\nvisits = " "\n'
    with pytest.raises(
        ConfigError, match=r'churn\.toml \(line 4\): owners: "spent" is no signal; did you mean "spend"'
    ) as caught:
        owners_of(configured({"spent": "Sales", "visits": " "}, source=source))
    assert len(caught.value.problems) == 2
    assert caught.value.problems[1].startswith("churn.toml (line 5): owners.visits: names no department")
