"""The Valkey buffer while its server crashes, hangs and comes back: what was acknowledged is there, once."""

import contextlib
import random
import threading
import time
from collections import Counter

import pytest
import redis
from servers import Valkey, eventually, free_port, pause, unpause

from muninn.errors import Rejected, Unavailable
from muninn.ingest.buffer import connection
from muninn.ingest.buffer.sharded import ShardedBroker, open_buffer
from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.model import BatchHandle, SampleBatch, SeriesKey
from muninn.names import GROUP, ingest_stream

KEY = SeriesKey.of("cpu")


def batch(value: float) -> SampleBatch:
    return SampleBatch.of([(KEY, 1_700_000_000_000_000, value)] * 50)


class Writer(threading.Thread):
    """Appends numbered batches, each again with its key until there is an answer; remembers every answer."""

    def __init__(self, url: str, first: int):
        super().__init__(daemon=True)
        self._broker = ValkeyBroker(url, timeout_s=2)
        self._next = first
        self.stop = threading.Event()
        self.ids: dict[int, set[str]] = {}
        self.failures = 0

    def run(self) -> None:
        while not self.stop.is_set():
            number, self._next = self._next, self._next + 1
            while True:
                try:
                    self.ids.setdefault(number, set()).add(self._broker.append(batch(float(number)), f"key-{number}"))
                    break
                except Unavailable:
                    self.failures += 1
                    time.sleep(0.005)  # the server is away: tried again, but not in a hot loop


class Reader(threading.Thread):
    """Reads and acknowledges some of what comes, and remembers it."""

    def __init__(self, url: str):
        super().__init__(daemon=True)
        self._broker = ValkeyBroker(url, timeout_s=2)
        self.stop = threading.Event()
        self.asked: set[str] = set()
        self.acknowledged: set[str] = set()

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                handles = [*self._broker.pending("r", 20)] or [*self._broker.read("r", 20, 20)]
                some = {handle.entry_id for handle in handles[::2]}
                self.asked |= some
                self._broker.acknowledge(handles[::2])
                self.acknowledged |= some
            except Unavailable:
                time.sleep(0.005)  # as above


def everything(url: str) -> list[BatchHandle]:
    broker, after, found = ValkeyBroker(url), "0-0", []
    while handles := broker.follow(after, 0):
        found += handles
        after = handles[-1].entry_id
    return found


def check_counters(url: str, unacknowledged: set[str]) -> None:
    """The depth and the bytes that the server keeps equal what is really in the stream."""
    broker = ValkeyBroker(url)
    with redis.Redis.from_url(url) as client:
        sizes = {
            entry_id.decode(): sum(len(name) + len(value) for name, value in fields.items())
            for entry_id, fields in client.xrange(ingest_stream())
        }
    assert broker.depth() == len(unacknowledged)
    assert broker.held_bytes() == sum(sizes[entry_id] for entry_id in unacknowledged)


def test_kill_minus_nine_loses_and_doubles_nothing_that_was_acknowledged(valkey: Valkey) -> None:
    writers = [Writer(valkey.url, 1_000_000 * number) for number in range(3)]
    reader = Reader(valkey.url)
    threads = [*writers, reader]
    for thread in threads:
        thread.start()
    chance = random.Random(7)
    for round_ in range(4):
        before = [len(writer.ids) for writer in writers]
        eventually(
            lambda before=before: all(len(w.ids) > b + 20 for w, b in zip(writers, before, strict=True)),  # type: ignore[misc]
            20,
            f"writers get on in round {round_}",
        )
        time.sleep(chance.random() / 50)  # the random moment: part of what is tested
        valkey.kill()
        valkey.restart()
    for thread in threads:
        thread.stop.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert sum(writer.failures for writer in writers) > 0, "the crashes were felt"

    answered = {number: ids for writer in writers for number, ids in writer.ids.items()}
    assert len(answered) > 200
    assert {len(ids) for ids in answered.values()} == {1}
    in_stream = everything(valkey.url)
    found = Counter(int(handle.batch.value[0]) for handle in in_stream)
    assert found == Counter(dict.fromkeys(answered, 1))
    by_id = {handle.entry_id: int(handle.batch.value[0]) for handle in in_stream}
    assert all(by_id[next(iter(ids))] == number for number, ids in answered.items())

    # The group has forgotten nothing either: what was not acknowledged is handed out, and nothing else.
    broker = ValkeyBroker(valkey.url)
    waiting = {handle.entry_id for handle in broker.claim("heir", 0, 1_000_000)}
    while handles := broker.read("heir", 100, 0):
        waiting |= {handle.entry_id for handle in handles}
    assert waiting | reader.asked == set(by_id)
    assert not waiting & reader.acknowledged
    check_counters(valkey.url, waiting)


