"""Parameters drawn anew for every seed, so that what is tuned on some seeds can be judged on others."""

from dataclasses import replace
from typing import Any, Final

import numpy as np

from churn.simulation.regimes import Regime
from churn.simulation.streams import variation_stream

# Standard deviation of the log of each factor.
_FACTORS: Final = {
    "visits_per_day": 0.20, "visits_shape": 0.20, "basket_median": 0.20, "luck_shape": 0.20, "place_shape": 0.30,
    "sensitivity_spread": 0.30, "friction_half_life_days": 0.25, "voice_alpha": 0.20, "voice_beta": 0.20,
    "neutral_contacts_per_purchase": 0.20, "invitation_every_days": 0.15, "reviews_per_purchase": 0.30,
    "mentions_per_day": 0.30, "outside_hazard": 0.25, "friction_hazard": 0.25, "fade_days": 0.25, "parting_words": 0.30,
    "push": 0.20, "doubt_hazard": 0.25, "calm_hazard": 0.25, "break_hazard": 0.25, "leaving_days": 0.25,
}  # fmt: skip
# Standard deviation of what is added to the log odds of each share.
_SHARES: Final = {
    "purchase_share_mean": 0.20, "contact_share": 0.20, "resolve_share": 0.30, "relief": 0.30,
    "fade_share_silent": 0.30, "fade_share_vocal": 0.30, "partial_share": 0.30, "seasonal_share": 0.30, "pull": 0.30,
}  # fmt: skip
_RESPONSE: Final = 0.3  # added to the log odds of answering
_KINDS: Final = 0.25  # log factor on each kind's rate and on its odds of being told


def varied(regime: Regime, *, seed: int) -> Regime:
    """Returns the regime with its parameters varied at random around themselves, the same for the same seed.

    Rates and durations are multiplied by log-normal factors, shares move on the log-odds scale; what is zero or
    infinite (in `no_signal`) stays so.

    >>> from churn.simulation.regimes import regimes
    >>> varied(regimes["no_signal"], seed=1).friction_hazard
    0.0
    """
    rng = variation_stream(seed)
    factors = {name: float(np.exp(rng.normal(0.0, spread))) for name, spread in _FACTORS.items()}
    shifts = {name: float(rng.normal(0.0, spread)) for name, spread in _SHARES.items()}
    response = regime.response_log_odds + float(rng.normal(0.0, _RESPONSE))
    by_kind = np.exp(rng.normal(0.0, _KINDS, (len(regime.kinds), 2))).tolist()
    kinds = tuple(
        replace(kind, rate=kind.rate * rate, told_odds=kind.told_odds * told)
        for kind, (rate, told) in zip(regime.kinds, by_kind, strict=True)
    )
    changed: dict[str, Any] = {name: getattr(regime, name) * factor for name, factor in factors.items()}
    changed |= {name: _moved(getattr(regime, name), shift) for name, shift in shifts.items()}
    return replace(regime, **changed, response_log_odds=response, kinds=kinds)


def _moved(share: float, shift: float) -> float:
    if not 0.0 < share < 1.0:
        return share
    odds = share / (1.0 - share) * float(np.exp(shift))
    return odds / (1.0 + odds)
