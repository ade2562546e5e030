"""The advice: figures for every horizon and gap that can be counted by hand, nothing of the test period in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_project import Project

from churn.config import Config, load_config
from churn.jobs.advice import gap_advice, horizon_advice, outlook
from churn.jobs.schedule import schedule_of
from churn.models.known import Known, prepare
from churn.models.target import Target
from churn.tables.history import DAY
from churn.tables.sources import read_tables
from churn.tables.upto import upto
from churn.timeline.cutoffs import microseconds
from churn.timeline.horizon import learning_ends

Parts = tuple[Config, Known, Target]


@pytest.fixture(scope="module")
def parts(project: Project) -> Parts:
    config = load_config(project.config)
    known = prepare(read_tables(config)[0], config=config)
    return config, known, schedule_of(config, known).target


def test_leavers_among_the_first_are_more_than_at_random_and_fit_into_the_list(parts: Parts) -> None:
    told = outlook(*parts)
    assert told is not None
    assert 0 < told["leavers"] < told["customers"]
    assert told["leave_rate"] == told["leavers"] / told["customers"]
    assert told["leavers_at_random"] < told["leavers_called"] <= min(told["called"], told["leavers"])
    assert told["auroc"] > 0.55


def test_a_gap_leaves_time_in_which_some_leavers_still_come(parts: Parts) -> None:
    noticed, foretold = gap_advice(*parts)
    assert (noticed["gap_days"], foretold["gap_days"]) == (0, 30)
    assert noticed["still_came"] == 0
    assert 0 < foretold["still_came"] < 1


def test_a_longer_wait_makes_fewer_leavers(parts: Parts) -> None:
    config, known, target = parts
    told = horizon_advice(config, known, target, [14, 60, 3_650])
    assert list(told) == [14, 60]
    assert told[14]["leave_rate"] > told[60]["leave_rate"]


def test_what_comes_after_the_moment_up_to_which_one_learns_changes_nothing(parts: Parts) -> None:
    config, known, target = parts
    ends = learning_ends(starts=known.starts, settled=known.settled)
    past = prepare(upto(known.tables, ends), config=config, base=known.base)
    before, after = outlook(config, past, target), outlook(config, known, target)
    assert before is not None
    assert after is not None
    assert before == after
    assert microseconds(np.datetime64(before["cutoff"]).item(), "UTC") + target.span_days * DAY <= ends


def test_without_a_contact_budget_a_tenth_is_called(parts: Parts) -> None:
    config, known, target = parts
    no_budget = config.model_copy(update={"contact": config.contact.model_copy(update={"budget": None})})
    told = outlook(no_budget, known, target)
    assert told is not None
    assert told["called"] == round(told["customers"] / 10)


def test_nobody_to_advise_about_is_no_advice(parts: Parts) -> None:
    config, known, target = parts
    assert outlook(config, known, replace(target, horizon_days=3_650)) is None
