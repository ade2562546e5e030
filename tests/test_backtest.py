"""The backtest: each test learns from what was settled and known by then, and the same data give the same model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from made_histories import config, table
from made_material import Made, company, made, shuffled

from churn.errors import NotEnoughDataError
from churn.models.backtest import SILENCE_BASELINES, Material, learn_by, run_backtest
from churn.models.baselines import BASELINES
from churn.models.boosting import raw_margin
from churn.models.bundle import Bundle, save_bundle
from churn.models.fingerprint import fingerprint
from churn.models.frame import rows as rows_at_cutoffs
from churn.models.known import prepare
from churn.tables.history import DAY
from churn.timeline.cutoffs import closing_of

SETTINGS = {"horizon_days": 28, "train_every_days": 14}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return company(tmp_path_factory.mktemp("made") / "company", customers=300, months=12)


@pytest.fixture(scope="module")
def small(folder: Path) -> Made:
    return made(folder, **SETTINGS)


@pytest.fixture(scope="module")
def predicted(small: Made) -> pd.DataFrame:
    recipes = small.recipes
    families = {
        "operations": [recipe.name for recipe in recipes if recipe.is_operational],
        "feedback": [recipe.name for recipe in recipes if not recipe.is_operational],
    }
    last = small.schedule.tests[-1:]
    return run_backtest(small.material, last, settled=small.material.known.settled, families=families)


def model_id(small: Made, directory: Path) -> str:
    """The id of the bundle as a training would save it, with the fingerprint of the data inside."""
    material = small.material
    factors = learn_by(material, material.known.settled)
    # A column without coverage isn't learnt from: the bundle keeps the recipes of those that are.
    recipes = tuple(recipe for recipe in small.recipes if recipe.name in factors.leave.feature_name())
    margins = raw_margin(factors.leave, material.features)
    bundle = Bundle(
        target=material.target, recipes=recipes, prior=material.prior, factors=factors,
        percentiles=tuple(float(edge) for edge in np.quantile(margins, np.linspace(0, 1, 1001))),
        tables=tuple(sorted(material.known.tables)), training={"data": fingerprint(material.known.tables)},
    )  # fmt: skip
    return save_bundle(bundle, directory, golden=material.features.iloc[::500])[0]


def test_the_same_data_and_seed_give_the_same_model_whatever_the_threads_or_the_order_of_rows(
    small: Made, folder: Path, tmp_path: Path
) -> None:
    one = model_id(small, tmp_path)
    assert model_id(small, tmp_path) == one, "again"
    two_threads = replace(small.material, growing=replace(small.material.growing, threads=2))
    assert model_id(replace(small, material=two_threads), tmp_path) == one, "two threads"
    mixed = made(shuffled(folder, into=tmp_path / "mixed", seed=4), **SETTINGS)
    pd.testing.assert_frame_equal(mixed.material.features, small.material.features, check_exact=True)
    assert model_id(mixed, tmp_path) == one, "rows in another order"
    other_seed = replace(small.material, growing=replace(small.material.growing, seed=8))
    assert model_id(replace(small, material=other_seed), tmp_path) != one


def test_every_eligible_customer_is_predicted_by_every_model(small: Made, predicted: pd.DataFrame) -> None:
    test = small.schedule.tests[-1]
    here = small.material.frame[small.material.frame["at"] == test.at]
    assert predicted["customer"].tolist() == here["customer"].tolist()
    assert set(predicted["at"]) == {test.at}
    names = [*BASELINES, *SILENCE_BASELINES]
    always = ["p_leave", "margin", *(f"p:{name}" for name in names), *(f"rank:{name}" for name in names)]
    assert predicted[always].notna().all(axis=None)
    assert predicted[[name for name in always if name.startswith("p")]].apply(lambda p: p.between(0, 1)).all(axis=None)
    assert predicted[["p:operations", "p:feedback"]].notna().all(axis=None)


def test_p_silent_follows_the_voice_status_in_the_backtest_too(predicted: pd.DataFrame) -> None:
    status = predicted["voice_status"]
    assert (predicted["p_silent"] <= predicted["p_leave"])[status == "quiet"].all()
    assert (predicted["p_silent"] == 0)[status == "already_vocal"].all()
    assert predicted["p_silent"].isna()[status == "unobservable"].all()
    assert {"quiet", "already_vocal"} <= set(status)


def test_training_rows_are_settled_by_the_moment_they_are_asked_for(small: Made) -> None:
    for test in small.schedule.tests:
        rows, cutoffs, frame = small.material.training_rows(test.at)
        assert len(rows.at) == len(frame) == len(rows.features)
        assert set(rows.at) <= {cutoff.at for cutoff in cutoffs}
        assert max(closing_of(cutoff) for cutoff in cutoffs) <= test.at
        assert frame[["customer", "at"]].equals(frame[["customer", "at"]].sort_values(["customer", "at"]))


def with_tables(material: Material, **tables: pa.Table) -> Material:
    """The same material with other tables known; its frame and signals stay, so only outcomes can change."""
    merged = {**material.known.tables, **tables}
    return replace(material, known=prepare(merged, config=config(merged)))


def test_what_became_known_after_the_test_cutoff_teaches_nothing(small: Made) -> None:
    """Every order of the last training window arrives late for one customer: at the test she seems to have left."""
    material, test = small.material, small.schedule.tests[0]
    rows, cutoffs, frame = material.training_rows(test.at)
    window, bought = cutoffs[-1], material.known.tables["transactions"]
    stayed = frame["customer"].to_numpy()[(rows.at == window.at) & ~rows.has_left][0]
    hers = np.asarray(bought["customer_id"]) == material.known.customers[int(stayed)].as_py()
    time = bought["time"].cast(pa.int64()).to_numpy()
    is_late = hers & (time >= window.opens) & (time < window.closes)
    for known_at, has_left in ((test.at, False), (test.at + 1, True)):
        available = np.where(is_late, known_at, bought["available_at"].cast(pa.int64()).to_numpy())
        clock = pa.array(available).cast(bought["available_at"].type)
        late = bought.set_column(bought.column_names.index("available_at"), "available_at", clock)
        told, _, again = with_tables(material, transactions=late).training_rows(test.at)
        is_hers = (again["customer"] == stayed).to_numpy() & (told.at == window.at)
        assert told.has_left[is_hers].tolist() == [has_left]
        is_other = (again["customer"] != stayed).to_numpy()
        assert (told.has_left == rows.has_left)[is_other].all(), "and nobody else changes"


def test_windows_that_are_open_tell_what_was_known_by_then_and_nothing_that_came_after(small: Made) -> None:
    material = small.material
    bought = material.known.tables["transactions"]
    clocks = [bought[name].cast(pa.int64()).to_numpy() for name in ("time", "available_at")]
    for test in small.schedule.tests:
        rows, _, _ = material.training_rows(test.at)
        told = rows.so_far
        assert told is not None
        assert len(told.at) == len(told.came) == len(told.features)
        assert len(told.came_before) == len(rows.at)
        assert set(told.at) == set(told.days), "somebody is eligible at each"
        assert set(told.days.values()) <= {7, 14, 21}
        assert 0.2 < np.isfinite(told.came).mean() < 1
        over = (test.at - told.at) / DAY
        assert (told.came[np.isfinite(told.came)] <= over[np.isfinite(told.came)]).all(), "what comes later is unknown"
        is_visible = (clocks[0] < test.at) & (clocks[1] <= test.at)
        cut = with_tables(material, transactions=bought.filter(pa.array(is_visible))).training_rows(test.at)[0].so_far
        assert cut is not None
        np.testing.assert_array_equal(cut.came, told.came)
        np.testing.assert_array_equal(cut.came_before, told.came_before)


def test_the_level_follows_what_has_come_so_far(small: Made) -> None:
    """Nobody comes in the last three weeks before the test: the level of the windows to come is higher for it."""
    material, test = small.material, small.schedule.tests[0]
    bought = material.known.tables["transactions"]
    is_kept = bought["time"].cast(pa.int64()).to_numpy() < test.at - 21 * DAY
    empty = with_tables(material, transactions=bought.filter(pa.array(is_kept)))
    usual, raised = (learn_by(one, test.at, columns=list(small.material.features)) for one in (material, empty))
    assert raised.levels.forecast(test.at) > usual.levels.forecast(test.at) + 0.1


def test_treated_customers_teach_nothing_on_request(small: Made) -> None:
    """One call: she is left out at every cutoff in whose window it falls, and at those up to a horizon after it."""
    material, test = small.material, small.schedule.tests[0]
    everybody, cutoffs, frame = material.training_rows(test.at)
    code = int(frame["customer"].mode()[0])
    who = material.known.customers[code].as_py()
    called = cutoffs[-4].at + 3 * DAY
    calls = table("treatments", "customer_id time kind", f"{who} 2024-01-01 call")
    clock = pa.array([called]).cast(calls["time"].type)
    calls = calls.set_column(1, "time", clock).set_column(3, "available_at", clock)
    treated = with_tables(material, treatments=calls)
    moments = tuple(sorted({*material.cutoffs, *material.later, *small.schedule.tests}))
    treated = replace(treated, frame=rows_at_cutoffs(treated.known, material.target, moments, prior=material.prior))
    kept, _, _ = treated.training_rows(test.at)
    assert len(kept.at) == len(everybody.at), "unless asked, she stays in"
    left_out, _, rest = replace(treated, leave_out_treated=True).training_rows(test.at)
    gone = set(frame["at"][frame["customer"] == code]) - set(rest["at"][rest["customer"] == code])
    assert gone == {
        at for at in frame["at"][frame["customer"] == code] if called - 28 * DAY < at <= called + 28 * DAY
    }  # fmt: skip
    assert len(gone) >= 3
    assert len(everybody.at) - len(left_out.at) == len(gone), "and nobody else is"
    assert len(left_out.features) == len(left_out.at) == len(rest)
    assert kept.so_far is not None
    assert left_out.so_far is None, "who is treated in the rest of an open window isn't known yet"


def test_nobody_to_test_on_is_named_before_anything_is_learnt(small: Made) -> None:
    frame = small.material.frame
    test = small.schedule.tests[0]
    is_kept = (frame["at"] != test.at).to_numpy()
    empty = replace(small.material, frame=frame[is_kept], features=small.material.features[is_kept])
    with pytest.raises(NotEnoughDataError, match=f"nobody is eligible at the test cutoff {test.label}"):
        run_backtest(empty, small.schedule.tests, settled=small.material.known.settled, families={})


def test_too_few_leavers_before_a_test_are_named(small: Made) -> None:
    few = replace(small.material, cutoffs=small.material.cutoffs[:1])
    with pytest.raises(NotEnoughDataError, match="at least 50 of each are needed"):
        run_backtest(few, small.schedule.tests[-1:], settled=small.material.known.settled, families={})
