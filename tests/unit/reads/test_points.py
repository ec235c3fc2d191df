"""Buckets merged into groups and steps, against doing it one by one; near pairs are looked up, far ones sorted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.numerics import sketch
from muninn.reads import points
from muninn.reads.points import Points
from muninn.reads.quantiles import SketchSet

values = st.lists(st.floats(-1e6, 1e6).map(lambda value: round(value, 3)), min_size=1, max_size=5)
buckets = st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 4), values), max_size=30)


def made(rows: list[tuple[int, int, list[float]]], *, sketches: bool) -> Points:
    """A bucket of each row's values; with a p95 of its own."""
    samples = [np.array(some) for _, _, some in rows]
    held = [sketch.sketch_of(some) for some in samples]
    lengths = np.array([len(one) for one in held], np.int64)
    entries = np.concatenate([np.empty(0, np.int64), *held])
    return Points(
        series=np.array([series for series, _, _ in rows], np.int64),
        at_us=np.array([step for _, step, _ in rows], np.int64),
        count=np.array([len(some) for some in samples], np.int64),
        total=np.array([some.sum() for some in samples]),
        low=np.array([some.min() for some in samples]),
        high=np.array([some.max() for some in samples]),
        p95=np.array([np.percentile(some, 95, method="inverted_cdf") for some in samples]),
        sketches=SketchSet.of_entries(lengths, entries) if sketches else SketchSet.none(len(rows)),
    )


@given(buckets, st.booleans(), st.sampled_from([1, 10**12]))
def test_a_step_has_the_samples_of_all_of_its_buckets(
    rows: list[tuple[int, int, list[float]]], sketches: bool, apart: int
) -> None:
    found = made(rows, sketches=sketches)
    merged = points.merge(found, found.labelled({series: 3 - series for series in range(4)}), found.at_us * apart)
    pairs = sorted({(3 - series, step) for series, step, _ in rows})
    assert list(zip(merged.group.tolist(), (merged.step // apart).tolist(), strict=True)) == pairs
    for place, (group, step) in enumerate(pairs):
        mine = [some for series, at, some in rows if (3 - series, at) == (group, step)]
        every = np.sort(np.concatenate(mine))
        assert (merged.count[place], merged.low[place], merged.high[place]) == (len(every), every[0], every[-1])
        assert merged.total[place] == pytest.approx(every.sum(), rel=1e-9, abs=1e-6)
        exact = np.percentile(every, 95, method="inverted_cdf")
        if sketches:
            assert abs(merged.p95[place] - exact) <= 0.01 * abs(exact)
        elif len(mine) == 1:
            assert merged.p95[place] == exact
        else:
            assert np.isnan(merged.p95[place])


def test_series_far_apart_find_their_group() -> None:
    found = made([(0, 0, [1.0]), (1, 0, [2.0]), (0, 1, [3.0])], sketches=False)
    far = np.where(found.series == 0, 5, 2_000_000_000)
    moved = Points(far, found.at_us, found.count, found.total, found.low, found.high, found.p95, found.sketches)
    assert moved.labelled({2_000_000_000: 4, 5: 7, 9: 1}).tolist() == [7, 4, 7]
