"""The refresher: makes partitions ahead and closes fresh buckets, or sees to it that the database does."""

import logging

from muninn.analytics.cold_thaw import ColdThaw
from muninn.clock import SECOND_US, Clock
from muninn.errors import Unavailable
from muninn.meter import Meter
from muninn.rollups.owner import JobState, Owner, appoint, job_state
from muninn.rollups.refresh import RefreshResult, refresh_fresh, refresh_late
from muninn.run.programs import Context
from muninn.store.database import Database
from muninn.store.partitions import ensure_ahead, tune

log = logging.getLogger(__name__)

_CHORES_EVERY_S = 3600.0
_HOUR_S = 3600.0
# A job that has not succeeded for so many of its intervals, and so many seconds, is in trouble.
_MISSED_RUNS = 6
_MISSED_S = 120.0


def main(context: Context) -> None:
    """Refresh until stopped."""
    database = context.database()
    context.start_heartbeat()
    chores_due_s = context.clock.monotonic()
    owner: Owner | None = None
    job = JobWatch(context.clock, context.meter, context.settings.rollups.refresh_s)
    while True:
        try:
            if context.clock.monotonic() >= chores_due_s:
                owner = _chores(context, database)
                chores_due_s = context.clock.monotonic() + _CHORES_EVERY_S
            if owner == "database":
                job.look(job_state(database))
                _refresh_late(context, database)
            elif owner == "muninn":
                _refresh(context, database)
        except Unavailable as error:
            context.meter.count("muninn_refresh_failures_total")
            log.warning("not refreshed: %s", error)
        if context.clock.wait(context.settings.rollups.refresh_s, context.stop):
            return


def _chores(context: Context, database: Database) -> Owner:
    kept, rollups = context.settings.store, context.settings.rollups
    tune(database, chunk_hours=kept.chunk_hours, columnstore_after_hours=kept.columnstore_after_hours)
    ensure_ahead(database, context.clock.now_us(), kept.ahead_days)
    return appoint(
        database,
        rollups.refreshed_by,
        every_s=rollups.refresh_s,
        settle_s=rollups.settle_s,
        lateness_s=rollups.lateness_h * _HOUR_S,
    )


def _refresh(context: Context, database: Database) -> None:
    settings = context.settings
    thaw = ColdThaw(settings.cold_folder)
    result = refresh_fresh(database, context.clock.now_us(), settings.rollups.settle_s, thaw)
    context.meter.duration("muninn_refresh", result.seconds)
    _count(context, result)


def _refresh_late(context: Context, database: Database) -> None:
    """What the database's own job leaves: late samples older than the lateness that it covers."""
    settings = context.settings.rollups
    before_us = context.clock.now_us() - round((settings.lateness_h * _HOUR_S + settings.settle_s) * SECOND_US)
    _count(context, refresh_late(database, before_us, ColdThaw(context.settings.cold_folder)))


def _count(context: Context, result: RefreshResult) -> None:
    for resolution, rows in result.rows_by_resolution.items():
        context.meter.count("muninn_refresh_rows_total", rows, resolution=resolution)
    context.meter.count("muninn_refresh_late_buckets_total", result.late_buckets)


class JobWatch:
    """What is measured of the database's own refresh, every `every_s`, and what is said when it does not come about."""

    def __init__(self, clock: Clock, meter: Meter, every_s: float):
        self._clock = clock
        self._meter = meter
        self._patience_s = max(_MISSED_S, _MISSED_RUNS * every_s)
        self._last: JobState | None = None
        self._since_us = clock.now_us()
        self._told = False

    def look(self, seen: JobState | None) -> None:
        """Take note of the job as it is now."""
        if seen is None:
            return
        last, self._last = self._last, seen
        if last is not None and seen.runs > last.runs and seen.seconds is not None:
            self._meter.duration("muninn_refresh", seen.seconds)
        if last is not None and seen.failures > last.failures:
            self._meter.count("muninn_refresh_failures_total", seen.failures - last.failures)
        self._warn(seen)

    def _warn(self, seen: JobState) -> None:
        silent_s = (self._clock.now_us() - max(self._since_us, seen.succeeded_us or 0)) / SECOND_US
        missed = silent_s > self._patience_s
        if missed and not self._told:
            log.warning(
                "the database has not refreshed for %d s: timescaledb_information.job_errors may say why. Its jobs need"
                " free workers (timescaledb.max_background_workers, max_worker_processes); or let Muninn refresh:"
                " MUNINN_ROLLUPS_REFRESHED_BY=muninn",
                silent_s,
            )
        if self._told and not missed:
            log.info("the database refreshes again")
        self._told = missed
