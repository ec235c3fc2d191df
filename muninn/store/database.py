"""A pool of connections that runs named queries: the text is in sql/queries, the name is the file's.

Belongs here: connections, transactions, COPY, and psycopg's errors translated to ours. Does not: any SQL of a purpose.
"""

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, cached_property
from pathlib import Path
from select import POLLIN, poll
from types import TracebackType
from typing import Any, TypeVar

import psycopg
from psycopg import errors, sql
from psycopg.rows import namedtuple_row
from psycopg_pool import ConnectionPool, PoolTimeout

from muninn.errors import Misconfigured, Unavailable
from muninn.settings import without_password
from muninn.store.hanging import Cut, watched

log = logging.getLogger(__name__)

SQL = Path(__file__).parents[2] / "sql"
MIN_SERVER_VERSION = 170000
T = TypeVar("T")
_IDLE_IN_TRANSACTION_S = 60
# libpq reports these as text only: no connection, so no SQLSTATE.
_WRONG_URL = re.compile(
    r"authentication failed|does not exist|no pg_hba\.conf entry|invalid (dsn|port|URI)|missing \"=\""
)
# Between the plan of a statement and its turn at a partition or chunk, retention, the cold tier or the columnstore took
# that away, or changed its row of the catalogue: what the servers say then. The next plan does without it.
_MOVED_ERRORS = (errors.InternalError_, errors.UndefinedTable, errors.UndefinedObject, errors.CheckViolation)
_MOVED = re.compile(
    r"could not open relation with OID|cache lookup failed for relation|tuple concurrently (updated|deleted)"
    r"|^(chunk not found|no chunk found with ID|chunk with ID \d+ does not exist)|no partition of relation"
    r"|relation \"[\w.]*(_hyper_\d+_\d+_chunk|_\d{8})\" does not exist"
)
_ATTEMPTS = 3


@cache
def query_text(name: str) -> str:
    """The text of sql/queries/<name>.sql."""
    return (SQL / "queries" / f"{name}.sql").read_text(encoding="utf-8")


class _Moved(Unavailable):
    """Others took away what a statement was about, or locked it in another order: it would go through now."""


class Transaction:
    """One transaction, alive inside `Database.transaction()`; it commits at the end, or not at all."""

    def __init__(self, connection: psycopg.Connection[Any], watch: Cut):
        self._opened, self._watch = connection, watch

    @property
    def _connection(self) -> psycopg.Connection[Any]:
        """To be taken anew for each statement: how long it may take counts from here."""
        self._watch.renew()
        return self._opened

    def fetch(self, name: str, /, **params: object) -> list[Any]:
        """The query's rows as named tuples."""
        with self._connection.cursor(binary=True, row_factory=namedtuple_row) as cursor:
            cursor.execute(query_text(name), params)
            return cursor.fetchall()

    def execute(self, name: str, /, **params: object) -> int:
        """Run the query and return how many rows it touched."""
        with self._connection.cursor() as cursor:
            cursor.execute(query_text(name), params)
            return cursor.rowcount

    def copy(self, name: str, data: bytes | memoryview) -> int:
        """Feed `data` to a COPY ... FROM STDIN query; returns how many rows went in."""
        with self._connection.cursor() as cursor:
            with cursor.copy(query_text(name)) as copy:
                copy.write(data)
            return cursor.rowcount

    def copy_out(self, name: str, write: Callable[[memoryview], object], /, **params: object) -> None:
        """Hand what a COPY ... TO STDOUT query gives to `write`, piece by piece."""
        with self._connection.cursor() as cursor, cursor.copy(query_text(name), params) as copy:
            for piece in copy:
                write(memoryview(piece))

    def stream(self, name: str, /, **params: object) -> Iterator[Any]:
        """The query's rows one after the other, never all in memory; nothing else may run until the last."""
        with self._connection.cursor(binary=True, row_factory=namedtuple_row) as cursor:
            yield from cursor.stream(query_text(name), params, binary=True)

    def script(self, text: str) -> None:
        """Run a file of statements as it is: for migrations."""
        self._connection.execute(text)


class Session(Transaction):
    """One connection outside any transaction: every statement commits by itself, and locks outlast it."""

    @contextmanager
    def transaction(self, *, lock_timeout_s: float | None = None) -> Iterator[Transaction]:
        """A transaction of this session; the limit holds for it only."""
        with self._connection.transaction():
            if lock_timeout_s is not None:
                self._connection.execute(sql.SQL("set local lock_timeout = {}").format(round(lock_timeout_s * 1000)))
            yield Transaction(self._opened, self._watch)


