"""What kind of company is simulated: every parameter of the world, with its unit, and the named regimes."""

from dataclasses import dataclass, replace
from typing import Final

from churn.simulation import kinds
from churn.simulation.kinds import ALL_CHANNELS, STORE_ONLY, IncidentKind

HAZARD: Final = "hazard"
HIDDEN_STATES: Final = "hidden_states"
MECHANISMS: Final = (HAZARD, HIDDEN_STATES)

# Index of coming by month, January first; each has mean 1.
_RETAIL_SEASON: Final = (0.88, 0.86, 0.93, 0.95, 0.97, 0.96, 0.92, 0.92, 0.98, 1.03, 1.25, 1.35)
_HOTEL_SEASON: Final = (0.70, 0.75, 0.85, 0.95, 1.05, 1.20, 1.40, 1.40, 1.10, 1.00, 0.75, 0.85)


@dataclass(frozen=True, kw_only=True)
class Regime:
    """All parameters of one simulated company; the equations they enter are in docs/simulator.md."""

    # Coming
    visits_per_day: float = 0.105  # mean over customers
    visits_shape: float = 2.0  # gamma shape across customers; `inf` makes all alike
    purchase_share_mean: float = 0.62  # share of visits that become a purchase
    purchase_share_strength: float = 20.0  # beta a + b across customers; `inf` makes all alike
    joined_before_share: float = 0.65  # share of customers with `since` before the first day
    season: tuple[float, ...] = _RETAIL_SEASON
    season_strength: float = 1.0  # exponent of the season index; 0 is a flat year
    weekday_concentration: float = 12.0  # Dirichlet strength per weekday; `inf` is no habit
    vacations_per_year: float = 1.0  # pauses of 14 to 28 days
    seasonal_share: float = 0.06  # share of customers who pause for 60 to 110 days at the same time of every year
    channel_taste: tuple[float, float, float] = (1.0, 1.0, 1.0)  # weights of SHOP_CHANNELS beside the age's taste

    # Buying
    basket_median: float = 32.0  # currency units per order of the median customer
    discount_share: float = 0.2  # share of orders
    return_share: float = 0.05  # share of orders
    late_row_share: float = 0.01  # share of transactions that become known up to 5 days late

    # Things that go wrong
    kinds: tuple[IncidentKind, ...] = kinds.RETAIL
    recorded_share: float = 0.95  # share of incidents that the company's books show
    luck_shape: float = 0.7  # gamma shape of a customer's own incident factor (mean 1)
    places: int = 24  # stores, hotels or sellers; a customer has one of them
    place_shape: float = 4.0  # gamma shape of a place's factor on incidents there (mean 1)
    place_channels: frozenset[str] = STORE_ONLY  # shop channels in which the place matters
    rude_share: float = 0.03  # chance that a contact with a person of average manner is an unkind one
    manner_shape: float = 1.0  # gamma shape of an agent's unkindness (mean 1)
    sensitivity_spread: float = 0.30  # log-normal spread of how much a customer minds (mean 1)
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

    # A world that changes
    talk_trend: float = 1.0  # factor per year on the chances of answering and of telling
    closing_channel: str | None = None  # service channel that closes in the middle of the world
    closing_loss: float = 0.2  # share of what was told by contact that is told nobody afterwards

    # Leaving
    mechanism: str = HAZARD
    outside_hazard: float = 0.0028  # per week
    friction_hazard: float = 0.046  # per week at one squared friction unit
    friction_hazard_cap: float = 0.5  # per week
    fade_share_silent: float = 0.68  # of leavers who had said nothing: visits fall first
    fade_share_vocal: float = 0.42
    fade_days: float = 42.0
    parting_words: float = 0.20  # times personality: a complaint around the exit
    closed_share: float = 0.05  # of leavers who close their account
    partial_share: float = 0.15  # of deciders who take part of their custom elsewhere (once) instead of leaving
    partial_level: tuple[float, float] = (0.25, 0.50)  # what is left of their visit rate

    # Leaving by hidden states (mechanism "hidden_states"): loyal, wavering, leaving
    push: float = 0.60  # loyal to wavering: chance 1 - exp(-push x sensitivity x friction raised)
    pull: float = 0.5  # wavering to loyal: chance at a resolution
    doubt_hazard: float = 0.0025  # per week, loyal to wavering without any push
    calm_hazard: float = 0.05  # per week, wavering to loyal by itself
    break_hazard: float = 0.07  # per week, wavering to leaving
    leaving_days: float = 28.0  # mean days between the decision and the exit
    wavering_strength: float = 0.85  # of her own visit rate
    leaving_strength: float = 0.35
    mood_pressure: tuple[float, float, float] = (0.0, 0.7, 1.5)  # by state, what friction is in the other mechanism

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
    seasonal_share=0.0,
    friction_matters=0.0,
    outside_hazard=0.0,
    friction_hazard=0.0,
    push=0.0,
    doubt_hazard=0.0,
)

TELECOM: Final = replace(
    RETAIL,
    kinds=kinds.TELECOM,
    visits_per_day=0.2,
    purchase_share_mean=0.06,
    season_strength=0.3,
    basket_median=12.0,
    neutral_contacts_per_purchase=0.15,
    has_subscriptions=True,
)

MARKETPLACE: Final = replace(
    RETAIL,
    kinds=kinds.MARKETPLACE,
    visits_per_day=0.14,
    visits_shape=1.0,
    purchase_share_mean=0.28,
    purchase_share_strength=8.0,
    channel_taste=(0.0, 1.0, 1.0),
    basket_median=28.0,
    places=200,
    place_shape=1.0,
    place_channels=ALL_CHANNELS,
    resolve_share=0.5,
)

# Guests come a few times a year: everything is slower, and most customers pause with their season.
HOTEL: Final = replace(
    RETAIL,
    kinds=kinds.HOTEL,
    visits_per_day=0.014,
    visits_shape=1.2,
    purchase_share_mean=0.93,
    season=_HOTEL_SEASON,
    weekday_concentration=30.0,
    vacations_per_year=0.0,
    seasonal_share=0.25,
    channel_taste=(3.0, 1.0, 0.5),
    basket_median=210.0,
    return_share=0.03,
    places=12,
    place_shape=3.0,
    place_channels=ALL_CHANNELS,
    friction_half_life_days=150.0,
    invitation_every_days=90.0,
    reviews_per_purchase=0.08,
    outside_hazard=0.0018,
    friction_hazard=0.014,
    fade_days=120.0,
    calm_hazard=0.02,
    break_hazard=0.025,
    leaving_days=90.0,
)

TALKATIVE: Final = replace(
    RETAIL,
    voice_alpha=1.6,
    voice_beta=0.9,
    voice_odds=1.5,
    response_log_odds=0.4,
    reviews_per_purchase=0.06,
    mentions_per_day=0.005,
    parting_words=0.6,
)

MUTE: Final = replace(RETAIL, has_feedback=False, voice_odds=0.01, neutral_contacts_per_purchase=0.001)

# Direct feedback has been reported to fall by some 7 % since 2021; here it does so every year.
DRIFTING: Final = replace(RETAIL, talk_trend=0.93, closing_channel="phone")

regimes: Final[dict[str, Regime]] = {
    "retail": RETAIL, "telecom": TELECOM, "marketplace": MARKETPLACE, "hotel": HOTEL, "talkative": TALKATIVE,
    "mute": MUTE, "no_signal": NO_SIGNAL, "drifting": DRIFTING,
}  # fmt: skip
