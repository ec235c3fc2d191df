"""The buffer as several streams, on a real server: one request is one whole, order, leases, loaders that die."""

import uuid
from collections.abc import Iterator

import numpy as np
import pytest
import redis
import stores
from servers import eventually
from stores import NOW_US

from muninn.clock import SECOND_US, ManualClock
from muninn.errors import Rejected
from muninn.ingest.buffer.contract import BufferLimits, place_of
from muninn.ingest.buffer.leases import Leases
from muninn.ingest.buffer.sharded import ShardedBroker
from muninn.ingest.loader import Aside, Loader, LoaderLimits
from muninn.model import BatchHandle, SampleBatch, SeriesKey
from muninn.model.series_set import lanes_of
from muninn.names import LOADERS, lease_key
from muninn.numerics.distributions import columns, of_values
from muninn.store.writer import StoreWriter

SHARDS = 3
KEYS = tuple(SeriesKey.of("m", {"host": str(number)}) for number in range(60))


def request(turn: int, keys: tuple[SeriesKey, ...] = KEYS) -> SampleBatch:
    """Two samples of each series."""
    return SampleBatch.of(
        [(key, NOW_US + (2 * turn + part) * SECOND_US, float(turn)) for part in (0, 1) for key in keys]
    )


@pytest.fixture
def base(redis_url: str) -> Iterator[str]:
    name = f"test:{uuid.uuid4().hex}"
    yield name
    with redis.Redis.from_url(redis_url) as client:
        client.delete(*client.scan_iter(match=f"{name}*"), LOADERS, *map(lease_key, range(16)))


@pytest.fixture
def broker(redis_url: str, base: str) -> ShardedBroker:
    return ShardedBroker(redis_url, SHARDS, base=base)


def followed(broker: ShardedBroker, after: str = "0-0") -> list[BatchHandle]:
    found: list[BatchHandle] = []
    while handles := broker.follow(after, 0):
        found += handles
        after = handles[-1].entry_id
    return found


def test_a_request_is_one_entry_a_shard_under_one_id_and_a_series_keeps_its_shard(broker: ShardedBroker) -> None:
    ids = [broker.append(request(turn)) for turn in range(5)]
    assert ids == sorted(ids, key=place_of)
    assert len(set(ids)) == 5
    assert broker.depth() == 5 * SHARDS
    for shard, stream in enumerate(broker.shards):
        handles = stream.read("a", 100, 0)
        assert [handle.entry_id for handle in handles] == ids
        for handle in handles:
            assert (lanes_of(handle.batch.keys.fingerprints) % SHARDS == shard).all()
    seen = SampleBatch.concat([handle.batch for handle in followed(broker)])
    assert len(seen) == 5 * 2 * len(KEYS)
    sent = SampleBatch.concat([request(turn) for turn in range(5)])
    assert rows(seen) == rows(sent)


def test_distributions_stay_what_they_are_in_every_shard(broker: ShardedBroker) -> None:
    """Each key of the request once as a distribution and once as a plain value."""
    plain = request(0)
    rows = np.arange(len(KEYS), dtype=np.int64)
    some = [of_values(np.array([float(row), row + 1.0]), np.array([1, 2])) for row in rows.tolist()]
    mean = plain.value.copy()
    mean[rows] = [each.mean for each in some]
    broker.append(SampleBatch(plain.at_us, mean, plain.key_index, plain.keys, columns(rows, some)))
    seen = SampleBatch.concat([handle.batch for handle in followed(broker)])
    found = seen.distributions
    assert found is not None
    assert (len(seen), len(found)) == (2 * len(KEYS), len(KEYS))
    assert found.count.tolist() == [3] * len(KEYS)
    assert sorted(found.low.tolist()) == rows.tolist()
    assert sorted(seen.value[found.rows].tolist()) == pytest.approx(sorted(mean[rows].tolist()))


def rows(batch: SampleBatch) -> set[tuple[bytes, int, float]]:
    digests = batch.keys.fingerprints.tolist()
    return {
        (digests[key], at_us, value)
        for key, at_us, value in zip(batch.key_index.tolist(), batch.at_us.tolist(), batch.value.tolist(), strict=True)
    }


def test_a_key_that_comes_again_is_taken_once_in_all_shards(broker: ShardedBroker) -> None:
    key = uuid.uuid4().hex
    first = broker.append(request(0), key)
    assert broker.append(request(0), key) == first
    assert broker.depth() == SHARDS


def test_a_full_buffer_takes_no_part_of_a_request(redis_url: str, base: str) -> None:
    size = ShardedBroker(redis_url, SHARDS, base=base)
    size.append(request(0))
    full = ShardedBroker(redis_url, SHARDS, base=base, limits=BufferLimits(max_bytes=size.held_bytes() + 100))
    with pytest.raises(Rejected):
        full.append(request(1))
    assert full.depth() == SHARDS
    for shard in full.shards:
        shard.acknowledge(shard.read("a", 10, 0))
    full.append(request(1))
    assert full.held_bytes() > 0


