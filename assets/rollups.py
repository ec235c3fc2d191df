"""Group rollups: buckets of a minute to a day, rebuilt from raw samples on request.

Belongs here: the assets, and what is recorded with their partitions. Does not: the fresh end and late samples, which
the refresher program folds in every few seconds (muninn.rollups); sensors record what it did.
"""

from collections.abc import Iterator

import dagster as dg

from assets.lineage import Cause, Counts
from assets.partitions import DAILY, HOURLY, day_key, hour_key, window_of
from assets.raw import raw_samples
from assets.resources import MuninnResource
from muninn.analytics.cold_thaw import ColdThaw
from muninn.clock import SECOND_US
from muninn.model import RESOLUTIONS, Resolution
from muninn.model.window import as_datetime
from muninn.rollups.refresh import RefreshResult, refresh_window, state

GROUP = "rollups"
POOL = "rollups"
HOURS = RESOLUTIONS[:3]
DAY = RESOLUTIONS[3]
_WHO = "The refresher closes them and folds late samples in; a run here rebuilds them."


def _spec(resolution: Resolution, source: dg.AssetKey, partitions: dg.PartitionsDefinition[str]) -> dg.AssetSpec:
    return dg.AssetSpec(
        resolution.view,
        deps=[source],
        partitions_def=partitions,
        group_name=GROUP,
        kinds={"postgres"},
        description=f"Count, sum, minimum, maximum and quantile sketch of each series by {resolution.name}. {_WHO}",
    )


HOUR_SPECS = [
    _spec(resolution, source, HOURLY)
    for resolution, source in zip(HOURS, [raw_samples.key, *(dg.AssetKey(finer.view) for finer in HOURS)], strict=False)
]
DAY_SPEC = _spec(DAY, dg.AssetKey(HOURS[-1].view), DAILY)


@dg.multi_asset(
    name="hourly_rollups",
    specs=HOUR_SPECS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    pool=POOL,
)
def hourly_rollups(context: dg.AssetExecutionContext, muninn: MuninnResource) -> Iterator[dg.MaterializeResult[None]]:
    """Rebuild all levels of the hours from raw samples, in one pass. The day's bucket follows its hours."""
    window = window_of(context.partition_time_window)
    with muninn.database() as database:
        result = refresh_window(database, window, thaw=ColdThaw(muninn.settings.cold_folder))
        watermarks = {row.resolution: row.watermark_us for row in state(database)}
    context.log.info("rebuilt %s to %s in %.1f s", window.since, window.until, result.seconds)
    for resolution in HOURS:
        yield dg.MaterializeResult(
            asset_key=resolution.view, metadata=_rebuilt(result, resolution, watermarks[resolution.name])
        )


@dg.multi_asset(name="daily_rollups", specs=[DAY_SPEC], backfill_policy=dg.BackfillPolicy.single_run(), pool=POOL)
def daily_rollups(context: dg.AssetExecutionContext, muninn: MuninnResource) -> dg.MaterializeResult[None]:
    """Rebuild the buckets of whole days from those of their hours."""
    window = window_of(context.partition_time_window)
    with muninn.database() as database:
        result = refresh_window(database, window, only=DAY, thaw=ColdThaw(muninn.settings.cold_folder))
        watermarks = {row.resolution: row.watermark_us for row in state(database)}
    return dg.MaterializeResult(metadata=_rebuilt(result, DAY, watermarks[DAY.name]))


def _rebuilt(result: RefreshResult, resolution: Resolution, watermark_us: int) -> dict[str, dg.MetadataValue]:
    return {
        "cause": dg.MetadataValue.text("rebuilt by this run"),
        "rows_rebuilt": dg.MetadataValue.int(result.rows_by_resolution.get(resolution.name, 0)),
        "late_buckets": dg.MetadataValue.int(result.late_buckets),
        "seconds": dg.MetadataValue.float(round(result.seconds, 3)),
        "since": dg.MetadataValue.text(result.window.since.isoformat()),
        "until": dg.MetadataValue.text(result.window.until.isoformat()),
        "watermark": dg.MetadataValue.text(as_datetime(watermark_us).isoformat()),
    }


def closed_event(resolution: Resolution, counts: Counts, cause: Cause) -> dg.AssetMaterialization:
    """The refresher has these buckets of one hour or day: how many, and why now.

    late_rows: of the partition so far; cause_samples and cause_series: of this time, in figures that Dagster plots.
    """
    key = day_key(counts.since_us) if resolution is DAY else hour_key(counts.since_us)
    rows = counts.rows.get(resolution.name, 0)
    return dg.AssetMaterialization(
        dg.AssetKey(resolution.view),
        partition=key,
        description=f"{rows:,} rows: {cause.text}",
        metadata={
            "cause": dg.MetadataValue.text(cause.text),
            **_of_late(cause),
            "rows": dg.MetadataValue.int(rows),
            "dagster/partition_row_count": dg.MetadataValue.int(rows),
            "samples": dg.MetadataValue.int(counts.samples.get(resolution.name, 0)),
            "late_rows": dg.MetadataValue.int(counts.late_refreshed),
        },
    )


def _of_late(cause: Cause) -> dict[str, dg.MetadataValue]:
    if not cause.late:
        return {}
    return {
        "cause_samples": dg.MetadataValue.int(cause.samples),
        "cause_series": dg.MetadataValue.int(cause.series),
        "loaded_from": dg.MetadataValue.timestamp(min(each.loaded_us for each in cause.late) / SECOND_US),
        "refreshed_at": dg.MetadataValue.timestamp(max(each.refreshed_us for each in cause.late) / SECOND_US),
    }
