"""What is written down day by day: the columns of each book, and all books of a company together."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from churn.simulation.arrays import Book, Rows
from churn.simulation.exits import Exits

_TYPES: Final[dict[str, dict[str, type[np.generic]]]] = {
    "visits": {
        "customer": np.int64, "second": np.int64, "channel": np.int64, "is_purchase": np.bool_, "strength": np.float64,
    },
    "incidents": {
        "customer": np.int64, "second": np.int64, "kind": np.int64, "severity": np.int64, "visit": np.int64,
        "is_recorded": np.bool_, "p_told": np.float64, "is_told": np.bool_,
    },
    "contacts": {
        "customer": np.int64, "second": np.int64, "case": np.int64, "step": np.int64, "channel": np.int64,
        "topic": np.int64, "agent": np.int64, "wait": np.int64, "handle": np.int64, "resolved": np.int64,
        "is_complaint": np.bool_,
    },
    "feedback": {
        "customer": np.int64, "second": np.int64, "kind": np.int64, "is_other": np.bool_, "is_parting": np.bool_,
        "score": np.float64, "score_min": np.float64, "score_max": np.float64, "is_higher_better": np.bool_,
        "channel": np.int64, "topic": np.int64,
    },
    "invitations": {"customer": np.int64, "second": np.int64, "answered": np.int64},
    "latent": {"customer": np.int64, "day": np.int64, "friction": np.float64, "mood": np.int64},
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class History:
    """All that happened, as numbers: moments in seconds of the world, channels, kinds and topics as codes."""

    visits: Rows
    incidents: Rows  # those in no record as well
    contacts: Rows
    feedback: Rows
    invitations: Rows
    latent: Rows  # what nobody sees, at month ends
    exits: Exits


class Books:
    """The open books of a company."""

    def __init__(self) -> None:
        self.visits, self.incidents, self.contacts, self.feedback, self.invitations, self.latent = (
            Book(types) for types in _TYPES.values()
        )

    def history(self, exits: Exits) -> History:
        """Returns everything written so far."""
        return History(
            visits=self.visits.bind(),
            incidents=self.incidents.bind(),
            contacts=self.contacts.bind(),
            feedback=self.feedback.bind(),
            invitations=self.invitations.bind(),
            latent=self.latent.bind(),
            exits=exits,
        )
