"""Quantiles of merged sketches, a group at a time, against merging one by one and against the samples."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from muninn.numerics import sketch
from muninn.reads.quantiles import grouped

numbers = st.floats(-1e12, 1e12, allow_nan=False).map(lambda value: 0.0 if abs(value) < 1e-9 else value)
groups = st.lists(st.lists(st.lists(numbers, min_size=1, max_size=20), min_size=1, max_size=4), min_size=1, max_size=6)


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
    for value, group in zip(found, samples, strict=True):
        ordered = np.sort(np.concatenate([np.array(one) for one in group]))
        exact = ordered[max(1, int(np.ceil(q * len(ordered)))) - 1]
        assert abs(value - exact) <= 0.01 * abs(exact)
