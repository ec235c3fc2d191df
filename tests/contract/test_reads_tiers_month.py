"""Thirty days that lie in files, in the columnstore (where there is one) and in plain rows: one seamless series.

Every answer is compared with polars' over the samples, before days leave the database and after, for windows that
begin and end amid buckets.
"""

import itertools
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import stores
from cold import TODAY, Cold

from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from muninn.meter import Meter
from muninn.model import SampleBatch, SeriesKey, Window
from muninn.model.window import as_us
from muninn.reads import Reads, spans
from muninn.reads.asking import Asker
from muninn.reads.steps import Kept

DAYS = 30
GAUGE, COUNTER = SeriesKey.of("cpu_busy_pct", {"host": "a"}), SeriesKey.of("requests_total", {"host": "a"})
# Bounds on no bucket: amid a burst of the first day, of one that left the database, of one that did not, and of today.
SINCE, UNTIL = TODAY - (DAYS - 1) * DAY_US + 3 * MINUTE_US + 27_000_013, TODAY + 8 * MINUTE_US + 11_000_001
AMID_COLD, AMID_HOT = TODAY - 11 * DAY_US + 4 * MINUTE_US + 7, TODAY - DAY_US + 6 * MINUTE_US + 1_234_567


def month() -> pl.DataFrame:
    """A sample every 20 s of the last and first quarter of an hour of each day; the counter begins anew at times."""
    rng = np.random.default_rng(17)
    starts = TODAY + np.arange(1 - DAYS, 1) * DAY_US
    at = (starts[:, None] + np.arange(-45, 45) * 20 * SECOND_US + 7 * SECOND_US).ravel()
    steps = rng.integers(0, 9, len(at)).astype(float)
    counter, total = [], 0.0
    for grown, anew in zip(steps.tolist(), (rng.random(len(at)) < 0.03).tolist(), strict=True):
        total = grown if anew else total + grown
        counter.append(total)
    gauge = rng.lognormal(2, 1, len(at)).round(1)
    return pl.DataFrame({"at": at, "gauge": gauge, "counter": counter})


SAMPLES = month()
MOVED_BEFORE, LAST_LOADED = TODAY - 3 * DAY_US, TODAY - 12 * HOUR_US


def batch(frame: pl.DataFrame) -> SampleBatch:
    rows = [(key, at, value) for key, name in ((GAUGE, "gauge"), (COUNTER, "counter")) for at, value in
            frame.select("at", name).rows()]  # fmt: skip
    return SampleBatch.of(rows)


def compress(store: stores.Postgres) -> None:
    """What is there so far goes into the columnstore, on an engine that has one."""
    if store.database.engine == "timescaledb":
        policy = store.connection.execute(
            "select job_id from timescaledb_information.jobs where proc_name = 'policy_compression'"
            " and hypertable_name = 'scaled_samples'"
        ).fetchone()
        store.connection.execute("call run_job(%s)", policy)


@pytest.fixture
def tier(any_store: stores.Postgres, tmp_path: Path) -> Cold:
    made = Cold(any_store, tmp_path / "cold")
    made.store.load([stores.entry(batch(SAMPLES.filter(pl.col("at") < LAST_LOADED)), "1-0")])
    compress(any_store)
    made.store.load([stores.entry(batch(SAMPLES.filter(pl.col("at") >= LAST_LOADED)), "2-0")])
    made.refresh()
    return made


def of(name: str, since_us: int, until_us: int) -> pl.DataFrame:
    return SAMPLES.filter(pl.col("at").is_between(since_us, until_us, closed="left")).select("at", value=name)


def nearest_rank(values: pl.Series, q: float = 0.95) -> float:
    return float(values.sort()[int(np.ceil(q * len(values))) - 1])


