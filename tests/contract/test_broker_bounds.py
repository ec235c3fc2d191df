"""Every ingest buffer, in memory and in Valkey: what it refuses when it is full or behind, and what it lets go."""

import time

import pytest
from brokers import Rig, batch, values
from servers import eventually

from muninn.errors import Rejected
from muninn.ingest.buffer import codec
from muninn.ingest.buffer.contract import IngestBuffer, place_of


def test_a_full_buffer_rejects_until_something_is_loaded(rig: Rig) -> None:
    size = codec.size_of(codec.encode(batch(1.0)))
    broker = rig.make(max_bytes=2 * size)
    first = broker.append(batch(1.0), "k")
    broker.append(batch(2.0))
    with pytest.raises(Rejected, match="full") as caught:
        broker.append(batch(3.0))
    assert caught.value.retry_after_s > 0
    assert broker.append(batch(1.0), "k") == first, "a retry of what is in the buffer is answered, full or not"
    assert broker.depth() == 2
    broker.acknowledge(broker.read("a", 1, 0))
    broker.append(batch(4.0))
    assert broker.depth() == 2


def _rejects(broker: IngestBuffer, rig: Rig) -> bool:
    rig.clock.advance(1.0)  # Valkey's own clock needs nobody to advance it
    try:
        broker.append(batch(9.0))
    except Rejected as error:
        return "oldest entry waits" in str(error) and error.retry_after_s > 0
    return False


def test_a_buffer_whose_oldest_entry_waits_too_long_rejects_until_it_is_loaded(rig: Rig) -> None:
    broker = rig.make(max_age_s=0.5)
    first = broker.append(batch(1.0), "k")
    eventually(lambda: _rejects(broker, rig), 30, "it is too old")
    assert broker.append(batch(1.0), "k") == first, "a retry of what is in the buffer is answered"
    handles = broker.read("a", 100, 0)
    with pytest.raises(Rejected):
        broker.append(batch(2.0))
    broker.acknowledge(handles)
    broker.append(batch(3.0))
    assert broker.depth() == 1
    assert rig.make(max_age_s=3600).append(batch(4.0)), "who allows more takes it"


def test_a_batch_larger_than_the_bound_is_taken_by_an_empty_buffer(rig: Rig) -> None:
    broker = rig.make(max_bytes=10)
    broker.append(batch(1.0))
    with pytest.raises(Rejected):
        broker.append(batch(1.0))


def test_loaded_entries_stay_for_viewers_and_then_go(rig: Rig) -> None:
    broker = rig.make(live_s=30)
    first = broker.append(batch(1.0))
    broker.acknowledge(broker.read("a", 10, 0))
    assert values(broker.follow("0-0", 0)) == [[1.0]]
    rig.clock.advance(60)
    second = broker.append(batch(2.0))
    assert broker.first_id() == first
    broker.acknowledge(broker.read("a", 10, 0))
    remaining = broker.first_id()
    assert remaining is None or place_of(remaining) > place_of(first)
    assert broker.last_id() == second


def test_an_entry_that_is_not_acknowledged_is_never_deleted(rig: Rig) -> None:
    broker = rig.make(live_s=0)
    waiting = broker.append(batch(1.0))
    rig.clock.advance(1)
    broker.append(batch(2.0))
    broker.append(batch(3.0))
    _, second, third = broker.read("a", 10, 0)
    rig.clock.advance(3600)
    broker.acknowledge([second])
    broker.acknowledge([third])
    assert broker.first_id() == waiting
    assert values(broker.pending("a", 10)) == [[1.0]]


def test_loaded_entries_do_not_outgrow_their_share_of_the_bound(rig: Rig) -> None:
    size = codec.size_of(codec.encode(batch(1.0)))
    broker = rig.make(live_s=3600, max_bytes=16 * size)
    for i in range(40):
        broker.append(batch(float(i)))
        rig.clock.advance(0.01)
        time.sleep(0.002)  # another millisecond of the server's, since trimming goes by milliseconds
        broker.acknowledge(broker.read("a", 10, 0))
    kept = broker.follow("0-0", 0)
    assert 0 < len(kept) <= 5
    assert values(kept)[-1] == [39.0]


def test_a_read_takes_about_the_bytes_it_may(rig: Rig) -> None:
    size = codec.size_of(codec.encode(batch(1.0)))
    broker = rig.make(read_bytes=3 * size)
    for i in range(7):
        broker.append(batch(float(i)))
    assert [len(broker.read("a", 10, 0)) for _ in range(4)] == [3, 3, 1, 0]
    small = rig.make(read_bytes=1)
    small.append(batch(8.0))
    assert len(small.read("a", 10, 0)) == 1


def test_a_buffer_that_is_too_old_takes_no_letter_back_and_the_letter_stays(rig: Rig) -> None:
    broker = rig.make(max_age_s=0.5)
    broker.append(batch(1.0))
    (handle,) = broker.read("a", 1, 0)
    broker.bury(handle, "it was bad")
    broker.append(batch(2.0))
    (letter,) = broker.dead_letters()
    eventually(lambda: _rejects(broker, rig), 30, "it is too old")
    with pytest.raises(Rejected):
        broker.replay(letter.letter_id)
    assert broker.dead_letter_count() == 1
    broker.acknowledge(broker.read("a", 100, 0))
    assert broker.replay(letter.letter_id) is not None
