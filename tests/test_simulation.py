"""A company with known truth: the same bytes for the same seed, the contract's columns, and effects that are there."""

import functools
import hashlib
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_material import made

from churn.errors import ConfigError, OutputError
from churn.jobs.simulate import simulate as simulate_job
from churn.simulation import make_world, oracle, regimes, simulate
from churn.simulation.company import blocks
from churn.simulation.rates import base_rates
from churn.simulation.regimes import MECHANISMS
from churn.simulation.setting import setting_of
from churn.simulation.variation import varied
from churn.simulation.world import build

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
        "region": TEXT, "segment": TEXT, "age_band": TEXT, "home_store": TEXT,
    },
    "subscriptions": {
        "customer_id": TEXT, "start": TIME, "end": TIME, "plan": TEXT, "amount": FLOAT, "ended_at": TIME,
        "ended_how": TEXT,
    },
    "truth_customers": {
        "customer_id": TEXT, "exit_time": TIME, "fades_from": TIME, "cause": TEXT, "outcome": TEXT,
        "voice_personality": FLOAT, "sensitivity": FLOAT, "partly_from": TIME,
    },
    "truth_friction": {"customer_id": TEXT, "time": TIME, "friction": FLOAT, "state": TEXT},
    "truth_incidents": {
        "customer_id": TEXT, "time": TIME, "kind": TEXT, "severity": INT, "is_recorded": FLAG, "p_told": FLOAT,
        "is_told": FLAG,
    },
}  # fmt: skip
EVENTS = ("transactions", "visits", "contacts", "incidents", "feedback", "invitations")
WORLD_END = pd.Timestamp("2024-07-01", tz=UTC)
Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def retail() -> Tables:
    return _frames("retail", customers=2500, months=18)


@pytest.fixture(scope="module")
def no_signal() -> Tables:
    return _frames("no_signal", customers=2500, months=18)


def _frames(regime: str, *, customers: int, months: int, mechanism: str | None = None) -> Tables:
    setting = setting_of(regime, customers=customers, months=months, seed=7, mechanism=mechanism)
    return {name: table.to_pandas() for name, table in build(setting).items()}


def _hashes(directory: Path, *, seed: int, regime: str = "retail") -> dict[str, str]:
    paths = simulate(directory, customers=120, months=3, seed=seed, regime=regime)
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
    other = _hashes(tmp_path / "c", seed=4, regime=regime)
    same = {name for name in first if first[name] == other[name]}
    assert same <= {"contacts"}, "only a table without rows may be that of another seed"


def test_writing_again_replaces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    _hashes(tmp_path, seed=3)
    again = _hashes(tmp_path, seed=4)
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    expected = {f"{name}.parquet" for name in regimes["retail"].tables}
    assert files == expected | {f"truth/{name}.parquet" for name in ("customers", "friction", "incidents")}
    assert again == _hashes(tmp_path / "fresh", seed=4)


@pytest.mark.parametrize("regime", sorted(regimes))
def test_columns_and_types_are_the_contract(tmp_path: Path, regime: str) -> None:
    paths = simulate(tmp_path, customers=120, months=3, regime=regime)
    assert set(paths) == {*regimes[regime].tables, "truth_customers", "truth_friction", "truth_incidents"}
    for name, path in paths.items():
        schema = pq.read_schema(path)
        assert dict(zip(schema.names, schema.types, strict=True)) == TYPES[name], name
        assert pq.read_metadata(path).num_rows > 0 or name == "contacts", name


def test_mute_has_no_feedback_and_nearly_no_contacts(tmp_path: Path) -> None:
    mute = _frames("mute", customers=600, months=9)
    assert not {"feedback", "invitations"} & set(mute)
    loud = _frames("retail", customers=600, months=9)
    assert len(mute["contacts"]) < 0.1 * len(loud["contacts"])
    outcome = mute["truth_customers"]["outcome"]
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
    left, struck = [], []
    for cutoff in (pd.Timestamp(f"{month}-01", tz=UTC) for month in ("2023-07", "2023-10", "2024-01", "2024-04")):
        left.append(_absent(retail, cutoff=cutoff, days=60))
        struck.append(_incident_counts(retail, cutoff=cutoff, days=45, index=left[-1].index) > 0)
    is_left, is_struck = np.concatenate(left), np.concatenate(struck)
    assert is_left[is_struck].mean() > is_left[~is_struck].mean() + 0.05


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
    telecom = _frames("telecom", customers=800, months=12)
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


