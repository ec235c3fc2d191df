"""Running totals beside the stream: asked for by name, moved on by the script that appends.

Belongs here: their keys, and the arguments of scripts. Does not: what they count (ingest.tallies).
"""

from collections.abc import Sequence
from typing import Any

from muninn.clock import Clock
from muninn.ingest.buffer import scripts
from muninn.ingest.buffer.connection import Connection
from muninn.model import Tallies, TallyMove
from muninn.names import TALLIES_SINCE, tally_key

OVERTAKEN = b"overtaken"
# One script holds the server for so many at the most.
_AT_ONCE = 5_000


def ask(connection: Connection, clock: Clock, names: Sequence[str]) -> Tallies:
    """What is kept of these totals."""
    kept: dict[str, bytes] = {}
    since_us = 0
    for start in range(0, max(len(names), 1), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        since, *found = connection.run(scripts.TALLIES, [TALLIES_SINCE], [clock.now_us(), *map(tally_key, some)])
        since_us = max(since_us, int(since))
        kept |= {name: value for name, value in zip(some, found, strict=True) if value is not None}
    return Tallies(since_us, kept)


def arguments(moves: Sequence[TallyMove], keep_s: int) -> list[Any]:
    """How the scripts that append are told."""
    found: list[Any] = [len(moves), keep_s]
    for move in moves:
        found += [tally_key(move.name), move.mark, move.after]
    return found
