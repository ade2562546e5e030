"""Levels: learnt apart from who leaves, forecast from a year ago and from lately, and no way around for the date."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from churn.models import levels
from churn.models.boosting import Growing, choose_rounds, fit, raw_margin, rolling_folds
from churn.models.factors import TrainingRows, learn, predict
from churn.models.levels import Levels, OpenWindow, enough_rows, fit_levels, level_of, slope_of, starts_of, within
from churn.models.linear import fit_linear, linear_margin
from churn.tables.history import DAY
from churn.timeline.cutoffs import Cutoff, still_open

GROWING = Growing(seed=7, threads=1)
EACH = 400


def rows_of(levels: list[float], *, slope: float = 1.0, seed: int = 1, each: int = EACH, every: int = 30):
    """Margins, who left, and cutoffs of as many rows at each level."""
    rng = np.random.default_rng(seed)
    margin = rng.normal(0, 1, each * len(levels))
    at = np.repeat(np.arange(len(levels)) * every * DAY, each)
    left = rng.random(len(margin)) < expit(np.repeat(levels, each) + slope * margin)
    return margin, left, at


def test_a_level_brings_the_mean_to_the_share() -> None:
    margin = np.random.default_rng(1).normal(-1, 2, 1_000)
    assert expit(margin + level_of(margin, share=0.37)).mean() == pytest.approx(0.37, abs=1e-9)


def test_each_row_starts_at_the_log_odds_of_its_cutoff() -> None:
    starts = starts_of(np.array([True, False, False, False, False, True]), np.array([5, 5, 5, 9, 9, 5]))
    assert starts[[0, 1, 2, 5]] == pytest.approx(logit(2.5 / 5))
    assert starts[[3, 4]] == pytest.approx(logit(0.5 / 3))


def test_within_cutoffs_only_differences_within_cutoffs_are_left() -> None:
    margin, left, at = rows_of([-2.0, 1.0])
    shifted = margin + np.where(at > 0, 3.0, -1.0)
    np.testing.assert_allclose(within(shifted, y=left, at=at), within(margin, y=left, at=at), atol=1e-9)


def test_the_slope_is_that_of_a_regression_with_a_level_for_each_cutoff() -> None:
    margin, left, at = rows_of([-2.0, 0.0, 1.0], slope=1.4)
    dummies = (at[:, None] == np.unique(at)).astype(float)
    oracle = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=10_000).fit(
        np.column_stack([margin, dummies]), left
    )
    slope, error = slope_of(margin, y=left, at=at)
    assert slope == pytest.approx(oracle.coef_[0][0], abs=1e-4)
    assert abs(slope - 1.4) < 3 * error < 0.4


@pytest.mark.parametrize("margin", [np.zeros(200), np.repeat([1.0, -1.0], 100)])
def test_margins_that_differ_by_cutoff_alone_have_no_slope(margin: np.ndarray) -> None:
    slope, error = slope_of(margin, y=np.arange(200) % 3 == 0, at=np.repeat([0, 30 * DAY], 100))
    assert np.isnan(slope)
    assert error == np.inf


def test_enough_rows_are_of_every_cutoff_alike_however_the_rows_lie() -> None:
    at = np.tile(np.arange(30), 1_000)
    chosen = enough_rows(at, most=10_000)
    assert set(np.bincount(at[chosen])) <= {333, 334}
    assert enough_rows(at, most=len(at)).all()


def test_what_was_a_year_ago_comes_again() -> None:
    season = [0.5 * np.sin(2 * np.pi * 30 * month / 365.25) - 1 for month in range(30)]
    margin, left, at = rows_of(season[:24], each=2_000)
    levels = fit_levels(margin, y=left, at=at, window=30)
    told = [levels.forecast(month * 30 * DAY) for month in range(24, 30)]
    assert np.abs(np.subtract(told, season[24:])).max() < 0.15
    assert np.ptp(told) > 0.3


def test_without_a_year_the_forecast_lies_between_lately_and_the_mean() -> None:
    margin, left, at = rows_of([-2.0, -2.0, -1.0, -1.0], each=5_000)
    told = fit_levels(margin, y=left, at=at, window=30).forecast(4 * 30 * DAY)
    assert -1.5 < told < -1.0


def test_few_customers_move_the_forecast_less_than_many() -> None:
    told = []
    for each in (25, 10_000):
        margin, _, at = rows_of([0.0] * 6, each=each)
        left = np.tile(np.arange(each) % 10 < 3, 6)
        left[-each:] = np.arange(each) % 10 < 6
        levels = fit_levels(0 * margin, y=left, at=at, window=30)
        told.append(levels.forecast(int(at[-1])) - levels.forecast(0))
    assert 0 < told[0] < told[1]


def test_far_from_all_that_was_seen_the_forecast_keeps_season_and_the_slope_of_age() -> None:
    margin, left, at = rows_of([-1.0] * 24, each=2_000)
    levels = fit_levels(margin, y=left, at=at, window=30)
    far, doubled, again = (levels.forecast(times * 1461 * DAY) for times in (1_000, 2_000, 4_000))
    assert again - doubled == pytest.approx(doubled - far, abs=1e-4)  # twice the age, the same step
    assert abs(levels.forecast(1461 * DAY) + 1.0) < 0.15


def test_levels_that_rose_as_the_records_aged_are_expected_to_rise_on_but_ever_more_slowly() -> None:
    margin, left, at = rows_of([-1.4 + 0.4 * np.log1p(month / 6) for month in range(30)], each=2_000)
    known = at < 24 * 30 * DAY
    levels = fit_levels(margin[known], y=left[known], at=at[known], window=30)
    assert levels.forecast(29 * 30 * DAY) == pytest.approx(-1.4 + 0.4 * np.log1p(29 / 6), abs=0.08)
    later = [levels.forecast(int((2 + years) * 365.25 * DAY)) for years in (1, 2, 3, 4)]
    steps = np.diff(later)
    assert (steps > 0).all()
    assert (np.diff(steps) < 0).all()
    assert steps.max() < 0.15


WINDOW = 60.0


def comings(rates: np.ndarray, *, each: int = 3_000, every: int = 20, seed: int = 3):
    """Rows of cutoffs `every` days apart, each with a margin and the days until she comes: cutoff, margin, days.

    The rate of coming is that of the day on which the cutoff's window opens, times who she is.
    """
    rng = np.random.default_rng(seed)
    at = np.repeat(np.arange(len(rates)) * every * DAY, each)
    margin = rng.normal(0, 0.7, len(at))
    days = rng.exponential(1 / (np.repeat(rates, each) * np.exp(-margin)))
    return at, margin, days


def nowcast(rates: np.ndarray, *, is_asked: bool, every: int = 20) -> tuple[float, float]:
    """The level forecast for the last cutoff from what is over before it, and open windows where asked; its truth."""
    at, margin, days = comings(rates, every=every)
    now = int(at[-1])
    is_over = at + WINDOW * DAY <= now
    is_absent = days >= WINDOW
    told = {int(moment): int(now - moment) // (7 * DAY) * 7 for moment in np.unique(at[~is_over & (at < now)])}
    asked = [
        OpenWindow(moment, over, margin[at == moment], days[at == moment] > over) for moment, over in told.items()
    ] if is_asked else []  # fmt: skip
    was_absent = {each.days: days[is_over] > each.days for each in asked}
    levels = fit_levels(
        margin[is_over], y=is_absent[is_over], at=at[is_over], window=WINDOW, still_open=asked,
        was_absent=was_absent,
    )  # fmt: skip
    last = at == now
    return levels.forecast(now), level_of(margin[last], share=float(is_absent[last].mean()))


def test_fewer_who_came_so_far_of_open_windows_raise_the_level_before_any_is_over() -> None:
    """After eight months of one rate, in the last fifty days customers come a third less often."""
    rates = np.full(12, 1 / 30)
    rates[-3:] *= 2 / 3
    (blind, truth), (told, _) = (nowcast(rates, is_asked=is_asked) for is_asked in (False, True))
    assert truth - blind > 0.5
    assert 0.2 * (truth - blind) < told - blind < truth - blind


def test_open_windows_in_which_nothing_is_new_move_no_level() -> None:
    (blind, truth), (told, _) = (nowcast(np.full(30, 1 / 30), is_asked=is_asked) for is_asked in (False, True))
    assert told == pytest.approx(blind, abs=0.06)
    assert told == pytest.approx(truth, abs=0.1)


def test_a_window_s_first_days_that_are_always_empty_say_nothing() -> None:
    """Where nobody ever comes so soon, that nobody has tells nothing of who will."""
    margin, left, at = rows_of([-1.0] * 6, each=2_000)
    nobody_came = np.ones(len(margin), bool)
    open_one = OpenWindow(6 * 30 * DAY, 14, margin[:500], nobody_came[:500])
    asked = fit_levels(margin, y=left, at=at, window=30, still_open=[open_one], was_absent={14: nobody_came})
    alone = fit_levels(margin, y=left, at=at, window=30)
    assert asked.forecast(7 * 30 * DAY) == pytest.approx(alone.forecast(7 * 30 * DAY), abs=0.15)


def test_of_very_many_cutoffs_some_are_enough_to_hold_open_windows_against(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five hundred windows that are over; the first days of a hundred of them say as much as those of all."""
    at, margin, days = comings(np.full(530, 1 / 30), each=200, every=2)
    now = int(at[-1])
    is_over = at + WINDOW * DAY <= now
    asked = [OpenWindow(now - 28 * DAY, 28, margin[-200:], days[-200:] > 28)]
    told = []
    for most in (levels.MOST_HELD, 1_000):
        monkeypatch.setattr(levels, "MOST_HELD", most)
        found = fit_levels(
            margin[is_over], y=days[is_over] >= WINDOW, at=at[is_over], window=WINDOW, still_open=asked,
            was_absent={28: days[is_over] > 28},
        )  # fmt: skip
        told.append((len(found.at), found.forecast(now)))
    (few, of_few), (many, of_many) = told
    assert (few, many) == (500 + 100 + 1, 500 + 500 + 1)
    assert of_few == pytest.approx(of_many, abs=0.05)


