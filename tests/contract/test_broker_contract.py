"""One suite for every ingest buffer: in memory and in Valkey."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from brokers import KEY, Rig, batch, valkey_rig, values
from servers import eventually

from muninn.clock import ManualClock
from muninn.errors import Invalid, Rejected
from muninn.ingest.buffer import codec
from muninn.ingest.buffer.contract import MAX_DEAD_LETTERS, BufferLimits, IngestBuffer, place_of
from muninn.ingest.buffer.memory import MemoryBroker
from muninn.ingest.buffer.roster import Roster
from muninn.model import BatchHandle, SampleBatch, SeriesKey


@pytest.fixture(params=["memory", "valkey"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    clock = ManualClock(time.time_ns() // 1000)
    if request.param == "memory":
        kept: dict[str, MemoryBroker] = {}

        def make(roster: Roster | None = None, **limits: Any) -> MemoryBroker:
            kept["broker"] = MemoryBroker(limits=BufferLimits(**limits), clock=clock, roster=roster)
            return kept["broker"]

        yield Rig(make, lambda fields: kept["broker"].append_fields(fields) and None, clock)
        return
    with valkey_rig(request.getfixturevalue("redis_url"), clock) as found:
        yield found


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


def test_a_read_takes_about_the_bytes_it_may(rig: Rig) -> None:
    size = codec.size_of(codec.encode(batch(1.0)))
    broker = rig.make(read_bytes=3 * size)
    for i in range(7):
        broker.append(batch(float(i)))
    assert [len(broker.read("a", 10, 0)) for _ in range(4)] == [3, 3, 1, 0]
    small = rig.make(read_bytes=1)
    small.append(batch(8.0))
    assert len(small.read("a", 10, 0)) == 1


DAMAGED: list[dict[bytes, bytes]] = [
    {b"something": b"else"},
    {**codec.encode(batch(1.0)), b"v": b"9"},
    {**codec.encode(batch(1.0)), b"at0": b"123"},
    {**codec.encode(batch(1.0)), b"dt": b"12345678"},
    {**codec.encode(batch(1.0)), b"fp": bytes(16)},
    {**codec.encode(batch(1.0)), b"named": np.array([1], "<i4").tobytes()},
    {**codec.encode(batch(1.0)), b"value": b""},
    {**codec.encode(batch(1.0)), b"key": np.array([7], "<i4").tobytes()},
    {**codec.encode(batch(1.0)), b"key": np.array([-1], "<i4").tobytes()},
    {**codec.encode(batch(1.0)), b"value": np.array([np.nan]).tobytes()},
    {**codec.encode(batch(1.0)), b"keys": b"no json"},
    {**codec.encode(batch(1.0)), b"keys": b'["a", {"b": 1}, "", ""]'},
    {**codec.encode(batch(1.0)), b"keys": b'["a"]'},
    codec.encode(SampleBatch.empty()),
]


@pytest.mark.parametrize("fields", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_entry_becomes_a_dead_letter_and_stops_nobody(rig: Rig, fields: dict[bytes, bytes]) -> None:
    broker = rig.make()
    before = broker.last_id()
    rig.inject(fields)
    broker.append(batch(2.0))
    assert values(broker.follow(before, 0)) == [[2.0]]
    assert broker.dead_letters() == [], "followers bury nothing"
    found = [*broker.read("a", 1, 0), *broker.read("a", 10, 0)]
    assert values(found) == [[2.0]]
    (letter,) = broker.dead_letters()
    assert letter.fields == fields
    assert letter.reason
    assert values(broker.pending("a", 10)) == [[2.0]]
    broker.acknowledge(found)
    assert (broker.depth(), broker.held_bytes()) == (0, 0)


def test_a_follower_passes_a_run_of_damaged_entries(rig: Rig) -> None:
    broker = rig.make()
    for _ in range(130):
        rig.inject({b"v": b"9"})
    assert broker.follow("0-0", 0) == []
    broker.append(batch(1.0))
    assert values(broker.follow("0-0", 0)) == [[1.0]]


def test_a_buried_entry_is_kept_aside_with_its_reason(rig: Rig) -> None:
    broker = rig.make()
    entry_id = broker.append(batch(1.0))
    (handle,) = broker.read("a", 10, 0)
    broker.bury(handle, "the store said no")
    assert (broker.depth(), broker.held_bytes(), broker.pending("a", 10)) == (0, 0, [])
    (letter,) = broker.dead_letters()
    assert (letter.entry_id, letter.reason) == (entry_id, "the store said no")
    assert letter.at_us == rig.clock.now_us()
    assert codec.Decoder().decode(letter.fields).value.tolist() == [1.0]


def test_dead_letters_are_bounded_in_number_and_size(rig: Rig) -> None:
    broker = rig.make()
    broker.append(batch(*np.arange(200_000, dtype=float).tolist()))
    for i in range(MAX_DEAD_LETTERS + 5):
        broker.append(batch(float(i)))  # each letter is bounded, and so is their number
    handles = []
    while found := broker.read("a", 100, 0):
        handles += found
    broker.bury(handles[0], "large")
    assert broker.dead_letters()[0].fields == {}
    for handle in handles[1:]:
        broker.bury(handle, "small")
    letters = broker.dead_letters(1000)
    assert len(letters) == broker.dead_letter_count() == MAX_DEAD_LETTERS
    assert letters[0].entry_id == handles[-1].entry_id
    assert len(broker.dead_letters(3)) == 3


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


def test_a_dead_letter_is_sent_again_once_and_is_gone(rig: Rig) -> None:
    broker = rig.make()
    broker.append(batch(1.0, 2.0))
    (handle,) = broker.read("a", 10, 0)
    broker.bury(handle, "the store said no")
    (letter,) = broker.dead_letters()
    entry_id = broker.replay(letter.letter_id)
    assert broker.replay(letter.letter_id) is None
    assert broker.dead_letter_count() == 0
    (again,) = broker.read("a", 10, 0)
    assert (again.entry_id, again.batch.value.tolist()) == (entry_id, [1.0, 2.0])
    assert (broker.depth(), broker.held_bytes()) == (1, codec.size_of(codec.encode(batch(1.0, 2.0))))
    broker.acknowledge([again])
    assert (broker.depth(), broker.held_bytes()) == (0, 0)


def test_samples_that_were_refused_are_kept_aside_and_can_be_sent_again(rig: Rig) -> None:
    broker = rig.make()
    broker.keep_aside(batch(7.0), "older than what is kept", "5-0")
    (letter,) = broker.dead_letters()
    assert (letter.entry_id, letter.reason) == ("5-0", "older than what is kept")
    broker.replay(letter.letter_id)
    assert values(broker.read("a", 10, 0)) == [[7.0]]


def test_of_one_entry_and_reason_there_is_one_letter_and_the_last_one_stands(rig: Rig) -> None:
    """Whoever was not sure that it had been kept keeps it again."""
    broker = rig.make()
    for number, (entry_id, reason) in enumerate((("5-0", "old"), ("5-0", "NUL"), ("6-0", "old"), ("5-0", "old"))):
        broker.keep_aside(batch(*[float(number)] * (number + 1)), reason, entry_id)
    found = {(each.entry_id, each.reason): codec.Decoder().decode(each.fields) for each in broker.dead_letters()}
    kept = {of: letter.value.tolist() for of, letter in found.items()}
    assert kept == {("5-0", "NUL"): [1.0] * 2, ("6-0", "old"): [2.0] * 3, ("5-0", "old"): [3.0] * 4}
    assert broker.dead_letter_count() == 3
    for letter in broker.dead_letters():
        assert broker.drop(letter.letter_id)
    broker.keep_aside(batch(9.0), "old", "5-0")
    assert broker.dead_letter_count() == 1


def test_a_full_buffer_takes_no_letter_back_and_the_letter_stays(rig: Rig) -> None:
    broker = rig.make(max_bytes=200)
    broker.keep_aside(batch(*[1.0] * 50), "no", "5-0")
    broker.append(batch(1.0))
    (letter,) = broker.dead_letters()
    with pytest.raises(Rejected):
        broker.replay(letter.letter_id)
    assert broker.dead_letter_count() == 1


def test_a_letter_without_its_payload_cannot_be_sent_again_and_any_can_be_dropped(rig: Rig) -> None:
    broker = rig.make()
    broker.append(batch(*np.arange(200_000, dtype=float).tolist()))
    broker.bury(broker.read("a", 10, 0)[0], "large")
    (letter,) = broker.dead_letters()
    with pytest.raises(Invalid, match="only the reason"):
        broker.replay(letter.letter_id)
    assert broker.drop(letter.letter_id)
    assert not broker.drop(letter.letter_id)
    assert broker.dead_letter_count() == 0
    with pytest.raises(Invalid, match="no id"):
        broker.replay("all")
