"""The sample of customers: of the wished size, each stratum with its share, the same in any order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from made_project import Project

from churn.config import load_config
from churn.jobs.learning import lesson_of
from churn.jobs.sample import QUARTER, Attendance, appended, sampled
from churn.tables.history import DAY


def made(count: int, *, seed: int = 1) -> Attendance:
    rng = np.random.default_rng(seed)
    days = rng.choice([0, 1, 2, 5, 40], count, p=[0.1, 0.3, 0.3, 0.2, 0.1])
    first = np.where(days == 0, 0, 19_000 * DAY + rng.integers(0, 700, count) * DAY)
    return Attendance(pa.array([f"c{number}" for number in range(count)]), days.astype(np.int64), first)


@pytest.mark.parametrize("count", [1, 7, 1000, 4999])
def test_it_has_the_wished_size_and_nobody_twice(count: int) -> None:
    chosen = sampled(made(5000), count).to_pylist()
    assert len(chosen) == len(set(chosen)) == count
    assert chosen == sorted(chosen)


def test_all_are_taken_where_there_are_no_more() -> None:
    assert sampled(made(50), 50).to_pylist() == sorted(f"c{number}" for number in range(50))


def test_every_stratum_has_its_share_to_within_one_customer() -> None:
    everybody, count = made(5000), 600
    chosen = np.isin(everybody.customers.to_pylist(), sampled(everybody, count).to_pylist())
    often = np.searchsorted([1, 2, 4, 8, 16, 32], everybody.days, side="right")
    strata = often * 1000 + everybody.first // (QUARTER * DAY)
    for stratum in np.unique(strata):
        inside = strata == stratum
        assert abs(chosen[inside].sum() - inside.sum() * count / 5000) < 1


def test_the_order_of_the_customers_does_not_matter() -> None:
    everybody = made(3000)
    order = np.random.default_rng(2).permutation(3000)
    mixed = Attendance(everybody.customers.take(pa.array(order)), everybody.days[order], everybody.first[order])
    assert sampled(mixed, 500).equals(sampled(everybody, 500))


def test_the_parts_of_the_customers_are_all_of_them() -> None:
    parts = [made(30, seed=1), made(20, seed=2)]
    whole = appended(parts)
    assert whole.customers.to_pylist() == [*parts[0].customers.to_pylist(), *parts[1].customers.to_pylist()]
    assert whole.first[30:].tolist() == parts[1].first.tolist()
    assert whole.days[:30].tolist() == parts[0].days.tolist()


@pytest.mark.parametrize("count", [200_000, 300])
def test_any_number_of_buckets_has_the_same_to_learn_from(project: Project, count: int) -> None:
    config = load_config(project.config)
    lessons = []
    for buckets in (1, 5):
        engine = config.engine.model_copy(update={"training_customers": count, "buckets": buckets})
        with lesson_of(config.model_copy(update={"engine": engine}), progress=lambda _: None) as lesson:
            lessons.append(lesson)
    one, five = lessons
    assert (one.customers, one.notes, one.issues) == (five.customers, five.notes, five.issues)
    assert dict(one.known.tables) == dict(five.known.tables)
    assert one.known.base.to_dict() == five.known.base.to_dict()
    assert not (project.directory / ".churn-work").exists()
