"""Days into the cold tier, and out of the database.

Belongs here: the order of steps, so that a crash between any two loses nothing and doubles nothing. Does not: which
days are due (lifecycle), the file format (cold_file).

Export: the day is announced while no load is in flight; from then on loads note what they change. One snapshot is
written to files with names of their own, which are read back and compared; one transaction records them and takes
out the changes that the snapshot saw. Move: one transaction, while no load and no refresh is in flight, sees that
nothing changed since, drops the partition and says so. Whatever a crash leaves is a file that no record names.
"""

import logging
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from muninn.analytics import cold_file, cold_records, cold_rollups
from muninn.analytics.cold_file import Columns, Writer
from muninn.analytics.cold_records import RAW, Day, File
from muninn.clock import DAY_US
from muninn.errors import Invalid, Unavailable
from muninn.model import RESOLUTIONS, Distributions, Window
from muninn.model.window import as_datetime
from muninn.store import arrays, partitions
from muninn.store.binary_copy import PG_EPOCH_US
from muninn.store.database import Session, Transaction

log = logging.getLogger(__name__)

# Called at each step of a day with its name: announced, writing, renamed, verified, recorded, moving, dropped, moved.
Step = Callable[[str, int], None]

_LOCK_TIMEOUT_S = 5.0
_CHUNK_ROWS = 1_000_000


@dataclass(frozen=True)
class Exported:
    """A day whose rows and rollups lie in files now. bytes_before: its raw rows in the database."""

    day_us: int
    rows: int
    series: int
    bytes: int
    rollup_bytes: int
    bytes_before: int
    seconds: float


@dataclass(frozen=True)
class Moved:
    """A day whose raw rows left the database: rows in its files, bytes there and bytes that they took here."""

    day_us: int
    rows: int
    bytes: int
    bytes_before: int
    seconds: float


def nothing(step: str, day_us: int) -> None:
    """Tell nobody."""


def export_day(session: Session, folder: Path, day_us: int, step: Step = nothing) -> Exported | None:
    """Write the files of a day and record them; None where late samples wait to be refreshed, or rollups are behind.

    A day that left the database already gets its files and what came since united. Unavailable when a load holds
    the announcement up, or a file does not come back as it was written: then nothing is recorded.
    """
    started = time.perf_counter()
    window = Window(day_us, day_us + DAY_US)
    owner = _announce(session, window.until_us)
    step("announced", day_us)
    job = _Export(folder, owner, window, step)
    with session.transaction() as snapshot:
        snapshot.script("set transaction isolation level repeatable read, read only")
        state = snapshot.fetch("cold_day_state", day_us=day_us)[0]
        if state.late_waiting or state.watermark_us < window.until_us:
            return None
        before = _partition(snapshot, day_us)
        job.write(snapshot, next(iter(cold_records.days(snapshot, window)), None) if state.moved else None)
    job.verify()
    step("verified", day_us)
    replaced = [folder / file.path for day in cold_records.days(session, window) for file in day.files]
    _record(session, day_us, state, job.files)
    _stay_for_now(replaced)
    step("recorded", day_us)
    raw = [file for file in job.files if file.content == RAW]
    return Exported(
        day_us,
        rows=sum(file.rows for file in raw),
        series=sum(file.series for file in raw),
        bytes=sum(file.bytes for file in raw),
        rollup_bytes=sum(file.bytes for file in job.files) - sum(file.bytes for file in raw),
        bytes_before=before.bytes if before else 0,
        seconds=time.perf_counter() - started,
    )


def move_day(session: Session, day: Day, step: Step = nothing) -> Moved | None:
    """Drop the database's raw rows of an exported day; None where it changed since, or has nothing there.

    Unavailable when loads or refreshes do not let go for some seconds: nothing was dropped.
    """
    started = time.perf_counter()
    step("moving", day.day_us)
    with session.transaction(lock_timeout_s=_LOCK_TIMEOUT_S) as transaction:
        transaction.execute("store_refresh_lock")
        transaction.execute("store_exclude_loads")
        state = transaction.fetch("cold_day_state", day_us=day.day_us)[0]
        partition = _partition(transaction, day.day_us)
        if state.change_ids or state.late_waiting or partition is None:
            return None
        if not state.moved:
            _same_count(transaction, day)
        transaction.execute("store_drop_partition", partition=partition.name)
        transaction.execute("cold_mark_moved", day_us=day.day_us, raw_bytes=partition.bytes)
        step("dropped", day.day_us)
    step("moved", day.day_us)
    log.info("moved %s to the cold tier (%d rows)", as_datetime(day.day_us).date(), day.rows)
    return Moved(day.day_us, day.rows, day.bytes, partition.bytes, time.perf_counter() - started)


def _announce(session: Session, until_us: int) -> str:
    tier = session.fetch("cold_owner")[0]
    if tier.announced_us < until_us:
        with session.transaction(lock_timeout_s=_LOCK_TIMEOUT_S) as transaction:
            transaction.execute("store_exclude_loads")
            transaction.execute("cold_announce", until_us=until_us)
    return str(tier.owner)


def _partition(source: Transaction, day_us: int) -> partitions.Partition | None:
    found = (partitions.Partition(*row) for row in source.fetch("store_list_partitions"))
    return next((one for one in found if one.table == partitions.RAW and one.since_us == day_us), None)


def _same_count(transaction: Transaction, day: Day) -> None:
    """The last look before rows go: nobody but loads writes them, and loads note it, yet counting is cheap."""
    there = transaction.fetch("cold_count_raw", since_us=day.window.since_us, until_us=day.window.until_us)[0].rows
    if there != day.rows:
        raise Unavailable(
            f"{as_datetime(day.day_us).date()} has {there:,} rows in the database and {day.rows:,} in its files:"
            " nothing was dropped. `muninn lifecycle export --again` makes the files anew"
        )


