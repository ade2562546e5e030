"""What can go wrong in a user's hands: each error says what, where, how many, and the fix; never a traceback."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class ChurnError(Exception):
    """A problem the user can mend; carries every problem found at once and the exit code of the command.

    Args:
        problems: one sentence per problem, in the user's own names, each with its fix.
    """

    exit_code = 2

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class ConfigError(ChurnError):
    """`churn.toml` is missing, malformed, or says something that cannot be meant."""


class TableError(ChurnError):
    """A table cannot be read as the contract asks."""


class CutoffError(ChurnError):
    """A cutoff has no complete outcome window, or no history before it."""


class NotEnoughDataError(ChurnError):
    """Too few customers, leavers or cutoffs to learn from; the message says how much is needed."""


class LeakError(ChurnError):
    """A signal knows the outcome too well to be honest."""


class BundleError(ChurnError):
    """A bundle on disk is damaged, of another version, or not one of ours."""


class OutputError(ChurnError):
    """A file cannot be written where the user asked for it."""


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Returns `; did you mean "..."?` for the closest known word, or an empty string.

    >>> did_you_mean("scroe", ["score", "time"])
    '; did you mean "score"?'
    """
    close = get_close_matches(word, known, n=1)
    return f'; did you mean "{close[0]}"?' if close else ""
