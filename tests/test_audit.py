"""The audit: honest signals pass it, one that knows the future is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_material import company

from churn.config import Config, load_config
from churn.errors import LeakError
from churn.jobs.audit import audit
from churn.jobs.learning import lesson_of
from churn.jobs.material import Made, material_of
from churn.jobs.schedule import Schedule, schedule_of

Material = tuple[Config, Made, Schedule]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Material]:
    folder: Path = company(tmp_path_factory.mktemp("audit") / "shop", customers=300)
    config = load_config(folder / "churn.toml")
    with lesson_of(config, progress=lambda _: None) as lesson:
        schedule = schedule_of(config, lesson.known)
        yield config, material_of(config, lesson, schedule), schedule


def with_column(made: Made, name: str, values: np.ndarray) -> Made:
    features = made.material.features.copy()
    features[name] = values.astype(np.float32)
    return replace(made, material=replace(made.material, features=features))


def test_honest_signals_come_out_the_same_without_the_future(made: Material) -> None:
    config, material, schedule = made
    first = schedule.tests[0]
    told = audit(config, material, material.material.training_rows(first.at)[0], first=first)
    assert told["time_travel"]["changed"] == []
    assert told["time_travel"]["rows"] > 50
    assert told["time_travel"]["signals"] > 100
    assert told["leaking"] == {}
    assert len(told["strongest"]) == 5
    assert max(told["strongest"].values()) < told["most"]


def test_a_signal_that_changes_without_the_future_is_refused_by_name(made: Material) -> None:
    config, material, schedule = made
    first = schedule.tests[0]
    taught = material.material.training_rows(first.at)[0]
    name = material.recipes[0].name
    later = with_column(material, name, material.material.features[name].to_numpy() + 1)
    with pytest.raises(LeakError, match=f"signal {name} at {first.label} changes when everything after that day"):
        audit(config, later, taught, first=first)
    assert audit(config, later, taught, first=first, allow_leak=True)["time_travel"]["changed"] == [name]


def test_a_signal_that_is_the_outcome_is_refused_by_name(made: Material) -> None:
    config, material, schedule = made
    first = schedule.tests[0]
    name = material.recipes[3].name
    honest = material.material.training_rows(first.at)[0]
    values = np.zeros(len(material.material.frame))
    values[np.isin(material.material.frame["at"], np.unique(honest.at))] = honest.has_left
    taught = with_column(material, name, values).material.training_rows(first.at)[0]
    with pytest.raises(LeakError, match=rf"signal {name} tells the outcome almost alone \(AUROC 1.000\)"):
        audit(config, material, taught, first=first)
