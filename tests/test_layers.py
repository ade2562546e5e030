"""A house of floors: each folder of `churn/` imports only those to its left, and nothing that runs a file's code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "churn"
FLOORS = ("tables", "timeline", "signals", "models", "drivers", "delivery", "jobs")
GROUND = ("address", "config", "errors")
ROOF = ("cli", "terminal", "views")
BELOW: dict[str, set[str]] = {
    "errors": set(),
    "address": {"errors"},
    "config": {"address", "errors"},
    "simulation": {"errors"},
    **{floor: {*GROUND, *FLOORS[:place]} for place, floor in enumerate(FLOORS)},
    **{name: {*GROUND, *FLOORS, *ROOF} for name in ROOF},
    "": {"jobs"},
}
"""What each part may import beside itself; `""` is the package's own `__init__`, which opens one door."""
MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = [*MODULES, *sorted((ROOT / "tests").glob("*.py")), *sorted((ROOT / "benchmarks").rglob("*.py"))]
FORBIDDEN = ("pickle", "joblib", "cloudpickle", "dill", "marshal", "shelve")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_lies_to_its_left(path: Path) -> None:
    part = part_of(path)
    allowed = BELOW[part] | {part, ""}
    wrong = {name for name in imports(path) if name.split(".")[0] == "churn" and part_named(name) not in allowed}
    if path == PACKAGE / "jobs" / "simulate.py":
        wrong = {name for name in wrong if part_named(name) != "simulation"}
    assert not wrong, f"{path.relative_to(ROOT)} may not import {', '.join(sorted(wrong))}"


def test_every_part_of_the_package_has_its_floor() -> None:
    assert {part_of(path) for path in MODULES} == set(BELOW)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_imports_what_runs_code_from_a_file(path: Path) -> None:
    assert not {name for name in imports(path) if name.split(".")[0] in FORBIDDEN}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_model_is_loaded_by_mlflow_and_no_rows_are_split_at_random(path: Path) -> None:
    names = {*names_used(path), *imports(path)}
    assert not {name for name in names if "train_test_split" in name or "load_model" in name or "autolog" in name}
    assert not {name for name in names if name.endswith(("ShuffleSplit", "KFold"))}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_command_line_knows_what_time_it_is(path: Path) -> None:
    """No `now()` below `cli`: a prediction's moment is given. Tracking stamps its runs, which hold nothing else."""
    if part_of(path) in ROOF or path == PACKAGE / "delivery" / "tracking.py":
        return
    assert not {"now", "utcnow", "today", "time_ns"} & set(names_used(path, is_variable=False))


def test_no_path_of_a_machine_stands_in_the_sources() -> None:
    machine = re.compile(r"(?<![\w.])/(work|home|root|Users)/\w")
    paths = [path for path in SOURCES if path != Path(__file__)]
    assert [path for path in paths if machine.search(path.read_text(encoding="utf-8"))] == []


def test_the_rule_would_find_a_wrong_import(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def f():\n    from churn.jobs import train\n    import pickle\n    train_test_split(1)\n")
    assert set(imports(wrong)) == {"churn.jobs.train", "pickle"}
    assert "train_test_split" in set(names_used(wrong))
    assert part_named("churn.jobs.train") == "jobs"


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """The syntax of a file."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imports(path: Path) -> Iterator[str]:
    """The modules and names a file imports, in functions and for type checkers too."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def names_used(path: Path, *, is_variable: bool = True) -> Iterator[str]:
    """Every attribute a file uses, and every variable unless told otherwise."""
    for node in nodes(path):
        if isinstance(node, ast.Name) and is_variable:
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def part_of(path: Path) -> str:
    """The folder or file of the package that a module belongs to, `""` for the package's own `__init__`."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def part_named(module: str) -> str:
    """The same of a dotted name."""
    first = [*module.split("."), ""][1]
    return first if first in BELOW else ""
