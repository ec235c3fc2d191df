"""Overview, pipeline, catalogue and the cache behind them, on a real store, with and without Redis."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from filling import Filled, course, filled

from muninn.cache import MemoryBoard, MemoryCache, RedisBoard, RedisCache, connect
from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US, ManualClock, SystemClock
from muninn.errors import Unavailable
from muninn.model import SampleBatch, SeriesKey, Window
from muninn.reads import MetricInfo, Reads, UnknownMetric, materialise
from muninn.reads import connect as connect_reads
from muninn.settings import Settings, load
from muninn.store.database import Database

NOW_US = 1_800_000_000 * SECOND_US // DAY_US * DAY_US + 12 * HOUR_US + 17 * SECOND_US


@pytest.fixture
def store(postgres_url: str) -> Iterator[Filled]:
    with filled(postgres_url, NOW_US) as store:
        yield store


def every(seconds: int, back_us: int = HOUR_US) -> np.ndarray:
    """Instants up to now, exclusive."""
    return np.arange(NOW_US - back_us, NOW_US, seconds * SECOND_US, dtype=np.int64)


def host(metric: str, name: str, **labels: str) -> SeriesKey:
    return SeriesKey.of(metric, {"host": name, **labels}, "host-collector", name)


def load_samples(store: Filled, *batches: SampleBatch) -> None:
    store.load(SampleBatch.concat(batches))
    store.refresh(NOW_US - 2 * MINUTE_US)


def steady(key: SeriesKey, value: float, at_us: np.ndarray | None = None) -> SampleBatch:
    at_us = every(10) if at_us is None else at_us
    return course(key, at_us, np.full(len(at_us), float(value)))


def test_an_empty_store_has_an_overview(store: Filled) -> None:
    overview = store.reads.overview()
    assert (overview.at_ms, overview.age_s) == (NOW_US // 1000, 0)
    assert (overview.totals.series, overview.totals.samples_per_min) == (0, 0)
    assert (overview.hosts, overview.changes) == ((), ())
    assert store.reads.catalogue() == []
    pipeline = store.reads.pipeline()
    assert pipeline.newest_sample_ms is None
    assert pipeline.resolutions is not None
    assert {rollup.watermark_ms for rollup in pipeline.resolutions} == {None}
    assert pipeline.store_away is None


def test_totals_count_series_and_the_last_whole_minute(store: Filled) -> None:
    load_samples(store, steady(host("load_1m", "a"), 1), steady(host("load_1m", "b"), 1, every(5)))
    totals = store.reads.overview().totals
    assert (totals.series, totals.samples_per_min) == (2, 6 + 12)
    partitions = store.reads.pipeline().partitions or ()
    assert totals.bytes_on_disk == sum(partition.bytes for partition in partitions) > 0


def test_hosts_are_listed_busiest_first_by_their_latest_figures(store: Filled) -> None:
    load_samples(
        store,
        course(host("cpu_busy_pct", "a", cpu="total"), every(60), np.linspace(90, 10, 60)),
        steady(host("cpu_busy_pct", "a", cpu="0"), 99),
        steady(host("memory_used_pct", "a"), 30),
        steady(host("load_1m", "a"), 2),
        steady(host("cpu_busy_pct", "b", cpu="total"), 55),
        steady(host("load_1m", "only-load"), 9),
        steady(host("cpu_busy_pct", "gone", cpu="total"), 100, every(10, HOUR_US)[:-60]),
        steady(SeriesKey.of("cpu_busy_pct", {"cpu": "total"}), 100),
    )
    hosts = store.reads.overview().hosts
    assert [(one.host, one.cpu_busy_pct, one.memory_used_pct, one.load_1m) for one in hosts] == [
        ("b", 55, None, None),
        ("a", 10, 30, 2),
        ("only-load", None, None, 9),
    ]
    assert hosts[0].at_ms == every(10)[-1] // 1000


def test_health_follows_data_and_heartbeats(store: Filled) -> None:
    load_samples(store, steady(host("load_1m", "a"), 1, every(1)))
    board = MemoryBoard(store.clock)
    reads = Reads(store.database, board=board, clock=store.clock)
    assert reads.overview().health.state == "down"
    for program in ("gateway", "loader", "refresher", "sidecar", "alerter", "detector"):
        board.publish(program, "a", [])
    assert reads.overview().health.summary == "All is well."
    later_us = NOW_US + 60 * SECOND_US
    assert "the newest sample is 61 s old" in reads.overview(later_us).health.summary


def noisy(key: SeriesKey, before: float, now: float, spread: float) -> SampleBatch:
    """An hour, of which the last ten minutes lie elsewhere; minute means wobble by `spread`."""
    at_us = every(10)
    minute = (at_us - at_us[0]) // MINUTE_US
    wobble = np.random.default_rng(3).normal(0, spread, 61)[minute]
    return course(key, at_us, np.where(at_us < NOW_US - 10 * MINUTE_US, before, now) + wobble)


def test_changes_are_what_left_its_own_spread(store: Filled) -> None:
    load_samples(
        store,
        noisy(host("cpu_busy_pct", "jumped"), 20, 60, 2),
        noisy(host("cpu_busy_pct", "restless"), 20, 60, 30),
        noisy(host("memory_used_pct", "fell"), 80, 40, 3),
        steady(host("memory_used_pct", "steady"), 50),
        # A hair, next to nothing: below the floor.
        noisy(host("swap_used_pct", "hair"), 0.1, 0.3, 0.0001),
        steady(host("load_1m", "new"), 5, every(10, 5 * MINUTE_US)),
        noisy(SeriesKey.of("muninn_buffer_lag_s"), 1, 100, 0.1),
    )
    changes = store.reads.overview().changes
    assert [(one.key.metric, dict(one.key.labels)["host"], one.direction) for one in changes] == [
        ("cpu_busy_pct", "jumped", "up"),
        ("memory_used_pct", "fell", "down"),
    ]
    jumped = changes[0]
    assert jumped.unit == "%"
    assert (jumped.before, jumped.now) == (pytest.approx(20, abs=1.5), pytest.approx(60, abs=1.5))
    assert jumped.spread == pytest.approx(2, rel=0.4)
    assert jumped.score == pytest.approx((jumped.now - jumped.before) / jumped.spread)
    assert jumped.change_pct == pytest.approx((jumped.now / jumped.before - 1) * 100)
    assert jumped.summary.startswith("cpu_busy_pct (host=jumped) rose from ")
    assert " % to " in jumped.summary


def test_a_steady_drift_and_a_crazy_value_are_no_changes(store: Filled) -> None:
    at_us = every(10)
    load_samples(
        store,
        course(host("filesystem_used_pct", "a"), at_us, np.linspace(20, 60, len(at_us))),
        course(host("odd", "a"), at_us, np.where(at_us > NOW_US - 5 * MINUTE_US, 1e280, 1.0)),
        noisy(host("cpu_busy_pct", "jumped"), 20, 60, 2),
    )
    assert [one.key.metric for one in store.reads.overview().changes] == ["cpu_busy_pct"]


def test_a_counter_changes_by_its_growth_and_a_reset_is_none(store: Filled) -> None:
    at_us = every(10)
    growth = np.full(len(at_us), 100.0)
    faster = np.where(at_us < NOW_US - 10 * MINUTE_US, 100.0, 500.0)
    restarted = np.cumsum(growth)
    restarted[200:] -= restarted[200]
    load_samples(
        store,
        course(host("requests_total", "steady"), at_us, np.cumsum(growth)),
        course(host("requests_total", "restarted"), at_us, restarted),
        course(host("requests_total", "faster"), at_us, np.cumsum(faster)),
    )
    (change,) = store.reads.overview().changes
    assert dict(change.key.labels)["host"] == "faster"
    assert (change.unit, change.before, change.now) == ("/s", pytest.approx(10, rel=0.02), pytest.approx(50, rel=0.1))


def test_one_metric_does_not_fill_the_list(store: Filled) -> None:
    load_samples(
        store,
        *(noisy(host("cpu_busy_pct", f"h{number}"), 20, 60, 2) for number in range(8)),
        noisy(host("load_1m", "h0"), 1, 2, 0.2),
    )
    metrics = [one.key.metric for one in store.reads.overview().changes]
    assert sorted(metrics) == ["cpu_busy_pct"] * 3 + ["load_1m"]


def test_the_pipeline_shows_programs_rates_rollups_and_partitions(store: Filled) -> None:
    load_samples(store, steady(host("load_1m", "a"), 1))
    board = MemoryBoard(store.clock)
    for _ in range(2):
        samples = store.clock.monotonic() * 250
        board.publish("gateway", "g", [("muninn_ingest_samples_total", {}, samples)])
        figures = [("muninn_buffer_depth_entries", {}, 3.0), ("muninn_buffer_held_bytes", {}, 4096.0)]
        board.publish("loader", "l", [*figures, ("muninn_loader_lag_s", {}, 0.25), ("muninn_buffer_lag_s", {}, 0.5)])
        store.clock.advance(1)
    late = course(host("load_1m", "a"), np.array([NOW_US - 30 * MINUTE_US + 1]), np.array([1.0]))
    store.load(late)
    found = Reads(store.database, board=board, clock=store.clock).pipeline()
    assert (found.ingest_samples_per_s, found.rejected_samples_per_s) == (250, None)
    assert (found.buffer_depth_entries, found.buffer_bytes, found.loader_lag_s) == (3, 4096, 0.25)
    assert found.buffer_lag_s == 0.5
    assert [(one.program, one.instance) for one in found.programs] == [("gateway", "g"), ("loader", "l")]
    assert [one.heartbeat_age_s for one in found.programs] == [1.0, 1.0]
    assert found.newest_sample_ms == every(10)[-1] // 1000
    assert found.late_rows_waiting == 1
    assert found.resolutions is not None
    assert found.partitions is not None
    assert [one.resolution for one in found.resolutions] == ["1min", "5min", "1hour", "1day"]
    closed_us = (NOW_US - 2 * MINUTE_US) // MINUTE_US * MINUTE_US
    assert found.resolutions[0].watermark_ms == closed_us // 1000
    assert found.resolutions[0].behind_s == (store.clock.now_us() - closed_us) / SECOND_US
    assert found.resolutions[0].late_waiting == 1
    raw = next(one for one in found.partitions if one.table == "raw_samples")
    assert (raw.until_ms - raw.since_ms, raw.since_ms) == (DAY_US // 1000, NOW_US // DAY_US * DAY_US // 1000)


def test_the_catalogue_tells_kind_unit_labels_and_size(store: Filled) -> None:
    load_samples(
        store,
        steady(host("cpu_busy_pct", "a", cpu="0"), 1),
        steady(host("cpu_busy_pct", "b", cpu="1", rack="7"), 1),
        steady(SeriesKey.of("bare_total"), 1, every(60)),
    )
    bare, cpu = store.reads.catalogue()
    assert bare == MetricInfo("bare_total", "counter", "", "", (), 1, every(60)[-1] // 1000)
    assert (cpu.metric_name, cpu.kind, cpu.unit, cpu.label_names, cpu.series_count) == (
        "cpu_busy_pct",
        "gauge",
        "%",
        ("cpu", "host", "rack"),
        2,
    )
    assert cpu.help
    assert [one.metric_name for one in store.reads.catalogue("cpu_")] == ["cpu_busy_pct"]
    assert store.reads.label_values("cpu_busy_pct", "cpu") == ["0", "1"]
    assert store.reads.label_values("cpu_busy_pct", "rack") == ["7"]
    assert store.reads.label_values("cpu_busy_pct", "instance_id") == ["a", "b"]
    assert store.reads.label_values("cpu_busy_pct", "host", limit=1) == ["a"]
    assert store.reads.label_values("cpu_busy_pct", "none") == []
    with pytest.raises(UnknownMetric, match="did you mean cpu_busy_pct"):
        store.reads.label_values("cpu_bussy_pct", "cpu")


def cached_names(meter_of: Reads) -> dict[tuple[str, str], float]:
    return {
        (name, labels["answer"]): value
        for name, labels, value in meter_of.meter.snapshot()
        if name.startswith("muninn_cache_")
    }


def test_an_overview_is_shared_for_a_few_seconds_and_says_its_age(store: Filled) -> None:
    cache = MemoryCache(store.clock)
    one, other = (Reads(store.database, cache, clock=store.clock) for _ in range(2))
    first = one.overview()
    store.clock.advance(2)
    second = other.overview()
    assert (first.age_s, second.age_s) == (0, 2)
    assert second.at_ms == first.at_ms
    store.clock.advance(2)
    assert other.overview().at_ms == first.at_ms + 4000
    assert cached_names(other) == {
        ("muninn_cache_hits_total", "overview"): 1,
        ("muninn_cache_misses_total", "overview"): 1,
    }


def test_what_is_cached_comes_back_the_same(store: Filled) -> None:
    load_samples(store, noisy(host("cpu_busy_pct", "jumped", cpu="total"), 20, 60, 2))
    reads = Reads(store.database, MemoryCache(store.clock), clock=store.clock)
    computed, recalled = reads.overview(), reads.overview()
    assert computed.changes
    assert computed.hosts
    assert recalled == computed
    assert reads.catalogue() == reads.catalogue() == store.reads.catalogue()


def test_materialised_answers_are_used_while_fresh(store: Filled) -> None:
    load_samples(store, steady(host("load_1m", "a"), 1))
    cache = MemoryCache(store.clock)
    written = materialise(store.reads, cache)
    assert [one.name for one in written] == ["overview", "catalogue"]
    assert all(one.bytes > 100 and one.ttl_s > 60 for one in written)
    reads = Reads(store.database, cache, clock=store.clock)
    assert reads.overview().totals.series == 1
    assert [one.metric_name for one in reads.catalogue()] == ["load_1m"]
    assert {name for name, _ in cached_names(reads)} == {"muninn_cache_hits_total"}


def test_check_returns_where_the_database_answers(store: Filled) -> None:
    store.reads.check()


def test_every_query_is_timed_under_its_name(store: Filled) -> None:
    store.reads.overview()
    counted = {
        labels["query"]: value
        for name, labels, value in store.reads.meter.snapshot()
        if name == "muninn_query_count_total"
    }
    assert counted == {"reads_overview": 1, "reads_bytes": 1}


def test_with_the_database_away_the_last_overview_stands_and_says_so(postgres_url: str) -> None:
    clock = ManualClock(NOW_US)
    with Database(postgres_url) as database:
        reads = Reads(database, MemoryCache(clock), clock=clock)
        before = reads.overview()
    clock.advance(30)
    away = reads.overview()
    assert (away.at_ms, away.age_s) == (before.at_ms, 30)
    assert away.health.state == "down"
    assert "store: the database does not answer" in away.health.summary
    with pytest.raises(Unavailable):
        reads.check()
    with pytest.raises(Unavailable):
        reads.trend("load_1m", Window(NOW_US - HOUR_US, NOW_US))
    with pytest.raises(Unavailable):
        Reads(database, MemoryCache(clock), clock=clock).overview()


def test_with_the_database_away_the_pipeline_says_what_the_programs_tell(postgres_url: str) -> None:
    """And names what nobody knows now: None, where an empty store would have said zero."""
    clock = ManualClock(NOW_US)
    board = MemoryBoard(clock)
    board.publish("loader", "host:0", [("muninn_loader_lag_s", {}, 7.5), ("muninn_buffer_depth_entries", {}, 12)])
    with Database(postgres_url) as database:
        reads = Reads(database, board=board, clock=clock)
        before = reads.pipeline()
    assert (before.store_away, before.late_rows_waiting, before.loader_lag_s) == (None, 0, 7.5)
    away = reads.pipeline()
    assert away.store_away is not None
    assert "database" in away.store_away
    assert (away.loader_lag_s, away.buffer_depth_entries, len(away.programs)) == (7.5, 12, 1)
    assert (away.newest_sample_ms, away.late_rows_waiting, away.bytes_on_disk) == (None, None, None)
    assert (away.resolutions, away.partitions) == (None, None)


def test_with_the_database_away_kept_metrics_and_regressions_say_so(postgres_url: str) -> None:
    clock = ManualClock(NOW_US)
    with filled(postgres_url, NOW_US) as store:
        load_samples(store, steady(host("load_1m", "a"), 1))
    with Database(postgres_url) as database:
        reads = Reads(database, MemoryCache(clock), clock=clock)
        assert reads.known_metrics().store_away is None
        assert reads.regressions().store_away is None
    clock.advance(1800)
    kept = reads.known_metrics("load")
    assert ([one.metric_name for one in kept.metrics], kept.age_s) == (["load_1m"], 1800)
    assert "database" in (kept.store_away or "")
    assert reads.known_metrics("nothing").metrics == []
    assert "database" in (reads.regressions().store_away or "")
    clock.advance(3600)
    with pytest.raises(Unavailable):
        reads.known_metrics()
    with pytest.raises(Unavailable):
        reads.regressions()


def settings_for(postgres_url: str, redis_url: str | None) -> Settings:
    urls = {"MUNINN_DATABASE_URL": postgres_url} | ({"MUNINN_REDIS_URL": redis_url} if redis_url else {})
    return load(urls)


def test_reads_go_on_without_redis(postgres_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.WARNING, "muninn"),
        connect_reads(settings_for(postgres_url, f"unix://{tmp_path}/nobody.sock")) as reads,
    ):
        for _ in range(3):
            overview = reads.overview()
            assert overview.age_s == 0
            assert reads.catalogue() == []
            assert reads.pipeline().programs == ()
        assert cached_names(reads) == {
            ("muninn_cache_misses_total", "overview"): 3,
            ("muninn_cache_misses_total", "catalogue"): 3,
        }
    assert [part.part for part in overview.health.parts if part.state != "ok"] == ["cache"]
    assert [record.message.partition(":")[0] for record in caplog.records] == ["reading without Redis until it is back"]


def test_connected_reads_share_redis_with_the_programs(postgres_url: str, redis_url: str) -> None:
    with connect(redis_url) as client, connect_reads(settings_for(postgres_url, redis_url)) as reads:
        RedisBoard(client).publish("loader", "host:0", [("muninn_loader_lag_s", {}, 0.5)])
        found = reads.pipeline()
        assert [(one.program, one.instance) for one in found.programs] == [("loader", "host:0")]
        assert found.loader_lag_s == 0.5
        reads.overview()
        hot = RedisCache(client, SystemClock()).get("overview")
        assert hot is not None
        assert b'"health"' in hot.value
