"""The protocols on real data: what their populations must be, and what was measured elsewhere on the same protocol."""

from __future__ import annotations

from dataclasses import dataclass, field

SOURCE = "measured elsewhere on the same protocol, mean of the same three test cutoffs"
"""Where the figures of `Protocol.elsewhere` come from: the note that accompanies the data, not this repository."""


@dataclass(frozen=True, slots=True)
class Published:
    """One model's figures, measured elsewhere; None where none was given."""

    auroc: float
    average_precision: float
    lift_at_10: float
    brier: float | None


@dataclass(frozen=True, slots=True)
class Protocol:
    """One protocol: an example folder, its population by test cutoff, and figures of other models.

    Attributes:
        name: of the protocol.
        title: what it is about, in one line.
        example: its folder in `examples/`.
        data: the folder its data lies in, below the folder of all real data.
        populations: test cutoff -> customers and share that leaves; both must be met to the last digit given.
        decimals: digits of the leave rates.
        elsewhere: model -> figures measured elsewhere.
        development: cutoffs on which choices are made, so that the test cutoffs stay for judging.
        targets: metric -> what a model must reach on the test cutoffs, mean of all.
        must_lead: whether each difference to the best peer must be beyond chance.
    """

    name: str
    title: str
    example: str
    data: str
    populations: dict[str, tuple[int, float]]
    decimals: int
    elsewhere: dict[str, Published]
    development: tuple[str, ...] = ()
    targets: dict[str, float] = field(default_factory=dict)
    must_lead: bool = False


ORII = Protocol(
    "ORII-90",
    "Online Retail II: who of the customers of the last 180 days doesn't buy in the next 90",
    "online_retail_ii",
    "online_retail_ii",
    {"2011-07-12": (2741, 0.471), "2011-08-11": (2791, 0.424), "2011-09-10": (2787, 0.382)},
    3,
    {
        "recency": Published(0.659, 0.576, 1.56, None),
        "RFM logistic regression": Published(0.765, 0.688, 1.90, 0.197),
        "Pareto/NBD": Published(0.769, 0.692, 1.89, 0.194),
        "BG/NBD, P(N = 0) exact": Published(0.772, 0.694, 1.91, 0.195),
        "MBG/NBD, P(N = 0) exact": Published(0.772, 0.694, 1.93, 0.195),
        "LightGBM on 4 RFM columns": Published(0.769, 0.689, 1.90, 0.199),
        "LightGBM on 45 quick columns": Published(0.785, 0.706, 1.91, 0.189),
        "LightGBM on 75 columns, blended with a logistic regression": Published(0.790, 0.712, 1.95, 0.187),
    },
    ("2011-01-12", "2011-02-11", "2011-03-13", "2011-04-13"),
    {"auroc": 0.800, "average_precision": 0.725, "lift_at_10": 1.97, "brier": 0.182},
    must_lead=True,
)

OLIST = Protocol(
    "OLIST-60",
    "Olist: which sellers with 3 orders in the last 90 days get none in the next 60",
    "olist_sellers",
    "olist",
    {"2017-12-01": (763, 0.135), "2018-03-01": (873, 0.140), "2018-06-01": (1022, 0.151)},
    3,
    {
        "recency": Published(0.781, 0.396, 3.19, None),
        "BG/NBD, P(N = 0) exact": Published(0.793, 0.387, 3.06, 0.111),
        "MBG/NBD, P(N = 0) exact": Published(0.794, 0.389, 3.14, 0.111),
        "RFM logistic regression": Published(0.799, 0.363, 2.83, 0.105),
        "LightGBM on 4 RFM columns": Published(0.798, 0.379, 3.02, 0.106),
        "LightGBM on 45 quick columns": Published(0.803, 0.394, 2.95, 0.105),
    },
    ("2017-09-01", "2017-10-01"),
    {"auroc": 0.820, "average_precision": 0.41, "brier": 0.102},
)

PROTOCOLS = (ORII, OLIST)