def _record(session: Session, day_us: int, state: Any, files: list[File]) -> None:
    with session.transaction() as transaction:
        transaction.execute("cold_forget_changes", change_ids=np.array(state.change_ids, np.int64))
        transaction.execute("cold_record_day", day_us=day_us, watermark_us=state.watermark_us)
        transaction.execute("cold_forget_files", day_us=day_us)
        for file in files:
            transaction.execute(
                "cold_record_file",
                day_us=day_us,
                content=file.content,
                metric_group=file.metric_group,
                path=file.path,
                rows=file.rows,
                samples=file.samples,
                series=file.series,
                bytes=file.bytes,
                checksum=file.checksum,
            )


def _stay_for_now(replaced: Iterable[Path]) -> None:
    """Retention sweeps files that no record names when they are no longer young: whoever reads these goes on."""
    for path in replaced:
        with suppress(FileNotFoundError):
            os.utime(path)


@dataclass
class _Export:
    """The files of one day in the making."""

    folder: Path
    owner: str
    window: Window
    step: Step
    files: list[File] = field(default_factory=list)

    def write(self, snapshot: Transaction, cold: Day | None) -> None:
        """Everything of the day, as the snapshot sees it and as its files say, where it left the database."""
        old = {file.metric_group: file for file in cold.raw} if cold else {}
        rows = snapshot.stream("cold_read_raw", since_us=self.window.since_us, until_us=self.window.until_us)
        for group, of_group in groupby(rows, lambda row: str(row.metric_group)):
            pieces = columns_of(of_group)
            self._write_raw(group, _united(self.folder, old.pop(group), pieces) if group in old else pieces)
        for group, file in old.items():
            self._write_raw(group, cold_file.scan(cold_records.located(self.folder, file)))
        for resolution in RESOLUTIONS:
            path = self._path(resolution.name, "all")
            written = cold_rollups.write(snapshot, resolution, self.window, path)
            if written.rows:
                self._made(path, resolution.name, "all", written)

    def verify(self) -> None:
        """Read every file back; Unavailable where one does not hold what was written."""
        for file in self.files:
            check_file(self.folder, file)

    def _write_raw(self, group: str, pieces: Iterator[Columns]) -> None:
        path = self._path(RAW, group)
        writer = Writer(path)
        for piece in pieces:
            writer.add(piece)
            self.step("writing", self.window.since_us)
        self._made(path, RAW, group, writer.close())

    def _path(self, content: str, group: str) -> Path:
        """A name that no other export of the day has: whoever reads the files before goes on reading them."""
        day = f"{self.window.since:%Y-%m-%d}"
        folder = self.folder / self.owner / content / f"day={day}" / f"metric_group={group}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{uuid.uuid4().hex[:12]}.parquet"

    def _made(self, path: Path, content: str, group: str, written: cold_file.Written) -> None:
        where = path.relative_to(self.folder).as_posix()
        # bigint has a sign.
        checksum = int(np.uint64(written.checksum).astype(np.int64))
        sizes = (written.rows, written.samples, written.series, written.bytes)
        self.files.append(File(self.window.since_us, content, group, where, *sizes, checksum))
        self.step("renamed", self.window.since_us)


def check_file(folder: Path, file: File) -> None:
    """Unavailable where a file does not hold what its record says: rows and checksum, or rows of rollups."""
    path = cold_records.located(folder, file)
    try:
        rows, checksum = (cold_rollups.rows(path), 0) if file.content != RAW else _summed(path)
    except Invalid as error:
        raise Unavailable(str(error)) from error
    if (rows, checksum) != (file.rows, file.checksum):
        raise Unavailable(f"{path} holds {rows:,} rows instead of {file.rows:,}, or others than were written")


def _summed(path: Path) -> tuple[int, int]:
    rows, checksum = 0, 0
    for piece in cold_file.scan(path):
        rows += len(piece)
        checksum = (checksum + piece.checksum()) & ((1 << 64) - 1)
    return rows, int(np.uint64(checksum).astype(np.int64))


def columns_of(rows: Iterator[Any]) -> Iterator[Columns]:
    """What cold_read_raw gives, series after series, some million samples at a time."""
    held: list[Columns] = []
    size = 0
    for row in rows:
        at_us = arrays.received(row.at, np.int64) + PG_EPOCH_US
        value = arrays.received(row.value, np.float64)
        held.append(Columns(np.full(len(at_us), row.series_id, np.int32), at_us, value, _distributions(row)))
        size += len(at_us)
        if size >= _CHUNK_ROWS:
            yield cold_file.concat(held)
            held, size = [], 0
    if held:
        yield cold_file.concat(held)


def _distributions(row: Any) -> Distributions | None:
    """Those of one series' samples."""
    if row.lengths is None:
        return None
    lengths = arrays.received(row.lengths, np.int64)
    rows = np.flatnonzero(lengths)
    return Distributions(
        rows,
        arrays.received(row.sample_count, np.int64),
        arrays.received(row.min_value, np.float64),
        arrays.received(row.max_value, np.float64),
        lengths[rows],
        arrays.received_joined(row.sketch, lengths[rows]),
    )


def _united(folder: Path, file: File, newer: Iterator[Columns]) -> Iterator[Columns]:
    """What a file says and what came since, in memory: of a day that left the database, little comes."""
    old = cold_file.read(cold_records.located(folder, file))
    yield cold_file.overlaid(old, cold_file.concat(list(newer)))
