"""What is predicted: the few choices that define the question, frozen into every bundle."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from churn.config import Config
from churn.timeline.cutoffs import GRACE_DAYS, Cutoff


@dataclass(frozen=True, slots=True)
class Target:
    """Who is asked about, what leaving means, and over which window.

    Attributes:
        activity: `purchases` or `visits`.
        horizon_days: length of the outcome window.
        gap_days: days between the cutoff and the window.
        population: `rhythm`, `active:<days>[:<least>]`, or `contract`.
        leave: `hard` or `hard+partial`.
        timezone: whose local days are active days.
    """

    activity: str
    horizon_days: int
    gap_days: int
    population: str
    leave: str
    timezone: str

    @property
    def is_contractual(self) -> bool:
        """Whether leaving means not renewing a contract."""
        return self.population == "contract"

    @property
    def grace_days(self) -> int:
        """Days after the window until the outcome is settled."""
        return GRACE_DAYS if self.is_contractual else 0

    @property
    def span_days(self) -> int:
        """Days from a cutoff until its outcome is settled."""
        return self.gap_days + self.horizon_days + self.grace_days

    def cutoff(self, at: int) -> Cutoff:
        """Returns the cutoff at a moment (microseconds UTC)."""
        return Cutoff(at, self.gap_days, self.horizon_days)

    def to_dict(self) -> dict[str, Any]:
        """Returns the target as plain JSON."""
        return asdict(self)


def target_of(config: Config, *, horizon_days: int) -> Target:
    """Returns the target that a configuration describes, with the horizon it sets or the proposed one."""
    return Target(
        activity=config.activity, horizon_days=config.horizon_days or horizon_days, gap_days=config.gap_days,
        population=config.population, leave=config.leave, timezone=config.timezone,
    )  # fmt: skip