def test_an_entry_that_waits_too_long_in_one_shard_closes_all(redis_url: str, base: str) -> None:
    old = ShardedBroker(redis_url, SHARDS, base=base, limits=BufferLimits(max_age_s=0.3))
    old.append(request(0))
    waiting, *others = old.shards
    for shard in others:
        shard.acknowledge(shard.read("a", 10, 0))

    def rejects() -> bool:
        try:
            old.append(request(1))
        except Rejected:
            return True
        for shard in others:
            shard.acknowledge(shard.read("a", 10, 0))
        return False

    eventually(rejects, 30, "it is too old")
    while handles := waiting.read("a", 10, 0):
        waiting.acknowledge(handles)
    old.append(request(2))


def test_followers_see_every_entry_of_every_shard_in_order_however_uneven_they_are(broker: ShardedBroker) -> None:
    one = tuple(key for key in KEYS if lanes_of(SampleBatch.of([(key, 0, 0.0)]).keys.fingerprints)[0] % SHARDS == 1)
    sent = [broker.append(request(turn, KEYS if turn % 70 == 0 else one)) for turn in range(150)]
    found = followed(broker)
    places = [place_of(handle.entry_id) for handle in found]
    assert places == sorted(places)
    assert {handle.entry_id for handle in found} == set(sent)
    assert len(found) == 150 + 3 * (SHARDS - 1)
    assert broker.follow("$", 0) == []
    assert [handle.entry_id for handle in followed(broker, sent[-2])] == [sent[-1]]


def test_leases_are_shared_evenly_and_those_of_a_dead_loader_are_taken_over(redis_url: str, base: str) -> None:
    clock = ManualClock(NOW_US)
    with redis.Redis.from_url(redis_url) as client:
        client.delete(LOADERS, *map(lease_key, range(16)))
        shards = [0, 1, 2, 7]
        a, b = (Leases(redis_url, name, shards, hold_s=60, clock=clock) for name in "ab")
        assert a.mine() == shards
        assert b.mine() == []
        clock.advance(30)
        assert len(a.mine()) == 2
        clock.advance(1)
        assert a.mine() == [0, 1], "not asked again so soon"
        clock.advance(30)
        assert sorted([*a.mine(), *b.mine()]) == shards
        b.close()
        clock.advance(30)
        assert a.mine() == shards
        c = Leases(redis_url, "c", shards, hold_s=60, clock=clock)
        client.delete(*map(lease_key, shards))  # the server lets go what a dead loader does not renew
        clock.advance(61)
        assert c.mine() == shards


def test_loaders_share_shards_and_what_one_leaves_behind_is_stored_once(
    postgres_url: str, broker: ShardedBroker
) -> None:
    store = stores.Postgres(postgres_url)
    limits = LoaderLimits(block_ms=0, takeover_s=0.0, max_entries=4)

    class Sink:
        def __init__(self, stream: str, dies_after_commit: bool = False):
            self._writer, self._stream = StoreWriter(store.database, clock=store.clock), stream
            self._dies = dies_after_commit

        def load(self, handles: list[BatchHandle], aside: Aside) -> object:
            loaded = self._writer.load(handles, aside)
            if self._dies:
                raise KeyboardInterrupt
            return loaded

        def flush(self) -> None:
            self._writer.flush()

        def prune_entries(self, before_id: str) -> int:
            return self._writer.prune_entries(before_id, self._stream)

    for turn in range(12):
        broker.append(request(turn))
    for number, shard in enumerate(broker.shards):
        dying = Loader(shard, Sink(broker.streams[number], number != 1), f"dead-{number}", limits=limits)
        if number == 2:
            shard.read(f"dead-{number}", 3, 0)
        elif number == 0:
            with pytest.raises(KeyboardInterrupt):
                dying.step()
    for number, shard in enumerate(broker.shards):
        heir = Loader(shard, Sink(broker.streams[number]), "heir", limits=limits)
        for _ in range(10):
            heir.step()
    assert broker.depth() == 0
    raw = store.raw()
    assert len(raw) == 12 * 2 * len(KEYS)
    assert rows(raw) == rows(SampleBatch.concat([request(turn) for turn in range(12)]))
    assert np.unique(raw.key_index).size == len(KEYS)
    store.close()


def test_a_letter_of_a_shard_that_is_no_longer_loaded_goes_where_somebody_loads_it(redis_url: str, base: str) -> None:
    ShardedBroker(redis_url, 4, base=base).shards[3].keep_aside(request(1), base, "1-0")
    broker = ShardedBroker(redis_url, SHARDS, base=base)
    (letter,) = [each for each in broker.dead_letters() if each.reason == base]
    assert letter.stream == f"{base}:3"
    entry_id = broker.replay(letter.letter_id)
    assert [handle.entry_id for handle in broker.shards[0].read("a", 10, 0)] == [entry_id]
    assert broker.depth() == 1
