"""Lately: the newest rows that are missing are noticed before they look like customers who stay away."""

from __future__ import annotations

import numpy as np
import pytest
from made_histories import config, known_of, purchases

from churn.jobs.lately import thin_end

DAYS = np.arange(np.datetime64("2024-01-01"), np.datetime64("2024-10-01"))


def found(share: float, *, last: int, people: int = 10) -> list[str]:
    """The codes found where only a share of the people come in the last days, each of whom comes every day before."""
    few = round(people * share)
    tables = {
        "transactions": purchases(**{
            f"c{number}": " ".join(map(str, DAYS if number < few else DAYS[:-last])) for number in range(people)
        })
    }  # fmt: skip
    return [issue.code for issue in thin_end(known_of(tables), config(tables))]


@pytest.mark.parametrize(
    ("share", "last", "is_thin"),
    [(1.0, 1, False), (0.8, 7, False), (0.6, 7, True), (0.2, 3, True), (0.6, 21, True), (0.8, 21, False)],
)
def test_a_third_of_the_last_week_or_of_the_last_three_that_is_missing_is_noticed(
    share: float, last: int, is_thin: bool
) -> None:
    assert found(share, last=last) == (["thin_end"] if is_thin else [])


def test_few_rows_are_no_evidence() -> None:
    assert found(0.0, last=2, people=3) == []
