"""A store with days in every tier up to now, the way loaders, the refresher and the nights make them."""

from pathlib import Path

import numpy as np

from muninn.analytics import lifecycle
from muninn.analytics.cold_thaw import ColdThaw
from muninn.clock import DAY_US, MINUTE_US, SystemClock
from muninn.model import BatchHandle, SampleBatch, SeriesKey
from muninn.rollups.refresh import refresh_fresh
from muninn.settings import Settings, load
from muninn.store.database import Database
from muninn.store.writer import StoreWriter

# So many days up to now, of so many series, a sample in five minutes with one decimal.
KNOWN_DAYS, KNOWN_SERIES = 12, 6
# One that left the database has a late sample, which waits for its next export.
LATE_DAY = 9
SAMPLES = KNOWN_SERIES * 288


def settings_for(folder: Path) -> Settings:
    """Days leave the database after a week, and are kept for twelve days."""
    return load({"MUNINN_COLD_FOLDER": str(folder), "MUNINN_COLD_HOT_DAYS": "7", "MUNINN_STORE_RAW_DAYS": "12"})


def load_tiers(url: str, folder: Path) -> None:
    """Fill a migrated database and the folder."""
    settings, now_us = settings_for(folder), SystemClock().now_us()
    today_us = now_us // DAY_US * DAY_US
    keys = tuple(
        SeriesKey.of(metric, {"host": host})
        for metric in ("cpu_busy_pct", "requests_total")
        for host in ("alpha", "beta", "gamma")
    )
    rng = np.random.default_rng(4)
    with Database(url, pool_size=2) as database:
        writer = StoreWriter(database)
        for day in range(KNOWN_DAYS - 1, -1, -1):
            at = today_us - day * DAY_US + np.arange(288, dtype=np.int64) * 5 * MINUTE_US
            at = at[at < now_us]
            gauge = np.round(50 + np.cumsum(rng.normal(0, 0.5, (3, len(at))), axis=1), 1)
            counter = np.arange(len(at))[None, :] * np.array([[1.0], [2.0], [3.0]])  # begins anew each day
            index = np.repeat(np.arange(KNOWN_SERIES, dtype=np.int32), len(at))
            values = np.concatenate([gauge, counter]).ravel()
            batch = SampleBatch(np.tile(at, KNOWN_SERIES), values, index, keys)
            writer.load([BatchHandle("known", f"{KNOWN_DAYS - day}-0", batch)])
        thaw = ColdThaw(folder)
        refresh_fresh(database, now_us, 15, thaw)
        lifecycle.export(database, settings, now_us)
        lifecycle.move(database, settings, now_us)
        late = SampleBatch.of([(keys[0], today_us - LATE_DAY * DAY_US + 1, 99.5)])
        writer.load([BatchHandle("known", "late-0", late)])
        refresh_fresh(database, now_us, 15, thaw)
