"""Labels that the model has not learnt are counted, never shown."""

import dataclasses
from pathlib import Path

import pyarrow as pa
from made_project import CANARY, Project

from churn.config import load_config
from churn.jobs.score import score
from churn.jobs.unseen import unseen_labels, unseen_warnings
from churn.models.bundle import load_bundle
from churn.signals.recipes import Recipe


def test_unseen_categories_are_counted_and_their_customers_scored(project: Project, tmp_path: Path) -> None:
    """Fault 22."""
    copy = project.copied(tmp_path / "copy")
    customers = copy.table("customers")
    customers.loc[customers.index % 2 == 0, "region"] = "atlantis"
    customers.to_parquet(copy.directory / "customers.parquet")
    told = score(load_config(copy.config))
    (warning,) = (each for each in told.warnings if each.startswith("customers.region"))
    learnt = customers["region"].isin(["east", "north", "south", "west"])
    assert f"{(~learnt).sum()} rows of 1,200 with labels the model has not learnt" in warning
    assert CANARY not in warning
    assert "atlantis" not in warning
    assert (told.scores["status"] == "scored").sum() > 300


def test_learnt_labels_nulls_and_absent_tables_are_no_warning(project: Project) -> None:
    _, bundle, _ = load_bundle(project.bundle)
    known = pa.table({"region": ["east", None], "segment": ["family", "private"]})
    assert unseen_warnings(unseen_labels(bundle, {"customers": known})) == []
    nobody = {"customers": pa.table({"region": pa.nulls(2)}), "visits": pa.table({})}
    assert unseen_warnings(unseen_labels(bundle, nobody)) == []
    by_kind = Recipe("incidents", "late", "count", "incidents", "kind=late_delivery", 90)
    with_kinds = dataclasses.replace(bundle, recipes=(*bundle.recipes, by_kind))
    incidents = {"incidents": pa.table({"kind": ["late_delivery", "flood"]})}
    (warning,) = unseen_warnings(unseen_labels(with_kinds, incidents) + unseen_labels(with_kinds, {}))
    assert warning.startswith("incidents.kind: 1 row of 2 ")
