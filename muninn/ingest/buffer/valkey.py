"""The buffer on Valkey or Redis: a stream read by one consumer group.

Belongs here: the broker's methods. Does not: what a field holds (codec), what happens atomically (scripts),
connections and their errors (connection).
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import redis
from numpy.typing import NDArray

from muninn.clock import SECOND_US, Clock, SystemClock
from muninn.errors import Invalid, Overtaken
from muninn.ingest.buffer import codec, scripts, tallies
from muninn.ingest.buffer.connection import Connection, Durability
from muninn.ingest.buffer.contract import (
    MAX_DEAD_BYTES,
    MAX_DEAD_LETTERS,
    MAX_DEAD_PAYLOAD_BYTES,
    BufferLimits,
    DeadLetter,
    check_letter_id,
    place_of,
    replayed,
)
from muninn.ingest.buffer.names import Names
from muninn.ingest.buffer.roster import Roster
from muninn.model import BatchHandle, SampleBatch, Tallies, TallyMove
from muninn.names import (
    DEAD_LETTER_BYTES,
    DEAD_LETTER_INDEX,
    DEAD_LETTERS,
    GROUP,
    NAMES_EPOCH,
    idempotency_key,
    ingest_stream,
)

log = logging.getLogger(__name__)

_FOLLOW_ENTRIES = 64
NAMES_WANTED, _OLD = b"names:", b"old:"
_DEAD = (DEAD_LETTERS, DEAD_LETTER_BYTES, DEAD_LETTER_INDEX)

Entry = tuple[bytes, dict[bytes, bytes]]


class ValkeyBroker:
    """An IngestBuffer on the server at `url`; it connects when first used, and again after the server was away.

    timeout_s: a server that does not answer for this long is away; blocking reads block half of it at the most.
    streams: all that are loaded, this one among them.
    """

    def __init__(
        self,
        url: str,
        *,
        limits: BufferLimits | None = None,
        durability: Durability = "fsync",
        replicas: int = 0,
        clock: Clock | None = None,
        stream: str | None = None,
        timeout_s: float = 10.0,
        roster: Roster | None = None,
        names: Names | None = None,
        connection: Connection | None = None,
        streams: Sequence[str] = (),
    ):
        self._limits = limits or BufferLimits()
        self._clock = clock or SystemClock()
        self._connection = connection or Connection(url, durability, timeout_s, replicas)
        self._codec = codec.Decoder()
        self._roster = Roster() if roster is None else roster
        self._names = Names() if names is None else names
        self._stream = stream or ingest_stream()
        self._streams = streams or (self._stream,)
        self._unacked = f"{self._stream}:unacked"
        self._kept = f"{self._stream}:kept"
        self._bytes = f"{self._stream}:bytes"
        # A silent server must be told from an empty stream.
        self._max_block_ms = round(timeout_s * 500)

    def append(self, batch: SampleBatch, idempotency_key: str | None = None, moves: Sequence[TallyMove] = ()) -> str:
        """Keep the batch as durably as the setting says; see model.Broker."""
        found = self._append(batch, idempotency_key, moves, *self._roster.wanting(batch.keys.fingerprints))
        if isinstance(found, bytes) and found.startswith(NAMES_WANTED):
            self._roster.forget(found.removeprefix(NAMES_WANTED).decode())
            found = self._append(batch, idempotency_key, moves)
        return appended(found, self._limits)

    def tallies(self, names: Sequence[str]) -> Tallies:
        """What is kept of these running totals."""
        return tallies.ask(self._connection, self._clock, names)

    def _append(
        self,
        batch: SampleBatch,
        idempotency_key: str | None,
        moves: Sequence[TallyMove],
        named: NDArray[np.bool_] | None = None,
        epoch: str = "",
    ) -> Any:
        fields = codec.encode(batch, named)
        remember = self._limits.idempotency_s if idempotency_key else 0
        flat = [part for pair in fields.items() for part in pair]
        return self._connection.write(
            scripts.APPEND,
            [self._stream, self._unacked, self._bytes, idempotency(idempotency_key), NAMES_EPOCH],
            [
                self._limits.max_bytes,
                remember,
                epoch if b"named" in fields else "",
                *tallies.arguments(moves, self._limits.tally_s),
                max_age_ms(self._limits),
                *flat,
            ],
        )

    def read(self, consumer: str, max_entries: int, block_ms: int) -> Sequence[BatchHandle]:
        """New entries, about `limits.read_bytes` of them; a damaged one goes to the dead letters."""

        def ask(client: redis.Redis) -> Any:
            return client.xreadgroup(GROUP, consumer, {self._stream: ">"}, room, self._block(block_ms))

        room = self._connection.run(
            scripts.ROOM, [self._stream, self._unacked], [GROUP, max_entries, self._limits.read_bytes]
        )
        return self._handles(_entries(self._grouped(ask)))

    def pending(self, consumer: str, max_entries: int) -> Sequence[BatchHandle]:
        """What this consumer has read and not acknowledged, oldest first."""

        def ask(client: redis.Redis) -> Any:
            return client.xreadgroup(GROUP, consumer, {self._stream: "0"}, max_entries)

        return self._handles(_entries(self._grouped(ask)))

    def claim(self, consumer: str, idle_ms: int, max_entries: int) -> Sequence[BatchHandle]:
        """Take over entries that were left for `idle_ms`; see model.Broker."""
        found: list[Entry] = []
        cursor = b"0-0"
        while True:
            wanted = max_entries - len(found)

            def ask(client: redis.Redis, start: bytes = cursor, count: int = wanted) -> Any:
                return client.xautoclaim(self._stream, GROUP, consumer, idle_ms, start, count)

            cursor, entries, *_ = self._grouped(ask)
            found += entries
            if cursor == b"0-0" or len(found) >= max_entries:
                return self._handles(found)

    def acknowledge(self, handles: Sequence[BatchHandle]) -> None:
        """The entries are in the store; what is acknowledged and older than `limits.live_s` is deleted."""
        if handles:
            horizon_ms = self._clock.now_us() // 1000 - round(self._limits.live_s * 1000)
            self._connection.run(
                scripts.ACKNOWLEDGE,
                [self._stream, self._unacked, self._kept, self._bytes],
                [GROUP, horizon_ms, self._limits.kept_bytes, *(handle.entry_id for handle in handles)],
            )

    def bury(self, handle: BatchHandle, reason: str) -> None:
        """Move an entry to the dead letters; it counts as acknowledged."""
        self._bury(handle.entry_id, reason)

    def want_names(self) -> None:
        """Let every entry from now on carry the names of its series, until the store has confirmed them again."""
        self._ask(lambda client: client.incr(NAMES_EPOCH))

    def depth(self) -> int:
        """How many entries are not acknowledged yet."""
        return int(self._ask(lambda client: client.zcard(self._unacked)))

    def held_bytes(self) -> int:
        """Bytes of the entries that are not acknowledged yet."""
        return int(self._ask(lambda client: client.hget(self._bytes, "held")) or 0)

    def oldest_pending_id(self) -> str | None:
        """The id of the oldest entry that is not acknowledged; None when all are."""
        # Members of one millisecond are sorted as text: look at enough of them to find the lowest sequence.
        members: list[bytes] = self._ask(lambda client: client.zrange(self._unacked, 0, 63))
        ids = [member.split()[0].decode() for member in members]
        return min(ids, key=place_of, default=None)

    def lag_s(self) -> float:
        """Age of the oldest entry that is not acknowledged; 0.0 when all are."""
        oldest = self.oldest_pending_id()
        return 0.0 if oldest is None else max(0.0, self._clock.now_us() / SECOND_US - place_of(oldest)[0] / 1000)

    def first_id(self) -> str | None:
        """The oldest entry that the buffer still holds, acknowledged or not."""
        found = self._ask(lambda client: client.xrange(self._stream, count=1))
        return found[0][0].decode() if found else None

    def last_id(self) -> str:
        """The newest entry ever appended; "0-0" if none."""

        def ask(client: redis.Redis) -> Any:
            return client.xinfo_stream(self._stream) if client.exists(self._stream) else None

        found = self._ask(ask)
        return "0-0" if found is None else found["last-generated-id"].decode()

    def follow(self, after_id: str, block_ms: int) -> Sequence[BatchHandle]:
        """Entries after `after_id`; damaged ones are left out. See model.BatchSource."""
        while True:

            def ask(client: redis.Redis, after: str = after_id) -> Any:
                return client.xread({self._stream: after}, _FOLLOW_ENTRIES, self._block(block_ms))

            entries = _entries(self._ask(ask))
            handles = self._names.complete(self.decoded(entries))
            if handles or not entries:
                return handles
            after_id = entries[-1][0].decode()

    def keep_aside(self, batch: SampleBatch, reason: str, entry_id: str) -> None:
        """Put samples that the store refused among the dead letters, as durable as entries are; see contract."""
        fields = codec.encode_known(batch)
        flat = [part for pair in fields.items() for part in pair]
        self._connection.write(
            scripts.KEEP_ASIDE,
            [self._stream, *_DEAD],
            [entry_id, reason, self._clock.now_us(), MAX_DEAD_LETTERS, MAX_DEAD_BYTES, *flat],
        )

    def replay(self, letter_id: str) -> str | None:
        """Take a dead letter back into the stream it lay in, at once or not at all; see contract.

        One of a shard that is no longer loaded goes into another: a loader takes any series.
        """
        lay_in = next((each.stream for each in self._letters(letter_id, letter_id, 1)), self._stream)
        stream = lay_in if lay_in in self._streams else self._stream
        found = self._connection.write(
            scripts.REPLAY,
            [stream, f"{stream}:unacked", f"{stream}:bytes", *_DEAD],
            [letter_id, self._limits.max_bytes, max_age_ms(self._limits)],
        )
        return replayed(letter_id, appended(found, self._limits))

    def drop(self, letter_id: str) -> bool:
        """Forget a dead letter; whether there was one."""
        check_letter_id(letter_id)
        return bool(self._connection.run(scripts.DROP, _DEAD, [letter_id]))

    def _letters(self, newest: str, oldest: str, limit: int) -> list[DeadLetter]:
        if newest != "+":
            check_letter_id(newest)
        found = self._ask(lambda client: client.xrevrange(DEAD_LETTERS, newest, oldest, count=limit))
        return [_letter(letter_id.decode(), fields) for letter_id, fields in found]

    def dead_letter(self, letter_id: str) -> DeadLetter | None:
        """One dead letter."""
        return next(iter(self._letters(letter_id, letter_id, 1)), None)

    def dead_letters(self, limit: int = 100) -> Sequence[DeadLetter]:
        """The newest dead letters, newest first."""
        return self._letters("+", "-", limit)

    def dead_letter_count(self) -> int:
        """How many dead letters are kept."""
        return int(self._ask(lambda client: client.xlen(DEAD_LETTERS)))

    def ping(self) -> None:
        """Unavailable if the server does not answer."""
        self._ask(lambda client: client.ping())

    def close(self) -> None:
        """Give the connections back; the broker may be used again."""
        self._connection.close()

    def _block(self, block_ms: int) -> int | None:
        return min(block_ms, self._max_block_ms) if block_ms > 0 else None

    def _ask(self, command: Callable[[redis.Redis], Any]) -> Any:
        return self._connection.ask(command)

    def _grouped(self, command: Callable[[redis.Redis], Any]) -> Any:
        """Run a command of the group, which is made where the server has none (any more)."""
        try:
            return self._ask(command)
        except redis.ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
        if self._connection.run(scripts.GROUP, [self._stream, self._unacked, self._kept, self._bytes], [GROUP]):
            log.info("made consumer group %s of %s", GROUP, self._stream)
        return self._ask(command)

    def decoded(self, entries: Sequence[Entry]) -> list[BatchHandle]:
        """Entries for who follows: damaged ones are left out."""
        return [*self._decoded(entries, _leave_out)]

    def _handles(self, entries: Sequence[Entry]) -> list[BatchHandle]:
        return [*self._decoded(entries, self._bury)]

    def _decoded(self, entries: Sequence[Entry], damaged: Callable[[str, str], None]) -> Iterable[BatchHandle]:
        for raw_id, fields in entries:
            entry_id = raw_id.decode()
            try:
                # An entry that was deleted while pending comes back without fields.
                yield BatchHandle(self._stream, entry_id, self._codec.decode(fields or {}))
            except Invalid as error:
                damaged(entry_id, str(error))

    def _bury(self, entry_id: str, reason: str) -> None:
        log.warning("buffer entry %s goes to the dead letters: %s", entry_id, reason)
        self._connection.run(
            scripts.BURY,
            [self._stream, self._unacked, self._kept, self._bytes, *_DEAD],
            [
                GROUP,
                entry_id,
                reason,
                self._clock.now_us(),
                MAX_DEAD_LETTERS,
                MAX_DEAD_BYTES,
                MAX_DEAD_PAYLOAD_BYTES,
            ],
        )


def appended(found: int | bytes, limits: BufferLimits) -> str:
    """What a script gave; Rejected where that is why it refused (scripts.refusal), Overtaken where it says so."""
    if isinstance(found, int):
        raise limits.refusal(held=found)
    if found.startswith(_OLD):
        raise limits.refusal(waited_s=int(found.removeprefix(_OLD)) / 1000)
    if found == tallies.OVERTAKEN:
        raise Overtaken("a running total was moved on by somebody else meanwhile: send again")
    return found.decode()


def max_age_ms(limits: BufferLimits) -> int:
    """How long entries may wait, as scripts take it."""
    return round(limits.max_age_s * 1000)


def _leave_out(entry_id: str, reason: str) -> None:
    log.debug("left out buffer entry %s: %s", entry_id, reason)


def idempotency(key: str | None) -> str:
    """Where a key is kept; a name that is not used where there is none."""
    return idempotency_key(key or "")


def _entries(answer: Any) -> list[Entry]:
    """The entries of an answer to XREAD or XREADGROUP of one stream."""
    return answer[0][1] if answer else []


def _letter(letter_id: str, fields: dict[bytes, bytes]) -> DeadLetter:
    return DeadLetter(
        letter_id,
        fields[b"stream"].decode(),
        fields[b"entry_id"].decode(),
        fields[b"reason"].decode("utf-8", "replace"),
        int(fields[b"at_us"]),
        {name[2:]: value for name, value in fields.items() if name.startswith(b"f:")},
    )