def test_young_records_are_expected_to_age_and_old_ones_that_did_not_are_not() -> None:
    """Four months at one level say nothing of age, so the rise that is usual is foretold; two years do."""
    rises = []
    for months in (4, 24):
        margin, left, at = rows_of([-1.0] * months, each=2_000)
        levels = fit_levels(margin, y=left, at=at, window=30)
        rises.append(levels.forecast(int(at[-1]) + 180 * DAY) - levels.forecast(int(at[-1])))
    assert 0.05 < rises[0] < 0.2
    assert abs(rises[1]) < 0.03


def test_whatever_weekday_is_today_open_windows_tell_the_same() -> None:
    """Everybody comes on Saturdays: nine days hold one or two of them, a week always one."""
    told = []
    for today in range(300, 307):
        at = np.repeat(np.arange(0, today + 1, 3), 1_000)
        days = 6.5 - at % 7 + 7 * (np.random.default_rng(4).geometric(0.3, len(at)) - 1)
        margin, is_over = np.zeros(len(at)), at + 28 <= today
        over = still_open([Cutoff(int(moment) * DAY, 0, 28) for moment in np.unique(at)], today * DAY)
        asked = [
            OpenWindow(each.at, count, margin[at * DAY == each.at], days[at * DAY == each.at] > count)
            for each, count in over.items()
        ]
        levels = fit_levels(
            margin[is_over], y=days[is_over] >= 28, at=at[is_over] * DAY, window=28, still_open=asked,
            was_absent={count: days[is_over] > count for count in sorted(set(over.values()))},
        )  # fmt: skip
        told.append(levels.forecast(today * DAY))
    assert np.ptp(told) < 0.15


