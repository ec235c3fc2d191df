"""One suite for every ingest buffer, in memory and in Valkey: entries, who reads them, who follows."""

import threading
import time
from typing import Any

import numpy as np
import pytest
from brokers import KEY, Rig, batch, values

from muninn.ingest.buffer import codec
from muninn.ingest.buffer.contract import place_of
from muninn.ingest.buffer.memory import MemoryBroker
from muninn.ingest.buffer.roster import Roster
from muninn.model import BatchHandle, SampleBatch, SeriesKey


def test_a_batch_comes_back_as_it_was(rig: Rig) -> None:
    broker = rig.make()
    sent = SampleBatch.of(
        [(SeriesKey.of("cpu", {"host": "ä\n", "b": ""}, "agent", "i-1"), 5, 1.5), (KEY, -7, -0.0), (KEY, 6, 1e-300)]
    )
    entry_id = broker.append(sent)
    (handle,) = broker.read("a", 10, 0)
    assert handle.entry_id == entry_id
    assert handle.batch.keys == sent.keys
    for column in ("at_us", "value", "key_index"):
        assert np.array_equal(getattr(handle.batch, column), getattr(sent, column))


def test_entries_are_read_once_in_order_and_ids_grow(rig: Rig) -> None:
    broker = rig.make()
    ids = [broker.append(batch(float(i))) for i in range(5)]
    assert ids == sorted(ids, key=place_of)
    assert len(set(ids)) == 5
    assert values(broker.read("a", 2, 0)) == [[0.0], [1.0]]
    assert values(broker.read("b", 10, 0)) == [[2.0], [3.0], [4.0]]
    assert broker.read("a", 10, 0) == []


def test_what_is_not_acknowledged_stays_pending_with_its_consumer(rig: Rig) -> None:
    broker = rig.make()
    for i in range(3):
        broker.append(batch(float(i)))
    handles = broker.read("a", 10, 0)
    assert values(broker.pending("a", 10)) == [[0.0], [1.0], [2.0]]
    assert values(broker.pending("a", 2)) == [[0.0], [1.0]]
    assert broker.pending("b", 10) == []
    broker.acknowledge(handles[:2])
    assert values(broker.pending("a", 10)) == [[2.0]]


def test_idle_entries_can_be_taken_over(rig: Rig) -> None:
    broker = rig.make()
    for i in range(5):
        broker.append(batch(float(i)))
    broker.read("dead", 4, 0)
    assert broker.claim("heir", 3_600_000, 10) == []
    assert values(broker.claim("heir", 0, 3)) == [[0.0], [1.0], [2.0]]
    assert values(broker.pending("heir", 10)) == [[0.0], [1.0], [2.0]]
    assert values(broker.pending("dead", 10)) == [[3.0]]
    # What nobody has read yet is not idle.
    assert len(broker.claim("heir", 0, 10)) == 4


def test_depth_and_held_bytes_follow_every_append_and_acknowledgement(rig: Rig) -> None:
    broker = rig.make()
    assert (broker.depth(), broker.held_bytes()) == (0, 0)
    sizes = [codec.size_of(codec.encode(batch(*[1.0] * n))) for n in (1, 2, 3)]
    for n in (1, 2, 3):
        broker.append(batch(*[1.0] * n))
    assert (broker.depth(), broker.held_bytes()) == (3, sum(sizes))
    handles = broker.read("a", 10, 0)
    assert (broker.depth(), broker.held_bytes()) == (3, sum(sizes))
    broker.acknowledge(handles[1:2])
    assert (broker.depth(), broker.held_bytes()) == (2, sizes[0] + sizes[2])
    broker.acknowledge(handles[1:2])
    assert (broker.depth(), broker.held_bytes()) == (2, sizes[0] + sizes[2])
    broker.acknowledge(handles)
    assert (broker.depth(), broker.held_bytes()) == (0, 0)


def test_what_nobody_has_read_cannot_be_acknowledged(rig: Rig) -> None:
    broker = rig.make()
    entry_id = broker.append(batch(1.0))
    broker.read("a", 1, 0)
    unread = broker.append(batch(2.0))
    broker.acknowledge([BatchHandle("any", unread, batch(2.0))])
    assert broker.depth() == 2
    assert broker.oldest_pending_id() == entry_id


