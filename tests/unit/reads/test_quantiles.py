"""Quantiles of merged sketches, many groups at once, against merging one by one and against the samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.numerics import sketch
from muninn.reads.quantiles import SketchSet

numbers = st.floats(-1e12, 1e12, allow_nan=False).map(lambda value: 0.0 if abs(value) < 1e-9 else value)
groups = st.lists(st.lists(st.lists(numbers, min_size=1, max_size=20), min_size=1, max_size=4), min_size=1, max_size=6)


def held(sketches: list[np.ndarray]) -> SketchSet:
    return SketchSet.of_entries(np.array([len(one) for one in sketches]), np.concatenate(sketches))


def words(sketches: list[np.ndarray]) -> tuple[bytes, bytes]:
    """As sketch_packed() of SQL writes them (tests/contract/test_store_sketch.py holds that to be so)."""
    made = []
    for one in sketches:
        some = []
        for key, count in zip((one >> 32).tolist(), (one & 0xFFFF_FFFF).tolist(), strict=True):
            while count >= 8192:
                step = min(count >> 13, 8191)
                some.append(key * 16384 + 8192 + step)
                count -= step << 13
            some += [key * 16384 + count] if count else []
        made.append(np.array(some, ">i4"))
    return np.array([len(one) for one in made], ">i4").tobytes(), b"".join(one.tobytes() for one in made)


@given(groups, st.sampled_from([0.01, 0.5, 0.95, 0.99, 1.0]), st.randoms())
def test_groups_give_what_merging_one_by_one_gives(samples: list[list[list[float]]], q: float, random: object) -> None:
    sketches = [[sketch.sketch_of(np.array(one)) for one in group] for group in samples]
    number = np.array([place for place, group in enumerate(sketches) for _ in group])
    low = np.array([min(min(one) for one in group) for group in samples])
    high = np.array([max(max(one) for one in group) for group in samples])
    expected = [
        sketch.quantile(sketch.merge(group), q, least, most)
        for group, least, most in zip(sketches, low, high, strict=True)
    ]
    every = [one for group in sketches for one in group]
    order = np.array(sorted(range(len(every)), key=lambda _: random.random()))  # type: ignore[attr-defined]
    for some in (held(every), SketchSet.of_words(*words(every)), held(every)):
        merged = some.take(order).merged(number[order], len(samples))
        assert merged.quantile(q, low, high).tolist() == expected
        twice = merged.merged(np.arange(len(samples)), len(samples))
        assert twice.quantile(q, low, high).tolist() == expected
    for value, group in zip(expected, samples, strict=True):
        ordered = np.sort(np.concatenate([np.array(one) for one in group]))
        exact = ordered[max(1, int(np.ceil(q * len(ordered)))) - 1]
        assert abs(value - exact) <= 0.01 * abs(exact)


def test_many_groups_of_few_keys_each_are_sorted_instead_of_counted() -> None:
    random = np.random.default_rng(3)
    samples = [10.0 ** (place / 10) * random.uniform(1, 1.2, 6) for place in range(-100, 100)]
    sketches = [[sketch.sketch_of(some[:3]), sketch.sketch_of(some[3:])] for some in samples]
    every = held([one for group in sketches for one in group])
    low, high = np.array([some.min() for some in samples]), np.array([some.max() for some in samples])
    assert len(np.unique(every.keys)) > 100
    expected = [
        sketch.quantile(sketch.merge(group), 0.5, float(some.min()), float(some.max()))
        for group, some in zip(sketches, samples, strict=True)
    ]
    assert every.merged(np.repeat(np.arange(200), 2), 200).quantile(0.5, low, high).tolist() == expected


@pytest.mark.parametrize("count", [1, 8191, 8192, 8193, 100_000, 8191 << 13, 8192 << 13, (1 << 32) - 1])
def test_a_bin_of_any_count_is_read_from_its_words(count: int) -> None:
    """Two bins, so that the rank tells whether the count is right."""
    keys = sketch.key_of(np.array([-3.0, 1e9]))
    one = (keys << 32) + np.array([count, count])
    read = SketchSet.of_words(*words([one, one]))
    assert [int(read.counts[: read.lengths[0]].astype(np.int64).sum()), len(read)] == [2 * count, 2]
    merged = read.merged(np.zeros(2, np.int64), 1)
    assert (merged.keys.tolist(), merged.counts.tolist()) == (keys.tolist(), [2 * count, 2 * count])


def test_groups_without_sketches_have_no_quantile() -> None:
    one = sketch.sketch_of(np.array([5.0]))
    merged = SketchSet.concat([SketchSet.none(2), held([one])]).merged(np.array([0, 1, 1]), 3)
    found = merged.quantile(0.5, np.zeros(3), np.full(3, 10.0))
    assert np.isnan(found).tolist() == [True, False, True]
    assert found[1] == pytest.approx(5, rel=0.01)
    nothing = SketchSet.none(2).merged(np.array([0, 0]), 1)
    assert np.isnan(nothing.quantile(0.5, np.zeros(1), np.zeros(1))).all()


def test_taken_sketches_are_those_at_their_places() -> None:
    sketches = [sketch.sketch_of(np.array(values)) for values in ([1.0, 2.0], [3.0], [-1.0, 0.0, 9.0])]
    some = held(sketches)
    turned, left = some.take(np.array([2, 0])), some.take(np.array([True, False, True]))
    both = SketchSet.concat([left, turned])
    for place, expected in enumerate((0, 2, 2, 0)):
        np.testing.assert_array_equal(both.entries(place), sketches[expected])
