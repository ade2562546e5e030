"""Explained: whose scores come with reasons. Reasons cost more than a probability, and only those who act read them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from churn.config import Config
from churn.errors import ConfigError
from churn.models.verdict import ALERT_SHARE

_WRITTEN = re.compile(r"all|top:(?P<count>[1-9]\d*)|above:(?P<above>0|0?\.\d+)")


@dataclass(frozen=True, slots=True)
class Explained:
    """Whose scores come with reasons.

    Attributes:
        kind: `all` who are scored, the `top` by value at risk, or those `above` a probability.
        count: of the top.
        above: the probability p_leave must exceed.
    """

    kind: Literal["all", "top", "above"]
    count: int = 0
    above: float = 0.0

    def __str__(self) -> str:
        # To the last digit and without an exponent: it is read back, and names what a finished file was made with.
        above = np.format_float_positional(self.above, trim="-")
        values = {"all": "", "top": f":{self.count}", "above": f":{above}"}
        return self.kind + values[self.kind]

    @property
    def is_chosen_together(self) -> bool:
        """Whether all customers must have been scored before it is known whose reasons are told."""
        return self.kind == "top"

    def at_once(self, p_leave: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Returns which rows are explained together with being scored, shape (rows,)."""
        if self.kind == "above":
            return p_leave > self.above
        return np.full(len(p_leave), self.kind == "all")


def explained_from(text: str) -> Explained:
    """Returns what `all`, `top:N` or `above:P` means.

    Raises:
        ConfigError: the text is none of them.

    >>> str(explained_from("top:500")), str(explained_from("above:0.3"))
    ('top:500', 'above:0.3')
    """
    written = _WRITTEN.fullmatch(text.strip())
    if written is None:
        raise ConfigError(
            f'--reasons "{text}" is none of: all (everybody), top:500 (the 500 with the highest value at risk), '
            "above:0.3 (p_leave above 30 %)"
        )
    if written["count"]:
        return Explained("top", count=int(written["count"]))
    return Explained("above", above=float(written["above"])) if written["above"] else Explained("all")


def by_the_budget(config: Config, *, scored: int) -> Explained:
    """Returns the top of the contact budget: `[contact] budget`, else a tenth of those who are scored.

    They are those with the highest value at risk, as the report chooses whom to call.
    """
    return Explained("top", count=config.contact.budget or max(1, round(ALERT_SHARE * scored)))
