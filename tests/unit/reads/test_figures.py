"""Figures and sums that sentences and totals are made of."""

import pytest

from muninn.cache import BoardEntry
from muninn.clock import SECOND_US
from muninn.reads.figures import figure
from muninn.reads.heartbeats import Heartbeats


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0, "B", "0 B"),
        (12_345.0, "B/s", "12.3 kB/s"),
        (999.4, "B", "999 B"),
        (999.6, "B", "1 kB"),
        (-2_500_000.0, "", "-2.5 M"),
        (98.76, "%", "98.8 %"),
        (12_345.0, "%", "12345 %"),
        (0.00123, "s", "0.00123 s"),
        (7.0, "", "7"),
    ],
)
def test_a_figure_has_three_digits_and_its_unit(value: float, unit: str, text: str) -> None:
    assert figure(value, unit) == text


def test_sums_worst_and_rates_over_programs() -> None:
    def entry(instance: str, depth: float, rate: float) -> BoardEntry:
        metrics = (("depth", {}, depth), ("in_total", {"code": "1"}, 1.0), ("in_total", {"code": "2"}, 1.0))
        rates = (("in_total", {"code": "1"}, rate), ("in_total", {"code": "2"}, 0.5))
        return BoardEntry("gateway", instance, 1, 10 * SECOND_US, 0, metrics, rates)

    beats = Heartbeats([entry("a", 3, 10), entry("b", 4, 20)], known=True)
    assert (beats.worst("depth"), beats.rate("in_total")) == (4, 31)
    assert (beats.worst("none"), beats.rate("none")) == (None, None)
    assert [program.heartbeat_age_s for program in beats.programs(12 * SECOND_US)] == [2.0, 2.0]
    assert [program.heartbeat_age_s for program in beats.programs(9 * SECOND_US)] == [0.0, 0.0]
