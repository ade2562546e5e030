"""A company with known truth: simulated tables of what a company keeps, and beside them what it cannot see."""

import os
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from churn.errors import ConfigError, OutputError, did_you_mean
from churn.simulation.arrays import NEVER, Ints, stack
from churn.simulation.calendar import DAY, Calendar, calendar_of
from churn.simulation.contracts import bills, subscriptions
from churn.simulation.extract import Extract, history_rows
from churn.simulation.life import TOPICS, Company, History
from churn.simulation.orders import transactions
from churn.simulation.people import People, draw_people
from churn.simulation.regimes import Regime, regimes
from churn.simulation.truth import exit_seconds, find_truth

_STREAMS: Final = ("people", *TOPICS, "orders", "contracts", "details")
_CLOSES_WITHIN: Final = 10 * DAY


def simulate(
    directory: Path, *, customers: int = 5000, months: int = 24, regime: str = "retail", seed: int = 7
) -> dict[str, Path]:
    """Writes the tables of a simulated company as Parquet files and returns their paths by name.

    Rows and columns: one file per table of the contract that the regime keeps, and `truth/customers.parquet` and
    `truth/friction.parquet` (names `truth_customers`, `truth_friction`). Units: amounts in currency units with two
    decimals, times in UTC microseconds. Time rule: the world starts on 2023-01-01 and lasts `months` months; the files
    are what the company knows at its end. The same arguments give the same bytes.

    Raises:
        ConfigError: an unknown regime, or a number of customers or months that makes no world.
        OutputError: `directory` cannot be written, or holds a table of another company that this one does not keep.

    Source: docs/simulator.md has the equations and where they come from.
    """
    settings = _check(customers=customers, months=months, regime=regime)
    _refuse_strangers(directory, settings)
    tables = build(settings, customers=customers, months=months, seed=seed)
    # The truth comes first: tables beside it are known as simulated even if this run is killed before its end.
    first = sorted(tables, key=lambda name: not name.startswith("truth_"))
    paths = {name: _write(tables[name], directory=directory, name=name) for name in first}
    return {name: paths[name] for name in tables}


def build(regime: Regime, *, customers: int, months: int, seed: int) -> dict[str, pa.Table]:
    """Returns the tables of a company of any regime, in memory and by name; see `simulate`."""
    children = np.random.SeedSequence(seed).spawn(len(_STREAMS))
    streams = {name: np.random.default_rng(child) for name, child in zip(_STREAMS, children, strict=True)}
    calendar = calendar_of(months)
    people = draw_people(regime, customers=customers, calendar=calendar, rng=streams["people"])
    history = Company(regime, people=people, calendar=calendar, streams=streams).live()
    return _tables(history, regime=regime, people=people, calendar=calendar, streams=streams)


def _tables(
    history: History,
    *,
    regime: Regime,
    people: People,
    calendar: Calendar,
    streams: dict[str, np.random.Generator],
) -> dict[str, pa.Table]:
    """The tables the regime keeps, and the truth."""
    exit_second = exit_seconds(history.exits, calendar=calendar)
    extract = Extract(regime=regime, people=people, calendar=calendar, exit_second=exit_second)
    kept = history_rows(history, extract=extract)
    truth = find_truth(history.exits, people=people, calendar=calendar, kept=kept)
    orders, details = streams["orders"], streams["details"]
    bought = transactions(history.visits, regime=regime, people=people, rng=orders)
    made = {
        "visits": extract.visits(kept["visits"], rng=details),
        "contacts": extract.contacts(kept["contacts"], rng=details),
        "incidents": extract.incidents(kept["incidents"], visits=history.visits),
        "feedback": extract.feedback(kept["feedback"], rng=details),
        "invitations": extract.invitations(kept["invitations"]),
        "customers": extract.customers(closed_second=_closing(exit_second, share=regime.closed_share, rng=details)),
    }
    if regime.has_subscriptions:
        terms = subscriptions(people, exit_second=exit_second, calendar=calendar, rng=streams["contracts"])
        made["subscriptions"] = extract.subscriptions(terms)
        bought = stack([bought, bills(terms)])
    made["transactions"] = extract.transactions(extract.keep(bought))
    return {name: made[name] for name in regime.tables} | {
        "truth_customers": extract.truth_customers(truth),
        "truth_friction": extract.truth_friction(history.friction),
    }


def _closing(exit_second: Ints, *, share: float, rng: np.random.Generator) -> Ints:
    """When leavers close their accounts, if they do: within days of the exit."""
    size = len(exit_second)
    closes = (rng.random(size) < share) & (exit_second < NEVER)
    return np.where(closes, np.where(closes, exit_second, 0) + rng.integers(0, _CLOSES_WITHIN, size), NEVER)


def _check(*, customers: int, months: int, regime: str) -> Regime:
    """The named regime; all that is wrong with the arguments at once."""
    problems = []
    if regime not in regimes:
        known = ", ".join(regimes)
        problems.append(
            f'simulate: no regime is called "{regime}"{did_you_mean(regime, list(regimes)) or "."} Use one of {known}.'
        )
    if not 1 <= customers <= 10_000_000:
        problems.append(f"simulate: {customers} customers make no company; use 1 to 10000000.")
    if not 1 <= months <= 240:
        problems.append(f"simulate: {months} months make no world; use 1 to 240.")
    if problems:
        raise ConfigError(problems)
    return regimes[regime]


def _path(directory: Path, name: str) -> Path:
    """`truth_customers` lies in its own folder, so that nobody reads the truth by accident."""
    folder, stem = (
        (directory / "truth", name.removeprefix("truth_")) if name.startswith("truth_") else (directory, name)
    )
    return folder / f"{stem}.parquet"


def _refuse_strangers(directory: Path, regime: Regime) -> None:
    """A table left by another regime would silently join this company."""
    every = {table for each in regimes.values() for table in each.tables}
    strangers = sorted(table for table in every - set(regime.tables) if _path(directory, table).exists())
    if strangers:
        names = ", ".join(f"{table}.parquet" for table in strangers)
        raise OutputError(
            f"simulate: {directory} already holds {names}, which this company does not keep; use an empty directory."
        )


def _write(table: pa.Table, *, directory: Path, name: str) -> Path:
    """Writes one file whole or not at all."""
    path = _path(directory, name)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                pq.write_table(table, file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or "the system refused"
        raise OutputError(f"simulate: cannot write {path}: {reason}; choose another directory.") from error
    return path
