"""What can go wrong, by trade: the kinds of incidents, how often they strike and how often they are told."""

from dataclasses import dataclass
from typing import Final

SHOP_CHANNELS: Final = ("store", "web", "app")
ALL_CHANNELS: Final = frozenset(SHOP_CHANNELS)
REMOTE_CHANNELS: Final = frozenset({"web", "app"})
STORE_ONLY: Final = frozenset({"store"})
NOWHERE: Final = frozenset[str]()  # not at a visit: only where an unkind agent answers

_MILD: Final = (0.6, 0.3, 0.1)
_GRAVE: Final = (0.3, 0.4, 0.3)


@dataclass(frozen=True, kw_only=True)
class IncidentKind:
    """One way in which a visit goes wrong.

    >>> IncidentKind(name="rude_service", topic="staff", rate=0.02, told_odds=0.4).delay_days
    0.0
    """

    name: str
    topic: str  # what a contact about it is filed under
    rate: float  # probability per visit of an average customer in one of `channels`
    told_odds: float  # multiplies the odds of the customer's voice personality
    channels: frozenset[str] = ALL_CHANNELS  # where it can happen
    needs_order: bool = False  # only after a purchase
    delay_days: float = 0.0  # mean days between the visit and the moment she notices; > 0 means it comes by delivery
    is_shared: bool = False  # strikes many customers on the same few days
    severities: tuple[float, float, float] = (0.40, 0.40, 0.20)  # probabilities of severity 1, 2, 3


RUDE: Final = "rude_service"  # the kind that an unkind agent causes at a contact, too
_RUDE_STORE: Final = IncidentKind(name=RUDE, topic="staff", rate=0.035, told_odds=0.25, channels=STORE_ONLY)

RETAIL: Final = (
    IncidentKind(
        name="late_delivery", topic="delivery", rate=0.075, told_odds=0.80, channels=REMOTE_CHANNELS,
        needs_order=True, delay_days=3.0,
    ),
    IncidentKind(name="payment_failure", topic="payment", rate=0.008, told_odds=5.0, severities=_GRAVE),
    IncidentKind(name="stock_out", topic="stock", rate=0.022, told_odds=0.25, severities=_MILD),
    _RUDE_STORE,
    IncidentKind(
        name="wrong_item", topic="order", rate=0.018, told_odds=3.0, channels=REMOTE_CHANNELS,
        needs_order=True, delay_days=4.0,
    ),
    IncidentKind(
        name="app_outage", topic="app", rate=0.03, told_odds=0.30, channels=frozenset({"app"}),
        is_shared=True, severities=_MILD,
    ),
)  # fmt: skip

TELECOM: Final = (
    IncidentKind(name="outage", topic="network", rate=0.012, told_odds=0.8, is_shared=True),
    IncidentKind(name="billing_error", topic="payment", rate=0.008, told_odds=4.0),
    IncidentKind(name="slow_repair", topic="repair", rate=0.006, told_odds=0.9, delay_days=3.0),
    IncidentKind(name=RUDE, topic="staff", rate=0.02, told_odds=0.25, channels=STORE_ONLY),
)

MARKETPLACE: Final = (
    IncidentKind(name="late_delivery", topic="delivery", rate=0.11, told_odds=0.80, needs_order=True, delay_days=5.0),
    IncidentKind(name="wrong_item", topic="order", rate=0.035, told_odds=3.0, needs_order=True, delay_days=5.0),
    IncidentKind(
        name="refund_refused", topic="payment", rate=0.015, told_odds=5.0, needs_order=True, delay_days=9.0,
        severities=_GRAVE,
    ),
    IncidentKind(name="seller_mute", topic="seller", rate=0.03, told_odds=0.40, needs_order=True, severities=_MILD),
    IncidentKind(name=RUDE, topic="staff", rate=0.0, told_odds=0.25, channels=NOWHERE),
)  # fmt: skip

HOTEL: Final = (
    IncidentKind(name="dirty_room", topic="room", rate=0.09, told_odds=1.0),
    IncidentKind(name="noise", topic="room", rate=0.10, told_odds=0.40, severities=_MILD),
    IncidentKind(name="overbooked", topic="booking", rate=0.02, told_odds=4.0, severities=_GRAVE),
    IncidentKind(name="billing_error", topic="payment", rate=0.03, told_odds=4.0, needs_order=True),
    IncidentKind(name=RUDE, topic="staff", rate=0.05, told_odds=0.25),
)
