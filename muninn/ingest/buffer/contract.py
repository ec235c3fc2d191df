"""What the buffer offers on top of model.Broker: what a loader and an operator need.

Belongs here: the protocol and its values. Does not: any implementation.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from muninn.errors import Invalid, Rejected
from muninn.model import BatchHandle, BatchSource, Broker, SampleBatch

MAX_KEY_CHARS = 200
_LETTER_ID = re.compile(r"\d{1,20}-\d{1,20}")
# Of a dead letter only its reason is kept when its payload is larger than this: than the largest request, as set.
MAX_DEAD_PAYLOAD_BYTES = 40 << 20
# Beyond either the oldest go.
MAX_DEAD_LETTERS = 1_000
MAX_DEAD_BYTES = 64 << 20


@dataclass(frozen=True)
class DeadLetter:
    """An entry, or samples of one, that could not be loaded: where it lay, why, when, its fields (empty: too large)."""

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
    max_age_s: so it does while the oldest of them waits for longer.
    live_s: loaded entries stay this long for those who follow, as long as they take under a quarter of max_bytes.
    idempotency_s: an idempotency key is remembered this long.
    tally_s: a running total that does not move is remembered this long.
    read_bytes: about how much one `read` takes; a single larger entry is still read.
    """

    max_bytes: int = 512 << 20
    live_s: float = 30.0
    idempotency_s: int = 86_400
    tally_s: int = 86_400
    read_bytes: int = 32 << 20
    max_age_s: float = 86_400.0

    @property
    def kept_bytes(self) -> int:
        """How much the loaded entries may take."""
        return self.max_bytes // 4

    def refusal(self, held: int = 0, waited_s: float = 0.0) -> Rejected:
        """What the door is told while so many bytes are held, or the oldest entry waits for so long."""
        if held:
            return Rejected(f"the buffer is full: {held} bytes wait to be loaded, {self.max_bytes} are allowed", 2.0)
        why = f"its oldest entry waits for {waited_s:.0f} s to be loaded, {self.max_age_s:.0f} are allowed"
        return Rejected(f"the buffer is full: {why}", 5.0)


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

    def keep_aside(self, batch: SampleBatch, reason: str, entry_id: str) -> None:
        """Put samples that the store refuses among the dead letters; `entry_id`: the entry that they came in.

        Those of one entry and reason are one letter: kept again, they take its place.
        """
        ...

    def replay(self, letter_id: str) -> str | None:
        """Take a dead letter back into the buffer, at once or not at all; its new entry id, None if there is none.

        Invalid where its payload was too large to be kept, Rejected where the buffer is full.
        """
        ...

    def drop(self, letter_id: str) -> bool:
        """Forget a dead letter; whether there was one."""
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


def check_letter_id(letter_id: str) -> None:
    """Invalid where this is no id of a dead letter."""
    if not _LETTER_ID.fullmatch(letter_id):
        raise Invalid(f"{letter_id!r} is no id of a dead letter, such as 1760000000000-0")


def replayed(letter_id: str, found: str) -> str | None:
    """The new entry id of a letter that was sent again, None where there is none; Invalid where it cannot be."""
    if found == "empty":
        raise Invalid(f"of dead letter {letter_id} only the reason was kept: it was larger than a letter may be")
    return None if found == "missing" else found
