"""The buffer as several streams, split by series: each shard is loaded by one loader at a time, so that loaders scale.

A request becomes one entry in each shard that it has series of, all written by one script under one id: the request is
taken as a whole or not at all, and ids have one order over all shards. A series is always in the same shard.

Belongs here: splitting, and reading all shards as one. Does not: one stream (valkey), who loads which (leases).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import redis
from numpy.typing import NDArray

from muninn.clock import Clock
from muninn.ingest.buffer import codec, scripts, tallies
from muninn.ingest.buffer.connection import Connection, Durability
from muninn.ingest.buffer.contract import BufferLimits, DeadLetter, place_of
from muninn.ingest.buffer.names import Names
from muninn.ingest.buffer.roster import Roster
from muninn.ingest.buffer.valkey import NAMES_WANTED, ValkeyBroker, appended, idempotency, max_age_ms
from muninn.model import BatchHandle, SampleBatch, Tallies, TallyMove
from muninn.model.series_set import lanes_of
from muninn.names import LAST_ID, NAMES_EPOCH, ingest_stream

_FOLLOW_ENTRIES = 64


class ShardedBroker:
    """Takes batches and tells of all shards together; loaders take entries from `shards`, one broker each."""

    def __init__(
        self,
        url: str,
        count: int,
        *,
        limits: BufferLimits | None = None,
        durability: Durability = "fsync",
        replicas: int = 0,
        clock: Clock | None = None,
        timeout_s: float = 10.0,
        roster: Roster | None = None,
        names: Names | None = None,
        base: str | None = None,
    ):
        self._limits = limits or BufferLimits()
        self._connection = Connection(url, durability, timeout_s, replicas)
        self._roster = Roster() if roster is None else roster
        self._names = Names() if names is None else names
        self._max_block_ms = round(timeout_s * 500)
        self._last = LAST_ID if base is None else f"{base}:last"
        self.streams = [ingest_stream(number) if base is None else f"{base}:{number}" for number in range(count)]
        self.shards = [
            ValkeyBroker(
                url,
                limits=self._limits,
                durability=durability,
                clock=clock,
                stream=stream,
                timeout_s=timeout_s,
                connection=self._connection,
                streams=self.streams,
            )
            for stream in self.streams
        ]

    def append(self, batch: SampleBatch, idempotency_key: str | None = None, moves: Sequence[TallyMove] = ()) -> str:
        """Keep the batch, an entry a shard, all or none; the id of all of them. See model.Broker."""
        parts = _split(batch, len(self.shards))
        masks, epoch = [], ""
        for part in parts.values():
            mask, epoch = self._roster.wanting(part.keys.fingerprints)
            masks.append(mask)
        found = self._append(parts, idempotency_key, moves, masks, epoch)
        if isinstance(found, bytes) and found.startswith(NAMES_WANTED):
            self._roster.forget(found.removeprefix(NAMES_WANTED).decode())
            found = self._append(parts, idempotency_key, moves, [None] * len(parts), "")
        return appended(found, self._limits)

    def _append(
        self,
        parts: dict[int, SampleBatch],
        idempotency_key: str | None,
        moves: Sequence[TallyMove],
        masks: Sequence[NDArray[np.bool_] | None],
        epoch: str,
    ) -> Any:
        entries = [codec.encode(part, mask) for part, mask in zip(parts.values(), masks, strict=True)]
        keys = [idempotency(idempotency_key), NAMES_EPOCH, self._last]
        for shard in parts:
            keys += [self.streams[shard], f"{self.streams[shard]}:unacked", f"{self.streams[shard]}:bytes"]
        keys += [f"{stream}:{part}" for part in ("bytes", "unacked") for stream in self.streams]
        args: list[Any] = [
            self._limits.max_bytes,
            self._limits.idempotency_s if idempotency_key else 0,
            epoch if any(b"named" in fields for fields in entries) else "",
            *tallies.arguments(moves, self._limits.tally_s),
            len(self.streams),
            max_age_ms(self._limits),
        ]
        for fields in entries:
            args += [2 * len(fields), *(part for pair in fields.items() for part in pair)]
        return self._connection.write(scripts.APPEND_SHARDS, keys, args)

    def tallies(self, names: Sequence[str]) -> Tallies:
        """What is kept of these running totals."""
        return self.shards[0].tallies(names)

    def follow(self, after_id: str, block_ms: int) -> Sequence[BatchHandle]:
        """Entries of all shards after `after_id`, in one order; see model.BatchSource."""

        def ask(client: redis.Redis) -> Any:
            block = min(block_ms, self._max_block_ms) if block_ms > 0 else None
            return client.xread(dict.fromkeys(self.streams, after_id), _FOLLOW_ENTRIES, block)

        if after_id == "$":
            after_id = self.last_id()
        while True:
            answers = self._connection.ask(ask)
            entries = {stream.decode(): found for stream, found in answers or []}
            if not entries:
                return []
            # Of a stream that may hold more, others must not run ahead.
            ends = [place_of(found[-1][0].decode()) for found in entries.values() if len(found) == _FOLLOW_ENTRIES]
            taken: list[BatchHandle] = []
            for stream, shard in zip(self.streams, self.shards, strict=True):
                here = entries.get(stream, [])
                taken += shard.decoded(
                    [entry for entry in here if not ends or place_of(entry[0].decode()) <= min(ends)]
                )
            if taken:
                return self._names.complete(sorted(taken, key=lambda handle: place_of(handle.entry_id)))
            last = max((found[-1][0].decode() for found in entries.values()), key=place_of)
            after_id = last if not ends else "{}-{}".format(*min(ends))

    def want_names(self) -> None:
        """Let every entry from now on carry the names of its series, until the store has confirmed them again."""
        self.shards[0].want_names()

    def depth(self) -> int:
        """How many entries are not acknowledged yet."""
        return sum(shard.depth() for shard in self.shards)

    def held_bytes(self) -> int:
        """Bytes of the entries that are not acknowledged yet."""
        return sum(shard.held_bytes() for shard in self.shards)

    def oldest_pending_id(self) -> str | None:
        """The id of the oldest entry that is not acknowledged; None when all are."""
        found = [oldest for shard in self.shards if (oldest := shard.oldest_pending_id()) is not None]
        return min(found, key=place_of, default=None)

    def lag_s(self) -> float:
        """Age of the oldest entry that is not acknowledged; 0.0 when all are."""
        return max(shard.lag_s() for shard in self.shards)

    def last_id(self) -> str:
        """The newest entry ever appended; "0-0" if none."""
        return max((shard.last_id() for shard in self.shards), key=place_of)

    def replay(self, letter_id: str) -> str | None:
        """Take a dead letter back into the shard it lay in; see contract."""
        return self.shards[0].replay(letter_id)

    def drop(self, letter_id: str) -> bool:
        """Forget a dead letter; whether there was one."""
        return self.shards[0].drop(letter_id)

    def dead_letter(self, letter_id: str) -> DeadLetter | None:
        """One dead letter."""
        return self.shards[0].dead_letter(letter_id)

    def dead_letters(self, limit: int = 100) -> Sequence[DeadLetter]:
        """The newest dead letters of all shards, newest first."""
        return self.shards[0].dead_letters(limit)

    def dead_letter_count(self) -> int:
        """How many dead letters are kept."""
        return self.shards[0].dead_letter_count()

    def ping(self) -> None:
        """Unavailable if the server does not answer."""
        self.shards[0].ping()

    def close(self) -> None:
        """Give the connections back; the broker may be used again."""
        self._connection.close()


def open_buffer(
    url: str,
    shards: int,
    *,
    limits: BufferLimits | None = None,
    durability: Durability = "fsync",
    replicas: int = 0,
    clock: Clock | None = None,
    timeout_s: float = 10.0,
    roster: Roster | None = None,
    names: Names | None = None,
) -> ValkeyBroker | ShardedBroker:
    """The buffer on the server at `url`, as one stream or several."""
    broker = ValkeyBroker if shards == 1 else partial(ShardedBroker, count=shards)
    return broker(
        url,
        limits=limits,
        durability=durability,
        replicas=replicas,
        clock=clock,
        timeout_s=timeout_s,
        roster=roster,
        names=names,
    )


def _split(batch: SampleBatch, count: int) -> dict[int, SampleBatch]:
    """The batch by shard, only shards that get samples; the order within a series stays."""
    shard = lanes_of(batch.keys.fingerprints) % count
    found = {}
    for number in np.unique(shard[batch.key_index]).tolist():
        places = np.flatnonzero(shard == number)
        place_of_key = np.zeros(len(batch.keys), np.int32)
        place_of_key[places] = np.arange(len(places), dtype=np.int32)
        rows = batch.take((shard == number)[batch.key_index])
        found[number] = rows.of_keys(place_of_key[rows.key_index], batch.keys.take(places))
    return found
