"""Is all well: one state and its reasons for each part, from heartbeats, lag and freshness.

Belongs here: thresholds and sentences; pure. Does not: asking anyone (overview), addresses and pids (operations).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from muninn.clock import MINUTE_US, SECOND_US
from muninn.model import RESOLUTIONS
from muninn.reads.heartbeats import Heartbeats
from muninn.reads.values import Health, PartHealth, ProgramState, State

# Without the first two nothing flows; without the others charts age.
NEEDED: Mapping[str, tuple[State, str]] = {
    "gateway": ("down", "no sample comes in"),
    "loader": ("down", "samples wait in the buffer"),
    "refresher": ("degraded", "rollups are not refreshed"),
    "sidecar": ("degraded", "live charts stand still"),
    "alerter": ("degraded", "no rule is judged, nobody is told of trouble"),
    "detector": ("degraded", "anomalies are not found"),
}
# A program tells how it is every second.
SILENT_S = 5.0
LAG_DEGRADED_S = 10.0
LAG_DOWN_S = 120.0
# Beyond a bucket's own width and the time in which it settles.
ROLLUP_SLACK_US = 5 * MINUTE_US


@dataclass(frozen=True)
class StoreSigns:
    """What the store tells: its newest sample that is not ahead of now, and each resolution's watermark."""

    newest_us: int | None
    watermarks_us: Mapping[str, int]


def judge(now_us: int, heartbeats: Heartbeats, store: StoreSigns | None, switched_off: Collection[str] = ()) -> Health:
    """The state of every part; `store` is None while the database is away.

    switched_off: programs that nobody misses.
    """
    programs = [each for each in _programs(heartbeats, now_us) if each.part not in switched_off or each.state == "ok"]
    parts = [*programs, _buffer(heartbeats), _store(store, now_us), _rollups(store, now_us)]
    if not heartbeats.known:
        reason = "Redis does not answer: heartbeats and cached answers are missing"
        parts.append(PartHealth("cache", "degraded", (reason,)))
    return summed_up(parts)


def summed_up(parts: Sequence[PartHealth]) -> Health:
    """The worst of the parts, with a sentence that names the bad ones."""
    troubled = sorted((part for part in parts if part.state != "ok"), key=lambda part: part.state != "down")
    if not troubled:
        return Health("ok", "All is well.", tuple(parts))
    summary = "; ".join(f"{part.part}: {part.reasons[0]}" for part in troubled)
    return Health(troubled[0].state, f"{summary}.", tuple(parts))


def _programs(heartbeats: Heartbeats, now_us: int) -> Iterable[PartHealth]:
    if not heartbeats.known:
        return
    seen: dict[str, list[ProgramState]] = {name: [] for name in NEEDED}
    for program in heartbeats.programs(now_us):
        seen.setdefault(program.program, []).append(program)
    for name, instances in seen.items():
        yield _program(name, instances)


def _program(name: str, instances: Sequence[ProgramState]) -> PartHealth:
    if not instances:
        state, consequence = NEEDED[name]
        return PartHealth(name, state, (f"gives no sign of life: {consequence}",))
    silent = [program for program in instances if program.heartbeat_age_s > SILENT_S]
    reasons = tuple(f"{program.instance} has been silent for {program.heartbeat_age_s:.0f} s" for program in silent)
    return PartHealth(name, "degraded" if silent else "ok", reasons)


def _buffer(heartbeats: Heartbeats) -> PartHealth:
    lag_s = heartbeats.lag_s or 0.0
    reasons = (f"samples take {lag_s:.0f} s to get into the store",)
    return _by_limits("buffer", lag_s, reasons)


def _store(store: StoreSigns | None, now_us: int) -> PartHealth:
    if store is None:
        return PartHealth("store", "down", ("the database does not answer",))
    if store.newest_us is None:
        return PartHealth("store", "ok", ())
    age_s = (now_us - store.newest_us) / SECOND_US
    return _by_limits("store", age_s, (f"the newest sample is {_span(age_s)} old",))


def _rollups(store: StoreSigns | None, now_us: int) -> PartHealth:
    marks = store.watermarks_us if store is not None else {}
    reasons = tuple(
        f"{resolution.name} is {_span((now_us - marks[resolution.name]) / SECOND_US)} behind"
        for resolution in RESOLUTIONS
        # At the epoch: the first refresh is still to come, and raw samples answer until then.
        if marks.get(resolution.name, 0) > 0 and now_us - marks[resolution.name] > resolution.width_us + ROLLUP_SLACK_US
    )
    return PartHealth("rollups", "degraded" if reasons else "ok", reasons)


def _by_limits(part: str, seconds: float, reasons: tuple[str, ...]) -> PartHealth:
    if seconds <= LAG_DEGRADED_S:
        return PartHealth(part, "ok", ())
    return PartHealth(part, "down" if seconds > LAG_DOWN_S else "degraded", reasons)


def _span(seconds: float) -> str:
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"
