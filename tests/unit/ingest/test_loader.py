"""The loader against a sink that keeps the store's promise and fails on command."""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.clock import ManualClock
from muninn.errors import Invalid, Unavailable, Unnamed
from muninn.ingest.buffer.codec import Decoder
from muninn.ingest.buffer.contract import BufferLimits
from muninn.ingest.buffer.memory import MemoryBroker
from muninn.ingest.loader import Aside, Loader, LoaderLimits, measure
from muninn.meter import Meter
from muninn.model import BatchHandle, SampleBatch, SeriesKey

KEY = SeriesKey.of("cpu")


@dataclass
class Result:
    rows: int
    duplicates: int = 0
    late: int = 0
    refused: tuple["Refused", ...] = ()


@dataclass
class Refused:
    reason: str
    samples: int
    key: SeriesKey
    at_us: int
    batch: SampleBatch = field(default_factory=SampleBatch.empty)


@dataclass
class MemorySink:
    """Rows and entry ids, committed together or not at all."""

    rows: list[float] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    poison: set[float] = field(default_factory=set)
    away: int = 0
    loads: list[int] = field(default_factory=list)
    pruned: list[str] = field(default_factory=list)
    crash_after_commit: bool = False
    refuse: tuple[Refused, ...] = ()
    nameless: set[float] = field(default_factory=set)
    fails: set[float] = field(default_factory=set)
    flushed: int = 0

    def load(self, handles: Sequence[BatchHandle], aside: Aside) -> Result:
        if self.away:
            self.away -= 1
            raise Unavailable("the store is away")
        new = [handle for handle in handles if handle.entry_id not in self.known]
        values = [value for handle in new for value in handle.batch.value.tolist()]
        if self.fails & set(values):
            raise IndexError("nobody foresaw this")
        if bad := self.poison & set(values):
            raise Invalid(f"poison {bad}")
        if places := [place for place, each in enumerate(handles) if self.nameless & set(each.batch.value.tolist())]:
            raise Unnamed(tuple(places))
        for refusal in self.refuse:
            aside(handles[0], refusal.reason, refusal.batch)
        self.loads.append(len(handles))
        self.rows += values
        self.known |= {handle.entry_id for handle in new}
        if self.crash_after_commit:
            self.crash_after_commit = False
            raise KeyboardInterrupt
        return Result(len(values), refused=self.refuse)

    def flush(self) -> None:
        self.flushed += 1

    def prune_entries(self, before_id: str) -> None:
        self.pruned.append(before_id)


@dataclass
class Rig:
    clock: ManualClock = field(default_factory=ManualClock)
    sink: MemorySink = field(default_factory=MemorySink)
    meter: Meter = field(default_factory=Meter)

    def __post_init__(self) -> None:
        self.buffer = MemoryBroker(limits=BufferLimits(live_s=0), clock=self.clock)

    def loader(self, consumer: str = "a", **limits: float) -> Loader:
        chosen = LoaderLimits(block_ms=0, **limits)  # type: ignore[arg-type]
        return Loader(self.buffer, self.sink, consumer, limits=chosen, clock=self.clock, meter=self.meter)

    def fill(self, *sizes: int) -> None:
        start = 0
        for size in sizes:
            values = [float(value) for value in range(start, start + size)]
            self.buffer.append(SampleBatch.of([(KEY, 1_700_000_000_000_000, value) for value in values]))
            start += size

    def counted(self, name: str) -> float:
        return sum(value for found, _, value in self.meter.snapshot() if found == name)


class StopAfter(threading.Event):
    """Set once it was asked `times` times: by the loop, and by the clock when it waits."""

    def __init__(self, times: int):
        super().__init__()
        self._left = times

    def is_set(self) -> bool:
        self._left -= 1
        return self._left < 0


