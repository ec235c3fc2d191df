"""Running totals beside the stream move on with a batch or not at all: in memory, in Valkey, in several shards."""

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from brokers import batch

from muninn.clock import SECOND_US, ManualClock
from muninn.errors import Overtaken, Rejected
from muninn.ingest.buffer.contract import BufferLimits
from muninn.ingest.buffer.memory import MemoryBroker
from muninn.ingest.buffer.sharded import ShardedBroker
from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.model import Broker, TallyMove
from muninn.names import TALLIES_SINCE

FIRST, SECOND, THIRD = (bytes([number]) * 16 + b"what was counted" for number in (1, 2, 3))


@pytest.fixture(params=["memory", "valkey", "shards"])
def make(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Opens the buffer, again and again the same one."""
    if request.param == "memory":
        clock = ManualClock(time.time_ns() // 1000)
        kept: list[MemoryBroker] = []

        def memory(**limits: Any) -> MemoryBroker:
            kept.append(kept[0] if kept else MemoryBroker(limits=BufferLimits(**limits), clock=clock))
            return kept[-1]

        yield memory
        return
    url, name = request.getfixturevalue("redis_url"), f"test:{uuid.uuid4().hex}"
    opened: list[Any] = []

    def real(**limits: Any) -> ValkeyBroker | ShardedBroker:
        given = {"limits": BufferLimits(**limits)}
        opened.append(
            ValkeyBroker(url, stream=name, **given)
            if request.param == "valkey"
            else ShardedBroker(url, 3, base=name, **given)
        )
        return opened[-1]

    yield real
    for broker in opened:
        broker.close()


def test_a_total_moves_on_with_its_batch(make: Callable[..., Broker]) -> None:
    broker = make()
    assert dict(broker.tallies(["a", "b"]).kept) == {}
    broker.append(batch(1.0), moves=[TallyMove("a", None, FIRST)])
    broker.append(batch(2.0), moves=[TallyMove("a", FIRST, SECOND), TallyMove("b", None, THIRD)])
    assert dict(make().tallies(["a", "b", "c"]).kept) == {"a": SECOND, "b": THIRD}
    assert broker.depth() == 2


@pytest.mark.parametrize("before", [None, FIRST, THIRD])
def test_who_was_overtaken_writes_nothing(make: Callable[..., Broker], before: bytes | None) -> None:
    broker = make()
    broker.append(batch(1.0), moves=[TallyMove("a", None, FIRST)])
    broker.append(batch(2.0), moves=[TallyMove("a", FIRST, SECOND)])
    with pytest.raises(Overtaken):
        broker.append(batch(3.0), "key", [TallyMove("b", None, FIRST), TallyMove("a", before, THIRD)])
    assert (broker.depth(), dict(broker.tallies(["a", "b"]).kept)) == (2, {"a": SECOND})
    broker.append(batch(3.0), "key", [TallyMove("b", None, FIRST), TallyMove("a", SECOND, THIRD)])
    assert (broker.depth(), dict(broker.tallies(["a", "b"]).kept)) == (3, {"a": THIRD, "b": FIRST})


def test_a_request_that_comes_again_moves_nothing_on(make: Callable[..., Broker]) -> None:
    broker = make()
    moves = [TallyMove("a", None, FIRST)]
    entry_id = broker.append(batch(1.0), "key", moves)
    assert broker.append(batch(1.0), "key", moves) == entry_id
    assert broker.append(batch(1.0), "key", [TallyMove("a", FIRST, SECOND)]) == entry_id
    assert dict(broker.tallies(["a"]).kept) == {"a": FIRST}


def test_a_full_buffer_moves_nothing_on(make: Callable[..., Broker]) -> None:
    broker = make(max_bytes=10)
    broker.append(batch(1.0))
    with pytest.raises(Rejected):
        broker.append(batch(2.0), moves=[TallyMove("a", None, FIRST)])
    assert dict(broker.tallies(["a"]).kept) == {}


def test_more_names_than_one_script_takes(make: Callable[..., Broker]) -> None:
    broker = make()
    names = [f"n{number}" for number in range(12_000)]
    broker.append(batch(1.0), moves=[TallyMove(name, None, FIRST) for name in names])
    assert broker.tallies([*names, "other"]).kept == dict.fromkeys(names, FIRST)


def test_what_does_not_move_is_forgotten_in_time() -> None:
    clock = ManualClock(1_790_000_000_000_000)
    broker = MemoryBroker(limits=BufferLimits(tally_s=60), clock=clock)
    broker.append(batch(1.0), moves=[TallyMove("a", None, FIRST)])
    clock.advance(59)
    assert broker.tallies(["a"]).kept == {"a": FIRST}
    clock.advance(1)
    assert broker.tallies(["a"]).kept == {}


def test_a_server_that_forgot_all_says_since_when_it_remembers(redis_url: str) -> None:
    clock = ManualClock(1_790_000_000_000_000)
    broker = ValkeyBroker(redis_url, clock=clock, limits=BufferLimits(tally_s=100))
    assert broker.tallies(()).since_us == clock.now_us()
    clock.advance(10)
    broker.append(batch(1.0), moves=[TallyMove("a", None, FIRST)])
    assert broker.tallies(["a"]).since_us == clock.now_us() - 10 * SECOND_US
    with redis.Redis.from_url(redis_url) as client:
        assert 0 < client.ttl("muninn:tally:a") <= 100
        assert client.ttl(TALLIES_SINCE) == -1
        client.flushall()
    found = broker.tallies(["a"])
    assert (found.since_us, dict(found.kept)) == (clock.now_us(), {})
    broker.close()