def test_a_server_that_hangs_is_away_and_then_back(valkey: Valkey) -> None:
    broker = ValkeyBroker(valkey.url, timeout_s=0.5)
    broker.append(batch(1.0))
    pause(valkey.pid)
    try:
        for call in (lambda: broker.append(batch(2.0)), broker.depth, lambda: broker.read("a", 1, 10_000), broker.ping):
            with pytest.raises(Unavailable, match="away"):
                call()
    finally:
        unpause(valkey.pid)
    broker.append(batch(3.0))
    assert 1.0 in [handle.batch.value[0] for handle in broker.follow("0-0", 0)]


def test_a_server_that_is_not_there_is_away_and_found_when_it_comes(valkey: Valkey) -> None:
    broker = ValkeyBroker(valkey.url)
    first = broker.append(batch(1.0))
    valkey.kill()
    with pytest.raises(Unavailable):
        broker.append(batch(2.0))
    with pytest.raises(Unavailable):
        broker.read("a", 1, 0)
    valkey.restart()
    assert [handle.entry_id for handle in broker.read("a", 10, 0)] == [first]


def test_a_server_that_lost_everything_gets_its_group_and_counters_anew(valkey: Valkey) -> None:
    broker = ValkeyBroker(valkey.url)
    broker.append(batch(1.0))
    broker.read("a", 10, 0)
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
        broker.append(batch(2.0))
        (handle,) = broker.read("a", 10, 0)
        assert handle.batch.value[0] == 2.0
        assert broker.depth() == 1
        # Only the stream is gone: what was counted of it goes with it.
        client.delete(ingest_stream())
        assert broker.read("a", 10, 0) == []
        assert (broker.depth(), broker.held_bytes()) == (0, 0)
        # Only the group is gone: everything is handed out again, and counted once.
        broker.append(batch(3.0))
        broker.acknowledge(broker.read("a", 10, 0))
        broker.append(batch(4.0))
        client.xgroup_destroy(ingest_stream(), GROUP)
        again = [*broker.read("a", 10, 0), *broker.read("a", 10, 0)]
        assert [handle.batch.value[0] for handle in again] == [3.0, 4.0]
        broker.acknowledge(again)
        assert (broker.depth(), broker.held_bytes()) == (0, 0)


def test_scripts_that_the_server_forgot_are_sent_again(valkey: Valkey) -> None:
    broker = ValkeyBroker(valkey.url)
    broker.append(batch(1.0))
    with redis.Redis.from_url(valkey.url) as client:
        client.script_flush()
    broker.append(batch(2.0))
    broker.acknowledge(broker.read("a", 10, 0))
    assert broker.depth() == 0


def calls(client: redis.Redis, command: str) -> int:
    return int(client.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0))


def test_where_every_write_is_synced_nothing_is_waited_for(valkey: Valkey, caplog: pytest.LogCaptureFixture) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        assert client.config_get("appendfsync")["appendfsync"] == "always"
        ValkeyBroker(valkey.url).append(batch(1.0))
        assert calls(client, "waitaof") == 0
    assert caplog.records == []


def test_where_waitaof_holds_its_word_every_append_waits_for_it(
    valkey: Valkey, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_waitaof_holds", lambda info: True)
    with redis.Redis.from_url(valkey.url) as client:
        client.config_set("appendfsync", "everysec")
        broker = ValkeyBroker(valkey.url)
        broker.append(batch(2.0), "k")
        assert calls(client, "waitaof") == 1
        broker.append(batch(2.0), "k")
        assert calls(client, "waitaof") == 2, "a retry, too, waits for what the first call wrote"
        ValkeyBroker(valkey.url, durability="memory").append(batch(3.0))
        assert calls(client, "waitaof") == 2
    assert caplog.records == []


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("appendfsync", "everysec", "appendfsync to always"),
        ("appendfsync", "no", "appendfsync to always"),
        ("appendonly", "no", "append-only"),
    ],
)
def test_a_server_that_cannot_give_durability_is_told_of_once(
    valkey: Valkey, caplog: pytest.LogCaptureFixture, setting: str, value: str, told: str
) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        client.config_set(setting, value)
        broker = ValkeyBroker(valkey.url)
        started = time.monotonic()
        broker.append(batch(4.0))
        broker.append(batch(5.0))
        assert time.monotonic() - started < 2
    (record,) = caplog.records
    assert told in record.message


def appended(broker: ValkeyBroker | ShardedBroker, taken: list[str]) -> bool:
    """Whether the second batch is taken (again)."""
    with contextlib.suppress(Unavailable):
        taken.append(broker.append(batch(2.0), "two"))
    return bool(taken)


