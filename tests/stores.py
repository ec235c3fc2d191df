"""The stores that contract tests run against: PostgreSQL and its twin in memory, behind one face."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import psycopg
import pytest
import timescale_server
import timescale_wasm

from muninn.clock import DAY_US, SECOND_US, ManualClock
from muninn.ingest.loader import Aside
from muninn.model import BatchHandle, Resolution, SampleBatch, SeriesKey, Window
from muninn.model.window import as_us
from muninn.rollups import refresh
from muninn.store import partitions
from muninn.store.database import Database
from muninn.store.memory import Bucket, MemoryStore
from muninn.store.writer import LoadResult, StoreWriter

# 2023-11-15 12:00:00 UTC: a Wednesday's noon, so that windows around it cross midnights only on purpose.
NOW_US = 1_700_049_600 * SECOND_US
SETTLE_S = 15.0
ALL_TIME = Window(NOW_US - 400 * DAY_US, NOW_US + 10 * DAY_US)


# What contract tests run on: the fixture that gives a migrated database of each, and those with many sessions.
WASM = "timescaledb-wasm"
URLS = {"postgres": "postgres_url"} | ({"timescaledb": "timescale_url"} if timescale_server.URL else {})
SESSIONS = tuple(URLS)
ENGINES = ("postgres", WASM, *SESSIONS[1:])


# The table that raw samples are copied into: on TimescaleDB, raw_samples is a view of it.
RAW_TABLE = {"postgres": "raw_samples", "timescaledb": "scaled_samples"}


class Store(Protocol):
    """What both stores offer."""

    clock: ManualClock

    def load(self, handles: Sequence[BatchHandle]) -> LoadResult: ...
    def prune_entries(self, before_id: str, stream: str) -> int: ...
    def keep_first(self) -> None: ...
    def refresh(self) -> None: ...
    def raw(self, window: Window = ALL_TIME) -> SampleBatch: ...
    def buckets(self, resolution: Resolution, window: Window = ALL_TIME) -> list[Bucket]: ...
    def drop_raw(self, raw_days: int) -> None: ...


class Memory(MemoryStore):
    """The twin; its buckets are always up to date, so that a refresh only moves what counts as late."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW_US)
        super().__init__(clock=self.clock)

    def keep_first(self) -> None:
        """Of two samples of an instant the first stands from now on."""
        self._duplicates = "first"

    def refresh(self) -> None:
        self.close(self.clock.now_us() - round(SETTLE_S * SECOND_US))

    def raw(self, window: Window = ALL_TIME) -> SampleBatch:
        return super().raw(window)

    def buckets(self, resolution: Resolution, window: Window = ALL_TIME) -> list[Bucket]:
        return super().buckets(resolution, window)

    def drop_raw(self, raw_days: int, now_us: int | None = None) -> None:
        super().drop_raw(now_us or self.clock.now_us(), raw_days)


class Postgres:
    """The real store, read through the views that people and reads use."""

    connection: Any

    def __init__(self, url: str):
        self.clock = ManualClock(NOW_US)
        self.database = Database(url, pool_size=8).open()
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.execute(
            "set timezone = 'UTC'; set datestyle = 'ISO'; set intervalstyle = 'postgres'; set extra_float_digits = 1;"
            "set jit = off"
        )
        self._writer = StoreWriter(self.database, clock=self.clock)

    def close(self) -> None:
        self.connection.close()
        self.database.close()

    def empty(self) -> None:
        """As it was when it was made."""
        self.clock.advance((NOW_US - self.clock.now_us()) / SECOND_US)
        timescale_wasm.empty(self.connection)

    def damage(self, window: Window) -> None:
        """Make the 1-minute buckets of a window wrong."""
        rollup = "rollup_1min"
        if self.database.engine == "timescaledb":
            rollup = self.connection.execute(
                """select format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)
                   from timescaledb_information.continuous_aggregates where view_name = 'rollup_1min'"""
            ).fetchone()[0]
        self.connection.execute(
            f"update {rollup} set sample_count = 0, sketch = '{{}}' where bucket between %s and %s",
            (window.since, window.until),
        )

    def load(self, handles: Sequence[BatchHandle], aside: Aside | None = None) -> LoadResult:
        return self._writer.load(handles, aside)

    def prune_entries(self, before_id: str, stream: str) -> int:
        return self._writer.prune_entries(before_id, stream)

    def keep_first(self) -> None:
        """Of two samples of an instant the first stands from now on."""
        self._writer = StoreWriter(self.database, clock=self.clock, duplicates="first")

    def refresh(self) -> None:
        refresh.refresh_fresh(self.database, self.clock.now_us(), SETTLE_S)

    def raw(self, window: Window = ALL_TIME) -> SampleBatch:
        rows = self.connection.execute(
            """select metric_name, tags, source_agent_id, instance_id, "timestamp", metric_value
               from performance_metrics where "timestamp" >= %s and "timestamp" < %s""",
            (window.since, window.until),
        )
        found = [(SeriesKey.of(*identity), as_us(at), value) for *identity, at, value in rows]
        return SampleBatch.of(sorted(found, key=lambda row: (row[0].canonical, row[1])))

    def buckets(self, resolution: Resolution, window: Window = ALL_TIME) -> list[Bucket]:
        rows = self.connection.execute(
            f"""select metric_name, tags, source_agent_id, instance_id, bucket, sample_count, sum_value, min_value,
                       max_value, sketch, first_at, last_at, first_value, last_value, increase
                from live_{resolution.name} join series using (series_id)
                where bucket >= %s and bucket < %s""",
            (window.since, window.until),
        )
        found = [
            Bucket(
                SeriesKey.of(*row[:4]),
                as_us(row[4]),
                *row[5:9],
                np.array(row[9], np.int64),
                as_us(row[10]),
                as_us(row[11]),
                *row[12:],
            )
            for row in rows
        ]
        return sorted(found, key=lambda each: (each.key.canonical, each.bucket_us))

    def drop_raw(self, raw_days: int) -> None:
        partitions.drop_expired(
            self.database,
            self.clock.now_us(),
            raw_days=raw_days,
            rollup_1min_days=3650,
            rollup_5min_days=3650,
            rollup_1hour_days=3650,
        )


class TimescaleWasm(Postgres):
    """TimescaleDB in WASM: one session for all, emptied for each test."""

    def __init__(self, database: Database):
        self.clock = ManualClock(NOW_US)
        self.database = database
        self.connection = timescale_wasm.Shared(database)
        self._writer = StoreWriter(self.database, clock=self.clock)
        self.empty()

    def close(self) -> None:
        """It is kept for the next test."""


def opened(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """An empty store on the engine that the fixture's parameter names."""
    if request.param == WASM:
        store: Postgres = TimescaleWasm(request.getfixturevalue("wasm_database"))
    else:
        store = Postgres(request.getfixturevalue(URLS[request.param]))
    yield store
    store.close()


@contextmanager
def held_up(store: Postgres, statement: str) -> Iterator[None]:
    """While inside, another session has run this statement and not committed."""
    with psycopg.connect(store.connection.info.dsn) as blocker:
        blocker.execute(statement.encode())
        yield
        blocker.rollback()


def entry(rows: Sequence[tuple[SeriesKey, int, float]] | SampleBatch, entry_id: str, stream: str = "s") -> BatchHandle:
    """A buffer entry of these samples."""
    batch = rows if isinstance(rows, SampleBatch) else SampleBatch.of(rows)
    return BatchHandle(stream, entry_id, batch)
