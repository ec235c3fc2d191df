"""How much at once: a bucket that fills at a rate and may be overdrawn.

Belongs here: the arithmetic of rates. Does not: what is counted, answers.
"""

import threading

from muninn.clock import Clock

# A bucket holds this long a burst, and at least one unit.
BURST_S = 2.0


class Bucket:
    """A rate, kept on average; safe for many threads.

    What a request costs is known only when its body is read, so it is taken afterwards and may leave a debt: the next
    one waits until that is paid.
    """

    def __init__(self, per_s: float, clock: Clock):
        self._per_s, self._clock = per_s, clock
        self._most = max(1.0, per_s * BURST_S)
        self._left, self._at = self._most, clock.monotonic()
        self._lock = threading.Lock()

    def wait_s(self) -> float:
        """Seconds until one more unit may be taken; 0.0 where it may be now."""
        with self._lock:
            return max(0.0, (min(1.0, self._most) - self._filled()) / self._per_s)

    def take(self, units: float) -> None:
        """Take units, also ones that are not there."""
        with self._lock:
            self._left = self._filled() - units

    def _filled(self) -> float:
        now = self._clock.monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._per_s)
        self._at = now
        return self._left