def test_an_idempotency_key_keeps_a_batch_once(rig: Rig) -> None:
    broker = rig.make()
    first = broker.append(batch(1.0), "k1")
    assert broker.append(batch(1.0), "k1") == first
    assert broker.append(batch(1.0), "k2") != first
    assert broker.append(batch(1.0)) != broker.append(batch(1.0))
    assert broker.depth() == 4
    broker.acknowledge(broker.read("a", 10, 0))
    assert broker.append(batch(1.0), "k1") == first
    assert broker.depth() == 0


def test_followers_see_every_entry_without_taking_any(rig: Rig) -> None:
    broker = rig.make()
    broker.append(batch(0.0))
    after = broker.last_id()
    for i in (1.0, 2.0):
        broker.append(batch(i))
    seen = broker.follow(after, 0)
    assert values(seen) == [[1.0], [2.0]]
    assert broker.follow(seen[-1].entry_id, 0) == []
    assert broker.follow("$", 0) == []
    assert len(broker.read("a", 10, 0)) == 3


def test_an_empty_buffer_knows_where_it_is(rig: Rig) -> None:
    broker = rig.make()
    assert (broker.last_id(), broker.first_id(), broker.oldest_pending_id(), broker.lag_s()) == ("0-0", None, None, 0.0)
    assert broker.follow("0-0", 0) == []


def test_lag_is_the_age_of_the_oldest_entry_that_is_not_loaded(rig: Rig) -> None:
    broker = rig.make()
    first = broker.append(batch(1.0))
    rig.clock.advance(100)
    assert broker.lag_s() == pytest.approx(100, abs=5)
    assert broker.oldest_pending_id() == first
    broker.acknowledge(broker.read("a", 10, 0))
    assert broker.lag_s() == 0.0


def test_a_waiting_read_and_a_waiting_follower_wake_when_something_comes(
    rig: Rig, request: pytest.FixtureRequest
) -> None:
    broker = rig.make() if "valkey" in request.node.name else MemoryBroker()
    broker.read("a", 1, 0)
    got: dict[str, Any] = {}
    readers = [
        threading.Thread(target=lambda: got.update(read=broker.read("a", 10, 10_000))),
        threading.Thread(target=lambda: got.update(follow=broker.follow("0-0", 10_000))),
    ]
    started = time.monotonic()
    for reader in readers:
        reader.start()
    broker.append(batch(1.0))
    for reader in readers:
        reader.join(10)
    assert time.monotonic() - started < 5
    assert {name: values(handles) for name, handles in got.items()} == {"read": [[1.0]], "follow": [[1.0]]}


def test_a_read_gives_up_after_its_block(rig: Rig) -> None:
    broker = rig.make()
    started = time.monotonic()
    assert broker.read("a", 10, 30) == []
    assert broker.follow(broker.last_id(), 30) == []
    assert time.monotonic() - started < 5


def test_names_are_left_out_once_the_store_knows_the_series_and_come_again_when_wanted(rig: Rig) -> None:
    stored: set[bytes] = set()
    roster = Roster(lambda wanted: np.array([digest in stored for digest in wanted.tolist()], np.bool_))
    door, reader = rig.make(roster=roster), rig.make()
    if isinstance(door, MemoryBroker):
        reader = door
    before = reader.last_id()
    both = SampleBatch.of([(KEY, 1, 1.0), (SeriesKey("other"), 1, 2.0)])

    def named() -> list[bool]:
        door.append(both)
        (handle,) = reader.read("a", 10, 0)
        assert handle.batch.keys.fingerprints.tolist() == [KEY.digest, SeriesKey("other").digest]
        return [handle.batch.keys.name(place) is not None for place in (0, 1)]

    assert named() == [True, True]
    stored.add(KEY.digest)
    assert roster.refresh() == 1
    assert named() == [False, True]
    reader.want_names()
    assert named() == [True, True]
    assert named() == [True, True]
    roster.refresh()
    assert named() == [False, True]
    # Who follows without a store has seen every name by now.
    seen = reader.follow(before, 0)
    assert [handle.batch.keys for handle in seen] == [both.keys] * 5
    assert seen[2].batch.keys[0] == KEY