def test_entries_are_loaded_and_acknowledged() -> None:
    rig = Rig()
    rig.fill(2, 3, 1)
    loader = rig.loader()
    assert loader.step() == 3
    assert rig.sink.rows == [0, 1, 2, 3, 4, 5]
    assert (rig.buffer.depth(), rig.sink.flushed) == (0, 0)
    assert loader.step() == 0
    assert rig.sink.flushed == 1, "what was put off is done when there is nothing to load"
    assert rig.counted("muninn_loader_rows_total") == 6
    assert rig.counted("muninn_loader_batches_total") == 1


def test_a_transaction_takes_at_most_so_many_rows_and_entries() -> None:
    rig = Rig()
    rig.fill(4, 4, 4, 20, 1)
    loader = rig.loader(max_rows=8, max_entries=4)
    assert [loader.step(), loader.step()] == [4, 1]
    assert rig.sink.loads == [2, 1, 1, 1]
    assert len(rig.sink.rows) == 33


def test_a_store_that_is_away_is_waited_for_and_nothing_is_lost_or_doubled() -> None:
    rig = Rig()
    rig.fill(1, 1)
    rig.sink.away = 12
    before = rig.clock.monotonic()
    rig.loader().run(StopAfter(28))
    assert rig.sink.rows == [0, 1]
    assert rig.buffer.depth() == 0
    assert rig.counted("muninn_loader_retries_total") == 12
    # 0.1, 0.2, … 3.2, then 5 s six times, each at least half of it.
    assert 0.5 * 36.3 <= rig.clock.monotonic() - before <= 36.3 + 1


def test_after_a_crash_between_commit_and_acknowledgement_nothing_is_doubled() -> None:
    rig = Rig()
    rig.fill(2, 2)
    rig.sink.crash_after_commit = True
    with pytest.raises(KeyboardInterrupt):
        rig.loader().step()
    assert rig.buffer.depth() == 2
    rig.fill(1)
    rig.loader().run(StopAfter(3))
    assert sorted(rig.sink.rows) == [0, 0, 1, 2, 3]  # the last `fill` counts from 0 again
    assert rig.buffer.depth() == 0


def test_what_a_dead_loader_left_is_taken_over_after_a_while() -> None:
    rig = Rig()
    rig.fill(1, 1)
    rig.buffer.read("dead", 10, 0)
    heir = rig.loader("heir", takeover_s=15)
    assert heir.step() == 0
    rig.clock.advance(10)
    assert heir.step() == 0
    rig.clock.advance(10)
    assert heir.step() == 2
    assert rig.sink.rows == [0, 1]


@given(sizes=st.lists(st.integers(1, 3), min_size=1, max_size=20), data=st.data())
def test_poison_alone_goes_to_the_dead_letters(sizes: list[int], data: st.DataObject) -> None:
    rig = Rig()
    rig.fill(*sizes)
    total = sum(sizes)
    rig.sink.poison = set(map(float, data.draw(st.sets(st.integers(0, total - 1), max_size=4))))
    entries = rig.buffer.follow("0-0", 0)
    poisoned = {handle.entry_id for handle in entries if rig.sink.poison & set(handle.batch.value.tolist())}
    rig.loader().step()
    good = [value for handle in entries if handle.entry_id not in poisoned for value in handle.batch.value.tolist()]
    assert rig.sink.rows == good
    assert {letter.entry_id for letter in rig.buffer.dead_letters()} == poisoned
    assert all("poison" in letter.reason for letter in rig.buffer.dead_letters())
    assert rig.buffer.depth() == 0
    assert rig.counted("muninn_loader_dead_letters_total") == len(poisoned)


def test_a_store_that_goes_away_amid_isolation_loses_nothing() -> None:
    rig = Rig()
    rig.fill(1, 1, 1, 1)
    rig.sink.poison = {2.0}
    loader = rig.loader()
    original = rig.sink.load
    calls = Counter[str]()

    def load(handles: Sequence[BatchHandle], aside: Aside) -> Result:
        calls["load"] += 1
        if calls["load"] == 3:
            raise Unavailable("gone")
        return original(handles, aside)

    rig.sink.load = load  # type: ignore[method-assign]
    loader.run(StopAfter(4))
    assert sorted(rig.sink.rows) == [0, 1, 3]
    assert rig.buffer.depth() == 0


