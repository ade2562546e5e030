"""The benchmark of signals measures the same work for everyone: all ways agree, and one that doesn't is found."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
TRANSACTIONS, CUTOFFS = 4_000, 8


@pytest.fixture(autouse=True, scope="module")
def _benchmarks() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, _benchmarks: None) -> Path:
    module = importlib.import_module("signal_data")
    folder = tmp_path_factory.mktemp("signals") / "data"
    module.make(folder, module.Scale(TRANSACTIONS))
    return folder


@pytest.fixture(scope="module")
def recipes(data: Path) -> Any:
    return importlib.import_module("signal_recipes").compared(data)


@pytest.fixture(scope="module")
def rows(data: Path) -> pa.Table:
    """Of the first and the last cutoff: enough to mix them up."""
    every = pq.read_table(importlib.import_module("signal_data").rows_file(data, CUTOFFS))
    at = every["at"].to_numpy()
    return every.filter(pa.array((at == at.min()) | (at == at.max())))


@pytest.fixture(scope="module")
def own(data: Path, recipes: Any, rows: pa.Table) -> pd.DataFrame:
    found: pd.DataFrame = importlib.import_module("signal_ours").ours(data, rows, recipes)
    return found


WAYS = (
    "pandas", "duckdb_scan", "duckdb_join", "duckdb_days", "duckdb_periods", "polars_scan", "polars_days",
    "polars_periods",
)  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_every_way_agrees_with_ours(
    name: str, data: Path, recipes: Any, rows: pa.Table, own: pd.DataFrame, tmp_path: Path
) -> None:
    if name.startswith("polars"):
        pytest.importorskip("polars", reason="only the benchmark needs Polars, and it isn't installed here")
    answers, contestant = importlib.import_module("signal_answers"), importlib.import_module("signal_worker")
    way = contestant.CONTESTANTS[name]
    answer = getattr(importlib.import_module(way.module), way.function)(data, rows, recipes)
    answers.write(tmp_path / "ours.npy", own, rows, recipes)
    answers.write(tmp_path / "other.npy", answer, rows, recipes)
    found = answers.compare(tmp_path / "ours.npy", tmp_path / "other.npy", recipes)
    assert found.differing == []
    assert found.columns == len(recipes)


def test_the_ways_are_all_that_answer() -> None:
    contestants = importlib.import_module("signal_worker").CONTESTANTS
    assert {name for name, one in contestants.items() if one.kind in ("sql", "pandas")} == set(WAYS)


def test_signals_are_told_apart_and_not_trivial(recipes: Any, own: pd.DataFrame) -> None:
    assert len(recipes) >= 80
    assert own.shape[1] == len({recipe.name for recipe in recipes}) == len(recipes)
    assert not [name for name in own if own[name].nunique() < 2]


def altered(own: pd.DataFrame, name: str, value: Any) -> pd.DataFrame:
    other = own.copy()
    other.loc[3, name] = np.float32(value)
    return other


@pytest.mark.parametrize(
    ("name", "change", "agrees"),
    [
        ("orders_count", lambda x: x + 1, False),
        ("spend_sum", lambda x: np.nextafter(x, np.float32(np.inf)), False),
        ("spend_sum", lambda x: np.nan, False),
        ("spend_mean", lambda x: np.nextafter(x, np.float32(np.inf)), True),
        ("spend_mean", lambda x: x * np.float32(1.00001), False),
    ],
)
def test_a_difference_is_found(
    name: str, change: Any, agrees: bool, own: pd.DataFrame, recipes: Any, rows: pa.Table, tmp_path: Path
) -> None:
    answers = importlib.import_module("signal_answers")
    answers.write(tmp_path / "ours.npy", own, rows, recipes)
    answers.write(tmp_path / "other.npy", altered(own, name, change(own.loc[3, name])), rows, recipes)
    found = answers.compare(tmp_path / "ours.npy", tmp_path / "other.npy", recipes)
    assert found.identical == len(recipes) - 1
    assert [what.split(" ")[0] for what in found.differing] == ([] if agrees else [name])


def test_other_rows_are_refused(own: pd.DataFrame, recipes: Any, rows: pa.Table, tmp_path: Path) -> None:
    answers = importlib.import_module("signal_answers")
    with pytest.raises(ValueError, match="rows were answered"):
        answers.write(tmp_path / "short.npy", own.iloc[1:], rows, recipes)
    keyed = own.assign(customer_id=rows["customer_id"].to_pandas(), at=rows["at"].to_pandas())
    twice = keyed.iloc[[0, 0, *range(2, len(keyed))]]
    with pytest.raises(ValueError, match="other rows were answered"):
        answers.write(tmp_path / "twice.npy", twice, rows, recipes)


def test_an_answer_in_any_order_is_brought_into_that_of_the_rows(
    own: pd.DataFrame, recipes: Any, rows: pa.Table, tmp_path: Path
) -> None:
    answers = importlib.import_module("signal_answers")
    keyed = own.assign(customer_id=rows["customer_id"].to_pandas(), at=rows["at"].to_pandas())
    shuffled = pa.Table.from_pandas(keyed.sample(frac=1, random_state=5), preserve_index=False)
    answers.write(tmp_path / "ours.npy", own, rows, recipes)
    answers.write(tmp_path / "other.npy", shuffled, rows, recipes)
    assert answers.compare(tmp_path / "ours.npy", tmp_path / "other.npy", recipes).identical == len(recipes)


def test_data_is_as_told(data: Path, tmp_path: Path) -> None:
    module = importlib.import_module("signal_data")
    module.make(tmp_path / "again", module.Scale(TRANSACTIONS))
    for name, share in module.SHARES.items():
        table = pq.read_table(data / name)
        assert table.num_rows == int(TRANSACTIONS * share)
        assert table.equals(pq.read_table(tmp_path / "again" / name))
        times = table["time"].to_numpy()
        assert (np.diff(times) >= np.timedelta64(0, "us")).all()
    last = module.cutoffs(CUTOFFS)[-1]
    times = pq.read_table(data / "transactions")["time"].cast(pa.int64()).to_numpy()
    assert (times >= last).any()  # whoever looks past the cutoff differs


def test_other_data_is_not_overwritten(data: Path) -> None:
    module = importlib.import_module("signal_data")
    with pytest.raises(ValueError, match="holds other data"):
        module.make(data, module.Scale(TRANSACTIONS + 1))


def race_of(own_cpu: list[float], *, differing: list[str]) -> Any:
    race, answers = importlib.import_module("signal_race"), importlib.import_module("signal_answers")
    others = {"bound_duckdb": 2.5, "bound_polars": 3.0, "pandas": 60.0, "polars_periods": 30.0, "duckdb_periods": 50.0}
    rounds = [
        {name: race.Took(cpu, cpu, 2**30) for name, cpu in {**others, "ours": seconds}.items()} for seconds in own_cpu
    ]
    return race.Race(rounds, {"pandas": answers.Agreement(85, 85, differing)})


def test_ratios_are_judged_against_the_best_of_their_kind() -> None:
    checks = importlib.import_module("signals").race_checks(race_of([7.0, 7.2, 90.0], differing=[]), is_judged=True)
    assert [check.is_met for check in checks] == [True, True, True, True]
    assert [check.measured for check in checks[1:]] == ["2.880", "0.120", "0.240"]
    short = importlib.import_module("signals").race_checks(race_of([8.0], differing=[]), is_judged=True)
    assert [check.is_met for check in short] == [True, False, False, False]


def test_of_little_data_only_agreement_is_judged() -> None:
    checks = importlib.import_module("signals").race_checks(race_of([8.0], differing=["x differs"]), is_judged=False)
    assert [check.is_met for check in checks] == [False, None, None, None]
