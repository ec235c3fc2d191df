"""Local days, groups, top-N, regressions, comparisons and latest values against polars over the raw samples."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from filling import Filled, course, filled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from muninn.errors import Invalid
from muninn.meter import Meter
from muninn.model import SampleBatch, SeriesKey, Window
from muninn.model.window import as_us
from muninn.reads import Trend, UnknownMetric, spans
from muninn.reads.asking import Asker
from muninn.reads.steps import Kept

# The clocks changed at Lord Howe (by half an hour) on 4 October, in Europe on the 25th, in New York on 1 November.
NOW_US = as_us(datetime(2026, 11, 5, 10, 17, 31, tzinfo=UTC))
SINCE_US = as_us(datetime(2026, 9, 30, tzinfo=UTC))
WATERMARK_US = NOW_US - 25 * MINUTE_US
ZONES = [
    *("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Asia/Kolkata"),
    *("America/St_Johns", "Pacific/Chatham", "Pacific/Apia", "America/Havana", "Africa/Cairo"),
]
METRIC, COUNTER = "response_time_ms", "requests_total"
REGIONS = {"a": "eu", "b": "eu", "c": "us"}
KEYS = {host: SeriesKey.of(METRIC, {"host": host, "region": region}) for host, region in REGIONS.items()}
COUNTERS = {host: SeriesKey.of(COUNTER, {"host": host, "region": region}) for host, region in REGIONS.items()}


def _samples() -> SampleBatch:
    random = np.random.default_rng(5)
    batches = []
    for number, host in enumerate(REGIONS):
        at_us = np.sort(random.choice((NOW_US - SINCE_US) // SECOND_US, 6000, replace=False)) * SECOND_US + SINCE_US
        value = np.round(random.lognormal(3 + number / 2, 1, len(at_us)), 1)
        batches.append(course(KEYS[host], at_us, value))
        grown = np.cumsum(random.integers(0, 50, len(at_us)))
        # Resets, now and then.
        batches.append(course(COUNTERS[host], at_us, (grown % 20_000).astype(float)))
    return SampleBatch.concat(batches)


@pytest.fixture(scope="module")
def samples() -> SampleBatch:
    return _samples()


@pytest.fixture(scope="module")
def frame(samples: SampleBatch) -> pl.DataFrame:
    keys = [(key.metric, dict(key.labels)) for key in samples.keys]
    found = pl.DataFrame(
        {
            "metric": [keys[index][0] for index in samples.key_index],
            "host": [keys[index][1]["host"] for index in samples.key_index],
            "region": [keys[index][1]["region"] for index in samples.key_index],
            "at_us": samples.at_us,
            "value": samples.value,
        }
    )
    return found.with_columns(at=pl.from_epoch("at_us", "us").dt.replace_time_zone("UTC"))


@pytest.fixture(scope="module")
def store(postgres_server: Any, migrated_template: str, samples: SampleBatch) -> Iterator[Filled]:
    url = postgres_server.create("reads_questions", migrated_template)
    with filled(url, NOW_US) as store:
        for since in range(SINCE_US, NOW_US, 5 * DAY_US):
            some = samples.take((samples.at_us >= since) & (samples.at_us < since + 5 * DAY_US))
            store.load(some)
            store.refresh(min(since + 5 * DAY_US, WATERMARK_US))
        yield store
    postgres_server.drop("reads_questions")


def figures() -> dict[str, pl.Expr]:
    rank = (pl.len() * 0.95).ceil().cast(pl.Int64).clip(1) - 1
    return {
        "count": pl.len(),
        "min": pl.col("value").min(),
        "max": pl.col("value").max(),
        "avg": pl.col("value").mean(),
        "sum": pl.col("value").sum(),
        "p95": pl.col("value").sort().get(rank),
    }


def told(found: Trend, label: str) -> Mapping[tuple[str, int], tuple[float, ...]]:
    return {
        (dict(one.key.labels)[label], int(at_ms)): (count, low, high, avg, p95)
        for one in found.series
        for at_ms, count, low, high, avg, p95 in zip(
            one.at_ms, one.count, one.min, one.max, one.avg, one.p95, strict=True
        )
    }


def assert_equal(found: Mapping[Any, tuple[float, ...]], expected: pl.DataFrame, key: list[str]) -> None:
    exact = {
        tuple(row[name] for name in key): (row["count"], row["min"], row["max"], row["avg"], row["p95"])
        for row in expected.to_dicts()
    }
    assert found.keys() == exact.keys()
    for place, (count, low, high, avg, p95) in found.items():
        assert (count, low, high) == exact[place][:3], place
        assert avg == pytest.approx(exact[place][3], rel=1e-9)
        assert p95 == pytest.approx(exact[place][4], rel=0.01)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tz=st.sampled_from(ZONES),
    period=st.sampled_from(["day", "week", "month"]),
    ago_us=st.integers(0, 34 * DAY_US),
    length_us=st.integers(1, 12 * DAY_US),
    by=st.sampled_from([None, "region"]),
)
def test_local_days_weeks_and_months_are_right_to_the_sample(
    store: Filled, frame: pl.DataFrame, tz: str, period: str, ago_us: int, length_us: int, by: str | None
) -> None:
    until_us = NOW_US - ago_us
    found = store.reads.calendar(METRIC, Window(until_us - length_us, until_us), period, tz, by=by)
    label = by or "host"
    day = pl.col("at").dt.convert_time_zone(tz).dt.date()
    local = day.dt.truncate({"day": "1d", "week": "1w", "month": "1mo"}[period])
    expected = (
        frame.filter(
            (pl.col("metric") == METRIC)
            & pl.col("at_us").is_between(found.window.since_us, found.window.until_us, closed="left")
        )
        .group_by(pl.col(label), day=local)
        .agg(**figures())
    )
    assert found.window.since_us <= until_us - length_us
    assert found.window.until_us >= until_us
    dated = {
        (value, datetime.fromtimestamp(at_ms / 1000, ZoneInfo(tz)).date()): row
        for (value, at_ms), row in told(found, label).items()
    }
    assert_equal(dated, expected, [label, "day"])


def test_a_day_is_as_long_as_the_clock_made_it(store: Filled) -> None:
    days = {
        ("America/New_York", 2026, 11, 1): 25,
        ("Europe/Berlin", 2026, 10, 25): 25,
        ("Australia/Lord_Howe", 2026, 10, 4): 23.5,
        ("Asia/Kathmandu", 2026, 10, 25): 24,
    }
    for (tz, *day), hours in days.items():
        noon = datetime(*day, 6, tzinfo=UTC)  # type: ignore[arg-type]
        around = Window(as_us(noon), as_us(noon) + MINUTE_US)
        if tz == "Australia/Lord_Howe":
            around = Window(around.since_us - 5 * HOUR_US, around.until_us - 5 * HOUR_US)
        window = store.reads.calendar(METRIC, around, "day", tz).window
        assert window.length_us == hours * HOUR_US


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first_s=st.integers(0, 30 * 86_400),
    lengths_s=st.lists(st.integers(1, 2 * 86_400), min_size=1, max_size=3),
    unit_s=st.sampled_from([1, 60, 300, 3600]),
)
def test_spans_between_any_two_seconds_are_exact(
    store: Filled, frame: pl.DataFrame, first_s: int, lengths_s: list[int], unit_s: int
) -> None:
    bounds = [SINCE_US + first_s // unit_s * unit_s * SECOND_US]
    for length_s in lengths_s:
        bounds.append(bounds[-1] + max(1, length_s // unit_s) * unit_s * SECOND_US)
    asker = Asker(store.database, Meter(), store.clock)
    rows = asker.fetch("reads_all_series", since=Window(SINCE_US, SINCE_US).since, max_series=100)
    groups = {row.series_id: "abc".index(row.tags["host"]) for row in rows if row.metric_name == METRIC}
    planned = spans.plan(bounds, NOW_US, Kept())
    merged = spans.merged(spans.points_of(asker, list(groups), planned, bounds, "all"), groups, bounds)
    found = {
        ("abc"[group], int(span)): (int(count), low, high, mean, p95)
        for group, span, count, low, high, mean, p95 in zip(
            *(merged.group, merged.step, merged.count, merged.low, merged.high, merged.mean, merged.p95), strict=True
        )
    }
    inside = frame.filter(
        (pl.col("metric") == METRIC) & pl.col("at_us").is_between(bounds[0], bounds[-1], closed="left")
    )
    span = pl.col("at_us").map_batches(
        lambda at_us: pl.Series(np.searchsorted(bounds, at_us.to_numpy(), side="right") - 1), return_dtype=pl.Int64
    )
    assert_equal(found, inside.group_by("host", span=span).agg(**figures()), ["host", "span"])


@pytest.mark.parametrize(("hours", "step_us"), [(1, 5 * MINUTE_US), (5, MINUTE_US), (40, HOUR_US), (24 * 20, DAY_US)])
def test_groups_pool_all_their_samples(store: Filled, frame: pl.DataFrame, hours: int, step_us: int) -> None:
    found = store.reads.trend(METRIC, Window(NOW_US - hours * HOUR_US, NOW_US), step_us, by="region")
    expected = (
        frame.filter(
            (pl.col("metric") == METRIC)
            & pl.col("at_us").is_between(found.window.since_us, found.window.until_us, closed="left")
        )
        .group_by("region", at_ms=pl.col("at_us") // found.step_us * found.step_us // 1000)
        .agg(**figures())
    )
    assert [one.key for one in found.series] == [SeriesKey.of(METRIC, {"region": name}) for name in ("eu", "us")]
    assert_equal(told(found, "region"), expected, ["region", "at_ms"])


def test_several_metrics_are_asked_at_once(store: Filled) -> None:
    window = Window(NOW_US - 20 * HOUR_US, NOW_US)
    found = store.reads.trends([METRIC, COUNTER, "nobody_sends_this"], window, labels={"region": "eu"})
    assert [len(one.series) for one in found] == [2, 2, 0]
    for one in found[:2]:
        alone = store.reads.trend(one.metric, window, labels={"region": "eu"})
        assert (one.step_us, one.resolution, one.window) == (alone.step_us, alone.resolution, alone.window)
        for series, other in zip(one.series, alone.series, strict=True):
            assert series.key == other.key
            np.testing.assert_array_equal(series.at_ms, other.at_ms)
            np.testing.assert_array_equal(series.p95, other.p95)
    assert [one.truncated for one in store.reads.trends([METRIC], window, max_series=1)] == [3]


def test_without_percentiles_no_sketch_is_read(store: Filled) -> None:
    window = Window(NOW_US - 30 * HOUR_US, NOW_US)
    slim, whole = (store.reads.trend(METRIC, window, by="region", p95=wanted) for wanted in (False, True))
    for one, other in zip(slim.series, whole.series, strict=True):
        np.testing.assert_allclose(one.avg, other.avg, rtol=1e-12)
        np.testing.assert_array_equal(one.count, other.count)
        assert np.isnan(one.p95).all()


@pytest.mark.parametrize("figure", ["avg", "min", "max", "p95", "sum", "count"])
@pytest.mark.parametrize("by", [None, "region"])
def test_top_ranks_by_any_figure_over_exact_windows(
    store: Filled, frame: pl.DataFrame, figure: str, by: str | None
) -> None:
    window = Window(NOW_US - 3 * DAY_US - 17 * MINUTE_US, NOW_US)
    found = store.reads.top(METRIC, window, figure, 2, by=by)
    label = by or "host"
    expected = (
        frame.filter((pl.col("metric") == METRIC) & (pl.col("at_us") >= window.since_us // MINUTE_US * MINUTE_US))
        .group_by(label)
        .agg(**figures())
        .sort(figure, descending=True)
    )
    assert found.of == expected.height
    assert [dict(one.key.labels)[label] for one in found.ranked] == expected[label].to_list()[:2]
    for one, row in zip(found.ranked, expected.to_dicts(), strict=False):
        assert one.value == pytest.approx(row[figure], rel=0.01 if figure == "p95" else 1e-9)
        assert (one.count, one.min, one.max) == (row["count"], row["min"], row["max"])
    least = store.reads.top(METRIC, window, figure, 5, by=by, least=True)
    assert [one.value for one in least.ranked] == sorted(one.value for one in least.ranked)


def test_counters_are_ranked_by_their_growth_resets_included(store: Filled, frame: pl.DataFrame) -> None:
    window = Window((NOW_US - 2 * DAY_US) // MINUTE_US * MINUTE_US, NOW_US // MINUTE_US * MINUTE_US)
    found = {dict(one.key.labels)["host"]: one.value for one in store.reads.top(COUNTER, window, "rate").ranked}
    assert len(found) == 3
    for host, rate in found.items():
        values = frame.filter(
            (pl.col("metric") == COUNTER)
            & (pl.col("host") == host)
            & pl.col("at_us").is_between(window.since_us, window.until_us, closed="left")
        ).sort("at_us")["value"]
        steps = values.diff()[1:]
        assert (steps < 0).any()
        grown = float(np.where(steps >= 0, steps, values[1:]).sum())
        assert rate == pytest.approx(grown / (window.length_us / SECOND_US), rel=1e-9)


def test_a_comparison_puts_last_week_on_the_axis_of_now(store: Filled, frame: pl.DataFrame) -> None:
    window = Window(NOW_US - DAY_US, NOW_US)
    found = store.reads.compare(METRIC, window, 7 * DAY_US)
    assert found.now.step_us == found.before.step_us
    assert (found.now.window, found.offset_us) == (found.before.window, 7 * DAY_US)
    earlier = store.reads.trend(METRIC, Window(window.since_us - 7 * DAY_US, window.until_us - 7 * DAY_US))
    for one, other in zip(found.before.series, earlier.series, strict=True):
        np.testing.assert_array_equal(one.at_ms, other.at_ms + 7 * DAY_US // 1000)
        np.testing.assert_array_equal(one.avg, other.avg)
    for change in found.changes:
        host = dict(change.key.labels)["host"]
        for mean, shift_us in ((change.now, 0), (change.before, 7 * DAY_US)):
            exact = frame.filter(
                (pl.col("metric") == METRIC)
                & (pl.col("host") == host)
                & pl.col("at_us").is_between(
                    found.now.window.since_us - shift_us, found.now.window.until_us - shift_us, closed="left"
                )
            )["value"].mean()
            assert mean == pytest.approx(exact, rel=1e-9)
        assert change.change_pct == pytest.approx(100 * (change.now / change.before - 1))


@pytest.mark.parametrize(
    ("length_us", "offset_us", "step_us", "asked"),
    [
        (DAY_US, DAY_US, 5 * MINUTE_US, {"by": "host"}),  # the windows touch
        (6 * HOUR_US, HOUR_US, None, {"by": "host"}),  # they overlap
        (DAY_US, 2 * DAY_US, HOUR_US, {}),
        (DAY_US, 2 * DAY_US, HOUR_US, {"p95": False}),
        (DAY_US, 7 * DAY_US, HOUR_US, {"max_series": 2}),  # of more than are shown
        (10 * MINUTE_US, HOUR_US, None, {}),  # samples
    ],
)
def test_both_sides_of_a_comparison_are_the_trends_of_their_windows(
    store: Filled, length_us: int, offset_us: int, step_us: int | None, asked: dict[str, Any]
) -> None:
    windows = [Window(NOW_US - back_us - length_us, NOW_US - back_us) for back_us in (0, offset_us)]
    found = store.reads.compare(METRIC, windows[0], offset_us, step_us, **asked)
    for side, window, moved_us in ((found.now, windows[0], 0), (found.before, windows[1], offset_us)):
        alone = store.reads.trend(METRIC, window, step_us or found.now.step_us, **asked)
        assert (side.step_us, side.resolution, side.truncated) == (alone.step_us, alone.resolution, alone.truncated)
        assert [one.key for one in side.series] == [one.key for one in alone.series]
        assert side.series
        for one, other in zip(side.series, alone.series, strict=True):
            np.testing.assert_array_equal(one.at_ms, other.at_ms + moved_us // 1000)
            for figure in ("avg", "min", "max", "p95", "count"):
                np.testing.assert_array_equal(getattr(one, figure), getattr(other, figure))


def test_an_offset_that_is_no_multiple_of_the_step_is_refused(store: Filled) -> None:
    for offset_us in (0, 90 * SECOND_US, 100 * MINUTE_US):
        with pytest.raises(Invalid, match="offset"):
            store.reads.compare(METRIC, Window(NOW_US - 10 * DAY_US, NOW_US), offset_us)


def test_the_latest_values_and_who_fell_silent(store: Filled, frame: pl.DataFrame) -> None:
    newest = frame.filter(pl.col("metric") == METRIC).sort("at_us").group_by("host").last()
    ages = {row["host"]: NOW_US - row["at_us"] for row in newest.to_dicts()}
    between = sorted(ages.values())[1] + SECOND_US
    found = store.reads.latest(METRIC, window=Window(NOW_US - DAY_US, NOW_US), silent_us=between)
    values = {row["host"]: row["value"] for row in newest.to_dicts()}
    assert {dict(one.key.labels)["host"]: one.value for one in found.series} == values
    silent = {host for host, age in ages.items() if age > between}
    assert {dict(one.key.labels)["host"] for one in found.series if one.state == "silent"} == silent
    assert (found.silent, found.series[0].state) == (len(silent), "silent")
    assert store.reads.latest(METRIC, {"region": "us"}).truncated is None
    assert store.reads.latest(METRIC, limit=1).truncated == 3
    with pytest.raises(UnknownMetric):
        store.reads.latest("no_such_metric")


@pytest.mark.parametrize(
    ("question", "parameter"),
    [
        (lambda reads, window: reads.calendar(METRIC, window, "fortnight", "UTC"), "period"),
        (lambda reads, window: reads.calendar(METRIC, window, "day", "Mars/Olympus"), "tz"),
        (lambda reads, window: reads.calendar(METRIC, window, "day", "../etc"), "tz"),
        (lambda reads, window: reads.top(METRIC, window, "median"), "figure"),
        (lambda reads, window: reads.top(METRIC, window, limit=0), "limit"),
        (lambda reads, window: reads.regressions(METRIC, limit=100_000), "limit"),
        (lambda reads, window: reads.latest(METRIC, limit=0), "limit"),
        (lambda reads, window: reads.calendar(METRIC, Window(0, NOW_US), "day", "UTC"), "since"),
    ],
)
def test_a_bad_question_names_its_parameter(store: Filled, question: Any, parameter: str) -> None:
    with pytest.raises(Invalid) as told:
        question(store.reads, Window(NOW_US - DAY_US, NOW_US))
    assert told.value.parameter == parameter


def test_a_zone_far_off_is_no_gap(store: Filled) -> None:
    """Days in a row: each begins where the one before ends."""
    window = Window(NOW_US - 30 * DAY_US, NOW_US)
    for tz in ZONES:
        found = store.reads.calendar(METRIC, window, "day", tz)
        starts = [datetime.fromtimestamp(at_ms / 1000, UTC) for at_ms in found.series[0].at_ms]
        steps = {(after - before) / timedelta(hours=1) for before, after in pairwise(starts)}
        assert steps <= {23, 23.5, 24, 24.5, 25}
