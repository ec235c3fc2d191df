"""Group lifecycle: what is kept, where, and for how long.

Belongs here: the cold tier, retention of Muninn's data and of Dagster's own history. Does not: how a day is exported,
moved or dropped (muninn.analytics).
"""

import time
from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

from assets.history import prune, size_bytes
from assets.raw import raw_samples
from assets.resources import MuninnResource
from assets.rollups import HOUR_SPECS
from muninn.analytics import cold_records, lifecycle
from muninn.analytics.cold_export import Exported, Moved
from muninn.clock import DAY_US
from muninn.model.window import as_datetime
from muninn.settings import Store
from muninn.store.partitions import RAW, Dropped, Partition, ensure_ahead, list_partitions

GROUP = "lifecycle"
_SHOWN = 100
_VERIFIED_FILES = 20
# Loads in flight may hold it up; the next night is far away.
_AGAIN = dg.RetryPolicy(max_retries=3, delay=60, backoff=dg.Backoff.EXPONENTIAL)


@dg.asset(
    deps=[dg.AssetDep(spec.key, partition_mapping=dg.LastPartitionMapping()) for spec in (raw_samples, *HOUR_SPECS)],
    group_name=GROUP,
    kinds={"parquet"},
    retry_policy=_AGAIN,
)
def cold_samples(context: dg.AssetExecutionContext, muninn: MuninnResource) -> dg.MaterializeResult[None]:
    """Closed days as Parquet files, verified; old days then leave the database."""
    started = time.perf_counter()
    now_us, settings = muninn.clock.now_us(), muninn.settings
    exported, moved = list[Exported](), list[Moved]()
    with muninn.database() as database:
        if settings.cold.enabled:
            exported = lifecycle.export(database, settings, now_us)
            moved = lifecycle.move(database, settings, now_us)
        days = cold_records.days(database)
    context.log.info("exported %d days, moved %d", len(exported), len(moved))
    return dg.MaterializeResult(
        metadata={
            "days_exported": dg.MetadataValue.int(len(exported)),
            "rows_exported": dg.MetadataValue.int(sum(day.rows for day in exported)),
            "bytes_before": dg.MetadataValue.int(sum(day.bytes_before for day in exported)),
            "bytes_after": dg.MetadataValue.int(sum(day.bytes for day in exported)),
            "days_moved": dg.MetadataValue.int(len(moved)),
            "bytes_freed": dg.MetadataValue.int(sum(day.bytes_before for day in moved)),
            "exported": dg.MetadataValue.md(_exported_table(exported)),
            "days_in_files": dg.MetadataValue.int(len(days)),
            "bytes_in_files": dg.MetadataValue.int(sum(file.bytes for day in days for file in day.files)),
            "seconds": dg.MetadataValue.float(round(time.perf_counter() - started, 3)),
        }
    )


@dg.asset_check(asset=cold_samples, name="files_hold_what_was_recorded")
def cold_files_verified(muninn: MuninnResource) -> dg.AssetCheckResult:
    """Rows and checksums of a sample of files, read again."""
    with muninn.database() as database:
        found = lifecycle.verify(database, muninn.settings.cold_folder, _VERIFIED_FILES)
    return dg.AssetCheckResult(
        passed=not found.faults,
        description="; ".join(found.faults) or f"{found.files} of {found.of} files read again: all as recorded",
        metadata={"files": found.files, "of": found.of, "rows": found.rows},
    )


@dg.asset_check(asset=cold_samples, name="rows_match_rollups")
def cold_rows_match(muninn: MuninnResource) -> dg.AssetCheckResult:
    """Each exported day's recorded rows against the samples that its rollups count."""
    with muninn.database() as database:
        compared, differing = lifecycle.compare_with_rollups(database)
    days = ", ".join(f"{as_datetime(day_us):%Y-%m-%d}" for day_us in differing[:_SHOWN])
    return dg.AssetCheckResult(
        passed=not differing,
        description=f"the rollups of {days} count other samples than the files hold" if differing else None,
        metadata={"days": compared, "differing": len(differing)},
    )


