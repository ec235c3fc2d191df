"""The cold tier on each engine: days leave the database as files, and no answer changes by it."""

import os
from pathlib import Path

import cold
import made_distributions
import numpy as np
import pytest
import stores
from cold import CPU, MEMORY, TODAY, Cold, by_key, history, refreshed

from muninn.analytics import cold_records, lifecycle
from muninn.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from muninn.errors import Unavailable
from muninn.model import SeriesKey, Window
from muninn.rollups import refresh
from muninn.store import partitions

DAYS = (-6, -5, -2, -1, 0)


@pytest.fixture
def tier(any_store: stores.Postgres, tmp_path: Path) -> Cold:
    return refreshed(any_store, tmp_path / "cold", DAYS)


def moved(tier: Cold) -> list[int]:
    return [(day.day_us - TODAY) // DAY_US for day in tier.days() if day.moved_us is not None]


def test_closed_days_are_exported_and_old_ones_leave_the_database(tier: Cold) -> None:
    before = tier.in_database()
    tier.night()
    assert [(day.day_us - TODAY) // DAY_US for day in tier.days()] == [-6, -5, -2]  # yesterday may still change
    assert moved(tier) == [-6, -5]
    assert tier.in_database() == before - 240
    for day in tier.days():
        assert {file.metric_group for file in day.raw} == {"cpu", "memory"}
        assert {file.content for file in day.files} == {"raw", "1min", "5min", "1hour", "1day"}
        assert day.rows == 120
        assert not day.changed
    assert by_key(tier.truth()) == by_key(history(DAYS))
    tier.assert_rollups_are_of(history(DAYS))
    assert lifecycle.verify(tier.store.database, tier.settings.cold_folder).faults == ()


def test_a_night_twice_is_a_night_once(tier: Cold) -> None:
    tier.night()
    first = tier.days()
    tier.night()
    assert tier.days() == first
    assert by_key(tier.truth()) == by_key(history(DAYS))


def test_late_samples_of_a_day_that_left_reach_every_resolution_and_the_next_files(tier: Cold) -> None:
    tier.night()
    day = TODAY - 5 * DAY_US
    # A new instant in a bucket that has samples, one in an hour without any, and one that replaces another.
    late = [(CPU, day + 1, 1000.0), (CPU, day + 20 * HOUR_US, -7.5), (MEMORY, day + 90 * SECOND_US, 500.0)]
    tier.load(late)
    expected = {(key, at): value for key, at, value in history(DAYS)} | {(key, at): value for key, at, value in late}
    rows = [(key, at, value) for (key, at), value in expected.items()]
    tier.refresh()
    tier.assert_rollups_are_of(rows)
    assert by_key(tier.truth()) == by_key(rows)
    tier.night()
    (again,) = [each for each in tier.days() if each.day_us == day]
    assert again.rows == 122
    assert not again.changed
    assert moved(tier) == [-6, -5]
    assert by_key(tier.truth()) == by_key(rows)
    files = cold_records.read_day(tier.settings.cold_folder, again)
    assert 1000.0 in files.value
    assert 500.0 in files.value
    tier.assert_rollups_are_of(rows)
    # What came back for the refresh is gone again.
    left = tier.store.connection.execute("select count(*) from raw_samples where at < instant(%s)", (day + DAY_US,))
    assert left.fetchone()[0] == 0


def test_without_the_files_no_bucket_of_a_day_that_left_is_computed(tier: Cold) -> None:
    """The refresh that would count the late sample alone, and lose the minute's others, does not happen."""
    tier.night()
    day = TODAY - 5 * DAY_US
    tier.load([(CPU, day + 1, 1000.0)])
    tier.store.refresh()  # it knows of no cold tier
    assert tier.store.connection.execute("select count(*) from late_rows").fetchone()[0] == 1
    tier.assert_rollups_are_of(history(DAYS))
    with pytest.raises(Unavailable, match="in the cold tier"):
        refresh.refresh_window(tier.store.database, Window(day, day + HOUR_US))
    tier.assert_rollups_are_of(history(DAYS))

    (of_day,) = [each for each in tier.days() if each.day_us == day]
    path = tier.settings.cold_folder / of_day.raw[0].path
    away = path.rename(path.with_name("elsewhere"))
    tier.refresh()  # it can not read them
    assert tier.store.connection.execute("select count(*) from late_rows").fetchone()[0] == 1
    tier.assert_rollups_are_of(history(DAYS))
    away.rename(path)
    tier.refresh()
    tier.assert_rollups_are_of([*history(DAYS), (CPU, day + 1, 1000.0)])


def test_a_day_is_not_exported_while_late_samples_wait(tier: Cold) -> None:
    tier.load([(CPU, TODAY - 5 * DAY_US + 1, 1000.0)])
    tier.night()
    assert moved(tier) == [-6]
    tier.refresh()
    tier.night()
    assert moved(tier) == [-6, -5]
    tier.assert_rollups_are_of([*history(DAYS), (CPU, TODAY - 5 * DAY_US + 1, 1000.0)])


def test_a_sample_between_export_and_move_keeps_its_day_until_the_next_export(tier: Cold) -> None:
    lifecycle.export(tier.store.database, tier.settings, tier.now_us)
    tier.load([(CPU, TODAY - 5 * DAY_US + 1, 1000.0)])
    tier.refresh()
    lifecycle.move(tier.store.database, tier.settings, tier.now_us)
    assert moved(tier) == [-6]
    tier.night()
    assert moved(tier) == [-6, -5]
    assert by_key(tier.truth()) == by_key([*history(DAYS), (CPU, TODAY - 5 * DAY_US + 1, 1000.0)])


def test_rows_that_nobody_noted_are_not_dropped(tier: Cold) -> None:
    lifecycle.export(tier.store.database, tier.settings, tier.now_us)
    tier.store.connection.execute(
        "insert into raw_samples (at, series_id, value) select instant(%s), min(series_id), 1 from series",
        (TODAY - 5 * DAY_US + 1,),
    )
    with pytest.raises(Unavailable, match="nothing was dropped"):
        lifecycle.move(tier.store.database, tier.settings, tier.now_us)
    assert tier.in_database() == len(history(DAYS)) + 1 - 120  # the day before it went


def test_a_rebuild_over_days_that_left_gives_the_same_rollups(tier: Cold) -> None:
    tier.night()
    tier.store.damage(Window(TODAY - 6 * DAY_US, TODAY - 4 * DAY_US))
    whole = Window(TODAY - 6 * DAY_US, TODAY)
    refresh.refresh_window(tier.store.database, whole, thaw=tier.thaw)
    tier.assert_rollups_are_of(history(DAYS))
    assert by_key(tier.truth()) == by_key(history(DAYS))
    tier.night()
    assert moved(tier) == [-6, -5]
    assert by_key(tier.truth()) == by_key(history(DAYS))


def test_distributions_go_with_their_day_and_come_back_for_a_refresh(tier: Cold) -> None:
    day, latency = TODAY - 5 * DAY_US, SeriesKey.of("latency_ms", {"host": "a"})
    rng = np.random.default_rng(2)
    values = [rng.lognormal(1, 1, 50).round(1).tolist() for _ in range(20)]
    rows = [(latency, day + n * 10 * SECOND_US, value) for n, value in enumerate(values)]
    tier.store.load([stores.entry(made_distributions.batch_of([*rows, (CPU, day + 7, 1.5)]), "d-1")])
    tier.refresh()
    before = [tier.store.buckets(resolution) for resolution in cold.RESOLUTIONS]
    tier.night()
    (of_day,) = [each for each in tier.days() if each.day_us == day]
    assert of_day.moved_us is not None
    assert (of_day.rows, of_day.samples) == (120 + 21, 121 + 1000)
    assert lifecycle.verify(tier.store.database, tier.settings.cold_folder).faults == ()
    assert lifecycle.compare_with_rollups(tier.store.database)[1] == []
    # Late, in the hour of the others: computed from what came back, sketches and all.
    tier.load([(CPU, day + HOUR_US // 2 + 1, 2.5)])
    tier.refresh()
    refresh.refresh_window(tier.store.database, Window(day, day + HOUR_US), thaw=tier.thaw)
    after = [tier.store.buckets(resolution) for resolution in cold.RESOLUTIONS]
    for old, new in zip(before, after, strict=True):
        of_latency = [
            [(one.bucket_us, one.sample_count, one.min_value, one.max_value, one.sketch.tolist()) for one in found]
            for found in ([each for each in side if each.key == latency] for side in (old, new))
        ]
        assert of_latency[0] == of_latency[1]
    tier.night()
    assert [each.samples for each in tier.days() if each.day_us == day] == [121 + 1000 + 1]


def test_retention_takes_files_as_it_takes_partitions(tier: Cold) -> None:
    tier.night()
    folder = tier.settings.cold_folder
    old = [folder / file.path for day in tier.days()[:2] for file in day.files]
    assert all(path.is_file() for path in old)
    expired = Cold(tier.store, folder, store_raw_days=4, store_rollup_1min_days=4)
    done = lifecycle.retain(tier.store.database, expired.settings, tier.now_us)
    assert [(day.day_us - TODAY) // DAY_US for day in done.days] == [-6, -5]
    assert done.files == len(old)
    assert not any(path.exists() for path in old)
    assert partitions.horizons_us(tier.store.database)["raw_samples"] == TODAY - 4 * DAY_US
    # Older than what is kept: refused, so that no refresh meets it.
    before = tier.in_database()
    tier.load([(CPU, TODAY - 5 * DAY_US + 1, 1000.0)])
    assert tier.in_database() == before
    tier.refresh()
    hours = tier.store.buckets(cold.RESOLUTIONS[2])
    assert sum(each.sample_count for each in hours) == len(history(DAYS))


def test_files_that_no_record_names_are_swept_when_they_are_old(tier: Cold) -> None:
    tier.night()
    database, folder = tier.store.database, tier.settings.cold_folder
    owner = folder / str(database.fetch("cold_owner")[0].owner)
    stray = owner / "raw" / ".abc.parquet.partial"
    stray.write_bytes(b"half")
    foreign = folder / "notes.txt"
    foreign.write_text("not ours")
    assert list(lifecycle.unnamed(database, folder)) == []
    assert list(lifecycle.unnamed(database, folder, grace_s=-1)) == [stray]


def test_replaced_files_stay_for_those_who_read_them(tier: Cold) -> None:
    tier.night()
    database, folder = tier.store.database, tier.settings.cold_folder
    day = tier.days()[0]
    old = {folder / file.path for file in day.files}
    for path in old:
        os.utime(path, (0, 0))
    tier.load([(CPU, day.day_us + 1, 7.0)])
    tier.refresh()
    tier.night()
    assert not old & {folder / file.path for file in tier.days()[0].files}
    assert all(path.exists() for path in old)
    assert set(lifecycle.unnamed(database, folder, grace_s=-1)) == old


def test_a_file_that_changed_on_disk_is_found(tier: Cold) -> None:
    tier.night()
    database, folder = tier.store.database, tier.settings.cold_folder
    day = tier.days()[0]
    first, second = (folder / file.path for file in day.raw[:2])
    second.write_bytes(first.read_bytes())
    first.write_bytes(first.read_bytes()[:-9])
    verified = lifecycle.verify(database, folder)
    assert len(verified.faults) == 2
    assert verified.files == verified.of == 18  # two groups and four resolutions, three days
    assert lifecycle.verify(database, folder, sample=4).files == 4


def test_what_is_due_is_planned(tier: Cold) -> None:
    def due(now_us: int) -> list[tuple[str, int]]:
        tasks = lifecycle.plan(tier.store.database, tier.settings, now_us)
        return [
            (task.action, (task.day_us - TODAY) // DAY_US)
            for task in tasks
            if task.due_us <= now_us and task.table == partitions.RAW
        ]

    assert sorted(due(tier.now_us)) == [("export", -6), ("export", -5), ("export", -2), ("move", -6), ("move", -5)]
    tier.night()
    assert due(tier.now_us) == []
    tier.load([(CPU, TODAY - 5 * DAY_US + 1, 1000.0)])
    assert sorted(due(tier.now_us)) == [("export again", -5), ("move", -5)]
    later = tier.now_us + 86 * DAY_US + MINUTE_US
    assert ("drop", -6) in due(later)
    assert ("drop", -2) not in due(later)
