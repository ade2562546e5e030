"""What others build on: the jobs and their options, the columns of scores, the errors, a docstring everywhere."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path

import pandas as pd
import pytest
from made_project import Project

import churn
from churn import errors
from churn.config import Config, load_config, parse_config
from churn.jobs.score import Scored, score
from churn.jobs.scoring import COLUMNS

PACKAGE = Path(churn.__file__).parent
OPTIONS = {
    "check": ["config", "progress"],
    "demo": ["directory", "customers", "progress"],
    "init": ["directory", "source"],
    "report": ["config", "out", "scores", "bundle", "progress"],
    "score": ["config", "out", "to_database", "has_bom", "customers", "at", "explained", "bundle", "progress"],
    "simulate": [
        "directory",
        "customers",
        "months",
        "regime",
        "seed",
        "mechanism",
        "vary",
        "dirty",
        "oracle",
        "progress",
    ],
    "train": ["config", "allow_leak", "trials", "progress"],
    "ui": ["config", "port", "progress"],
    "why": ["config", "customer_id", "at", "bundle", "progress"],
}


@pytest.mark.parametrize("name", OPTIONS)
def test_each_command_is_a_function_of_its_name(name: str) -> None:
    job = getattr(importlib.import_module(f"churn.jobs.{name}"), name)
    found = inspect.signature(job).parameters
    assert list(found) == OPTIONS[name]
    options = list(found.values())[1:]
    positional = [one.name for one in options if one.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert positional in ([], ["customer_id"]), "what follows the first argument is named"


def test_the_columns_of_a_list_are_those_of_the_contract() -> None:
    assert COLUMNS == (
        "customer_id", "cutoff", "status", "why_not_scored", "p_leave", "p_leave_low", "p_leave_high",
            "p_silent", "p_vocal", "voice_status",
        "percentile", "band", "p_no_visit_by_rhythm", "expected_spend", "value_at_risk", "driver_1", "driver_2",
        "driver_3", "reason_1", "reason_2", "reason_3", "owner_1", "owner_2", "owner_3", "model_id",
    )  # fmt: skip


def test_a_list_comes_out_as_a_frame_without_a_file(project: Project) -> None:
    told: list[str] = []
    config = load_config(project.config)
    scored = score(config, customers=["C000001", "C000002"], bundle=project.bundle, progress=told.append)
    assert isinstance(scored, Scored)
    assert isinstance(scored.scores, pd.DataFrame)
    assert (scored.model_id, scored.bundle) == (project.bundle.name, project.bundle)
    assert told[0] == "reading tables"


def test_a_configuration_can_be_made_without_a_file(tmp_path: Path) -> None:
    config = parse_config({"tables": {"transactions": {"path": "t.csv"}}}, directory=tmp_path)
    assert isinstance(config, Config)
    assert config.resolve("t.csv") == tmp_path / "t.csv"


def test_every_error_is_a_churn_error_with_problems() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == "churn.errors"]
    assert len(kinds) >= 8
    assert all(issubclass(kind, errors.ChurnError) for kind in kinds)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_everything_public_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "the file"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} (line {node.lineno})"
