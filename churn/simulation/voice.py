"""Who speaks: whether a customer tells the company about an incident, when and how."""

import numpy as np
from scipy.special import expit

from churn.simulation.arrays import Bools, Floats, Ints, Rows, ints, pick
from churn.simulation.calendar import DAY
from churn.simulation.people import People
from churn.simulation.regimes import Regime

FEEDBACK_KINDS = ("nps", "csat", "ces", "review", "complaint", "mention")
FEEDBACK_CHANNELS = ("email", "web", "app", "social", "store")
NPS, CSAT, CES, REVIEW, COMPLAINT, MENTION = range(6)
EMAIL, WEB, _, SOCIAL, STORE = range(5)
NO_TOPIC = -1
_SEVERITY_LOG_ODDS = 0.5  # per step away from severity 2


def chance_of_telling(incidents: Rows, *, regime: Regime, people: People) -> Floats:
    """Returns P(told) per incident: the odds of the personality times those of the kind and the severity."""
    personality = people.voice[incidents["customer"]]
    odds = np.array([kind.told_odds for kind in regime.kinds])[incidents["kind"]] * regime.voice_odds
    severity = _SEVERITY_LOG_ODDS * (incidents["severity"] - 2.0)
    chance: Floats = expit(np.log(personality / (1.0 - personality)) + np.log(odds) + severity)
    return chance


def talk_factor(day: int, *, regime: Regime) -> float:
    """Returns the factor on the chances of telling and answering on a day: 1 in a world that does not change."""
    return float(regime.talk_trend ** (day / 365.25))


def tell(
    incidents: Rows, *, day: int, closes_on: int, regime: Regime, people: People, rng: np.random.Generator
) -> tuple[Rows, Rows, Rows]:
    """Returns the incidents with `p_told` and `is_told`, those told by contact, and those told in writing.

    In the latter two `second` is moved to when she speaks. What happened at a contact is told in writing or nowhere.
    """
    size = len(incidents["customer"])
    chance = chance_of_telling(incidents, regime=regime, people=people) * talk_factor(day, regime=regime)
    share = np.where(incidents["visit"] < 0, 0.0, regime.contact_share)
    lost = regime.closing_loss if day >= closes_on else 0.0
    draws = rng.random(size)
    wait = rng.exponential(2.5 * DAY, size).astype(np.int64) + 600
    by_contact = rng.random(size) < share
    is_told = draws < chance * np.where(by_contact, 1.0 - lost, 1.0)
    said = dict(incidents, second=by_day(ints(incidents["second"]) + wait))
    told = dict(incidents, p_told=chance * (1.0 - lost * share), is_told=is_told)
    return told, pick(said, is_told & by_contact), pick(said, is_told & ~by_contact)


def written_words(told: Rows, *, regime: Regime, rng: np.random.Generator) -> Rows:
    """Returns feedback rows for incidents told in writing: complaints and low reviews."""
    size = len(told["customer"])
    is_complaint = rng.random(size) < regime.complaint_share / max(1.0 - regime.contact_share, 1e-9)
    rows = feedback_rows(ints(told["customer"]), second=ints(told["second"]), kind=COMPLAINT, channel=EMAIL)
    rows["kind"] = np.where(is_complaint, COMPLAINT, REVIEW)
    rows["channel"] = np.where(is_complaint, rows["channel"], WEB)
    rows["topic"] = ints(told["kind"])
    stars = np.where(told["severity"] >= 2, 1.0, rng.integers(1, 3, size))
    return scored(rows, np.where(is_complaint, np.nan, stars), low=1.0, high=5.0)


def feedback_rows(customer: Ints, *, second: Ints, kind: int, channel: int) -> Rows:
    """Returns feedback rows of one kind without score or topic, written by the customer herself before her exit."""
    size = len(customer)
    return {
        "customer": customer,
        "second": second,
        "kind": np.full(size, kind),
        "is_other": np.zeros(size, dtype=np.bool_),
        "is_parting": np.zeros(size, dtype=np.bool_),
        "score": np.full(size, np.nan),
        "score_min": np.full(size, np.nan),
        "score_max": np.full(size, np.nan),
        "is_higher_better": np.ones(size, dtype=np.bool_),
        "channel": np.full(size, channel),
        "topic": np.full(size, NO_TOPIC),
    }


def scored(rows: Rows, score: Floats, *, low: float, high: float) -> Rows:
    """Returns feedback rows with their scores, and the scale of those that have one."""
    has_score = ~np.isnan(score)
    return dict(
        rows,
        score=score,
        score_min=np.where(has_score, low, np.nan),
        score_max=np.where(has_score, high, np.nan),
    )


def by_day(second: Ints) -> Ints:
    """Moves moments of the night (22-7 h) by ten hours: people write and call in the daytime."""
    hour = second % DAY // 3600
    is_night: Bools = (hour < 7) | (hour >= 22)
    return second + np.where(is_night, 10 * 3600, 0)
