"""Quantiles of merged sketches, a group at a time, against merging one by one and against the samples."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from muninn.numerics import sketch
from muninn.reads.quantiles import grouped

numbers = st.floats(-1e12, 1e12, allow_nan=False).map(lambda value: 0.0 if abs(value) < 1e-9 else value)
groups = st.lists(st.lists(st.lists(numbers, min_size=1, max_size=20), min_size=1, max_size=4), min_size=1, max_size=6)


def sorted_out(bins: np.ndarray, lengths: np.ndarray, q: float, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The same of bins in order of their keys, which are merged on another way."""
    order = np.lexsort((bins >> 32, np.repeat(np.arange(len(lengths)), lengths)))
    return grouped(bins[order], lengths, q, low, high)


@given(groups, st.sampled_from([0.01, 0.5, 0.95, 0.99, 1.0]))
def test_groups_give_what_merging_one_by_one_gives(samples: list[list[list[float]]], q: float) -> None:
    sketches = [[sketch.sketch_of(np.array(one)) for one in group] for group in samples]
    lengths = np.array([sum(len(one) for one in group) for group in sketches])
    bins = np.concatenate([one for group in sketches for one in group])
    low = np.array([min(min(one) for one in group) for group in samples])
    high = np.array([max(max(one) for one in group) for group in samples])
    found = grouped(bins, lengths, q, low, high)
    expected = [
        sketch.quantile(sketch.merge(group), q, least, most)
        for group, least, most in zip(sketches, low, high, strict=True)
    ]
    assert found.tolist() == expected
    assert found.tolist() == sorted_out(bins, lengths, q, low, high).tolist()
    for value, group in zip(found, samples, strict=True):
        ordered = np.sort(np.concatenate([np.array(one) for one in group]))
        exact = ordered[max(1, int(np.ceil(q * len(ordered)))) - 1]
        assert abs(value - exact) <= 0.01 * abs(exact)


def test_many_groups_of_few_keys_each_are_sorted_instead_of_counted() -> None:
    random = np.random.default_rng(3)
    samples = [10.0 ** (place / 10) * random.uniform(1, 1.2, 6) for place in range(-100, 100)]
    sketches = [[sketch.sketch_of(some[:3]), sketch.sketch_of(some[3:])] for some in samples]
    bins = np.concatenate([one for group in sketches for one in group])
    lengths = np.array([sum(map(len, group)) for group in sketches])
    low, high = np.array([some.min() for some in samples]), np.array([some.max() for some in samples])
    assert len(np.unique(bins >> 32)) > 100
    expected = [
        sketch.quantile(sketch.merge(group), 0.5, float(some.min()), float(some.max()))
        for group, some in zip(sketches, samples, strict=True)
    ]
    assert grouped(bins, lengths, 0.5, low, high).tolist() == expected
