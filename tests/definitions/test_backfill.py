"""A history is imported; Dagster rebuilds any range of its partitions, in one run, and every figure is polars'."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from dagster_world import World, hour

from muninn.clock import HOUR_US, SECOND_US
from muninn.ingest.validate import Rules
from muninn.model import RESOLUTIONS
from muninn.run.bulk_import import Importer

HOURLY_VIEWS = ["metrics_1min", "metrics_5min", "metrics_1hour"]
START, HOURS = hour("2025-02-01-02:00"), 60
# Neither begins nor ends with a day.
FIRST, LAST = "2025-02-01-05:00", "2025-02-02-17:00"


def history() -> pl.DataFrame:
    """Samples of two hosts at irregular instants, an hour without any in the middle."""
    rng = np.random.default_rng(23)
    at = np.unique(START + rng.integers(0, HOURS * HOUR_US // SECOND_US, 4000) * SECOND_US)
    at = at[at // HOUR_US != hour("2025-02-01-20:00") // HOUR_US]
    return pl.DataFrame(
        {
            "metric": "cpu_busy_pct",
            "timestamp": at // 1000,
            "value": rng.normal(40, 25, len(at)).round(1),
            "label.host": np.where(rng.random(len(at)) < 0.5, "alpha", "beta"),
        }
    )


def oracle(frame: pl.DataFrame, width_us: int) -> list[tuple[object, ...]]:
    """(host, bucket, count, sum, min, max) of every bucket."""
    at_us = pl.col("timestamp") * 1000
    made = frame.group_by(host="label.host", bucket=at_us // width_us * width_us).agg(
        count=pl.len(), sum=pl.col("value").sum(), low=pl.col("value").min(), high=pl.col("value").max()
    )
    return made.sort("host", "bucket").rows()


def assert_all_as(world: World, frame: pl.DataFrame) -> None:
    for resolution in RESOLUTIONS:
        found = world.sql(
            "select tags->>'host', epoch_us(bucket), sample_count, sum_value, min_value, max_value"  # type: ignore[arg-type]
            f" from {resolution.view} order by 1, 2"
        )
        expected = oracle(frame, resolution.width_us)
        assert [row[:3] for row in found] == [row[:3] for row in expected], resolution.name
        assert np.allclose([row[3:] for row in found], [row[3:] for row in expected], rtol=1e-9), resolution.name


def wipe(world: World) -> int:
    """Take every bucket that touches the range out, at every resolution; how many went."""
    count = 0
    for resolution in RESOLUTIONS:
        since, until = f"{FIRST[:10]} {FIRST[11:]}+00", f"{LAST[:10]} {LAST[11:]}+00"
        (gone,) = world.sql(
            f"with gone as (delete from rollup_{resolution.name} where bucket + interval '{resolution.width_us} us' >"  # type: ignore[arg-type]
            f" '{since}' and bucket < timestamptz '{until}' + interval '1 hour' returning 1) select count(*) from gone"
        )
        count += int(gone[0])
    return count


@pytest.mark.parametrize("days_later", [0, 9], ids=["in the database", "in files"])
def test_a_backfill_of_any_range_gives_the_rollups_of_the_samples(
    world: World, tmp_path: Path, days_later: int
) -> None:
    frame = history()
    frame.sample(fraction=1.0, shuffle=True, seed=5).write_csv(tmp_path / "history.csv")
    world.go_to(START + HOURS * HOUR_US)
    importer = Importer(world.database, world.clock, Rules(), {})
    assert importer.take(tmp_path / "history.csv", lambda path, rows: None).new == len(frame)
    world.clock.advance(timedelta(days=days_later).total_seconds())
    world.refresh()
    if days_later:
        assert world.run("keep_house").success
        assert world.sql("select count(*) from raw_samples") == [(0,)], "all of it is in files"
    assert_all_as(world, frame)

    assert wipe(world) > 1000
    with pytest.raises(AssertionError):
        assert_all_as(world, frame)
    hours = world.materialise(HOURLY_VIEWS, FIRST, LAST)
    assert hours.success
    assert all(each.passed for each in hours.get_asset_check_evaluations())
    days = world.materialise(["metrics_1day"], FIRST[:10], LAST[:10])
    assert days.success
    assert all(each.passed for each in days.get_asset_check_evaluations())
    assert_all_as(world, frame)
    # One run, and an event for each partition of the range.
    for view in HOURLY_VIEWS:
        events = world.events(view)
        assert (min(events), max(events), len(events)) == (FIRST, LAST, 37)
        assert all(each["cause"] == "rebuilt by this run" for found in events.values() for each in found)
    assert set(world.events("metrics_1day")) == {FIRST[:10], LAST[:10]}
    assert importer.take(tmp_path / "history.csv", lambda path, rows: None).new == 0
    assert_all_as(world, frame)
