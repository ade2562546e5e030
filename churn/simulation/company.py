"""A company with known truth on disk: simulated tables of what a company keeps, and beside them what it cannot see."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from churn.errors import OutputError
from churn.simulation.calendar import FIRST_DAY
from churn.simulation.files import Files, Soiler, path_of
from churn.simulation.oracle import oracle
from churn.simulation.regimes import Regime, regimes
from churn.simulation.setting import Setting, setting_of
from churn.simulation.streams import sample_stream

Tables = dict[str, pa.Table]
_EXTRAS: Final = ("truth_dirt", "truth_oracle")
_SUFFIXES: Final = ("parquet", "csv")
_FIRST_MONTH_ASKED: Final = 6  # the oracle is asked at month ends from here on


def simulate(
    directory: Path,
    *,
    customers: int = 5000,
    months: int = 24,
    regime: str | Regime = "retail",
    seed: int = 7,
    mechanism: str | None = None,
    vary: bool = False,
    dirty: bool = False,
    oracle_customers: int = 0,
    workers: int = 1,
) -> dict[str, Path]:
    """Writes the tables of a simulated company as Parquet files and returns their paths by name.

    Rows and columns: one file per table of the contract that the regime keeps, and under `truth/` what no company sees
    (names `truth_customers`, `truth_friction`, `truth_incidents`). Units: amounts in currency units with two decimals,
    times in UTC microseconds. Time rule: the world starts on 2023-01-01 and lasts `months` months; the files are what
    the company knows at its end. The same arguments give the same bytes, whatever `workers`: the number of processes
    that simulate blocks of 25,000 customers. Rows of one block are sorted by time, block after block.

    Args:
        directory: where the files go.
        customers: how many.
        months: how long the world lasts.
        regime: a name of `regimes`, or parameters of your own.
        seed: of all chance.
        mechanism: `hazard` or `hidden_states`: how customers come to leave; None is the regime's own.
        vary: draw the regime's parameters anew around themselves, by seed.
        dirty: write CSV files with messy rows instead of Parquet, and `truth_dirt`: which cells were spoiled, and how.
        oracle_customers: so many customers, drawn at random, get the probability of each outcome at month ends
            (`truth_oracle`; see `oracle`); costly.
        workers: processes.

    Raises:
        ConfigError: an unknown regime or mechanism, or a number of customers or months that makes no world.
        OutputError: `directory` cannot be written, or holds a table of another company that this one does not keep.

    Source: docs/simulator.md has the equations and where they come from.
    """
    setting = setting_of(regime, customers=customers, months=months, seed=seed, mechanism=mechanism, vary=vary)
    suffix = _SUFFIXES[dirty]
    _refuse_strangers(directory, setting=setting, suffix=suffix)
    extras = [name for name, wanted in zip(_EXTRAS, (dirty, oracle_customers > 0), strict=True) if wanted]
    paths = {name: path_of(directory, name, suffix=suffix) for name in (*setting.names, *extras)}
    made = blocks(setting, workers=workers)
    soiler = Soiler(seed=seed)
    files = Files(paths)
    try:
        for tables in made:
            for name, table in (soiler.soil(tables) if dirty else tables).items():
                files.write(name, table)
        if oracle_customers:
            files.write("truth_oracle", _oracle_table(setting, customers=oracle_customers))
        for stale in set(_EXTRAS) - set(extras):
            path_of(directory, stale).unlink(missing_ok=True)
        files.appear()
    except OSError as error:
        reason = error.strerror or "the system refused"
        where = error.filename or directory
        raise OutputError(f"simulate: cannot write {where}: {reason}; choose another directory.") from error
    finally:
        files.clear()
    return paths


def blocks(setting: Setting, *, workers: int) -> Iterator[Tables]:
    """Yields the tables of each block in order, made by so many processes; a company of one block needs none."""
    if min(workers, setting.blocks) <= 1:
        yield from (setting.tables(block) for block in range(setting.blocks))
        return
    # A fresh process each: threads of Arrow do not survive a fork.
    pool = ProcessPoolExecutor(
        min(workers, setting.blocks), mp_context=get_context("spawn"), initializer=_leave_interrupts_to_the_parent
    )
    try:
        waiting: deque[Future[Tables]] = deque()
        for block in range(setting.blocks):
            waiting.append(pool.submit(setting.tables, block))
            if len(waiting) > workers:  # one block ahead of the workers: memory stays bounded
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _oracle_table(setting: Setting, *, customers: int) -> pa.Table:
    """The oracle's probabilities for a random sample of customers, at every month end with a year's half before it."""
    size = min(customers, setting.customers)
    who = sample_stream(setting.seed).choice(setting.customers, size, replace=False)
    firsts = setting.calendar.month_starts[_FIRST_MONTH_ASKED:-1].tolist()
    is_contract = setting.regime.has_subscriptions
    asked = oracle(
        setting,
        cutoffs=[FIRST_DAY + timedelta(days=day) for day in firsts],
        customers=np.sort(who),
        horizon_days=(30,) if is_contract else (60, 90),
        gap_days=(0,) if is_contract else (0, 30),
        activity="contracts" if is_contract else "purchases",
    )
    return pa.Table.from_pandas(asked, preserve_index=False).replace_schema_metadata(None)


def _refuse_strangers(directory: Path, *, setting: Setting, suffix: str) -> None:
    """A table left by another regime, or in another format, would silently join this company."""
    every = {table for each in regimes.values() for table in each.tables}
    own = {path_of(directory, name, suffix=suffix) for name in setting.names}
    others = {path_of(directory, name, suffix=each) for name in every for each in _SUFFIXES} - own
    strangers = sorted(path.name for path in others if path.exists())
    if strangers:
        raise OutputError(
            f"simulate: {directory} already holds {', '.join(strangers)}, which this company does not keep; "
            "use an empty directory."
        )
