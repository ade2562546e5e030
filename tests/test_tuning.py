"""Tuning: earlier time proposes, later time decides, and the usual settings stay unless they are clearly beaten."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_factors import CUTOFFS, GROWING, RECIPES, training_rows
from made_project import Project, command, environment, run

from churn.config import load_config
from churn.delivery.store import store_uri
from churn.errors import ConfigError
from churn.jobs.train import train
from churn.models.boosting import Growing, Settings, parameters
from churn.models.bundle import load_bundle
from churn.models.factors import TrainingRows
from churn.models.tuning import SHARE, SPAN, Tuned, check_tunable, decided, tune
from churn.tables.atomic import CAN_LOCK

pytest.importorskip("optuna", reason="needs the extra `tune`: optuna")
ROWS = 3_000


def tuned(rows: TrainingRows, *, trials: int = 3, growing: Growing = GROWING, **settings: Any) -> Tuned:
    customers = np.arange(len(rows.at)) // len(CUTOFFS)
    return tune(rows, customers=customers, cutoffs=CUTOFFS, grace_days=0, growing=growing, trials=trials, **settings)


def crossed() -> TrainingRows:
    """Rows in which neither signal tells anything without the other: small trees can't say it."""
    rows = training_rows(ROWS)
    spend, visits = (rows.features[recipe.name].to_numpy() for recipe in RECIPES[:2])
    is_odd = (spend > 100) ^ (visits > 3)
    return replace(rows, has_left=np.where(np.random.default_rng(5).random(ROWS) < 0.1, ~is_odd, is_odd))


