"""The sketch: within 1 % of the exact quantile for any finite doubles, and mergeable in any order."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from muninn.numerics import sketch

SMALLEST_NORMAL = np.finfo(np.float64).tiny
ONE_STEP = 5e-324
QUANTILES = (0.0, 0.01, 0.5, 0.95, 0.99, 1.0)

doubles = st.floats(allow_nan=False, allow_infinity=False)
# Twelve decades, both signs, zeros: what metrics look like.
measured = st.one_of(
    st.just(0.0),
    st.builds(lambda mantissa, decade: mantissa * 10.0**decade, st.floats(-10, 10), st.integers(-6, 6)),
)
samples = st.one_of(st.lists(doubles, min_size=1, max_size=200), st.lists(measured, min_size=1, max_size=200))


def exact(values: NDArray[np.float64], q: float) -> float:
    """Nearest rank: the smallest sample v with count(<= v) >= q * n."""
    return float(np.sort(values)[max(1, math.ceil(q * len(values))) - 1])


def assert_close(estimate: float, value: float) -> None:
    assert abs(estimate - value) <= 0.01 * abs(value) + (ONE_STEP if abs(value) < SMALLEST_NORMAL else 0), (
        estimate,
        value,
    )


@given(samples, st.sampled_from(QUANTILES) | st.floats(0, 1))
def test_any_quantile_is_within_one_percent(values: list[float], q: float) -> None:
    array = np.array(values)
    assert_close(sketch.quantile(sketch.sketch_of(array), q, array.min(), array.max()), exact(array, q))


@given(doubles)
def test_the_estimate_of_a_bin_is_within_one_percent_of_each_of_its_values(value: float) -> None:
    estimate = sketch.value_of(sketch.key_of(np.array([value])))[0]
    assert math.isfinite(estimate)
    assert_close(float(estimate), value)


@pytest.mark.parametrize("seed", range(5))
def test_quantiles_of_a_million_decades_apart(seed: int) -> None:
    random = np.random.default_rng(seed)
    values = random.choice([-1.0, 0.0, 1.0], 100_000, p=[0.2, 0.1, 0.7]) * 10 ** random.uniform(-6, 6, 100_000)
    made = sketch.sketch_of(values)
    for q in QUANTILES:
        assert_close(sketch.quantile(made, q, values.min(), values.max()), exact(values, q))


@given(st.lists(doubles, min_size=2, max_size=50))
def test_keys_keep_the_order_of_values(values: list[float]) -> None:
    keys = sketch.key_of(np.sort(np.array(values)))
    assert (np.diff(keys) >= 0).all()


@given(doubles)
def test_keys_are_symmetric(value: float) -> None:
    below, above = sketch.key_of(np.array([-value, value]))
    assert below == -above


@pytest.mark.parametrize("value", [ONE_STEP, SMALLEST_NORMAL, 1e-290, 1.0, 1e290, np.finfo(np.float64).max])
def test_every_double_has_a_key_beside_that_of_zero(value: float) -> None:
    assert 0 < sketch.key_of(np.array([value]))[0] < 1 << 30


@given(st.floats(-1e300, 1e300), st.integers(1, 1000))
def test_a_constant_series_has_exact_quantiles(value: float, count: int) -> None:
    made = sketch.sketch_of(np.full(count, value))
    assert {sketch.quantile(made, q, value, value) for q in QUANTILES} == {value}


@given(samples, samples, samples)
def test_merging_is_associative_and_commutative_and_loses_nothing(
    first: list[float], second: list[float], third: list[float]
) -> None:
    a, b, c = (sketch.sketch_of(np.array(values)) for values in (first, second, third))
    whole = sketch.sketch_of(np.array(first + second + third))
    assert_array_equal(sketch.merge([a, sketch.merge([b, c])]), whole)
    assert_array_equal(sketch.merge([sketch.merge([a, b]), c]), whole)
    assert_array_equal(sketch.merge([c, a, b]), whole)
    assert sketch.count(whole) == len(first) + len(second) + len(third)


def test_merging_nothing_gives_the_empty_sketch() -> None:
    empty = sketch.sketch_of(np.array([]))
    assert_array_equal(sketch.merge([]), empty)
    assert len(empty) == 0
    assert math.isnan(sketch.quantile(empty, 0.5, 0.0, 0.0))


def test_a_count_stops_instead_of_spilling_into_the_key() -> None:
    full = (sketch.key_of(np.array([7.0])) << 32) + 0xFFFF_FFFF
    merged = sketch.merge([full, full])
    assert_array_equal(merged, full)


def test_a_value_on_the_edge_of_a_bin_falls_where_the_c_library_says() -> None:
    edges = np.exp(sketch.LN_GAMMA * np.arange(-35_000, 35_000))
    expected = [math.ceil(math.log(edge) / sketch.LN_GAMMA) + sketch.OFFSET for edge in edges]
    assert_array_equal(sketch.key_of(edges), expected)
