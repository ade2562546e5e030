"""Who speaks: learnt from the past alone, the same for a customer alone as in a list, and better than simple rules."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from churn.config import Config, load_config
from churn.delivery.unsaid import iceberg_sentence, unsaid, voice_metrics, voice_sentence
from churn.jobs.simulate import simulate
from churn.models.boosting import Growing
from churn.models.bundle import model_text
from churn.models.hidden_friction import Hidden, hidden_now, rolling, voice_rows_of
from churn.models.iceberg import LEAST, iceberg
from churn.models.known import Known, prepare
from churn.models.target import Target
from churn.models.troubles import UNRESOLVED, UNRESOLVED_DAYS, Troubles, troubles_of
from churn.models.voice_judged import judge_voice
from churn.models.voice_model import MIN_OF_EACH, VoiceModel, VoiceRows, fit_voice, voice_model_told
from churn.models.voice_rows import OWN_COUNT, OWN_EXPECTED, OWN_TELLING, OWN_TOLD, asked_recipes, own_telling
from churn.signals.catalogue import recipes_for
from churn.signals.hidden import HIDDEN_DAYS, hidden_recipes
from churn.signals.recipes import Recipe
from churn.tables.contract import CONTRACT, TIME
from churn.tables.history import DAY, NEVER, events_of
from churn.tables.sources import read_tables
from churn.tables.upto import upto
from churn.timeline.rhythm import Prior
from churn.timeline.voice import voice_events

TARGET = Target("purchases", 28, 0, "rhythm", "hard", "UTC")
GROWING = Growing(7, 1)
PRIOR = Prior(1.0, 30.0)
LATE = {"contacts": "resolved_at", "invitations": "answered_at", "customers": "closed_at"}
Tables = dict[str, pa.Table]


class Company:
    """A simulated company, and everything there is to learn from at a moment."""

    def __init__(self, directory: Path) -> None:
        simulate(directory, customers=1_800, months=16, regime="retail", seed=4)
        self.config: Config = load_config(directory / "churn.toml")
        self.tables, _ = read_tables(self.config)
        self.known = self.prepared(self.tables)
        self.first = (self.known.settled - 120 * DAY) // DAY * DAY
        self.recipes = asked_recipes(recipes_for(upto(self.tables, self.first), horizon_days=28, attributes=["region"]))
        self.rows = self.learns(self.known)
        self.hidden = hidden_recipes(self.tables)

    def prepared(self, tables: Tables, known: Known | None = None) -> Known:
        return prepare(tables, config=self.config, base=known and known.base)

    def learns(self, known: Known) -> VoiceRows:
        return voice_rows_of(known, self.recipes, by=self.first, target=TARGET, growing=GROWING)

    def frame(self, known: Known, hidden: Hidden, at: list[int]) -> pd.DataFrame:
        """The features of everybody at some cutoffs, indexed by id and cutoff."""
        count = len(known.customers)
        asked = pd.DataFrame({"customer": np.repeat(np.arange(count), len(at)), "at": at * count})
        columns = hidden.columns(known, asked, self.hidden, target=TARGET, prior=PRIOR)
        ids = np.repeat(np.array(known.customers.to_pylist()), len(at))
        return pd.DataFrame(columns, index=pd.MultiIndex.from_arrays([ids, asked["at"]]))


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    return Company(tmp_path_factory.mktemp("company"))


@pytest.fixture(scope="module")
def model(company: Company) -> VoiceModel:
    return fit_voice(company.rows, everybody(company), by=company.first).model


def everybody(company: Company) -> np.ndarray:
    return np.ones(len(company.rows.troubles), bool)


def moment(days: float) -> dt.datetime:
    return dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=days)


def table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    """A canonical table; times are days since 1 January 2024, and rows are known when they happen unless they say."""
    types = {column.name: column.arrow_type for column in CONTRACT[name].columns}
    given = {key for row in rows for key in row} | {"customer_id", "available_at"}
    columns = {}
    for key in types:
        if key in given:
            values = [row.get(key, row["time"] if key == "available_at" else "a" if key == "customer_id" else None)
                      for row in rows]  # fmt: skip
            is_clock = types[key] == TIME
            columns[key] = pa.array([moment(v) if is_clock and v is not None else v for v in values], types[key])
    return pa.table(columns)


def troubles(**rows: list[dict[str, Any]]) -> Troubles:
    tables = {name: table(name, listed) for name, listed in rows.items()}
    ids = pa.array(["a", "b"])
    return troubles_of(tables, customers=ids, voice=events_of(voice_events(tables), customers=ids))


def days_of(clock: np.ndarray) -> list[float | None]:
    start = int(moment(0).timestamp() * 1e6)
    return [None if one == NEVER else (one - start) / DAY for one in clock.tolist()]


def incident(time: float, **more: Any) -> dict[str, Any]:
    return {"time": time, "kind": "late", "severity": 2.0, **more}


def complaint(time: float, **more: Any) -> dict[str, Any]:
    return {"time": time, "kind": "complaint", **more}


def test_a_voice_within_14_days_tells_of_an_incident() -> None:
    just = 14 - 1e-6
    for said, told in ((0.0, 0.0), (just, just), (14.0, None), (-0.1, None)):
        found = troubles(incidents=[incident(20)], feedback=[complaint(20 + said)])
        assert days_of(found.told) == [None if told is None else pytest.approx(20 + told, abs=1e-5)]
    other = troubles(incidents=[incident(20)], feedback=[complaint(21, customer_id="b"), complaint(90)])
    assert days_of(other.told) == [None]


def test_what_is_said_counts_from_when_it_was_known() -> None:
    late = troubles(incidents=[incident(20)], feedback=[complaint(21, available_at=50)])
    assert days_of(late.told) == [50]
    assert days_of(late.matured) == [34]
    assert days_of(troubles(incidents=[incident(20, available_at=60)]).matured) == [60]


def test_a_contact_is_left_unresolved_after_a_week() -> None:
    def contact(time: float, **more: Any) -> dict[str, Any]:
        return {"time": time, "case_id": "k", "resolved_at": None, "is_complaint": False, "channel": "phone", **more}

    over = UNRESOLVED_DAYS
    assert days_of(troubles(contacts=[contact(3)]).time) == [3 + over]
    assert not len(troubles(contacts=[contact(3, resolved_at=3 + over - 0.1)]))
    assert days_of(troubles(contacts=[contact(3, resolved_at=3 + over)]).time) == [3 + over]
    # The first contact of a case counts, as far as it was known when the later one was.
    assert days_of(troubles(contacts=[contact(3), contact(5)]).time) == [3 + over]
    late = troubles(contacts=[contact(3, available_at=40), contact(5)])
    assert (days_of(late.time), days_of(late.known)) == ([3 + over, 5 + over], [40, 5 + over])
    assert len(troubles(contacts=[contact(3, case_id=None), contact(5, case_id=None)])) == 2
    assert late.kinds == (UNRESOLVED,)
    assert late.channels == ("phone",)


def test_the_channel_is_that_of_the_order_else_of_the_last_visit() -> None:
    def bought(time: float, channel: str, **more: Any) -> dict[str, Any]:
        return {"time": time, "amount": 500, "order_id": "o", "channel": channel, **more}

    visits = [{"time": 1, "channel": "store"}, {"time": 30, "channel": "web"}]
    for orders, channel, amount in (
        ([bought(5, "app"), bought(5, "app")], "app", 10.0),
        ([bought(5, "app", available_at=21)], "store", np.nan),
        ([bought(5, "app", customer_id="b")], "store", np.nan),
        ([bought(5, "app", order_id="p")], "store", np.nan),
    ):
        found = troubles(incidents=[incident(20, order_id="o")], visits=visits, transactions=orders)
        assert found.channels[found.channel[0]] == channel
        assert found.amount.tolist() == pytest.approx([amount], nan_ok=True)
    nowhere = troubles(incidents=[incident(0.5)], visits=visits)
    assert nowhere.channel.tolist() == [-1]


def test_own_telling_counts_what_was_settled_by_then() -> None:
    found = troubles(incidents=[incident(0), incident(10), incident(20), incident(40)], feedback=[complaint(12)])
    own = own_telling(found, np.arange(4), expected=np.full(4, 0.25))
    assert own[OWN_COUNT].tolist() == [0, 0, 1, 3]
    assert own[OWN_TOLD].tolist() == [0, 0, 1, 2]
    assert own[OWN_EXPECTED].tolist() == [0, 0, 0.25, 0.75]
    assert own[OWN_TELLING].tolist() == [1, 1, 1.5 / 0.75, 2.5 / 1.25]


def test_it_speaks_better_than_simple_rules_of_what_comes_later(company: Company) -> None:
    judged = judge_voice(company.rows, first=company.first, settled=company.known.settled)
    ours = judged.metrics["model"]
    assert judged.troubles > 300
    for rule in ("kind", "severity", "own_rate"):
        assert ours["auroc"] > judged.metrics[rule]["auroc"] + 0.03
        assert ours["brier"] < judged.metrics[rule]["brier"]
    assert ours["ece"] < ours["ece_perfect"] + 0.05
    assert voice_metrics({"is_modelled": False}) == {}


def test_too_little_leaves_the_rate_of_the_kind(company: Company) -> None:
    few = company.rows.troubles.customer < 200
    found = fit_voice(company.rows, few, by=company.first).model
    assert found.booster is None
    assert found.told < MIN_OF_EACH
    assert "taken from the kind of thing alone" in found.note
    assert set(found.predict(company.rows.troubles, np.arange(50), company.rows.signals[:50])) <= {
        *found.rates.values()
    }
    none = fit_voice(company.rows, np.zeros(len(few), bool), by=company.first).model
    assert none.rate == pytest.approx(1 / 3)


def test_only_what_was_settled_by_the_moment_teaches(company: Company, model: VoiceModel) -> None:
    """Who tells later, of what happens later, or of whom is not among those who teach changes no tree."""
    rows, by = company.rows, company.first
    dice = np.random.default_rng(1)
    told = rows.troubles.told.copy()
    later = (rows.troubles.matured > by) | (told > by)
    told[later] = dice.choice([NEVER, by + 1, by + DAY], later.sum())
    other = VoiceRows(_with_told(rows.troubles, told), rows.signals, rows.recipes, rows.heard_from, rows.growing)
    assert _text(fit_voice(other, everybody(company), by=by).model) == _text(model)
    half = rows.troubles.customer % 2 == 0
    flipped = np.where(half, rows.troubles.told, np.where(told == NEVER, rows.troubles.time, NEVER))
    mixed = VoiceRows(_with_told(rows.troubles, flipped), rows.signals, rows.recipes, rows.heard_from, rows.growing)
    assert _text(fit_voice(mixed, half, by=by).model) == _text(fit_voice(rows, half, by=by).model)


def _with_told(found: Troubles, told: np.ndarray) -> Troubles:
    return Troubles(found.starts, found.time, found.known, told, found.kind, found.kinds, found.channel, found.channels,
                    found.severity, found.amount)  # fmt: skip


def _text(model: VoiceModel) -> str:
    return model_text(model.booster) if model.booster is not None else str(model.rates)


def test_another_future_changes_no_hidden_friction_by_a_bit(company: Company) -> None:
    """Rows at or after the cutoff, or known later, and what is filled in later; for rows that teach and for scores."""
    at = company.first
    cutoffs = [at - 130 * DAY, at - 65 * DAY, at]
    past = _blind(upto(company.tables, at), at)
    known = company.prepared(past)
    now = company.frame(company.known, rolling(company.rows, company.known.customers, cutoffs=cutoffs), cutoffs)
    then = company.frame(known, rolling(company.learns(known), known.customers, cutoffs=cutoffs), cutoffs)
    assert (now.loc[then.index].to_numpy().tobytes()) == then.to_numpy().tobytes()
    assert (then.to_numpy() > 0).mean(axis=0).min() > 0.005
    model = fit_voice(company.learns(known), np.ones(len(company.learns(known).troubles), bool), by=at).model
    both = [
        company.frame(one, hidden_now(one, model, at=at, codes=np.arange(len(one.customers)), target=TARGET), [at])
        for one in (company.known, known)
    ]
    assert both[0].loc[both[1].index].to_numpy().tobytes() == both[1].to_numpy().tobytes()


def _blind(tables: Tables, at: int) -> Tables:
    """Without what is filled in at `at` or later."""
    blind = dict(tables)
    cutoff = pa.scalar(at, pa.int64()).cast(TIME)
    for name, column in LATE.items():
        values = pc.if_else(pc.less(tables[name][column], cutoff), tables[name][column], pa.scalar(None, TIME))
        blind[name] = tables[name].set_column(tables[name].column_names.index(column), column, values)
    return blind


def test_a_customer_alone_has_the_hidden_friction_she_has_in_a_list(company: Company, model: VoiceModel) -> None:
    at, known = company.first, company.known
    every = hidden_now(known, model, at=at, codes=np.arange(len(known.customers)), target=TARGET)
    whole = company.frame(known, every, [at])
    loud = whole.index.get_level_values(0)[whole.iloc[:, 0].to_numpy() > 0]
    for ids in ([str(loud[0])], [str(one) for one in loud[5:40:7]]):
        few = {name: one.filter(pc.is_in(one["customer_id"], pa.array(ids))) for name, one in company.tables.items()}
        bucket = company.prepared(few, known)
        alone = hidden_now(bucket, model, at=at, codes=np.arange(len(ids)), target=TARGET)
        found = company.frame(bucket, alone, [at])
        assert found.to_numpy().tobytes() == whole.loc[found.index].to_numpy().tobytes()


def test_only_old_incidents_nothing_was_said_of_are_hidden(company: Company, model: VoiceModel) -> None:
    at = int(moment(100).timestamp() * 1e6)
    incidents = [incident(99), incident(70), incident(60), incident(40), incident(50, customer_id="b")]
    incidents.append(incident(-150, customer_id="c"))  # since then incidents are covered
    tables = {
        "incidents": table("incidents", incidents),
        "feedback": table("feedback", [complaint(-200), complaint(41)]),
        "transactions": table("transactions", [{"time": -250, "amount": 100}]),
    }
    known = company.prepared(tables)
    hidden = hidden_now(known, model, at=at, codes=np.arange(3), target=TARGET)
    p, weight = hidden.epochs[0].p, hidden.epochs[0].weight
    assert weight.tolist() == pytest.approx((2.0 * (1 - p)).tolist(), nan_ok=True)
    found = company.frame(known, hidden, [at])
    # Of a: 40 was told of, 60 and 70 were not, 99 is too young to say. That of c is too long ago to be asked about.
    assert len(weight) == 5
    unsaid_of_a, young_of_a, unsaid_of_b = weight[1] + weight[2], weight[3], weight[4]
    for days in (90, 180):
        assert found[f"hidden_friction_sum_{days}d"].tolist() == pytest.approx([unsaid_of_a, unsaid_of_b, 0], rel=1e-5)
    assert found["young_friction_sum_30d"].tolist() == pytest.approx([young_of_a, 0, 0], rel=1e-5)
    assert list(found.columns) == [recipe.name for recipe in company.hidden]


def test_recipes_follow_the_tables(company: Company) -> None:
    tables = company.tables
    assert {recipe.signal for recipe in hidden_recipes(tables)} == {"silence"}
    assert all(isinstance(recipe, Recipe) and (recipe.window or 0) <= HIDDEN_DAYS for recipe in hidden_recipes(tables))
    assert hidden_recipes({name: tables[name] for name in ("transactions", "incidents")}) == ()
    assert hidden_recipes({name: tables[name] for name in ("transactions", "feedback")}) == ()
    assert hidden_recipes({name: tables[name] for name in ("transactions", "contacts")})


def test_it_is_read_back_as_it_was(company: Company, model: VoiceModel) -> None:
    assert model.booster is not None
    again = voice_model_told(model.to_json(), lgb.Booster(model_str=model_text(model.booster)))
    rows = np.arange(300)
    signals = company.rows.signals[:300]
    one, other = (each.predict(company.rows.troubles, rows, signals) for each in (model, again))
    assert one.tobytes() == other.tobytes()
    told = {**model.to_json(), "recipes": model.to_json()["recipes"][1:]}
    with pytest.raises(ValueError, match="features of the voice model's trees are others"):
        voice_model_told(told, model.booster)


def test_the_iceberg_counts_and_names_nobody(company: Company) -> None:
    cutoffs = list(range(company.first - 240 * DAY, company.first, 60 * DAY))
    hidden = rolling(company.rows, company.known.customers, cutoffs=cutoffs)
    found = iceberg(company.known, hidden, heard_from=company.rows.heard_from, settled=company.known.settled,
                    attributes=["region", "no such column"])  # fmt: skip
    total = found["total"]
    assert set(found["by"]) == {"kind", "channel", "month", "region"}
    for name in ("kind", "channel", "region"):
        rows = found["by"][name]
        assert sum(row["troubles"] for row in rows) == total["troubles"]
        assert sum(row["speakers"] for row in rows) == pytest.approx(total["speakers"], abs=1)
    assert total["told"] + total["never_mentioned"] == total["troubles"]
    assert total["expected_told"] == pytest.approx(total["told"], rel=0.35)
    assert total["speakers"] < total["expected_told"]
    voice = {
        "is_modelled": True, "note": "", "iceberg": found,
        "judged": judge_voice(company.rows, first=company.first, settled=company.known.settled).to_dict(),
    }  # fmt: skip
    told = unsaid({"voice": voice})
    assert told is not None
    assert len(told["tables"]) == 4
    assert "were never mentioned" in told["sentence"]
    assert "ranks a told one above an untold one" in voice_sentence(voice)
    assert voice_metrics(voice)["voice_auroc"] > voice_metrics(voice)["voice_auroc_by_kind"]


def test_few_customers_are_told_together(company: Company) -> None:
    kinds = ["a", "b", "c", "d"]
    rows = [
        incident(float(day), kind=kind, customer_id=f"{kind}{day}")
        for kind, count in zip(kinds, (9, 7, 2, 1), strict=True)
        for day in range(count)
    ]
    tables = {"incidents": table("incidents", rows), "feedback": table("feedback", [complaint(-200, customer_id="z")]),
              "transactions": table("transactions", [{"time": -250, "amount": 100}])}  # fmt: skip
    known = company.prepared(tables)
    learns = company.learns(known)
    at = int(moment(0).timestamp() * 1e6)
    found = iceberg(
        known, rolling(learns, known.customers, cutoffs=[at]), heard_from=at, settled=at + 40 * DAY, attributes=[]
    )
    labels = {row["label"]: row["troubles"] for row in found["by"]["kind"]}
    assert labels == {"a": 9, "other": 10}
    assert min(labels.values()) >= LEAST
    assert iceberg_sentence(found).startswith(
        "Of 9 incidents “a” in the 90 days to 2024-01-27, 9 were never mentioned."
    )
