"""The last day against the week before it: what is a regression, and what is the usual wobble."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from filling import Filled, course, filled

from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from muninn.model import SampleBatch, SeriesKey, Window
from muninn.reads import Regression, UnknownMetric
from muninn.reads.regressions import VERDICTS, bounds_us, levels

NOW_US = 1_800_000_000 * SECOND_US // DAY_US * DAY_US + 14 * HOUR_US + 25 * MINUTE_US + 3 * SECOND_US
BOUNDS = bounds_us(NOW_US)
EVERY_US = 5 * MINUTE_US


def at_us(days: float = 8) -> np.ndarray:
    return np.arange(NOW_US - round(days * DAY_US) - HOUR_US, NOW_US, EVERY_US, dtype=np.int64)


def series(name: str, metric: str = "response_time_ms") -> SeriesKey:
    return SeriesKey.of(metric, {"case": name})


def samples() -> dict[SeriesKey, tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(4)
    at = at_us()
    recent = at >= BOUNDS[-2]
    day = (BOUNDS[-1] - at) // DAY_US
    wobble = random.normal(0, 1, len(at))
    swings = np.array([0, 40, -35, 30, -40, 35, -30, 45, -20])[day]
    found = {
        series("steady"): 100 + wobble,
        series("slower"): 100 + wobble + 15 * recent,
        series("much slower"): 100 + wobble + 60 * recent,
        series("faster"): 100 + wobble - 40 * recent,
        # 30 % more than the baseline's mean, as on many of its days.
        series("swinging"): 100 + wobble + np.where(recent, 30, swings),
        # One sample in eleven is ten times as large: the mean barely moves 10 %, the tail jumps.
        series("tail"): 100 + wobble + np.where(recent & (np.arange(len(at)) % 11 == 0), 100, 0),
        series("flat then not"): np.where(recent, 5.0, 0.0),
        series("idle", "cpu_steal_pct"): 0.1 + 0.2 * recent + 0 * wobble,
        series("grows faster", "requests_total"): np.cumsum(np.where(recent, 40.0, 20.0)) % 6_000,
        series("grows", "requests_total"): np.cumsum(np.full(len(at), 20.0)),
    }
    return {key: (at, values) for key, values in found.items()} | {
        series("young"): (at_us(2), np.full(len(at_us(2)), 7.0)),
        series("gone"): (at_us()[:-400], np.full(len(at_us()) - 400, 7.0)),
    }


@pytest.fixture(scope="module")
def store(postgres_server: Any, migrated_template: str) -> Iterator[Filled]:
    url = postgres_server.create("reads_regressions", migrated_template)
    with filled(url, NOW_US) as store:
        store.load(SampleBatch.concat([course(key, at, values) for key, (at, values) in samples().items()]))
        store.refresh(NOW_US - 20 * MINUTE_US)
        yield store
    postgres_server.drop("reads_regressions")


@pytest.fixture(scope="module")
def found(store: Filled) -> dict[str, Regression]:
    return {dict(one.key.labels)["case"]: one for one in store.reads.regressions().series}


def halves(name: str, metric: str = "response_time_ms") -> tuple[np.ndarray, np.ndarray]:
    at, values = samples()[series(name, metric)]
    inside = (at >= BOUNDS[0]) & (at < BOUNDS[-1])
    return values[inside & (at < BOUNDS[-2])], values[inside & (at >= BOUNDS[-2])]


def test_each_case_has_its_verdict(found: dict[str, Regression]) -> None:
    verdicts = {case: one.verdict for case, one in found.items()}
    assert verdicts == {
        "steady": "NORMAL",
        "slower": "WARNING",
        "much slower": "CRITICAL",
        "faster": "CRITICAL",
        "swinging": "NORMAL",
        "tail": "CRITICAL",
        "flat then not": "CRITICAL",
        "idle": "NORMAL",
        "grows faster": "CRITICAL",
        "grows": "NORMAL",
    }
    order = ["CRITICAL", "WARNING", "NORMAL"]
    assert [one.verdict for one in found.values()] == sorted(verdicts.values(), key=order.index)


def test_means_and_tails_are_those_of_the_samples(found: dict[str, Regression]) -> None:
    for case in ("steady", "slower", "swinging", "tail"):
        before, now = halves(case)
        one = found[case]
        assert (one.mean.before, one.mean.now) == pytest.approx((before.mean(), now.mean()), rel=1e-9)
        assert one.mean.change_pct == pytest.approx(100 * (now.mean() / before.mean() - 1))
        assert one.p95 is not None
        for told, values in ((one.p95.before, before), (one.p95.now, now)):
            assert told == pytest.approx(np.quantile(values, 0.95, method="inverted_cdf"), rel=0.01)
        assert one.days == 7


def test_the_tail_alone_is_a_regression(found: dict[str, Regression]) -> None:
    one = found["tail"]
    assert one.p95 is not None
    assert (one.mean.verdict, one.p95.verdict) == ("NORMAL", "CRITICAL")
    assert "p95 rose" in one.summary


def test_a_change_that_the_baseline_shows_on_its_own_days_is_none(found: dict[str, Regression]) -> None:
    one = found["swinging"]
    assert one.mean.change_pct is not None
    assert one.mean.change_pct > 20
    assert one.mean.noise > one.mean.now - one.mean.before


def test_counters_are_judged_by_their_growth_per_second(found: dict[str, Regression]) -> None:
    one = found["grows faster"]
    assert (one.unit, one.p95) == ("/s", None)
    for told, values, days in zip(
        (one.mean.before, one.mean.now), halves("grows faster", "requests_total"), (7, 1), strict=True
    ):
        steps = np.diff(values)
        assert (steps < 0).any()
        assert told == pytest.approx(np.where(steps >= 0, steps, values[1:]).sum() / (days * 86_400))


def test_without_a_baseline_nothing_is_judged(store: Filled) -> None:
    told = store.reads.regressions()
    # "gone" sent nothing in the last day and is not asked for; "young" has two days.
    assert (told.judged, told.unjudged) == (10, 1)
    assert (told.warning, told.critical) == (1, 5)
    assert (told.split_ms - told.since_ms, told.until_ms - told.split_ms) == (7 * DAY_US // 1000, DAY_US // 1000)
    assert told.until_ms * 1000 == NOW_US // HOUR_US * HOUR_US


def test_one_metric_and_label_can_be_asked_for(store: Filled, found: dict[str, Regression]) -> None:
    told = store.reads.regressions("response_time_ms", {"case": "tail"})
    assert told.series == (found["tail"],)
    assert len(store.reads.regressions("response_time_ms", limit=3).series) == 3
    with pytest.raises(UnknownMetric):
        store.reads.regressions("no_such_metric")


@pytest.mark.parametrize(
    ("before", "now", "noise", "expected"),
    [
        (100.0, 110.0, 1.0, "NORMAL"),
        (100.0, 111.0, 1.0, "WARNING"),
        (100.0, 89.0, 1.0, "WARNING"),
        (100.0, 120.0, 1.0, "WARNING"),
        (100.0, 121.0, 1.0, "CRITICAL"),
        (100.0, 121.0, 30.0, "NORMAL"),
        (-100.0, -79.0, 1.0, "CRITICAL"),
        (0.0, 0.1, 0.01, "CRITICAL"),
        (0.0, 0.0, 0.0, "NORMAL"),
    ],
)
def test_shares_and_noise_make_the_verdict(before: float, now: float, noise: float, expected: str) -> None:
    (level,) = levels(*(np.array([figure]) for figure in (before, now, noise)))
    assert VERDICTS[level] == expected


def test_the_window_is_whole_hours() -> None:
    assert len(BOUNDS) == 9
    assert Window(BOUNDS[-2], BOUNDS[-1]).length_us == DAY_US
    assert all(bound % HOUR_US == 0 for bound in BOUNDS)
