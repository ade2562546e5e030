"""Experience: the recipes of what went wrong, what was said, and what was not said."""

from __future__ import annotations

from churn.signals.offered import Tables, has, kinds_of
from churn.signals.recipes import YEAR, Recipe, derived, drift, trend
from churn.timeline import voice

LONG_HORIZON_DAYS = 120
"""From this horizon on what went wrong also counts over the whole history: who comes seldom remembers it longer than
half a year, and a year is rarely covered at the first cutoffs of a training."""


def service_recipes(tables: Tables) -> list[Recipe]:
    """Returns the recipes of contacts: how much effort it takes her to be helped."""
    if "contacts" not in tables:
        return []

    def contacts(noun: str, how: str, window: int | None, value: str = "") -> Recipe:
        return Recipe("service", noun, how, "contacts", value, window)

    found = [contacts("contacts", "count", window) for window in (30, 90, YEAR)]
    found.append(contacts("contact", "days_since_last", None))
    found.append(trend("service", "contacts", contacts("contacts", "count", None), 90, YEAR))
    if has(tables, "contacts", "resolved_at"):
        found += [contacts("contacts_unresolved", "count", window, "unresolved") for window in (30, 180)]
        found.append(contacts("unresolved_contact", "days_since_last", None, "unresolved"))
        found.append(contacts("contact_days_to_resolve", "mean", YEAR, "resolving"))
    if has(tables, "contacts", "is_complaint"):
        found += [contacts("contacts_complaint", "count", window, "complaint") for window in (90, YEAR)]
    for value in ("wait", "handle"):
        if has(tables, "contacts", f"{value}_seconds"):
            found += [contacts(f"{value}_seconds", "mean", 90, value), contacts(f"{value}_seconds", "max", YEAR, value)]
    if has(tables, "contacts", "topic"):
        found.append(contacts("contacts_of_one_topic", "most", 30, "topic"))
    return found + _cases(tables)


def _cases(tables: Tables) -> list[Recipe]:
    if not has(tables, "contacts", "case_id"):
        return []

    def cases(noun: str, how: str, value: str) -> Recipe:
        return Recipe("service", noun, how, "contacts", value, 180)

    distinct = cases("cases", "distinct", "case")
    found = [
        distinct,
        derived("service", "contacts_per_case", "ratio", 180, cases("contacts", "count", "case"), distinct),
        cases("contacts_of_one_case", "most", "case"),
    ]
    for noun, column in (("agents", "agent_id"), ("channels", "channel")):
        if has(tables, "contacts", column):
            pairs = cases(f"case_{noun}", "distinct", f"case_{noun[:-1]}")
            found.append(derived("service", f"{noun}_per_case", "ratio", 180, pairs, distinct))
    if has(tables, "contacts", "resolved_at"):
        once = cases("cases_resolved_at_once", "once", "case_resolved")
        found.append(derived("service", "first_contact_resolution", "ratio", 180, once, distinct))
    return found


def incident_recipes(tables: Tables, *, horizon_days: int) -> list[Recipe]:
    """Returns the recipes of what went wrong, whether or not she spoke; with a long horizon of all her history, too."""
    if "incidents" not in tables:
        return []

    def incidents(noun: str, how: str, window: int | None, value: str = "") -> Recipe:
        return Recipe("incidents", noun, how, "incidents", value, window)

    always = (None,) if horizon_days >= LONG_HORIZON_DAYS else ()
    found = [incidents("incidents", "count", window) for window in (30, 90, YEAR, *always)]
    found.append(incidents("incident", "days_since_last", None))
    found += [
        incidents(f"incidents_{slug}", "count", window, f"kind={kind}")
        for slug, kind in kinds_of(tables["incidents"]).items()
        for window in (180, *always)
    ]
    if has(tables, "incidents", "severity"):
        found += [incidents("severity", "sum", window, "severity") for window in (90, YEAR, *always)]
        found.append(incidents("severity", "max", YEAR, "severity"))
    for noun, stream in (("order", "orders"), ("visit", "visits")):
        if stream == "orders" or stream in tables:
            coming = Recipe("incidents", f"{noun}s", "count", stream, "", YEAR)
            per = (incidents("incidents", "count", YEAR), coming)
            found.append(derived("incidents", f"incidents_per_{noun}", "ratio", YEAR, *per))
    return found


def feedback_recipes(tables: Tables) -> list[Recipe]:
    """Returns the recipes of what she said, and apart from it what others said about her."""
    if "feedback" not in tables:
        return []
    is_by_self = voice.is_by_self(tables["feedback"])
    has_score = has(tables, "feedback", "score")
    found = _by_herself(has_score=has_score) if is_by_self.any() else []
    if is_by_self.all():
        return found
    found += [Recipe("feedback", "about", "count", "about", "", window) for window in (90, YEAR)]
    return found + _scores("about_score", "about", has_score=has_score)


