"""Growth and rate of counters over any window, against polars on the samples."""

import itertools
from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from filling import Filled, course, filled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from muninn.errors import Invalid
from muninn.model import RESOLUTIONS, SampleBatch, SeriesKey, Window
from muninn.reads import RisingSeries
from muninn.reads.steps import pieces

NOW_US = 1_800_000_000 * SECOND_US // DAY_US * DAY_US + 15 * HOUR_US + 40 * MINUTE_US + 17 * SECOND_US
SINCE_US = NOW_US - 50 * HOUR_US
METRIC = "requests_total"
KEYS = tuple(SeriesKey.of(METRIC, {"host": host}) for host in "ab")


def _samples() -> SampleBatch:
    """Two counters with resets, to zero and not, and a gap of hours."""
    random = np.random.default_rng(5)
    batches = []
    for key in KEYS:
        at_us = np.unique(random.integers(SINCE_US, NOW_US, 5000))
        at_us = at_us[(at_us < SINCE_US + 9 * HOUR_US) | (at_us > SINCE_US + 14 * HOUR_US)]
        value = np.cumsum(random.integers(0, 50, len(at_us)))
        for reset in np.sort(random.integers(1, len(at_us), 40)):
            value[reset:] -= value[reset] - random.integers(0, 2) * random.integers(0, 9)
        batches.append(course(key, at_us, np.abs(value)))
    return SampleBatch.concat(batches)


@pytest.fixture(scope="module")
def samples() -> SampleBatch:
    return _samples()


@pytest.fixture(scope="module")
def store(postgres_server, migrated_template, samples: SampleBatch) -> Iterator[Filled]:  # type: ignore[no-untyped-def]
    with filled(postgres_server.create("reads_rising", migrated_template), NOW_US) as store:
        store.load(samples)
        store.refresh(NOW_US - 7 * MINUTE_US)
        yield store
    postgres_server.drop("reads_rising")


def oracle(samples: SampleBatch, host: str, window: Window, step_us: int) -> pl.DataFrame:
    """By step: growth, and seconds from the sample before to the last one of the step."""
    mine = samples.key_index == [dict(key.labels)["host"] for key in samples.keys].index(host)
    frame = pl.DataFrame({"at": samples.at_us[mine], "value": samples.value[mine]}).sort("at")
    frame = frame.filter(pl.col("at").is_between(window.since_us, window.until_us, closed="left"))
    value, before = pl.col("value"), pl.col("value").shift(1)
    grown = pl.when(value < before).then(value).otherwise(value - before).fill_null(0)
    elapsed = (pl.col("at") - pl.col("at").shift(1)).fill_null(0)
    frame = frame.with_columns(grown=grown, elapsed=elapsed / SECOND_US, step=pl.col("at") // step_us * step_us)
    return frame.group_by("step").agg(pl.col("grown").sum(), pl.col("elapsed").sum()).sort("step")


def check(found: RisingSeries, expected: pl.DataFrame) -> None:
    told = expected.filter(pl.col("elapsed") > 0)
    assert found.at_ms.tolist() == (told["step"] // 1000).to_list()
    assert found.increase.tolist() == told["grown"].to_list()
    np.testing.assert_allclose(found.rate, (told["grown"] / told["elapsed"]).to_numpy(), rtol=1e-9)
    assert found.total == expected["grown"].sum()
    if expected["elapsed"].sum():
        assert found.total_rate == pytest.approx(expected["grown"].sum() / expected["elapsed"].sum())


def test_any_window_and_step_is_exact_on_the_samples(store: Filled, samples: SampleBatch) -> None:
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        st.integers(0, 50 * HOUR_US - 2),
        st.integers(2, 50 * HOUR_US),
        st.sampled_from([None, 10 * SECOND_US, MINUTE_US, 5 * MINUTE_US, HOUR_US, DAY_US]),
    )
    def property(start_us: int, length_us: int, step_us: int | None) -> None:
        window = Window(SINCE_US + start_us, min(NOW_US, SINCE_US + start_us + length_us))
        found = store.reads.rising(METRIC, window, step_us)
        assert found.window == window
        by_host = {dict(each.key.labels)["host"]: each for each in found.series}
        for host in "ab":
            expected = oracle(samples, host, window, found.step_us)
            assert (host in by_host) == bool(len(expected))
            if host in by_host:
                check(by_host[host], expected)

    property()


@given(
    st.integers(0, 5 * DAY_US), st.integers(1, 3 * DAY_US), st.sampled_from(["raw", "1min", "5min", "1hour", "1day"])
)
def test_a_window_is_cut_into_whole_buckets_without_gap_or_overlap(
    since_us: int, length_us: int, coarsest: str
) -> None:
    cut = pieces(Window(since_us, since_us + length_us), coarsest)
    assert cut[0][1].since_us == since_us
    assert cut[-1][1].until_us == since_us + length_us
    assert all(one.until_us == other.since_us for (_, one), (_, other) in itertools.pairwise(cut))
    widths = {each.name: each.width_us for each in RESOLUTIONS}
    for name, window in cut:
        assert window == window.aligned(widths.get(name, 1))
    assert sum(window.length_us for name, window in cut if name == "raw") < 2 * MINUTE_US or coarsest == "raw"


def test_a_single_sample_has_grown_by_nothing_and_has_no_rate(store: Filled, samples: SampleBatch) -> None:
    at_us = int(samples.at_us[samples.key_index == 0][100])
    found = store.reads.rising(METRIC, Window(at_us, at_us + 1), labels=dict(samples.keys[0].labels))
    assert [(each.total, each.total_rate, len(each.at_ms)) for each in found.series] == [(0.0, None, 0)]


def test_the_address_says_what_it_takes(store: Filled) -> None:
    from starlette.datastructures import QueryParams

    from muninn.reads.http_questions import answer

    query = {"metric": METRIC, "since": "-6h", "until": "now"}
    found = answer(store.reads, "/api/v1/trend", QueryParams({**query, "show": "increase"}))
    assert found["kind"] == "counter"
    assert [set(each["points"]) for each in found["series"]] == [{"at_ms", "increase"}] * 2
    for one in found["series"]:
        assert one["increase"] == pytest.approx(sum(one["points"]["increase"].tolist()))
    for wrong, parameter in (({"show": "delta"}, "show"), ({"show": "rate", "by": "host"}, "by")):
        with pytest.raises(Invalid, match=parameter):
            answer(store.reads, "/api/v1/trend", QueryParams({**query, **wrong}))
