"""Where each day's samples lie, what they take there, what becomes of them next, and what came late.

Belongs here: the lifecycle question. Does not: what is due (analytics.lifecycle), drawing.
"""

from dataclasses import dataclass

from muninn.analytics import cold_records
from muninn.analytics import lifecycle as tiers
from muninn.analytics.cold_records import RAW
from muninn.clock import DAY_US
from muninn.reads.asking import Asker
from muninn.settings import Settings
from muninn.store import partitions

_LATE_LOG = 50


@dataclass(frozen=True)
class DayTiers:
    """One UTC day. database_bytes: raw samples there, with indexes; file_bytes: in files; rollup_bytes: of one-day
    partitions of rollups; copy_bytes: rollups in files. rows: samples in files (None: not exported).

    moved: its raw samples left the database. changed: since the export. before_bytes: what they took there.
    """

    day_ms: int
    database_bytes: int
    file_bytes: int
    rollup_bytes: int
    copy_bytes: int
    rows: int | None
    moved: bool
    changed: bool
    before_bytes: int | None


@dataclass(frozen=True)
class Task:
    """What is done to a day of raw samples, or a partition of a rollup, and when; due: now."""

    action: str
    table: str
    day_ms: int
    due_ms: int
    bytes: int
    due: bool


@dataclass(frozen=True)
class Horizon:
    """A table: for how many days it is kept (None: for ever), and before when retention dropped it (None: nothing)."""

    table: str
    kept_days: int | None
    dropped_before_ms: int | None
    oldest_ms: int | None


@dataclass(frozen=True)
class Late:
    """Late samples of one hour that one refresh folded in: when the first was loaded, when it was done."""

    hour_ms: int
    samples: int
    series: int
    loaded_ms: int
    refreshed_ms: int


@dataclass(frozen=True)
class LifecycleState:
    """hot_days: raw samples stay in the database for that long. tasks: due ones first, then by time."""

    at_ms: int
    hot_days: int
    raw_days: int
    cold_enabled: bool
    days: tuple[DayTiers, ...]
    tasks: tuple[Task, ...]
    horizons: tuple[Horizon, ...]
    late: tuple[Late, ...]

    @property
    def ratio(self) -> float | None:
        """How many times smaller days are in files than they were in the database; None before the first."""
        both = [(day.before_bytes, day.file_bytes) for day in self.days if day.before_bytes and day.file_bytes]
        return sum(before for before, _ in both) / sum(after for _, after in both) if both else None


def lifecycle(ask: Asker, settings: Settings, now_us: int) -> LifecycleState:
    """Everything of it, from a few small queries."""
    kept = settings.store
    found = partitions.list_partitions(ask.database)
    planned = tiers.plan(ask.database, settings, now_us)
    return LifecycleState(
        at_ms=now_us // 1000,
        hot_days=settings.cold.hot_days_on(ask.database.engine, kept.raw_days),
        raw_days=kept.raw_days,
        cold_enabled=settings.cold.enabled,
        days=_days(ask, found, now_us),
        tasks=tuple(
            Task(task.action, task.table, task.day_us // 1000, task.due_us // 1000, task.bytes, task.due_us <= now_us)
            for task in planned
        ),
        horizons=_horizons(ask, settings, found),
        late=tuple(Late(*row) for row in ask.fetch("reads_late_log", limit=_LATE_LOG)),
    )


def _days(ask: Asker, found: list[partitions.Partition], now_us: int) -> tuple[DayTiers, ...]:
    exported = {day.day_us: day for day in cold_records.days(ask.database)}
    raw = {part.since_us: part.bytes for part in found if part.table == partitions.RAW and part.since_us <= now_us}
    rollups: dict[int, int] = {}
    for part in found:
        if part.table != partitions.RAW and part.until_us - part.since_us <= DAY_US:
            rollups[part.since_us] = rollups.get(part.since_us, 0) + part.bytes
    days = []
    for day_us in sorted(raw.keys() | exported.keys()):
        day = exported.get(day_us)
        copies = sum(file.bytes for file in day.files if file.content != RAW) if day else 0
        moved = day is not None and day.moved_us is not None
        before = (day.raw_bytes if moved else raw.get(day_us)) if day else None
        days.append(
            DayTiers(
                day_us // 1000,
                raw.get(day_us, 0),
                day.bytes if day else 0,
                rollups.get(day_us, 0),
                copies,
                day.rows if day else None,
                moved,
                day.changed if day else False,
                before,
            )
        )
    return tuple(days)


def _horizons(ask: Asker, settings: Settings, found: list[partitions.Partition]) -> tuple[Horizon, ...]:
    kept = settings.store
    days: dict[str, int | None] = {
        partitions.RAW: kept.raw_days,
        "rollup_1min": kept.rollup_1min_days,
        "rollup_5min": kept.rollup_5min_days,
        "rollup_1hour": kept.rollup_1hour_days,
        "rollup_1day": None,
    }
    dropped = partitions.horizons_us(ask.database)
    oldest: dict[str, int] = {}
    for part in found:
        oldest[part.table] = min(part.since_us, oldest.get(part.table, part.since_us))
    cold = [day.day_us for day in cold_records.days(ask.database)]
    if cold:
        oldest[partitions.RAW] = min([*cold, oldest.get(partitions.RAW, cold[0])])
    return tuple(
        Horizon(
            table,
            kept_days,
            dropped[table] // 1000 if dropped.get(table) else None,
            oldest[table] // 1000 if table in oldest else None,
        )
        for table, kept_days in days.items()
    )