def test_workers_change_nothing_and_no_id_stands_in_two_blocks() -> None:
    setting = replace(setting_of("retail", customers=130, months=2, seed=3), block_size=50)
    alone, together = (list(blocks(setting, workers=workers)) for workers in (1, 2))
    assert alone == together
    made = build(setting)
    known = made["customers"]["customer_id"].to_pylist()
    assert known == [f"C{number:06d}" for number in range(130)]
    orders = made["transactions"].to_pandas().dropna(subset=["order_id"])
    assert (orders.groupby("order_id")["customer_id"].nunique() == 1).all()
    assert orders["customer_id"].max() > known[-10]


def test_who_comes_later_changes_nobody_before_her() -> None:
    """The premises are the company's, the chances the block's: a second block leaves the first as it was."""
    setting = replace(setting_of("retail", customers=50, months=1, seed=3), block_size=50)
    small, large = setting.company(0), replace(setting, customers=150)
    first, second = large.company(0), large.company(1)
    assert np.array_equal(small.people.visits_per_day, first.people.visits_per_day)
    assert not np.array_equal(first.people.visits_per_day, second.people.visits_per_day)
    assert np.array_equal(first.premises.skill, second.premises.skill)


BANDS = {  # regime: base rate -> least and most; docs/simulator.md has what was measured
    "retail": {"exits_per_year": (0.38, 0.58), "silent": (0.60, 0.78), "told": (0.24, 0.34), "answered": (0.26, 0.37)},
    "telecom": {"exits_per_year": (0.32, 0.52), "silent": (0.60, 0.80), "told": (0.24, 0.42)},
    "marketplace": {"exits_per_year": (0.25, 0.45), "silent": (0.60, 0.80), "told": (0.30, 0.43)},
    "hotel": {"visits_per_year": (3.6, 5.2), "exits_per_year": (0.14, 0.30), "silent": (0.63, 0.88)},
    "talkative": {"silent": (0.32, 0.52), "told": (0.52, 0.66), "answered": (0.54, 0.67)},
    "mute": {"silent": (0.96, 1.0), "told": (0.0, 0.04), "exits_per_year": (0.38, 0.58)},
    "no_signal": {"exits_per_year": (0.0, 0.0), "told": (0.24, 0.36), "absent_60d": (0.20, 0.36)},
    "drifting": {"exits_per_year": (0.38, 0.58), "told": (0.21, 0.31), "answered": (0.24, 0.34)},
}


@functools.cache
def _rates(regime: str) -> dict[str, float]:
    return base_rates(build(setting_of(regime, customers=1000, months=14, seed=11)))


@pytest.mark.parametrize("regime", sorted(regimes))
def test_base_rates_lie_in_their_bands(regime: str) -> None:
    rates = _rates(regime)
    outside = {name: rates[name] for name, (low, high) in BANDS[regime].items() if not low <= rates[name] <= high}
    assert not outside


def test_money_lost_is_told_more_than_rudeness_in_every_trade() -> None:
    for regime in ("retail", "telecom", "marketplace", "hotel"):
        rates = _rates(regime)
        most = max(rates[f"told_{kind.name}"] for kind in regimes[regime].kinds if kind.topic == "payment")
        assert 0.45 < most < 0.80, regime
        assert 0.05 < rates["told_rude_service"] < 0.30, regime


