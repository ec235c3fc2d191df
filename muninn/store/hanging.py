"""A server that hangs: it neither answers nor closes its connections, and no time limit of its own is ever met.

Belongs here: cutting a connection that is not given back in time. Does not: pools (database).
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Cut(threading.Event):
    """Set where the connection was cut."""


@contextmanager
def cut_after(limit_s: float, descriptor: int) -> Iterator[Cut]:
    """Shut the socket down when the block lasts longer: whoever waits for an answer on it gets an error."""
    found = Cut()
    # A copy of the descriptor: one that was closed meanwhile might be another file's by then.
    with socket.socket(fileno=os.dup(descriptor)) as line:

        def cut() -> None:
            found.set()
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(limit_s, cut)
        timer.daemon = True
        timer.start()
        try:
            yield found
        finally:
            timer.cancel()
