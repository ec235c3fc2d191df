"""What the database knows of the cold tier: exported days, their files, and which days left the database.

Belongs here: reading those records, and a window's samples from the files. Does not: making files (cold_export).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muninn.analytics import cold_file
from muninn.analytics.cold_file import Columns
from muninn.clock import DAY_US
from muninn.errors import Invalid, Unavailable
from muninn.model import Window
from muninn.store.database import Database, Transaction

RAW = "raw"
ALL_TIME = Window(-(1 << 60), 1 << 60)


@dataclass(frozen=True)
class File:
    """One file: raw samples of a metric group, or rollups of a resolution. path: below the cold folder."""

    day_us: int
    content: str
    metric_group: str
    path: str
    rows: int
    samples: int
    series: int
    bytes: int
    checksum: int


@dataclass(frozen=True)
class Day:
    """An exported day. moved_us: when its raw rows left the database (None: they are still there too).

    raw_bytes: what they took there. changed: rows or rollups changed since the export.
    """

    day_us: int
    exported_us: int
    watermark_us: int
    moved_us: int | None
    raw_bytes: int | None
    changed: bool
    files: tuple[File, ...]

    @property
    def window(self) -> Window:
        """From midnight to midnight."""
        return Window(self.day_us, self.day_us + DAY_US)

    @property
    def raw(self) -> tuple[File, ...]:
        """Its files of raw samples."""
        return tuple(file for file in self.files if file.content == RAW)

    @property
    def rows(self) -> int:
        """Raw samples in its files."""
        return sum(file.rows for file in self.raw)

    @property
    def samples(self) -> int:
        """The values that those stand for: more, where some are distributions."""
        return sum(file.samples for file in self.raw)

    @property
    def bytes(self) -> int:
        """Bytes of the files of raw samples."""
        return sum(file.bytes for file in self.raw)


def days(source: Database | Transaction, window: Window = ALL_TIME) -> list[Day]:
    """The exported days that begin in the window, oldest first."""
    span = _bounds(window)
    files: dict[int, list[File]] = {}
    for row in source.fetch("cold_list_files", **span):
        files.setdefault(row.day_us, []).append(File(*row))
    return [
        Day(
            row.day_us,
            row.exported_us,
            row.watermark_us,
            row.moved_us,
            row.raw_bytes,
            row.changed,
            tuple(files.get(row.day_us, ())),
        )
        for row in source.fetch("cold_list_days", **span)
    ]


def moved(source: Database | Transaction, window: Window) -> list[int]:
    """Days that touch the window and whose raw rows left the database, as instants of their beginning."""
    return [row.day_us for row in source.fetch("cold_moved_days", **_bounds(window))]


def located(folder: Path, file: File) -> Path:
    """The file on disk; Unavailable where it is not there."""
    path = folder / file.path
    if not path.is_file():
        raise Unavailable(
            f"a file of the cold tier is missing: {path}. MUNINN_COLD_FOLDER must name the folder where the export"
            " wrote it"
        )
    return path


def groups_of(source: Database | Transaction, series: Sequence[int]) -> set[str]:
    """The metric groups whose files these series are in."""
    return {row.metric_group for row in source.fetch("cold_groups_of", series=list(series))}


def read_day(
    folder: Path,
    day: Day,
    series: NDArray[np.int32] | None = None,
    window: Window | None = None,
    groups: Collection[str] | None = None,
) -> Columns:
    """Samples of the day's files, of some series or a window only; Unavailable where a file can not be read.

    groups: those of the series; files of other metric groups are not opened.
    """
    files = [file for file in day.raw if groups is None or file.metric_group in groups]
    try:
        parts = [cold_file.read(located(folder, file), series, window) for file in files]
    except Invalid as error:
        raise Unavailable(str(error)) from error
    return cold_file.concat(parts).sorted()


def _bounds(window: Window) -> dict[str, Any]:
    earliest, latest = -62_135_596_800_000_000, 253_402_300_800_000_000  # the years 1 to 9999
    return {"since_us": max(window.since_us, earliest), "until_us": min(window.until_us, latest)}
