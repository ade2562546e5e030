"""The walk back on a handful of rows whose answers can be read off by eye."""

from __future__ import annotations

import numpy as np
import pytest

from churn.signals.edges import WHOLE, counted_edges, edges_of, first_known, is_shared, marks_of
from churn.signals.kernel import NOTHING, Op, running_total, walk_back
from churn.signals.stretches import _LONGEST, fold_stretches
from churn.tables.history import DAY, NEVER, Int64, moments_of
from churn.tables.orders import MISSING

STARTS = np.array([0, 5, 5, 7], np.int64)
TIME = np.array([10, 20, 20, 30, 40, 15, 35], np.int64)
KNOWN = np.array([10, 20, 33, 30, 40, 15, 90], np.int64)
VALUES = np.array([[4, 0], [MISSING, 1], [7, 0], [-2, 0], [5, 2], [9, 0], [1, 0]], np.int64)
OPS = [op for op in Op if op > Op.TOTAL_DAYS]
CLOCKS = np.array([[11, NEVER], [25, 45], [NEVER, 50], [30, 35], [NEVER, NEVER], [0, 0], [0, 0]], np.int64)


def walk(op: Op, *, customer: Int64, at: Int64, windows: Int64, value: int = -1, begins: int = -1, ends: int = -1,
         known: Int64 = KNOWN) -> Int64:  # fmt: skip
    """What one accumulator holds at the edges of windows, shape (windows, rows)."""
    numbers = VALUES[:, value].copy() if value >= 0 else NOTHING
    opens, closes = (CLOCKS[:, clock].copy() if clock >= 0 else NOTHING for clock in (begins, ends))
    edges = edges_of(STARTS, TIME, customer, at, windows)
    return walk_back(op, edges, np.arange(len(windows)), at, TIME, known, numbers, opens, closes, 3)


def read(
    op: Op, *, value: int = -1, begins: int = -1, ends: int = -1, customer: int = 0, at: int = 45, window: int = WHOLE
) -> int:
    """What one accumulator holds at the edge of one window."""
    who, when, windows = (np.array([number]) for number in (customer, at, window))
    return int(walk(op, customer=who, at=when, windows=windows, value=value, begins=begins, ends=ends)[0, 0])


@pytest.mark.parametrize(
    ("op", "expected"),
    [(Op.COUNT, 4), (Op.SUM, 14), (Op.MAX, 7), (Op.MIN, -2), (Op.LAST, 5), (Op.LAST_TIME, 40), (Op.FIRST_TIME, 10)],
)
def test_nulls_do_not_count(op: Op, expected: int) -> None:
    assert read(op, value=0) == expected


@pytest.mark.parametrize(("at", "expected"), [(10, 0), (11, 1), (20, 1), (21, 2), (33, 4), (40, 4), (41, 5)])
def test_a_row_counts_after_its_time_and_from_when_it_is_known(at: int, expected: int) -> None:
    assert read(Op.COUNT, at=at) == expected


@pytest.mark.parametrize(("window", "expected"), [(0, 0), (4, 0), (5, 1), (15, 2), (25, 4), (35, 5), (WHOLE, 5)])
def test_a_window_holds_its_first_microsecond(window: int, expected: int) -> None:
    assert read(Op.COUNT, window=window) == expected


@pytest.mark.parametrize(("at", "expected"), [(24, 1), (25, 2), (44, 3), (45, 3), (50, 3)])
def test_a_value_counts_from_its_own_clock(at: int, expected: int) -> None:
    assert read(Op.COUNT, begins=0, at=at) == expected


@pytest.mark.parametrize(("at", "expected"), [(34, 4), (35, 3), (45, 3), (50, 2)])
def test_a_value_ceases_to_count_at_its_own_clock(at: int, expected: int) -> None:
    assert read(Op.COUNT, ends=1, at=at) == expected


def test_nothing_is_missing_or_zero() -> None:
    for op in OPS:
        value = -1 if op in (Op.COUNT, Op.STREAK, Op.LAST_TIME, Op.FIRST_TIME) else 0
        for nobody in (1, -1):
            empty = Op.MAX <= op <= Op.FIRST_TIME or op in (Op.GAP_LAST, Op.GAP_MAX)
            assert read(op, value=value, customer=nobody) == (MISSING if empty else 0)