def assert_trend(asking: Reads) -> None:
    """By the hour: buckets that the window cuts are whole."""
    found = asking.trend("cpu_busy_pct", Window(SINCE, UNTIL), HOUR_US)
    assert found.resolution == "1hour"
    (series,) = found.series
    whole = Window(SINCE, UNTIL).aligned(HOUR_US)
    expected = of("gauge", whole.since_us, whole.until_us).group_by(pl.col("at") // HOUR_US * HOUR_US).agg("value")
    expected = expected.sort("at")
    assert (series.at_ms * 1000).tolist() == expected["at"].to_list()
    assert series.count.tolist() == expected["value"].list.len().to_list()
    assert series.min.tolist() == expected["value"].list.min().to_list()
    assert series.max.tolist() == expected["value"].list.max().to_list()
    assert np.allclose(series.avg, expected["value"].list.mean(), rtol=1e-9)
    assert np.allclose(series.p95, [nearest_rank(each) for each in expected["value"]], rtol=0.01)


def assert_growth(asking: Reads) -> None:
    """Of exactly the samples in the window, whichever tier its edges lie in."""
    for since_us, until_us in ((SINCE, UNTIL), (AMID_COLD, AMID_HOT), (SINCE, AMID_COLD), (AMID_HOT, UNTIL)):
        values = of("counter", since_us, until_us)["value"].to_numpy()
        grown = np.where(values[1:] >= values[:-1], values[1:] - values[:-1], values[1:]).sum()
        found = asking.rising("requests_total", Window(since_us, until_us), HOUR_US)
        (series,) = found.series
        assert series.total == grown, (since_us, until_us)
        assert series.increase.sum() == pytest.approx(grown, rel=1e-12)


def assert_spans(tier: Cold) -> None:
    """Spans that begin and end amid minutes: their edges are samples, from files and from rows."""
    bounds = [SINCE, AMID_COLD, TODAY - 5 * DAY_US, AMID_HOT, UNTIL]
    (ident,) = tier.store.connection.execute(
        "select series_id from series where metric_name = 'cpu_busy_pct'"
    ).fetchone()
    ask = Asker(tier.store.database, Meter(), tier.store.clock, tier.settings.cold_folder)
    planned = spans.plan(bounds, TODAY + 12 * HOUR_US, Kept())
    merged = spans.merged(spans.points_of(ask, [ident], planned, bounds, "all"), {ident: 0}, bounds)
    assert merged.step.tolist() == [0, 1, 2, 3]
    for place, (since_us, until_us) in enumerate(itertools.pairwise(bounds)):
        values = of("gauge", since_us, until_us)["value"]
        assert merged.count[place] == len(values)
        assert (merged.low[place], merged.high[place]) == (values.min(), values.max())
        assert merged.total[place] == pytest.approx(values.sum(), rel=1e-9)
        assert merged.p95[place] == pytest.approx(nearest_rank(values), rel=0.01)


def assert_local_days(asking: Reads) -> None:
    """Midnights of Kathmandu lie at a quarter past an hour of UTC."""
    found = asking.calendar("cpu_busy_pct", Window(SINCE, UNTIL), "day", "Asia/Kathmandu")
    (series,) = found.series
    days = pl.from_epoch(SAMPLES["at"], "us").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Kathmandu")
    expected = SAMPLES.with_columns(day=days.dt.truncate("1d")).group_by("day").agg("gauge").sort("day")
    counts = {as_us(day) // 1000: len(values) for day, values in expected.rows()}
    assert len(series.at_ms) >= DAYS
    assert dict(zip(series.at_ms.tolist(), series.count.tolist(), strict=True)).items() <= counts.items()


def assert_samples(asking: Reads) -> None:
    """Over the midnight between files and rows, each once."""
    seam = Window(MOVED_BEFORE - 14 * MINUTE_US, MOVED_BEFORE + 14 * MINUTE_US)
    (series,) = asking.recent("cpu_busy_pct", None, seam).series
    expected = of("gauge", seam.since_us, seam.until_us)
    assert (series.at_ms * 1000).tolist() == expected["at"].to_list()
    assert series.value.tolist() == expected["value"].to_list()


def test_thirty_days_over_all_tiers_are_one_series(tier: Cold) -> None:
    database, folder = tier.store.database, tier.settings.cold_folder
    asking = Reads(database, clock=tier.store.clock, cold_folder=folder)
    before = tier.in_database()
    for moved in (False, True):
        if moved:
            tier.night()
            assert tier.in_database() == before - 2 * len(SAMPLES.filter(pl.col("at") < MOVED_BEFORE))
        assert_trend(asking)
        assert_growth(asking)
        assert_spans(tier)
        assert_local_days(asking)
        assert_samples(asking)
