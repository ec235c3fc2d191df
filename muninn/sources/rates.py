"""Counters that only grow, as rates.

Belongs here: the arithmetic of two readings. Does not: where readings come from.
"""

from collections.abc import Hashable


class Rates:
    """Rates between the last reading of each counter and this one."""

    def __init__(self) -> None:
        self._last: dict[Hashable, tuple[float, float]] = {}

    def per_s(self, counter: Hashable, total: float, at_s: float) -> float | None:
        """Growth per second since the last reading; None at the first one and where the counter was reset."""
        before = self._last.get(counter)
        self._last[counter] = (total, at_s)
        if before is None or total < before[0] or at_s <= before[1]:
            return None
        return (total - before[0]) / (at_s - before[1])

    def forget_before(self, at_s: float) -> None:
        """Drop counters that were last read before `at_s`: their device is gone."""
        self._last = {counter: last for counter, last in self._last.items() if last[1] >= at_s}
