"""A set of series: fingerprints always, keys when asked, names where they are known."""

import numpy as np
import pytest

from muninn.errors import Invalid
from muninn.model import SampleBatch, SeriesKey, SeriesSet
from muninn.model.series_set import fingerprints_of

KEYS = tuple(SeriesKey.of("m", {"host": name}, "agent", name) for name in "abc")


def nameless(*known: int) -> SeriesSet:
    """KEYS, only those at these places with their names."""
    return SeriesSet(
        fingerprints_of([key.digest for key in KEYS]),
        lambda place: KEYS[place].canonical if place in known else None,
    )


def test_it_is_a_sequence_of_its_keys() -> None:
    series = SeriesSet.of(KEYS)
    assert series == KEYS
    assert series != KEYS[:2]
    assert series != KEYS[::-1]
    assert [*series] == [*KEYS]
    assert series[1:] == KEYS[1:]
    assert series[-1] == KEYS[-1]
    assert KEYS[1] in series
    assert series.fingerprints.tolist() == [key.fingerprint.bytes for key in KEYS]


def test_keys_are_made_from_names_and_a_nameless_one_says_so() -> None:
    series = nameless(0, 2)
    assert series == KEYS
    assert (series[0], series[-1]) == (KEYS[0], KEYS[2])
    assert series.unnamed() == [1]
    with pytest.raises(Invalid, match=KEYS[1].digest.hex()):
        series[1]
    with pytest.raises(IndexError):
        series[3]
    picked = series.take(np.array([2, 1]))
    assert picked == (KEYS[2], KEYS[1])
    assert (picked[0], picked.unnamed()) == (KEYS[2], [1])


def test_stacked_sets_keep_their_names() -> None:
    both = SeriesSet.stacked([nameless(1), SeriesSet.of(()), SeriesSet.of(KEYS[:1])])
    assert both == (*KEYS, KEYS[0])
    assert [both.name(place) is not None for place in range(4)] == [False, True, False, True]
    assert SeriesSet.stacked([]) == ()


def test_batches_stack_and_concatenate_whatever_is_named() -> None:
    some = SampleBatch(np.arange(3), np.arange(3.0), np.array([2, 1, 0], np.int32), nameless(1))
    other = SampleBatch.of([(KEYS[0], 9, 9.0)])
    stacked = SampleBatch.stacked([some, SampleBatch.empty(), other])
    assert stacked.key_index.tolist() == [2, 1, 0, 3]
    joined = SampleBatch.concat([some, other])
    assert joined.keys == KEYS
    assert joined.key_index.tolist() == [2, 1, 0, 0]
    assert joined.keys.unnamed() == [2]
    assert len(SampleBatch.stacked([])) == 0
