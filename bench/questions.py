"""What is asked of a week of 1,000 series (bench/queries.py), and how each answer is checked against numpy's.

Belongs here: questions and checks. Does not: timing.
"""

from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np

from bench import cpu
from muninn.clock import DAY_US, HOUR_US, MINUTE_US
from muninn.model import Window
from muninn.numerics import counters
from muninn.reads import Compared, Latest, Reads, Rising, Top, Trend

METRIC = cpu.METRICS[0]
HOST = {"host": "host-007"}


@dataclass(frozen=True)
class Question:
    """ask: the question. check: AssertionError where the answer is not that of the samples."""

    name: str
    ask: Callable[[Reads], Any]
    check: Callable[[Any, cpu.Workload], None]


def window(hours: float) -> Window:
    """The last hours of the samples."""
    return Window(cpu.END_US - round(hours * HOUR_US), cpu.END_US)


def _values(found: Trend, workload: cpu.Workload, one: Any) -> np.ndarray:
    number = workload.keys.index(one.key)
    return workload.values(
        number, max(found.window.since_us, workload.start_us), min(found.window.until_us, cpu.END_US)
    )


def check_trend(found: Trend, workload: cpu.Workload, *, series: int, p95: bool = False) -> None:
    """Count, mean, extremes and (within 1 %) p95 of every step of every series."""
    assert len(found.series) == series, len(found.series)
    for one in found.series:
        values = _values(found, workload, one)
        first_us = max(found.window.since_us, workload.start_us)
        at_us = first_us + np.arange(len(values)) * cpu.STEP_US
        _check_steps(found, one, at_us, values, p95=p95)


def check_groups(found: Trend, workload: cpu.Workload) -> None:
    """Pooled samples of each region."""
    assert len(found.series) == len(cpu.REGIONS)
    for one in found.series:
        region = dict(one.key.labels)["region"]
        numbers = [
            number
            for number, key in enumerate(workload.keys)
            if key.metric == METRIC and dict(key.labels)["region"] == region
        ]
        since_us, until_us = max(found.window.since_us, workload.start_us), min(found.window.until_us, cpu.END_US)
        values = workload.values(np.array(numbers), since_us, until_us)
        at_us = since_us + np.arange(values.shape[1]) * cpu.STEP_US
        _check_steps(found, one, np.tile(at_us, len(numbers)), values.ravel(), p95=not np.isnan(one.p95).any())