def test_without_a_replica_one_request_waits_and_the_others_are_refused_unwritten(valkey: Valkey) -> None:
    port = free_port()
    broker = ValkeyBroker(valkey.url, replicas=1)
    with pytest.raises(Unavailable, match="0 of 1 replicas"):
        broker.append(batch(2.0), "two")
    for _ in range(5):
        with pytest.raises(Unavailable, match="so nothing was written"):
            broker.append(batch(3.0))
        with pytest.raises(Unavailable, match="so nothing was written"):
            broker.keep_aside(batch(4.0), "why", "1-0")
    assert (broker.depth(), broker.dead_letter_count()) == (1, 0)
    with redis.Redis.from_url(valkey.url) as client:
        client.config_set("bind", "127.0.0.1")
        client.config_set("port", port)
        replica = Valkey({"replicaof": f"127.0.0.1 {port}"})
        try:
            replica.start()
            taken: list[str] = []
            eventually(lambda: appended(broker, taken), 60, "the replica has caught up")
            broker.keep_aside(batch(4.0), "why", "1-0")
            assert (broker.depth(), broker.dead_letter_count()) == (1, 1)
        finally:
            broker.close()
            replica.close()


def test_a_server_with_another_history_is_tried_anew(valkey: Valkey) -> None:
    """As after a failover: what was not confirmed before it says nothing of the replicas that there are now."""
    broker = ValkeyBroker(valkey.url, replicas=1)
    with pytest.raises(Unavailable, match="0 of 1 replicas"):
        broker.append(batch(2.0))
    with redis.Redis.from_url(valkey.url) as client:
        before = client.info("replication")["master_replid"]
        client.replicaof("127.0.0.1", free_port())
        client.replicaof("NO", "ONE")
        assert client.info("replication")["master_replid"] != before
    told: list[str] = []

    def tried() -> bool:
        try:
            broker.append(batch(2.0))
        except Unavailable as error:
            told.append(str(error))
        return "0 of 1 replicas" in told[-1]

    eventually(tried, 60, "it is waited for once more")
    broker.close()


@pytest.mark.parametrize("shards", [1, 3])
def test_where_replicas_are_asked_for_success_waits_for_them(valkey: Valkey, shards: int) -> None:
    """A replica that stands still, then goes on; a retry with the same key waits for what the first call wrote."""
    port = free_port()
    with redis.Redis.from_url(valkey.url) as client:
        client.config_set("bind", "127.0.0.1")
        client.config_set("port", port)
        replica = Valkey({"replicaof": f"127.0.0.1 {port}"})
        broker = open_buffer(valkey.url, shards, replicas=1)
        try:
            replica.start()
            eventually(lambda: "online" in str(client.info("replication").get("slave0")), 60, "the replica follows")
            first = broker.append(batch(1.0), "one")
            with redis.Redis.from_url(replica.url) as other:
                assert sum(other.xlen(name) for name in other.scan_iter("muninn:ingest*", _type="stream")) == 1
            pause(replica.pid)
            with pytest.raises(Unavailable, match="0 of 1 replicas"):
                broker.append(batch(2.0), "two")
            with pytest.raises(Unavailable, match="so nothing was written"):
                broker.append(batch(3.0), "three")
            assert broker.depth() == 2, "what was not confirmed is there, and what was refused is not"
            unpause(replica.pid)
            taken: list[str] = []
            eventually(lambda: appended(broker, taken), 60, "the replica has caught up")
            (second,) = taken
            assert len({first, second, broker.append(batch(2.0), "two")}) == 2
            assert broker.depth() == 2
        finally:
            broker.close()
            unpause(replica.pid)
            replica.close()


def test_eviction_of_the_buffer_is_warned_of(valkey: Valkey, caplog: pytest.LogCaptureFixture) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        client.config_set("maxmemory", "1gb")
        client.config_set("maxmemory-policy", "allkeys-lru")
        ValkeyBroker(valkey.url).append(batch(1.0))
    assert "noeviction" in caplog.text


@pytest.mark.parametrize(
    ("info", "holds"),
    [
        ({"redis_version": "8.2.1"}, True),
        ({"redis_version": "10.0.0", "server_name": "redis"}, True),
        ({"redis_version": "7.4.1"}, False),
        ({"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "9.1.0"}, False),
        ({}, False),
    ],
)
def test_whose_waitaof_can_be_trusted(info: dict[str, str], holds: bool) -> None:
    assert connection._waitaof_holds(info) is holds


def test_a_server_without_memory_rejects_and_takes_again(valkey: Valkey) -> None:
    broker = ValkeyBroker(valkey.url)
    broker.append(batch(1.0))
    with redis.Redis.from_url(valkey.url) as client:
        client.config_set("maxmemory", "100kb")
        with pytest.raises(Rejected, match="out of memory"):
            broker.append(batch(2.0))
        client.config_set("maxmemory", "0")
    broker.append(batch(3.0))
    assert broker.depth() == 2
