"""The tally: what a list of scores holds, in numbers, counted while its rows go by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(slots=True)
class Tally:
    """What a list holds.

    Attributes:
        rows: customers in the list.
        scored: those with a score.
        not_scored: by reason, how many have none.
        voice: of the scored, by voice status.
        drivers: of those with reasons, how often each signal is among them.
        explained: of the scored, how many have a reason.
        bands: of the scored, by band, the lowest first.
        expected_leavers: sum of p_leave.
        fewest_leavers, most_leavers: sums of p_leave_low and p_leave_high.
        value_at_risk: in the project's currency.
        first: the first row of the list.
    """

    rows: int = 0
    scored: int = 0
    not_scored: Counter[str] = field(default_factory=Counter)
    voice: Counter[str] = field(default_factory=Counter)
    drivers: Counter[str] = field(default_factory=Counter)
    explained: int = 0
    expected_leavers: float = 0.0
    fewest_leavers: float = 0.0
    most_leavers: float = 0.0
    value_at_risk: float = 0.0
    first: dict[str, Any] = field(default_factory=dict)
    _bands: Counter[str] = field(default_factory=Counter)
    _lowest: dict[str, float] = field(default_factory=dict)

    @property
    def bands(self) -> dict[str, int]:
        """How many are in each band, the lowest band first."""
        return {band: self._bands[band] for band in sorted(self._bands, key=lambda band: (self._lowest[band], band))}

    def watch(self, frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """Yields the frames of a list as they are, each counted before it goes on."""
        for frame in frames:
            self.add(frame)
            yield frame

    def add(self, frame: pd.DataFrame) -> None:
        """Counts the rows of a frame; sums depend on how a list is cut into frames, so cut it alike."""
        if not self.rows and len(frame):
            row = frame.iloc[0]
            self.first = {str(name): None if cell != cell else cell for name, cell in row.items()}
        top = frame[frame["status"] == "scored"]
        self.rows += len(frame)
        self.scored += len(top)
        self.not_scored.update(_counted(frame["why_not_scored"]))
        self.voice.update(_counted(top["voice_status"]))
        self.explained += int(top["driver_1"].notna().sum())
        for rank in (1, 2, 3):
            self.drivers.update(_counted(top[f"driver_{rank}"]))
        self._bands.update(_counted(top["band"]))
        for band, percentile in top.groupby("band")["percentile"].min().items():
            self._lowest[str(band)] = min(self._lowest.get(str(band), float("inf")), float(percentile))
        self.expected_leavers += float(top["p_leave"].astype(float).sum())
        self.fewest_leavers += float(top["p_leave_low"].astype(float).sum())
        self.most_leavers += float(top["p_leave_high"].astype(float).sum())
        self.value_at_risk += float(top["value_at_risk"].astype(float).sum())

    def to_dict(self) -> dict[str, Any]:
        """Returns the figures as plain values, for JSON; what is counted stands with the most frequent first."""
        return {
            "rows": self.rows, "scored": self.scored, "not_scored": _sorted(self.not_scored), "bands": self.bands,
            "expected_leavers": self.expected_leavers, "fewest_leavers": self.fewest_leavers,
            "most_leavers": self.most_leavers, "value_at_risk": self.value_at_risk,
            "voice": _sorted(self.voice), "explained": self.explained, "drivers": _sorted(self.drivers),
        }  # fmt: skip


def tally_told(told: Mapping[str, Any]) -> Tally:
    """Returns what `Tally.to_dict` told of, without the first row."""
    tally = Tally(told["rows"], told["scored"], explained=told["explained"])
    tally.not_scored, tally.voice, tally.drivers = (Counter(told[name]) for name in ("not_scored", "voice", "drivers"))
    for name in ("expected_leavers", "fewest_leavers", "most_leavers", "value_at_risk"):
        setattr(tally, name, told[name])
    tally._bands = Counter(told["bands"])
    tally._lowest = {band: float(place) for place, band in enumerate(told["bands"])}
    return tally


def _counted(cells: pd.Series[Any]) -> dict[str, int]:
    return {str(cell): int(count) for cell, count in cells.value_counts().items()}


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