def test_hidden_states_are_pushed_by_what_goes_wrong() -> None:
    hidden = _frames("retail", customers=2000, months=14, mechanism="hidden_states")
    latent, incidents = hidden["truth_friction"], hidden["truth_incidents"]
    assert set(latent["state"]) == {"loyal", "wavering", "leaving"}
    counts = incidents.groupby("customer_id").size().reindex(latent["customer_id"], fill_value=0).to_numpy()
    struck = counts >= 4
    assert (latent["state"] != "loyal")[struck].mean() > 1.5 * (latent["state"] != "loyal")[~struck].mean()
    leavers = hidden["truth_customers"].dropna(subset=["exit_time"])
    assert leavers["fades_from"].notna().all()
    usual = _frames("retail", customers=100, months=4)
    assert usual["truth_friction"]["state"].isna().all()


def test_a_partial_leaver_comes_less_and_stays(retail: Tables) -> None:
    truth = retail["truth_customers"]
    partly = truth[truth["partly_from"].notna() & truth["exit_time"].isna()]
    assert 0.02 < len(partly) / len(truth) < 0.15
    visits = retail["visits"].merge(partly[["customer_id", "partly_from"]], on="customer_id")
    away = (visits["time"] - visits["partly_from"]).dt.days
    assert away.between(0, 119).sum() < 0.65 * away.between(-120, -1).sum()


def test_in_drifting_answers_fall_and_the_phone_falls_silent() -> None:
    drifting = _frames("drifting", customers=3000, months=24)
    asked = drifting["invitations"]
    early = asked["time"] < pd.Timestamp("2023-07-01", tz=UTC)
    late = asked["time"] >= pd.Timestamp("2024-07-01", tz=UTC)
    assert asked.loc[late, "answered_at"].notna().mean() < 0.97 * asked.loc[early, "answered_at"].notna().mean()
    phone = drifting["contacts"].query("channel == 'phone'")["time"]
    assert phone.max() < pd.Timestamp("2024-01-02", tz=UTC) < drifting["contacts"]["time"].max()


def test_varied_parameters_follow_the_seed() -> None:
    first, again, other = (
        setting_of("retail", customers=10, months=2, seed=seed, vary=True).regime for seed in (1, 1, 2)
    )
    assert first == again
    changed = ("visits_per_day", "friction_hazard", "push", "kinds", "relief")
    assert all(getattr(first, name) != getattr(other, name) for name in changed)
    assert varied(regimes["no_signal"], seed=5).outside_hazard == 0.0


def test_messy_rows_are_all_noted(tmp_path: Path) -> None:
    messy = simulate(tmp_path / "messy", customers=400, months=6, dirty=True)
    clean = simulate(tmp_path / "clean", customers=400, months=6)
    notes = pq.read_table(messy["truth_dirt"]).to_pandas()
    assert set(notes["what"]) >= {"twice", "sloppy_id", "other_format", "impossible_time", "blank"}
    assert messy["visits"].read_bytes().startswith(b"\xef\xbb\xbf")
    found = pd.read_csv(messy["visits"], dtype=str, keep_default_na=False, encoding="utf-8-sig")
    kept = pq.read_table(clean["visits"]).to_pandas()
    noted = notes[notes["table"] == "visits"]
    assert len(found) == len(kept) + (noted["what"] == "twice").sum()
    whole = found.head(len(kept))
    for column, texts in {"customer_id": kept["customer_id"], "channel": kept["channel"].fillna("")}.items():
        differs = np.flatnonzero(whole[column].to_numpy() != texts.to_numpy()) + 1
        assert differs.tolist() == noted.loc[noted["column"] == column, "row"].tolist()
    repeated = found.tail(len(found) - len(kept))
    assert repeated.merge(whole, how="left", indicator=True)["_merge"].eq("both").all()
    with pytest.raises(OutputError, match=r"already holds contacts\.csv"):
        simulate(tmp_path / "messy", customers=400, months=6)


