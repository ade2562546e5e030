"""`churn why`: one customer, with the same numbers as in a list, her own events and nobody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest
from made_project import Project, run
from scipy.optimize import brentq

from churn.config import load_config
from churn.errors import TableError
from churn.jobs.blame import blame
from churn.jobs.moments import cutoff_at
from churn.jobs.opened import open_bundle
from churn.jobs.score import score
from churn.jobs.scoring import score_known
from churn.jobs.why import why
from churn.models.calibration import Calibration, apply
from churn.models.known import prepare
from churn.tables.sources import read_tables
from churn.views import why_lines


@pytest.fixture(scope="module")
def riskiest(project: Project) -> pd.Series:
    """The first row of the list of everybody."""
    return score(load_config(project.config)).scores.iloc[0]


def test_her_numbers_and_reasons_are_those_of_the_list(project: Project, riskiest: pd.Series) -> None:
    told = why(load_config(project.config), riskiest["customer_id"], at=None, bundle=None)
    for name in ("p_leave", "p_silent", "percentile", "band", "voice_status", "value_at_risk", "cutoff"):
        assert told["score"][name] == riskiest[name]
    assert [one["reason"] for one in told["raises"]] == list(riskiest[["reason_1", "reason_2", "reason_3"]].dropna())
    assert all(one["points"] > 0 for one in told["raises"])
    assert all(one["points"] < 0 for one in told["lowers"])


def test_any_number_of_buckets_tells_the_same_of_her(project: Project, riskiest: pd.Series) -> None:
    config = load_config(project.config)
    who = riskiest["customer_id"]
    buckets = config.model_copy(update={"engine": config.engine.model_copy(update={"buckets": 5})})
    assert why(buckets, who, at=None, bundle=None) == why(config, who, at=None, bundle=None)
    with pytest.raises(TableError, match="differs from a known one only in spaces, capitals or leading zeros"):
        why(buckets, f" {who}", at=None, bundle=None)
    assert not (project.directory / ".churn-work").exists()


def test_her_events_are_hers_and_before_the_moment(project: Project, riskiest: pd.Series) -> None:
    who = riskiest["customer_id"]
    at = int(pd.Timestamp("2024-03-01", tz="UTC").value // 1000)
    events = why(load_config(project.config), who, at=at, bundle=None)["events"]
    assert events
    assert [event["time"] for event in events] == sorted((event["time"] for event in events), reverse=True)
    assert events[0]["time"] < "2024-03-01"
    for event in events:
        times = project.table(event["table"]).query("customer_id == @who")["time"]
        assert event["time"] in set(times.dt.strftime("%Y-%m-%d %H:%M"))


def test_what_went_wrong_is_counted_and_weighed(project: Project) -> None:
    scores = score(load_config(project.config)).scores
    incidents = project.table("incidents")
    cutoff = pd.Timestamp(scores["cutoff"].iloc[0], tz="UTC")
    year = incidents[(incidents["time"] < cutoff) & (incidents["time"] >= cutoff - pd.Timedelta(days=365))]
    kinds = year.groupby("customer_id")["kind"].nunique()
    who = next(one for one in scores.loc[scores["status"] == "scored", "customer_id"] if kinds.get(one, 0) >= 2)
    told = why(load_config(project.config), who, at=None, bundle=None)["incidents"]
    own = year.loc[year["customer_id"] == who, "kind"].value_counts()
    assert {one["kind"]: one["count"] for one in told} == own.to_dict()
    assert [one["points"] for one in told] == sorted((one["points"] for one in told), reverse=True)
    assert "what went wrong in the last year" in "\n".join(why_lines(why_told(project, who)))


def why_told(project: Project, who: str) -> dict[str, Any]:
    return why(load_config(project.config), who, at=None, bundle=None)


def test_blame_is_what_the_risk_would_be_on_tables_without_the_kind(project: Project) -> None:
    """An oracle by another way: everybody scored again on tables from which the kind is gone."""
    config = load_config(project.config)
    bundle = open_bundle(config, None).bundle
    tables, _ = read_tables(config)
    known = prepare(tables, config=config)
    cutoff, _ = cutoff_at(None, base=known.base, target=bundle.target)
    scores = score_known(known, bundle, cutoff, customers=None, config=config).scores
    some = scores.loc[scores["status"] == "scored", "customer_id"].head(40).to_list()[::-1]
    kind = "late_delivery"
    falls = blame(known, bundle, at=cutoff.at, customers=some, kinds=[kind, "meteorite"], config=config)
    assert list(falls.index) == some
    assert (falls["meteorite"] == 0.0).all()
    had = set(project.table("incidents").query("kind == @kind")["customer_id"])
    assert (falls.loc[[one for one in some if one not in had], kind] == 0.0).all()
    left = {**tables, "incidents": tables["incidents"].filter(pc.not_equal(tables["incidents"]["kind"], kind))}
    without = prepare(left, config=config, base=known.base)
    again = score_known(without, bundle, cutoff, customers=some, config=config).scores.set_index("customer_id")
    before = scores.set_index("customer_id")
    calibration = bundle.factors.calibration_at(cutoff.at)
    for who in [one for one in some if one in had]:
        margin = float(logit_of(before.at[who, "p_leave"], calibration))
        expected = logit_of(again.at[who, "p_leave"], calibration)
        assert margin - falls.at[who, kind] == pytest.approx(expected, abs=1e-4)


def logit_of(p: float, calibration: Calibration) -> float:
    """The raw margin behind a calibrated probability, found by bisection."""
    return float(brentq(lambda margin: apply(calibration, np.array([margin]))[0] - p, -20.0, 20.0, xtol=1e-9))


def test_who_opted_out_is_not_looked_into(project: Project) -> None:
    """Fault 40: no signal, no score, no evidence."""
    scores = score(load_config(project.config)).scores
    who = scores.loc[scores["why_not_scored"] == "opted_out", "customer_id"].iloc[0]
    told = why(load_config(project.config), who, at=None, bundle=None)
    assert (told["raises"], told["lowers"], told["events"]) == ([], [], [])
    assert told["score"]["p_leave"] is None


def test_an_unknown_customer_is_refused_without_repeating_her_id(project: Project) -> None:
    config = load_config(project.config)
    with pytest.raises(TableError, match="no table has a customer of that id") as refused:
        why(config, "anna@example.org", at=None, bundle=None)
    assert "anna" not in str(refused.value)
    with pytest.raises(TableError, match="differs from a known one only in spaces, capitals or leading zeros"):
        why(config, " c000001", at=None, bundle=None)


def test_hostile_names_neither_style_nor_move_the_terminal(
    project: Project, riskiest: pd.Series, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault 35 in the terminal: in an id, a kind and a channel."""
    copy = project.copied(tmp_path / "shop")
    hostile = "[red]<script>\x1b[31m\x1b]0;x\x07\x9b2J"
    for path in copy.directory.glob("*.parquet"):
        table = pd.read_parquet(path)
        table["customer_id"] = table["customer_id"].replace(riskiest["customer_id"], hostile)
        for column in {"kind", "topic", "channel"} & set(table.columns):
            table.loc[table["customer_id"] == hostile, column] = hostile
        table.to_parquet(path)
    told = run(capsys, "why", hostile, "--config", str(copy.config))
    assert told.code == 0
    assert all(line.isprintable() for line in (told.out + told.err).split("\n"))
    assert told.out.startswith("[red]<script>\\x1b[31m\\x1b]0;x\\x07\\x9b2J at ")
    assert run(capsys, "why", hostile, "--config", str(copy.config), "--json").json["score"]["customer_id"] == hostile


def test_an_absent_table_is_refused_here_too(project: Project, tmp_path: Path) -> None:
    copy = project.copied(tmp_path / "shop")
    text = copy.config.read_text(encoding="utf-8").replace('[tables.visits]\npath = "visits.parquet"\n', "")
    copy.config.write_text(text, encoding="utf-8")
    with pytest.raises(TableError, match="trained with visits, absent now"):
        why(load_config(copy.config), "C000001", at=None, bundle=None)
    copy.config.write_text('missing_table = "warn"\n' + text, encoding="utf-8")
    assert why(load_config(copy.config), "C000001", at=None, bundle=None)["warnings"]


def test_the_line_for_people_never_says_more_than_all(
    project: Project, riskiest: pd.Series, capsys: pytest.CaptureFixture[str]
) -> None:
    told = run(capsys, "why", riskiest["customer_id"], "--config", str(project.config), "--quiet")
    assert told.code == 0
    assert f"higher than {int(riskiest['percentile'])} % of the training population" in told.out
