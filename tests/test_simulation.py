"""A company with known truth: the same bytes for the same seed, the contract's columns, and effects that are there."""

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.errors import ConfigError, OutputError
from churn.simulation import regimes, simulate
from churn.simulation.company import build

TIME = pa.timestamp("us", tz="UTC")
TEXT, FLOAT, INT, FLAG = pa.string(), pa.float64(), pa.int64(), pa.bool_()
TYPES = {
    "transactions": {
        "customer_id": TEXT, "time": TIME, "amount": FLOAT, "order_id": TEXT, "channel": TEXT, "category": TEXT,
        "quantity": INT, "discount": FLOAT, "is_return": FLAG, "available_at": TIME,
    },
    "visits": {"customer_id": TEXT, "time": TIME, "channel": TEXT, "duration_seconds": INT},
    "contacts": {
        "customer_id": TEXT, "time": TIME, "case_id": TEXT, "channel": TEXT, "topic": TEXT, "agent_id": TEXT,
        "wait_seconds": INT, "handle_seconds": INT, "resolved_at": TIME, "is_complaint": FLAG, "text": TEXT,
    },
    "incidents": {"customer_id": TEXT, "time": TIME, "kind": TEXT, "severity": INT, "order_id": TEXT},
    "feedback": {
        "customer_id": TEXT, "time": TIME, "kind": TEXT, "author": TEXT, "score": FLOAT, "score_min": FLOAT,
        "score_max": FLOAT, "higher_is_better": FLAG, "channel": TEXT, "topic": TEXT, "text": TEXT,
    },
    "invitations": {"customer_id": TEXT, "time": TIME, "channel": TEXT, "answered_at": TIME},
    "customers": {
        "customer_id": TEXT, "since": TIME, "closed_at": TIME, "opted_out_at": TIME, "is_contactable": FLAG,
        "region": TEXT, "segment": TEXT, "age_band": TEXT,
    },
    "subscriptions": {
        "customer_id": TEXT, "start": TIME, "end": TIME, "plan": TEXT, "amount": FLOAT, "ended_at": TIME,
        "ended_how": TEXT,
    },
    "truth_customers": {
        "customer_id": TEXT, "exit_time": TIME, "fades_from": TIME, "cause": TEXT, "outcome": TEXT,
        "voice_personality": FLOAT,
    },
    "truth_friction": {"customer_id": TEXT, "time": TIME, "friction": FLOAT},
}  # fmt: skip
EVENTS = ("transactions", "visits", "contacts", "incidents", "feedback", "invitations")
WORLD_END = pd.Timestamp("2024-07-01", tz=UTC)
Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def retail() -> Tables:
    tables = build(regimes["retail"], customers=3000, months=18, seed=7)
    return {name: table.to_pandas() for name, table in tables.items()}


@pytest.fixture(scope="module")
def no_signal() -> Tables:
    tables = build(regimes["no_signal"], customers=3000, months=18, seed=7)
    return {name: table.to_pandas() for name, table in tables.items()}


def _hashes(directory: Path, *, seed: int, regime: str = "retail") -> dict[str, str]:
    paths = simulate(directory, customers=200, months=6, seed=seed, regime=regime)
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items()}


def _with_exit(rows: pd.DataFrame, tables: Tables) -> pd.DataFrame:
    return rows.merge(tables["truth_customers"][["customer_id", "exit_time", "outcome"]], on="customer_id")


def _absent(tables: Tables, *, cutoff: pd.Timestamp, days: int, recency_days: int = 60) -> pd.Series:
    """Whether a customer who bought twice, lately too, buys nothing in the outcome window; by customer_id."""
    orders = tables["transactions"].query("amount > 0")
    past = orders[(orders["time"] < cutoff)].groupby("customer_id")["time"].agg(["count", "min", "max"])
    is_active = (past["count"] >= 2) & (past["max"] >= cutoff - pd.Timedelta(days=recency_days))
    active = past[is_active & (past["min"] <= cutoff - pd.Timedelta(days=30))].index
    window = orders["time"].between(cutoff, cutoff + pd.Timedelta(days=days), inclusive="left")
    return pd.Series(~active.isin(orders.loc[window, "customer_id"]), index=active)


def _incident_counts(tables: Tables, *, cutoff: pd.Timestamp, days: int, index: pd.Index) -> pd.Series:
    incidents = tables["incidents"]
    recent = incidents["time"].between(cutoff - pd.Timedelta(days=days), cutoff, inclusive="left")
    return incidents[recent].groupby("customer_id").size().reindex(index, fill_value=0)


