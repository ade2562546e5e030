"""`churn train`: what it prints, keeps and refuses; the same data give the same model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_project import Project, run

from churn.config import load_config
from churn.jobs.train import train
from churn.models.bundle import load_bundle

RESULT = {
    "schema", "run_id", "model_id", "bundle", "project", "target", "cutoffs", "training_cutoffs", "population",
    "metrics", "ablation", "gain", "verdict", "horizon", "silence", "drivers", "findings", "notes", "warnings",
    "seconds",
}  # fmt: skip
METRICS = {"auroc", "average_precision", "lift_at_10", "brier", "ece", "log_loss"}


def test_json_is_the_object_of_the_design(project: Project) -> None:
    assert project.training.out.count("\n") == 1, "one object and nothing else"
    told = project.training.json
    assert set(told) >= RESULT
    assert told["schema"] == 1
    assert told["cutoffs"] == ["2024-04-01"]
    assert set(told["metrics"]) >= {"model", "base_rate", "recency", "own_gap", "halved_window", "rfm_logistic"}
    for metrics in told["metrics"].values():
        assert set(metrics) >= METRICS
        assert all(set(values) == {"mean", "low", "high", "by_cutoff"} for values in metrics.values())
    assert set(told["population"]) == set(told["cutoffs"])


def test_no_librarys_warning_or_log_reaches_the_terminal(project: Project) -> None:
    assert project.training.err
    for line in project.training.err.splitlines():
        assert re.fullmatch(r"\[ *\d+\.\d s\] [a-z].*", line), line


def test_the_bundle_the_record_and_the_run_are_kept(project: Project) -> None:
    models = project.directory / "models"
    name = project.bundle.name
    assert project.bundle.parent == models
    assert {path.name for path in models.iterdir()} == {name, f"{name}.training", "champion.json"}
    assert json.loads((models / "champion.json").read_text(encoding="utf-8")) == {"model_id": name}
    record = models / f"{name}.training"
    kept = json.loads((record / "result.json").read_text(encoding="utf-8"))
    assert kept["metrics"] == project.training.json["metrics"]
    assert (record / "report.html").stat().st_size > 10_000
    assert (project.directory / "mlruns" / "mlflow.db").is_file()
    run_folder = project.directory / "mlruns" / "artifacts" / str(project.training.json["run_id"])
    assert (run_folder / "artifacts" / "report.html").is_file()


def test_who_speaks_is_learnt_judged_and_carried_by_the_bundle(project: Project) -> None:
    told = project.training.json["voice"]
    assert told["is_modelled"]
    assert told["judged"]["metrics"]["model"]["auroc"] > told["judged"]["metrics"]["kind"]["auroc"]
    assert told["iceberg"]["total"]["never_mentioned"] > 0
    _, bundle, _ = load_bundle(project.bundle)
    assert bundle.voice is not None
    assert bundle.voice.booster is not None
    assert (project.bundle / "voice.txt").is_file()
    assert "hidden_friction_sum_90d" in bundle.features
    page = (project.bundle.with_name(f"{project.bundle.name}.training") / "report.html").read_text(encoding="utf-8")
    assert "What went wrong, and nobody told" in page
    assert [path.name for path in (project.directory / "mlruns").rglob("iceberg.json")] == ["iceberg.json"]


def test_nothing_is_left_lying_about(project: Project) -> None:
    odd = [path for path in project.directory.rglob("*") if path.name.startswith((".churn-tmp-", ".draft"))]
    assert odd == []


@pytest.mark.parametrize("models", ["visits.parquet", "visits.parquet/models"])
def test_a_folder_for_models_that_cannot_be_made_is_told_before_the_work(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str], models: str
) -> None:
    copy = project.copied(tmp_path / "shop")
    copy.config.write_text(f'models = "{models}"\n' + copy.config.read_text(encoding="utf-8"), encoding="utf-8")
    told = run(capsys, "train", "--config", str(copy.config))
    assert told.code == 2
    assert "visits.parquet is a file, not a folder" in told.err
    assert "reading tables" not in told.err


def test_rows_in_another_order_one_thread_and_seven_buckets_give_the_same_model(
    project: Project, tmp_path: Path
) -> None:
    """Faults 17 and 24: the bundle's id is a hash of its content."""
    copy = project.copied(tmp_path / "shop")
    for path in copy.directory.glob("*.parquet"):
        pd.read_parquet(path).sample(frac=1, random_state=5).to_parquet(path)
    copy.config.write_text(
        copy.config.read_text(encoding="utf-8") + "\n[engine]\nthreads = 1\nbuckets = 7\n", encoding="utf-8"
    )
    again = train(load_config(copy.config))
    assert again["model_id"] == project.bundle.name
    assert again["metrics"] == project.training.json["metrics"]


def test_a_planted_leak_is_refused_and_named(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault 9: an attribute that knows who will have gone, in labels whose order tells nothing."""
    copy = project.copied(tmp_path / "shop")
    sales = copy.table("transactions")
    is_inside = sales["time"].between(pd.Timestamp("2024-02-01", tz="UTC"), pd.Timestamp("2024-03-31", tz="UTC"))
    bought = sales[is_inside & (sales["amount"] > 0)]
    customers = copy.table("customers")
    is_there = customers["customer_id"].isin(bought["customer_id"])
    customers["loyalty"] = np.where(is_there, np.where(customers.index % 2, "a", "c"), "b")
    customers.to_parquet(copy.directory / "customers.parquet")
    text = copy.config.read_text(encoding="utf-8")
    text = text.replace("train_every_days = 60", "train_every_days = 400")
    copy.config.write_text(text.replace("attributes = { ", 'attributes = { loyalty = "static", '), encoding="utf-8")
    told = run(capsys, "train", "--config", str(copy.config), "--quiet")
    assert (told.code, told.out) == (2, "")
    assert "profile_loyalty tells the outcome almost alone" in told.err
    assert "--allow-leak" in told.err
