"""The refresher: makes partitions ahead and closes fresh buckets."""

import logging

from muninn.analytics.cold_thaw import ColdThaw
from muninn.errors import Unavailable
from muninn.rollups.refresh import refresh_fresh
from muninn.run.programs import Context
from muninn.store.database import Database
from muninn.store.partitions import ensure_ahead, tune

log = logging.getLogger(__name__)

_PARTITIONS_EVERY_S = 3600.0


def main(context: Context) -> None:
    """Refresh until stopped."""
    database = context.database()
    kept = context.settings.store
    context.start_heartbeat()
    partitions_due_s = context.clock.monotonic()
    while True:
        try:
            if context.clock.monotonic() >= partitions_due_s:
                tune(database, chunk_hours=kept.chunk_hours, columnstore_after_hours=kept.columnstore_after_hours)
                ensure_ahead(database, context.clock.now_us(), kept.ahead_days)
                partitions_due_s = context.clock.monotonic() + _PARTITIONS_EVERY_S
            _refresh(context, database)
        except Unavailable as error:
            context.meter.count("muninn_refresh_failures_total")
            log.warning("not refreshed: %s", error)
        if context.clock.wait(context.settings.rollups.refresh_s, context.stop):
            return


def _refresh(context: Context, database: Database) -> None:
    settings = context.settings
    thaw = ColdThaw(settings.cold_folder)
    result = refresh_fresh(database, context.clock.now_us(), settings.rollups.settle_s, thaw)
    context.meter.duration("muninn_refresh", result.seconds)
    for resolution, rows in result.rows_by_resolution.items():
        context.meter.count("muninn_refresh_rows_total", rows, resolution=resolution)
    context.meter.count("muninn_refresh_late_buckets_total", result.late_buckets)
