"""Buckets: the same tables and findings however many there are; a broken run is gone on with, a dead one removed."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.config import Config, parse_config
from churn.errors import ChurnError, OutputError, TableError
from churn.tables.atomic import claim, release
from churn.tables.buckets import open_buckets
from churn.tables.findings import Issue
from churn.tables.ordering import settled
from churn.tables.rows import HASH, ROW
from churn.tables.sizes import bucket_count
from churn.tables.sources import read_tables

IDS = ["007", "1e5", " spaced ", "Zoë-名前", "it's", "NA", "-", *(f"c{number}" for number in range(90))]
TIMES = [
    "2025-01-02",
    "2025-03-30 02:30:00",
    "2025-10-26 02:30:00",
    "2025-05-05T05:05:05Z",
    "2025-01-02T00:00:00.000001Z",
]
HEADER = "customer_id,time,amount,channel,quantity,available_at,junk"


def messy_lines(*, seed: int, rows: int = 3000) -> list[str]:
    """Sales with every flaw that is tolerated, repeated lines among them."""
    pick = random.Random(seed)
    lines = []
    for row in range(rows):
        who = "" if row % 251 == 7 else pick.choice(IDS)
        time = "soon" if row % 401 == 3 else "1901-01-01" if row % 409 == 5 else pick.choice(TIMES)
        amount = "abc" if row % 419 == 9 else "inf" if row % 421 == 9 else pick.choice(["1", "2.5", "-3", "1,234.50"])
        known = pick.choice(["", "2025-06-01", time])
        lines.append(f'"{who}",{time},"{amount}",{pick.choice(["web", ""])},{pick.randrange(3)},{known},{row % 2}')
    return lines + pick.sample(lines, 60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sales in two files, visits as typed Parquet, and a table of customers of whom few have bought."""
    lines = messy_lines(seed=3)
    (tmp_path / "sales-1.csv").write_text("\n".join([HEADER, *lines[:1000]]), encoding="utf-8")
    (tmp_path / "sales-2.csv").write_text("\n".join([HEADER, *lines[1000:]]), encoding="utf-8")
    start = dt.datetime(2025, 1, 1)
    visits = {
        "customer_id": pa.array([None if n % 97 == 0 else f"c{n % 130}" for n in range(2000)]),
        "time": pa.array([start + dt.timedelta(minutes=n % 700) for n in range(2000)], pa.timestamp("us")),
        "duration_seconds": pa.array([float("inf") if n % 500 == 1 else n % 3 for n in range(2000)], pa.float64()),
    }
    pq.write_table(pa.table(visits), tmp_path / "visits.parquet", row_group_size=300)
    people = [f"{who},2024-01-01,{place % 2},north" for place, who in enumerate(["x1", "007", "Zoë-名前", "x2", "x1"])]
    (tmp_path / "people.csv").write_text("\n".join(["customer_id,since,vip,region", *people]), encoding="utf-8")
    return tmp_path


def config_of(folder: Path, buckets: int | None, **changed: Any) -> Config:
    tables = {
        "transactions": {"path": "sales-*.csv"},
        "visits": {"path": "visits.parquet", "duplicates": "keep"},
        "customers": {"path": "people.csv", "attributes": {"vip": "static"}},
        **changed,
    }
    engine = {"memory_limit": "1GB"} | ({} if buckets is None else {"buckets": buckets})
    return parse_config({"timezone": "Europe/Berlin", "tables": tables, "engine": engine}, directory=folder)


def read(config: Config) -> tuple[list[dict[str, pa.Table]], list[Issue]]:
    with open_buckets(config, work=config.directory / "work") as buckets:
        assert config.engine.buckets in (None, buckets.count)
        return [buckets.read(number) for number in range(buckets.count)], buckets.issues


def in_one_order(parts: Iterable[pa.Table], table: str) -> pa.Table:
    """The rows of all buckets as one bucket has them."""
    rows = pa.concat_tables(parts)
    numbers = pa.array(range(rows.num_rows))
    own = rows.append_column(HASH, numbers.cast(pa.uint64())).append_column(ROW, numbers)
    return settled([own], table=table, duplicates="keep")[0]


