"""What several tests of clients share: a door, and a real Prometheus."""

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import alert_world
import pytest
import uvicorn
from alert_world import Api
from chain import Chain
from servers import Postgres, Valkey, eventually, free_port
from starlette.applications import Starlette

from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.ingest.http import IngestDoor
from muninn.model import SeriesKey
from muninn.store.database import Database
from muninn.store.migrations import migrate

Kept = Callable[[], dict[SeriesKey, list[float]]]


@pytest.fixture
def door(redis_url: str) -> Iterator[tuple[str, Kept]]:
    """A door on a free port, and what it has put into the buffer so far."""
    broker = ValkeyBroker(redis_url)
    app = Starlette(routes=IngestDoor(broker).routes())
    server = uvicorn.Server(uvicorn.Config(app, port=free_port(), log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()

    def kept() -> dict[SeriesKey, list[float]]:
        found: dict[SeriesKey, list[float]] = {}
        for handle in broker.follow("0-0", 0):
            for key, value in zip(handle.batch.key_index, handle.batch.value, strict=True):
                found.setdefault(handle.batch.keys[key], []).append(float(value))
        return found

    eventually(lambda: server.started, 30, "the door opens")
    try:
        yield f"http://127.0.0.1:{server.config.port}", kept
    finally:
        server.should_exit = True
        thread.join()
        broker.close()


def debian_package(name: str, folder: Path, instead: str = "") -> Path:
    """Debian's package of this name, unpacked into the folder; skips the test where it cannot be had."""
    otherwise = f": {instead}" if instead else ""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        pytest.skip(f"no {name} here, and no apt-get to fetch it{otherwise}")
    fetched = subprocess.run(["apt-get", "download", "-q", name], cwd=folder, capture_output=True, check=False)
    packages = list(folder.glob(f"{name}_*.deb"))
    if fetched.returncode or not packages:
        pytest.skip(f"Debian's {name} cannot be fetched{otherwise}")
    subprocess.run(["dpkg", "-x", packages[0], folder], check=True)
    return folder


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A real Prometheus: installed, or unpacked from Debian's package into a temporary folder."""
    if found := shutil.which("prometheus"):
        return found
    recorded = "requests recorded from one are tested instead"
    return str(debian_package("prometheus", tmp_path_factory.mktemp("prometheus"), recorded) / "usr/bin/prometheus")


@pytest.fixture(scope="session")
def alertmanager_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Debian's package of Alertmanager and amtool, unpacked into a temporary folder."""
    return debian_package("prometheus-alertmanager", tmp_path_factory.mktemp("alertmanager-package"))


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    """PostgreSQL, Valkey, a gateway and a loader, each its own process that the test may kill."""
    made = Chain(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    """A Valkey of the test alone, to be killed and started."""
    made = Valkey()
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def servers(valkey: Valkey) -> Iterator[tuple[Postgres, Valkey]]:
    """A migrated PostgreSQL and a Valkey of the test alone, to be stopped and started."""
    postgres = Postgres()
    try:
        postgres.start()
        with Database(postgres.url, pool_size=1) as database:
            migrate(database)
        yield postgres, valkey
    finally:
        postgres.close()


@pytest.fixture
def api(postgres_url: str, tmp_path: Path) -> Iterator[Api]:
    with Database(postgres_url, pool_size=4) as database, alert_world.api(postgres_url, tmp_path) as port:
        yield Api(f"http://127.0.0.1:{port}", database)