class Database:
    """One server and a pool of at most `pool_size` connections, safe for many threads.

    parallel_workers: how many the server may start for one query; None: as it is configured.
    hang_s: how long a statement may stay without an answer beyond its time limit, until the server is taken for one
    that hangs and the connection is cut. What has no time limit is waited for.

    Every method raises Unavailable while the server is away, a statement ran into its time limit or lost a partition
    that it was about (the next call connects anew by itself), and Misconfigured where the URL is wrong. A statement in
    a transaction of its own is begun again twice in that last case.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 4,
        statement_timeout_s: float = 30.0,
        application_name: str = "muninn",
        connect_timeout_s: float = 5.0,
        parallel_workers: int | None = None,
        hang_s: float = 5.0,
    ):
        self._url = url
        self._pool_size = pool_size
        self._statement_timeout_s = statement_timeout_s
        self._application_name = application_name
        self._connect_timeout_s = connect_timeout_s
        self._parallel_workers = parallel_workers
        self._hang_s = hang_s
        self._lock = threading.Lock()
        self._pool: ConnectionPool[psycopg.Connection[Any]] | None = None

    def open(self) -> "Database":
        """Start the pool; connections are made behind it, so a server that is away is met by the first call."""
        with self._lock:
            if self._pool is None:
                self._pool = self._new_pool()
        return self

    def close(self) -> None:
        """Give all connections back."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def __enter__(self) -> "Database":
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def fetch(self, name: str, /, **params: object) -> list[Any]:
        """The rows of sql/queries/<name>.sql as named tuples, in a transaction of its own."""
        return self._repeated(lambda transaction: transaction.fetch(name, **params))

    def execute(self, name: str, /, **params: object) -> int:
        """Run sql/queries/<name>.sql in a transaction of its own; returns how many rows it touched."""
        return self._repeated(lambda transaction: transaction.execute(name, **params))

    @contextmanager
    def transaction(
        self, *, statement_timeout_s: float | None = None, lock_timeout_s: float | None = None
    ) -> Iterator[Transaction]:
        """A transaction (READ COMMITTED); limits hold for this transaction only, 0 means none."""
        with self._connected(statement_timeout_s) as (connection, watch), connection.transaction():
            limits = {"statement_timeout": statement_timeout_s, "lock_timeout": lock_timeout_s}
            for setting, seconds in limits.items():
                if seconds is not None:
                    connection.execute(
                        sql.SQL("set local {} = {}").format(sql.Identifier(setting), round(seconds * 1000))
                    )
            yield Transaction(connection, watch)

    @contextmanager
    def snapshot(self, *, statement_timeout_s: float | None = 0) -> Iterator[Transaction]:
        """A read-only transaction that sees one instant throughout (REPEATABLE READ); as it is, without a time limit,
        with None with the usual one."""
        with self.transaction(statement_timeout_s=statement_timeout_s) as transaction:
            transaction.script("set transaction isolation level repeatable read, read only")
            yield transaction

    @contextmanager
    def session(self, *, statement_timeout_s: float) -> Iterator[Session]:
        """One connection outside any transaction; what it has locked is let go at the end."""
        with self._connected(statement_timeout_s) as (connection, watch):
            try:
                connection.execute(_statement_timeout(statement_timeout_s))
                yield Session(connection, watch)
                connection.execute("select pg_advisory_unlock_all()")
                connection.execute(_statement_timeout(self._statement_timeout_s))
            except BaseException:
                connection.close()  # and with it its locks; the pool makes another
                raise

    @cached_property
    def engine(self) -> str:
        """How this database keeps samples, asked once: "timescaledb" or "postgres"."""
        found = self.fetch("store_engine")[0]
        if found.hidden_in:
            raise Misconfigured(
                f"TimescaleDB lies in the schema {found.hidden_in}, which is not in the search_path: put"
                f" ?options=-csearch_path%3Dpublic,{found.hidden_in} at the end of MUNINN_DATABASE_URL"
            )
        if found.to_be_had:
            log.warning(
                "TimescaleDB is on this server, but not in this database, which is used as plain PostgreSQL and stays"
                " it. `create extension timescaledb` before the first start has it used"
            )
        return engine_of(found.license, natively_partitioned=bool(found.natively_partitioned))

    def _new_pool(self) -> ConnectionPool[psycopg.Connection[Any]]:
        return ConnectionPool(
            self._url,
            kwargs={
                "autocommit": True,
                "application_name": self._application_name,
                "connect_timeout": max(2, round(self._connect_timeout_s)),
            },
            min_size=1,
            max_size=self._pool_size,
            open=True,
            configure=self._configure,
            check=_check,  # a restarted server is met here, not in the middle of a query
            timeout=self._connect_timeout_s,
            name=self._application_name,
        )

    def _configure(self, connection: psycopg.Connection[Any]) -> None:
        if connection.info.server_version < MIN_SERVER_VERSION:
            found = connection.info.server_version // 10000
            raise Misconfigured(
                f"the server is PostgreSQL {found}: Muninn needs {MIN_SERVER_VERSION // 10000} or newer"
            )
        # jit costs tens of milliseconds on queries that take two. Plans hold the watermark and the partitions
        # that a window needs: one made for any window would read them all. The third line: figures and instants as
        # text, whatever the server or the role prefers; without it a double may lose digits.
        connection.execute(
            sql.SQL(
                "set jit = off; set plan_cache_mode = force_custom_plan; set timezone = 'UTC';"
                " set statement_timeout = {}; set idle_in_transaction_session_timeout = {};"
                " set extra_float_digits = 1; set datestyle = 'ISO, YMD'; set intervalstyle = 'postgres'"
            ).format(round(self._statement_timeout_s * 1000), _IDLE_IN_TRANSACTION_S * 1000)
        )
        if self._parallel_workers is not None:
            connection.execute(sql.SQL("set max_parallel_workers_per_gather = {}").format(self._parallel_workers))

    def _repeated(self, work: Callable[[Transaction], T]) -> T:
        """One statement, again where partitions moved under it: what failed was rolled back."""
        for _ in range(_ATTEMPTS - 1):
            with suppress(_Moved), self._connected() as (connection, watch):
                return work(Transaction(connection, watch))
        with self._connected() as (connection, watch):
            return work(Transaction(connection, watch))

    @contextmanager
    def _connected(self, statement_timeout_s: float | None = None) -> Iterator[tuple[psycopg.Connection[Any], Cut]]:
        pool = self._pool
        if pool is None:
            raise Unavailable("the database pool is closed")
        limit_s = self._statement_timeout_s if statement_timeout_s is None else statement_timeout_s
        try:
            with pool.connection() as connection, self._watched(pool, connection, limit_s) as watch:
                yield connection, watch
        except PoolTimeout as error:
            raise self._why_no_connection() from error
        except errors.QueryCanceled as error:
            raise Unavailable(
                "the query ran into its time limit: ask for less, or raise MUNINN_DATABASE_STATEMENT_TIMEOUT_S"
            ) from error
        except (errors.DeadlockDetected, errors.SerializationFailure) as error:
            raise _Moved(f"the database is busy: {_first_line(error)}") from error
        except errors.LockNotAvailable as error:
            raise Unavailable(f"the database is busy: {_first_line(error)}") from error
        except _MOVED_ERRORS as error:
            if _MOVED.search(str(error)):
                raise _Moved(f"a partition was taken away meanwhile: {_first_line(error)}") from error
            if not isinstance(error, errors.UndefinedTable):
                raise
            raise Misconfigured(
                f"the database has no schema of Muninn ({_first_line(error)}): run `muninn migrate`"
            ) from error
        except (psycopg.OperationalError, psycopg.InterfaceError, errors.ReadOnlySqlTransaction) as error:
            raise Unavailable(f"the database is away: {_first_line(error)}") from error

    @contextmanager
    def _watched(
        self, pool: ConnectionPool[psycopg.Connection[Any]], connection: psycopg.Connection[Any], limit_s: float
    ) -> Iterator[Cut]:
        patience_s = limit_s + self._hang_s if limit_s else None
        try:
            with watched(connection.fileno(), patience_s) as watch:
                yield watch
        except psycopg.Error as error:
            if not watch.done:
                raise
            pool.drain()  # the others are as dead: each would cost as long
            raise Unavailable(f"the database has not answered for {patience_s:g} s") from error

    def _why_no_connection(self) -> Unavailable | Misconfigured:
        """The pool keeps the reason to itself: ask once more, directly."""
        where = without_password(self._url)
        try:
            with psycopg.connect(self._url, connect_timeout=2, autocommit=True) as connection:
                self._configure(connection)
        except Misconfigured as error:
            return error
        except psycopg.Error as error:
            reason = _first_line(error)
            if _WRONG_URL.search(str(error)):
                return Misconfigured(f"MUNINN_DATABASE_URL ({where}) does not work: {reason}")
            return Unavailable(f"the database at {where} is away: {reason}")
        return Unavailable("all database connections are in use: raise MUNINN_DATABASE_POOL_SIZE if this stays")


def engine_of(license: str | None, *, natively_partitioned: bool) -> str:
    """The engine of a database: "timescaledb" or "postgres".

    license: of the TimescaleDB that is installed in it, "timescale" or "apache"; None: none is.
    natively_partitioned: it was migrated as plain PostgreSQL, which it stays.
    """
    if license == "timescale":
        if not natively_partitioned:
            return "timescaledb"
        log.warning("TimescaleDB was installed after Muninn: this database stays plain PostgreSQL")
    elif license is not None:
        log.warning(
            "TimescaleDB is here in its Apache edition, without continuous aggregates and columnstore: it is used as"
            " plain PostgreSQL. The community edition (timescaledb.license = 'timescale') has them"
        )
    return "postgres"


def _check(connection: psycopg.Connection[Any]) -> None:
    """OperationalError where the server is gone: it has then closed the connection, which needs no question to see."""
    waiting = poll()
    waiting.register(connection.fileno(), POLLIN)
    if waiting.poll(0):
        ConnectionPool.check_connection(connection)


def _statement_timeout(seconds: float) -> sql.Composed:
    return sql.SQL("set statement_timeout = {}").format(round(seconds * 1000))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