@pytest.mark.parametrize("regime", sorted(regimes))
def test_same_seed_same_bytes(tmp_path: Path, regime: str) -> None:
    first = _hashes(tmp_path / "a", seed=3, regime=regime)
    assert first == _hashes(tmp_path / "b", seed=3, regime=regime)
    assert not set(first.values()) & set(_hashes(tmp_path / "c", seed=4, regime=regime).values())


def test_writing_again_replaces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    _hashes(tmp_path, seed=3)
    again = _hashes(tmp_path, seed=4)
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    expected = {f"{name}.parquet" for name in regimes["retail"].tables}
    assert files == expected | {"truth/customers.parquet", "truth/friction.parquet"}
    assert again == _hashes(tmp_path / "fresh", seed=4)


@pytest.mark.parametrize("regime", sorted(regimes))
def test_columns_and_types_are_the_contract(tmp_path: Path, regime: str) -> None:
    paths = simulate(tmp_path, customers=150, months=5, regime=regime)
    assert set(paths) == {*regimes[regime].tables, "truth_customers", "truth_friction"}
    for name, path in paths.items():
        schema = pq.read_schema(path)
        assert dict(zip(schema.names, schema.types, strict=True)) == TYPES[name], name
        assert pq.read_metadata(path).num_rows > 0 or name == "contacts", name


def test_mute_has_no_feedback_and_nearly_no_contacts(tmp_path: Path) -> None:
    mute = build(regimes["mute"], customers=1000, months=12, seed=7)
    assert not {"feedback", "invitations"} & set(mute)
    loud = build(regimes["retail"], customers=1000, months=12, seed=7)
    assert mute["contacts"].num_rows < 0.1 * loud["contacts"].num_rows
    outcome = mute["truth_customers"].to_pandas()["outcome"]
    assert (outcome == "leaves_vocally").sum() < 0.05 * (outcome != "stays").sum()


def test_rows_lie_in_the_world_and_belong_to_customers(retail: Tables) -> None:
    customers = retail["customers"]
    assert customers["customer_id"].is_unique
    assert customers["customer_id"].str.fullmatch(r"C\d{6}").all()
    for name in EVENTS:
        rows = retail[name].merge(customers[["customer_id", "since"]], on="customer_id", how="left")
        assert rows["since"].notna().all(), name
        assert rows["time"].is_monotonic_increasing, name
        assert rows["time"].min() >= pd.Timestamp("2023-01-01", tz=UTC), name
        assert rows["time"].max() < WORLD_END, name
        # Words of others about a customer and surveys go by the day on which she joined.
        assert (rows["time"] >= rows["since"].dt.normalize()).all(), name
    for name, clock in (("contacts", "resolved_at"), ("invitations", "answered_at"), ("transactions", "available_at")):
        known = retail[name].dropna(subset=[clock])
        assert (known[clock] > known["time"]).all(), name
        assert known[clock].max() < WORLD_END, name


def test_money_is_in_cents_and_returns_are_negative(retail: Tables) -> None:
    rows = retail["transactions"]
    cents = rows["amount"] * 100
    assert np.abs(cents - cents.round()).max() < 1e-6
    assert ((rows["amount"] < 0) == rows["is_return"]).all()
    assert 0.02 < rows["is_return"].mean() < 0.10
    late = (rows["available_at"] - rows["time"]) > pd.Timedelta(hours=5)
    assert 0.005 < late.mean() < 0.015
    returned = rows[rows["is_return"]].merge(rows[~rows["is_return"]], on="order_id", suffixes=("", "_of_order"))
    assert (returned["time"] > returned["time_of_order"]).all()
    booked = rows[~rows["is_return"]].groupby("order_id")[["time", "available_at"]].nunique()
    assert not rows.duplicated().any()
    assert (booked == 1).all(axis=None), "lines of one order become known together, or signals take them for several"


def test_nothing_happens_after_an_exit_but_what_is_stated(retail: Tables) -> None:
    for name in ("transactions", "visits", "contacts", "incidents"):
        rows = _with_exit(retail[name], retail)
        assert not (rows["time"] >= rows["exit_time"]).any(), name
    feedback = _with_exit(retail["feedback"], retail)
    late = feedback[feedback["time"] >= feedback["exit_time"]]
    assert set(late["kind"]) == {"complaint"}
    assert (late["time"] - late["exit_time"]).max() < pd.Timedelta(days=14)
    assert (late["outcome"] == "leaves_vocally").all()
    invitations = _with_exit(retail["invitations"], retail)
    asked_in_vain = invitations[invitations["time"] >= invitations["exit_time"]]
    assert len(asked_in_vain) > 0
    assert asked_in_vain["answered_at"].isna().all()
    closed = _with_exit(retail["customers"].dropna(subset=["closed_at"]), retail)
    assert (closed["closed_at"] >= closed["exit_time"]).all()