CUTOFFS = [datetime(2023, 10, 1), datetime(2024, 1, 1)]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_the_oracle_is_calibrated_on_the_world_that_came(mechanism: str) -> None:
    world = make_world("retail", customers=1500, months=16, seed=5, mechanism=mechanism)
    told = oracle(world, cutoffs=CUTOFFS, customers=range(1500), horizon_days=(60,), futures=30)
    orders = world.tables["transactions"].to_pandas().query("amount > 0")
    for (cutoff, gap), asked in told.groupby(["cutoff", "gap_days"]):
        opens = cutoff + pd.Timedelta(days=gap)
        window = orders["time"].between(opens, opens + pd.Timedelta(days=60), inclusive="left")
        left = ~asked["customer_id"].isin(orders.loc[window, "customer_id"])
        chance = asked["p_leave"].to_numpy()
        error = np.sqrt((chance * (1 - chance)).sum() + (asked["p_leave_se"] ** 2).sum()) / len(asked)
        assert abs(left.mean() - chance.mean()) < 3.5 * error
        assert left[chance > 0.8].mean() > 0.7
        assert left[chance < 0.1].mean() < 0.15
    assert (told["p_silent"] <= told["p_leave"]).all()
    assert (told.loc[~told["is_quiet"], "p_silent"] == 0).all()


def test_the_oracle_knows_who_is_gone_and_says_how_sure_it_is() -> None:
    world = make_world("retail", customers=300, months=12, seed=5)
    few, many = (
        oracle(world, cutoffs=[datetime(2023, 8, 1)], customers=range(300), gap_days=(0,), futures=futures)
        for futures in (20, 80)
    )
    assert few["p_leave_se"].mean() > 1.5 * many["p_leave_se"].mean()
    assert few["p_leave_se"].min() > 0
    gone = world.truth["customers"].to_pandas().query("exit_time < '2023-08-01T00:00Z'")["customer_id"]
    assert (many.loc[many["customer_id"].isin(gone), "p_leave"] == 1.0).all()
    pd.testing.assert_frame_equal(
        many, oracle(world, cutoffs=[datetime(2023, 8, 1)], customers=range(300), gap_days=(0,), futures=80)
    )


def test_the_oracle_of_contracts_follows_the_terms() -> None:
    world = make_world("telecom", customers=800, months=10, seed=5)
    cutoff = pd.Timestamp("2023-08-01", tz=UTC)
    told = oracle(
        world, cutoffs=[cutoff.to_pydatetime()], customers=range(800), horizon_days=(30,), gap_days=(0,),
        activity="contracts", futures=30,
    ).set_index("customer_id")  # fmt: skip
    terms = world.tables["subscriptions"].to_pandas()
    over = terms["ended_at"].fillna(terms["end"]).clip(upper=terms["end"])
    running = terms[(terms["start"] < cutoff) & (over >= cutoff)].set_index("customer_id")
    assert set(running.index) == set(told.index)
    exits = world.truth["customers"].to_pandas().set_index("customer_id")["exit_time"]
    left = exits.reindex(told.index) <= running["end"].reindex(told.index)
    chance = told["p_leave"]
    assert abs(left.mean() - chance.mean()) < 3.5 * np.sqrt((chance * (1 - chance)).sum() + 1) / len(told)


def test_the_oracle_names_what_it_cannot_answer() -> None:
    world = make_world("retail", customers=20, months=3)
    with pytest.raises(ConfigError, match="is not a midnight"):
        oracle(world, cutoffs=[datetime(2023, 2, 1, 12)], customers=[1])
    with pytest.raises(ConfigError, match="no activity is called") as raised:
        oracle(world, cutoffs=[datetime(2023, 2, 1)], customers=[99], activity="calls")
    assert len(raised.value.problems) == 2


def test_truth_reaches_no_signal(tmp_path: Path) -> None:
    """Another truth, shuffled over the customers, beside the same tables: every signal is the same to the bit."""
    simulate_job(tmp_path / "a", customers=250, months=10, regime="retail", seed=3)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    rng = np.random.default_rng(1)
    for path in (tmp_path / "b" / "truth").glob("*.parquet"):
        table = pq.read_table(path)
        for name in table.column_names:
            place = table.column_names.index(name)
            table = table.set_column(place, name, table[name].take(pa.array(rng.permutation(table.num_rows))))
        pq.write_table(table, path)
    one, other = (made(tmp_path / name, horizon_days=28, train_every_days=28) for name in ("a", "b"))
    pd.testing.assert_frame_equal(one.material.features, other.material.features)
    pd.testing.assert_frame_equal(one.material.frame, other.material.frame)