@pytest.mark.parametrize("count", [1, 3, 16])
def test_any_number_of_buckets_has_the_same_rows_and_findings(count: int, folder: Path) -> None:
    tables, issues = read_tables(config_of(folder, None))
    assert len(issues) > 15
    parts, found = read(config_of(folder, count))
    assert found == issues
    assert len(parts) == count
    for name, table in tables.items():
        assert all(part[name].schema == table.schema for part in parts)
        assert in_one_order((part[name] for part in parts), name).equals(table)
    assert not (folder / "work").exists(), "nothing is left behind"


def test_every_row_of_a_customer_is_in_one_bucket_and_sorted(folder: Path) -> None:
    config = config_of(folder, 5)
    seen: dict[str, int] = {}
    with open_buckets(config, work=folder / "work") as buckets:
        for number in range(buckets.count):
            for name, table in buckets.read(number).items():
                ids = table["customer_id"].to_pylist()
                assert ids == sorted(ids)
                assert {seen.setdefault(one, number) for one in ids} <= {number}, name
        told = buckets.numbers_of([*seen, "nobody"], config=config)
        assert list(told[:-1]) == list(seen.values())
        assert told[-1] in range(5)
    assert len(set(seen.values())) == 5


def test_shuffled_sources_make_the_same_buckets(folder: Path) -> None:
    before, _ = read(config_of(folder, 4))
    lines = messy_lines(seed=3)
    random.Random(9).shuffle(lines)
    (folder / "sales-1.csv").write_text("\n".join([HEADER, *lines]), encoding="utf-8")
    (folder / "sales-2.csv").unlink()
    visits = pq.read_table(folder / "visits.parquet")
    pq.write_table(visits.take(pa.array(range(visits.num_rows - 1, -1, -1))), folder / "visits.parquet")
    after, _ = read(config_of(folder, 4))
    assert all(one[name].equals(other[name]) for one, other in zip(before, after, strict=True) for name in one)


def test_buckets_without_a_row_have_every_table(folder: Path) -> None:
    (folder / "people.csv").write_text("customer_id,since,vip,region\nx1,2024-01-01,1,north\n", encoding="utf-8")
    tables, _ = read_tables(config_of(folder, None))
    parts, _ = read(config_of(folder, 16))
    assert sorted(part["customers"].num_rows for part in parts) == [0] * 15 + [1]
    assert {str(part["customers"].schema) for part in parts} == {str(tables["customers"].schema)}


def test_a_query_is_split_like_its_file(folder: Path) -> None:
    query = {"query": "SELECT * FROM v", "files": {"v": "visits.parquet"}, "duplicates": "keep"}
    assert read(config_of(folder, 3, visits=query))[1] == read(config_of(folder, 3))[1]


@pytest.mark.parametrize(
    "text",
    [
        "customer_id,time,amount\n" + "a,2025-01-01,1\n" * 98 + "a,soon,x\n" * 2,
        "customer_id,time,amount\n,2025-01-01,1\n",
        "customer_id,time,amount\na,2025-01-01\n",
        "customer_id,time,amount\na,1901-01-01,1\n",
        "customer_id,when,amount\na,2025-01-01,1\n",
        "customer_id,time,amount\n",
    ],
)
def test_what_is_refused_is_refused_in_the_same_words_and_leaves_nothing(text: str, folder: Path) -> None:
    (folder / "sales-1.csv").write_text(text, encoding="utf-8")
    changed = {"transactions": {"path": "sales-1.csv"}, "visits": {"path": "nowhere.csv"}}
    told = []
    for count in (1, 3):
        with pytest.raises(TableError, match="transactions: ") as caught:
            read(config_of(folder, count, **changed))
        told.append(caught.value.problems)
    assert told[0] == told[1]
    assert any(problem.startswith("visits: nowhere.csv") for problem in told[0])
    assert not (folder / "work").exists()


def test_an_interrupted_run_is_gone_on_with(folder: Path) -> None:
    config, steps = config_of(folder, 4), list[str]()
    whole, issues = read(config)

    def interrupt(step: str) -> None:
        steps.append(step)
        if len(steps) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_buckets(config, work=folder / "work", progress=interrupt):
        pass
    assert [step.partition(" in")[0] for step in steps[:3]] == [f"splitting {name}" for name in config.tables]
    steps[:] = ["rerun"] * 10
    with open_buckets(config, work=folder / "work", progress=interrupt) as buckets:
        assert [buckets.read(number) for number in range(4)] == whole
        assert buckets.issues == issues
    assert [step.partition(" buckets")[0] for step in steps[10:]] == ["sorting: 3 of 4", "sorting: 4 of 4"]
    assert not (folder / "work").exists()