def test_a_slope_of_age_is_no_way_around_a_season() -> None:
    """Half a year that falls is a season rather than a base that gets ever better with age."""
    margin, left, at = rows_of([-0.5, -0.7, -0.9, -1.1, -1.3, -1.5], each=2_000)
    levels = fit_levels(margin, y=left, at=at, window=30)
    assert levels.forecast(12 * 30 * DAY) > -1.3


def test_the_order_of_rows_changes_nothing_that_matters() -> None:
    margin, left, at = rows_of([-1.0, 0.0, 0.5])
    turned = np.random.default_rng(2).permutation(len(margin))
    one, other = (
        fit_levels(margin, y=left, at=at, window=30),
        fit_levels(margin[turned], y=left[turned], at=at[turned], window=30),
    )
    assert one.at == other.at
    assert other.weight == pytest.approx(one.weight, abs=1e-9)


@pytest.mark.parametrize(
    ("at", "days", "weight"), [((1,), (30.0,), ()), ((1,), (), (0.0,)), ((1,), (30.0,), (np.nan,))]
)
def test_levels_that_are_none_are_refused(
    at: tuple[int, ...], days: tuple[float, ...], weight: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match="one finite weight and length for each window"):
        Levels(0.0, 30.0, at, days, weight)


def dated_rows(levels: list[float], *, every: int = 30) -> tuple[TrainingRows, list[Cutoff]]:
    """Rows with a signal that tells who leaves and one that tells the date alone."""
    margin, left, at = rows_of(levels, every=every)
    features = pd.DataFrame({"risk": margin, "date": at / DAY}).astype(np.float32)
    nobody = np.zeros(len(at), bool)
    return TrainingRows(features, at, left, nobody, nobody), [Cutoff(int(each), 0, every) for each in np.unique(at)]


