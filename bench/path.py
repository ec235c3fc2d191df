"""The way of a sample alone: PostgreSQL, Valkey, a gateway and loaders as `muninn up` starts them, and nothing else.

Belongs here: starting them, sending to them, what they cost. Does not: what is sent (traffic), which figures (ingest).
"""

import contextlib
import http.client
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

from bench.running import answers, free_port, wait_until
from bench.traffic import Request
from muninn.ingest.buffer.sharded import open_buffer
from muninn.run import embedded, environment
from muninn.store.database import Database
from muninn.store.migrations import migrate

CLIENTS = 4
PATIENCE_S = 600.0
# More series than the door lets in by default: how fast they come is what is measured.
UNLIMITED = {
    f"CARDINALITY_{of}_{what}": "5000000" for of in ("METRIC", "SOURCE") for what in ("SERIES", "NEW_PER_HOUR")
}


@dataclass
class Path_:  # noqa: N801 - pathlib has the other name
    """The running programs by name."""

    environ: dict[str, str]
    database_url: str
    redis_url: str
    programs: dict[str, list["subprocess.Popen[bytes]"]] = field(default_factory=dict)

    @property
    def port(self) -> int:
        """The gateway's."""
        return int(self.environ["MUNINN_GATEWAY_PORT"])

    def start(self, name: str, number: int = 1) -> None:
        """One of Muninn's programs."""
        argv = [sys.executable, "-m", "muninn.run.programs", name, str(number)]
        log = None if os.environ.get("MUNINN_BENCH_LOUD") else subprocess.DEVNULL
        self.programs.setdefault(name, []).append(subprocess.Popen(argv, env=self.environ, stderr=log))

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds of each program so far, its children's too."""
        spent = {name: sum(_cpu_s(each.pid) for each in started) for name, started in self.programs.items()}
        return {**spent, "client": sum(os.times()[:2])}

    def peak_mib(self) -> dict[str, float]:
        """The most resident memory that each of Muninn's own programs ever had."""
        return {
            name: max(_peak_mib(each.pid) for each in started)
            for name, started in self.programs.items()
            if name in ("gateway", "loader")
        }


@contextlib.contextmanager
def path(loaders: int = 1, /, **settings: str) -> Iterator[Path_]:
    """Everything on a temporary folder, ready; ended afterwards. settings: as of the environment, without MUNINN_."""
    with tempfile.TemporaryDirectory(prefix="muninn-bench-") as folder, contextlib.ExitStack() as cleanup:
        home = Path(folder)
        home.chmod(0o755)
        servers = (embedded.postgres(home), embedded.valkey(home))
        made = Path_({}, servers[0].url, servers[1].url)
        cleanup.callback(_end, made)
        embedded.make_sockets_folder(home)
        for server in servers:
            server.prepare()
            made.programs[server.name] = [server.spawn(subprocess.DEVNULL)]
        wait_until(lambda: _connects(made.database_url), 60)
        with Database(made.database_url, pool_size=1) as database:
            migrate(database)
        ours = {"HOME": folder, "DATABASE_URL": made.database_url, "REDIS_URL": made.redis_url, **settings}
        ours.setdefault("GATEWAY_PORT", str(free_port()))
        made.environ = {
            **environment.FRUGAL,
            **os.environ,
            **{f"MUNINN_{name}": value for name, value in ours.items()},
        }
        made.start("gateway")
        for number in range(1, loaders + 1):
            made.start("loader", number)
        wait_until(lambda: answers(f"http://127.0.0.1:{made.port}/healthz"), 60)
        yield made


def send_all(path: Path_, requests: Sequence[Request], clients: int = CLIENTS) -> float:
    """Send every request over a few connections, again where the door says 429; seconds until all are answered."""
    started, waiting, lock = time.monotonic(), iter(requests), threading.Lock()
    errors: list[BaseException] = []

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", path.port, timeout=120)
        try:
            while True:
                with lock:
                    request = next(waiting, None)
                if request is None:
                    return
                _send(connection, request)
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return time.monotonic() - started


def _send(connection: http.client.HTTPConnection, request: Request) -> None:
    while True:
        connection.request("POST", request.path, request.body, request.headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status < 300:
            return
        if answer.status != 429:
            raise RuntimeError(f"{answer.status}: {text[:300]!r}")
        time.sleep(0.2)


def wait_for_the_store(path: Path_) -> None:
    """Until nothing waits in the buffer."""
    broker = open_buffer(path.redis_url, int(path.environ.get("MUNINN_BUFFER_SHARDS", "1")))
    wait_until(lambda: broker.depth() == 0, PATIENCE_S, step_s=0.02)
    broker.close()


def rows(path: Path_) -> int:
    """Rows in the store."""
    with psycopg.connect(path.database_url) as store:
        found = store.execute("select count(*) from raw_samples").fetchone()
    return int(found[0]) if found else 0


def _connects(url: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url):
        return True
    return False


def _end(path: Path_) -> None:
    for started in reversed(path.programs.values()):
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _cpu_s(pid: int) -> float:
    """Of a process and its children, those that ended too."""
    total = 0.0
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += (
                times.user + times.system + (times.children_user + times.children_system if process.pid == pid else 0)
            )
    return total


def _peak_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0
