"""Timestamps: whole columns against datetime, one by one."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.ingest.decode.instants import from_ms, from_rfc3339
from muninn.model.window import as_us

OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=OFFSETS)


@given(st.lists(MOMENTS, max_size=20))
def test_every_moment_reads_as_datetime_reads_it(moments: list[datetime]) -> None:
    at_us, ok = from_rfc3339([moment.isoformat() for moment in moments])
    assert ok.all()
    assert at_us.tolist() == [as_us(moment) for moment in moments]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2024-02-29T12:00:00Z", "2024-02-29T12:00:00+00:00"),
        ("2024-02-29t12:00:00z", "2024-02-29T12:00:00+00:00"),
        ("2024-02-29 12:00:00Z", "2024-02-29T12:00:00+00:00"),
        ("2024-02-29T12:00:00.5Z", "2024-02-29T12:00:00.500000+00:00"),
        ("2024-02-29T12:00:00.123456789Z", "2024-02-29T12:00:00.123456+00:00"),
        ("2024-02-29T12:00:00.999999999+05:30", "2024-02-29T12:00:00.999999+05:30"),
        ("2024-02-29T12:00:00-00:00", "2024-02-29T12:00:00+00:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
        ("2017-01-01T05:29:60.25+05:30", "2017-01-01T05:30:00.250000+05:30"),
        ("2000-02-29T00:00:00Z", "2000-02-29T00:00:00+00:00"),
    ],
)
def test_forms_that_the_standard_allows(text: str, meant: str) -> None:
    at_us, ok = from_rfc3339([text])
    assert ok.all()
    assert at_us[0] == as_us(datetime.fromisoformat(meant))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024-13-01",
        "2024-01-01",
        "2024-01-01T00:00:00",
        "2024-13-01T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2024-01-00T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2024-04-31T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01T00:00:61Z",
        "2024-01-01T10:10:60Z",
        "2024-01-01T00:00:00.Z",
        "2024-01-01T00:00:00,5Z",
        "2024-01-01T00:00:00.1x5Z",
        "2024-01-01T00:00:00+24:00",
        "2024-01-01T00:00:00+00:60",
        "2024-01-01T00:00:00+0000",
        "2024-01-01T00:00:00 Z",
        "2024-01-01T00:00:00ZZ",
        "2024-01-01T00:00:00Z\0",
        "2024-01-01T00:00:00Z ",
        " 2024-01-01T00:00:00Z",
        "٢024-01-01T00:00:00Z",
        "2024-01-01T00:00:00\N{MINUS SIGN}01:00",
        "1700000000000",
        "2024-01-01T00:00:00." + "1" * 200 + "Z",
        "-2024-01-01T00:00:00Z",
    ],
)
def test_what_is_not_rfc_3339(text: str) -> None:
    good = "2024-01-01T00:00:00Z"
    at_us, ok = from_rfc3339([good, text, good])
    assert ok.tolist() == [True, False, True]
    assert at_us[1] == 0


@given(st.lists(st.text(alphabet="0123456789-+:.TtZz x", max_size=40), max_size=10))
def test_nothing_is_accepted_that_datetime_cannot_read(texts: list[str]) -> None:
    at_us, ok = from_rfc3339(texts)
    for text, at, good in zip(texts, at_us.tolist(), ok.tolist(), strict=True):
        if good:
            assert at == as_us(datetime.fromisoformat(text.upper().replace(" ", "T")))


def test_more_texts_than_one_chunk() -> None:
    texts = ["2024-01-01T00:00:00Z"] * 70_000 + ["2024-01-01T00:00:01Z"]
    at_us, ok = from_rfc3339(texts)
    assert ok.all()
    assert at_us[-1] - at_us[0] == 1_000_000


@given(st.integers(-9_000_000_000_000_000, 9_000_000_000_000_000))
def test_milliseconds_with_a_fraction_keep_their_microseconds(at_us: int) -> None:
    found, ok = from_ms(np.array([at_us / 1000]))
    assert ok.all()
    assert found[0] == at_us or abs(at_us) > 2**51


def test_milliseconds_out_of_range() -> None:
    found, ok = from_ms(np.array([0.0, 9.1e12, -9.1e12, np.nan, np.inf, 1e300]))
    assert ok.tolist() == [True, False, False, False, False, False]
    assert found.tolist() == [0] * 6


def test_now_is_in_range() -> None:
    found, ok = from_ms(np.array([datetime(2200, 1, 1, tzinfo=UTC).timestamp() * 1000]))
    assert ok.all()
    assert found[0] == as_us(datetime(2200, 1, 1, tzinfo=UTC))
