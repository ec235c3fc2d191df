"""What StatsD lines of one flush interval come to. Pure: no socket, no clock.

Belongs here: the arithmetic and its bounds. Does not: lines (lines), when a flush is due (listener).

A counter is the sum of its increments in the interval, so that sum_value of any rollup bucket is the total. A timer
(histogram, distribution) becomes one distribution of the values of the interval, each as often as its sample rate
says, to the next whole number. A set is the number of its distinct members, a gauge its last value. What was not
touched has no sample.
"""

from array import array
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from muninn.numerics.distributions import Distribution, of_values
from muninn.numerics.sketch import LARGEST
from muninn.sources.statsd.lines import Line, series_of

Figure = tuple[str, dict[str, str], float | Distribution]

_Series = tuple[str, tuple[tuple[str, str], ...]]
_DIGEST_BYTES = 16


@dataclass
class _Timer:
    values: "array[float]" = field(default_factory=lambda: array("d"))
    weights: "array[float]" = field(default_factory=lambda: array("d"))


@dataclass(frozen=True)
class Bounds:
    """max_series: kept at once, gauges that rest included. max_values: timer values and set members an interval."""

    max_series: int = 10_000
    max_values: int = 1_000_000


class Aggregate:
    """Takes lines, gives figures at each flush. Bounded: what goes beyond is dropped and counted."""

    def __init__(self, bounds: Bounds | None = None):
        self._bounds = bounds or Bounds()
        self._counters: dict[_Series, float] = {}
        self._timers: dict[_Series, _Timer] = {}
        self._sets: dict[_Series, set[bytes]] = {}
        # Gauges stay, for the sake of `+n`; those touched last stand at the end.
        self._gauges: OrderedDict[_Series, float] = OrderedDict()
        self._touched: set[_Series] = set()
        self._held = 0
        self._known: dict[tuple[bytes, bytes], _Series] = {}
        self.dropped = 0

    @property
    def series(self) -> int:
        """How many are kept now."""
        return len(self._counters) + len(self._timers) + len(self._sets) + len(self._gauges)

    def add(self, line: Line) -> None:
        """Take a line. Beyond the bounds each of its values counts in `dropped`."""
        series = self._series_of(line)
        if line.kind == "counter":
            self._count(series, line)
        elif line.kind == "timer":
            self._time(series, line)
        elif line.kind == "set":
            self._member(series, line)
        else:
            self._gauge(series, line)

    def flush(self) -> list[Figure]:
        """What the interval came to; the next one begins."""
        figures = list(self._figures())
        self._counters, self._timers, self._sets = {}, {}, {}
        self._touched, self._held = set(), 0
        return figures

    def _series_of(self, line: Line) -> _Series:
        """Tags in another order are the same series."""
        found = self._known.get(line.ident)
        if found is None:
            name, labels = series_of(line.ident)
            if len(self._known) >= self._bounds.max_series:
                self._known.clear()
            found = self._known[line.ident] = (name, tuple(sorted(labels.items())))
        return found

    def _count(self, series: _Series, line: Line) -> None:
        if series in self._counters or self._room(line):
            self._counters[series] = self._counters.get(series, 0.0) + sum(_numbers(line)) * line.weight

    def _gauge(self, series: _Series, line: Line) -> None:
        if series not in self._gauges and not self._room(line):
            return
        for value in _numbers(line):
            became = value if line.kind == "gauge" else self._gauges.get(series, 0.0) + value
            if abs(became) <= LARGEST:
                self._gauges[series] = became
            else:  # what it was stays, or every later change would be lost with it
                self.dropped += 1
        if series not in self._gauges:
            return
        self._gauges.move_to_end(series)
        self._touched.add(series)

    def _time(self, series: _Series, line: Line) -> None:
        if not self._hold(line) or not (series in self._timers or self._room(line)):
            return
        timer = self._timers.setdefault(series, _Timer())
        timer.values.extend(_numbers(line))
        timer.weights.extend([line.weight] * len(line.values))
        self._held += len(line.values)

    def _member(self, series: _Series, line: Line) -> None:
        if not self._hold(line) or not (series in self._sets or self._room(line)):
            return
        members = self._sets.setdefault(series, set())
        before = len(members)
        members.update(_short(member) for member in line.values if isinstance(member, bytes))
        self._held += len(members) - before

    def _hold(self, line: Line) -> bool:
        if self._held + len(line.values) <= self._bounds.max_values:
            return True
        self.dropped += len(line.values)
        return False

    def _room(self, line: Line) -> bool:
        """Whether one more series may come; the gauge that has rested longest goes for it."""
        if self.series >= self._bounds.max_series:
            oldest = next(iter(self._gauges), None)
            if oldest is None or oldest in self._touched:
                self.dropped += len(line.values)
                return False
            del self._gauges[oldest]
        return True

    def _figures(self) -> Iterator[Figure]:
        for (name, labels), total in self._counters.items():
            yield name, dict(labels), total
        for series in islice(reversed(self._gauges), len(self._touched)):
            yield series[0], dict(series[1]), self._gauges[series]
        for (name, labels), members in self._sets.items():
            yield name, dict(labels), float(len(members))
        for (name, labels), timer in self._timers.items():
            yield name, dict(labels), _distribution(np.frombuffer(timer.values), np.frombuffer(timer.weights))


def _distribution(values: NDArray[np.float64], weights: NDArray[np.float64]) -> Distribution:
    """Each value as often as its weight says; the rounding of fractions does not add up."""
    up_to = np.rint(np.cumsum(weights)).astype(np.int64)
    times = up_to - np.concatenate(([0], up_to[:-1]))
    some = times > 0
    return of_values(values[some], times[some]) if some.any() else of_values(values[:1], np.ones(1, np.int64))


def _numbers(line: Line) -> list[float]:
    return [value for value in line.values if isinstance(value, float)]


def _short(member: bytes) -> bytes:
    """The member, or a digest in its place where it is longer: a set's memory is bounded by their number."""
    return member if len(member) < _DIGEST_BYTES else blake2b(member, digest_size=_DIGEST_BYTES).digest()
