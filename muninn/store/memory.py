"""The store in memory: a second implementation, plain dictionaries, held to the same contract suite.

Belongs here: what a store means, written as simply as it can be. Does not: speed, more than one process.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muninn.clock import DAY_US, MINUTE_US, Clock, SystemClock
from muninn.model import RESOLUTIONS, BatchHandle, Resolution, SampleBatch, SeriesKey, Window
from muninn.numerics import counters, sketch
from muninn.store.admission import Refused, admit
from muninn.store.loading import Duplicates
from muninn.store.series_index import UNKEEPABLE, holds_nul
from muninn.store.writer import LoadResult


@dataclass(frozen=True, eq=False)
class Held:
    """One sample: `count` values with their mean, and their sketch where they are a distribution."""

    value: float
    count: int
    low: float
    high: float
    sketch: NDArray[np.int64] | None

    def same(self, other: "Held | None") -> bool:
        """Whether writing this in the place of the other changes nothing; of a distribution that is not known."""
        return other is not None and self.sketch is None and other.sketch is None and self.value == other.value

    @classmethod
    def all_of(cls, batch: SampleBatch) -> list["Held"]:
        """The samples of a batch."""
        held = [cls(value, 1, value, value, None) for value in batch.value.tolist()]
        some = batch.distributions
        if some is not None:
            ends = np.cumsum(some.lengths)
            for place, row in enumerate(some.rows.tolist()):
                bins = some.bins[ends[place] - some.lengths[place] : ends[place]]
                figures = (int(some.count[place]), float(some.low[place]), float(some.high[place]))
                held[row] = cls(held[row].value, *figures, bins)
        return held


@dataclass(frozen=True, eq=False)
class Bucket:
    """One rollup row. sketch: int64[b], see muninn.numerics.sketch. increase: see muninn.numerics.counters.

    first_value, last_value, increase are those of single samples: None where all are distributions.
    """

    key: SeriesKey
    bucket_us: int
    sample_count: int
    sum_value: float
    min_value: float
    max_value: float
    sketch: NDArray[np.int64]
    first_us: int
    last_us: int
    first_value: float | None
    last_value: float | None
    increase: float | None

    @classmethod
    def of(cls, key: SeriesKey, bucket_us: int, samples: Mapping[int, Held]) -> "Bucket":
        """The bucket of these samples by instant, at least one."""
        held = [samples[at] for at in sorted(samples)]
        single = np.array([each.value for each in held if each.sketch is None])
        sketches = [each.sketch for each in held if each.sketch is not None]
        return cls(
            key,
            bucket_us,
            sum(each.count for each in held),
            sum(each.value * each.count for each in held),
            min(each.low for each in held),
            max(each.high for each in held),
            sketch.merge([sketch.sketch_of(single), *sketches]),
            min(samples),
            max(samples),
            float(single[0]) if len(single) else None,
            float(single[-1]) if len(single) else None,
            counters.increase(single) if len(single) else None,
        )

    def quantile(self, q: float) -> float:
        """The q-quantile by nearest rank, within 1 %."""
        return sketch.quantile(self.sketch, q, self.min_value, self.max_value)


class MemoryStore:
    """Loads like StoreWriter, reads raw samples and buckets, forgets what retention takes. For one thread."""

    def __init__(
        self, *, raw_days: int = 90, ahead_days: int = 3, duplicates: Duplicates = "last", clock: Clock | None = None
    ):
        self._duplicates = duplicates
        self._raw_days = raw_days
        self._ahead_days = ahead_days
        self._clock = clock or SystemClock()
        self._entries: set[tuple[str, str]] = set()
        self._samples: dict[SeriesKey, dict[int, Held]] = {}
        # Buckets whose samples are gone.
        self._kept: dict[str, list[Bucket]] = {resolution.name: [] for resolution in RESOLUTIONS}
        self._horizon_us = 0
        self._closing_us = 0

    def load(self, handles: Sequence[BatchHandle]) -> LoadResult:
        """Take the entries that are not in yet; the last value of a (series, instant) wins, or the first."""
        entries = rows = offered = late = 0
        refused: list[Refused] = []
        before = {(key, at): held for key, at, held in self._all()}
        for handle in handles:
            if (handle.stream, handle.entry_id) in self._entries:
                continue
            self._entries.add((handle.stream, handle.entry_id))
            entries += 1
            offered += len(handle.batch)
            refused += self._take(handle.batch)
        now = {(key, at): held for key, at, held in self._all()}
        rows = len(now) - len(before)
        changed = [
            pair for pair, held in now.items() if before.get(pair) is not held and not held.same(before.get(pair))
        ]
        late = sum(at < self._closing_us for _, at in changed)
        merged = _by_reason(refused)
        return LoadResult(entries, rows, offered - rows - sum(each.samples for each in merged), late, merged)

    def prune_entries(self, before_id: str, stream: str) -> int:
        """Forget entries of a stream before `before_id`."""
        gone = {each for each in self._entries if each[0] == stream and _order(each[1]) < _order(before_id)}
        self._entries -= gone
        return len(gone)

    def close(self, closing_us: int) -> None:
        """Samples before this instant are late from now on."""
        self._closing_us = max(self._closing_us, closing_us // MINUTE_US * MINUTE_US)

    def raw(self, window: Window) -> SampleBatch:
        """The samples of a window, by series and time."""
        found = [(key, at, held.value) for key, at, held in self._all() if window.since_us <= at < window.until_us]
        return SampleBatch.of(sorted(found, key=lambda row: (row[0].canonical, row[1])))

    def buckets(self, resolution: Resolution, window: Window) -> list[Bucket]:
        """The buckets that begin in a window, by series and time."""
        found = [*self._kept[resolution.name], *self._live(resolution)]
        inside = [each for each in found if window.since_us <= each.bucket_us < window.until_us]
        return sorted(inside, key=lambda each: (each.key.canonical, each.bucket_us))

    def drop_raw(self, now_us: int, raw_days: int) -> None:
        """Drop samples of days that are wholly older than `raw_days`; their buckets stay."""
        horizon_us = (now_us - raw_days * DAY_US) // DAY_US * DAY_US
        for resolution in RESOLUTIONS:
            self._kept[resolution.name] += [each for each in self._live(resolution) if each.bucket_us < horizon_us]
        for samples in self._samples.values():
            for at in [at for at in samples if at < horizon_us]:
                del samples[at]
        self._horizon_us = max(self._horizon_us, horizon_us)

    def _take(self, batch: SampleBatch) -> tuple[Refused, ...]:
        today = self._clock.now_us() // DAY_US * DAY_US
        since_us = max(today - self._raw_days * DAY_US, self._horizon_us)
        window = Window(since_us, max(since_us, today + (self._ahead_days + 1) * DAY_US))
        ids = np.array([UNKEEPABLE if holds_nul(key.canonical) else 0 for key in batch.keys], np.int32)
        good, refused = admit(batch, window, ids)
        held = Held.all_of(batch)
        for row in np.flatnonzero(good):
            key = batch.keys[batch.key_index[row]]
            samples, at_us = self._samples.setdefault(key, {}), int(batch.at_us[row])
            if self._duplicates == "last" or at_us not in samples:
                samples[at_us] = held[row]
        return refused

    def _all(self) -> Iterator[tuple[SeriesKey, int, Held]]:
        for key, samples in self._samples.items():
            for at, held in samples.items():
                yield key, at, held

    def _live(self, resolution: Resolution) -> Iterator[Bucket]:
        for key, samples in self._samples.items():
            groups: dict[int, dict[int, Held]] = {}
            for at, held in samples.items():
                groups.setdefault(at // resolution.width_us * resolution.width_us, {})[at] = held
            for bucket_us, inside in groups.items():
                yield Bucket.of(key, bucket_us, inside)


def _by_reason(refused: Sequence[Refused]) -> tuple[Refused, ...]:
    first: dict[str, Refused] = {}
    samples: dict[str, int] = {}
    for each in refused:
        first.setdefault(each.reason, each)
        samples[each.reason] = samples.get(each.reason, 0) + each.samples
    return tuple(
        Refused(reason, samples[reason], each.key, each.at_us, _all_of(reason, refused))
        for reason, each in first.items()
    )


def _all_of(reason: str, refused: Sequence[Refused]) -> SampleBatch:
    return SampleBatch.concat([each.batch for each in refused if each.reason == reason])


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, sequence = entry_id.split("-")
    return int(milliseconds), int(sequence)
