"""The last minutes of many series in buckets: against the same figures from all samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.alerting.windows import BUCKET_US, Windows, grouped
from muninn.clock import SECOND_US
from muninn.model import SampleBatch, SeriesKey

T0 = 1_700_000_000 * SECOND_US // BUCKET_US * BUCKET_US
KEYS = [SeriesKey.of("m", {"n": str(n)}) for n in range(3)]
ROWS = np.arange(3, dtype=np.intp)
SAMPLES = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 119_999), st.integers(-50, 50)),
    unique_by=lambda row: row[:2],
    max_size=60,
)


def batch(rows: list[tuple[int, int, int]]) -> SampleBatch:
    return SampleBatch.of([(KEYS[key], T0 + at_ms * 1000, float(value)) for key, at_ms, value in rows])


def windows(*batches: SampleBatch) -> Windows:
    made = Windows(lambda key: True, 120.0)
    made.take(SampleBatch.of([(key, T0 - 3600 * SECOND_US, 0.0) for key in KEYS]))  # every key has its row
    for each in batches:
        made.take(each)
    return made


@given(SAMPLES, st.integers(0, 23), st.integers(0, 23))
def test_figures_are_those_of_the_samples(rows: list[tuple[int, int, int]], one: int, two: int) -> None:
    since_us, until_us = T0 + min(one, two) * BUCKET_US, T0 + (max(one, two) + 1) * BUCKET_US - 1
    found = windows(batch(rows))
    for number in range(3):
        inside = sorted((at, v) for key, at, v in rows if key == number and since_us <= T0 + at * 1000 <= until_us)
        values = [value for _, value in inside]
        expected = {
            "count": len(values), "sum": sum(values), "mean": np.mean(values) if values else 0,
            "min": min(values, default=0), "max": max(values, default=0), "last": values[-1] if values else 0,
        }  # fmt: skip
        for over, figure in expected.items():
            seen = found.figure(ROWS, over, since_us, until_us)  # type: ignore[arg-type]
            assert seen.points[number] == len(values)
            if values:
                assert seen.value[number] == pytest.approx(figure)
            else:
                assert np.isnan(seen.value[number])


@given(SAMPLES, st.randoms())
def test_order_and_pieces_make_no_difference(rows: list[tuple[int, int, int]], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    pieces = [batch(shuffled[:20]), batch(shuffled[20:])]
    whole, parts = windows(batch(rows)), windows(*pieces)
    for over in ("last", "sum", "count", "max"):
        both = [each.figure(ROWS, over, T0, T0 + 120 * SECOND_US) for each in (whole, parts)]  # type: ignore[arg-type]
        np.testing.assert_allclose(both[0].value, both[1].value)


def test_old_buckets_make_room_and_what_is_too_late_is_left_out() -> None:
    found = windows(batch([(0, 0, 1)]))
    later = SampleBatch.of([(KEYS[0], T0 + 600 * SECOND_US, 5.0)])
    found.take(later)
    found.take(batch([(0, 1, 9)]))  # ten minutes late: its bucket belongs to another by now, or is of no use
    seen = found.figure(ROWS[:1], "sum", T0 + 500 * SECOND_US, T0 + 600 * SECOND_US)
    assert (seen.value[0], seen.points[0], seen.last_us[0]) == (5.0, 1, T0 + 600 * SECOND_US)


def test_growth_of_gauges_and_counters() -> None:
    found = windows(batch([(0, 0, 10), (0, 10_000, 40), (0, 20_000, 5), (1, 0, 1)]))
    gauge = found.growth_per_s(ROWS, T0, T0 + 60 * SECOND_US, counter=False)
    counter = found.growth_per_s(ROWS, T0, T0 + 60 * SECOND_US, counter=True)
    assert gauge.value[0] == pytest.approx(-5 / 20)
    assert counter.value[0] == pytest.approx((30 + 5) / 20)
    assert np.isnan(counter.value[1:]).all()  # one point, and none


def test_only_what_is_watched_and_only_so_many() -> None:
    found = Windows(lambda key: dict(key.labels)["n"] != "1", 60.0, max_series=1)
    found.take(batch([(0, 0, 1), (1, 0, 1), (2, 0, 1)]))
    assert (found.keys, found.left_out) == ([KEYS[0]], 1)
    found.rewatch(lambda key: True)
    assert found.left_out == 1


def test_more_series_than_there_was_room_for() -> None:
    many = [SeriesKey.of("m", {"n": str(n)}) for n in range(1000)]
    found = Windows(lambda key: True, 60.0)
    found.take(SampleBatch.of([(key, T0, float(n)) for n, key in enumerate(many)]))
    seen = found.figure(np.arange(1000, dtype=np.intp), "last", T0, T0 + SECOND_US)
    assert seen.value.tolist() == [float(n) for n in range(1000)]


def test_groups() -> None:
    value = np.array([1.0, np.nan, 3.0, 5.0])
    group = np.array([0, 1, 0, 2], np.intp)
    for across, first in (("mean", 2.0), ("sum", 4.0), ("min", 1.0), ("max", 3.0)):
        found = grouped(value, group, 3, across)
        assert found[0] == first
        assert np.isnan(found[1])
