"""The overview channel: a handful of figures of all hosts and of the platform, computed from the feed.

Belongs here: which figures there are and how one is made of many series. Does not: how a channel is sent.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from muninn.model import SeriesKey
from muninn.names import describe
from muninn.stream.channel import Channel, Limits, Series
from muninn.stream.history import Ring
from muninn.stream.protocol import OVERVIEW, ChannelSpec

# A series that has sent nothing for this long no longer counts.
STALE_MS = 15_000
# A counter's rate is taken over this long.
RATE_MS = 10_000
LOOPBACK = ("lo", "lo0")


@dataclass(frozen=True)
class Figure:
    """`name`: the `how` of every series of `source`; `rate`: the source is a counter, and the figure per second."""

    name: str
    source: ChannelSpec
    how: Literal["mean", "sum", "max"]
    rate: bool = False

    @property
    def unit(self) -> str:
        """As an axis shows it; the name tells."""
        return describe(self.name).unit

    def counts(self, key: SeriesKey) -> bool:
        """Whether a series of the source counts: loopback carries only what a host says to itself."""
        return dict(key.labels).get("device") not in LOOPBACK


FIGURES = (
    Figure("cpu_busy_pct", ChannelSpec.of("cpu_busy_pct", cpu="total"), "mean"),
    Figure("memory_used_pct", ChannelSpec.of("memory_used_pct"), "mean"),
    Figure("load_1m", ChannelSpec.of("load_1m"), "max"),
    Figure("network_received_bytes_per_s", ChannelSpec.of("network_received_bytes_per_s"), "sum"),
    Figure("network_sent_bytes_per_s", ChannelSpec.of("network_sent_bytes_per_s"), "sum"),
    Figure("ingest_samples_per_s", ChannelSpec.of("muninn_ingest_samples_total"), "sum", rate=True),
    Figure("loader_lag_s", ChannelSpec.of("muninn_loader_lag_s"), "max"),
    Figure("viewers", ChannelSpec.of("muninn_viewers"), "sum"),
)


def evaluate(figure: Figure, rings: Iterable[Ring], at_ms: NDArray[np.int64]) -> NDArray[np.float64]:
    """The figure at each of the instants `at_ms` (int64[n], ascending); NaN where no series counts."""
    rows = [_at(ring, at_ms, figure.rate) for ring in rings if len(ring)]
    if not rows:
        return np.full(len(at_ms), np.nan)
    values = np.array(rows)
    counted = ~np.isnan(values)
    filled = np.where(counted, values, -np.inf if figure.how == "max" else 0.0)
    result = filled.max(axis=0) if figure.how == "max" else filled.sum(axis=0)
    count = counted.sum(axis=0)
    if figure.how == "mean":
        result = result / np.maximum(count, 1)
    return np.where(count > 0, result, np.nan)


def _at(ring: Ring, at_ms: NDArray[np.int64], rate: bool) -> NDArray[np.float64]:
    """A series' value (or rate) as last known at each instant; NaN where it is too old."""
    known_at, known = ring.points()
    last = np.searchsorted(known_at, at_ms, side="right") - 1
    usable = (last >= 0) & (at_ms - known_at[last] <= STALE_MS)
    if not rate:
        return np.where(usable, known[last], np.nan)
    first = np.searchsorted(known_at, known_at[last] - RATE_MS)
    span_s = (known_at[last] - known_at[first]) / 1000.0
    grown = known[last] - known[first]
    usable &= (span_s > 0) & (grown >= 0)  # a counter that fell began anew: wait until the fall is behind us
    return np.where(usable, grown / np.where(span_s > 0, span_s, 1.0), np.nan)


@dataclass
class _Input:
    figure: Figure
    source: Channel
    result: Series = field(repr=False)

    def rings(self) -> list[Ring]:
        return [series.ring for series in self.source.members.values() if self.figure.counts(series.key)]


class OverviewChannel(Channel):
    """A channel whose series are the figures; it holds the channels that they are computed from open."""

    def __init__(self, number: int, epoch: str, opened_at: float, limits: Limits):
        super().__init__(OVERVIEW, number, epoch, opened_at, limits)
        self._inputs: list[_Input] = []

    @property
    def sources(self) -> list[Channel]:
        """The channels held open."""
        return [item.source for item in self._inputs]

    def feed_from(self, figure: Figure, source: Channel) -> None:
        """Compute `figure` from that channel's series."""
        key = SeriesKey.of("overview", {"figure": figure.name, "unit": figure.unit})
        series = Series(len(self._inputs) + 1, key, self.limits.points_per_series)
        self._inputs.append(_Input(figure, source, series))
        self.add(series)

    def compute(self, now_ms: int) -> None:
        """Every figure as it is now, as a point of this tick."""
        for item in self._inputs:
            value = self._evaluate(item, np.array([now_ms], np.int64))
            if len(value[1]):
                item.result.take(*value)
                self.change(item.result.changes(now_ms))

    def backfill(self, now_ms: int) -> None:
        """Every figure at each second of the window, as far as the sources reach back."""
        instants = np.arange(now_ms - self.limits.window_s * 1000, now_ms, 1000, dtype=np.int64)
        for item in self._inputs:
            item.result.ring.fill(*self._evaluate(item, instants))

    def _evaluate(self, item: _Input, instants: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        values = evaluate(item.figure, item.rings(), instants)
        known = ~np.isnan(values)
        return instants[known], values[known]
