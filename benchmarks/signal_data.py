"""Signal data: the tables that everyone in the benchmark of signals starts from, made anew from a seed.

Canonical tables (tables/contract.py) as Parquet, several files each, rows in the order of time as exports are. They are
written a chunk of time at a time, so a hundred million rows need little more memory than the list of customers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

DAY = 86_400_000_000
THREADS = 2
"""As many as everyone in the benchmark may use."""
STARTS = 18_993 * DAY
"""1 January 2022, microseconds UTC."""
HISTORY_DAYS = 1_096
"""Three years: each of 24 cutoffs 30 days apart has behind it the whole year that the longest windows ask for."""
AFTER_LAST_CUTOFF_DAYS = 30
ACTIVE_DAYS = 365
SHARES = {"transactions": 1.0, "visits": 0.5, "contacts": 0.05, "feedback": 0.03}
"""Rows of each table for one transaction."""
TRANSACTIONS_PER_CUSTOMER = 56
EVERY_DAYS = {1: 30, 8: 30, 24: 30, 52: 7}
"""Days between cutoffs, by how many there are."""

_CHUNK_ROWS = 200_000
_CHUNKS_PER_FILE = 8
_CHANNELS = ("app", "phone", "store", "web")
_CATEGORIES = tuple(f"category {number:02d}" for number in range(20))
_TOPICS = ("bill", "delivery", "order", "other", "product", "return")
_KINDS = ("csat", "nps")

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Scale:
    """How much data there is.

    Attributes:
        transactions: rows of `transactions`; the other tables follow `SHARES`.
        seed: of every random draw.
    """

    transactions: int
    seed: int = 7

    @property
    def customers(self) -> int:
        """How many customers there are, active or not."""
        return max(1, self.transactions // TRANSACTIONS_PER_CUSTOMER)

    @property
    def events(self) -> int:
        """Rows of all tables."""
        return sum(int(self.transactions * share) for share in SHARES.values())


@dataclass(frozen=True, slots=True)
class _Base:
    """The customers in the order in which they join: ids, how lively each is, first and last day from STARTS."""

    ids: pa.StringArray
    weight: Float64
    joins: Float64
    leaves: Float64


def cutoffs(count: int) -> list[int]:
    """Returns the cutoffs, microseconds UTC, rising; the last is the same for every count.

    >>> [(at - cutoffs(8)[0]) // DAY for at in cutoffs(8)]
    [0, 30, 60, 90, 120, 150, 180, 210]
    """
    last = STARTS + (HISTORY_DAYS - AFTER_LAST_CUTOFF_DAYS) * DAY
    return [last - EVERY_DAYS[count] * DAY * back for back in reversed(range(count))]


def make(folder: Path, scale: Scale, *, counts: Collection[int] = tuple(EVERY_DAYS)) -> None:
    """Writes all tables and the rows of some counts of cutoffs into `folder`, unless they stand there already."""
    told = folder / "made.json"
    wanted = {**asdict(scale), "days": HISTORY_DAYS, "shares": SHARES, "per_customer": TRANSACTIONS_PER_CUSTOMER}
    wanted["counts"] = sorted(counts)
    if told.is_file() and json.loads(told.read_text(encoding="utf-8")) == wanted:
        return
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} holds other data; name another folder, or remove it")
    base = _base(scale)
    for place, (name, share) in enumerate(SHARES.items()):
        rng = np.random.default_rng([scale.seed, place])
        _write(folder / name, _tables(_COLUMNS[name], base, int(scale.transactions * share), rng))
    for count in counts:
        _write_rows(folder, count)
    told.write_text(json.dumps(wanted), encoding="utf-8")


def rows_file(folder: Path, count: int) -> Path:
    """Returns the file of (customer_id, at), sorted by both: everyone who bought in the year before each cutoff."""
    return folder / f"rows_{count}.parquet"


def _base(scale: Scale) -> _Base:
    rng = np.random.default_rng([scale.seed, len(SHARES)])
    size = scale.customers
    joins = np.sort(np.where(rng.random(size) < 0.7, 0.0, rng.random(size) * HISTORY_DAYS))
    leaves = joins + rng.exponential(5 * HISTORY_DAYS, size) + 60
    ids = np.char.add("c", np.char.zfill(rng.permutation(size).astype("U8"), 8))
    return _Base(pa.array(ids, pa.string()), rng.gamma(1.2, 1.0, size) + 0.05, joins, leaves)


def _tables(
    columns: Callable[[Int64, Rng], dict[str, pa.Array]], base: _Base, rows: int, rng: Rng
) -> Iterator[pa.Table]:
    """One table per chunk of time; each chunk has rows in proportion to how lively the customers are who are there."""
    chunks = max(12, round(rows / _CHUNK_ROWS))
    edges = np.linspace(0, HISTORY_DAYS, chunks + 1)
    lively = [base.weight[(base.joins <= low) & (base.leaves >= low)].sum() for low in edges[:-1]]
    stops = np.rint(np.cumsum(lively) / np.sum(lively) * rows).astype(np.int64)
    heap = np.cumsum(base.weight)
    for chunk, count in enumerate(np.diff(stops, prepend=0)):
        code, day = _drawn(base, heap, int(count), edges[chunk], edges[chunk + 1], rng)
        time = STARTS + (day * DAY).astype(np.int64)
        fixed = {"customer_id": base.ids.take(pa.array(code)), "time": pa.array(time, pa.timestamp("us", tz="UTC"))}
        yield pa.table(fixed | columns(code, rng))


def _drawn(base: _Base, heap: Float64, count: int, low: float, high: float, rng: Rng) -> tuple[Int64, Float64]:
    """Who comes when, in the order of time: draws by weight, those who aren't there yet or any more drawn again."""
    joined = max(1, int(np.searchsorted(base.joins, high)))
    codes, days, missing = [], [], count
    while missing > 0:
        drawn = int(missing * 1.5) + 100
        code = np.searchsorted(heap[:joined], rng.random(drawn) * heap[joined - 1], side="right")
        day = low + rng.random(drawn) * (high - low)
        there = np.flatnonzero((base.joins[code] <= day) & (base.leaves[code] >= day))[:missing]
        codes.append(code[there])
        days.append(day[there])
        missing -= len(there)
    code, day = np.concatenate(codes), np.concatenate(days)
    order = np.argsort(day)
    return code[order].astype(np.int64), day[order]


def _transactions(code: Int64, rng: Rng) -> dict[str, pa.Array]:
    cents = np.maximum(rng.lognormal(8.0, 0.9, len(code)).astype(np.int64), 1)
    is_return = rng.random(len(code)) < 0.06
    favourite = code % len(_CATEGORIES)
    strays = rng.integers(0, len(_CATEGORIES), len(code))
    category = np.where(rng.random(len(code)) < 0.5, favourite, strays)
    return {
        "amount": pa.array(np.where(is_return, -cents, cents)),
        "channel": _labelled(rng.integers(0, len(_CHANNELS), len(code)), _CHANNELS),
        "category": _labelled(category, _CATEGORIES),
    }


def _visits(code: Int64, rng: Rng) -> dict[str, pa.Array]:
    return {"channel": _labelled(rng.integers(0, len(_CHANNELS), len(code)), _CHANNELS)}


def _contacts(code: Int64, rng: Rng) -> dict[str, pa.Array]:
    wait = np.rint(rng.exponential(180.0, len(code)))
    return {
        "topic": _labelled(rng.integers(0, len(_TOPICS), len(code)), _TOPICS),
        "is_complaint": pa.array(rng.random(len(code)) < 0.2),
        "wait_seconds": pa.array(wait, mask=rng.random(len(code)) < 0.1),
    }


def _feedback(code: Int64, rng: Rng) -> dict[str, pa.Array]:
    kind = rng.integers(0, len(_KINDS), len(code))
    score = np.where(kind == 1, rng.integers(0, 11, len(code)), rng.integers(1, 6, len(code))).astype(np.float64)
    return {"kind": _labelled(kind, _KINDS), "score": pa.array(score, mask=rng.random(len(code)) < 0.05)}


_COLUMNS: dict[str, Callable[[Int64, Rng], dict[str, pa.Array]]] = {
    "transactions": _transactions, "visits": _visits, "contacts": _contacts, "feedback": _feedback,
}  # fmt: skip


def _labelled(codes: Int64, labels: tuple[str, ...]) -> pa.Array:
    return pa.array(labels, pa.string()).take(pa.array(codes))


def _write(folder: Path, tables: Iterator[pa.Table]) -> None:
    folder.mkdir(parents=True)
    writer: pq.ParquetWriter | None = None
    for chunk, table in enumerate(tables):
        if chunk % _CHUNKS_PER_FILE == 0:
            if writer is not None:
                writer.close()
            writer = pq.ParquetWriter(folder / f"part-{chunk // _CHUNKS_PER_FILE:04d}.parquet", table.schema)
        assert writer is not None
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _write_rows(folder: Path, count: int) -> None:
    with duckdb.connect(config={"threads": THREADS, "memory_limit": "3GB"}) as database:
        database.execute('CREATE TABLE found (customer_id VARCHAR, "at" BIGINT)')
        for at in cutoffs(count):
            database.execute(
                f"""INSERT INTO found SELECT DISTINCT customer_id, {at} FROM '{folder}/transactions/*.parquet'
                    WHERE amount > 0 AND epoch_us(time) >= {at - ACTIVE_DAYS * DAY} AND epoch_us(time) < {at}"""
            )
        target = rows_file(folder, count)
        database.execute(f"""COPY (FROM found ORDER BY "at", customer_id) TO '{target}' (FORMAT parquet)""")
