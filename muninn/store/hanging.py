"""A server that hangs: it neither answers nor closes its connections, and no time limit of its own is ever met.

Belongs here: cutting a connection on which nothing was answered in time. Does not: pools (database).
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# How late a connection may be cut.
_LOOK_EVERY_S = 0.5


class Cut:
    """A connection that is watched. limit_s: from the last `renew` on, it is cut after so long; None: never."""

    def __init__(self, descriptor: int, limit_s: float | None):
        self._descriptor, self.limit_s, self.done = descriptor, limit_s, False
        self._since = time.monotonic()

    def renew(self) -> None:
        """Something else is waited for now."""
        self._since = time.monotonic()

    def is_due(self, now: float) -> bool:
        """Whether nothing came for too long."""
        return self.limit_s is not None and now - self._since > self.limit_s

    def cut(self) -> None:
        """Whoever waits for an answer gets an error."""
        self.done = True
        with suppress(OSError), socket.socket(fileno=os.dup(self._descriptor)) as line:
            line.shutdown(socket.SHUT_RDWR)


class _Watch:
    """One thread for all connections of the process: one for each statement would cost more than many statements."""

    def __init__(self) -> None:
        self._watched: set[Cut] = set()
        self._changed = threading.Condition()
        self._sleeps = False
        self._thread: threading.Thread | None = None

    def add(self, cut: Cut) -> None:
        with self._changed:
            self._watched.add(cut)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hanging", daemon=True)
                self._thread.start()
            elif self._sleeps:
                self._changed.notify()

    def remove(self, cut: Cut) -> None:
        """After this it is never cut: the descriptor may be another file's by then."""
        with self._changed:
            self._watched.discard(cut)

    def _run(self) -> None:
        with self._changed:
            while True:
                self._sleeps = not self._watched
                self._changed.wait(None if self._sleeps else _LOOK_EVERY_S)
                now = time.monotonic()
                for cut in [each for each in self._watched if each.is_due(now)]:
                    cut.cut()
                    self._watched.discard(cut)


_watch = _Watch()


def _anew() -> None:
    """A child of a fork has no threads of its parent."""
    global _watch
    _watch = _Watch()


os.register_at_fork(after_in_child=_anew)


@contextmanager
def watched(descriptor: int, limit_s: float | None) -> Iterator[Cut]:
    """Shut the socket down when nothing in the block is renewed in time; `done` says whether it was."""
    cut, watch = Cut(descriptor, limit_s), _watch
    watch.add(cut)
    try:
        yield cut
    finally:
        watch.remove(cut)
