"""Cutoffs: half-open windows, the last valid one named, and no training outcome that reaches into a test."""

from __future__ import annotations

import datetime as dt
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_histories import cutoff, moment

from churn.errors import CutoffError
from churn.tables.history import DAY
from churn.timeline.cutoffs import (
    Cutoff,
    checked_tests,
    closing_of,
    later_cutoffs,
    microseconds,
    proposed_tests,
    purged,
    still_open,
    training_cutoffs,
)


def test_the_window_opens_after_the_gap_and_closes_after_the_horizon() -> None:
    of_march = cutoff("2024-03-01", gap=7, horizon=28)
    assert of_march.opens == moment("2024-03-08")
    assert of_march.closes == moment("2024-04-05")
    assert closing_of(of_march, grace_days=30) == moment("2024-05-05")


@pytest.mark.parametrize(
    ("at", "label"), [("2024-03-01", "2024-03-01"), ("2024-03-01T22:00", "2024-03-01T22:00Z")]
)  # fmt: skip
def test_the_label_is_a_date_unless_the_cutoff_is_not_midnight(at: str, label: str) -> None:
    assert cutoff(at).label == label


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        (dt.date(2024, 1, 15), "2024-01-14T23:00"),  # winter in Berlin
        (dt.date(2024, 7, 15), "2024-07-14T22:00"),  # summer
        (dt.datetime(2024, 7, 15, 12, 0), "2024-07-15T10:00"),
        (dt.datetime(2024, 7, 15, 12, 0, tzinfo=dt.UTC), "2024-07-15T12:00"),
    ],
)
def test_plain_dates_are_local_midnights_and_offsets_are_kept(local: dt.date, utc: str) -> None:
    assert microseconds(local, "Europe/Berlin") == moment(utc)


def test_a_window_may_close_exactly_where_the_data_end() -> None:
    last = cutoff("2024-03-01", horizon=31)
    assert checked_tests([last], data_ends=moment("2024-04-01")) == (last,)


def test_a_window_past_the_data_is_refused_and_the_last_valid_cutoff_named() -> None:
    tests = [cutoff("2024-03-02", horizon=31), cutoff("2024-02-01", horizon=31)]
    with pytest.raises(
        CutoffError, match=r"window of 2024-03-02 ends after .*2024-04-01.* last valid cutoff is 2024-03-01"
    ):
        checked_tests(tests, data_ends=moment("2024-04-01T15:30"))
    with pytest.raises(CutoffError, match="last valid cutoff is 2024-01-31"):
        checked_tests(tests, data_ends=moment("2024-04-01T15:30"), grace_days=30)


@given(
    at=st.integers(19_000, 20_000).map(lambda day: day * DAY + 5 * 3_600_000_000),
    short=st.integers(1, 100 * DAY),
    gap=st.integers(0, 10),
    grace=st.sampled_from([0, 30]),
)
def test_the_cutoff_named_as_last_is_valid_and_the_day_after_is_not(at: int, short: int, gap: int, grace: int) -> None:
    refused = Cutoff(at, gap, 28)  # midnight in New York: naming its date in UTC would name one that is refused too
    ends = closing_of(refused, grace_days=grace) - short
    with pytest.raises(CutoffError, match="last valid cutoff is ") as error:
        checked_tests([refused], data_ends=ends, grace_days=grace)
    named = re.search(r"last valid cutoff is ([\d-]+T05:00)Z", str(error.value))
    assert named is not None
    last = Cutoff(moment(named[1]), gap, 28)
    assert checked_tests([last], data_ends=ends, grace_days=grace) == (last,)
    with pytest.raises(CutoffError, match="last valid"):
        checked_tests([last.moved(1)], data_ends=ends, grace_days=grace)


def test_proposed_tests_are_the_last_complete_midnights_a_third_of_a_horizon_apart() -> None:
    tests = proposed_tests(data_ends=moment("2024-06-30T18:00"), gap_days=2, horizon_days=30)
    assert [test.label for test in tests] == ["2024-05-09", "2024-05-19", "2024-05-29"]
    assert checked_tests(tests, data_ends=moment("2024-06-30T18:00")) == tests


