"""In which pieces buckets are rebuilt."""

from hypothesis import given
from hypothesis import strategies as st

from muninn.clock import DAY_US
from muninn.model import Window
from muninn.rollups import plan


@given(st.integers(0, 5 * DAY_US), st.integers(0, 5 * DAY_US))
def test_days_cover_the_window_and_none_crosses_midnight(since: int, length: int) -> None:
    pieces = list(plan.days(Window(since, since + length)))
    assert sum(piece.length_us for piece in pieces) == length
    assert [piece.until_us for piece in pieces[:-1]] == [piece.since_us for piece in pieces[1:]]
    assert all(piece.since_us // DAY_US == (piece.until_us - 1) // DAY_US for piece in pieces)