@dg.asset(
    deps=[cold_samples],
    group_name=GROUP,
    kinds={"postgres"},
    retry_policy=_AGAIN,
)
def retention(context: dg.AssetExecutionContext, muninn: MuninnResource) -> dg.MaterializeResult[None]:
    """Partitions for the days to come made, and partitions and files that are no longer kept dropped.

    Rows are PostgreSQL's estimates: counting what is dropped would read all of it.
    """
    started = time.perf_counter()
    now_us, kept = muninn.clock.now_us(), muninn.settings.store
    with muninn.database() as database:
        made = ensure_ahead(database, now_us, kept.ahead_days)
        retained = lifecycle.retain(database, muninn.settings, now_us)
        partitions = list_partitions(database)
    dropped = retained.partitions
    context.log.info("made %d partitions, dropped %d", made, len(dropped))
    return dg.MaterializeResult(
        metadata={
            "partitions_made": dg.MetadataValue.int(made),
            "partitions_dropped": dg.MetadataValue.int(len(dropped)),
            "rows_dropped": dg.MetadataValue.int(sum(part.rows for part in dropped)),
            "bytes_dropped": dg.MetadataValue.int(sum(part.bytes for part in dropped)),
            "dropped": dg.MetadataValue.md(_dropped_table(dropped)),
            "cold_days_dropped": dg.MetadataValue.int(len(retained.days)),
            "file_bytes_dropped": dg.MetadataValue.int(retained.file_bytes),
            "next": dg.MetadataValue.md(_next_table(partitions, kept)),
            "bytes_kept": dg.MetadataValue.int(sum(part.bytes for part in partitions)),
            "seconds": dg.MetadataValue.float(round(time.perf_counter() - started, 3)),
        }
    )


@dg.asset(group_name=GROUP, kinds={"postgres"})
def dagster_history(context: dg.AssetExecutionContext, muninn: MuninnResource) -> dg.MaterializeResult[None]:
    """Dagster's own database without old runs and their logs; what is materialised stays known."""
    started = time.perf_counter()
    keep_days = muninn.settings.dagster.keep_days
    before = as_datetime(muninn.clock.now_us()) - timedelta(days=keep_days)
    pruned = prune(context.instance, before)
    return dg.MaterializeResult(
        metadata={
            "runs_deleted": dg.MetadataValue.int(pruned.runs),
            "events_deleted": dg.MetadataValue.int(pruned.events),
            "check_results_deleted": dg.MetadataValue.int(pruned.checks),
            "ended_before": dg.MetadataValue.text(before.isoformat(timespec="seconds")),
            "database_bytes": dg.MetadataValue.int(size_bytes(context.instance)),
            "seconds": dg.MetadataValue.float(round(time.perf_counter() - started, 3)),
        }
    )


def _exported_table(exported: Sequence[Exported]) -> str:
    if not exported:
        return "nothing was due"
    lines = [
        f"| {as_datetime(day.day_us):%Y-%m-%d} | {day.rows:,} | {day.bytes_before:,} | {day.bytes:,} "
        f"| {day.rollup_bytes:,} | {day.seconds:.1f} |"
        for day in exported[:_SHOWN]
    ]
    head = "| day | rows | bytes in the database | bytes in files | rollups, bytes | seconds |"
    return "\n".join([head, "|---|--:|--:|--:|--:|--:|", *lines])


def _dropped_table(dropped: Sequence[Dropped]) -> str:
    if not dropped:
        return "nothing was due"
    lines = [
        f"| {part.table} | {as_datetime(part.since_us):%Y-%m-%d} | {as_datetime(part.until_us):%Y-%m-%d} "
        f"| {part.rows:,} | {part.bytes:,} |"
        for part in dropped[:_SHOWN]
    ]
    return "\n".join(["| table | since | until | rows | bytes |", "|---|---|---|--:|--:|", *lines])


def _next_table(partitions: Sequence[Partition], kept: Store) -> str:
    """Per table its oldest partition, and from when on that may be dropped."""
    days = {
        RAW: kept.raw_days,
        "rollup_1min": kept.rollup_1min_days,
        "rollup_5min": kept.rollup_5min_days,
        "rollup_1hour": kept.rollup_1hour_days,
    }
    lines = []
    for table, kept_days in days.items():
        oldest = min((part for part in partitions if part.table == table), key=lambda part: part.until_us, default=None)
        if oldest is not None:
            due = as_datetime(oldest.until_us + kept_days * DAY_US)
            lines.append(f"| {table} | {as_datetime(oldest.since_us):%Y-%m-%d} | {due:%Y-%m-%d} | {oldest.bytes:,} |")
    return "\n".join(["| table | oldest partition | dropped from | bytes |", "|---|---|---|--:|", *lines])
