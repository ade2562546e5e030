"""Who speaks, told: the voice model beside what is in the rows, and beside the personality that nobody knows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from figures import Table, interval

Voice = dict[str, Any]


def voice_tables(voice: Voice) -> list[Table]:
    """Returns the tables of who speaks, none where nobody could be judged."""
    return [table for table in (_voice(voice), _earlier(voice)) if table]


def with_seen_share(voice: Voice) -> Voice:
    """Returns figures of who speaks with the share of the known personality that is in the rows.

    Figures kept before it was measured get it from the two AUROCs, its interval as if these were independent: they
    are of the same rows, so it is wider than it would be.

    >>> seen, known = {"mean": 0.7, "low": 0.68, "high": 0.72}, {"mean": 0.9, "low": 0.9, "high": 0.9}
    >>> scores = {"seen": seen, "personality": known}
    >>> {name: round(value, 3) for name, value in with_seen_share({"scores": scores})["seen_share"].items()}
    {'mean': 0.5, 'low': 0.45, 'high': 0.55}
    """
    if "seen_share" in voice or "scores" not in voice:
        return voice
    seen, known = voice["scores"]["seen"], voice["scores"]["personality"]
    advantage = known["mean"] - 0.5
    mean = (seen["mean"] - 0.5) / advantage
    half = math.hypot(seen["high"] - seen["low"], mean * (known["high"] - known["low"])) / 2 / advantage
    return {**voice, "seen_share": {"mean": mean, "low": mean - half, "high": mean + half}}


def _voice(voice: Voice) -> Table | None:
    scores = voice.get("scores")
    if scores is None:
        return None
    about = f"Who tells of {voice['rows']:,} later incidents ({voice['told']:.0%} were told):"
    names = {
        "model": "voice model", "by_kind": "by kind alone", "seen": "who knows the equations, and what she told before",
        "personality": "who knows each personality",
    }  # fmt: skip
    of_known = {"model": "share", "seen": "seen_share"}
    rows = [
        (names[name], interval(score), _told(voice, of_known.get(name)),
         _told(voice, "share_of_seen" if name == "seen" else None))
        for name, score in scores.items()
    ]  # fmt: skip
    header = ("who", "AUROC", "its share of the known personality's", "the voice model's share of it")
    return Table(about, header, rows)


def _earlier(voice: Voice) -> Table | None:
    told = voice.get("by_earlier")
    if not told:
        return None
    rows = [
        (_counted(some["from"], some["until"]), f"{some['rows']:,}",
         *(interval(some["scores"][name]) for name in ("model", "seen", "personality")))
        for some in told
    ]  # fmt: skip
    header = ("incidents on record before", "rows", "voice model", "who knows the equations", "the known personality")
    return Table("The same AUROC by how much is known of her:", header, rows)


def _counted(low: int, high: int | None) -> str:
    """A range of counts as text.

    >>> _counted(2, 4), _counted(1, 2), _counted(4, None)
    ('2 to 3', '1', '4 or more')
    """
    if high is None:
        return f"{low} or more"
    return f"{low}" if high == low + 1 else f"{low} to {high - 1}"


def _told(figures: Mapping[str, Any], name: str | None) -> str:
    return interval(figures[name]) if name in figures else ""
