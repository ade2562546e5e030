"""Made-up predictions of a backtest: outcomes, a model and simple rules that know as much of them as is asked."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit

from churn.models.baselines import BASELINES
from churn.models.verdict import SILENCE_BASELINES
from churn.tables.history import DAY


def predictions(
    *, seed: int, customers: int = 300, cutoffs: int = 3, model: float = 0.0, rules: float = 0.0, silent: float = 0.0
) -> pd.DataFrame:
    """Rows as `run_backtest` gives them: every customer at every cutoff.

    Args:
        model, rules: log odds per standard deviation of what the model, and every simple rule, know of leaving.
        silent: of what the second factor knows of silent leaving.
    """
    rng = np.random.default_rng(seed)
    rows = customers * cutoffs
    customer = np.repeat(np.arange(customers), cutoffs)
    # A customer resembles herself: her rows are no independent evidence.
    own = rng.normal(size=customers)[customer]
    known, simple, heard = (0.5 * own + rng.normal(size=rows) for _ in range(3))
    has_left = rng.random(rows) < expit(-1 + 0.5 * own + model * known + rules * simple)
    has_spoken = rng.random(rows) < expit(-1 - silent * heard)
    p_leave = expit(-1 + known)
    frame = pd.DataFrame({
        "customer": customer, "at": np.tile(np.arange(cutoffs) * 10 * DAY, customers) + 100 * DAY,
        "voice_status": rng.choice(["quiet", "already_vocal", "unobservable"], rows, p=[0.8, 0.1, 0.1]),
        "is_treated": False, "has_left": has_left, "has_spoken": has_spoken, "expected_spend": rng.gamma(2, 50, rows),
        "days_since_last": rng.uniform(0, 30, rows), "margin": known, "p_leave": p_leave,
        "p_leave_low": expit(known - 1.3), "p_leave_high": expit(known - 0.7),
    })  # fmt: skip
    is_quiet, is_vocal = frame["voice_status"] == "quiet", frame["voice_status"] == "already_vocal"
    frame["p_silent"] = np.select([is_quiet, is_vocal], [p_leave * expit(1 + heard), 0.0], np.nan)
    for name in BASELINES:
        rank = np.zeros(rows) if name == "base_rate" else simple + rng.normal(0, 0.3, rows)
        frame[f"rank:{name}"], frame[f"p:{name}"] = rank, expit(-1 + rank)
    for name in SILENCE_BASELINES:
        frame[f"rank:{name}"], frame[f"p:{name}"] = p_leave, p_leave
    return frame


def labels(frame: pd.DataFrame) -> dict[int, str]:
    """The cutoffs of the rows by their moment."""
    return {int(at): f"day {at // DAY}" for at in sorted(frame["at"].unique())}
