"""From samples to the channels that show them: a batch costs by its distinct series, not by channels x series.

Belongs here: matching, resolved once per series key, and the series' lifetime. Does not: frames, clients.
"""

from collections.abc import Iterable

import numpy as np

from muninn.model import SampleBatch, SeriesKey
from muninn.reads.values import RecentSeries
from muninn.stream.channel import Channel, Limits, Series
from muninn.stream.history import Times, Values

# Keys of one metric that are remembered as matching nothing; above it the memory starts anew.
MAX_REMEMBERED = 100_000


class _Metric:
    """The channels of one metric name, its live series, and what each key met so far was resolved to."""

    __slots__ = ("channels", "resolved", "series")

    def __init__(self) -> None:
        self.channels: list[Channel] = []
        self.series: dict[SeriesKey, Series] = {}
        self.resolved: dict[SeriesKey, Series | None] = {}

    def forget(self) -> None:
        """The channels changed: resolve every key again."""
        self.resolved.clear()
        for channel in self.channels:
            channel.left_out = 0


class SeriesIndex:
    """metric name -> channels, and series key -> live series."""

    def __init__(self, limits: Limits):
        self._limits = limits
        self._metrics: dict[str, _Metric] = {}
        self._count = 0
        self._next_ref = 1

    def __len__(self) -> int:
        return self._count

    def attach(self, channel: Channel) -> None:
        """A channel opens: it takes in the live series that match."""
        if channel.spec.metric is None:
            return
        metric = self._metrics.setdefault(channel.spec.metric, _Metric())
        metric.channels.append(channel)
        metric.forget()
        for series in metric.series.values():
            if channel.matches(series.key):
                channel.add(series)

    def detach(self, channel: Channel) -> None:
        """A channel closes: the series that only it showed go with it."""
        metric = self._metrics.get(channel.spec.metric or "")
        if metric is None or channel not in metric.channels:
            return
        metric.channels.remove(channel)
        for series in channel.members.values():
            series.channels.remove(channel)
            if not series.channels:
                del metric.series[series.key]
                self._count -= 1
        metric.forget()
        if not metric.channels:
            del self._metrics[channel.spec.metric or ""]

    def route(self, batch: SampleBatch, oldest_ms: int) -> list[Series]:
        """Hand the batch's samples from `oldest_ms` on to the series that are shown; those that changed."""
        changed = []
        for series, at_ms, value in self._split(batch, oldest_ms):
            series.take(at_ms, value)
            changed.append(series)
        return changed

    def replay(self, batch: SampleBatch, oldest_ms: int, channel: Channel) -> None:
        """Put a batch that came before `channel` opened under what its series have."""
        for series, at_ms, value in self._split(batch, oldest_ms):
            if series.ref in channel.members:
                series.ring.fill(at_ms, value)

    def _split(self, batch: SampleBatch, oldest_ms: int) -> list[tuple[Series, Times, Values]]:
        """The samples that are shown, by series, in the batch's order."""
        if not self._metrics or not len(batch):
            return []
        slot_of_key = np.full(len(batch.keys), -1, np.int32)
        slots: list[Series] = []
        for position, key in enumerate(batch.keys):
            metric = self._metrics.get(key.metric)
            series = self._find(metric, key) if metric is not None else None
            if series is not None:
                slot_of_key[position] = len(slots)
                slots.append(series)
        if not slots:
            return []
        at_ms = batch.at_us // 1000
        slot = slot_of_key[batch.key_index]
        rows = np.flatnonzero((slot >= 0) & (at_ms >= oldest_ms))
        rows = rows[np.argsort(slot[rows], kind="stable")]
        at_ms, value = at_ms[rows], batch.value[rows]
        bounds = np.searchsorted(slot[rows], np.arange(len(slots) + 1)).tolist()
        return [
            (series, at_ms[start:end], value[start:end])
            for series, start, end in zip(slots, bounds, bounds[1:], strict=False)
            if end > start
        ]

    def fill(self, found: Iterable[RecentSeries]) -> None:
        """Put stored points under the live ones."""
        for stored in found:
            metric = self._metrics.get(stored.key.metric)
            series = self._find(metric, stored.key) if metric is not None else None
            if series is not None:
                series.ring.fill(stored.at_ms, stored.value)

    def expire(self, oldest_ms: int) -> None:
        """Drop points older than `oldest_ms`, and the series that have none left."""
        for metric in self._metrics.values():
            expired = []
            for series in metric.series.values():
                series.ring.drop_before(oldest_ms)
                if not len(series.ring):
                    expired.append(series)
            for series in expired:
                for channel in series.channels:
                    channel.drop(series)
                del metric.series[series.key]
                metric.resolved.pop(series.key, None)
            self._count -= len(expired)
            if expired and any(channel.left_out for channel in metric.channels):
                metric.forget()

    def _find(self, metric: _Metric, key: SeriesKey) -> Series | None:
        """The live series of this key, made where a channel has room for it."""
        try:
            return metric.resolved[key]
        except KeyError:
            pass
        series = self._join(metric, key)
        if len(metric.resolved) >= MAX_REMEMBERED:
            metric.forget()
        metric.resolved[key] = series
        return series

    def _join(self, metric: _Metric, key: SeriesKey) -> Series | None:
        """Put the series into every channel that wants it and has room; None where none has."""
        wanted = [channel for channel in metric.channels if channel.matches(key)]
        series = metric.series.get(key)
        if series is None:
            if self._count >= self._limits.series:
                for channel in wanted:
                    channel.left_out += 1
                return None
            series = Series(self._next_ref, key, self._limits.points_per_series)
        for channel in wanted:
            if series.ref not in channel.members:
                channel.add(series)
        if not series.channels:
            return None
        if key not in metric.series:
            metric.series[key] = series
            self._next_ref += 1
            self._count += 1
        return series
