"""What of a window is computed, from what: the function in the database, on every engine, against one in Python."""

import itertools
from collections.abc import Mapping

import numpy as np
import pytest
import stores

from muninn.clock import DAY_US, HOUR_US, MINUTE_US
from muninn.model import RESOLUTIONS, Window
from muninn.model.window import as_datetime
from muninn.rollups import plan
from muninn.rollups.plan import RAW, Step

DAY = 20_000 * DAY_US
TABLES = (RAW, *(f"rollup_{resolution.name}" for resolution in RESOLUTIONS))
KEEP_ALL = dict.fromkeys(TABLES, 0)


@pytest.fixture
def store(any_store: stores.Postgres) -> stores.Postgres:
    return any_store


def steps(
    store: stores.Postgres,
    window: Window,
    watermark_us: int,
    horizons: Mapping[str, int] = KEEP_ALL,
    *,
    fresh: bool = False,
    chained: bool = False,
) -> list[Step]:
    for table, horizon_us in horizons.items():
        store.connection.execute(
            "update retention_state set horizon = %s where table_name = %s", (as_datetime(horizon_us), table)
        )
    return plan.steps(store.database, window, watermark_us, fresh=fresh, chained=chained)


def expected(
    window: Window, watermark_us: int, horizons: Mapping[str, int], *, fresh: bool, chained: bool
) -> list[Step]:
    day_us = window.since_us // DAY_US * DAY_US
    if horizons[RAW] > day_us:
        return []
    found, source = [], RAW
    for resolution in RESOLUTIONS:
        table, width_us = f"rollup_{resolution.name}", resolution.width_us
        if horizons[table] > day_us:
            continue
        around = window.aligned(width_us)
        ends = [around.until_us, watermark_us // width_us * width_us]
        ends += [window.until_us // width_us * width_us] if fresh else []
        if min(ends) > around.since_us:
            found.append(Step(resolution, source, Window(around.since_us, min(ends))))
        source = table
    finer = dict(zip(RESOLUTIONS, TABLES, strict=False))
    return list(itertools.takewhile(lambda step: step.source == finer[step.resolution], found)) if chained else found


def named(found: list[Step]) -> list[tuple[str, str, int, int]]:
    """(resolution, source, first minute, last minute) from the day's start."""
    return [
        (
            step.resolution.name,
            step.source,
            (step.window.since_us - DAY) // MINUTE_US,
            (step.window.until_us - DAY) // MINUTE_US,
        )
        for step in found
    ]


def test_any_window_has_the_steps_that_it_should(store: stores.Postgres) -> None:
    random = np.random.default_rng(11)
    for number in range(80):
        since, until = sorted((int(random.integers(0, 1440)), int(random.integers(1, 1441))))
        window = Window(DAY + since * MINUTE_US, DAY + max(until, since + 1) * MINUTE_US)
        horizons = {table: DAY + int(random.choice([-1, 0, 0, 0, 1])) * DAY_US for table in TABLES}
        watermark_us = DAY + int(random.integers(0, 3 * 1440)) * MINUTE_US
        how = {"fresh": number % 2 == 0, "chained": number % 4 < 2}
        assert steps(store, window, watermark_us, horizons, **how) == expected(window, watermark_us, horizons, **how)


def test_a_fresh_minute_closes_what_ends_with_it(store: stores.Postgres) -> None:
    window = Window(DAY + 7 * MINUTE_US, DAY + 8 * MINUTE_US)
    assert named(steps(store, window, window.until_us, fresh=True)) == [("1min", "raw_samples", 7, 8)]
    window = Window(DAY + 59 * MINUTE_US, DAY + 60 * MINUTE_US)
    assert named(steps(store, window, window.until_us, fresh=True)) == [
        ("1min", "raw_samples", 59, 60),
        ("5min", "rollup_1min", 55, 60),
        ("1hour", "rollup_5min", 0, 60),
    ]
    window = Window(DAY + 23 * HOUR_US, DAY + DAY_US)
    assert named(steps(store, window, window.until_us, fresh=True))[-1] == ("1day", "rollup_1hour", 0, 1440)


def test_a_late_minute_makes_every_closed_bucket_around_it_due(store: stores.Postgres) -> None:
    window = Window(DAY + 63 * MINUTE_US, DAY + 64 * MINUTE_US)
    assert named(steps(store, window, DAY + 2 * DAY_US)) == [
        ("1min", "raw_samples", 63, 64),
        ("5min", "rollup_1min", 60, 65),
        ("1hour", "rollup_5min", 60, 120),
        ("1day", "rollup_1hour", 0, 1440),
    ]
    assert named(steps(store, window, DAY + 100 * MINUTE_US)) == [
        ("1min", "raw_samples", 63, 64),
        ("5min", "rollup_1min", 60, 65),
    ]


def test_nothing_is_rebuilt_from_a_day_whose_raw_rows_were_dropped(store: stores.Postgres) -> None:
    window = Window(DAY + HOUR_US, DAY + 2 * HOUR_US)
    assert steps(store, window, DAY + DAY_US, {**KEEP_ALL, "raw_samples": DAY + DAY_US}) == []
    assert len(steps(store, window, DAY + DAY_US, {**KEEP_ALL, "raw_samples": DAY})) == len(RESOLUTIONS)


def test_a_level_that_was_dropped_is_passed_over(store: stores.Postgres) -> None:
    window = Window(DAY + HOUR_US, DAY + 2 * HOUR_US)
    gone = {**KEEP_ALL, "rollup_1min": DAY + DAY_US, "rollup_5min": DAY + DAY_US}
    assert named(steps(store, window, DAY + DAY_US, gone)) == [
        ("1hour", "raw_samples", 60, 120),
        ("1day", "rollup_1hour", 0, 1440),
    ]


@pytest.mark.parametrize("join", [0, 10, 60])
def test_late_minutes_that_are_near_are_one_window_and_none_crosses_midnight(store: stores.Postgres, join: int) -> None:
    random = np.random.default_rng(12 + join)
    minutes = np.unique(np.concatenate([random.integers(0, 4 * 1440, 150), [1439, 1440, 1440 + join + 1]]))
    store.connection.execute(
        "insert into late_rows (series_id, minute, sample_count) select n %% 3, instant(at), 1 from"
        " unnest(%s::int8[]) with ordinality as each (at, n)",
        ([*(DAY + minutes * MINUTE_US).tolist(), DAY + 1439 * MINUTE_US],),
    )
    until_us = DAY + 3 * DAY_US + 17 * MINUTE_US
    found = plan.late_windows(store.database, until_us, join * MINUTE_US)
    due = [int(minute) for minute in minutes if minute < 3 * 1440 + 17]
    apart = [due[0], *(at for last, at in itertools.pairwise(due) if at - last > join + 1 or at // 1440 > last // 1440)]
    ends = [*(last for last, at in itertools.pairwise(due) if at in set(apart)), due[-1]]
    assert [(window.since_us, window.until_us) for window in found] == [
        (DAY + first * MINUTE_US, DAY + (last + 1) * MINUTE_US) for first, last in zip(apart, ends, strict=True)
    ]
    assert len(found) > 10
