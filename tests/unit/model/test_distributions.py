"""Distributions stay with their samples, however a batch is cut, sorted and joined."""

import made_distributions
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.errors import Invalid
from muninn.model import Distributions, SampleBatch, SeriesKey

KEY = SeriesKey.of("m")
samples = st.one_of(st.floats(-9, 9), st.lists(st.integers(1, 9).map(float), min_size=1, max_size=5))
rows = st.lists(st.tuples(st.just(KEY), st.integers(0, 9), samples), max_size=12)


def held(batch: SampleBatch) -> list[object]:
    """What each sample is, with its distribution where it has one."""
    found: list[object] = list(zip(batch.at_us.tolist(), batch.value.tolist(), strict=True))
    some = batch.distributions
    if some is not None:
        ends = np.cumsum(some.lengths)
        for place, row in enumerate(some.rows.tolist()):
            bins = some.bins[ends[place] - some.lengths[place] : ends[place]]
            found[row] = (found[row], some.count[place], some.low[place], some.high[place], bins.tolist())
    return found


@given(rows, st.randoms())
def test_taken_by_places_in_any_order(
    given_rows: list[tuple[SeriesKey, int, float]], random: np.random.Generator
) -> None:
    batch = made_distributions.batch_of(given_rows)
    places = list(range(len(batch)))
    random.shuffle(places)
    some = places[: len(places) // 2 + 1]
    whole = held(batch)
    assert held(batch.take(np.array(some, np.intp))) == [whole[place] for place in some]
    mask = np.isin(np.arange(len(batch)), some)
    assert held(batch.take(mask)) == [each for place, each in enumerate(whole) if place in some]


@given(st.lists(rows, max_size=4))
def test_joined_in_order(parts: list[list[tuple[SeriesKey, int, float]]]) -> None:
    batches = [made_distributions.batch_of(part) for part in parts]
    expected = [each for batch in batches for each in held(batch)]
    assert held(SampleBatch.concat(batches)) == expected
    assert held(SampleBatch.stacked(batches)) == expected


def test_none_left_is_none() -> None:
    batch = made_distributions.batch_of([(KEY, 1, 1.0), (KEY, 2, [1.0])])
    assert batch.take(np.array([0])).distributions is None


def test_columns_that_do_not_fit_are_refused() -> None:
    one, two = np.ones(1, np.int64), np.ones(2, np.int64)
    with pytest.raises(Invalid, match="differ in length"):
        Distributions(one, two, np.ones(1), np.ones(1), one, one)
    with pytest.raises(Invalid, match="as long as they say"):
        Distributions(one, one, np.ones(1), np.ones(1), one, two)
