"""The way from the door to the rollups, as it is now.

Belongs here: the pipeline question. Does not: judging it (health).
"""

from dataclasses import dataclass

from muninn.clock import SECOND_US
from muninn.errors import Unavailable
from muninn.model.window import as_datetime
from muninn.reads.asking import Asker
from muninn.reads.heartbeats import Heartbeats
from muninn.reads.values import PartitionInfo, PipelineState, RollupFreshness


@dataclass(frozen=True)
class _Stored:
    """What only the store knows; nothing of it while the store is away."""

    newest_sample_ms: int | None = None
    late_rows_waiting: int | None = None
    resolutions: tuple[RollupFreshness, ...] | None = None
    partitions: tuple[PartitionInfo, ...] | None = None
    bytes_on_disk: int | None = None
    partitions_made_ahead: bool = True
    store_away: str | None = None


def pipeline(ask: Asker, heartbeats: Heartbeats, now_us: int) -> PipelineState:
    """Figures of the programs from the board, those of the store from three queries; the former without the latter."""
    depth, held = heartbeats.worst("muninn_buffer_depth_entries"), heartbeats.worst("muninn_buffer_held_bytes")
    return PipelineState(
        at_ms=now_us // 1000,
        ingest_samples_per_s=heartbeats.rate("muninn_ingest_samples_total"),
        rejected_samples_per_s=heartbeats.rate("muninn_ingest_rejected_total"),
        stored_samples_per_s=heartbeats.rate("muninn_loader_rows_total"),
        buffer_depth_entries=None if depth is None else int(depth),
        buffer_bytes=None if held is None else int(held),
        loader_lag_s=heartbeats.worst("muninn_loader_lag_s"),
        programs=heartbeats.programs(now_us),
        buffer_lag_s=heartbeats.worst("muninn_buffer_lag_s"),
        **vars(_stored(ask, now_us)),
    )


def _stored(ask: Asker, now_us: int) -> _Stored:
    try:
        store = ask.fetch("reads_pipeline_store", now=as_datetime(now_us))[0]
        partitions = _partitions(ask)
        return _Stored(
            newest_sample_ms=store.newest_ms,
            late_rows_waiting=store.late_waiting,
            resolutions=_resolutions(ask, now_us),
            partitions=partitions,
            bytes_on_disk=sum(partition.bytes for partition in partitions),
            partitions_made_ahead=store.made_ahead,
        )
    except Unavailable as error:
        return _Stored(store_away=str(error))


def _partitions(ask: Asker) -> tuple[PartitionInfo, ...]:
    return tuple(
        PartitionInfo(row.table_name, row.since_us // 1000, row.until_us // 1000, row.rows_estimate, row.bytes)
        for row in ask.fetch("store_list_partitions")
    )


def _resolutions(ask: Asker, now_us: int) -> tuple[RollupFreshness, ...]:
    return tuple(
        RollupFreshness(
            resolution=row.resolution,
            # At the epoch: never refreshed.
            watermark_ms=row.watermark_us // 1000 if row.watermark_us > 0 else None,
            behind_s=(now_us - row.watermark_us) / SECOND_US if row.watermark_us > 0 else None,
            late_waiting=row.late_waiting,
        )
        for row in ask.fetch("reads_pipeline_rollups")
    )
