"""One loader program over the shards that it has leased, in turns.

Belongs here: taking turns, and waiting when there is nothing. Does not: loading one stream (loader), leases (buffer).
"""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from muninn.clock import Clock
from muninn.errors import Unavailable
from muninn.ingest.loader import Loader
from muninn.meter import Meter

log = logging.getLogger(__name__)

_PACE_S, _MANY = 0.1, 256
_AWAY_S = 1.0


class Shares(Protocol):
    """Whose shards to load now."""

    def mine(self) -> Sequence[int]:
        """Their numbers. Unavailable when the server is away."""
        ...


def run_shards(
    make: Callable[[int], Loader], shares: Shares, stop: threading.Event, *, clock: Clock, meter: Meter
) -> None:
    """Load the leased shards, one after the other, until `stop`; a loader that gets a shard back recovers first."""
    loaders: dict[int, Loader] = {}
    while not stop.is_set():
        try:
            mine = shares.mine()
            loaders = {shard: loaders.get(shard) or make(shard) for shard in mine}
            started = clock.monotonic()
            entries = sum(loader.step() for loader in loaders.values())
            # Entries gather meanwhile; see LoaderLimits.pace_s.
            early_s = _PACE_S - (clock.monotonic() - started)
            if entries < _MANY and early_s > 0:
                clock.wait(early_s, stop)
        except Unavailable as error:
            loaders.clear()
            meter.count("muninn_loader_retries_total")
            log.warning("loading waits %.1f s: %s", _AWAY_S, error)
            clock.wait(_AWAY_S, stop)
