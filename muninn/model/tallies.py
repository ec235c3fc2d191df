"""Running totals that the buffer remembers: what a source had counted when it last told.

Belongs here: their values, as the door and the buffer hand them to each other. Does not: counting (ingest.tallies).
"""

from collections.abc import Mapping
from dataclasses import dataclass

# The first bytes of a kept total name the point that it is of: its instant and the source's start.
MARK_BYTES = 16


@dataclass(frozen=True)
class TallyMove:
    """A total moves on, together with the batch that tells of it: from what was kept (None: nothing) to `after`."""

    name: str
    before: bytes | None
    after: bytes

    @property
    def mark(self) -> bytes:
        """What must still be kept for the move to be one."""
        return (self.before or b"")[:MARK_BYTES]


@dataclass(frozen=True)
class Tallies:
    """since_us: what is not in `kept` was not there at any time since then."""

    since_us: int
    kept: Mapping[str, bytes]
