"""The examples on real data: their configurations load, and their populations are the published ones to the digit."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import Any

import pytest

from churn.cli import app
from churn.config import load_config
from churn.tables.sources import read_tables
from churn.timeline.voice import has_voice

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("CHURN_EXAMPLE_DATA", ROOT.parent / "shared" / "data")).absolute()
EXAMPLES = ("online_retail_ii", "olist_sellers")


def needs(folder: str) -> pytest.MarkDecorator:
    """Skips where the real data is absent: it isn't ours to ship."""
    where = "the folder that CHURN_EXAMPLE_DATA names"
    return pytest.mark.skipif(not (DATA / folder).is_dir(), reason=f"needs the real data: {folder}/ in {where}")


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark's own way to count a population."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("measuring")


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_loads_and_keeps_its_files_below_the_variable(
    example: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_EXAMPLE_DATA", "elsewhere")
    config = load_config(ROOT / "examples" / example / "churn.toml")
    assert len(config.test_cutoffs) == 3
    paths = [path for source in config.tables.values() for path in source.files.values()]
    assert paths
    assert all(path.startswith("elsewhere/") for path in paths)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_command_of_a_readme_is_one_of_ours(example: str) -> None:
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    text = (ROOT / "examples" / example / "README.md").read_text(encoding="utf-8")
    used = re.findall(r"^    churn (\w+)", text, flags=re.MULTILINE)
    assert used == ["check", "train", "score", "why", "report"]
    assert set(used) <= known


@needs("online_retail_ii")
def test_online_retail_has_the_population_of_its_protocol(measuring: Any) -> None:
    found = measuring.populations(ROOT / "examples" / "online_retail_ii", data=DATA)
    assert {label: (size, round(rate, 3)) for label, (size, rate) in found.items()} == {
        "2011-07-12": (2741, 0.471), "2011-08-11": (2791, 0.424), "2011-09-10": (2787, 0.382),
    }  # fmt: skip


@needs("olist")
def test_olist_has_the_population_of_its_protocol(measuring: Any) -> None:
    found = measuring.populations(ROOT / "examples" / "olist_sellers", data=DATA)
    assert {label: (size, round(rate, 3)) for label, (size, rate) in found.items()} == {
        "2017-12-01": (763, 0.135), "2018-03-01": (873, 0.140), "2018-06-01": (1022, 0.151),
    }  # fmt: skip


@needs("olist")
def test_what_buyers_say_is_no_voice_of_the_seller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_EXAMPLE_DATA", str(DATA))
    tables, issues = read_tables(load_config(ROOT / "examples" / "olist_sellers" / "churn.toml"))
    assert {"transactions", "feedback", "incidents", "customers"} == set(tables)
    assert not has_voice(tables)
    assert tables["incidents"]["severity"].to_numpy().min() >= 1  # delivered on the promised day is not late
    assert not [issue for issue in issues if issue.severity != "info"]