def test_truth_is_consistent(retail: Tables) -> None:
    truth = retail["truth_customers"]
    leaves = truth["exit_time"].notna()
    assert (leaves == (truth["outcome"] != "stays")).all()
    assert (leaves == truth["cause"].notna()).all()
    assert set(truth["cause"].dropna()) <= {"outside", *(kind.name for kind in regimes["retail"].kinds)}
    fading = truth[leaves & truth["fades_from"].notna()]
    assert (fading["fades_from"] < fading["exit_time"]).all()
    friction = _with_exit(retail["truth_friction"], retail)
    assert not (friction["time"] >= friction["exit_time"]).any()


def test_vocal_leavers_have_said_something_and_silent_ones_nothing(retail: Tables) -> None:
    feedback = retail["feedback"].query("author == 'self'")
    height = (feedback["score"] - feedback["score_min"]) / (feedback["score_max"] - feedback["score_min"])
    goodness = height.where(feedback["higher_is_better"].eq(True), 1 - height)
    is_low = np.where(feedback["kind"] == "nps", feedback["score"] <= 6, goodness <= 0.4)
    words = feedback[is_low | (feedback["kind"] == "complaint")]
    contacts = retail["contacts"][retail["contacts"]["is_complaint"]]
    voice = _with_exit(pd.concat([words, contacts])[["customer_id", "time"]], retail).dropna(subset=["exit_time"])
    last_visit = voice["customer_id"].map(retail["visits"].groupby("customer_id")["time"].max())
    opens = pd.concat([voice["exit_time"] - pd.Timedelta(days=90), last_visit - pd.Timedelta(days=30)], axis=1)
    is_near = (voice["time"] >= opens.min(axis=1)) & (voice["time"] < voice["exit_time"] + pd.Timedelta(days=14))
    vocal = set(retail["truth_customers"].query("outcome == 'leaves_vocally'")["customer_id"])
    assert vocal == set(voice.loc[is_near, "customer_id"])


def test_base_rates_of_retail(retail: Tables) -> None:
    truth = retail["truth_customers"]
    leavers = truth[truth["exit_time"].notna()]
    assert 0.64 < (leavers["outcome"] == "leaves_silently").mean() < 0.80
    assert 0.5 < leavers["fades_from"].notna().mean() < 0.7
    assert 0.15 < (leavers["cause"] == "outside").mean() < 0.5
    left = _absent(retail, cutoff=pd.Timestamp("2024-03-01", tz=UTC), days=90)
    assert 0.12 < left.mean() < 0.25
    assert 0.85 < retail["customers"]["is_contactable"].mean() < 0.95
    assert 0.004 < retail["customers"]["opted_out_at"].notna().mean() < 0.02
    assert 0.2 < retail["invitations"]["answered_at"].notna().mean() < 0.4


def test_most_incidents_are_never_told_and_loss_of_money_is_told_most(retail: Tables) -> None:
    topics = {kind.name: kind.topic for kind in regimes["retail"].kinds}
    incidents = retail["incidents"].assign(
        topic=retail["incidents"]["kind"].map(topics), row=range(len(retail["incidents"]))
    )
    kinds = ("review", "complaint")
    words = pd.concat([retail["contacts"], retail["feedback"][retail["feedback"]["kind"].isin(kinds)]])
    pairs = incidents.merge(
        words[["customer_id", "topic", "time"]], on=["customer_id", "topic"], suffixes=("", "_said")
    )
    soon = (pairs["time_said"] - pairs["time"]).between(pd.Timedelta(0), pd.Timedelta(days=14))
    told = incidents["row"].isin(pairs.loc[soon, "row"])
    by_kind = told.groupby(incidents["kind"]).mean()
    assert 0.24 < told.mean() < 0.40
    assert 0.50 < by_kind["payment_failure"] < 0.75
    assert 0.05 < by_kind["rude_service"] < 0.30


def test_incidents_raise_exits(retail: Tables) -> None:
    cutoff = pd.Timestamp("2024-03-01", tz=UTC)
    left = _absent(retail, cutoff=cutoff, days=60)
    struck = _incident_counts(retail, cutoff=cutoff, days=45, index=left.index) > 0
    assert left[struck].mean() > left[~struck].mean() + 0.05


