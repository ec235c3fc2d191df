"""A DuckDB session over Muninn's data: the same names and columns as in PostgreSQL, and macros that merge rightly.

Belongs here: filling a session from both tiers, each day from one of them. Does not: what people ask of it.

Days that were exported and have not changed since are read from their files, when they are asked for and as far as
they are needed; the others are copied from the database, in one snapshot. So no day is missing and none is there twice.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from muninn.analytics import alerts, cold_file, cold_records
from muninn.analytics.cold_export import columns_of
from muninn.analytics.cold_file import Columns
from muninn.analytics.cold_records import RAW, Day
from muninn.analytics.csv_rows import AS_ROLLUP, copied
from muninn.clock import DAY_US
from muninn.model import RESOLUTIONS, Window
from muninn.numerics.scaled import MAX_EXPONENT
from muninn.store.database import SQL, Database, Transaction

# Called with the table at work, and how many are done of how many.
Progress = Callable[[str, int, int], None]

# By exponent, in DuckDB's count from 1: powers of ten, and for those below 0 of two, read from the end.
_POWERS = (
    "["
    + ", ".join(
        [f"1e{exponent}" for exponent in range(MAX_EXPONENT + 1)]
        + [f"{2.0**bits!r}::double" for bits in range(128, 0, -1)]
    )
    + "]"
)
VALUE = f"case when value is null then mantissa / {_POWERS}[exponent + (exponent >= 0)::int] else value end"


def connect(
    database: Database,
    window: Window,
    path: Path | None = None,
    progress: Progress | None = None,
    *,
    folder: Path | None = None,
    linked: bool = False,
) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection that shows the window's samples and rollups as of one instant.

    Views `performance_metrics`, `metrics_1min` ... `metrics_1day`; tables `series`, `alerts`; macros `merged_quantile`,
    `counter_increase`, `counter_rate`. In memory, or in a new file at `path` for other tools, which holds everything
    unless it is `linked`: then it is small, and needs the cold tier's files where they are now.
    folder: of the cold tier; None: the database alone is read. Unavailable when the database or a file is away.
    """
    session = duckdb.connect(str(path) if path else ":memory:")
    session.execute("set timezone = 'UTC'")
    # Files never change under their names: what is known of one holds for the next question.
    session.execute("set parquet_metadata_cache = true")
    session.execute(_script("010_tables"))
    with tempfile.TemporaryDirectory() as temporary, database.snapshot() as transaction:
        filling = _Filling(session, transaction, window, Path(temporary), progress or _silent)
        tiers = _Tiers.of(transaction, window, folder)
        filling.fill(tiers)
        alerts.fill(session, transaction, window)
    _unite(session, tiers, whole=path is not None and not linked)
    session.execute(_script("015_macros"))
    session.execute(_script("020_views"))
    return session


@dataclass(frozen=True)
class _Tiers:
    """Which days of a window come from files, and what is read from the database instead.

    stretches: what lies between the filed days. overlaid: days in them whose raw rows are partly in files.
    """

    window: Window
    folder: Path
    filed: tuple[Day, ...]
    overlaid: tuple[Day, ...]
    stretches: tuple[Window, ...]

    @classmethod
    def of(cls, transaction: Transaction, window: Window, folder: Path | None) -> "_Tiers":
        found = cold_records.days(transaction, window.aligned(DAY_US))
        if folder is None:
            found = []
        filed = tuple(day for day in found if not day.changed)
        overlaid = tuple(day for day in found if day.changed and day.moved_us is not None)
        return cls(window, folder or Path(), filed, overlaid, tuple(_between(window, filed)))

    def paths(self, content: str) -> list[tuple[Window, list[str]]]:
        """The files of raw samples or of one resolution, by the part of the window that is their day's."""
        found = [
            (
                Window(max(day.day_us, self.window.since_us), min(day.window.until_us, self.window.until_us)),
                [
                    str(cold_records.located(self.folder, file).absolute())
                    for file in day.files
                    if file.content == content
                ],
            )
            for day in self.filed
        ]
        return [(part, paths) for part, paths in found if paths]


def _between(window: Window, days: Sequence[Day]) -> Iterator[Window]:
    since_us = window.since_us
    for day in days:
        if day.day_us > since_us:
            yield Window(since_us, day.day_us)
        since_us = max(since_us, min(day.window.until_us, window.until_us))
    if since_us < window.until_us:
        yield Window(since_us, window.until_us)


