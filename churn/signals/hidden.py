"""Hidden friction: the recipes of what went wrong and was never said, weighted by how unlikely she was to say it.

They are recipes like any other, but of a stream that only a voice model can make: without one they are null.
"""

from __future__ import annotations

from churn.signals.offered import Tables, has
from churn.signals.recipes import Recipe
from churn.timeline import voice

TROUBLES = "troubles"
"""The stream: incidents and contacts left unresolved, as the voice model weighs them."""

HIDDEN_DAYS = 180
"""The longest window of the recipes: older troubles need no weight."""


def hidden_recipes(tables: Tables) -> tuple[Recipe, ...]:
    """Returns the recipes of hidden friction; none where nothing goes wrong, or nothing she says would be heard.

    An incident counts as never said once it is 14 days old; younger ones of which she hasn't said anything yet are told
    apart.
    """
    if not voice.has_voice(tables) or not ("incidents" in tables or has(tables, "contacts", "resolved_at")):
        return ()
    return (
        Recipe("silence", "hidden_friction", "sum", TROUBLES, "hidden", 90),
        Recipe("silence", "hidden_friction", "sum", TROUBLES, "hidden", HIDDEN_DAYS),
        Recipe("silence", "young_friction", "sum", TROUBLES, "young", 30),
    )
