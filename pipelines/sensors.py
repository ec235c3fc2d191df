"""What follows from events in the store: hours that closed, and late samples.

Belongs here: noticing, having it recorded, asking for verification. Does not: dropped files (pipelines.landing),
work of more than some queries, for a tick holds up the other sensors.
"""

import json
import math
from collections.abc import Sequence

import dagster as dg

from assets.lineage import Cause, LateRefresh, Progress, caused_by, first_hour_us, late_refreshes, progress
from assets.partitions import FIRST_US, day_key, hour_key, start_earlier
from assets.resources import MuninnResource
from muninn.clock import DAY_US, HOUR_US, Clock
from muninn.model.window import as_datetime
from pipelines.jobs import CAUSE_TAG, verify_days, verify_hours
from pipelines.recorder import Recorder
from pipelines.reload import reload_definitions

MAX_HOURS_PER_TICK = 24
_MAX_REFRESHES_PER_TICK = 500
# A tick is cut off after 60 s; what is left over is for the next one.
_TICK_BUDGET_S = 20.0
_RELOADED = "there are samples from before the lineage's first day: the definitions are loaded anew"


@dg.sensor(
    jobs=[verify_hours, verify_days],
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Records each hour once when it is closed, raw samples and rollups, and has it verified.",
)
def closed_hours(context: dg.SensorEvaluationContext, muninn: MuninnResource) -> dg.SensorResult | dg.SkipReason:
    """Cursor: the lineage's first instant and the first hour that is not recorded, microseconds since the epoch."""
    with muninn.database() as database:
        first_us = None if context.cursor else first_hour_us(database)
        if first_us is not None and _starts_earlier(first_us, muninn):
            return dg.SkipReason(_RELOADED)
        reached = progress(database)
        next_us = max(_next_hour(context.cursor), reached.raw_since_us)
        if next_us >= reached.hours_until_us:
            return dg.SkipReason(f"the hour from {as_datetime(next_us):%Y-%m-%d %H:%M} is open")
        recorder, hours_us = Recorder(database, context.instance), list[int]()
        deadline_s, started_us = muninn.clock.monotonic() + _TICK_BUDGET_S, next_us
        while next_us < reached.hours_until_us and len(hours_us) < MAX_HOURS_PER_TICK:
            if hours_us and muninn.clock.monotonic() > deadline_s:
                break
            if recorder.hour(next_us, Cause("the hour has closed")):
                hours_us.append(next_us)
            next_us += HOUR_US
        ended = _days(range(started_us, next_us, HOUR_US), reached)
        closed, of_day = [day_us for day_us in ended if day_us + DAY_US <= next_us], Cause("the day has closed")
        days_us = [day_us for day_us in closed if recorder.day(day_us, of_day)]
    cursor = json.dumps({"first_us": FIRST_US, "next_us": next_us})
    if not recorder.events:
        return dg.SensorResult(skip_reason="all hours that have closed are recorded", cursor=cursor)
    keys = [hour_key(hour_us) for hour_us in hours_us] or [day_key(day_us) for day_us in days_us]
    cause = f"closed: {keys[0]}" + (f" to {keys[-1]}" if len(keys) > 1 else "")
    return dg.SensorResult(
        run_requests=_verification(hours_us, days_us, f"closed|{keys[0]}|{keys[-1]}", cause),
        asset_events=recorder.events,
        cursor=cursor,
    )


def _next_hour(cursor: str | None) -> int:
    """Where to go on; from the start where there is no cursor, or one of a lineage that started later."""
    last = json.loads(cursor) if cursor else {"first_us": math.inf}
    return int(last["next_us"]) if last["first_us"] <= FIRST_US else FIRST_US


def _starts_earlier(at_us: int, muninn: MuninnResource) -> bool:
    """Whether the lineage has to start earlier for this instant; then the definitions are loaded anew."""
    if at_us >= FIRST_US or not start_earlier(at_us):
        return False
    reload_definitions(muninn.settings)
    return True


@dg.sensor(
    jobs=[verify_hours, verify_days],
    minimum_interval_seconds=120,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Records the closed hours and days that the refresher recomputed for late samples; has them verified.",
)
def late_samples(context: dg.SensorEvaluationContext, muninn: MuninnResource) -> dg.SensorResult | dg.SkipReason:
    """Cursor: the last refresh of late samples that is recorded."""
    with muninn.database() as database:
        refreshes = late_refreshes(database, int(context.cursor or 0), _MAX_REFRESHES_PER_TICK)
        if not refreshes:
            return dg.SkipReason("no late samples since the last tick")
        recorder, reached = Recorder(database, context.instance), progress(database)
        oldest_us = min(each.hour_us for each in refreshes)
        if oldest_us >= reached.raw_since_us and _starts_earlier(oldest_us, muninn):
            return dg.SkipReason(_RELOADED)
        if recorder.newest_hour is None:
            return dg.SkipReason("no hour is recorded yet: each is recorded first when it closes")
        touched, seen = _touched(refreshes, recorder, reached, muninn.clock)
        hours_us = sorted({each.hour_us for each in touched})
        days_us = _days(hours_us, reached)
        for hour_us in hours_us:
            recorder.hour(hour_us, caused_by([each for each in touched if each.hour_us == hour_us]), again=True)
        for day_us in days_us:
            of_day = [each for each in touched if each.hour_us // DAY_US * DAY_US == day_us]
            recorder.day(day_us, caused_by(of_day), again=True)
    if not touched:
        return dg.SensorResult(skip_reason="the late samples lie in hours that are not recorded", cursor=str(seen))
    return dg.SensorResult(
        run_requests=_verification(hours_us, days_us, f"late|{seen}", caused_by(touched).text),
        asset_events=recorder.events,
        cursor=str(seen),
    )


def _touched(
    refreshes: Sequence[LateRefresh], recorder: Recorder, reached: Progress, clock: Clock
) -> tuple[list[LateRefresh], int]:
    """The refreshes of recorded hours, as many as a tick can look at, and the last refresh that is dealt with."""
    deadline_s, first_us = clock.monotonic() + _TICK_BUDGET_S, max(FIRST_US, reached.raw_since_us)
    newest, touched, hours, seen = recorder.newest_hour or "", list[LateRefresh](), set[int](), 0
    for each in refreshes:
        # Of an hour that is not recorded yet, the event of its closing will count the late samples.
        if first_us <= each.hour_us and hour_key(each.hour_us) <= newest:
            full = len(hours) >= MAX_HOURS_PER_TICK or (bool(hours) and clock.monotonic() > deadline_s)
            if each.hour_us not in hours and full:
                break
            recorder.look(each.hour_us)
            hours.add(each.hour_us)
            touched.append(each)
        seen = each.refresh_id
    return touched, seen


def _days(hours_us: Sequence[int], reached: Progress) -> list[int]:
    """The closed days that hold these hours."""
    days = sorted({hour_us // DAY_US * DAY_US for hour_us in hours_us})
    return [day_us for day_us in days if day_us + DAY_US <= reached.days_until_us]


def _verification(hours_us: Sequence[int], days_us: Sequence[int], key: str, cause: str) -> list[dg.RunRequest]:
    asked = (
        (verify_hours, "hours_match_raw", [hour_key(hour_us) for hour_us in hours_us]),
        (verify_days, "days_match_raw", [day_key(day_us) for day_us in days_us]),
    )
    return [
        dg.RunRequest(
            run_key=f"{key}|{job.name}",
            job_name=job.name,
            run_config={"ops": {check: {"config": {"keys": keys}}}},
            tags={CAUSE_TAG: cause},
        )
        for job, check, keys in asked
        if keys
    ]
