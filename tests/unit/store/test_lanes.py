"""A load's arrays: sorted, repeated pairs gone, late minutes counted, far times kept apart."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from muninn.clock import HOUR_US, MINUTE_US
from muninn.store.lanes import Rows, late_minutes, one_of_each, stretches

samples = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 6), st.floats(-9, 9)), max_size=40)


def arrays(rows: list[tuple[int, int, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        np.array([row[0] for row in rows], np.int32),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float64),
    )


def listed(rows: Rows) -> list[tuple[int, int, float]]:
    return list(zip(rows.series_id.tolist(), rows.at_us.tolist(), rows.value.tolist(), strict=True))


@given(samples)
def test_the_last_of_each_pair_is_kept_in_order(given_rows: list[tuple[int, int, float]]) -> None:
    expected = {(series, at): value for series, at, value in given_rows}
    assert listed(one_of_each(*arrays(given_rows))) == [(*pair, expected[pair]) for pair in sorted(expected)]
    first = {(series, at): value for series, at, value in given_rows[::-1]}
    assert listed(one_of_each(*arrays(given_rows), "first")) == [(*pair, first[pair]) for pair in sorted(first)]


@given(samples)
def test_series_and_their_newest_rows(given_rows: list[tuple[int, int, float]]) -> None:
    rows = one_of_each(*arrays(given_rows))
    newest: dict[int, tuple[int, int, float]] = {}
    for row in listed(rows):
        newest[row[0]] = row
    assert rows.series.tolist() == sorted(newest)
    assert listed(rows.newest) == [newest[series] for series in sorted(newest)]
    numbers = np.arange(len(rows.starts), dtype=np.int64) * 10
    assert rows.spread(numbers).tolist() == [sorted(newest).index(row[0]) * 10 for row in listed(rows)]


def test_late_minutes_count_the_samples_before_the_closing_instant() -> None:
    at = np.array([0, 59, 60, 200, 30, 60], np.int64) * 1_000_000
    rows = one_of_each(np.array([1, 1, 1, 1, 2, 2], np.int32), at, np.zeros(6))
    series, minutes, counts = late_minutes(rows, 2 * MINUTE_US)
    assert list(zip(series.tolist(), (minutes // MINUTE_US).tolist(), counts.tolist(), strict=True)) == [
        (1, 0, 2),
        (1, 1, 1),
        (2, 0, 1),
        (2, 1, 1),
    ]
    assert [len(each) for each in late_minutes(rows, 0)] == [0, 0, 0]


def test_stretches_part_what_lies_far_apart() -> None:
    at = np.array([0, 5 * HOUR_US, MINUTE_US, 5 * HOUR_US + 1, 9 * HOUR_US], np.int64)
    assert [sorted(group.tolist()) for group in stretches(at)] == [[0, 2], [1, 3], [4]]
    assert stretches(np.empty(0, np.int64)) == []


def test_stretches_are_at_most_64_cut_at_the_widest_gaps() -> None:
    gaps = np.random.default_rng(1).permutation(np.arange(1, 201)) * HOUR_US
    at = np.concatenate([[0], np.cumsum(gaps)])
    groups = stretches(at)
    assert len(groups) == 64
    assert_array_equal(np.sort(np.concatenate(groups)), np.arange(201))
    narrowest_cut = min(at[after.min()] - at[before.max()] for before, after in pairwise(groups))
    widest_inside = max(int(np.diff(at[group]).max(initial=0)) for group in groups)
    assert widest_inside < narrowest_cut
