"""Tellings: the sentences that need more of a customer's row than one number."""

from __future__ import annotations

import math

from churn.drivers.phrases import (
    Row,
    Told,
    ago,
    bad_above,
    bad_below,
    capital,
    days,
    elapsed,
    money,
    number,
    period,
    plural,
    share,
    ten,
    times,
)
from churn.signals.recipes import YEAR, Recipe
from churn.signals.streams import FOLLOW_DAYS
from churn.timeline.rhythm import LOUD_SILENCE

NEW_DAYS = 90
"""Who joined less than this many days ago is a customer "only" since then."""

_HOWS = {
    "count": "number", "sum": "total", "mean": "average", "max": "highest", "min": "lowest", "most": "most of one",
    "distinct": "different ones", "days": "number of days", "streak": "in a row", "once": "once only",
}  # fmt: skip
_BEFORE_THE_NOUN = frozenset({"days_since_last", "days_since_first", "days_since", "days_until"})


def plain_name(recipe: Recipe) -> str:
    """Returns what a feature is called in a sentence.

    >>> plain_name(Recipe("service", "contact", "days_since_last", "contacts"))
    'Days since last contact'
    """
    if recipe.how in _BEFORE_THE_NOUN:
        return capital(f"{recipe.how} {recipe.noun}")
    how = "" if recipe.is_derived or recipe.how == "state" else _HOWS.get(recipe.how, recipe.how)
    window = period(recipe.window) if recipe.window else ""
    within = ", ".join(part for part in (how if recipe.noun else "", window) if part)
    return capital(recipe.noun.removeprefix("profile_") or how) + (f" ({within})" if within else "")