@pytest.mark.parametrize(
    ("op", "expected"),
    [(Op.DAYS, 3), (Op.GAP_SUM, 30), (Op.GAP_SQUARES, 500), (Op.GAP_LAST, 20), (Op.GAP_MAX, 20)],
)
def test_gaps_lie_between_visible_days_only(op: Op, expected: int) -> None:
    """Seen at 45 from days 1, 1, 11, 31: a row of day 21 that is known at 50 takes no part."""
    time, known, days = np.array([1, 2, 11, 21, 31]), np.array([1, 2, 11, 50, 31]), np.array([1, 1, 11, 21, 31])
    at = np.array([45])
    edges = edges_of(np.array([0, 5]), time, np.array([0]), at, np.array([WHOLE]))
    found = walk_back(op, edges, np.array([0]), at, time, known, days, NOTHING, NOTHING, 0)
    assert found[0, 0] == expected


@pytest.mark.parametrize(("op", "expected"), [(Op.DISTINCT, 3), (Op.MOST, 3), (Op.ONCE, 2)])
def test_codes_are_counted_apart(op: Op, expected: int) -> None:
    assert read(op, value=1) == expected


def test_a_code_seen_once_is_taken_back_when_seen_again() -> None:
    assert read(Op.ONCE, value=1, window=5) == 1
    assert read(Op.ONCE, value=1, begins=0) == 1  # code 1 alone has begun to count; code 2 never does


def test_a_streak_ends_with_the_first_row_that_does_not_count() -> None:
    assert read(Op.STREAK, ends=1) == 1
    assert read(Op.STREAK, ends=1, at=34) == 4
    assert read(Op.STREAK, ends=1, at=55) == 1


def test_scratch_pads_do_not_mix_rows_or_customers() -> None:
    rows = 1_500
    customer, at, windows = np.resize(np.array([0, 2, 1, -1]), rows), np.full(rows, 45), np.array([5, WHOLE])
    distinct = walk(Op.DISTINCT, customer=customer, at=at, windows=windows, value=1)
    np.testing.assert_array_equal(distinct, np.array([[1, 0, 0, 0], [3, 1, 0, 0]])[:, np.arange(rows) % 4])
    most = walk(Op.MOST, customer=customer, at=at, windows=windows, value=1)
    np.testing.assert_array_equal(most[1], np.resize(np.array([3, 1, 0, 0]), rows))


@pytest.mark.parametrize("op", OPS)
def test_rows_that_are_known_at_once_are_counted_as_if_it_were_told(op: Op) -> None:
    """The loops that ask for no clock give what those that ask give."""
    value = -1 if op in (Op.COUNT, Op.STREAK, Op.LAST_TIME, Op.FIRST_TIME) else 1
    asked = {"customer": np.array([0, 1, 2]), "at": np.array([45, 45, 45]), "windows": np.array([5, 15, WHOLE])}
    plain = walk(op, value=value, known=NOTHING, **asked)  # type: ignore[arg-type]
    np.testing.assert_array_equal(plain, walk(op, value=value, known=TIME, **asked))  # type: ignore[arg-type]


def test_first_known_is_the_earliest_report_inside_the_half_open_window() -> None:
    def ask(opens: int, length: int, customer: int = 0) -> Int64:
        return first_known(np.array([customer]), np.array([opens]), length, STARTS, TIME, KNOWN)

    assert ask(20, 10).tolist() == [20]
    assert ask(21, 9).tolist() == [NEVER]
    assert ask(21, 10).tolist() == [30]
    assert ask(0, 100, customer=1).tolist() == [NEVER]
    assert ask(30, 10, customer=2).tolist() == [90]