@dataclass
class _Filling:
    """What is copied from the database, in one snapshot of it."""

    session: duckdb.DuckDBPyConnection
    transaction: Transaction
    window: Window
    temporary: Path
    progress: Progress
    _tables: tuple[str, ...] = field(default=("series", "raw_samples", *(each.view for each in RESOLUTIONS)))

    def fill(self, tiers: _Tiers) -> None:
        for done, table in enumerate(self._tables):
            self.progress(table, done, len(self._tables))
            if table == "series":
                rows = copied(self.session, self.transaction, "series", None, self.temporary)
                self.session.execute(f"insert into series from {rows}")
            elif table == "raw_samples":
                self._raw(tiers)
            else:
                self._rollup(table.removeprefix("metrics_"), tiers.stretches)
        self.session.execute(
            "insert into snapshot values (now(), make_timestamptz(?), make_timestamptz(?), ?, ?)",
            [self.window.since_us, self.window.until_us, len(tiers.filed), len(tiers.overlaid)],
        )
        self.progress("", len(self._tables), len(self._tables))

    def _raw(self, tiers: _Tiers) -> None:
        for stretch in tiers.stretches:
            cold = [
                day
                for day in tiers.overlaid
                if day.day_us < stretch.until_us and day.window.until_us > stretch.since_us
            ]
            hot = columns_of(
                self.transaction.stream("cold_read_raw", since_us=stretch.since_us, until_us=stretch.until_us)
            )
            if cold:  # late samples of a day that left, and are not in its files yet
                parts = [cold_records.read_day(tiers.folder, day, window=stretch) for day in cold]
                hot = iter([cold_file.overlaid(cold_file.concat(parts), cold_file.concat(list(hot)))])
            for piece in hot:
                self.session.register("piece", _arrow(piece))
                self.session.execute("insert into hot_samples from piece")
                self.session.unregister("piece")

    def _rollup(self, resolution: str, stretches: Sequence[Window]) -> None:
        for stretch in stretches:
            rows = copied(self.session, self.transaction, resolution, stretch, self.temporary)
            self.session.execute(f"insert into hot_{resolution} select {AS_ROLLUP} from {rows}")  # noqa: S608
            self.session.execute(f"drop table {rows}")


def _unite(session: duckdb.DuckDBPyConnection, tiers: _Tiers, *, whole: bool) -> None:
    """Make `raw_samples` and `rollup_<resolution>`: views over files and tables, or (whole) tables of all of it."""
    made = "table" if whole else "view"
    # A join over metric_group has DuckDB leave the files of other groups closed.
    sample = f'"at", series_id, {VALUE} as value, metric_group'
    sources = {"raw_samples": (RAW, "hot_samples", sample, '"at"')}
    for each in RESOLUTIONS:
        sources[f"rollup_{each.name}"] = (each.name, f"hot_{each.name}", "* exclude (day, metric_group)", "bucket")
    for name, (content, hot, chosen, column) in sources.items():
        grouped = "hot_samples.*, metric_group from hot_samples join series using (series_id)"
        united = f"select {grouped}" if content == RAW else f"from {hot}"
        days = tiers.paths(content)
        for part, paths in days:
            # One branch a day: a question's bounds contradict those of other days, whose files then stay closed.
            # The columns are told by the first file of a branch: the same for all, so that it is the only one more.
            first = days[0][1][0]
            listed = ", ".join("'" + path.replace("'", "''") + "'" for path in dict.fromkeys([first, *paths]))
            united += (
                f" union all by name select {chosen} from read_parquet([{listed}], hive_partitioning = true)"  # noqa: S608
                f" where {column} >= make_timestamptz({part.since_us}) and {column} < make_timestamptz({part.until_us})"
            )
        session.execute(f"create {made} {name} as {united}")
        if whole:
            session.execute(f"drop table {hot}")


def _arrow(columns: Columns) -> pa.Table:
    at = pa.array(columns.at_us.astype(np.int64)).cast(pa.timestamp("us", tz="UTC"))
    return pa.table({"at": at, "series_id": columns.series_id, "value": columns.value})


def _script(name: str) -> str:
    return (SQL / "analytics" / f"{name}.sql").read_text(encoding="utf-8")


def _silent(table: str, done: int, total: int) -> None:
    """Tell nobody."""
