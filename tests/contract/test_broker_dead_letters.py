"""Every ingest buffer, in memory and in Valkey: what is damaged or refused is kept aside, and can be sent again."""

import numpy as np
import pytest
from brokers import Rig, batch, values

from muninn.errors import Invalid, Rejected
from muninn.ingest.buffer import codec
from muninn.ingest.buffer.contract import MAX_DEAD_LETTERS
from muninn.model import SampleBatch

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


@pytest.fixture
def small_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters of 2 MiB at the most."""
    for twin in ("valkey", "memory"):
        monkeypatch.setattr(f"muninn.ingest.buffer.{twin}.MAX_DEAD_PAYLOAD_BYTES", 2 << 20)


def test_the_largest_entry_that_is_taken_fits_into_a_letter(rig: Rig) -> None:
    broker = rig.make()
    broker.append(batch(*np.arange(1_000_000, dtype=float).tolist()))
    (handle,) = broker.read("a", 10, 0)
    broker.bury(handle, "the store said no")
    (letter,) = broker.dead_letters()
    assert len(codec.Decoder().decode(letter.fields)) == 1_000_000
    assert broker.replay(letter.letter_id) is not None


@pytest.mark.usefixtures("small_letters")
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


@pytest.mark.usefixtures("small_letters")
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
