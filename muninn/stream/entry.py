"""Who may watch: the sidecar's side of the guard.

Belongs here: the verdict over a new connection and over what it says first, who waits for it, who has to leave.
Does not: sockets (server), channels (hub).

A browser cannot send a header with a WebSocket, so a connection without one may say `authenticate` first.
Until then it is told nothing and nothing is done for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from muninn.clock import Clock
from muninn.guard.judge import Judge, Refusal

WAIT_S = 10.0
# A token id that no row has: who came in without one, and may stay as long as it likes.
NOBODY = 0


@dataclass(frozen=True)
class Waiting:
    """Not let in yet."""

    since: float


class Entry:
    """Judges connections; one thread calls it. Without a judge everybody is let in."""

    def __init__(self, judge: Judge | None, clock: Clock):
        self._judge, self._clock = judge, clock

    def knock(self, peer: str | None, headers: Mapping[str, str]) -> int | Waiting | Refusal:
        """The token id behind a connection, Waiting where it may still say whose it is, or the refusal."""
        if self._judge is None:
            return NOBODY
        found = self._judge.judge("read", peer, headers)
        if isinstance(found, Refusal):
            return Waiting(self._clock.monotonic()) if found.reason == "missing" else found
        return NOBODY if found is None else found.token.token_id

    def present(self, text: str) -> int | Refusal:
        """The token id behind a ticket or a secret that a waiting connection presents."""
        return NOBODY if self._judge is None else self._judge.ticket(text)

    def still(self, token_id: int) -> bool:
        """Whether who came in by this token may stay."""
        return self._judge is None or self._judge.still(token_id)

    def too_long(self, waiting: Waiting) -> bool:
        """Whether it has waited long enough."""
        return self._clock.monotonic() - waiting.since > WAIT_S