def test_what_the_store_cannot_keep_is_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    rig.fill(3)
    key = SeriesKey.of("cpu", {"host": "a"})
    refused = SampleBatch.of([(key, 0, 1.0), (key, 1, 2.0)])
    rig.sink.refuse = (Refused("older than what is kept", 2, key, 0, refused),)
    rig.loader().step()
    assert rig.counted("muninn_loader_refused_total") == 2
    assert '2 samples cannot be kept: older than what is kept; the first is ["cpu",{"host":"a"}' in caplog.text
    assert "1970-01-01T00:00:00+00:00" in caplog.text
    (letter,) = rig.buffer.dead_letters()
    assert (letter.reason, Decoder().decode(letter.fields).value.tolist()) == ("older than what is kept", [1.0, 2.0])


def test_lag_is_the_age_of_what_was_loaded_and_zero_when_idle() -> None:
    rig = Rig()
    rig.fill(1)
    rig.clock.advance(7)
    loader = rig.loader()
    loader.step()
    assert rig.counted("muninn_loader_lag_s") == pytest.approx(7, abs=0.01)
    loader.step()
    assert rig.counted("muninn_loader_lag_s") == 0


def test_entry_ids_are_forgotten_an_hour_after_they_left_the_buffer() -> None:
    rig = Rig()
    loader = rig.loader()
    for _ in range(3):
        rig.fill(1)
        loader.step()
        rig.clock.advance(120)
    last_ms = int(rig.buffer.last_id().partition("-")[0])
    assert len(rig.sink.pruned) == 3
    assert int(rig.sink.pruned[-1].partition("-")[0]) <= last_ms - 3_600_000


def test_the_buffers_gauges_are_read_from_it() -> None:
    rig = Rig()
    rig.fill(1, 1)
    rig.clock.advance(3)
    measure(rig.buffer, rig.meter, BufferLimits(max_bytes=1 << 30, max_age_s=100.0))
    found = {name: value for name, _, value in rig.meter.snapshot()}
    assert found["muninn_buffer_depth_entries"] == 2
    assert found["muninn_buffer_held_bytes"] == rig.buffer.held_bytes() > 0
    assert found["muninn_buffer_dead_letters"] == 0
    assert found["muninn_buffer_lag_s"] == pytest.approx(3, abs=0.01)
    assert found["muninn_buffer_used_pct"] == pytest.approx(3, abs=0.01), "of its age, which is nearer than its bytes"
    measure(rig.buffer, rig.meter, BufferLimits(max_bytes=2 * rig.buffer.held_bytes(), max_age_s=100.0))
    assert ("muninn_buffer_used_pct", {}, 50.0) in rig.meter.snapshot()


def test_entries_that_nobody_can_name_wait_for_it_and_hold_nobody_up() -> None:
    rig = Rig()
    rig.fill(1, 1, 1)
    rig.sink.nameless = {1.0}
    loader = rig.loader()
    loader.step()
    assert rig.sink.rows == [0, 2]
    assert rig.buffer.depth() == 1
    rig.fill(1)
    loader.step()
    assert rig.sink.rows == [0, 2, 0]
    rig.sink.nameless = set()
    rig.clock.advance(1)
    loader.step()
    assert rig.sink.rows == [0, 2, 0, 1]
    assert rig.buffer.depth() == 0


