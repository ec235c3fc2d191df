"""Real PostgreSQL and Valkey for tests, one class each: start, kill -9, restart, end.

Folders are short ones of their own below the temporary folder, removed at the end. A server dies with the
test process, also when that is killed.
"""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import redis

from muninn.run import embedded

START_S = 30.0
# Tests do not survive a power cut, so they need not wait for disks; a killed server loses nothing by it.
FAST = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "'256MB'", "shared_buffers": "'64MB'"}


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def eventually(check: Callable[[], bool], timeout_s: float, what: str, interval_s: float = 0.05) -> None:
    """Return once `check()` is true; AssertionError naming `what` after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(interval_s)


class _Running(ABC):
    """One embedded server as a child process."""

    def __init__(self) -> None:
        self._folder = self.home = Path(tempfile.mkdtemp(prefix="muninn-test-"))
        self.process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)

    @abstractmethod
    def describe(self) -> embedded.Server: ...

    @abstractmethod
    def answers(self) -> bool: ...

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.server = self.describe()
        self.server.prepare()
        with self.log.open("ab") as output:
            self.process = self.server.spawn(output.fileno())
        eventually(self._up, START_S, f"{self.server.name} answers; its log: {self.log}")

    def _up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        return self.answers()

    @property
    def url(self) -> str:
        return self.server.url

    def kill(self) -> None:
        """kill -9, as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def restart(self) -> None:
        """Start again on the same data, after kill() or as it runs."""
        self.stop()
        # Children of a killed postmaster take a moment to notice; until then a new one refuses to start.
        deadline = time.monotonic() + START_S
        while True:
            try:
                return self.start()
            except AssertionError:
                if time.monotonic() > deadline:
                    raise

    def stop(self) -> None:
        """End it in order, by force after ten seconds."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(self.server.stop_signal)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    def close(self) -> None:
        """End it and remove its folder."""
        atexit.unregister(self.close)
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


class Postgres(_Running):
    """An embedded PostgreSQL; `durable` keeps fsync on."""

    def __init__(self, *, durable: bool = False):
        super().__init__()
        self._overrides = {} if durable else FAST

    def describe(self) -> embedded.Server:
        return embedded.postgres(self.home, self._overrides)

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def database_url(self, name: str) -> str:
        """The URL of another database of this server."""
        return self.url.replace("@/muninn?", f"@/{name}?")

    def execute(self, sql: str) -> None:
        """Run one statement in the server's first database, outside a transaction."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.encode())

    def create(self, name: str, template: str = "template1") -> str:
        """A new database, a copy of `template`; returns its URL."""
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return self.database_url(name)

    def drop(self, name: str) -> None:
        """Drop a database and end its sessions."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """It is there, takes connections, and answers nothing."""
        found = psutil.Process(self.pid)
        paused = [found, *found.children(recursive=True)]
        try:
            for each in paused:
                each.suspend()
            yield
        finally:
            for each in reversed(paused):
                with suppress(psutil.NoSuchProcess):
                    each.resume()


class Valkey(_Running):
    """An embedded Valkey, with the append-only file written at every command as in production."""

    def __init__(self, overrides: Mapping[str, str] | None = None):
        super().__init__()
        self._overrides = overrides

    def describe(self) -> embedded.Server:
        return embedded.valkey(self.home, self._overrides)

    def answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def flush(self) -> None:
        """Empty every database."""
        with redis.Redis.from_url(self.url, socket_timeout=5) as client:
            client.flushall()


def pause(pid: int) -> None:
    """SIGSTOP: the process hangs."""
    os.kill(pid, signal.SIGSTOP)


def unpause(pid: int) -> None:
    """SIGCONT: the process goes on."""
    os.kill(pid, signal.SIGCONT)