def test_running_totals_give_what_a_walk_gives() -> None:
    rng = np.random.default_rng(4)
    starts, time = np.array([0, 40, 40, 100]), np.concatenate([np.sort(rng.integers(0, 90, n)) for n in (40, 60)])
    numbers = np.where(rng.random(100) < 0.2, MISSING, rng.integers(-5, 9, 100))
    customer, at, windows = rng.integers(-1, 3, 200), rng.integers(0, 100, 200), np.array([3, 20, WHOLE])
    edges, all_windows = edges_of(starts, time, customer, at, windows), np.arange(3)
    for op, total, values in [
        (Op.SUM, Op.TOTAL, numbers),
        (Op.COUNT, Op.TOTAL, numbers),
        (Op.DAYS, Op.TOTAL_DAYS, time // 7),
    ]:
        walked = walk_back(op, edges, all_windows, at, time, NOTHING, values, NOTHING, NOTHING, 0)
        totals = running_total(op, values)
        np.testing.assert_array_equal(
            walk_back(total, edges, all_windows, at, time, NOTHING, totals, NOTHING, NOTHING, 0), walked
        )


def test_edges_found_step_by_step_are_those_found_alone() -> None:
    rng = np.random.default_rng(6)
    starts, time = np.array([0, 50, 50, 80]), np.concatenate([np.sort(rng.integers(0, 90, n)) for n in (50, 30)])
    customer, windows = np.sort(rng.integers(-1, 3, 300)), np.array([0, 3, 20, WHOLE])
    at = rng.integers(-5, 100, 300)
    at[::3] = np.sort(at[::3])
    together = edges_of(starts, time, customer, at, windows)
    for i in range(300):
        alone = edges_of(starts, time, customer[i : i + 1], at[i : i + 1], windows)
        np.testing.assert_array_equal(together[:, i], alone[:, 0])


@pytest.mark.parametrize("seed", range(5))
def test_edges_counted_are_those_searched_for(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = [0, 60, 1, 200]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    cutoffs = np.sort(rng.choice(np.arange(300, 500), 7, replace=False)) * DAY + rng.integers(0, 3) * DAY // 3
    windows = np.array([0, 1, 7, 30, 90, 365]) * DAY
    windows = np.append(windows, WHOLE)
    # Moments on the very marks, a microsecond beside them, and long before and after all of them.
    marks = (cutoffs[:, None] - windows[:-1]).ravel()
    odd = np.concatenate([marks, marks - 1, marks + 1, [-(2**50), 0, 900 * DAY]])
    time = np.concatenate([np.sort(rng.choice(odd, size)) for size in sizes])
    customer = np.repeat([-1, 0, 1, 2, 3], 7)
    at = np.tile(cutoffs, 5)
    given, which = moments_of(at)
    found = marks_of(given, windows)
    assert found is not None
    assert is_shared(customer, given)
    counted = counted_edges(starts, time, customer, which, *found)
    np.testing.assert_array_equal(counted, edges_of(starts, time, customer, at, windows))


def test_edges_are_searched_for_where_counting_would_not_pay() -> None:
    windows = np.array([7 * DAY, WHOLE])
    assert marks_of(np.arange(3000) * DAY, windows) is None  # too many marks
    assert marks_of(np.array([0, 10**6 * DAY]), windows) is None  # too many days
    assert marks_of(np.array([], np.int64), windows) is None
    assert not is_shared(np.arange(100), np.array([1, 2, 3]))  # a row each
    assert not is_shared(np.zeros(100, np.int64), np.array([1]))  # one cutoff
    assert not is_shared(np.array([], np.int64), np.array([], np.int64))


@pytest.mark.parametrize("is_bits", [False, True])
def test_stretches_of_any_length_hold_what_their_rows_do(is_bits: bool) -> None:
    rng = np.random.default_rng(8)
    numbers = rng.integers(0, 64, 400) if not is_bits else np.int64(1) << rng.integers(0, 64, 400)
    numbers[rng.random(400) < 0.1] = 0 if is_bits else MISSING
    edges = -np.sort(-rng.integers(0, 401, (4, 300)), axis=0)
    edges[:, :3] = [[400, 0, 7], [400, 0, 7], [0, 0, 7], [0, 0, 7]]
    assert (edges[0] - edges[1] > 2 * _LONGEST).any()
    windows, nothing = np.array([0, 2]), 0 if is_bits else MISSING
    out = np.empty((2, 300), np.int64)
    fold_stretches(is_bits, nothing, edges, windows, numbers, out)
    fold = np.bitwise_or if is_bits else np.maximum
    for window, last in enumerate(windows + 1):
        expected = [fold.reduce(numbers[edges[last, i] : edges[0, i]], initial=nothing) for i in range(300)]
        np.testing.assert_array_equal(out[window], expected)
    few = np.empty((2, 3), np.int64)  # so few that the rows are looped over
    fold_stretches(is_bits, nothing, edges[:, :3].copy(), windows, numbers, few)
    np.testing.assert_array_equal(few, out[:, :3])
    fold_stretches(is_bits, nothing, np.zeros((4, 3), np.int64), windows, numbers, few)
    assert (few == nothing).all()


def test_moments_are_distinct_and_rise() -> None:
    moments, place = moments_of(np.array([30, 10, 30, -5]))
    assert moments.tolist() == [-5, 10, 30]
    assert place.tolist() == [2, 1, 2, 0]
