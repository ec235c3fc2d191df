"""The embedded servers start on whatever a crash may have left, and say what is wrong where they cannot."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from servers import Postgres, Valkey, eventually

from muninn.errors import Misconfigured
from muninn.run import embedded

pytestmark = pytest.mark.slow

AS_ROOT = os.geteuid() == 0


@pytest.fixture
def postgres() -> Iterator[Callable[[], Postgres]]:
    """Makes PostgreSQL servers that are not started yet; all are closed at the end."""
    made = []

    def make() -> Postgres:
        made.append(Postgres())
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    server = Valkey()
    yield server
    server.close()


def answer(server: Postgres, question: str) -> object:
    with psycopg.connect(server.url, autocommit=True) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


def test_it_starts_with_its_database_and_settings(postgres: Callable[[], Postgres]) -> None:
    server = postgres()
    server.start()
    assert answer(server, "select current_database() || current_user") == "muninnmuninn"
    assert answer(server, "select current_setting('jit') || current_setting('listen_addresses')") == "off"
    assert answer(server, "select current_setting('server_encoding')") == "UTF8"
    assert str(answer(server, "show server_version")).startswith(embedded.POSTGRES_MAJOR)


def test_data_outlives_a_crash_and_a_restart(postgres: Callable[[], Postgres]) -> None:
    server = postgres()
    server.start()
    server.execute("create table kept as select 42 as x")
    server.kill()
    server.restart()
    assert answer(server, "select x from kept") == 42
    server.stop()
    server.start()
    assert answer(server, "select x from kept") == 42


def test_an_interrupted_initdb_is_done_again(postgres: Callable[[], Postgres]) -> None:
    server = postgres()
    half = server.home / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    (server.home / "postgres").mkdir()
    server.start()
    assert answer(server, "select 1") == 1
    assert not half.exists()


def test_a_folder_that_is_no_database_is_not_touched(tmp_path: Path) -> None:
    data = tmp_path / "postgres"
    data.mkdir()
    (data / "letters.txt").write_text("dear")
    with pytest.raises(Misconfigured, match=r"no complete database folder: move it away"):
        embedded.postgres(tmp_path).prepare()
    assert [path.name for path in data.iterdir()] == ["letters.txt"]


def test_a_half_copied_database_is_not_touched(tmp_path: Path) -> None:
    data = tmp_path / "postgres"
    data.mkdir()
    (data / "PG_VERSION").write_text("18\n")
    with pytest.raises(Misconfigured, match="no complete database folder"):
        embedded.postgres(tmp_path).prepare()


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "postgres").write_text("")
    with pytest.raises(Misconfigured, match="in the place of the database's folder"):
        embedded.postgres(tmp_path).prepare()


def test_data_of_another_version_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "postgres"
    (data / "global").mkdir(parents=True)
    (data / "global" / "pg_control").write_bytes(b"x")
    (data / "PG_VERSION").write_text("16\n")
    with pytest.raises(Misconfigured, match=r"made by PostgreSQL 16, this is 18"):
        embedded.postgres(tmp_path).prepare()


def test_a_pid_file_that_names_another_program_is_stale(postgres: Callable[[], Postgres]) -> None:
    server = postgres()
    server.start()
    server.kill()
    (server.home / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{server.home}\n1\n5432\n\n\n1 1\nready\n")
    server.restart()
    assert answer(server, "select 1") == 1


def test_a_server_that_outlived_its_supervisor_is_ended(postgres: Callable[[], Postgres]) -> None:
    server = postgres()
    server.start()
    left = server.process
    assert left is not None
    server.server.prepare()
    assert left.wait(5) == 0
    server.start()
    assert answer(server, "select 1") == 1


def test_a_path_too_long_for_a_socket_is_no_trouble(postgres: Callable[[], Postgres], valkey: Valkey) -> None:
    for server in (postgres(), valkey):
        server.home = server.home / ("deep" * 15) / ("er" * 20)
        server.home.mkdir(parents=True)
        server.start()
        assert len(server.url) < 140
        assert str(server.home) not in server.url
        shutil.rmtree(embedded.make_sockets_folder(server.home), ignore_errors=True)
        server.stop()


def test_any_name_of_the_home_will_do(postgres: Callable[[], Postgres], valkey: Valkey) -> None:
    for server in (postgres(), valkey):
        server.home = server.home / 'it\'s 100% "ödd" $HOME \\ {x}'
        server.home.mkdir()
        server.start()
        assert server.answers()
        server.stop()
        shutil.rmtree(embedded.make_sockets_folder(server.home))


@pytest.mark.skipif(not AS_ROOT, reason="only root has to change to another user")
def test_as_root_it_runs_as_somebody_else_and_opens_no_more_than_the_way(postgres: Callable[[], Postgres]) -> None:
    server = postgres()
    closed = Path(tempfile.mkdtemp(prefix="muninn-test-"))
    server.home = closed / "home"
    try:
        server.start()
        assert psutil.Process(server.pid).uids().real != 0
        assert stat.S_IMODE(closed.stat().st_mode) == 0o701
        assert stat.S_IMODE((server.home / "postgres").stat().st_mode) == 0o700
        assert (server.home / "postgres").stat().st_uid == psutil.Process(server.pid).uids().real
        server.stop()
    finally:
        shutil.rmtree(closed)


def test_valkey_keeps_every_answered_write_through_kill_9(valkey: Valkey) -> None:
    valkey.start()
    with redis.Redis.from_url(valkey.url) as client:
        for number in range(200):
            client.rpush("numbers", number)
    valkey.kill()
    valkey.restart()
    with redis.Redis.from_url(valkey.url) as client:
        assert [int(number) for number in client.lrange("numbers", 0, -1)] == list(range(200))
        assert client.config_get("appendfsync") == {"appendfsync": "always"}


def test_a_valkey_that_outlived_its_supervisor_is_ended(valkey: Valkey) -> None:
    valkey.start()
    left = valkey.process
    assert left is not None
    valkey.server.prepare()
    assert left.wait(5) == 0
    valkey.start()
    eventually(valkey.answers, 5, "the new one answers")


def test_another_ones_valkey_whose_pid_stands_in_an_old_file_is_left_alone(valkey: Valkey, tmp_path: Path) -> None:
    valkey.start()
    mine = embedded.valkey(tmp_path)
    (embedded.make_sockets_folder(tmp_path) / "valkey.pid").write_text(f"{valkey.pid}\n")
    mine.prepare()
    assert valkey.answers()


def test_an_interrupt_at_the_terminal_is_not_for_initdb(tmp_path: Path) -> None:
    """A Ctrl-C reaches every process of the terminal's group: who started initdb decides what it means."""
    prepare = (
        "import pathlib, signal, sys\n"
        "signal.signal(signal.SIGINT, lambda *_: None)\n"
        "from muninn.run import embedded\n"
        "embedded.postgres(pathlib.Path(sys.argv[1])).prepare()\n"
        # An interpreter that ends has given its handlers up: it ends when no signal can come any more.
        "sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", prepare, str(tmp_path)], process_group=0, stdin=subprocess.PIPE, text=True
    )
    half = tmp_path / "postgres.new" / "PG_VERSION"
    eventually(half.exists, 30, "initdb is at work", interval_s=0.005)

    def made() -> bool:
        assert process.poll() in (None, 0)
        os.killpg(process.pid, signal.SIGINT)
        return not half.exists()

    eventually(made, 60, "the folder is made")
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert (tmp_path / "postgres" / "PG_VERSION").exists()
