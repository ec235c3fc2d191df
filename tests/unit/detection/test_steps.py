"""Samples to steps: means, last values, waiting, what is late."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from muninn.detection.steps import Steps

SECOND = 1_000_000
GAUGES = np.zeros(4, bool)


def add(steps: Steps, *rows: tuple[int, float, float]) -> None:
    index, at_s, value = zip(*rows, strict=True)
    steps.add(np.array(index, np.intp), (np.array(at_s) * SECOND).astype(np.int64), np.array(value, np.float64))


def test_a_step_holds_each_series_once_with_its_mean() -> None:
    steps = Steps(10 * SECOND)
    add(steps, (1, 101, 2.0), (0, 100, 1.0), (1, 109.5, 4.0), (1, 110, 9.0))
    (step,) = steps.close(110 * SECOND, GAUGES)
    assert (step.until_us, step.index.tolist(), step.value.tolist()) == (110 * SECOND, [0, 1], [1.0, 3.0])
    assert step.at_us.tolist() == [100 * SECOND, 109_500_000]
    (step,) = steps.close(125 * SECOND, GAUGES)
    assert (step.until_us, step.index.tolist(), step.value.tolist()) == (120 * SECOND, [1], [9.0])


def test_of_counters_the_last_value_counts() -> None:
    steps, counters = Steps(10 * SECOND), np.array([True, False])
    add(steps, (0, 102, 7.0), (0, 101, 5.0), (1, 101, 5.0), (1, 102, 7.0))
    (step,) = steps.close(110 * SECOND, counters)
    assert step.value.tolist() == [7.0, 6.0]


def test_what_comes_too_late_is_left_out_and_counted() -> None:
    steps = Steps(10 * SECOND)
    assert steps.close(110 * SECOND, GAUGES) == []
    add(steps, (0, 109, 1.0), (0, 111, 2.0))
    (step,) = steps.close(120 * SECOND, GAUGES)
    assert step.value.tolist() == [2.0]
    assert steps.late == 1
    assert steps.close(120 * SECOND, GAUGES) == []


def test_renumbered_series_keep_what_waits() -> None:
    steps = Steps(10 * SECOND)
    add(steps, (0, 101, 1.0), (1, 101, 2.0), (2, 101, 3.0))
    steps.renumber(np.array([-1, 0, 1]))
    (step,) = steps.close(110 * SECOND, GAUGES)
    assert (step.index.tolist(), step.value.tolist()) == ([0, 1], [2.0, 3.0])


rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 59), st.integers(-100, 100).map(float)), min_size=1, max_size=60
)


@given(rows, st.lists(st.integers(1, 59), max_size=5))
def test_it_matters_not_how_samples_are_batched(given_rows: list[tuple[int, float, float]], cuts: list[int]) -> None:
    whole, parts = Steps(10 * SECOND), Steps(10 * SECOND)
    add(whole, *given_rows)
    edges = [0, *sorted(cuts), len(given_rows)]
    for start, end in pairwise(edges):
        if given_rows[start:end]:
            add(parts, *given_rows[start:end])
    one, other = whole.close(60 * SECOND, GAUGES), parts.close(60 * SECOND, GAUGES)
    assert [(s.until_us, s.index.tolist()) for s in one] == [(s.until_us, s.index.tolist()) for s in other]
    for left, right in zip(one, other, strict=True):
        assert np.allclose(left.value, right.value)
    assert sum(len(step.index) for step in one) == len({(series, at // 10) for series, at, _ in given_rows})