def test_silence_is_informative(retail: Tables) -> None:
    """Who carries friction answers fewer surveys while she is still a customer."""
    invitations = _with_exit(retail["invitations"], retail)
    invitations = invitations[~(invitations["time"] >= invitations["exit_time"])]
    friction = retail["truth_friction"].sort_values("time")
    asked = pd.merge_asof(
        invitations.sort_values("time"), friction, on="time", by="customer_id", tolerance=pd.Timedelta(days=31)
    ).dropna(subset=["friction"])
    answers = asked["answered_at"].notna()
    assert answers[asked["friction"] > 1].mean() < 0.7 * answers[asked["friction"] < 0.1].mean()


def test_unresolved_cases_come_again_with_other_agents_and_channels(retail: Tables) -> None:
    cases = retail["contacts"].groupby("case_id")
    size = cases.size()
    assert size.max() <= 4
    assert (size > 1).mean() > 0.05
    assert (cases["resolved_at"].nunique(dropna=False) == 1).all()
    assert (cases["agent_id"].nunique()[size > 1] > 1).mean() > 0.5
    assert (cases["channel"].nunique()[size > 1] > 1).mean() > 0.1


def test_no_signal_tells_nothing(no_signal: Tables) -> None:
    """Leavers (absent in the window) had as many incidents, contacts and purchases as stayers, within noise."""
    assert (no_signal["truth_customers"]["outcome"] == "stays").all()
    cutoff = pd.Timestamp("2024-02-01", tz=UTC)
    left = _absent(no_signal, cutoff=cutoff, days=60)
    assert 0.15 < left.mean() < 0.40
    for name in ("incidents", "contacts", "transactions", "invitations", "feedback"):
        rows = no_signal[name]
        past = rows[(rows["time"] < cutoff) & (rows["time"] >= cutoff - pd.Timedelta(days=120))]
        counts = past.groupby("customer_id").size().reindex(left.index, fill_value=0).astype(float)
        leavers, stayers = counts[left], counts[~left]
        error = np.sqrt(leavers.var() / len(leavers) + stayers.var() / len(stayers))
        assert abs(leavers.mean() - stayers.mean()) < 3.5 * error, name


def test_contracts_follow_one_another_and_end_with_the_exit() -> None:
    telecom = {name: t.to_pandas() for name, t in build(regimes["telecom"], customers=800, months=12, seed=7).items()}
    terms = _with_exit(telecom["subscriptions"], telecom)
    assert (terms["end"] - terms["start"] == pd.Timedelta(days=30)).all()
    assert not (terms["start"] >= terms["exit_time"]).any()
    assert (terms["ended_at"].notna() == terms["ended_how"].notna()).all()
    over = terms["ended_at"].fillna(terms["end"])
    following = terms.groupby("customer_id")["start"].shift(-1)
    assert not (following < over).any()
    cancelled = terms[terms["ended_how"] == "cancel"]
    assert (cancelled["ended_at"] == cancelled["exit_time"]).all()
    last = terms.groupby("customer_id").tail(1)
    leavers = last[last["exit_time"].notna()]
    assert set(leavers["ended_how"].dropna()) == {"cancel", "lapse"}
    assert {"payment_failure", "switch"} <= set(terms["ended_how"].dropna())
    bills = telecom["transactions"].query("category == 'bill'")
    started = terms[terms["start"] >= pd.Timestamp(datetime(2023, 1, 1, tzinfo=UTC))]
    assert len(bills) == len(started)


def test_unknown_regime_and_empty_worlds_are_refused_all_at_once(tmp_path: Path) -> None:
    message = 'no regime is called "retial"; did you mean "retail"?'
    with pytest.raises(ConfigError, match=re.escape(message)) as raised:
        simulate(tmp_path, regime="retial", customers=0, months=0)
    assert len(raised.value.problems) == 3
    assert not list(tmp_path.iterdir())


def test_a_table_of_another_company_is_not_joined(tmp_path: Path) -> None:
    simulate(tmp_path, customers=50, months=3)
    with pytest.raises(OutputError, match=r"already holds feedback\.parquet, invitations\.parquet"):
        simulate(tmp_path, customers=50, months=3, regime="mute")


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "here").write_text("not a directory")
    with pytest.raises(OutputError, match=r"cannot write .*choose another directory"):
        simulate(tmp_path / "here", customers=50, months=3)
