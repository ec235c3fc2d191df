"""Where `muninn up` cannot start it says why in one sentence, with a code that is not 0, and leaves nothing running."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator

import psutil
import pytest
from muninn_up import MuninnUp
from servers import Postgres, Valkey, eventually, free_port

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack")]


@pytest.fixture
def up() -> Iterator[MuninnUp]:
    with MuninnUp() as made:
        yield made


def refused(up: MuninnUp) -> str:
    """What it says on standard error, one sentence."""
    done = up.run("up")
    assert done.returncode not in (0, None)
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("muninn: ")
    assert up.of_its_folder() == []
    assert not up.home.is_locked()
    assert up.home.read() is None
    return lines[0]


@pytest.mark.parametrize("name", ["GATEWAY_PORT", "DAGSTER_CODE_PORT"])
def test_a_taken_port(up: MuninnUp, name: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", up.port(name)))
        listener.listen()
        said = refused(up)
    assert f"127.0.0.1:{up.port(name)} is taken by" in said
    assert f"(pid {os.getpid()}): set MUNINN_{name} to another" in said


def test_a_broken_setting(up: MuninnUp) -> None:
    up.environ["MUNINN_LOADER_COUNT"] = "many"
    assert "MUNINN_LOADER_COUNT is wrong" in refused(up)


def test_a_file_in_the_place_of_the_home(up: MuninnUp) -> None:
    up.home.path.write_text("")
    assert f"{up.home.path} is a file, a folder is needed there: move it, or set MUNINN_HOME" in refused(up)
    up.home.path.unlink()


def test_a_home_that_cannot_be_written(up: MuninnUp) -> None:
    up.environ["MUNINN_HOME"] = "/proc/muninn"
    assert "cannot be written" in refused(up)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_home_that_may_not_be_written(up: MuninnUp) -> None:
    up.folder.chmod(0o500)
    assert "(Permission denied): set MUNINN_HOME" in refused(up)
    up.folder.chmod(0o700)


def test_a_half_written_home(up: MuninnUp) -> None:
    data = up.home.path / "postgres"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("18\n")
    assert re.search(r"/postgres is no complete database folder: move it away", refused(up))


def test_a_home_left_by_an_interrupted_first_start(up: MuninnUp) -> None:
    half = up.home.path / "postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    (up.home.path / "run").mkdir()
    (up.home.path / "run" / "state.json").write_text('{"pid": 1, "proc')
    up.begin()
    up.await_output("schema is ready", 60)
    assert up.end(signal.SIGTERM) == 0
    assert up.left() == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://muninn:sesame@127.0.0.1:{closed}/muninn", r"127\.0\.0\.1:\d+/muninn is away: .*refused"),
        ("mysql://muninn:sesame@127.0.0.1/muninn", r"MUNINN_DATABASE_URL must start with postgresql://"),
        ("postgresql://stranger:sesame@/muninn?host={sockets}", r'role "stranger" does not exist'),
        ("postgresql://muninn:sesame@/nothing?host={sockets}", r'database "nothing" does not exist'),
    ],
)
def test_a_database_that_does_not_work(
    up: MuninnUp, url: str, expected: str, postgres_server: Postgres, valkey_server: Valkey
) -> None:
    sockets = postgres_server.url.partition("host=")[2]
    up.environ["MUNINN_DATABASE_URL"] = url.format(closed=free_port(), sockets=sockets)
    up.environ["MUNINN_REDIS_URL"] = valkey_server.url
    said = refused(up)
    assert re.search(expected, said)
    assert "sesame" not in said


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://:sesame@127.0.0.1:{closed}/0", r"Redis .*refused"),
        ("http://:sesame@127.0.0.1/0", r"MUNINN_REDIS_URL"),
        ("{real}?username=stranger&password=sesame", r"WRONGPASS|invalid username-password"),
    ],
)
def test_a_redis_that_does_not_work(
    up: MuninnUp, url: str, expected: str, postgres_server: Postgres, valkey_server: Valkey
) -> None:
    up.environ["MUNINN_DATABASE_URL"] = postgres_server.url
    up.environ["MUNINN_REDIS_URL"] = url.format(closed=free_port(), real=valkey_server.url)
    said = refused(up)
    assert re.search(expected, said)
    assert "sesame" not in said


def test_with_real_servers_nothing_embedded_runs(
    up: MuninnUp, empty_postgres_url: str, postgres_server: Postgres, redis_url: str
) -> None:
    """Also an end in the middle of the start."""
    postgres_server.drop("dagster")
    up.environ |= {"MUNINN_DATABASE_URL": empty_postgres_url, "MUNINN_REDIS_URL": redis_url}
    up.begin()
    up.await_output("gateway is ready", 90)
    assert {process.program for process in up.state().processes}.isdisjoint({"postgres", "valkey"})
    names = {psutil.Process(pid).name() for pid in up.seen if psutil.pid_exists(pid)}
    assert names.isdisjoint({"postgres", "valkey-server"})
    assert not (up.home.path / "postgres").exists()
    assert up.end(signal.SIGTERM) == 0
    assert up.left() == []
    # Dagster's own database was made beside the given one.
    postgres_server.execute("alter database dagster rename to dagster_was_made")
    postgres_server.drop("dagster_was_made")


def test_a_program_that_cannot_start_is_named(up: MuninnUp) -> None:
    """The collector's address is wrong in a way that only the collector can notice."""
    up.environ["MUNINN_COLLECTOR_URL"] = "ftp://127.0.0.1:1"
    up.begin()
    assert up.process is not None

    def ended() -> bool:
        assert up.process is not None
        up.look()
        return up.process.poll() is not None

    eventually(ended, 90, "it has given up", interval_s=0.2)
    assert up.process.returncode == 1
    assert up.errors().count("\n") == 1
    assert "collector ends again and again (exit status 2" in up.errors()
    assert "is not http://host:port" in up.errors()
    assert up.left() == []


def test_what_is_left_running_would_be_seen(up: MuninnUp) -> None:
    sleeper = subprocess.Popen(["sleep", "60"], env=up.environ, start_new_session=True)
    try:
        eventually(lambda: up.of_its_folder() == ["sleep 60"], 10, "it is seen")
    finally:
        sleeper.kill()
        sleeper.wait()
    assert up.of_its_folder() == []
