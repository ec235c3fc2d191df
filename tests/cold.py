"""The cold tier of a test: settings with a folder of its own, and what is true over both tiers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import stores

from muninn.analytics import cold_file, cold_records, lifecycle
from muninn.analytics.cold_thaw import ColdThaw
from muninn.clock import DAY_US, MINUTE_US
from muninn.model import RESOLUTIONS, SeriesKey
from muninn.rollups import refresh
from muninn.settings import Settings, load

Rows = list[tuple[SeriesKey, int, float]]


class Cold:
    """A store with a cold tier."""

    def __init__(self, store: stores.Postgres, folder: Path, **settings: int):
        self.store = store
        self.settings: Settings = load(
            {
                "MUNINN_COLD_FOLDER": str(folder),
                "MUNINN_COLD_HOT_DAYS": "3",
                **{f"MUNINN_{name.upper()}": str(value) for name, value in settings.items()},
            }
        )
        self.thaw = ColdThaw(self.settings.cold_folder)
        self._entries = 0

    @property
    def now_us(self) -> int:
        return self.store.clock.now_us()

    def load(self, rows: Rows) -> None:
        """As a loader does."""
        self._entries += 1
        self.store.load([stores.entry(rows, f"{self._entries}-0", "cold")])

    def refresh(self) -> None:
        """As the refresher does."""
        refresh.refresh_fresh(self.store.database, self.now_us, stores.SETTLE_S, self.thaw)

    def night(self) -> None:
        """Export, move, retention: what runs every night."""
        lifecycle.export(self.store.database, self.settings, self.now_us)
        lifecycle.move(self.store.database, self.settings, self.now_us)
        lifecycle.retain(self.store.database, self.settings, self.now_us)

    def days(self) -> list[cold_records.Day]:
        return cold_records.days(self.store.database)

    def in_database(self) -> int:
        return int(self.store.connection.execute("select count(*) from raw_samples").fetchone()[0])

    def truth(self) -> Rows:
        """Every sample once: files of days that left the database, and over them what the database has."""
        named = {row[0]: SeriesKey.of(*row[1:]) for row in self._series()}
        cold = [
            cold_records.read_day(self.settings.cold_folder, day) for day in self.days() if day.moved_us is not None
        ]
        hot = self.store.connection.execute("select series_id, epoch_us(at), value from raw_samples").fetchall()
        columns = cold_file.Columns(
            np.array([row[0] for row in hot], np.int32),
            np.array([row[1] for row in hot], np.int64),
            np.array([row[2] for row in hot], np.float64),
        )
        found = cold_file.overlaid(cold_file.concat(cold), columns)
        rows = zip(found.series_id.tolist(), found.at_us.tolist(), found.value.tolist(), strict=True)
        return [(named[series], at, value) for series, at, value in rows]

    def _series(self) -> Sequence[tuple[object, ...]]:
        return self.store.connection.execute(
            "select series_id, metric_name, tags, source_agent_id, instance_id from series"
        ).fetchall()

    def assert_rollups_are_of(self, rows: Rows) -> None:
        """Every resolution holds exactly these samples: counts, sums, extremes by bucket."""
        for resolution in RESOLUTIONS:
            expected: dict[tuple[SeriesKey, int], list[float]] = {}
            for key, at, value in rows:
                bucket = at // resolution.width_us * resolution.width_us
                expected.setdefault((key, bucket), []).append(value)
            found = {
                (each.key, each.bucket_us): (each.sample_count, each.min_value, each.max_value)
                for each in self.store.buckets(resolution)
            }
            assert found == {key: (len(of), min(of), max(of)) for key, of in expected.items()}, resolution.name


TODAY = stores.NOW_US // DAY_US * DAY_US
CPU = SeriesKey.of("cpu_busy_pct", {"host": "a"})
MEMORY = SeriesKey.of("memory_used_bytes", {"host": "a"})


def history(days: Sequence[int]) -> Rows:
    """Half an hour of samples of two series on each of these days, counted from today."""
    return [
        (key, TODAY + day * DAY_US + n * MINUTE_US // 2, round(10.0 + rank + n / 10 + day, 1))
        for day in days
        for rank, key in enumerate((CPU, MEMORY))
        for n in range(60)
    ]


def refreshed(store: stores.Postgres, folder: Path, days: Sequence[int]) -> Cold:
    """A store with the history of these days, closed and not exported yet."""
    made = Cold(store, folder)
    made.load(history(days))
    made.refresh()
    return made


def by_key(rows: Rows) -> Rows:
    return sorted(rows, key=lambda row: (row[0].canonical, row[1]))