def without(rows: TrainingRows, days: list[int]) -> TrainingRows:
    """The same rows, with what the cutoffs of these days hold turned into its opposite."""
    is_other = np.isin(rows.at, [cutoff.at for cutoff in CUTOFFS if cutoff.at // 86_400_000_000 in days])
    features = rows.features.copy()
    features.loc[is_other, RECIPES[0].name] *= np.float32(-1)
    return replace(rows, features=features, has_left=rows.has_left ^ is_other)


def run_of(shop: Project, run: str) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=store_uri(load_config(shop.config))).get_run(run)


def test_clearly_better_settings_are_taken_and_told() -> None:
    found = tuned(crossed(), trials=12)
    assert found.decision is not None
    assert found.decision.is_won
    best = min(found.trials, key=lambda trial: trial.log_loss)
    assert found.settings == best.settings != Settings()
    assert "tuned: 12 trials" in found.note
    assert "the best has log loss -0." in found.note
    assert "so it takes their place: " in found.note
    assert not found.to_dict()["is_default"]


def test_on_noise_the_usual_settings_stay() -> None:
    for seed in range(1, 5):
        found = tuned(training_rows(ROWS, seed=seed, effect=0.0), trials=4)
        assert found.settings == Settings(), found.note
        assert "usual settings" in found.note
        assert found.note.endswith("stay")
        assert found.to_dict()["is_default"]


def test_the_usual_settings_are_the_first_trial_and_all_are_inside_their_span() -> None:
    found = tuned(training_rows(ROWS))
    assert [trial.settings == Settings() for trial in found.trials] == [True, False, False]
    for trial in found.trials:
        for name, (low, high) in {**SPAN, **SHARE}.items():
            assert low <= asdict(trial.settings)[name] <= high
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()


def test_the_same_for_one_thread_and_two_and_other_trials_for_another_seed() -> None:
    rows = training_rows(ROWS)
    first = tuned(rows)
    assert tuned(rows, growing=replace(GROWING, threads=2)) == first
    assert tuned(rows, growing=replace(GROWING, settings=Settings(leaves=3.0))) == first, "it begins from the default"
    assert tuned(rows, growing=replace(GROWING, seed=8)).trials[1:] != first.trials[1:]


def test_no_trial_sees_the_time_that_decides_nor_outcomes_that_reach_into_it() -> None:
    """The last fold judges day 110 and learns up to day 80: trials may know those rows, and none that are later."""
    rows = training_rows(ROWS)
    assert tuned(without(rows, [90, 100, 110])).trials == tuned(rows).trials
    assert tuned(without(rows, [80])).trials != tuned(rows).trials
    assert tuned(without(crossed(), [110]), trials=6).decision != tuned(crossed(), trials=6).decision


def test_rows_of_one_customer_count_as_one_draw() -> None:
    rng = np.random.default_rng(3)
    gains = rng.normal(0.1, 1.0, 400)
    alone = decided(gains, np.arange(400))
    assert alone.gain == pytest.approx(gains.mean())
    assert alone.high - alone.gain == pytest.approx(1.96 * gains.std() / 20)
    twice = decided(np.repeat(gains, 4), np.repeat(np.arange(400), 4))
    assert twice.high - twice.low == pytest.approx(alone.high - alone.low), "repeated rows teach nothing new"


def test_a_short_history_is_not_tuned() -> None:
    rows = training_rows(ROWS)
    is_late = rows.at >= CUTOFFS[6].at
    customers = np.flatnonzero(is_late)
    short = tune(rows.keep(is_late), customers=customers, cutoffs=CUTOFFS[6:], grace_days=0, growing=GROWING, trials=3)
    assert short == Tuned(Settings())
    assert short.note.startswith("not tuned: the history")


def test_sizes_are_times_what_the_sample_allows() -> None:
    tuned_ones = replace(GROWING, settings=Settings(leaves=2.0, rows_in_leaf=0.5, learning_rate=2.0))
    for rows in (500, 200_000):
        usual, other = (parameters(rows, rows // 5, growing) for growing in (GROWING, tuned_ones))
        assert other["num_leaves"] == 2 * int(str(usual["num_leaves"]))
        assert other["min_data_in_leaf"] == int(str(usual["min_data_in_leaf"])) // 2
        assert other["learning_rate"] == 2 * float(str(usual["learning_rate"]))


def test_progress_is_told_after_each_trial() -> None:
    told: list[tuple[int, float]] = []
    found = tuned(training_rows(ROWS), told=lambda done, best: told.append((done, best)))
    losses = [trial.log_loss for trial in found.trials]
    assert told == [(1, losses[0]), (2, min(losses[:2])), (3, min(losses))]


def test_without_optuna_a_plain_error_before_any_work(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    told = run(capsys, "train", "--tune", "5", "--config", str(project.config))
    assert told.code == 2
    assert "pip install 'silent-churn[tune]'" in told.err
    assert "reading" not in told.err


def test_one_trial_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--tune 1: give at least 2 trials"):
        check_tunable(1)


def test_a_training_keeps_what_was_tried(project: Project, tmp_path: Path) -> None:
    shop = project.copied(tmp_path / "shop")
    steps: list[str] = []
    told = train(load_config(shop.config), trials=3, progress=steps.append)
    assert len(told["tuning"]["trials"]) == 3
    assert told["tuning"]["note"] in told["notes"]
    assert [step for step in steps if step.startswith("tuning: 3 of 3 trials, log loss 0.")]
    home = Path(told["bundle"])
    assert load_bundle(home)[1].training["tuning"] == told["tuning"]
    assert told["tuning"]["note"] in (home.with_name(f"{home.name}.training") / "report.html").read_text("utf-8")
    tracked = run_of(shop, str(told["run_id"]))
    assert tracked.data.params["tuning.trials"] == "3"
    assert tracked.data.params["tuning.leaves"] == str(told["tuning"]["settings"]["leaves"])
    assert tracked.data.metrics["tuning.log_loss"] == told["tuning"]["trials"][-1]["log_loss"]
    assert told["metrics"]["mbg_nbd"] == project.training.json["metrics"]["mbg_nbd"]
    if told["tuning"]["is_default"]:
        assert told["metrics"] == project.training.json["metrics"]
        assert told["model_id"] != project.bundle.name, "the bundle says that it was tuned"


@pytest.mark.skipif(not CAN_LOCK, reason="signals as on Unix")
def test_interrupted_nothing_is_half_done(project: Project, tmp_path: Path) -> None:
    shop = project.copied(tmp_path / "shop")
    before = sorted(path for path in shop.directory.rglob("*"))
    words = command("train", "--tune", "500", "--config", str(shop.config))
    with subprocess.Popen(
        words, env=environment(), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = ""
        while "tuning: 1 of 500" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        process.send_signal(signal.SIGINT)
        out, rest = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert "interrupted; nothing is half-written" in rest
    assert sorted(path for path in shop.directory.rglob("*")) == before
