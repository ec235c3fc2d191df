"""Which loader takes which shard: leases in Valkey, shared evenly among the loaders that are there.

A lease only keeps loaders out of each other's way; that nothing is lost or doubled does not hang on it.

Belongs here: the leases of one loader. Does not: loading.
"""

from collections.abc import Sequence

from muninn.clock import Clock, SystemClock
from muninn.ingest.buffer import scripts
from muninn.ingest.buffer.connection import Connection
from muninn.names import LOADERS, lease_key

_RENEW_PART = 3


class Leases:
    """Which of `shards` are the loader `consumer`'s; those of a loader that is gone are free after `hold_s`."""

    def __init__(self, url: str, consumer: str, shards: Sequence[int], hold_s: float = 6.0, clock: Clock | None = None):
        self._connection = Connection(url, "memory", 10.0)
        self._consumer, self._shards, self._hold_s = consumer, shards, hold_s
        self._clock = clock or SystemClock()
        self._mine: Sequence[int] = ()
        self._renewed: float | None = None

    def mine(self) -> Sequence[int]:
        """The shards to load now, renewed in time. Unavailable while Valkey is away."""
        now = self._clock.monotonic()
        if self._renewed is None or now - self._renewed >= self._hold_s / _RENEW_PART:
            keys = [LOADERS, *map(lease_key, self._shards)]
            now_ms, hold_ms = self._clock.now_us() // 1000, round(self._hold_s * 1000)
            places = self._connection.run(scripts.LEASE, keys, [self._consumer, now_ms, hold_ms])
            self._mine = [self._shards[place] for place in places]
            self._renewed = now
        return self._mine

    def close(self) -> None:
        """Let everything go at once."""
        keys = [LOADERS, *map(lease_key, self._shards)]
        self._connection.run(scripts.RELEASE, keys, [self._consumer])
        self._connection.close()
