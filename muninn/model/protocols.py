"""What a room asks of the next one, so that it can be handed a real server or a memory twin."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from muninn.model.batch import SampleBatch
from muninn.model.tallies import Tallies, TallyMove


@dataclass(frozen=True)
class BatchHandle:
    """A batch as it lies in the buffer: `stream` and `entry_id` name it for ever."""

    stream: str
    entry_id: str
    batch: SampleBatch


class Broker(Protocol):
    """The durable buffer between the door and the store: a stream read by one consumer group.

    Entry ids are strings "<ms>-<seq>" that grow. An entry that was read and not acknowledged stays
    pending with its consumer until it is acknowledged or claimed by another.
    """

    def append(self, batch: SampleBatch, idempotency_key: str | None = None, moves: Sequence[TallyMove] = ()) -> str:
        """Keep the batch durably and return its entry id; the same key again returns the first id.

        moves: running totals that move on with the batch, all or none.
        Raises Rejected when the buffer is full, Unavailable when its server is away, Overtaken when a total has been
        moved on by somebody else: nothing was kept.
        """
        ...

    def tallies(self, names: Sequence[str]) -> Tallies:
        """What is kept of these running totals."""
        ...

    def read(self, consumer: str, max_entries: int, block_ms: int) -> Sequence[BatchHandle]:
        """New entries for this consumer, oldest first; [] when none came within `block_ms`."""
        ...

    def claim(self, consumer: str, idle_ms: int, max_entries: int) -> Sequence[BatchHandle]:
        """Take over entries that some consumer read and left for `idle_ms`."""
        ...

    def acknowledge(self, handles: Sequence[BatchHandle]) -> None:
        """The entries are in the store: forget them."""
        ...

    def depth(self) -> int:
        """How many entries are not acknowledged yet."""
        ...

    def oldest_pending_id(self) -> str | None:
        """The id of the oldest entry that is not acknowledged; None when all are."""
        ...


class BatchSource(Protocol):
    """Where live samples come from, for those who only watch: every batch, in order, no group."""

    def follow(self, after_id: str, block_ms: int) -> Sequence[BatchHandle]:
        """Entries after `after_id` ("$": from now on); [] when none came within `block_ms`."""
        ...
