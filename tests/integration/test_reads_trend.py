"""Trends against an independent oracle: polars over the raw rows."""

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from filling import Filled, course, filled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from muninn.errors import Invalid
from muninn.model import SampleBatch, SeriesKey, Window
from muninn.reads import UnknownMetric
from muninn.reads.values import Trend

# 23:40 UTC: buckets of every width, the day's too, lie across the watermark.
NOW_US = 1_800_000_000 * SECOND_US // DAY_US * DAY_US + 23 * HOUR_US + 40 * MINUTE_US + 17 * SECOND_US
SINCE_US = NOW_US - 40 * HOUR_US
WATERMARK_US = NOW_US - 25 * MINUTE_US
METRIC = "response_time_ms"
KEYS = tuple(SeriesKey.of(METRIC, {"host": host, "path": "/"}, "agent", host) for host in "abcd")


def _samples() -> SampleBatch:
    """40 hours of four series: gaps, a burst, negative and zero values, 12 decades, a constant."""
    random = np.random.default_rng(7)
    batches = []
    for number, key in enumerate(KEYS):
        at_us = np.sort(random.choice((NOW_US - SINCE_US) // 1000, 6000, replace=False)) * 1000 + SINCE_US
        burst = NOW_US - 2 * HOUR_US + np.arange(600, dtype=np.int64) * SECOND_US
        tail = NOW_US - 12 * MINUTE_US + np.arange(700, dtype=np.int64) * SECOND_US
        at_us = np.unique(np.concatenate([at_us, burst, tail]))
        # A night without samples, and one series that ends before the watermark.
        at_us = at_us[(at_us < SINCE_US + 5 * HOUR_US) | (at_us > SINCE_US + 13 * HOUR_US)]
        at_us = at_us[at_us < WATERMARK_US] if number == 3 else at_us
        value = {
            0: random.lognormal(3, 1, len(at_us)),
            1: random.normal(0, 50, len(at_us)) * (random.random(len(at_us)) > 0.1),
            2: 10.0 ** random.uniform(-6, 6, len(at_us)) * random.choice([-1.0, 1.0], len(at_us)),
            3: np.full(len(at_us), 41.7),
        }[number]
        batches.append(course(key, at_us, value))
    return SampleBatch.concat(batches)


@pytest.fixture(scope="module")
def samples() -> SampleBatch:
    return _samples()


@pytest.fixture(scope="module")
def frame(samples: SampleBatch) -> pl.DataFrame:
    host = [dict(key.labels)["host"] for key in samples.keys]
    return pl.DataFrame(
        {"host": [host[index] for index in samples.key_index], "at": samples.at_us, "value": samples.value}
    )


@pytest.fixture(scope="module")
def store(module_postgres_url: str, samples: SampleBatch) -> Iterator[Filled]:
    with filled(module_postgres_url, NOW_US) as store:
        store.load(samples.take(samples.at_us < WATERMARK_US))
        store.refresh(WATERMARK_US)
        store.load(samples.take(samples.at_us >= WATERMARK_US))
        yield store


@pytest.fixture(scope="module")
def module_postgres_url(postgres_server, migrated_template) -> Iterator[str]:  # type: ignore[no-untyped-def]
    name = "reads_trend"
    yield postgres_server.create(name, migrated_template)
    postgres_server.drop(name)


def oracle(frame: pl.DataFrame, found: Trend) -> pl.DataFrame:
    """What the trend should say, from the samples alone."""
    rank = (pl.len() * 0.95).ceil().cast(pl.Int64).clip(1) - 1
    return (
        frame.filter(pl.col("at").is_between(found.window.since_us, found.window.until_us, closed="left"))
        .group_by("host", (pl.col("at") // found.step_us * found.step_us // 1000).alias("at_ms"))
        .agg(
            pl.len().cast(pl.Int64).alias("count"),
            pl.col("value").mean().alias("avg"),
            pl.col("value").min().alias("min"),
            pl.col("value").max().alias("max"),
            pl.col("value").sort().get(rank).alias("p95"),
        )
        .sort("host", "at_ms")
    )


def as_frame(found: Trend) -> pl.DataFrame:
    columns = ("at_ms", "count", "avg", "min", "max", "p95")
    return pl.concat(
        [
            pl.DataFrame({name: getattr(series, name) for name in columns}).select(
                pl.lit(dict(series.key.labels)["host"]).alias("host"), *columns
            )
            for series in found.series
        ]
    )


def assert_true(found: Trend, frame: pl.DataFrame) -> None:
    expected = oracle(frame, found)
    if not expected.height:
        assert found.series == ()
        return
    told = as_frame(found).sort("host", "at_ms")
    exact = ["host", "at_ms", "count", "min", "max"]
    assert told.select(exact).equals(expected.select(exact))
    largest = np.maximum(expected["max"].abs().to_numpy(), expected["min"].abs().to_numpy())
    np.testing.assert_array_less(np.abs(told["avg"].to_numpy() - expected["avg"].to_numpy()), 1e-9 * largest + 1e-300)
    p95, exact_p95 = told["p95"].to_numpy(), expected["p95"].to_numpy()
    assert (np.abs(p95 - exact_p95) <= 0.01 * np.abs(exact_p95)).all()


SPANS = [3 * MINUTE_US, 14 * MINUTE_US, 50 * MINUTE_US, 5 * HOUR_US, 20 * HOUR_US, 45 * HOUR_US]
STEPS = [
    *(SECOND_US, 7 * SECOND_US, 10 * SECOND_US, MINUTE_US, 3 * MINUTE_US, 5 * MINUTE_US),
    *(35 * MINUTE_US, HOUR_US, 5 * HOUR_US, DAY_US, 2 * DAY_US),
]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    length_us=st.sampled_from(SPANS),
    ago_us=st.integers(-MINUTE_US, 41 * HOUR_US),
    step_us=st.none() | st.sampled_from(STEPS),
    max_points=st.sampled_from([50, 1000]),
)
def test_a_trend_over_any_window_and_step_is_true(
    store: Filled, frame: pl.DataFrame, length_us: int, ago_us: int, step_us: int | None, max_points: int
) -> None:
    window = Window(NOW_US - ago_us - length_us, NOW_US - ago_us)
    assert_true(store.reads.trend(METRIC, window, step_us, max_points=max_points), frame)


@pytest.mark.parametrize("step_us", [SECOND_US, MINUTE_US, 5 * MINUTE_US, HOUR_US, DAY_US])
def test_each_resolution_is_true_across_the_watermark(store: Filled, frame: pl.DataFrame, step_us: int) -> None:
    window = Window(NOW_US - max(14 * MINUTE_US, 2 * step_us), NOW_US)
    found = store.reads.trend(METRIC, window, step_us)
    assert found.resolution == {SECOND_US: "raw", MINUTE_US: "1min", 5 * MINUTE_US: "5min", HOUR_US: "1hour"}.get(
        step_us, "1day"
    )
    assert_true(found, frame)


def test_gaps_stay_gaps(store: Filled) -> None:
    night = Window(SINCE_US + 4 * HOUR_US, SINCE_US + 14 * HOUR_US)
    found = store.reads.trend(METRIC, night, HOUR_US, {"host": "a"})
    at_ms = found.series[0].at_ms
    silent = (at_ms >= (SINCE_US + 6 * HOUR_US) // 1000) & (at_ms < (SINCE_US + 12 * HOUR_US) // 1000)
    assert len(at_ms) > 2
    assert not silent.any()


def test_labels_and_reserved_names_filter_exactly(store: Filled) -> None:
    def hosts(**labels: str) -> list[str]:
        found = store.reads.trend(METRIC, Window(NOW_US - 30 * HOUR_US, NOW_US), HOUR_US, labels)
        return [dict(series.key.labels)["host"] for series in found.series]

    assert hosts() == ["a", "b", "c", "d"]
    assert hosts(host="b") == ["b"]
    assert hosts(path="/") == ["a", "b", "c", "d"]
    assert hosts(path="/", instance_id="c") == ["c"]
    assert hosts(source_agent_id="agent", host="a") == ["a"]
    assert hosts(source_agent_id="other") == []
    assert hosts(host="b", path="/none") == []
    assert hosts(pa="/") == []


def test_keys_kind_unit_and_window_come_with_it(store: Filled) -> None:
    found = store.reads.trend(METRIC, Window(NOW_US - HOUR_US, NOW_US))
    assert [series.key for series in found.series] == list(KEYS)
    assert (found.metric, found.kind, found.unit) == (METRIC, "gauge", "ms")
    assert found.window == Window(NOW_US - HOUR_US, NOW_US).aligned(MINUTE_US)
    assert found.truncated is None


def test_too_many_series_are_cut_and_counted(store: Filled) -> None:
    found = store.reads.trend(METRIC, Window(NOW_US - 30 * HOUR_US, NOW_US), max_series=2)
    assert [dict(series.key.labels)["host"] for series in found.series] == ["a", "b"]
    assert found.truncated == 4


def test_series_that_fell_silent_before_the_window_take_no_place(store: Filled) -> None:
    found = store.reads.trend(METRIC, Window(NOW_US - 10 * MINUTE_US, NOW_US), max_series=3)
    assert len(found.series) == 3
    assert found.truncated is None


def test_an_unknown_metric_is_named_with_its_like(store: Filled) -> None:
    with pytest.raises(UnknownMetric, match="did you mean response_time_ms") as caught:
        store.reads.trend("respons_time_ms", Window(NOW_US - HOUR_US, NOW_US))
    assert caught.value.parameter == "metric"
    with pytest.raises(UnknownMetric, match="lists the names"):
        store.reads.trend("zzz", Window(NOW_US - HOUR_US, NOW_US))


def test_bad_limits_are_refused(store: Filled) -> None:
    window = Window(NOW_US - HOUR_US, NOW_US)
    for options in ({"max_series": 0}, {"max_series": 1001}, {"max_points": 0}):
        with pytest.raises(Invalid) as caught:
            store.reads.trend(METRIC, window, **options)
        assert caught.value.parameter in options
    with pytest.raises(Invalid, match="an hour at the most"):
        store.reads.recent(METRIC, None, Window(NOW_US - 2 * HOUR_US, NOW_US))


def test_recent_is_the_samples_themselves(store: Filled, frame: pl.DataFrame) -> None:
    window = Window(NOW_US - 13 * MINUTE_US, NOW_US)
    found = store.reads.recent(METRIC, {"path": "/"}, window)
    assert [dict(series.key.labels)["host"] for series in found.series] == ["a", "b", "c"]
    assert (found.kind, found.unit, found.truncated) == ("gauge", "ms", None)
    for series in found.series:
        expected = frame.filter(
            (pl.col("host") == dict(series.key.labels)["host"])
            & pl.col("at").is_between(window.since_us, window.until_us, closed="left")
        ).sort("at")
        assert len(series.at_ms) > 600
        assert series.at_ms.tolist() == (expected["at"] // 1000).to_list()
        assert series.value.tolist() == expected["value"].to_list()


def test_late_rows_show_at_once_in_raw_and_after_the_refresh_in_rollups(postgres_url: str) -> None:
    with filled(postgres_url, NOW_US) as store:
        at_us = np.arange(NOW_US - 3 * HOUR_US, NOW_US, 10 * SECOND_US)
        store.load(course(KEYS[0], at_us, np.ones(len(at_us))))
        store.refresh(NOW_US)
        late_us = (NOW_US - HOUR_US) // MINUTE_US * MINUTE_US + 5 * SECOND_US + 123
        store.load(course(KEYS[0], np.array([late_us]), np.array([99.0])))
        minute = Window(late_us, late_us + 1).aligned(MINUTE_US)
        assert store.reads.trend(METRIC, minute, SECOND_US).series[0].max.max() == 99
        store.refresh(NOW_US)
        for step_us in (MINUTE_US, 5 * MINUTE_US, HOUR_US, DAY_US):
            (series,) = store.reads.trend(METRIC, minute, step_us).series
            assert series.max.tolist() == [99.0]