def _check_steps(found: Trend, one: Any, at_us: np.ndarray, values: np.ndarray, *, p95: bool) -> None:
    step = at_us // found.step_us * found.step_us
    starts, place, count = np.unique(step, return_inverse=True, return_counts=True)
    np.testing.assert_array_equal(one.at_ms, starts // 1000)
    np.testing.assert_array_equal(one.count, count)
    np.testing.assert_allclose(one.avg, np.bincount(place, values) / count, rtol=1e-9)
    order = np.lexsort((values, place))
    ends = np.cumsum(count)
    ranked = values[order]
    np.testing.assert_array_equal(one.max, ranked[ends - 1])
    np.testing.assert_array_equal(one.min, ranked[ends - count])
    if p95:
        exact = ranked[ends - count + np.ceil(0.95 * count).astype(int) - 1]
        assert (np.abs(one.p95 - exact) <= 0.01 * np.abs(exact) + 1e-12).all()


def check_latest(found: list[Latest], workload: cpu.Workload) -> None:
    """The last sample of every series."""
    told = {one.key: one.value for latest in found for one in latest.series}
    last = workload.tenths[:, -1] / 10.0
    assert told == dict(zip(workload.keys, last.tolist(), strict=True))


def check_top(found: Top, workload: cpu.Workload) -> None:
    """The ten highest means, in order."""
    numbers = [number for number, key in enumerate(workload.keys) if key.metric == METRIC]
    since_us, until_us = found.since_ms * 1000, found.until_ms * 1000
    means = workload.values(np.array(numbers), since_us, until_us).mean(axis=1)
    first = np.sort(means)[::-1][:10]
    np.testing.assert_allclose([one.value for one in found.ranked], first, rtol=1e-9)


def _growth(workload: cpu.Workload, numbers: list[int], since_us: int, until_us: int) -> np.ndarray:
    """Of each of these series between the samples of a window, as if they were counters."""
    values = workload.values(np.array(numbers), since_us, until_us)
    return np.asarray(counters.steps(values[:, :-1], values[:, 1:]).sum(axis=1))


def check_rates(found: Top, workload: cpu.Workload) -> None:
    """The ten that grew most by the second, in order."""
    numbers = [number for number, key in enumerate(workload.keys) if key.metric == METRIC]
    grown = _growth(workload, numbers, found.since_ms * 1000, found.until_ms * 1000)
    first = np.sort(grown * 1000 / (found.until_ms - found.since_ms))[::-1][:10]
    np.testing.assert_allclose([one.value for one in found.ranked], first, rtol=1e-9)


def check_rising(found: Rising, workload: cpu.Workload) -> None:
    """The growth of each series over the window, and that of its steps together."""
    assert len(found.series) == 50
    numbers = [workload.keys.index(one.key) for one in found.series]
    grown = _growth(workload, numbers, found.window.since_us, found.window.until_us)
    np.testing.assert_allclose([one.total for one in found.series], grown, rtol=1e-9)
    np.testing.assert_allclose([one.increase.sum() for one in found.series], grown, rtol=1e-9)


def check_compared(found: Compared, workload: cpu.Workload) -> None:
    """Both days by region."""
    check_groups(found.now, workload)
    day_us = found.offset_us
    before = replace(found.before, window=Window(*(at_us - day_us for at_us in astuple(found.before.window))))
    moved = tuple(replace(one, at_ms=one.at_ms - day_us // 1000) for one in before.series)
    check_groups(replace(before, series=moved), workload)


def check_host(found: list[Trend], workload: cpu.Workload) -> None:
    """One series of each metric."""
    assert len(found) == len(cpu.METRICS)
    for one in found:
        check_trend(one, workload, series=1)


def check_nothing(found: Any, workload: cpu.Workload) -> None:
    """Proved elsewhere (tests/integration): here it is only timed."""
    assert found is not None
    assert workload is not None


def each_host(ask: Reads) -> Trend:
    """8 hosts over 24 hours by 5 minutes."""
    return ask.trend(METRIC, window(24), 5 * MINUTE_US, max_series=8, p95=False)


def all_latest(ask: Reads) -> list[Latest]:
    """1,000 series of ten metrics."""
    return ask.latest_of(cpu.METRICS)


def whole_host(ask: Reads) -> list[Trend]:
    """10 metrics of a host over 12 hours by 1 minute."""
    return ask.trends(cpu.METRICS, window(12), MINUTE_US, HOST, p95=False)


QUESTIONS = (
    Question(
        "one series, 1 h by 1 min",
        lambda ask: ask.trend(METRIC, window(1), MINUTE_US, HOST, p95=False),
        lambda found, workload: check_trend(found, workload, series=1),
    ),
    Question("8 hosts, 24 h by 5 min", each_host, lambda found, workload: check_trend(found, workload, series=8)),
    Question(
        "100 hosts by region, 24 h by 1 h",
        lambda ask: ask.trend(METRIC, window(24), HOUR_US, by="region", p95=False),
        check_groups,
    ),
    Question(
        "p95 per host, 7 d by 1 h",
        lambda ask: ask.trend(METRIC, window(7 * 24), HOUR_US, max_series=100),
        lambda found, workload: check_trend(found, workload, series=100, p95=True),
    ),
    Question("last value of 1,000 series", all_latest, check_latest),
    Question("top 10 hosts over 24 h", lambda ask: ask.top(METRIC, window(24), "avg", 10), check_top),
    Question("10 metrics of a host, 12 h by 1 min", whole_host, check_host),
    Question(
        "pooled p95 by region, 24 h by 1 h",
        lambda ask: ask.trend(METRIC, window(24), HOUR_US, by="region"),
        check_groups,
    ),
    Question(
        "pooled p95 by region, 24 h by 5 min",
        lambda ask: ask.trend(METRIC, window(24), 5 * MINUTE_US, by="region"),
        check_groups,
    ),
    Question(
        "100 hosts by local day (Kathmandu), 7 d",
        lambda ask: ask.calendar(METRIC, window(7 * 24), "day", "Asia/Kathmandu", max_series=100),
        check_nothing,
    ),
    Question("regressions of 100 series", lambda ask: ask.regressions(METRIC), check_nothing),
    Question("top 10 hosts by growth, 24 h", lambda ask: ask.top(METRIC, window(24), "rate", 10), check_rates),
    Question("growth of 50 hosts, 24 h by 5 min", lambda ask: ask.rising(METRIC, window(24)), check_rising),
    Question(
        "by region beside the day before, 24 h by 5 min",
        lambda ask: ask.compare(METRIC, window(24), DAY_US, by="region", p95=False),
        check_compared,
    ),
    Question(
        "the same with pooled p95",
        lambda ask: ask.compare(METRIC, window(24), DAY_US, by="region"),
        check_compared,
    ),
    Question("the overview, with changes of 1,000 series", lambda ask: ask.overview(cpu.END_US), check_nothing),
)
