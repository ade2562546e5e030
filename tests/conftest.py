"""Settings of the test session, and one trained project that many tests look at."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from made_project import Project

# Threads that wait must sleep, or two busy test runs on one machine crawl.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A small simulated company, trained once: look at it, and change only what `Project.copied` returns."""
    from made_project import make_project

    made = make_project(tmp_path_factory.mktemp("company") / "shop")
    assert made.training.code == 0, made.training.err
    return made