def plain(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns the sentence of a feature that has none of its own: plain name and value."""
    if recipe.labels and 0 <= x < len(recipe.labels):
        return labelled(recipe, recipe.labels[int(x)])
    if recipe.noun.startswith(("profile_is_", "profile_has_")):
        return labelled(recipe, "yes" if x else "no")
    return labelled(recipe, number(x))


def labelled(recipe: Recipe, label: str) -> Told:
    """Returns the sentence of a plain name and what is to be said of it."""
    return Told(f"{plain_name(recipe)}: {label}.")


def recency(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns when she last came, beside how often she used to: for every feature that compares the two."""
    coming = row.wording.coming
    since, gap = row.number(f"days_since_last_{coming}"), row.number("gap_mean")
    if since is None:
        return plain(recipe, row, x)
    if gap is None:
        return Told(f"Last {coming} {ago(since)}.")
    every = round(gap)
    if math.floor(since) > every:
        return Told(f"No {coming} for {elapsed(since)}; she used to come every {'day' if every == 1 else every}.", 1)
    return Told(f"Last {coming} {ago(since)}; she comes every {'day' if every == 1 else plural(every, 'day')}.", -1)


def last_time(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns when she last came, beside her rhythm where it is the rhythm's own feature, else beside her year."""
    if recipe.signal == "rhythm":
        return recency(recipe, row, x)
    plurals = {"purchase": "orders", "visit": "visits"}
    year = row.number(f"{plurals[recipe.noun]}_count_{YEAR}d")
    if not year:
        return Told(f"Last {recipe.noun} {ago(x)}.")
    many = plural(year, plurals[recipe.noun].removesuffix("s"))
    return Told(f"Last {recipe.noun} {ago(x)}; {many} in the last {YEAR} days.", bad_above(YEAR / year)(x))


def gap_last(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns her last gap beside her mean one."""
    mean = row.number("gap_mean")
    text = f"{plural(round(x), 'day')} between her last two {row.wording.coming}s"
    return Told(f"{text}.") if mean is None else Told(f"{text}; {round(mean)} on average.", bad_above(mean)(x))


def gap_max(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns her longest gap beside the one that is open."""
    coming = row.wording.coming
    since = row.number(f"days_since_last_{coming}")
    text = f"Longest time between two {coming}s so far: {plural(round(x), 'day')}"
    if since is None:
        return Told(f"{text}.")
    return Told(f"{text}; the last {coming} was {ago(since)}.", bad_above(x)(since))


def gap_spread(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns how regular she is."""
    mean = row.number("gap_mean")
    around = "" if mean is None else f" around an average of {round(mean)}"
    return Told(f"The time between her {row.wording.coming}s varies by {days(x)}{around}.")


def chance_of_absence(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns how likely her own rate makes a window without her."""
    window = plural(row.wording.horizon_days, "day")
    text = f"At her own pace, the chance of {window} without a {row.wording.coming} is {share(x)}."
    return Told(text, bad_above(LOUD_SILENCE)(x))


def chance_of_leaving(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns how likely customers with her rhythm stay away for a whole window."""
    window = plural(row.wording.horizon_days, "day")
    text = f"Of customers with her rhythm and her silence so far, {share(x)} do not come in the next {window}."
    return Told(text, bad_above(LOUD_SILENCE)(x))


def expected(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns how often her own rate lets her come."""
    window = plural(row.wording.horizon_days, "day")
    text = f"At her own pace, {days(x)} with a {row.wording.coming} can be expected in {window}."
    return Told(text, bad_below(1)(x))


def season(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns how lively the base is in the window ahead: true of everybody, so it is told only for want of better."""
    if round(100 * x) == 100:
        return Told("Season: customers are as active as on average in the window ahead.", is_weak=True)
    more = "less" if x < 1 else "more"
    text = f"Season: customers are {share(abs(1 - x))} {more} active than on average in the window ahead."
    return Told(text, bad_below(1)(x), is_weak=True)


def days_before(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns her active days in the last horizon beside those of the one before it."""
    recent, horizon = row.number(recipe.of[1].name), recipe.window
    if recent is None:
        return plain(recipe, row, x)
    text = f"{row.wording.came} on {plural(recent, 'day')} in the last {horizon} days"
    return Told(f"{text}, on {number(x)} in the {horizon} before.", 0 if recent == x else bad_below(x)(recent))


def last_year(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns her active days in the same season a year ago."""
    on = "no day" if x == 0 else plural(x, "day")
    return Told(f"{row.wording.came} on {on} in the same season last year ({row.wording.horizon_days} days).")


def incidents(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns how much went wrong, and when last."""
    if x == 0:
        return Told(f"No incident {period(recipe.window)}.", -1)
    return Told(f"{plural(x, 'incident')} {period(recipe.window)}{_the_last_one(row, x)}.", 1)


def incidents_of_kind(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns how often one kind of thing went wrong; when last, if the year (or all her time) saw no other kind.

    The kind is the user's own word, in any language, so it is neither put into the plural nor bent in any other way.
    """
    kind = capital(recipe.value.removeprefix("kind="))
    if x == 0:
        return Told(f"{kind}: none {period(recipe.window)}.", -1)
    every = "incidents_count" if recipe.window is None else f"incidents_count_{YEAR}d"
    last = _the_last_one(row, x) if x == row.number(every) else ""
    return Told(f"{kind}: {number(x)} {period(recipe.window)}{last}.", 1)


def severity(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns how bad what went wrong was, beside how much it was and when last."""
    of_window = "incidents_count" if recipe.window is None else f"incidents_count_{recipe.window}d"
    count, since = row.number(of_window), row.number("days_since_last_incident")
    if not count or since is None:
        return Told(f"Incidents {period(recipe.window)} add up to a severity of {number(x)}.", bad_above(0)(x))
    of = f"{plural(count, 'incident')} {period(recipe.window)} with a severity of {number(x)}"
    total, last = (" in total", "the last one ") if count > 1 else ("", "")
    return Told(f"{of}{total}, {last}{ago(since)}.", 1)


def severity_unfollowed(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns how bad that was after which she said nothing."""
    if x == 0:
        return Told(f"No incident {period(recipe.window)} was met with silence.", -1)
    text = f"After incidents {period(recipe.window)} with a severity of {number(x)} in total"
    return Told(f"{text} she said nothing within {FOLLOW_DAYS} days.", 1)


def hidden_friction(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns what weighs on her that she never mentioned."""
    if x == 0:
        return Told(f"Nothing that went wrong {period(recipe.window)} was left unsaid.", -1)
    window = period(recipe.window).removeprefix("in ")
    text = f"What she never mentioned of {window} weighs {number(x)}"
    return Told(f"{text}: severity, less where she is the kind that speaks.", 1)


def young_friction(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns what went wrong too lately to know whether she will mention it."""
    if x == 0:
        return Told(f"Nothing went wrong in the last {FOLLOW_DAYS} days that she has not mentioned.")
    return Told(f"Something went wrong in the last {FOLLOW_DAYS} days and she has not mentioned it so far.", 1)


def last_score(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns the last score beside the average one."""
    change, by = row.number(f"{recipe.noun}_change"), " by others" if recipe.noun.startswith("about") else ""
    mean = ten(x if change is None else min(max(x - change, 0.0), 1.0))
    beside = "" if mean == ten(x) else f", {mean.removesuffix(' of 10')} on average"
    return Told(f"Last score{by} {ten(x)}{beside} (every scale brought to 0-10).", bad_below(0.6)(x))


def streak(recipe: Recipe, row: Row, x: float) -> Told | None:
    """Returns how many invitations in a row she left unanswered; None where nobody asked her."""
    rate = row.number("response_rate")
    if rate is None:
        return None
    if x == 0:
        return Told("Answered the last survey invitation.", -1)
    last = "survey invitation" if x == 1 else f"{number(x)} survey invitations"
    return Told(f"Left the last {last} unanswered; she has answered {share(rate)} of all.", 1)


def response_rate(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns how many invitations she answers, lately and of all."""
    overall = row.number("response_rate") if recipe.window else None
    beside = "" if overall is None or share(overall) == share(x) else f"; {share(overall)} of all so far"
    leaning = bad_below(overall)(x) if beside and overall is not None else 0
    return Told(f"Answered {share(x)} of her survey invitations {period(recipe.window)}{beside}.", leaning)


def words(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns how often she said anything, lately and over the year."""
    year = row.number(f"words_count_{YEAR}d") if recipe.window != YEAR else None
    beside = f"; {times(year)} in the last {YEAR}" if year else ""
    if x == 0:
        return Told(f"Not heard from her {period(recipe.window)}{beside}.", 1 if year else 0)
    return Told(f"Heard from her {times(x)} {period(recipe.window)}{beside}.")


def never_asked(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns whether anybody ever asked her."""
    return Told("No survey invitation on record." if x else "Has been invited to a survey.")


def contract_end(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns when her contract ends."""
    return Told(f"Her contract ended {ago(-x)}." if x < 0 else f"Her contract ends in {elapsed(x)}.")


def joined(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns how long she has been a customer."""
    is_new = x < NEW_DAYS
    return Told(f"Customer for {elapsed(x)}{' only' if is_new else ''}.", int(is_new))


def contract_amount(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns what her contract costs beside her average contract."""
    change, now = row.number("contract_amount_change"), money(x, row)
    mean = money(x / change, row) if change else now
    return Told(f"Her contract costs {now}{'' if mean == now else f'; {mean} on average so far'}.")


def last_spend(recipe: Recipe, row: Row, x: float) -> Told:
    """Returns her last order's amount beside her average order."""
    over, last = row.number("spend_last_over_mean"), money(x, row)
    mean = money(x / over, row) if over else last
    if over is None or mean == last:
        return Told(f"Last order: {last}.")
    return Told(f"Last order: {last}; her orders average {mean}.", bad_below(1)(over))


def _the_last_one(row: Row, x: float) -> str:
    since = row.number("days_since_last_incident")
    return "" if since is None else f", {'the last one ' if x > 1 else ''}{ago(since)}"
