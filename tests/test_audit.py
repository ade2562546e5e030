"""The audit: honest signals pass it, one that knows the future is refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_material import company

from churn.config import load_config
from churn.errors import LeakError
from churn.jobs.audit import audit
from churn.jobs.learning import lesson_of
from churn.jobs.material import Made, material_of
from churn.jobs.past import Past, past_of
from churn.jobs.schedule import schedule_of
from churn.models.known import Known
from churn.tables.history import DAY

Trained = tuple[Made, Past]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder: Path = company(tmp_path_factory.mktemp("audit") / "shop", customers=300)
    config = load_config(folder / "churn.toml")
    with lesson_of(config, progress=lambda _: None) as lesson:
        schedule = schedule_of(config, lesson.known)
        return material_of(config, lesson, schedule), past_of(config, lesson, schedule)


def with_column(made: Made, name: str, values: np.ndarray) -> Made:
    features = made.material.features.copy()
    features[name] = values.astype(np.float32)
    return replace(made, material=replace(made.material, features=features))


def test_honest_signals_come_out_the_same_without_the_future(made: Trained) -> None:
    material, past = made
    told = audit(material, material.material.training_rows(past.cutoff.at)[0], past=past)
    assert told["time_travel"]["changed"] == []
    assert told["time_travel"]["rows"] > 50
    assert told["time_travel"]["signals"] > 100
    assert told["leaking"] == {}
    assert len(told["strongest"]) == 5
    assert max(told["strongest"].values()) < told["most"]


def test_a_signal_that_changes_without_the_future_is_refused_by_name(made: Trained) -> None:
    material, past = made
    taught = material.material.training_rows(past.cutoff.at)[0]
    name = material.recipes[0].name
    later = with_column(material, name, material.material.features[name].to_numpy() + 1)
    with pytest.raises(LeakError, match=f"signal {name} at {past.cutoff.label} changes when everything after that day"):
        audit(later, taught, past=past)
    assert audit(later, taught, past=past, allow_leak=True)["time_travel"]["changed"] == [name]


def test_a_signal_that_is_the_outcome_is_refused_by_name(made: Trained) -> None:
    material, past = made
    name = material.recipes[3].name
    honest = material.material.training_rows(past.cutoff.at)[0]
    values = np.zeros(len(material.material.frame))
    values[np.isin(material.material.frame["at"], np.unique(honest.at))] = honest.has_left
    taught = with_column(material, name, values).material.training_rows(past.cutoff.at)[0]
    with pytest.raises(LeakError, match=rf"signal {name} tells the outcome almost alone \(AUROC 1.000\)"):
        audit(material, taught, past=past)


@pytest.mark.parametrize("customers", [None, 250])
def test_a_base_asked_at_its_end_is_found_in_all_and_in_a_sample(
    customers: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = company(tmp_path / "shop", customers=300)
    for name in ("contacts", "feedback"):  # what was archived: the first year became known at the end
        rows = pd.read_parquet(folder / f"{name}.parquet")
        is_old = rows["time"] < rows["time"].min() + pd.Timedelta(days=365)
        rows.assign(available_at=rows["time"].mask(is_old, rows["time"].max())).to_parquet(folder / f"{name}.parquet")
    config = load_config(folder / "churn.toml")
    config = config.model_copy(
        update={"engine": config.engine.model_copy(update={"training_customers": customers or 9_999})}
    )
    monkeypatch.setattr(Known, "covered_at", lambda known, _: known.base.covered_at(known.base.ends + 400 * DAY))
    with lesson_of(config, progress=lambda _: None) as lesson:
        assert bool(lesson.sample) == (customers is not None)
        schedule = schedule_of(config, lesson.known)
        past, material = past_of(config, lesson, schedule), material_of(config, lesson, schedule)
    with pytest.raises(LeakError, match="changes when everything after that day"):
        audit(material, material.material.training_rows(past.cutoff.at)[0], past=past)
