"""Group lifecycle: what is kept, and for how long.

Belongs here: retention of Muninn's data and of Dagster's own history. Does not: how it is dropped (muninn.store).
"""

import time
from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

from assets.history import prune, size_bytes
from assets.raw import raw_samples
from assets.resources import MuninnResource
from assets.rollups import HOUR_SPECS
from muninn.clock import DAY_US
from muninn.model.window import as_datetime
from muninn.settings import Store
from muninn.store.partitions import RAW, Dropped, Partition, drop_expired, ensure_ahead, list_partitions

GROUP = "lifecycle"
_SHOWN = 100


@dg.asset(
    deps=[dg.AssetDep(spec.key, partition_mapping=dg.LastPartitionMapping()) for spec in (raw_samples, *HOUR_SPECS)],
    group_name=GROUP,
    kinds={"postgres"},
    # Loads in flight may hold it up; the next night is far away.
    retry_policy=dg.RetryPolicy(max_retries=3, delay=60, backoff=dg.Backoff.EXPONENTIAL),
)
def retention(context: dg.AssetExecutionContext, muninn: MuninnResource) -> dg.MaterializeResult[None]:
    """Partitions for the days to come made, and those that are no longer kept dropped.

    Rows are PostgreSQL's estimates: counting what is dropped would read all of it.
    """
    started = time.perf_counter()
    now_us, kept = muninn.clock.now_us(), muninn.settings.store
    with muninn.database() as database:
        made = ensure_ahead(database, now_us, kept.ahead_days)
        dropped = drop_expired(
            database,
            now_us,
            raw_days=kept.raw_days,
            rollup_1min_days=kept.rollup_1min_days,
            rollup_5min_days=kept.rollup_5min_days,
            rollup_1hour_days=kept.rollup_1hour_days,
        )
        partitions = list_partitions(database)
    context.log.info("made %d partitions, dropped %d", made, len(dropped))
    return dg.MaterializeResult(
        metadata={
            "partitions_made": dg.MetadataValue.int(made),
            "partitions_dropped": dg.MetadataValue.int(len(dropped)),
            "rows_dropped": dg.MetadataValue.int(sum(part.rows for part in dropped)),
            "bytes_dropped": dg.MetadataValue.int(sum(part.bytes for part in dropped)),
            "dropped": dg.MetadataValue.md(_dropped_table(dropped)),
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