def test_another_state_of_the_sources_starts_anew_and_removes_what_a_dead_run_left(folder: Path) -> None:
    config = config_of(folder, 3)
    with pytest.raises(KeyboardInterrupt), open_buckets(config, work=folder / "work"):
        raise KeyboardInterrupt
    (old,) = (folder / "work").iterdir()
    (folder / "sales-1.csv").write_text(
        (folder / "sales-1.csv").read_text(encoding="utf-8") + "\n007,2025-01-09,1,,,,\n"
    )
    with open_buckets(config, work=folder / "work") as buckets:
        assert buckets.folder is not None
        assert buckets.folder.name != old.name
        assert [path.name for path in (folder / "work").iterdir()] == [buckets.folder.name]


def test_two_runs_do_not_meet(folder: Path) -> None:
    config = config_of(folder, 3)
    with open_buckets(config, work=folder / "work") as buckets:
        before = [buckets.read(number) for number in range(3)]
        with (
            pytest.raises(OutputError, match=r"another run of churn .* is at work"),
            open_buckets(config, work=folder / "work"),
        ):
            pass
        other = config_of(folder, 2)
        with open_buckets(other, work=folder / "work"):
            assert len(list((folder / "work").iterdir())) == 2, "a living run's folder stays"
        assert [buckets.read(number) for number in range(3)] == before


def test_a_lock_of_another_process_is_respected_and_a_stale_one_is_not(folder: Path) -> None:
    config = config_of(folder, 3)
    with pytest.raises(KeyboardInterrupt), open_buckets(config, work=folder / "work"):
        raise KeyboardInterrupt
    (work,) = (folder / "work").iterdir()
    held = claim(work / "lock")
    with pytest.raises(OutputError, match="wait until it ends"), open_buckets(config, work=folder / "work"):
        pass
    release(held)
    assert read(config)[1]


def test_the_number_follows_from_the_sources_and_the_memory(folder: Path) -> None:
    size = sum((folder / name).stat().st_size for name in ("sales-1.csv", "sales-2.csv", "people.csv"))
    assert bucket_count(config_of(folder, None)) == 1
    assert bucket_count(config_of(folder, 9)) == 9
    config = config_of(folder, None)
    tight = config.model_copy(update={"engine": config.engine.model_copy(update={"memory_limit": "1MB"})})
    assert size * 40 / 1e6 < bucket_count(tight) < size * 80 / 1e6


def test_a_full_disk_is_told_in_plain_words_and_what_is_done_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    config = config_of(folder, 3)
    whole = read(config)
    with monkeypatch.context() as patched:
        patched.setattr("churn.tables.buckets.settled", full)
        with pytest.raises(ChurnError, match="the disk is full"):
            read(config)
    assert (folder / "work").exists()
    steps: list[str] = []
    with open_buckets(config, work=folder / "work", progress=steps.append) as buckets:
        assert [buckets.read(number) for number in range(3)] == whole[0]
    assert not [step for step in steps if step.startswith("splitting")]
    assert not (folder / "work").exists()


def test_unusable_inputs_leave_nothing_behind(folder: Path) -> None:
    with pytest.raises(TableError), open_buckets(config_of(folder, 3), work=folder / "work"):
        raise TableError("the tables lack what is asked of them")
    assert not (folder / "work").exists()


def test_a_second_run_is_told_which_process_has_the_folder(folder: Path) -> None:
    config = config_of(folder, 3)
    with (
        open_buckets(config, work=folder / "work"),
        pytest.raises(OutputError, match=rf"another run of churn \(process {os.getpid()}\) is at work"),
        open_buckets(config, work=folder / "work"),
    ):
        pass


def test_findings_outlive_an_interruption(folder: Path) -> None:
    config = config_of(folder, 3)
    with pytest.raises(KeyboardInterrupt), open_buckets(config, work=folder / "work"):
        raise KeyboardInterrupt
    (work,) = (folder / "work").iterdir()
    kept = json.loads((work / "transactions.json").read_text(encoding="utf-8"))
    assert [issue["code"] for issue in kept] == [
        issue.code
        for issue in read_tables(config)[1]
        if issue.table == "transactions" and issue.code != "duplicate_rows"
    ]
