"""TimescaleDB's own community code compiled to WebAssembly, behind a socket: tests/timescale/server.mjs.

What that build can not do, and how tests go round it:
- COPY ... FROM STDIN breaks its socket: `Uncopied` decodes the binary rows and inserts them by unnest of arrays.
- One session at a time: pools have one connection, and `Shared` borrows it for what a test looks up itself.
- No second session: what holds loads and refreshes against each other (tests/contract/test_rollups_watermark.py, and
  tests of threads elsewhere) runs on PostgreSQL and on the server of MUNINN_TEST_TIMESCALE_URL.
- No background workers: policies are there, and run when a test runs them.
"""

import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from psycopg import sql

from muninn.store.binary_copy import PG_EPOCH_US
from muninn.store.database import Database, Transaction
from muninn.store.migrations import migrate

FOLDER = Path(__file__).parent / "timescale"
_HEADER_BYTES = 19
_TRAILER_BYTES = 2
# What the COPY queries of a load put in: (table, [(column, type in the COPY, type of the array)]).
_COPIED = {
    "timescale_copy_scaled": (
        "scaled_samples",
        [("at", ">i8", "int8"), ("series_id", ">i4", "int4"), ("exponent", ">i2", "int2"), ("mantissa", ">i8", "int8")],
    ),
    "timescale_copy_doubles": (
        "scaled_samples",
        [("at", ">i8", "int8"), ("series_id", ">i4", "int4"), ("value", ">f8", "float8")],
    ),
    "store_copy_late": (
        "late_rows",
        [("series_id", ">i4", "int4"), ("minute", ">i8", "int8"), ("sample_count", ">i4", "int4")],
    ),
}
_INSTANTS = ("at", "minute")
# Of a row of timescale_copy_distributions: what comes before the elements of its sketch.
_DISTRIBUTION_BYTES = struct.calcsize(">h iq ii id iq id id 6i")


class Inserting(Transaction):
    """A transaction whose COPY FROM STDIN is an INSERT of the same rows."""

    def copy(self, name: str, data: bytes | memoryview) -> int:
        if name == "timescale_copy_distributions":
            return self._insert_distributions(bytes(data)[_HEADER_BYTES:-_TRAILER_BYTES])
        table, columns = _COPIED[name]
        fields: list[tuple[str, str]] = [("columns", ">i2")]
        for column, kind, _ in columns:
            fields += [(f"{column} length", ">i4"), (column, kind)]
        rows = np.frombuffer(bytes(data)[_HEADER_BYTES:-_TRAILER_BYTES], np.dtype(fields))
        arrays = {name: rows[name].astype(rows[name].dtype.newbyteorder("=")) for name, _, _ in columns}
        for instant in _INSTANTS:
            if instant in arrays:
                arrays[instant] = arrays[instant] + PG_EPOCH_US
        chosen = ", ".join(f"instant({name})" if name in _INSTANTS else name for name, _, _ in columns)
        given = ", ".join(f"%({name})s::{kind}[]" for name, _, kind in columns)
        names = ", ".join(name for name, _, _ in columns)
        statement = f"insert into {table} ({names}) select {chosen} from unnest({given}) as copied ({names})"
        return self._connection.execute(
            statement.encode(), {name: array.tolist() for name, array in arrays.items()}
        ).rowcount

    def _insert_distributions(self, data: bytes) -> int:
        rows = 0
        while data:
            fixed = struct.unpack_from(">h iq ii id iq id id 6i", data)
            elements = fixed[-2]
            size = _DISTRIBUTION_BYTES + 12 * elements
            bins = [struct.unpack_from(">iq", data, _DISTRIBUTION_BYTES + 12 * place)[1] for place in range(elements)]
            rows += self._connection.execute(
                """insert into raw_samples (at, series_id, value, sample_count, min_value, max_value, sketch)
                   values (instant(%s::int8), %s, %s, %s, %s, %s, %s)""",
                (fixed[2] + PG_EPOCH_US, *fixed[4:13:2], bins),
            ).rowcount
            data = data[size:]
        return rows


class Uncopied(Database):
    """A database of one connection that never sends COPY FROM STDIN."""

    def __init__(self, url: str):
        super().__init__(url, pool_size=1, connect_timeout_s=20)

    @contextmanager
    def transaction(self, **limits: float | None) -> Iterator[Transaction]:
        with super().transaction(**limits) as transaction:
            yield Inserting(transaction._opened, transaction._watch)

    def _configure(self, connection: psycopg.Connection[Any]) -> None:
        # The session behind the socket is always the same one: what is prepared would outlive the connection.
        connection.prepare_threshold = None
        super()._configure(connection)


class Shared:
    """The one connection of a pool, borrowed for each statement."""

    def __init__(self, database: Database):
        self._database = database

    def execute(self, query: str | bytes, params: Any = None) -> psycopg.Cursor[Any]:
        with self._database._connected() as (connection, _):
            return connection.execute(query, params)  # type: ignore[arg-type]

    def close(self) -> None:
        """Nothing: the pool closes it."""


class Wasm:
    """The server as a child process; it holds one database, in memory."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", "server.mjs"], cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        assert port.isdigit(), "the WASM server did not start"
        self.url = f"postgresql://postgres:x@127.0.0.1:{port}/postgres?sslmode=disable"

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)


def missing() -> str | None:
    """Why the server can not be started here, or None; installs its packages where they are not there yet."""
    if shutil.which("node") is None:
        return "TimescaleDB in WASM needs node"
    if not (FOLDER / "node_modules").exists():
        if shutil.which("npm") is None:
            return "TimescaleDB in WASM needs npm, once"
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=FOLDER, capture_output=True, text=True)
        if done.returncode:
            return f"npm ci in tests/timescale: {done.stderr.strip()[-300:]}"
    return None


def migrated(wasm: Wasm) -> Uncopied:
    """The server's database with Muninn's schema."""
    database = Uncopied(wasm.url).open()
    migrate(database)
    return database


def empty(connection: Any) -> None:
    """Take out all rows of Muninn's tables; the schema stays as it is."""
    held = connection.execute("select coalesce(to_regclass('scaled_samples'), 'raw_samples')::text").fetchone()[0]
    for table in (held, "rollup_1min", "rollup_5min", "rollup_1hour", "rollup_1day"):
        connection.execute(sql.SQL("truncate {}").format(sql.Identifier(table)))
    connection.execute(
        """truncate late_rows, late_refreshes, loaded_entries, series, latest_samples;
           truncate cold_changes, cold_days, cold_files;
           update rollup_state set closing = 'epoch', watermark = 'epoch', refreshed_at = null;
           update load_lanes set writer = null, turn = 0, unflushed_us = null;
           update retention_state set horizon = 'epoch';
           truncate packed_1min, packed_5min, packed_1hour;
           truncate packed_sketches_1min, packed_sketches_5min, packed_sketches_1hour;
           truncate packed_growth_5min, packed_growth_1hour, fleet_minutes, fleet_state;
           update packed_state set packed_until = 'epoch';
           update cold_tier set announced = 'epoch'"""
    )
