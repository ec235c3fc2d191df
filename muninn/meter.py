"""What a program counts about itself, in process memory: counters, gauges and durations.

Belongs here: counting, cheap enough for hot paths (per batch, never per sample). Does not: sending it anywhere.
"""

import threading
from collections import defaultdict

Labels = tuple[tuple[str, str], ...]


class Meter:
    """Thread-safe counters (only grow), gauges (last value), durations (count, sum, peak since the last snapshot)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[tuple[str, Labels], float] = defaultdict(float)
        self._gauges: dict[tuple[str, Labels], float] = {}
        self._peaks: dict[tuple[str, Labels], float] = {}

    def count(self, name: str, by: float = 1.0, **labels: str) -> None:
        """Add to a counter; its name ends in `_total`."""
        with self._lock:
            self._counters[name, tuple(sorted(labels.items()))] += by

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        with self._lock:
            self._gauges[name, tuple(sorted(labels.items()))] = value

    def forget(self, prefix: str) -> None:
        """Tell no more of gauges whose names begin so: what they were about is over."""
        with self._lock:
            self._gauges = {key: value for key, value in self._gauges.items() if not key[0].startswith(prefix)}

    def duration(self, name: str, seconds: float, **labels: str) -> None:
        """Record one duration as `<name>_count_total`, `<name>_seconds_total` and the peak `<name>_peak_ms`."""
        key = tuple(sorted(labels.items()))
        with self._lock:
            self._counters[f"{name}_count_total", key] += 1
            self._counters[f"{name}_seconds_total", key] += seconds
            peak = (f"{name}_peak_ms", key)
            self._peaks[peak] = max(self._peaks.get(peak, 0.0), seconds * 1000)

    def snapshot(self) -> list[tuple[str, dict[str, str], float]]:
        """(name, labels, value) of everything; peaks start anew."""
        with self._lock:
            merged = {**self._counters, **self._gauges, **self._peaks}
            self._peaks.clear()
        return [(name, dict(labels), value) for (name, labels), value in merged.items()]
