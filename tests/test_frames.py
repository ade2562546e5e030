"""`churn.score`: frames in, a frame out, to the last bit as the command scores the same tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_project import Project, environment

import churn
from churn.config import load_config
from churn.errors import BundleError, ConfigError, TableError
from churn.jobs.explained import Explained
from churn.jobs.score import score

TABLES = ("transactions", "visits", "contacts", "incidents", "feedback", "invitations", "customers")


@pytest.fixture(scope="module")
def tables(project: Project) -> dict[str, pd.DataFrame]:
    return {name: project.table(name) for name in TABLES}


def test_frames_are_scored_as_the_files_they_came_from(project: Project, tables: dict[str, pd.DataFrame]) -> None:
    expected = score(load_config(project.config), explained=Explained("all"))
    found = churn.score(tables, bundle=project.bundle)
    assert expected.scores is not None
    pd.testing.assert_frame_equal(found, expected.scores, check_exact=True)
    assert found.attrs["warnings"] == list(expected.warnings)


def test_a_list_at_a_date_with_reasons_for_some(project: Project, tables: dict[str, pd.DataFrame]) -> None:
    listed = ["C000009", "nobody", "C000003"]
    found = churn.score(tables, bundle=str(project.bundle), customers=listed, at="2024-06-01", reasons="top:1")
    assert list(found["customer_id"]) == listed
    assert found["why_not_scored"][1] == "unknown"
    assert set(found["cutoff"]) == {"2024-06-01"}
    assert found["reason_1"].notna().sum() <= 1


def test_the_frames_are_left_as_they_are(project: Project, tables: dict[str, pd.DataFrame]) -> None:
    before = {name: frame.copy() for name, frame in tables.items()}
    churn.score(tables, bundle=project.bundle, customers=["C000009"])
    for name, frame in tables.items():
        pd.testing.assert_frame_equal(frame, before[name])


def test_what_is_missing_or_unknown_is_told(project: Project, tables: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    few = {name: frame for name, frame in tables.items() if name != "visits"}
    with pytest.raises(TableError, match="trained with visits, absent now"):
        churn.score(few, bundle=project.bundle)
    with pytest.raises(TableError, match='"visit" is no table; did you mean "visits"'):
        churn.score({**few, "visit": tables["visits"]}, bundle=project.bundle)
    unnamed = {**tables, "visits": tables["visits"].rename(columns={"time": "when"})}
    with pytest.raises(TableError, match='visits: column "time" is not in visits'):
        churn.score(unnamed, bundle=project.bundle)
    with pytest.raises(TableError, match="visits: holds no row: fill it, or leave it out"):
        churn.score({**tables, "visits": tables["visits"].iloc[:0]}, bundle=project.bundle)
    with pytest.raises(TableError, match="trained with contacts, "):
        churn.score(tables["transactions"], bundle=project.bundle)
    with pytest.raises(ConfigError, match="is none of: all"):
        churn.score(tables, bundle=project.bundle, reasons="some")
    with pytest.raises(BundleError, match="is no bundle"):
        churn.score(tables, bundle=tmp_path)


def test_rows_that_are_dropped_are_warned_of(project: Project, tables: dict[str, pd.DataFrame]) -> None:
    visits = tables["visits"].copy()
    visits.loc[visits.index[:3], "customer_id"] = None
    found = churn.score({**tables, "visits": visits}, bundle=project.bundle, customers=["C000009"])
    assert any("3 rows without a customer id; dropped." in each for each in found.attrs["warnings"])


def test_importing_the_package_loads_nothing_heavy() -> None:
    asked = "import sys, churn; print(sorted({'pandas', 'lightgbm'} & set(sys.modules)), 'score' in churn.__all__)"
    told = subprocess.run([sys.executable, "-c", asked], env=environment(), capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[] True"
    with pytest.raises(AttributeError, match="has no attribute 'scores'"):
        churn.scores  # noqa: B018


@pytest.mark.parametrize("customers", ["C000001", [1], ["C000001", None]])
def test_ids_that_are_no_texts_are_refused(customers: Any) -> None:
    with pytest.raises(TableError, match="a list of ids as text"):
        churn.score({}, bundle="none", customers=customers)
