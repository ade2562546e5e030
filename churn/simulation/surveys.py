"""Being asked and praising: invitations, their answers, reviews and mentions; all fall silent as friction grows."""

import numpy as np
from scipy.special import expit

from churn.simulation.arrays import NEVER, Bools, Floats, Ints, Rows, ints, pick
from churn.simulation.calendar import DAY
from churn.simulation.people import People
from churn.simulation.regimes import Regime
from churn.simulation.voice import (
    CES,
    CSAT,
    EMAIL,
    MENTION,
    NPS,
    REVIEW,
    SOCIAL,
    WEB,
    by_day,
    feedback_rows,
    scored,
    talk_factor,
)

_RESPONSE_BY_VOICE = 1.6  # log odds of answering per unit of voice personality
_RESPONSE_BY_FRICTION = 1.1  # log odds lost per friction unit
_SCORE_BY_FRICTION = 1.5  # NPS points lost per friction unit
_PRAISE_BY_FRICTION = 1.3  # log rate of praise lost per friction unit
SCORE_NOISE = 1.1  # NPS points
_OTHERS_SHARE = 0.06  # of mentions: words about the customer by somebody else


def chance_of_answering(pressure: Floats, *, voice: Floats, day: int, regime: Regime) -> Floats:
    """Returns P(answer) to an invitation of customers under this pressure and with these voice personalities."""
    log_odds = regime.response_log_odds + _RESPONSE_BY_VOICE * (voice - 0.3) - _RESPONSE_BY_FRICTION * pressure
    chance: Floats = expit(log_odds) * talk_factor(day, regime=regime)
    return chance


def mean_score(pressure: Floats, *, satisfaction: Floats) -> Floats:
    """Returns the expected NPS score before noise, rounding and clipping."""
    return satisfaction - _SCORE_BY_FRICTION * pressure


def praise_factor(pressure: Floats) -> Floats:
    """Returns what pressure leaves of the rates of good reviews and mentions."""
    return np.exp(-_PRAISE_BY_FRICTION * pressure)


def invite(
    customer: Ints,
    *,
    day: int,
    is_gone: np.ndarray,
    pressure: Floats,
    regime: Regime,
    people: People,
    rng: np.random.Generator,
) -> tuple[Rows, Rows]:
    """Returns the day's invitations to these customers, and the NPS answers to them.

    `pressure` is the friction of these customers as far as it matters. Who is gone is still asked, and never answers.
    """
    size = len(customer)
    second = day * DAY + rng.integers(9 * 3600, 18 * 3600, size)
    chance = chance_of_answering(pressure, voice=people.voice[customer], day=day, regime=regime)
    answers = (rng.random(size) < chance) & ~is_gone
    answered = by_day(second + rng.exponential(1.3 * DAY, size).astype(np.int64) + 120)
    noisy = mean_score(pressure, satisfaction=people.satisfaction[customer]) + rng.normal(0.0, SCORE_NOISE, size)
    score = np.rint(noisy).clip(0.0, 10.0)
    invitations: Rows = {"customer": customer, "second": second, "answered": np.where(answers, answered, NEVER)}
    words = feedback_rows(customer, second=answered, kind=NPS, channel=EMAIL)
    return invitations, pick(scored(words, score, low=0.0, high=10.0), answers)


def review(
    customer: Ints, *, second: Ints, pressure: Floats, regime: Regime, people: People, rng: np.random.Generator
) -> Rows:
    """Returns the good reviews that follow a day's purchases."""
    size = len(customer)
    rate = regime.reviews_per_purchase * people.enthusiasm[customer] * praise_factor(pressure)
    writes = rng.random(size) < rate
    later = by_day(second + rng.exponential(3.0 * DAY, size).astype(np.int64) + 3600)
    stars = rng.integers(4, 6, size).astype(np.float64)
    return pick(
        scored(feedback_rows(customer, second=later, kind=REVIEW, channel=WEB), stars, low=1.0, high=5.0), writes
    )


def mention(
    is_here: Bools, *, day: int, pressure: Floats, regime: Regime, people: People, rng: np.random.Generator
) -> Rows:
    """Returns the day's good mentions by those who are here, and a few words of others about them."""
    draws = rng.random(people.count)
    who = np.flatnonzero(is_here & (draws < regime.mentions_per_day * people.enthusiasm))
    rate = regime.mentions_per_day * people.enthusiasm[who] * praise_factor(pressure[who])
    who = who[draws[who] < rate]
    second = day * DAY + rng.integers(8 * 3600, 22 * 3600, len(who))
    rows = feedback_rows(who, second=second, kind=MENTION, channel=SOCIAL)
    rows["is_other"] = rng.random(len(who)) < _OTHERS_SHARE
    mood = np.rint(rng.uniform(0.2, 1.0, len(who)) * 100) / 100
    return scored(rows, mood, low=-1.0, high=1.0)


def rate_contacts(contacts: Rows, *, rng: np.random.Generator) -> Rows:
    """Returns the short surveys (CSAT 1-5, CES 1-7 where high is bad) filled in right after a contact."""
    size = len(contacts["customer"])
    answers = rng.random(size) < 0.18
    is_effort = rng.random(size) < 0.3
    trouble = 0.9 * ints(contacts["step"]) + 1.2 * (contacts["resolved"] == NEVER) + 0.5 * contacts["is_complaint"]
    noisy = trouble + rng.normal(0.0, 0.8, size)
    score = np.where(is_effort, np.rint(2.0 + 1.3 * noisy).clip(1.0, 7.0), np.rint(4.7 - noisy).clip(1.0, 5.0))
    second = ints(contacts["second"]) + ints(contacts["handle"]) + rng.integers(300, 5400, size)
    rows = scored(
        feedback_rows(ints(contacts["customer"]), second=second, kind=CSAT, channel=EMAIL), score, low=1.0, high=5.0
    )
    rows["kind"] = np.where(is_effort, CES, CSAT)
    rows["score_max"] = np.where(is_effort, 7.0, 5.0)
    rows["is_higher_better"] = ~is_effort
    rows["topic"] = ints(contacts["topic"])
    return pick(rows, answers)
