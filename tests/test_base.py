"""The base: added up from any buckets it is what the whole is, at every moment."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from made_histories import config, moment, purchases, table

from churn.models.base import Base, together
from churn.models.known import base_of

WHO = ["ana", "bea", "cid", "dee", "eve"]


def made(seed: int) -> dict[str, pa.Table]:
    rng = np.random.default_rng(seed)

    def rows(count: int, *, more: str) -> list[str]:
        found = []
        for _ in range(count):
            day, late = rng.integers(1, 29), rng.choice([0, 0, 0, 1, 2])
            found.append(f"{rng.choice(WHO)} 2024-0{rng.integers(1, 5)}-{day:02d} 2024-0{5 + late}-01 {more}")
        return found

    header = "customer_id time available_at"
    return {
        "transactions": purchases(ana="2024-01-05", cid="2024-02-01 2024-04-09"),
        "contacts": table("contacts", f"{header} is_complaint", *rows(30, more="no")),
        "feedback": table("feedback", f"{header} kind author",
                          *rows(9, more="nps self"), *rows(9, more="csat other"), *rows(9, more="csat -")),
        "visits": table("visits", header, *(row.rstrip() for row in rows(1, more=""))),
    }  # fmt: skip


def base(tables: dict[str, pa.Table]) -> Base:
    return base_of(tables, config=config(tables))


@pytest.mark.parametrize("seed", range(8))
def test_buckets_add_up_to_the_whole(seed: int) -> None:
    tables = made(seed)
    buckets = [
        {
            name: table.filter(pa.array([who in ids for who in table["customer_id"].to_pylist()]))
            for name, table in tables.items()
        }
        for ids in (WHO[:2], WHO[2:3], WHO[3:])
    ]
    whole, added = base(tables), together(base(bucket) for bucket in buckets)
    assert (added.starts, added.ends, added.settled) == (whole.starts, whole.ends, whole.settled)
    assert added.voice_sources == whole.voice_sources == ("contacts", "feedback")
    for at in range(moment("2024-01-01"), moment("2024-08-01"), 86_400_000_000 * 3):
        assert added.covered_at(at) == whole.covered_at(at) == slowly(tables, at)
        assert added.heard_from(at) == whole.heard_from(at)


@pytest.mark.parametrize("seed", range(3))
def test_a_base_up_to_a_moment_knows_nothing_of_what_became_known_later(seed: int) -> None:
    whole = base(made(seed))
    for at in range(moment("2024-01-01"), moment("2024-08-01"), 86_400_000_000 * 5):
        then = whole.upto(at)
        assert then.covered_at(at) == whole.covered_at(at)
        assert then.heard_from(at) == whole.heard_from(at)
        told = {name: first for name, first in whole.covered_at(at).items() if first < at}
        later = moment("2025-01-01")
        assert {name: first for name, first in then.covered_at(later).items() if first < later} == told
        assert then.settled <= max(at, whole.starts)


def slowly(tables: dict[str, pa.Table], at: int) -> dict[str, int]:
    """From when each table has rows that are visible, or the moment itself."""
    found = {}
    for name, rows in tables.items():
        times, known = (rows[column].cast(pa.int64()).to_pylist() for column in ("time", "available_at"))
        visible = [time for time, clock in zip(times, known, strict=True) if time < at and clock <= at]
        found[name] = min(visible, default=at)
    return found


def test_a_base_of_nobody_begins_and_ends_nowhere() -> None:
    nobody = purchases(ana="2024-01-05").slice(0, 0)
    assert (base({"transactions": nobody}).starts, base({"transactions": nobody}).ends) == (0, 0)
