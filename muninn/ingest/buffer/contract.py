"""What the buffer offers on top of model.Broker: what a loader and an operator need.

Belongs here: the protocol and its values. Does not: any implementation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from muninn.model import BatchHandle, BatchSource, Broker

MAX_KEY_CHARS = 200
# Of a dead letter only its reason is kept when its payload is larger than this.
MAX_DEAD_PAYLOAD_BYTES = 256 << 10
MAX_DEAD_LETTERS = 256


@dataclass(frozen=True)
class DeadLetter:
    """An entry that can never be loaded: where it lay, why, when (at_us), and its fields (empty if too large)."""

    letter_id: str
    stream: str
    entry_id: str
    reason: str
    at_us: int
    fields: dict[bytes, bytes]


@dataclass(frozen=True)
class BufferLimits:
    """When the buffer says no, and how long it keeps what it no longer needs.

    max_bytes: entries not yet in the store; beyond it `append` raises Rejected.
    live_s: loaded entries stay this long for those who follow, as long as they take under a quarter of max_bytes.
    idempotency_s: an idempotency key is remembered this long.
    read_bytes: about how much one `read` takes; a single larger entry is still read.
    """

    max_bytes: int = 512 << 20
    live_s: float = 30.0
    idempotency_s: int = 86_400
    read_bytes: int = 32 << 20

    @property
    def kept_bytes(self) -> int:
        """How much the loaded entries may take."""
        return self.max_bytes // 4


class IngestBuffer(Broker, BatchSource, Protocol):
    """A Broker that can also tell how it is. Methods raise Unavailable when the server is away."""

    def pending(self, consumer: str, max_entries: int) -> Sequence[BatchHandle]:
        """What this consumer has read and not acknowledged, oldest first."""
        ...

    def bury(self, handle: BatchHandle, reason: str) -> None:
        """Move an entry to the dead letters; it counts as acknowledged."""
        ...

    def want_names(self) -> None:
        """Let every entry from now on carry the names of its series, until the store has confirmed them again."""
        ...

    def dead_letters(self, limit: int = 100) -> Sequence[DeadLetter]:
        """The newest dead letters, newest first."""
        ...

    def dead_letter_count(self) -> int:
        """How many dead letters are kept."""
        ...

    def held_bytes(self) -> int:
        """Bytes of the entries that are not acknowledged yet."""
        ...

    def lag_s(self) -> float:
        """Age of the oldest entry that is not acknowledged; 0.0 when all are."""
        ...

    def first_id(self) -> str | None:
        """The oldest entry that the buffer still holds, acknowledged or not."""
        ...

    def last_id(self) -> str:
        """The newest entry ever appended ("0-0" if none): where to follow from."""
        ...


def place_of(entry_id: str) -> tuple[int, int]:
    """(milliseconds, sequence) of an entry id: ids compare by it."""
    ms, _, sequence = entry_id.partition("-")
    return int(ms), int(sequence or 0)
