"""The feed: follows the buffer in a thread and hands every batch over.

Belongs here: following, and coming back when the buffer was away. Does not: what becomes of a batch.
"""

import logging
import threading
from collections.abc import Callable, Sequence

from muninn.clock import Clock
from muninn.errors import MuninnError
from muninn.model import BatchHandle, BatchSource

log = logging.getLogger(__name__)

BLOCK_MS = 1_000
# Entries this old are read at the start: the store may not have them yet when the first viewer comes.
REACH_BACK_MS = 15_000
# The first failure may be no more than a connection that the server closed while it was idle: try again at once.
BACK_OFF_S = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)


class Feed:
    """Reads `source` in order from a little before now on.

    deliver: takes entries and returns when there is room for more, so that nothing piles up.
    status: told (live, reason) after every read, and of a failure when trying again at once failed too.
    """

    def __init__(
        self,
        source: BatchSource,
        deliver: Callable[[Sequence[BatchHandle]], None],
        status: Callable[[bool, str], None],
        clock: Clock,
    ):
        self._source = source
        self._deliver = deliver
        self._status = status
        self._clock = clock

    def run(self, stop: threading.Event) -> None:
        """Follow until `stop`; an error of the buffer is waited out from the same position."""
        after = f"{max(0, self._clock.now_us() // 1000 - REACH_BACK_MS)}-0"
        failures = 0
        while not stop.is_set():
            try:
                handles = self._source.follow(after, BLOCK_MS)
            except Exception as error:
                if not isinstance(error, MuninnError):
                    log.exception("following the buffer failed")
                elif failures == 1:
                    log.warning("the buffer is away: %s", error)
                if failures >= 1:
                    self._status(False, f"the buffer is away: {error}")
                self._clock.wait(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)], stop)
                failures += 1
                continue
            if failures > 1:
                log.info("the buffer is back")
            failures = 0
            self._status(True, "")
            if handles:
                after = handles[-1].entry_id
                self._deliver(handles)
