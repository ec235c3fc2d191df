"""What becomes of closed days: exported, moved to the cold tier, dropped. One plan for the CLI, Dagster and the page.

Belongs here: which days are due for what, and doing it. Does not: the steps of one day (cold_export).
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from muninn.analytics import cold_records
from muninn.analytics.cold_export import Exported, Moved, Step, check_file, export_day, move_day, nothing
from muninn.analytics.cold_records import Day
from muninn.clock import DAY_US, HOUR_US
from muninn.errors import Unavailable
from muninn.model.window import as_datetime
from muninn.settings import Settings
from muninn.store import partitions
from muninn.store.database import Database, Session

log = logging.getLogger(__name__)

# A file that no record names is left alone for this long: it may be in the making, or be read by somebody still.
GRACE_S = 3600.0
Action = Literal["export", "export again", "move", "drop"]


@dataclass(frozen=True)
class Task:
    """Something that is due, or will be at `due_us`: of one day (`raw_samples`) or one partition of a rollup."""

    action: Action
    table: str
    day_us: int
    due_us: int
    bytes: int


def plan(database: Database, settings: Settings, now_us: int) -> list[Task]:
    """What is due now and what comes next, in order of time; at `now_us` or before: due."""
    return sorted(
        [*_raw_tasks(database, settings, now_us), *_rollup_tasks(database, settings)],
        key=lambda task: (task.due_us, task.table, task.day_us, task.action),
    )


def _raw_tasks(database: Database, settings: Settings, now_us: int) -> Iterator[Task]:
    kept, cold = settings.store, settings.cold
    exported = {day.day_us: day for day in cold_records.days(database)}
    hot = {part.since_us: part for part in partitions.list_partitions(database) if part.table == partitions.RAW}
    hot_days = cold.hot_days_on(database.engine, kept.raw_days)
    for day_us in sorted(exported.keys() | hot.keys()):
        end_us, day, part = day_us + DAY_US, exported.get(day_us), hot.get(day_us)
        if end_us > now_us // DAY_US * DAY_US + DAY_US:  # made ahead
            continue
        size = part.bytes if part else day.bytes if day else 0
        yield Task("drop", partitions.RAW, day_us, end_us + kept.raw_days * DAY_US, size)
        if not cold.enabled:
            continue
        if day is None or day.changed:
            yield Task(
                "export again" if day else "export", partitions.RAW, day_us, end_us + cold.after_hours * HOUR_US, size
            )
        if part is not None and hot_days < kept.raw_days:
            yield Task("move", partitions.RAW, day_us, end_us + hot_days * DAY_US, part.bytes)


def _rollup_tasks(database: Database, settings: Settings) -> Iterator[Task]:
    """The next partition of each rollup to go."""
    kept = settings.store
    days = dict(
        zip(partitions.ROLLUPS, (kept.rollup_1min_days, kept.rollup_5min_days, kept.rollup_1hour_days), strict=False)
    )
    for part in partitions.list_partitions(database):
        if part.table in days:
            yield Task("drop", part.table, part.since_us, part.until_us + days[part.table] * DAY_US, part.bytes)


@dataclass(frozen=True)
class Retained:
    """What retention took: partitions of the database, days of the cold tier, bytes of files."""

    partitions: tuple[partitions.Dropped, ...]
    days: tuple[Day, ...]
    files: int
    file_bytes: int
    seconds: float


def export(
    database: Database, settings: Settings, now_us: int, step: Step = nothing, *, only: Sequence[int] | None = None
) -> list[Exported]:
    """Export what is due, or `only` these days in any case; days that wait for a refresh are left for the next time.

    Unavailable when another export runs, or loads hold an announcement up: what was exported until then stays.
    """
    tasks = [task for task in plan(database, settings, now_us) if task.action in ("export", "export again")]
    due = [task.day_us for task in tasks if task.due_us <= now_us] if only is None else list(only)
    with _alone(database) as session:
        found = [export_day(session, settings.cold_folder, day_us, step) for day_us in due]
    return [each for each in found if each is not None]


def move(database: Database, settings: Settings, now_us: int, step: Step = nothing) -> list[Moved]:
    """Take exported days out of the database that have been there for long enough, and what came to days that left."""
    due = {task.day_us for task in plan(database, settings, now_us) if task.action == "move" and task.due_us <= now_us}
    with _alone(database) as session:
        days = [day for day in cold_records.days(session) if day.day_us in due and not day.changed]
        found = [move_day(session, day, step) for day in days]
    return [each for each in found if each is not None]


def retain(
    database: Database, settings: Settings, now_us: int, progress: partitions.Progress | None = None
) -> Retained:
    """Drop what is no longer kept, in the database and in the cold tier, and files that no record names."""
    started = time.perf_counter()
    kept = settings.store
    dropped = partitions.drop_expired(
        database,
        now_us,
        raw_days=kept.raw_days,
        rollup_1min_days=kept.rollup_1min_days,
        rollup_5min_days=kept.rollup_5min_days,
        rollup_1hour_days=kept.rollup_1hour_days,
        progress=progress,
    )
    horizon_us = partitions.horizons_us(database)[partitions.RAW]
    gone = [day for day in cold_records.days(database) if day.window.until_us <= horizon_us]
    if gone:
        database.execute("cold_forget_days", before_us=horizon_us)
    paths = [settings.cold_folder / file.path for day in gone for file in day.files]
    if progress:
        progress("files", 0, len(paths))
    files, size = _unlink(paths)
    more = _unlink(list(unnamed(database, settings.cold_folder)))
    return Retained(tuple(dropped), tuple(gone), files + more[0], size + more[1], time.perf_counter() - started)


@dataclass(frozen=True)
class Verified:
    """How many files were read again, of how many; `faults`: what is wrong, a sentence each."""

    files: int
    of: int
    rows: int
    faults: tuple[str, ...]


def verify(
    database: Database, folder: Path, sample: int | None = None, progress: partitions.Progress | None = None
) -> Verified:
    """Read files again and compare them with their records: all of them, or a sample of so many."""
    files = [file for day in cold_records.days(database) for file in day.files]
    chosen = files
    if sample is not None and sample < len(files):
        places = np.random.default_rng().choice(len(files), sample, replace=False)
        chosen = [files[place] for place in sorted(places)]
    faults = []
    for done, file in enumerate(chosen):
        if progress:
            progress(f"{as_datetime(file.day_us):%Y-%m-%d}", done, len(chosen))
        try:
            check_file(folder, file)
        except Unavailable as error:
            faults.append(str(error))
    return Verified(len(chosen), len(files), sum(file.rows for file in chosen), tuple(faults))


def compare_with_rollups(database: Database) -> tuple[int, list[int]]:
    """How many exported days were compared, and those whose rollups count other samples than their files hold.

    A day that changed since its export is left out, and so is one whose daily rollups are open.
    """
    counted = {row.day_us: row.samples for row in database.fetch("cold_rollup_counts")}
    compared = {day.day_us: day.samples for day in cold_records.days(database) if not day.changed}
    return len(compared), [day_us for day_us, rows in compared.items() if counted.get(day_us, 0) != rows]


def unnamed(database: Database, folder: Path, grace_s: float = GRACE_S) -> Iterator[Path]:
    """Files of this database's part of the folder that no record names, and that are no longer young."""
    owner = folder / str(database.fetch("cold_owner")[0].owner)
    # First what is there, then what is named: a file is recorded after it is made.
    found = [path for path in owner.rglob("*") if path.is_file()] if owner.is_dir() else []
    named = {file.path for day in cold_records.days(database) for file in day.files}
    for path in found:
        old = time.time() - path.stat().st_mtime > grace_s
        if path.relative_to(folder).as_posix() not in named and old:
            yield path


@contextmanager
def _alone(database: Database) -> Iterator[Session]:
    with database.session(statement_timeout_s=0) as session:
        if not session.fetch("cold_lock")[0].held:
            raise Unavailable("another export is at work: try again when it is done")
        yield session


def _unlink(paths: Sequence[Path]) -> tuple[int, int]:
    """How many files went, and their bytes."""
    files = size = 0
    for path in paths:
        try:
            size += path.stat().st_size
            path.unlink()
            files += 1
        except FileNotFoundError:
            continue
        for folder in path.parents[:2]:  # metric_group=..., day=...
            if not any(folder.iterdir()):
                folder.rmdir()
    return files, size
