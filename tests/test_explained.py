"""Whose scores come with reasons: whom one will call, unless asked otherwise; the same reasons as if all had them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from made_project import Project, run

from churn.config import Config, load_config
from churn.delivery.files import read_scores
from churn.errors import ConfigError
from churn.jobs.explained import Explained, by_the_budget, explained_from
from churn.jobs.score import score
from churn.jobs.scoring import REASONS

FIGURES = ["customer_id", "p_leave", "p_silent", "value_at_risk", "band"]


@pytest.fixture(scope="module")
def config(project: Project) -> Config:
    return load_config(project.config)


@pytest.fixture(scope="module")
def everybody(config: Config) -> pd.DataFrame:
    """The scores of everybody with everybody's reasons."""
    scores = score(config, explained=Explained("all")).scores
    assert scores is not None
    return scores


def in_buckets(config: Config, count: int) -> Config:
    return config.model_copy(update={"engine": config.engine.model_copy(update={"buckets": count})})


@pytest.mark.parametrize("buckets", [1, 4])
def test_the_top_are_those_with_the_highest_value_at_risk_and_have_the_reasons_that_all_would_give_them(
    buckets: int, config: Config, everybody: pd.DataFrame
) -> None:
    found = score(in_buckets(config, buckets), explained=Explained("top", count=40)).scores
    assert found is not None
    pd.testing.assert_frame_equal(found[FIGURES], everybody[FIGURES], check_exact=True)
    by = ["value_at_risk", "p_leave", "customer_id"]
    best = everybody[everybody["status"] == "scored"].sort_values(by, ascending=[False, False, True]).head(40)
    is_top = everybody["customer_id"].isin(best["customer_id"])
    columns = list(REASONS)
    pd.testing.assert_frame_equal(found.loc[is_top, columns], everybody.loc[is_top, columns], check_exact=True)
    assert found.loc[~is_top, columns].isna().all(axis=None)


def test_above_a_probability(config: Config, everybody: pd.DataFrame) -> None:
    found = score(config, explained=explained_from("above:0.4")).scores
    assert found is not None
    is_above = everybody["p_leave"] > 0.4
    assert 0 < is_above.sum() < len(everybody) / 2
    columns = list(REASONS)
    pd.testing.assert_frame_equal(found.loc[is_above, columns], everybody.loc[is_above, columns], check_exact=True)
    assert found.loc[~is_above, columns].isna().all(axis=None)


def test_by_default_the_contact_budget_is_explained(project: Project, tmp_path: Path) -> None:
    config = load_config(project.config)
    assert config.contact.budget == 200
    found = score(config)
    assert found.explained == "top:200"
    assert found.tally.explained <= 200
    without = config.model_copy(update={"contact": config.contact.model_copy(update={"budget": None})})
    assert str(by_the_budget(without, scored=1234)) == "top:123"


def test_a_list_that_names_somebody_twice_counts_her_once(config: Config, everybody: pd.DataFrame) -> None:
    scored = list(everybody.loc[everybody["status"] == "scored", "customer_id"][:6])
    for buckets in (1, 3):
        found = score(in_buckets(config, buckets), customers=scored * 2, explained=Explained("top", count=3)).scores
        assert found is not None
        assert (found["driver_1"].notna() == found["reason_1"].notna()).all()
        assert found.loc[found["reason_1"].notna(), "customer_id"].nunique() == 3
        assert found["reason_1"].notna().sum() == 6


@pytest.mark.parametrize("text", ["", "top", "top:0", "top:-1", "above:", "above:1.5", "above:30", "everybody", "ALL"])
def test_what_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is none of: all"):
        explained_from(text)


@pytest.mark.parametrize("text", ["all", "top:7", "above:0", "above:0.1234567", "above:0.00001"])
def test_what_is_asked_for_is_told_so_that_it_reads_back(text: str) -> None:
    assert str(explained_from(text)) == text


@pytest.mark.parametrize("buckets", [1, 3])
def test_a_top_of_more_than_there_are_is_everybody(buckets: int, config: Config, everybody: pd.DataFrame) -> None:
    found = score(in_buckets(config, buckets), explained=explained_from(f"top:{10**30}")).scores
    assert found is not None
    pd.testing.assert_frame_equal(found, everybody, check_exact=True)


def test_the_command_says_whose_reasons_it_tells(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "s.csv"
    words = ("score", "--out", str(out), "--config", str(project.config), "--quiet", "--reasons")
    told = run(capsys, *words, "top:30")
    assert told.code == 0
    assert "the 30 with the highest value at risk" in told.out
    assert "Frequent drivers" in told.out
    assert read_scores(out)["reason_1"].notna().sum() in range(20, 31)
    wrong = run(capsys, *words, "best:30")
    assert (wrong.code, wrong.out) == (2, "")
    assert '--reasons "best:30" is none of' in wrong.err
