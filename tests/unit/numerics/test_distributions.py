"""Distributions: from values and from buckets, and what makes one that can not be kept."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.model import Distributions
from muninn.numerics import distributions, sketch

BOUNDS = [0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0]


@given(st.lists(st.tuples(st.floats(-1e6, 1e6, allow_subnormal=False), st.integers(1, 5)), min_size=1, max_size=30))
def test_values_that_come_more_than_once(given_values: list[tuple[float, int]]) -> None:
    values, times = np.array([value for value, _ in given_values]), np.array([many for _, many in given_values])
    made = distributions.of_values(values, times)
    whole = np.repeat(values, times)
    assert made.count == len(whole)
    assert math.isclose(made.mean, whole.mean(), rel_tol=1e-9, abs_tol=1e-9 * np.abs(whole).max())
    assert (made.low, made.high) == (whole.min(), whole.max())
    assert made.bins.tolist() == sketch.sketch_of(whole).tolist()


@given(st.lists(st.floats(0.001, 2499), min_size=1, max_size=400), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_a_percentile_of_buckets_is_within_the_bucket_that_holds_it(values: list[float], q: float) -> None:
    exact = np.sort(values)
    counts, _ = np.histogram(exact, BOUNDS)
    made = distributions.of_buckets(np.array(BOUNDS), counts, math.fsum(values), exact[0], exact[-1])
    assert made.count == len(values)
    assert math.isclose(made.mean, exact.mean(), rel_tol=1e-9)
    estimate = sketch.quantile(made.bins, q, made.low, made.high)
    true = exact[max(1, math.ceil(q * len(exact))) - 1]
    place = np.searchsorted(BOUNDS, true, "right")
    assert BOUNDS[place - 1] * 0.99 <= estimate <= BOUNDS[place] * 1.01


def test_even_values_in_a_bucket_keep_their_percentiles() -> None:
    made = distributions.of_buckets(np.array([100.0, 200.0]), np.array([100_000]), None, None, None)
    assert (made.count, made.low, made.high) == (100_000, 100.0, 200.0)
    assert made.mean == pytest.approx(150, rel=1e-3)
    for q in (0.05, 0.5, 0.95):
        assert sketch.quantile(made.bins, q, 100, 200) == pytest.approx(100 + 100 * q, rel=0.02)


def test_a_bucket_without_width_is_its_value() -> None:
    made = distributions.of_buckets(np.array([0.0, 0.0]), np.array([7]), 0.0, None, None)
    assert (made.count, made.mean, made.bins.tolist()) == (7, 0.0, [7])


def one(**changed: object) -> Distributions:
    made = {"rows": [0], "count": [2], "low": [1.0], "high": [3.0], "lengths": [2]}
    made["bins"] = sketch.sketch_of(np.array([1.0, 3.0])).tolist()
    columns = {**made, **changed}
    floats = ("low", "high")
    return Distributions(
        **{name: np.array(each, float if name in floats else np.int64) for name, each in columns.items()}
    )


def said(some: Distributions) -> list[str]:
    return [what for mask, what in distributions.faults(some) if mask.any()]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"count": [0]}, "count must be from 1"),
        ({"count": [3]}, "as many values as count says"),
        ({"low": [4.0]}, "must not be above"),
        ({"high": [math.inf]}, "must not be above"),
        ({"low": [math.nan]}, "must not be above"),
        ({"high": [1e300]}, "at most 1e\\+290"),
        ({"bins": [(99_999 << 32) + 1, (99_999 << 32) + 1]}, "stands for no value"),
        ({"bins": [(40_001 << 32) + 2, 40_000 << 32]}, "stands for no value"),
        ({"bins": [(40_001 << 32) + 1, (40_000 << 32) + 1]}, "must ascend"),
        ({"lengths": [0], "bins": []}, "must hold something"),
    ],
)
def test_what_can_not_be_kept(changed: dict[str, object], reason: str) -> None:
    assert said(one()) == []
    pattern = reason.replace("\\", "")
    assert any(pattern in each for each in said(one(**changed))), said(one(**changed))


def test_the_fault_is_of_the_one_that_has_it() -> None:
    good = one()
    both = Distributions.joined([good, one(count=[5]), good], [1, 1, 1])
    assert both is not None
    masks = [mask.tolist() for mask, _ in distributions.faults(both) if mask.any()]
    assert masks == [[False, True, False]]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_empty_sketch_hides_no_other_fault(place: int) -> None:
    bad = [one(count=[5]), one()]
    bad.insert(place, one(lengths=[0], bins=[]))
    both = Distributions.joined(list(bad), [1, 1, 1])
    assert both is not None
    found = {what: mask.tolist() for mask, what in distributions.faults(both) if mask.any()}
    wrong = [each.count[0] == 5 for each in bad]
    assert found == {
        "the sketch must hold something": [row == place for row in range(3)],
        "the sketch must hold as many values as count says": wrong,
    }
