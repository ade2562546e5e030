"""A setting: everything a simulated company follows from, and the company block by block."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa

from churn.errors import ConfigError, did_you_mean
from churn.simulation.arrays import NEVER, Ints, Rows, stack
from churn.simulation.books import History
from churn.simulation.calendar import Calendar, calendar_of
from churn.simulation.contracts import bills, subscriptions
from churn.simulation.extract import Extract, history_rows
from churn.simulation.life import Company
from churn.simulation.orders import transactions
from churn.simulation.people import People, draw_people
from churn.simulation.premises import draw_premises
from churn.simulation.regimes import MECHANISMS, Regime, regimes
from churn.simulation.streams import BLOCK, Streams, block_streams, premises_stream
from churn.simulation.truth import exit_seconds, find_truth
from churn.simulation.variation import varied

TRUTHS: Final = ("truth_customers", "truth_friction", "truth_incidents")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The arguments of a company. Equal settings make equal companies, whatever machine or number of workers."""

    regime: Regime
    customers: int
    months: int
    seed: int
    block_size: int = BLOCK  # customers simulated together; part of what a seed means, as it cuts the streams

    @property
    def calendar(self) -> Calendar:
        """The days of the world."""
        return calendar_of(self.months)

    @property
    def blocks(self) -> int:
        """Number of blocks into which the customers are cut."""
        return -(-self.customers // self.block_size)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tables this company writes, the truth last."""
        return (*self.regime.tables, *TRUTHS)

    def company(self, block: int) -> Company:
        """Returns one block of customers on the first morning, with the streams that make it what it is."""
        return self._company(block, block_streams(self.seed, block=block))

    def tables(self, block: int) -> dict[str, pa.Table]:
        """Returns the tables of one block by name, each by time, as the company has them when the world ends."""
        streams = block_streams(self.seed, block=block)
        company = self._company(block, streams)
        company.live(self.calendar.days)
        history = company.history()
        return _tables(history, setting=self, people=company.people, block=block, streams=streams)

    def terms(self, people: People, *, block: int, exit_second: Ints) -> Rows:
        """Returns the contract terms of a block's customers, who leave at these moments."""
        rng = block_streams(self.seed, block=block)["contracts"]
        return subscriptions(people, exit_second=exit_second, calendar=self.calendar, rng=rng)

    def _company(self, block: int, streams: Streams) -> Company:
        calendar = self.calendar
        size = min(self.block_size, self.customers - block * self.block_size)
        people = draw_people(self.regime, customers=size, calendar=calendar, rng=streams["people"])
        premises = draw_premises(self.regime, calendar=calendar, rng=premises_stream(self.seed))
        return Company(self.regime, people=people, premises=premises, calendar=calendar, streams=streams)


def setting_of(
    regime: str | Regime, *, customers: int, months: int, seed: int, mechanism: str | None = None, vary: bool = False
) -> Setting:
    """Returns the setting of these arguments.

    `mechanism` (None: the regime's own) is how customers come to leave; `vary` draws the regime's parameters anew
    around themselves, by seed.

    Raises:
        ConfigError: an unknown regime or mechanism, or a number of customers or months that makes no world.
    """
    problems = []
    if isinstance(regime, str) and regime not in regimes:
        known = ", ".join(regimes)
        problems.append(
            f'simulate: no regime is called "{regime}"{did_you_mean(regime, list(regimes)) or "."} Use one of {known}.'
        )
    if mechanism is not None and mechanism not in MECHANISMS:
        problems.append(f'simulate: no mechanism is called "{mechanism}". Use {" or ".join(MECHANISMS)}.')
    if not 1 <= customers <= 10_000_000:
        problems.append(f"simulate: {customers} customers make no company; use 1 to 10000000.")
    if not 1 <= months <= 240:
        problems.append(f"simulate: {months} months make no world; use 1 to 240.")
    if problems:
        raise ConfigError(problems)
    chosen = regimes[regime] if isinstance(regime, str) else regime
    chosen = chosen if mechanism is None else replace(chosen, mechanism=mechanism)
    chosen = varied(chosen, seed=seed) if vary else chosen
    return Setting(regime=chosen, customers=customers, months=months, seed=seed)


def _tables(history: History, *, setting: Setting, people: People, block: int, streams: Streams) -> dict[str, pa.Table]:
    """The tables the regime keeps, and the truth."""
    regime, calendar = setting.regime, setting.calendar
    exit_second = exit_seconds(history.exits, calendar=calendar)
    first = block * setting.block_size
    extract = Extract(
        regime=regime, people=people, calendar=calendar, exit_second=exit_second, block=block, first=first
    )
    kept = history_rows(history, extract=extract)
    truth = find_truth(history.exits, people=people, calendar=calendar, kept=kept)
    details = streams["details"]
    bought = transactions(history.visits, regime=regime, people=people, rng=streams["orders"])
    made = {
        "visits": extract.visits(kept["visits"], rng=details),
        "contacts": extract.contacts(kept["contacts"], rng=details),
        "incidents": extract.incidents(kept["incidents"], visits=history.visits),
        "feedback": extract.feedback(kept["feedback"], rng=details),
        "invitations": extract.invitations(kept["invitations"]),
        "customers": extract.customers(closed_second=closing(exit_second, people=people)),
    }
    if regime.has_subscriptions:
        terms = setting.terms(people, block=block, exit_second=exit_second)
        made["subscriptions"] = extract.subscriptions(terms)
        bought = stack([bought, bills(terms)])
    made["transactions"] = extract.transactions(extract.keep(bought))
    return {name: made[name] for name in regime.tables} | {
        "truth_customers": extract.truth_customers(truth),
        "truth_friction": extract.truth_friction(history.latent),
        "truth_incidents": extract.truth_incidents(kept["all_incidents"]),
    }


def closing(exit_second: Ints, *, people: People) -> Ints:
    """Returns when leavers close their accounts, NEVER for most: within days of the exit. Shape as `exit_second`."""
    closes = (exit_second < NEVER) & (people.closing_delay < NEVER)
    return np.where(closes, np.where(closes, exit_second, 0) + np.where(closes, people.closing_delay, 0), NEVER)
