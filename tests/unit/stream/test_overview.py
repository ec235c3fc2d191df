"""The overview's figures against the same thing computed point by point."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.stream.history import Ring
from muninn.stream.overview import RATE_MS, STALE_MS, Figure, evaluate
from muninn.stream.protocol import ChannelSpec

POINTS = st.dictionaries(st.integers(0, 60_000), st.floats(0, 1e6), max_size=12)
INSTANTS = st.lists(st.integers(0, 90_000), min_size=1, max_size=5).map(sorted)


def ring(points: dict[int, float]) -> Ring:
    made = Ring(100)
    made.take(np.array(sorted(points), np.int64), np.array([points[at] for at in sorted(points)], np.float64))
    return made


def figure(how: str, rate: bool = False) -> Figure:
    return Figure("f", ChannelSpec.of("m"), how, rate)  # type: ignore[arg-type]


def known(points: dict[int, float], now: int, rate: bool) -> float | None:
    """One series' value at one instant, the plain way."""
    before = [at for at in sorted(points) if at <= now]
    if not before or now - before[-1] > STALE_MS:
        return None
    last = before[-1]
    if not rate:
        return points[last]
    first = min(at for at in points if at >= last - RATE_MS)
    if first == last or points[last] < points[first]:
        return None
    return (points[last] - points[first]) / ((last - first) / 1000)


@pytest.mark.parametrize("how", ["mean", "sum", "max"])
@pytest.mark.parametrize("rate", [False, True])
@given(series=st.lists(POINTS, max_size=4), instants=INSTANTS)
def test_figures_equal_the_plain_way(how: str, rate: bool, series: list[dict[int, float]], instants: list[int]) -> None:
    result = evaluate(figure(how, rate), [ring(points) for points in series], np.array(instants, np.int64))
    combine = {"mean": lambda vs: sum(vs) / len(vs), "sum": sum, "max": max}[how]
    for now, value in zip(instants, result.tolist(), strict=True):
        values = [v for points in series if (v := known(points, now, rate)) is not None]
        assert (math.isnan(value)) == (not values)
        if values:
            assert value == pytest.approx(combine(values))


def test_a_counter_that_began_anew_is_no_rate_until_the_fall_is_past() -> None:
    rings = [ring({0: 1000.0, 5_000: 1500.0, 10_000: 20.0, 20_000: 120.0})]
    at = np.array([5_000, 10_000, 20_000], np.int64)
    result = evaluate(figure("sum", rate=True), rings, at)
    assert result[0] == 100.0
    assert math.isnan(result[1])
    assert result[2] == 10.0
