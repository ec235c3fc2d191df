"""Windows, instants and the choice of a resolution."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.clock import DAY_US, HOUR_US, MINUTE_US
from muninn.errors import Invalid
from muninn.model import RESOLUTIONS, Window, resolution_for
from muninn.model.window import as_datetime, as_us


@given(st.datetimes(datetime(1, 1, 2), datetime(9998, 12, 31)))
def test_instants_convert_exactly(naive: datetime) -> None:
    at = naive.replace(tzinfo=UTC)
    assert as_datetime(as_us(at)) == at


def test_instants_of_any_zone_are_the_same_instant() -> None:
    at = datetime.fromisoformat("2026-01-01T02:00:00+02:00")
    assert as_us(at) == as_us(at.astimezone(UTC)) == as_us(at - timedelta(0))


@given(st.integers(-(10**15), 10**15), st.integers(0, 10**12), st.sampled_from(RESOLUTIONS))
def test_alignment_covers_and_adds_less_than_a_bucket_at_each_end(since: int, length: int, resolution) -> None:
    window = Window(since, since + length)
    whole = window.aligned(resolution.width_us)
    assert whole.since_us % resolution.width_us == 0 == whole.until_us % resolution.width_us
    assert 0 <= window.since_us - whole.since_us < resolution.width_us
    assert 0 <= whole.until_us - window.until_us < resolution.width_us


def test_a_window_that_ends_before_it_starts_is_invalid() -> None:
    with pytest.raises(Invalid):
        Window(2, 1)


@pytest.mark.parametrize(
    ("range_us", "name"),
    [(MINUTE_US, "1min"), (6 * HOUR_US, "1min"), (6 * HOUR_US + 1, "5min"), (48 * HOUR_US, "5min"),
     (48 * HOUR_US + 1, "1hour"), (60 * DAY_US, "1hour"), (60 * DAY_US + 1, "1day")],
)  # fmt: skip
def test_resolution_by_range(range_us: int, name: str) -> None:
    assert resolution_for(range_us).name == name


def test_each_resolution_is_made_of_whole_buckets_of_the_finer_one() -> None:
    for fine, coarse in itertools.pairwise(RESOLUTIONS):
        assert coarse.width_us % fine.width_us == 0