def test_a_loader_that_starts_again_meets_entries_without_names_again() -> None:
    rig = Rig()
    rig.fill(1, 1)
    rig.sink.nameless = {0.0}
    rig.loader().step()
    again = rig.loader()
    again.step()
    again.step()
    assert (rig.sink.rows, rig.buffer.depth()) == ([1], 1)
    rig.sink.nameless = set()
    rig.clock.advance(1)
    again.step()
    assert (rig.sink.rows, rig.buffer.depth()) == ([1, 0], 0)


def test_what_nobody_names_in_time_is_a_dead_letter() -> None:
    rig = Rig()
    rig.fill(1)
    rig.sink.nameless = {0.0}
    loader = rig.loader()
    loader.step()
    rig.clock.advance(119)
    loader.step()
    assert rig.buffer.dead_letter_count() == 0
    rig.clock.advance(2)
    loader.step()
    assert rig.buffer.dead_letter_count() == 1
    assert rig.buffer.depth() == 0


def test_an_entry_that_is_named_at_last_and_is_poison_stops_nobody() -> None:
    rig = Rig()
    rig.fill(1, 1)
    rig.sink.nameless = {0.0}
    loader = rig.loader()
    loader.step()
    rig.sink.nameless, rig.sink.poison = set(), {0.0}
    rig.clock.advance(1)
    loader.step()
    assert (rig.sink.rows, rig.buffer.depth(), rig.buffer.dead_letter_count()) == ([1], 0, 1)


def test_an_entry_that_fails_as_nobody_foresaw_is_a_dead_letter_once_others_are_loaded() -> None:
    rig = Rig()
    rig.fill(1, 1, 1)
    rig.sink.fails = {1.0}
    loader = rig.loader()
    loader.step()
    assert (rig.sink.rows, rig.buffer.depth()) == ([0, 2], 0)
    (letter,) = rig.buffer.dead_letters()
    assert letter.reason == "IndexError('nobody foresaw this')"
    assert letter.fields, "it can be sent again once that is mended"


def test_an_entry_that_fails_so_and_is_alone_waits_for_another_one() -> None:
    rig = Rig()
    rig.fill(1)
    rig.sink.fails = {0.0}
    loader = rig.loader()
    for _ in range(3):
        loader.step()
    assert (rig.buffer.depth(), rig.buffer.dead_letter_count()) == (1, 0)
    rig.sink.away = 1
    rig.buffer.append(SampleBatch.of([(KEY, 1_700_000_000_000_000, 5.0)]))
    with pytest.raises(Unavailable):
        loader.step()
    assert (rig.buffer.depth(), rig.buffer.dead_letter_count()) == (2, 0), "a store that is away proves nothing"
    rig.buffer.append(SampleBatch.of([(KEY, 1_700_000_000_000_000, 6.0)]))
    loader.step()
    assert (rig.sink.rows, rig.buffer.depth(), rig.buffer.dead_letter_count()) == ([6.0], 1, 1)
    rig.clock.advance(60)
    loader.step()
    assert (rig.sink.rows, rig.buffer.depth()) == ([6.0, 5.0], 0)


def test_where_everything_fails_so_nothing_is_buried_and_the_program_ends() -> None:
    rig = Rig()
    rig.fill(*[1] * 20)
    rig.sink.fails = set(map(float, range(20)))
    with pytest.raises(IndexError):
        rig.loader().step()
    assert (rig.buffer.depth(), rig.buffer.dead_letter_count()) == (20, 0)
    rig.sink.fails = set()
    again = rig.loader()
    again.step()
    assert (sorted(rig.sink.rows), rig.buffer.depth()) == ([*range(20)], 0)


def test_an_entry_that_failed_so_once_is_loaded_when_it_is_tried_again() -> None:
    rig = Rig()
    rig.fill(1)
    rig.sink.fails = {0.0}
    loader = rig.loader()
    loader.step()
    rig.sink.fails = set()
    rig.fill(1)
    loader.step()
    assert (rig.buffer.depth(), rig.buffer.dead_letter_count(), len(rig.sink.rows)) == (0, 0, 2)
