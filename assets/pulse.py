"""Asset checks of now: data time, the buffer, the refresher, partitions ahead. All from one look at the pipeline.

Belongs here: judging a PipelineState. Does not: looking (muninn.reads), counts of partitions (assets.checks).
"""

from collections.abc import Iterator
from functools import partial

import dagster as dg

from assets.lifecycle import retention
from assets.raw import raw_samples
from assets.resources import MuninnResource
from assets.rollups import HOURS
from muninn.clock import DAY_US
from muninn.errors import Unavailable
from muninn.reads.values import PipelineState
from muninn.store.partitions import RAW, ROLLUPS

STALE_WARN_S, STALE_ERROR_S = 60.0, 600.0
LAG_WARN_S, LAG_ERROR_S = 30.0, 300.0
# A minute until the bucket ends, the time it settles, and some refreshes that took longer.
BEHIND_WARN_S, BEHIND_ERROR_S = 300.0, 1800.0

_CURRENT = dg.AssetCheckSpec(
    "data_is_current", asset=raw_samples.key, description="The newest sample's own time is close to now."
)
_DRAINED = dg.AssetCheckSpec(
    "buffer_is_drained", asset=raw_samples.key, description="What the gateway took reaches the store at once."
)
_CLOSED = dg.AssetCheckSpec(
    "buckets_are_closed", asset=HOURS[0].view, description="The refresher closes each minute soon after its end."
)
_AHEAD = dg.AssetCheckSpec(
    "partitions_are_ahead", asset=retention, description="No partition of the days to come is missing."
)
PULSE = (_CURRENT, _DRAINED, _CLOSED, _AHEAD)


@dg.multi_asset_check(specs=PULSE, can_subset=True)
def pulse(context: dg.AssetCheckExecutionContext, muninn: MuninnResource) -> Iterator[dg.AssetCheckResult]:
    """Look once and judge four things."""
    with muninn.reads() as reads:
        seen = reads.pipeline(muninn.clock.now_us())
    if seen.store_away is not None:
        raise Unavailable(seen.store_away)
    judged = (
        (_CURRENT, current),
        (_DRAINED, drained),
        (_CLOSED, closed),
        (_AHEAD, partial(ahead, days=muninn.settings.store.ahead_days)),
    )
    for spec, judge in judged:
        if spec.key in context.selected_asset_check_keys:
            yield judge(seen)


def current(seen: PipelineState) -> dg.AssetCheckResult:
    """Data time, from the rows themselves."""
    if seen.newest_sample_ms is None:
        return _result(_CURRENT, None, STALE_WARN_S, STALE_ERROR_S, "there is no sample yet")
    age_s = (seen.at_ms - seen.newest_sample_ms) / 1000
    return _result(_CURRENT, age_s, STALE_WARN_S, STALE_ERROR_S, f"the newest sample is {age_s:,.0f} s old")


def drained(seen: PipelineState) -> dg.AssetCheckResult:
    """The loaders' lag; it is not known while none of them tells."""
    if seen.loader_lag_s is None:
        return _result(_DRAINED, None, LAG_WARN_S, LAG_ERROR_S, "no loader tells how far it is")
    text = f"{seen.buffer_depth_entries or 0:,} entries wait, loaded {seen.loader_lag_s:,.1f} s after they came"
    return _result(_DRAINED, seen.loader_lag_s, LAG_WARN_S, LAG_ERROR_S, text)


def closed(seen: PipelineState) -> dg.AssetCheckResult:
    """How far the 1-minute watermark is behind now."""
    behind_s = next((row.behind_s for row in seen.resolutions or () if row.resolution == HOURS[0].name), None)
    if behind_s is None:
        return _result(_CLOSED, None, BEHIND_WARN_S, BEHIND_ERROR_S, "nothing was refreshed yet")
    text = f"closed up to {behind_s:,.0f} s before now, {seen.late_rows_waiting:,} late samples wait"
    return _result(_CLOSED, behind_s, BEHIND_WARN_S, BEHIND_ERROR_S, text)


def ahead(seen: PipelineState, days: int) -> dg.AssetCheckResult:
    """Every instant of today and of the days to come has a partition in every table, where rows need one before."""
    today_ms = seen.at_ms * 1000 // DAY_US * DAY_US // 1000
    until_ms = today_ms + (days + 1) * DAY_US // 1000
    tables = (RAW, *ROLLUPS) if seen.partitions_made_ahead else ()
    missing = {table: day for table in tables if (day := _first_gap(seen, table, today_ms, until_ms))}
    # Without a partition for tomorrow, loading stops at midnight.
    urgent = any(gap_ms < today_ms + 2 * DAY_US // 1000 for gap_ms in missing.values())
    return dg.AssetCheckResult(
        asset_key=_AHEAD.asset_key,
        check_name=_AHEAD.name,
        passed=not missing,
        severity=dg.AssetCheckSeverity.ERROR if urgent else dg.AssetCheckSeverity.WARN,
        description=f"missing for {', '.join(missing)}: materialise `retention`" if missing else "all are there",
        metadata={
            "partitions": dg.MetadataValue.int(len(seen.partitions or ())),
            "bytes": dg.MetadataValue.int(seen.bytes_on_disk or 0),
            "missing_from": dg.MetadataValue.json({table: day_ms // 1000 for table, day_ms in missing.items()}),
        },
    )


def _first_gap(seen: PipelineState, table: str, since_ms: int, until_ms: int) -> int | None:
    reached_ms = since_ms
    for part in sorted((part for part in seen.partitions or () if part.table == table), key=lambda part: part.since_ms):
        if part.since_ms <= reached_ms < part.until_ms:
            reached_ms = part.until_ms
    return None if reached_ms >= until_ms else reached_ms


def _result(
    spec: dg.AssetCheckSpec, seconds: float | None, warn_s: float, error_s: float, text: str
) -> dg.AssetCheckResult:
    """Fine up to `warn_s`, an error from `error_s` on; a figure that is not known is a warning."""
    metadata: dict[str, dg.MetadataValue] = {"limits": dg.MetadataValue.text(f"{warn_s:g} s, {error_s:g} s")}
    if seconds is not None:
        metadata["seconds"] = dg.MetadataValue.float(round(seconds, 3))
    return dg.AssetCheckResult(
        asset_key=spec.asset_key,
        check_name=spec.name,
        passed=seconds is not None and seconds <= warn_s,
        severity=(
            dg.AssetCheckSeverity.ERROR if seconds is not None and seconds >= error_s else dg.AssetCheckSeverity.WARN
        ),
        description=text,
        metadata=metadata,
    )