def test_trees_and_lines_that_learn_within_cutoffs_take_nothing_from_the_date() -> None:
    rows, _ = dated_rows([-2.5, -1.0, 0.5, 2.0])
    same = pd.DataFrame({"risk": np.zeros(4), "date": np.unique(rows.at) / DAY}).astype(np.float32)

    def spreads(at: np.ndarray | None) -> list[float]:
        trees = fit(rows.features, y=rows.has_left, rounds=60, growing=GROWING, at=at)
        line = fit_linear(rows.features, y=rows.has_left, weight=0.25, at=at)
        return [float(np.ptp(margin)) for margin in (raw_margin(trees, same), linear_margin(same, line))]

    free, bound = spreads(None), spreads(rows.at)
    assert min(free) > 1.0
    assert max(bound) < 0.3


def test_a_level_that_changes_does_not_stop_boosting_early() -> None:
    rows, cutoffs = dated_rows([-1.5, -1.5, -1.5, -1.5, 1.5])
    folds = rolling_folds(cutoffs, count=1)
    features = rows.features[["risk"]]
    rounds = [
        choose_rounds(features, y=rows.has_left, at=rows.at, folds=folds, growing=GROWING, is_within=is_within).count
        for is_within in (False, True)
    ]
    assert rounds[1] > 2 * rounds[0]


def test_probabilities_follow_the_season_that_will_be() -> None:
    season = [0.5 * np.sin(2 * np.pi * 30 * month / 365.25) - 1 for month in range(30)]
    rows, cutoffs = dated_rows(season[:24])
    rows = TrainingRows(rows.features[["risk"]], rows.at, rows.has_left, rows.is_quiet, rows.has_spoken)
    factors = learn(rows, cutoffs=cutoffs, grace_days=0, can_hear=False, growing=GROWING)
    later, left, at = rows_of(season, seed=5, each=2_000)
    told = predict(
        factors, pd.DataFrame({"risk": later.astype(np.float32)}), voice_status=np.full(len(at), "quiet"), at=at
    )["p_leave"].to_numpy()
    for moment in np.unique(at)[-5:]:
        assert told[at == moment].mean() == pytest.approx(left[at == moment].mean(), abs=0.08)


def test_levels_that_move_as_expected_are_off_by_as_much_as_their_error_tells() -> None:
    """Levels drawn from the process itself; two years are learnt from, and the next window is foretold."""
    rng, every, known = np.random.default_rng(5), 30, 24
    windows = levels._Windows(np.arange(known + 3) * every * DAY, np.full(known + 3, 30.0))
    spread = levels._likeness(windows, windows, first=0) + levels.NOISE**2 * np.eye(known + 3)
    paths = rng.multivariate_normal(levels.AGEING * levels._aged(windows.at, first=0) - 1.0, spread, size=150)
    off = []
    for number, path in enumerate(paths):
        margin, left, at = rows_of(path[:known].tolist(), seed=number)
        told = fit_levels(margin, y=left, at=at, window=30)
        soon, later = (int(windows.at[place]) for place in (known, known + 2))
        assert told.error(later) > told.error(soon) > levels.NOISE
        off.append((path[known] - told.forecast(soon)) / told.error(soon))
    assert np.std(off) == pytest.approx(1.0, abs=0.15)
    assert np.mean(np.abs(off) < 1.96) > 0.9