def _by_herself(*, has_score: bool) -> list[Recipe]:
    found = [Recipe("feedback", "feedback", "count", "feedback", "", window) for window in (90, YEAR)]
    kinds = (("complaint", (90, YEAR)), ("mention", (90, YEAR)))
    found += [
        Recipe("feedback", f"feedback_{kind}", "count", "feedback", f"kind={kind}", window)
        for kind, windows in kinds for window in windows
    ]  # fmt: skip
    return found + _scores("score", "feedback", has_score=has_score)


def _scores(noun: str, stream: str, *, has_score: bool) -> list[Recipe]:
    negative = Recipe("feedback", "negative", "count", stream, "negative", YEAR)
    rows = Recipe("feedback", "feedback", "count", stream, "", YEAR)
    share = derived("feedback", f"{noun.replace('score', '')}negative_share", "ratio", YEAR, negative, rows)
    if not has_score:
        return [share]
    last, mean = (Recipe("feedback", noun, how, stream, "score") for how in ("last", "mean"))
    year = [Recipe("feedback", noun, how, stream, "score", YEAR) for how in ("mean", "min")]
    return [last, *year, derived("feedback", f"{noun}_change", "difference", None, last, mean), share]


def invitation_recipes(tables: Tables) -> list[Recipe]:
    """Returns the recipes of surveys sent; who was never asked is apart from who did not answer."""
    if "invitations" not in tables:
        return []

    def invitations(noun: str, how: str, window: int | None, value: str = "") -> Recipe:
        return Recipe("silence", noun, how, "invitations", value, window)

    asked = invitations("invitations", "count", None)
    found = [invitations("invitations", "count", YEAR), derived("silence", "never_asked", "is_zero", None, asked)]
    if not has(tables, "invitations", "answered_at"):
        return found
    rate = {}
    for window in (90, None):
        answered = invitations("answered", "count", window, "answered")
        sent = invitations("invitations", "count", window)
        rate[window] = derived("silence", "response_rate", "ratio", window, answered, sent)
    return [
        *found,
        *(invitations("invitations_unanswered", "count", window, "unanswered") for window in (90, YEAR)),
        invitations("invitations_unanswered", "streak", None, "unanswered"),
        invitations("answered_invitation", "days_since_last", None, "answered"),
        *rate.values(),
        derived("silence", "response_rate_change", "difference", 90, rate[90], rate[None]),
    ]


def word_recipes(tables: Tables) -> list[Recipe]:
    """Returns the recipes of when she last spoke, and whether she speaks less than she did."""
    if not _has_words(tables):
        return []
    words = {window: Recipe("silence", "words", "count", "words", "", window) for window in (90, YEAR, None)}
    found = [
        *(words[window] for window in (90, YEAR)),
        Recipe("silence", "word", "days_since_last", "words"),
        derived("silence", "stopped_talking", "stopped", 90, words[90], words[YEAR]),
        drift("silence", "drift_words", words[None]),
    ]
    if voice.has_voice(tables):
        found += [
            Recipe("silence", "voice", "days_since_last", "voice"),
            Recipe("silence", "voice", "count", "voice", "", YEAR),
        ]
    if _has_own_feedback(tables):
        said = Recipe("silence", "feedback", "count", "feedback")
        found.append(drift("silence", "drift_mentions", said))
    return found


def unfollowed_recipes(tables: Tables) -> list[Recipe]:
    """Returns the recipes of incidents after which she said nothing; none where nothing she says would be seen."""
    if "incidents" not in tables or not _has_words(tables):
        return []

    def incidents(noun: str, how: str, window: int | None, value: str) -> Recipe:
        return Recipe("silence", noun, how, "incidents", value, window)

    counts = {window: incidents("incidents_unfollowed", "count", window, "unfollowed") for window in (90, YEAR)}
    matured = incidents("incidents_matured", "count", YEAR, "matured")
    found = [
        *counts.values(),
        derived("silence", "incidents_unfollowed_share", "ratio", YEAR, counts[YEAR], matured),
        incidents("unfollowed_incident", "days_since_last", None, "unfollowed"),
    ]
    if has(tables, "incidents", "severity"):
        found.append(incidents("severity_unfollowed", "sum", 180, "unfollowed_severity"))
    return found


def _has_words(tables: Tables) -> bool:
    """Whether any table holds customers' own words: where only others speak, nobody's silence can be told."""
    return "contacts" in tables or _has_own_feedback(tables)


def _has_own_feedback(tables: Tables) -> bool:
    return "feedback" in tables and bool(voice.is_by_self(tables["feedback"]).any())
