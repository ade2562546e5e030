# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From tables to drivers
#
# A walk through what `churn train` and `churn score` do, on a simulated company: the tables, one cutoff, the signals
# known at it, the outcomes after it, a model, and why it says what it says. All logic lives in the package.

# %%
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import tempfile
from pathlib import Path

import pandas as pd

from churn.config import load_config
from churn.jobs.signals_of import signals_of
from churn.jobs.simulate import simulate
from churn.models.frame import learn_prior, outcomes_of, rows
from churn.models.known import prepare
from churn.models.target import target_of
from churn.signals.catalogue import recipes_for
from churn.tables.sources import read_tables
from churn.tables.upto import upto

home = Path(tempfile.mkdtemp())
simulate(home, customers=1200, months=18, regime="retail", seed=7)
config = load_config(home / "churn.toml")

# %% [markdown]
# ## Tables
# Each table is read as the contract says: ids as text, money in cents, times in UTC.

# %%
tables, findings = read_tables(config)
pd.DataFrame({name: {"rows": table.num_rows, "columns": len(table.column_names)} for name, table in tables.items()}).T

# %% [markdown]
# ## One cutoff
# Everybody eligible at the cutoff is a row. What happened before it may become a signal, what happens after it the
# outcome.

# %%
known = prepare(tables, config=config)
target = target_of(config, horizon_days=60)
cutoff = target.cutoff(known.ends).moved(-target.span_days)
prior = learn_prior(known, cutoff.at)
frame = rows(known, target, [cutoff], prior=prior)
outcome = outcomes_of(known, target, frame, known_by=known.settled, prior=prior)
pd.crosstab(frame["voice_status"], outcome["has_left"])

# %% [markdown]
# ## Signals
# A recipe is data and its name says what it is.

# %%
recipes = recipes_for(upto(tables, cutoff.at), horizon_days=target.horizon_days, attributes=["region", "segment"])
signals = signals_of(known, frame, recipes, target=target, prior=prior)
print(len(recipes), "signals for", len(signals), "customers")
signals[["days_since_last_purchase", "own_gap", "spend_sum_90d", "incidents_count_90d"]].describe().round(1)

# %% [markdown]
# ## Learning
# Here from earlier cutoffs whose outcomes were complete by this one, as the backtest does.

# %%
from churn.models.boosting import Growing
from churn.models.factors import TrainingRows, learn, predict
from churn.models.metrics import auroc
from churn.timeline.cutoffs import purged

earlier = [cutoff.moved(-20 * number) for number in range(3, 17)]
past = purged(earlier, cutoff)
before = rows(known, target, past, prior=prior)
told = outcomes_of(known, target, before, known_by=cutoff.at, prior=prior)
training = TrainingRows(
    features=signals_of(known, before, recipes, target=target, prior=prior),
    at=before["at"].to_numpy(),
    has_left=told["has_left"].to_numpy(),
    is_quiet=(before["voice_status"] == "quiet").to_numpy(),
    has_spoken=told["has_spoken"].to_numpy(),
)
factors = learn(training, cutoffs=past, grace_days=0, can_hear=known.has_voice, growing=Growing(seed=7, threads=2))
predicted = predict(factors, signals, voice_status=frame["voice_status"].to_numpy(str), at=cutoff.at)
print("AUROC", round(auroc(outcome["has_left"], predicted["margin"]), 3))
predicted.describe().round(3)

# %% [markdown]
# ## Drivers
# Exact contributions of the signals to the raw margin, and the three that raise each customer's risk most, in words.

# %%
from churn.drivers.contributions import explain
from churn.drivers.owners import owners_of
from churn.drivers.reasons import reasons

learnt = [recipe for recipe in recipes if recipe.name in factors.leave.feature_name()]
values = explain(factors, signals, learnt)
values.by_signal.abs().mean().sort_values(ascending=False).round(3)

# %%
told = reasons(
    signals[factors.leave.feature_name()],
    values,
    learnt,
    currency=config.currency,
    activity=target.activity,
    horizon_days=target.horizon_days,
    owners=owners_of(config),
)
riskiest = predicted["p_leave"].nlargest(5).index
for row in riskiest:
    print(f"{predicted['p_leave'][row]:.0%}  {told['driver_1'][row]}: {told['reason_1'][row]}")
