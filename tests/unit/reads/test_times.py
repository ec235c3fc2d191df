"""Instants, spans and windows as people write them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.clock import HOUR_US, MINUTE_US, SECOND_US
from muninn.errors import Invalid
from muninn.model.window import as_us
from muninn.reads.times import parse_instant, parse_span_us, parse_window

NOW_US = 1_800_000_000 * SECOND_US


@pytest.mark.parametrize(
    ("text", "expected_us"),
    [
        ("now", NOW_US),
        ("-6h", NOW_US - 6 * HOUR_US),
        ("now-15m", NOW_US - 15 * MINUTE_US),
        ("now - 90s", NOW_US - 90 * SECOND_US),
        ("now+1h30m", NOW_US + 90 * MINUTE_US),
        ("1700000000123", 1_700_000_000_123_000),
        (1700000000123, 1_700_000_000_123_000),
        ("2026-01-31T12:00:00Z", as_us(datetime(2026, 1, 31, 12, tzinfo=UTC))),
        ("2026-01-31t12:00:00.250z", as_us(datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC))),
        ("2026-01-31T12:00:00+05:30", as_us(datetime(2026, 1, 31, 6, 30, tzinfo=UTC))),
        # As it arrives where "+" was not escaped in a query string.
        ("2026-01-31T12:00:00 05:30", as_us(datetime(2026, 1, 31, 6, 30, tzinfo=UTC))),
    ],
)
def test_what_is_accepted(text: str | int, expected_us: int) -> None:
    assert parse_instant(text, NOW_US, "since") == expected_us


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no time"),
        ("yesterday", "is no time"),
        ("2026-01-31", "is no time"),
        ("2026-01-31T12:00:00", "is no time"),  # local to whom?
        ("2026-02-30T12:00:00Z", "no such day"),
        ("1700000000", "too small for epoch milliseconds"),
        ("99999999999999999", "between the years"),
        ("-6", None),
        ("-6y", "no span"),
        ("--6h", "no span"),
        ("-9999999d", "8,000 years"),
        ("-99w99999d", "between the years"),
        ("١٢٣٤٥٦٧٨٩٠١٢٣", "is no time"),
    ],
)
def test_what_is_refused_names_the_parameter(text: str, says: str | None) -> None:
    if says is None:  # a bare number is a span in seconds
        assert parse_instant(text, NOW_US, "since") == NOW_US - 6 * SECOND_US
        return
    with pytest.raises(Invalid, match=says) as caught:
        parse_instant(text, NOW_US, "since")
    assert caught.value.parameter == "since"


@given(
    st.datetimes(datetime(1970, 1, 3), datetime(9999, 12, 29), timezones=st.just(UTC)),
    st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_every_rfc3339_instant_is_read_to_the_microsecond(at: datetime, zone: timezone) -> None:
    assert parse_instant(at.astimezone(zone).isoformat(), NOW_US, "since") == as_us(at)


@given(st.text(max_size=40))
def test_any_text_is_an_instant_or_invalid(text: str) -> None:
    try:
        found_us = parse_instant(text, NOW_US, "since")
    except Invalid as error:
        refused: str | None = error.parameter
        found_us = 0
    else:
        refused = "since"
    assert refused == "since"
    assert 0 <= found_us < 253_402_300_800 * SECOND_US


@pytest.mark.parametrize(
    ("text", "expected_us"),
    [("90s", 90 * SECOND_US), ("1h30m", 90 * MINUTE_US), ("500ms", 500_000), ("60", MINUTE_US), (15, 15 * SECOND_US)],
)
def test_spans(text: str | int, expected_us: int) -> None:
    assert parse_span_us(text, "step") == expected_us


@pytest.mark.parametrize("text", ["", "0", "0s", "-5m", "1.5h", "5 m", "m5", "1e3s"])
def test_bad_spans_name_the_parameter(text: str) -> None:
    with pytest.raises(Invalid, match="step") as caught:
        parse_span_us(text, "step")
    assert caught.value.parameter == "step"


def test_a_window_must_end_after_it_starts() -> None:
    window = parse_window("-1h", "now", NOW_US)
    assert (window.since_us, window.until_us) == (NOW_US - HOUR_US, NOW_US)
    for since, until in (("now", "now"), ("now", "-1h")):
        with pytest.raises(Invalid, match="end after it starts") as caught:
            parse_window(since, until, NOW_US)
        assert caught.value.parameter == "until"
