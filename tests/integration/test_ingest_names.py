"""Names of series left out of the buffer, on real servers: once the store has them, and after it was made anew."""

import uuid
from collections.abc import Iterator
from functools import partial

import pytest
import stores
from stores import NOW_US

from muninn.clock import SECOND_US
from muninn.ingest.buffer.names import Names
from muninn.ingest.buffer.roster import Roster
from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.ingest.loader import Loader, LoaderLimits
from muninn.model import SampleBatch, SeriesKey
from muninn.store import series_index

KEYS = tuple(SeriesKey.of("m", {"host": name, "ä": "日本"}, "agent", name) for name in "abc")


class _Sink:
    def __init__(self, store: stores.Postgres):
        self.load = store.load

    def flush(self) -> None:
        """Nothing was put off."""

    def prune_entries(self, before_id: str) -> None:
        """The store is thrown away."""


class Way:
    """Door, loader and a follower on one stream."""

    def __init__(self, store: stores.Postgres, redis_url: str):
        self.store, self.turn = store, 0
        stream = f"test:{uuid.uuid4().hex}"
        self.roster = Roster(partial(series_index.registered, store.database))
        self.door = ValkeyBroker(redis_url, stream=stream, roster=self.roster)
        self.reader = ValkeyBroker(redis_url, stream=stream)
        lookup = partial(series_index.names, store.database)
        self.follower, self.late = (ValkeyBroker(redis_url, stream=stream, names=Names(lookup)) for _ in range(2))
        self.loader = Loader(self.reader, _Sink(store), "a", limits=LoaderLimits(block_ms=0), clock=store.clock)

    def send(self) -> None:
        self.turn += 1
        at_us = NOW_US + self.turn * SECOND_US
        self.door.append(SampleBatch.of([(key, at_us, float(self.turn)) for key in KEYS]))

    def stored(self) -> int:
        return len(self.store.raw())


@pytest.fixture
def way(postgres_url: str, redis_url: str) -> Iterator[Way]:
    store = stores.Postgres(postgres_url)
    yield Way(store, redis_url)
    store.close()


def test_entries_without_names_are_loaded_and_followed(way: Way) -> None:
    way.send()
    named_bytes = way.reader.held_bytes()
    way.loader.step()
    assert way.roster.refresh() == len(KEYS)
    way.send()
    assert way.reader.held_bytes() < named_bytes / 2
    way.loader.step()
    assert way.stored() == 2 * len(KEYS)
    # One follower that saw every name, and one that comes later and has to ask the store.
    first, second = way.follower.follow("0-0", 0)
    (late,) = way.late.follow(first.entry_id, 0)
    for handle in (first, second, late):
        assert [*handle.batch.keys] == [*KEYS]


def test_a_store_that_was_made_anew_gets_all_names_again(way: Way) -> None:
    way.send()
    way.loader.step()
    way.roster.refresh()
    way.store.connection.execute("truncate series, latest_samples, loaded_entries, raw_samples, load_lanes cascade")
    way.send()  # without names: nobody can tell what it is
    way.loader.step()
    assert way.stored() == 0
    way.send()  # all names are wanted by now
    way.loader.step()
    assert way.stored() == len(KEYS)
    way.store.clock.advance(1)
    way.loader.step()
    assert way.stored() == 2 * len(KEYS)
    assert way.reader.depth() == 0
