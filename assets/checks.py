"""Asset checks on counts: every partition's rollups hold exactly the samples that there are raw rows of.

Belongs here: comparing partitions and judging. Does not: checks of now (assets.pulse), repair: a difference stays
failed until it is gone, also when later partitions are fine.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from threading import Event

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from assets.lineage import Counts, counts
from assets.partitions import FIRST_US, day_key, hour_key, key_window
from assets.resources import MuninnResource
from assets.rollups import DAY, HOURS
from muninn.analytics import cold_records
from muninn.clock import DAY_US, HOUR_US, Clock
from muninn.model import Resolution, Window
from muninn.rollups.refresh import state
from muninn.store.database import Database
from muninn.store.partitions import RAW, horizons_us

MATCHES = "count_matches_raw"
DIFFERING = "differing_partitions"
# How long late samples that were just loaded get to reach the rollups, before the refresher is to blame.
LATE_PATIENCE_S = 60.0
_MAX_REMEMBERED = 500
_MAX_SHOWN = 100
_EVALUATED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}


class Partitions(dg.Config):
    """keys: of the partitions to compare; empty: those of the run, or the last closed one."""

    keys: list[str] = []  # noqa: RUF012 (pydantic copies it)


@dataclass(frozen=True)
class Span:
    """A kind of partition and the resolutions that are compared by it."""

    width_us: int
    resolutions: tuple[Resolution, ...]

    def key(self, since_us: int) -> str:
        """The partition that starts at `since_us`."""
        return hour_key(since_us) if self.width_us == HOUR_US else day_key(since_us)


BY_HOUR = Span(HOUR_US, HOURS)
BY_DAY = Span(DAY_US, (DAY,))


def _spec(resolution: Resolution) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        MATCHES,
        asset=resolution.view,
        description="Each partition's rollups count as many samples as there are raw rows.",
    )


@dg.multi_asset_check(specs=[_spec(resolution) for resolution in HOURS], can_subset=True)
def hours_match_raw(
    context: dg.AssetCheckExecutionContext, config: Partitions, muninn: MuninnResource
) -> Iterator[dg.AssetCheckResult]:
    """Compare hours at the resolutions that are partitioned by hour."""
    yield from _compare(context, config, muninn, BY_HOUR)


@dg.multi_asset_check(specs=[_spec(DAY)])
def days_match_raw(
    context: dg.AssetCheckExecutionContext, config: Partitions, muninn: MuninnResource
) -> Iterator[dg.AssetCheckResult]:
    """Compare whole days."""
    yield from _compare(context, config, muninn, BY_DAY)


def _compare(
    context: dg.AssetCheckExecutionContext, config: Partitions, muninn: MuninnResource, span: Span
) -> Iterator[dg.AssetCheckResult]:
    selected = [each for each in span.resolutions if _check_key(each) in context.selected_asset_check_keys]
    remembered = {resolution: _differed_before(context.instance, resolution) for resolution in selected}
    asked = config.keys or _partitions_of_run(context)
    with muninn.database() as database:
        since_us = _comparable_since(database, span)
        until_us = _closed_until(database, span)
        moved = set(cold_records.moved(database, cold_records.ALL_TIME))
        if not asked and until_us > FIRST_US:
            asked = [span.key(until_us - span.width_us)]
        wanted = {
            resolution: {
                window.since_us
                for key in (*asked, *remembered[resolution])
                for window in [key_window(key, span.width_us)]
                if window.since_us >= since_us[resolution]
                and window.until_us <= until_us
                # Its rows are in files: cold_samples has a check of its own.
                and window.since_us // DAY_US * DAY_US not in moved
            }
            for resolution in selected
        }
        found = _settled(database, sorted(set().union(*wanted.values())), span, muninn.clock)
    for resolution in selected:
        yield _verdict(resolution, [found[since_us] for since_us in sorted(wanted[resolution])], span)


def _check_key(resolution: Resolution) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(dg.AssetKey(resolution.view), MATCHES)


def _partitions_of_run(context: dg.AssetCheckExecutionContext) -> list[str]:
    run = context.op_execution_context
    return list(run.partition_keys) if run.has_partition_key or run.has_partition_key_range else []


def _differed_before(instance: dg.DagsterInstance, resolution: Resolution) -> list[str]:
    """The partitions that the last comparison found different."""
    key, storage = _check_key(resolution), instance.event_log_storage
    records = storage.get_asset_check_execution_history(key, limit=1, status=_EVALUATED)
    evaluation = records[0].evaluation if records else None
    remembered = evaluation.metadata.get(DIFFERING) if evaluation else None
    return [str(key) for key in remembered.value or ()] if isinstance(remembered, dg.JsonMetadataValue) else []


def _comparable_since(database: Database, span: Span) -> Mapping[Resolution, int]:
    """Before it retention has dropped raw samples or the rollup."""
    horizons = horizons_us(database)
    return {resolution: max(horizons[RAW], horizons[f"rollup_{resolution.name}"]) for resolution in span.resolutions}


def _closed_until(database: Database, span: Span) -> int:
    watermarks = {row.resolution: row.watermark_us for row in state(database)}
    return min(watermarks[resolution.name] for resolution in span.resolutions) // span.width_us * span.width_us


def _settled(database: Database, starts_us: Sequence[int], span: Span, clock: Clock) -> dict[int, Counts]:
    """The counts of these partitions, once late samples are in the rollups or have had their time."""
    found = _counted(database, starts_us, span)
    deadline, never = clock.monotonic() + LATE_PATIENCE_S, Event()
    while waiting := [since_us for since_us in starts_us if found[since_us].late_waiting]:
        if clock.monotonic() >= deadline:
            break
        clock.wait(2.0, never)
        found |= _counted(database, waiting, span)
    return found


def _counted(database: Database, starts_us: Sequence[int], span: Span) -> dict[int, Counts]:
    """A query per day, which keeps it well below the time limit."""
    found: dict[int, Counts] = {}
    for _, group in groupby(starts_us, key=lambda since_us: since_us // DAY_US):
        starts = list(group)
        window = Window(starts[0], starts[-1] + span.width_us)
        found |= {each.since_us: each for each in counts(database, window, span.width_us) if each.since_us in starts}
    return found


def _verdict(resolution: Resolution, compared: Sequence[Counts], span: Span) -> dg.AssetCheckResult:
    differing = [each for each in compared if _difference(each, resolution)]
    waiting = [each for each in differing if each.late_waiting]
    metadata: dict[str, dg.MetadataValue] = {
        "partitions": dg.MetadataValue.text(", ".join(span.key(each.since_us) for each in compared[:_MAX_SHOWN])),
        "raw_rows": dg.MetadataValue.int(sum(each.samples.get("raw", 0) for each in compared)),
        "rolled_up": dg.MetadataValue.int(sum(each.samples.get(resolution.name, 0) for each in compared)),
        "difference": dg.MetadataValue.int(sum(_difference(each, resolution) for each in compared)),
        DIFFERING: dg.MetadataValue.json([span.key(each.since_us) for each in differing[-_MAX_REMEMBERED:]]),
    }
    if differing:
        metadata["differences"] = dg.MetadataValue.md(_table(differing[:_MAX_SHOWN], resolution, span))
    return dg.AssetCheckResult(
        asset_key=resolution.view,
        check_name=MATCHES,
        passed=not differing,
        # It may all be on its way still; a difference that nothing explains is an error.
        severity=dg.AssetCheckSeverity.WARN if waiting and waiting == differing else dg.AssetCheckSeverity.ERROR,
        description=_sentence(compared, differing, waiting),
        metadata=metadata,
    )


def _difference(each: Counts, resolution: Resolution) -> int:
    return each.samples.get(resolution.name, 0) - each.samples.get("raw", 0)


def _sentence(compared: Sequence[Counts], differing: Sequence[Counts], waiting: Sequence[Counts]) -> str:
    if not compared:
        return "no closed partition whose raw rows are still kept was asked for"
    if not differing:
        return f"{len(compared)} of {len(compared)} partitions match"
    if len(waiting) == len(differing):
        return f"{len(differing)} of {len(compared)} partitions have late samples that the refresher has not folded in"
    return f"{len(differing)} of {len(compared)} partitions differ: materialise them to rebuild them from raw rows"


def _table(differing: Sequence[Counts], resolution: Resolution, span: Span) -> str:
    lines = [
        f"| {span.key(each.since_us)} | {each.samples.get('raw', 0):,} | {each.samples.get(resolution.name, 0):,} "
        f"| {_difference(each, resolution):+,} | {each.late_waiting:,} |"
        for each in differing
    ]
    return "\n".join(
        ["| partition | raw rows | rolled up | difference | late, waiting |", "|---|--:|--:|--:|--:|", *lines]
    )