@st.composite
def schedules(draw: st.DrawFn) -> tuple[int, int, list[Cutoff], tuple[Cutoff, ...], int]:
    """(starts, settled, tests, training cutoffs, grace) of any schedule, roomy or far too short."""
    horizon, gap = draw(st.integers(1, 120)), draw(st.integers(0, 30))
    grace, step = draw(st.sampled_from([0, 30])), draw(st.integers(1, 150))
    starts = draw(st.integers(0, 100 * DAY))
    first = Cutoff(starts + draw(st.integers(-50 * DAY, 900 * DAY)), gap, horizon)
    tests = [first, *(first.moved(days) for days in draw(st.lists(st.integers(1, 200), max_size=3)))]
    settled = max(closing_of(test, grace_days=grace) for test in tests) + draw(st.integers(0, 40 * DAY))
    train = training_cutoffs(first, starts=starts, settled=settled, every_days=step, grace_days=grace)
    return starts, settled, tests, train, grace


@given(schedules())
def test_no_training_outcome_reaches_into_its_test(
    schedule: tuple[int, int, list[Cutoff], tuple[Cutoff, ...], int],
) -> None:
    starts, settled, tests, train, grace = schedule
    assert list(train) == sorted(set(train))
    for learnt in train:
        assert learnt.at >= starts
        assert closing_of(learnt, grace_days=grace) <= settled
    for test in tests:
        for learnt in purged(train, test, grace_days=grace):
            assert learnt.closes + grace * DAY <= test.at, "window and grace close by the test"
        for refused in set(train) - set(purged(train, test, grace_days=grace)):
            assert closing_of(refused, grace_days=grace) > test.at, "and nothing that does is thrown away"


def test_one_training_window_closes_exactly_at_the_first_test() -> None:
    test = cutoff("2024-06-01", horizon=28, gap=3)
    train = training_cutoffs(test, starts=moment("2024-01-01"), settled=moment("2024-07-10"), every_days=7)
    assert purged(train, test)[-1].closes == test.at
    assert len(train) > len(purged(train, test)), "those after it are there for the later tests and the final model"


def test_without_room_there_are_no_training_cutoffs() -> None:
    test = cutoff("2024-06-01", horizon=28)
    assert training_cutoffs(test, starts=moment("2024-05-25"), settled=moment("2024-06-20"), every_days=7) == ()


def test_a_window_is_still_open_from_a_third_of_it_until_it_closes_and_tells_of_whole_weeks() -> None:
    one = cutoff("2024-03-01", gap=7, horizon=30)
    third, closes = moment("2024-03-18"), moment("2024-04-07")
    told = [still_open([one], at).get(one) for at in (third - 1, third, third + 4 * DAY, closes - 1, closes)]
    assert told == [None, 7, 14, 28, None]
    short = cutoff("2024-03-01", horizon=8)
    assert [still_open([short], moment(day)).get(short) for day in ("2024-03-07", "2024-03-08")] == [None, 7]


@given(
    every=st.integers(1, 40), horizon=st.integers(3, 60), gap=st.integers(0, 40), room=st.integers(0, 400),
)  # fmt: skip
def test_later_cutoffs_go_on_where_the_training_ends_until_too_little_of_a_window_is_over(
    every: int, horizon: int, gap: int, room: int
) -> None:
    first = Cutoff((400 + gap) * DAY, gap, horizon)
    settled = first.at + (gap + horizon + room) * DAY
    train = training_cutoffs(first, starts=0, settled=settled, every_days=every)
    later = later_cutoffs(train, settled=settled, every_days=every)
    assert not still_open(train, settled)
    assert later == tuple(still_open(later, settled))
    if later:
        assert still_open([train[-1].moved(every)], settled)
        assert later[0] == train[-1].moved(every)
    both = [*train, *later]
    assert all(after.at - before.at == every * DAY for before, after in pairwise(both))
    if train:
        beyond = (later or train)[-1].moved(every)
        assert not still_open([beyond], settled)


def test_without_a_training_cutoff_there_is_none_later() -> None:
    assert later_cutoffs((), settled=moment("2024-01-01"), every_days=7) == ()
