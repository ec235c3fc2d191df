"""Names for those who follow the buffer: from entries, from the store, or left out."""

from collections.abc import Sequence

import numpy as np

from muninn.errors import Unavailable
from muninn.ingest.buffer.names import Names
from muninn.model import BatchHandle, SampleBatch, SeriesKey, SeriesSet
from muninn.model.series_set import Fingerprints

A, B, C = (SeriesKey.of("m", {"host": name}) for name in "abc")


def entry(*keys: SeriesKey, named: Sequence[SeriesKey] = ()) -> BatchHandle:
    """One sample of each series, its value its place; `named` go with their names."""
    full = SeriesSet.of(keys)
    series = SeriesSet(full.fingerprints, lambda place: keys[place].canonical if keys[place] in named else None)
    n = len(keys)
    return BatchHandle("s", "1-0", SampleBatch(np.zeros(n, np.int64), np.arange(float(n)), np.arange(n), series))


class Store:
    def __init__(self, *keys: SeriesKey):
        self.keys = {key.digest: key for key in keys}
        self.asked: list[int] = []
        self.away = False

    def lookup(self, fingerprints: Fingerprints) -> list[SeriesKey | None]:
        if self.away:
            raise Unavailable("the store is away")
        self.asked.append(len(fingerprints))
        return [self.keys.get(digest) for digest in fingerprints.tolist()]


def test_names_come_from_entries_and_else_from_the_store_once() -> None:
    store = Store(B)
    names = Names(store.lookup)
    (found,) = names.complete([entry(A, B, named=[A])])
    assert [*found.batch.keys] == [A, B]
    both = names.complete([entry(B, A), entry(A)])
    assert [[*handle.batch.keys] for handle in both] == [[B, A], [A]]
    assert store.asked == [1]


def test_samples_of_series_that_nobody_can_name_are_left_out() -> None:
    (found,) = Names(Store(A, C).lookup).complete([entry(A, B, C)])
    assert [*found.batch.keys] == [A, C]
    assert found.batch.value.tolist() == [0.0, 2.0]
    assert found.batch.key_index.tolist() == [0, 1]
    (nothing,) = Names().complete([entry(A)])
    assert len(nothing.batch) == 0


def test_while_the_store_is_away_known_series_go_on() -> None:
    store = Store(A, B)
    names = Names(store.lookup)
    names.complete([entry(A)])
    store.away = True
    (found,) = names.complete([entry(A, B)])
    assert [*found.batch.keys] == [A]
    store.away = False
    (found,) = names.complete([entry(A, B)])
    assert [*found.batch.keys] == [A, B]


def test_a_flood_of_series_leaves_it_within_its_bounds() -> None:
    names = Names(max_bytes=50 * 500)
    for number in range(20):
        flood = [SeriesKey.of("m", {"n": f"{number}-{each}"}) for each in range(40)]
        (found,) = names.complete([entry(*flood, named=flood)])
        assert [*found.batch.keys] == flood
        assert len(names) <= 50
