"""Counters as rates."""

from hypothesis import given
from hypothesis import strategies as st

from muninn.sources.rates import Rates


def test_growth_per_second_of_each_counter_by_itself() -> None:
    rates = Rates()
    assert rates.per_s("a", 10, 100.0) is None
    assert rates.per_s("b", 0, 100.0) is None
    assert rates.per_s("a", 30, 104.0) == 5.0
    assert rates.per_s("b", 0, 104.0) == 0.0


def test_a_reset_gives_no_rate_and_counting_goes_on_from_it() -> None:
    rates = Rates()
    readings = [(100, 1.0), (50, 2.0), (60, 3.0), (60, 3.0), (70, 2.0), (71, 3.0)]
    assert [rates.per_s("a", total, at_s) for total, at_s in readings] == [None, None, 10.0, None, None, 1.0]


@given(st.lists(st.tuples(st.floats(0, 1e15), st.floats(0, 1e9)), max_size=20))
def test_a_rate_is_never_negative(readings: list[tuple[float, float]]) -> None:
    rates = Rates()
    found = [rates.per_s("a", total, at_s) for total, at_s in readings]
    assert all(rate is None or rate >= 0 for rate in found)


def test_a_counter_that_was_away_starts_anew() -> None:
    rates = Rates()
    rates.per_s("a", 1, 1.0)
    rates.forget_before(2.0)
    assert rates.per_s("a", 5, 3.0) is None
