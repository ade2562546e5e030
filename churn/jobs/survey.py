"""The survey: what is asked of all customers together before any of them is scored, bucket by bucket, and added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from churn.config import Config
from churn.jobs.unseen import Unseen, unseen_labels
from churn.models.base import Base, base_told, together
from churn.models.bundle import Bundle
from churn.models.fingerprint import Digest, digests
from churn.models.known import base_of
from churn.tables.contract import CONTRACT
from churn.tables.findings import Issue


@dataclass(frozen=True, slots=True)
class Survey:
    """What one bucket of customers, or all of them, tells.

    Attributes:
        base: what is frozen for every bucket.
        unseen: labels that the model has not learnt.
        data: what the rows of each table add up to.
        newest: of each event table, when its newest row happened that `at` can see, microseconds UTC; None for none.
        issues: what was found while reading; only in the survey of all of them.
    """

    base: Base
    unseen: Unseen
    data: dict[str, Digest]
    newest: dict[str, int | None]
    issues: tuple[Issue, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Returns the same without the findings as plain JSON data; `survey_told` reads it back."""
        return {
            "base": self.base.to_dict(), "newest": self.newest,
            "unseen": [[list(key), count] for key, count in sorted(self.unseen.items())],
            "data": {name: asdict(digest) for name, digest in self.data.items()},
        }  # fmt: skip


def survey_of(tables: Mapping[str, pa.Table], bundle: Bundle, *, at: int | None, config: Config) -> Survey:
    """Returns what the tables of one bucket tell; `at`: the cutoff if one is given, microseconds UTC."""
    return Survey(
        base=base_of(tables, config=config, activity_kind=bundle.target.activity), unseen=unseen_labels(bundle, tables),
        data=digests(tables),
        newest={name: _newest(name, table, at) for name, table in tables.items() if CONTRACT[name].time_column},
    )  # fmt: skip


def survey_told(told: Mapping[str, Any]) -> Survey:
    """Returns what `Survey.to_dict` told of."""
    return Survey(
        base=base_told(told["base"]), unseen=Counter({tuple(key): count for key, count in told["unseen"]}),
        data={name: Digest(**digest) for name, digest in told["data"].items()}, newest=dict(told["newest"]),
    )  # fmt: skip


def joined(surveys: Iterable[Survey], *, issues: Iterable[Issue]) -> Survey:
    """Returns what all buckets tell together."""
    parts = list(surveys)
    names = list(parts[0].data)
    return Survey(
        base=together(part.base for part in parts),
        unseen=reduce(lambda one, other: one + other, (part.unseen for part in parts)),
        data={name: reduce(lambda one, other: one + other, (part.data[name] for part in parts)) for name in names},
        newest={name: _latest(part.newest[name] for part in parts) for name in parts[0].newest},
        issues=tuple(issues),
    )  # fmt: skip


def _newest(name: str, table: pa.Table, at: int | None) -> int | None:
    times = table[CONTRACT[name].time_column].cast(pa.int64())
    if at is not None:
        times = times.filter(pc.less(times, at))
    found = pc.max(times).as_py()
    return None if found is None else int(found)


def _latest(moments: Iterable[int | None]) -> int | None:
    return max((moment for moment in moments if moment is not None), default=None)
