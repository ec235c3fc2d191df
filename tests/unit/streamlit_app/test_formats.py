"""Numbers, units and times read as people write them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.clock import SECOND_US
from streamlit_app.widgets import formats

NOON_US = 1_772_366_400 * SECOND_US  # 2026-03-01T12:00:00Z


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "B", "0 B"),
        (1023.9, "B", "1 KiB"),
        (1.2 * 2**30, "B", "1.2 GiB"),
        (-5 * 2**20, "B", "-5 MiB"),
        (2048, "B/s", "2 KiB/s"),
        (0.4, "B/s", "0.4 B/s"),
        (12.54, "%", "12.5 %"),
        (0.034, "s", "34 ms"),
        (150, "s", "2.5 min"),
        (340, "ms", "340 ms"),
        (90_000, "ms", "1.5 min"),
        (0, "ms", "0 ms"),
        (3400, "", "3.4 k"),
        (3400, "/s", "3.4 k/s"),
        (7, "/s", "7/s"),
        (12, "samples", "12 samples"),
        (123_456, "samples/s", "123 k samples/s"),
        (41.3, "°C", "41.3 °C"),
        (math.nan, "B", "–"),
        (None, "B", "–"),
    ],
)
def test_quantity(value: float | None, unit: str, text: str) -> None:
    assert formats.quantity(value, unit) == text


@given(st.floats(min_value=1e-3, max_value=1e14), st.sampled_from(["B", "B/s", "", "samples"]))
def test_a_scaled_quantity_is_within_half_a_percent_of_the_value(value: float, unit: str) -> None:
    scale = formats.scale_for(unit, value)
    shown = float(formats.quantity(value, unit).split(" ")[0].replace(",", ""))
    assert shown * scale.divisor == pytest.approx(value, rel=0.0051)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.04213, "0.0421"), (3.5, "3.5"), (99.96, "100"), (1234.4, "1,234"), (0.00003, "3.00e-05")],
)
def test_number(value: float, text: str) -> None:
    assert formats.number(value) == text


def test_count_is_exact_while_it_is_short() -> None:
    assert formats.count(99_999) == "99,999"
    assert formats.count(1_234_567) == "1.23 M"
    assert formats.count(None) == "–"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "200 ms"),
        (3.45, "3.5 s"),
        (45, "45 s"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (273_600, "3 d 4 h"),
        (-90, "-1 min 30 s"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert formats.duration(seconds) == text


def test_ago() -> None:
    assert formats.ago(None, NOON_US) == "never"
    assert formats.ago(NOON_US - 100_000, NOON_US) == "now"
    assert formats.ago(NOON_US - 12 * SECOND_US, NOON_US) == "12 s ago"
    assert formats.ago(NOON_US + 61 * SECOND_US, NOON_US) == "in 1 min 1 s"


def test_percent_change() -> None:
    assert formats.percent_change(10, 15) == "+50 %"
    assert formats.percent_change(10, 6) == "-40 %"
    assert formats.percent_change(10, 32) == "×3.2"
    assert formats.percent_change(0, 3) == "–"


def test_rates_have_the_unit_of_what_grows() -> None:
    assert [formats.rate_unit(unit) for unit in ("B", "", "samples", "s")] == ["B/s", "/s", "samples/s", "s/s"]
    assert formats.quantity(0.25, "s/s") == "0.25 s/s"


def test_a_zone_is_named_with_its_offset_at_that_instant() -> None:
    berlin = formats.zone("Europe/Berlin")
    assert formats.zone_text(berlin, NOON_US) == "Europe/Berlin, UTC+01:00"
    assert formats.zone_text(berlin, NOON_US + 120 * 86400 * SECOND_US) == "Europe/Berlin, UTC+02:00"
    assert formats.zone_text(formats.zone("UTC"), NOON_US) == "UTC"
    assert formats.zone_text(formats.zone("Nowhere/At all"), NOON_US) == "UTC"
    assert formats.clock_time(NOON_US, berlin) == "2026-03-01 13:00:00"
