"""A bucket: the same numbers whatever it is cut into, and whoever computes it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from made_up import AT, DAY, made_row, tables_of

from churn.signals import parts, recipes_for
from churn.signals.bucket import Asked, asked_of, bucket_signals
from churn.signals.parts import parts_of
from churn.timeline.rhythm import Prior

WHO = [f"c{number:03d}" for number in range(40)]


def tables(seed: int) -> dict[str, pa.Table]:
    """Rows of every event table, in no order; some are known late, some ids are asked for by nobody."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list[dict[str, object]]] = {}
    for name, count in [("transactions", 600), ("visits", 300), ("contacts", 90), ("incidents", 60), ("feedback", 80),
                        ("invitations", 80)]:  # fmt: skip
        rows[name] = []
        for _ in range(count):
            time = int(AT - rng.integers(0, 400) * DAY - rng.integers(0, 3) * DAY // 3)
            known, late = (time + int(rng.choice([0, 0, 0, 5])) * DAY for _ in range(2))
            who, roll = str(rng.choice([*WHO, "stranger"])), int(rng.integers(1 << 30))
            rows[name].append(made_row(name, who, time, known, late, roll))
    return tables_of(rows)


def asked(made: dict[str, pa.Table]) -> Asked:
    recipes = recipes_for(made, horizon_days=30)
    covers = {at: {"transactions": AT - 300 * DAY, "visits": AT - 100 * DAY} for at in (AT, AT - 60 * DAY)}
    return Asked(recipes, Prior(1.0, 30.0), 30, 0, "Europe/Berlin", "purchases", covers)


def rows_of(seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    who = rng.permutation([*WHO, "nobody"] * 2)
    return pa.table({"customer_id": who, "at": np.where(np.arange(len(who)) % 2, AT, AT - 60 * DAY)})


@pytest.mark.parametrize("threads", [1, 3])
def test_parts_and_threads_change_nothing(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made, rows = tables(3), rows_of(4)
    whole = bucket_signals(made, rows, asked(made))
    monkeypatch.setattr(parts, "ROWS", 150)
    monkeypatch.setattr(parts, "_LEAST_ROWS", 10)
    assert len(parts_of(made, customers=pa.array(WHO), threads=threads)) > 4
    pd.testing.assert_frame_equal(bucket_signals(made, rows, asked(made), threads=threads), whole)


def test_customers_are_computed_alone_as_together() -> None:
    made, rows = tables(5), rows_of(6)
    together = bucket_signals(made, rows, asked(made))
    for place in (0, 7, 30):
        alone = bucket_signals(made, rows.slice(place, 1), asked(made))
        pd.testing.assert_frame_equal(alone, together.iloc[[place]].reset_index(drop=True))


def test_many_cutoffs_are_computed_together_as_each_alone() -> None:
    made, cutoffs = tables(5), [AT - 60 * DAY, AT - 45 * DAY, AT - 31 * DAY + 1, AT - 30 * DAY, AT - 29 * DAY, AT]
    rows = pa.table({"customer_id": np.repeat([*WHO, "nobody"], len(cutoffs)), "at": np.tile(cutoffs, len(WHO) + 1)})
    together = bucket_signals(made, rows, asked(made))
    for cutoff in cutoffs:
        is_own = np.asarray(rows["at"]) == cutoff
        alone = bucket_signals(made, rows.filter(pa.array(is_own)), asked(made))
        pd.testing.assert_frame_equal(together[is_own].reset_index(drop=True), alone)


def test_the_order_of_rows_and_how_text_is_held_change_nothing() -> None:
    made, rows = tables(7), rows_of(8)
    rng = np.random.default_rng(9)
    turned = {name: table.take(pa.array(rng.permutation(table.num_rows))) for name, table in made.items()}
    coded = {
        name: table.set_column(0, "customer_id", table["customer_id"].dictionary_encode())
        for name, table in turned.items()
    }
    expected = bucket_signals(made, rows, asked(made))
    pd.testing.assert_frame_equal(bucket_signals(turned, rows, asked(made)), expected)
    pd.testing.assert_frame_equal(bucket_signals(coded, rows, asked(made)), expected)


def test_what_is_asked_survives_as_json() -> None:
    told = asked(tables(1))
    assert asked_of(told.to_dict()) == told


def test_a_day_that_comes_twice_counts_once_whoever_else_was_heard_of_late() -> None:
    # St. John's, a minute after midnight of 7 November 2010: clocks went back to 23:01 of the day before.
    fell = 1_289_097_060_000_000
    minutes = [-31, -0.5, 9, 89, -9_000]
    time = pa.array([int(fell + minute * 60_000_000) for minute in minutes])
    for late in (0, 5):
        known = pa.array([*time.to_pylist()[:4], time[4].as_py() + late])
        clock = pa.timestamp("us", tz="UTC")
        made = {"transactions": pa.table({
            "customer_id": [*"aaaab"], "time": time.cast(clock), "available_at": known.cast(clock), "amount": [100] * 5,
        })}  # fmt: skip
        what = Asked(recipes_for(made, horizon_days=30), Prior(1.0, 30.0), 30, 0, "America/St_Johns", "purchases", {})
        rows = pa.table({"customer_id": ["a", "b"], "at": [fell + 10 * DAY] * 2})
        assert bucket_signals(made, rows, what)["active_days"].tolist() == [2, 1]


def test_columns_that_share_memory_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 5)
    codes, clocks = pa.array([0, 1] * 5, pa.int32()), pa.array(range(20)).cast(pa.timestamp("us", tz="UTC"))
    table = pa.table({
        "customer_id": ["b", "a"] * 5, "time": clocks.slice(0, 10), "available_at": clocks.slice(10),
        "channel": pa.DictionaryArray.from_arrays(codes, ["web", "shop"]),
        "category": pa.DictionaryArray.from_arrays(codes, ["food", "toys"]),
    })  # fmt: skip
    made = parts_of({"transactions": table}, customers=pa.array(["a", "b"]), threads=1)
    found = [row for part in made for row in part.tables["transactions"].drop_columns("customer_id").to_pylist()]
    expected = table.take([1, 3, 5, 7, 9, 0, 2, 4, 6, 8]).drop_columns("customer_id")
    assert len(made) == 2
    assert found == expected.to_pylist()
