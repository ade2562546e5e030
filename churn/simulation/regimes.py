"""What kind of company is simulated: every parameter of the world, with its unit, and the named regimes."""

from dataclasses import dataclass, replace
from typing import Final

SHOP_CHANNELS: Final = ("store", "web", "app")
ALL_CHANNELS: Final = frozenset(SHOP_CHANNELS)
REMOTE_CHANNELS: Final = frozenset({"web", "app"})


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


RETAIL_KINDS: Final = (
    IncidentKind(
        name="late_delivery",
        topic="delivery",
        rate=0.075,
        told_odds=0.80,
        channels=REMOTE_CHANNELS,
        needs_order=True,
        delay_days=3.0,
    ),
    IncidentKind(name="payment_failure", topic="payment", rate=0.008, told_odds=5.0, severities=(0.3, 0.4, 0.3)),
    IncidentKind(name="stock_out", topic="stock", rate=0.022, told_odds=0.25, severities=(0.6, 0.3, 0.1)),
    IncidentKind(name="rude_service", topic="staff", rate=0.035, told_odds=0.25, channels=frozenset({"store"})),
    IncidentKind(
        name="wrong_item",
        topic="order",
        rate=0.018,
        told_odds=3.0,
        channels=REMOTE_CHANNELS,
        needs_order=True,
        delay_days=4.0,
    ),
    IncidentKind(
        name="app_outage",
        topic="app",
        rate=0.03,
        told_odds=0.30,
        channels=frozenset({"app"}),
        is_shared=True,
        severities=(0.6, 0.3, 0.1),
    ),
)

TELECOM_KINDS: Final = (
    IncidentKind(name="outage", topic="network", rate=0.012, told_odds=0.8, is_shared=True),
    IncidentKind(name="billing_error", topic="payment", rate=0.008, told_odds=4.0),
    IncidentKind(name="slow_repair", topic="repair", rate=0.006, told_odds=0.9, delay_days=3.0),
    IncidentKind(name="rude_service", topic="staff", rate=0.02, told_odds=0.25, channels=frozenset({"store"})),
)


@dataclass(frozen=True, kw_only=True)
class Regime:
    """All parameters of one simulated company; the equations they enter are in docs/simulator.md."""

    # Coming
    visits_per_day: float = 0.105  # mean over customers
    visits_shape: float = 2.0  # gamma shape across customers; `inf` makes all alike
    purchase_share_mean: float = 0.62  # share of visits that become a purchase
    purchase_share_strength: float = 20.0  # beta a + b across customers; `inf` makes all alike
    joined_before_share: float = 0.65  # share of customers with `since` before the first day
    season_strength: float = 1.0  # exponent of the season index; 0 is a flat year
    weekday_concentration: float = 12.0  # Dirichlet strength per weekday; `inf` is no habit
    vacations_per_year: float = 1.0  # pauses of 14 to 28 days

    # Buying
    basket_median: float = 32.0  # currency units per order of the median customer
    discount_share: float = 0.2  # share of orders
    return_share: float = 0.05  # share of orders
    late_row_share: float = 0.01  # share of transactions that become known up to 5 days late

    # Things that go wrong
    kinds: tuple[IncidentKind, ...] = RETAIL_KINDS
    luck_shape: float = 0.7  # gamma shape of a customer's own incident factor (mean 1)
    friction_by_severity: tuple[float, float, float] = (0.5, 1.3, 2.6)  # friction units
    friction_half_life_days: float = 45.0
    friction_matters: float = 1.0  # 0 cuts every tie between friction and behaviour

    # Voice and service
    voice_alpha: float = 0.7  # beta parameters of the voice personality
    voice_beta: float = 1.25
    voice_odds: float = 1.0  # multiplies the odds of telling for everybody
    contact_share: float = 0.66  # of told incidents: by contact; the rest by complaint or review
    complaint_share: float = 0.20  # of told incidents: by a written complaint
    resolve_share: float = 0.58  # chance that an average agent resolves at one contact
    agents: int = 40
    neutral_contacts_per_purchase: float = 0.05
    relief: float = 0.65  # share of an incident's friction that a resolution takes away

    # Being asked, and praise
    has_feedback: bool = True  # False: no feedback and no invitations table
    invitation_every_days: float = 70.0
    response_log_odds: float = -0.6  # of a frictionless customer of average voice
    reviews_per_purchase: float = 0.03
    mentions_per_day: float = 0.0025

    # Leaving
    outside_hazard: float = 0.0028  # per week
    friction_hazard: float = 0.034  # per week at one squared friction unit
    friction_hazard_cap: float = 0.5  # per week
    fade_share_silent: float = 0.68  # of leavers who had said nothing: visits fall first
    fade_share_vocal: float = 0.42
    fade_days: float = 42.0
    parting_words: float = 0.20  # times personality: a complaint around the exit
    closed_share: float = 0.05  # of leavers who close their account

    has_subscriptions: bool = False

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables this company keeps."""
        feedback = ("feedback", "invitations") if self.has_feedback else ()
        subscriptions = ("subscriptions",) if self.has_subscriptions else ()
        return ("transactions", "visits", "contacts", "incidents", *feedback, "customers", *subscriptions)


RETAIL: Final = Regime()

# No exits at all: a permanent exit shows in recency, and then something would predict leaving. With one memoryless
# rate for all, who is absent in an outcome window is a coin toss.
NO_SIGNAL: Final = replace(
    RETAIL,
    visits_per_day=0.035,
    visits_shape=float("inf"),
    purchase_share_strength=float("inf"),
    weekday_concentration=float("inf"),
    season_strength=0.0,
    vacations_per_year=0.0,
    friction_matters=0.0,
    outside_hazard=0.0,
    friction_hazard=0.0,
)

TELECOM: Final = replace(
    RETAIL,
    kinds=TELECOM_KINDS,
    visits_per_day=0.2,
    purchase_share_mean=0.06,
    season_strength=0.3,
    basket_median=12.0,
    neutral_contacts_per_purchase=0.15,
    has_subscriptions=True,
)

MUTE: Final = replace(RETAIL, has_feedback=False, voice_odds=0.01, neutral_contacts_per_purchase=0.001)

regimes: Final[dict[str, Regime]] = {"retail": RETAIL, "no_signal": NO_SIGNAL, "telecom": TELECOM, "mute": MUTE}
