"""Servers that tests share: one PostgreSQL and one Valkey per test process, started when first asked for.

Tests that kill servers start their own with the classes in tests/servers.py.
"""

import gc
import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import hypothesis
import pytest

# With --import-mode=importlib nothing puts tests/ on the path; helpers are imported as `servers`.
sys.path.insert(0, str(Path(__file__).parent))

import stores
import timescale_server
import timescale_wasm
from servers import Postgres, Valkey

from muninn.store.database import Database
from muninn.store.migrations import migrate

# No test asserts a time: a busy machine, or a function compiled at its first call, is no failure.
hypothesis.settings.register_profile("muninn", deadline=None)
# The fast loop's: `--hypothesis-profile=quick`.
hypothesis.settings.register_profile("quick", deadline=None, max_examples=20)
hypothesis.settings.load_profile("muninn")

gc.disable()  # Until all is collected.

TEMPLATE = "muninn_template"
_numbers = itertools.count(1)


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def pytest_configure(config: pytest.Config) -> None:
    """End in order on SIGTERM as on Ctrl-C, so that fixtures are torn down."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupted)


def pytest_collection_finish(session: pytest.Session) -> None:
    """What was imported and collected stays: the collector of garbage need not look through it after every test."""
    gc.enable()
    gc.freeze()


def pytest_sessionfinish(session: pytest.Session) -> None:
    gc.unfreeze()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """A body that is no short word goes by its argument's name: processes that share the suite must agree on names."""
    return argname if isinstance(val, bytes) and not (len(val) <= 40 and val.isascii()) else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """The shared PostgreSQL: never stop it; make databases of your own."""
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def migrated_template(postgres_server: Postgres) -> str:
    """The name of a database with Muninn's schema, to clone from."""
    with Database(postgres_server.create(TEMPLATE), pool_size=1) as database:
        migrate(database)
    return TEMPLATE


@pytest.fixture
def postgres_url(postgres_server: Postgres, migrated_template: str) -> Iterator[str]:
    """A fresh database with Muninn's schema, dropped after the test."""
    name = f"test_{next(_numbers)}"
    yield postgres_server.create(name, migrated_template)
    postgres_server.drop(name)


@pytest.fixture
def empty_postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """A fresh database with nothing in it, dropped after the test."""
    name = f"empty_{next(_numbers)}"
    yield postgres_server.create(name)
    postgres_server.drop(name)


@pytest.fixture
def new_empty_postgres_urls(postgres_server: Postgres) -> Iterator[Callable[[], str]]:
    """Makes databases with nothing in them, each dropped after the test."""
    names: list[str] = []

    def make() -> str:
        names.append(f"empty_{next(_numbers)}")
        return postgres_server.create(names[-1])

    yield make
    for name in names:
        postgres_server.drop(name)


@pytest.fixture
def new_empty_timescale_urls() -> Iterator[Callable[[], str]]:
    """The same on the server of MUNINN_TEST_TIMESCALE_URL, with the extension."""
    with ExitStack() as made:
        yield lambda: made.enter_context(timescale_server.empty_database(f"muninn_test_{os.getpid()}_{next(_numbers)}"))


@pytest.fixture(scope="session")
def wasm_database() -> Iterator[Database]:
    """The shared TimescaleDB in WASM with Muninn's schema: one session for all."""
    if reason := timescale_wasm.missing():
        pytest.skip(reason)
    server = timescale_wasm.Wasm()
    try:
        with timescale_wasm.migrated(server) as database:
            yield database
    finally:
        server.close()


@pytest.fixture
def empty_timescale_url() -> Iterator[str]:
    """A fresh database with the extension and nothing else on the server of MUNINN_TEST_TIMESCALE_URL."""
    with timescale_server.empty_database(f"muninn_test_{os.getpid()}_{next(_numbers)}") as url:
        yield url


@pytest.fixture
def timescale_url(empty_timescale_url: str) -> str:
    """The same with Muninn's schema."""
    with Database(empty_timescale_url, pool_size=1) as database:
        migrate(database)
    return empty_timescale_url


@pytest.fixture(params=stores.ENGINES)
def any_store(request: pytest.FixtureRequest) -> Iterator[stores.Postgres]:
    """An empty store on each engine; on a server of one session it is one of one connection."""
    yield from stores.opened(request)


@pytest.fixture(params=stores.SESSIONS)
def many_sessions(request: pytest.FixtureRequest) -> Iterator[stores.Postgres]:
    """An empty store on each engine that can hold sessions against each other: all but TimescaleDB in WASM."""
    yield from stores.opened(request)


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    """The shared Valkey: never stop it."""
    server = Valkey()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def redis_url(valkey_server: Valkey) -> str:
    """The shared Valkey, emptied."""
    valkey_server.flush()
    return valkey_server.url
