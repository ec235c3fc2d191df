"""The buffer in this process's memory: for tests, and for a gateway and a loader in one process.

Belongs here: a second implementation of the same contract. Does not: durability, of which it has none.
"""

import itertools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from muninn.clock import SECOND_US, Clock, SystemClock
from muninn.errors import Invalid, Overtaken
from muninn.ingest.buffer import codec
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
from muninn.model.tallies import MARK_BYTES
from muninn.names import ingest_stream

_FOLLOW_ENTRIES = 64


@dataclass
class _Entry:
    fields: Mapping[bytes, bytes]
    size: int
    acknowledged: bool = False
    consumer: str | None = None
    delivered_us: int = 0


@dataclass
class _State:
    entries: dict[str, _Entry] = field(default_factory=dict)
    keys: dict[str, tuple[str, int]] = field(default_factory=dict)
    dead: list[DeadLetter] = field(default_factory=list)
    last: tuple[int, int] = (0, 0)
    delivered: tuple[int, int] = (0, 0)
    epoch: int = 0
    tallies: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    tallies_since_us: int | None = None


class MemoryBroker:
    """An IngestBuffer without a server. Safe to share between threads."""

    def __init__(
        self,
        *,
        limits: BufferLimits | None = None,
        clock: Clock | None = None,
        stream: str | None = None,
        roster: Roster | None = None,
        names: Names | None = None,
    ):
        self._roster = Roster() if roster is None else roster
        self._names = Names() if names is None else names
        self._limits = limits or BufferLimits()
        self._clock = clock or SystemClock()
        self._stream = stream or ingest_stream()
        self._codec = codec.Decoder()
        self._lock = threading.RLock()
        self._arrived = threading.Event()
        self._state = _State()
        self._letters = itertools.count()

    def append(self, batch: SampleBatch, idempotency_key: str | None = None, moves: Sequence[TallyMove] = ()) -> str:
        """Keep the batch; see model.Broker."""
        named, epoch = self._roster.wanting(batch.keys.fingerprints)
        if named is not None and not named.all() and epoch != str(self._state.epoch):
            self._roster.forget(str(self._state.epoch))
            named = None
        return self.append_fields(codec.encode(batch, named), idempotency_key, moves)

    def tallies(self, names: Sequence[str]) -> Tallies:
        """What is kept of these running totals."""
        with self._lock:
            now_us = self._clock.now_us()
            if self._state.tallies_since_us is None:
                self._state.tallies_since_us = now_us
            found = {name: self._state.tallies.get(name, (b"", 0)) for name in names}
            return Tallies(
                self._state.tallies_since_us, {name: kept for name, (kept, until) in found.items() if until > now_us}
            )

    def append_fields(
        self,
        fields: Mapping[bytes, bytes],
        idempotency_key: str | None = None,
        moves: Sequence[TallyMove] = (),
    ) -> str:
        """Keep an entry of these fields, whatever they hold."""
        with self._lock:
            state, now_us = self._state, self._clock.now_us()
            known = state.keys.get(idempotency_key or "")
            if known and known[1] > now_us:
                return known[0]
            kept = self.tallies([move.name for move in moves]).kept if moves else {}
            if any(kept.get(move.name, b"")[:MARK_BYTES] != move.mark for move in moves):
                raise Overtaken("a running total was moved on by somebody else meanwhile: send again")
            size, held = codec.size_of(fields), self.held_bytes()
            if held and held + size > self._limits.max_bytes:
                raise self._limits.refusal(held=held)
            if (waited_s := self.lag_s()) > self._limits.max_age_s:
                raise self._limits.refusal(waited_s=waited_s)
            state.last = max((now_us // 1000, 0), (state.last[0], state.last[1] + 1))
            entry_id = f"{state.last[0]}-{state.last[1]}"
            state.entries[entry_id] = _Entry(fields, size)
            if idempotency_key:
                state.keys = {key: at for key, at in state.keys.items() if at[1] > now_us}
                state.keys[idempotency_key] = (entry_id, now_us + self._limits.idempotency_s * SECOND_US)
            for move in moves:
                state.tallies[move.name] = move.after, now_us + self._limits.tally_s * SECOND_US
            self._arrived.set()
            return entry_id

    def read(self, consumer: str, max_entries: int, block_ms: int) -> Sequence[BatchHandle]:
        """New entries, about `limits.read_bytes` of them; a damaged one goes to the dead letters."""
        self._arrived.clear()
        found = self._deliver(consumer, max_entries)
        if not found and block_ms > 0 and self._clock.wait(block_ms / 1000, self._arrived):
            found = self._deliver(consumer, max_entries)
        return self._handles(found)

    def pending(self, consumer: str, max_entries: int) -> Sequence[BatchHandle]:
        """What this consumer has read and not acknowledged, oldest first."""
        with self._lock:
            mine = [entry_id for entry_id, entry in self._unacknowledged() if entry.consumer == consumer]
            return self._handles(mine[:max_entries])

    def claim(self, consumer: str, idle_ms: int, max_entries: int) -> Sequence[BatchHandle]:
        """Take over entries that were left for `idle_ms`; see model.Broker."""
        with self._lock:
            before_us = self._clock.now_us() - idle_ms * 1000
            idle = [
                entry_id
                for entry_id, entry in self._unacknowledged()
                if entry.consumer is not None and entry.delivered_us <= before_us
            ][:max_entries]
            self._hand(consumer, idle)
            return self._handles(idle)

    def acknowledge(self, handles: Sequence[BatchHandle]) -> None:
        """The entries are in the store; what is acknowledged and older than `limits.live_s` is deleted."""
        with self._lock:
            for handle in handles:
                self._settle(handle.entry_id)
            if handles:
                self._trim()

    def bury(self, handle: BatchHandle, reason: str) -> None:
        """Move an entry to the dead letters; it counts as acknowledged."""
        self._bury(handle.entry_id, reason)

    def want_names(self) -> None:
        """Let every entry from now on carry the names of its series, until the store has confirmed them again."""
        with self._lock:
            self._state.epoch += 1

    def depth(self) -> int:
        """How many entries are not acknowledged yet."""
        with self._lock:
            return len(self._unacknowledged())

    def held_bytes(self) -> int:
        """Bytes of the entries that are not acknowledged yet."""
        with self._lock:
            return sum(entry.size for _, entry in self._unacknowledged())

    def oldest_pending_id(self) -> str | None:
        """The id of the oldest entry that is not acknowledged; None when all are."""
        with self._lock:
            return next((entry_id for entry_id, _ in self._unacknowledged()), None)

    def lag_s(self) -> float:
        """Age of the oldest entry that is not acknowledged; 0.0 when all are."""
        oldest = self.oldest_pending_id()
        return 0.0 if oldest is None else max(0.0, self._clock.now_us() / SECOND_US - place_of(oldest)[0] / 1000)

    def first_id(self) -> str | None:
        """The oldest entry that the buffer still holds, acknowledged or not."""
        with self._lock:
            return next(iter(self._state.entries), None)

    def last_id(self) -> str:
        """The newest entry ever appended; "0-0" if none."""
        with self._lock:
            return "{}-{}".format(*self._state.last)

    def follow(self, after_id: str, block_ms: int) -> Sequence[BatchHandle]:
        """Entries after `after_id`; damaged ones are left out. See model.BatchSource."""
        after = place_of(self.last_id() if after_id == "$" else after_id)
        self._arrived.clear()
        found = self._after(after)
        if not found and block_ms > 0 and self._clock.wait(block_ms / 1000, self._arrived):
            found = self._after(after)
        return self._names.complete(found)

    def keep_aside(self, batch: SampleBatch, reason: str, entry_id: str) -> None:
        """Put samples that the store refused among the dead letters; see contract."""
        with self._lock:
            self._keep(codec.encode_known(batch), reason, entry_id)

    def replay(self, letter_id: str) -> str | None:
        """Take a dead letter back into the buffer, at once or not at all; see contract."""
        with self._lock:
            letter = self._letter(letter_id)
            if letter is None:
                return None
            if not letter.fields:
                return replayed(letter_id, "empty")
            entry_id = self.append_fields(letter.fields)
            self._state.dead.remove(letter)
            return entry_id

    def drop(self, letter_id: str) -> bool:
        """Forget a dead letter; whether there was one."""
        with self._lock:
            letter = self._letter(letter_id)
            if letter is not None:
                self._state.dead.remove(letter)
            return letter is not None

    def dead_letters(self, limit: int = 100) -> Sequence[DeadLetter]:
        """The newest dead letters, newest first."""
        with self._lock:
            return self._state.dead[::-1][:limit]

    def dead_letter_count(self) -> int:
        """How many dead letters are kept."""
        with self._lock:
            return len(self._state.dead)

    def ping(self) -> None:
        """Always there."""

    def close(self) -> None:
        """Nothing to close."""

    def _unacknowledged(self) -> list[tuple[str, _Entry]]:
        return [(entry_id, entry) for entry_id, entry in self._state.entries.items() if not entry.acknowledged]

    def _deliver(self, consumer: str, max_entries: int) -> list[str]:
        with self._lock:
            new = [entry_id for entry_id in self._state.entries if place_of(entry_id) > self._state.delivered]
            chosen: list[str] = []
            total = 0
            for entry_id in new[:max_entries]:
                total += self._state.entries[entry_id].size
                if chosen and total > self._limits.read_bytes:
                    break
                chosen.append(entry_id)
            self._hand(consumer, chosen)
            if chosen:
                self._state.delivered = place_of(chosen[-1])
            return chosen

    def _hand(self, consumer: str, entry_ids: Sequence[str]) -> None:
        for entry_id in entry_ids:
            entry = self._state.entries[entry_id]
            entry.consumer, entry.delivered_us = consumer, self._clock.now_us()

    def _after(self, after: tuple[int, int]) -> list[BatchHandle]:
        with self._lock:
            entries = [
                (entry_id, entry) for entry_id, entry in self._state.entries.items() if place_of(entry_id) > after
            ]
        handles = []
        for entry_id, entry in entries:
            try:
                handles.append(BatchHandle(self._stream, entry_id, self._codec.decode(entry.fields)))
            except Invalid:
                continue
            if len(handles) == _FOLLOW_ENTRIES:
                break
        return handles

    def _handles(self, entry_ids: Sequence[str]) -> list[BatchHandle]:
        handles = []
        for entry_id in entry_ids:
            with self._lock:
                entry = self._state.entries[entry_id]
            try:
                handles.append(BatchHandle(self._stream, entry_id, self._codec.decode(entry.fields)))
            except Invalid as error:
                self._bury(entry_id, str(error))
        return handles

    def _settle(self, entry_id: str) -> None:
        entry = self._state.entries.get(entry_id)
        # What nobody has read cannot be acknowledged.
        if entry is not None and entry.consumer is not None:
            entry.acknowledged = True

    def _trim(self) -> None:
        horizon_ms = self._clock.now_us() // 1000 - round(self._limits.live_s * 1000)
        kept = sum(entry.size for entry in self._state.entries.values() if entry.acknowledged)
        for entry_id, entry in list(self._state.entries.items()):
            old = place_of(entry_id)[0] < horizon_ms
            if not entry.acknowledged or not (old or kept > self._limits.kept_bytes):
                break
            kept -= entry.size
            del self._state.entries[entry_id]

    def _bury(self, entry_id: str, reason: str) -> None:
        with self._lock:
            entry = self._state.entries[entry_id]
            self._keep(dict(entry.fields) if entry.size <= MAX_DEAD_PAYLOAD_BYTES else {}, reason, entry_id)
            self._settle(entry_id)

    def _keep(self, fields: dict[bytes, bytes], reason: str, entry_id: str) -> None:
        at_us, dead = self._clock.now_us(), self._state.dead
        letter_id = f"{at_us // 1000}-{next(self._letters)}"
        dead[:] = [
            each for each in dead if (each.stream, each.entry_id, each.reason) != (self._stream, entry_id, reason)
        ]
        dead.append(DeadLetter(letter_id, self._stream, entry_id, reason, at_us, fields))
        while len(dead) > MAX_DEAD_LETTERS or sum(codec.size_of(each.fields) for each in dead) > MAX_DEAD_BYTES:
            del dead[0]

    def _letter(self, letter_id: str) -> DeadLetter | None:
        check_letter_id(letter_id)
        return next((each for each in self._state.dead if each.letter_id == letter_id), None)
