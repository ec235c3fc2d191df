"""The state folder: what may be wrong with it is said in one sentence; one Muninn at a time."""

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from muninn.errors import Misconfigured
from muninn.home import FOLDERS, Home, Process, State, reached

AS_ROOT = os.geteuid() == 0


def some_state(**changed: object) -> State:
    values: dict[str, object] = {
        "pid": 4242,
        "supervisor_pid": 4243,
        "started_s": 1.5,
        "database_url": "postgresql://u:***@h/d",
        "redis_url": "redis://h/0",
        "dashboard_url": "http://127.0.0.1:8501",
        "control": "/tmp/control.sock",
        "settings": {"MUNINN_HOME": "/tmp/home"},
        "processes": (Process("loader-1", "loader", 7, "running", 2.5, 1, "exit status 1", 0.0),),
    }
    return State(**{**values, **changed})  # type: ignore[arg-type]


def test_the_folders_are_made_and_made_again(tmp_path: Path) -> None:
    home = Home(tmp_path / "a" / "b")
    for _ in range(2):
        home.prepare(tmp_path / "landing")
    assert all((home.path / name).is_dir() for name in FOLDERS)
    assert (tmp_path / "landing").is_dir()
    assert home.path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("place", ["home", "home/run", "home/logs", "home/valkey"])
def test_a_file_in_the_place_of_a_folder(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text("")
    with pytest.raises(
        Misconfigured, match=f"{place} is a file, a folder is needed there: move it, or set MUNINN_HOME"
    ):
        Home(tmp_path / "home").prepare()


def test_a_home_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="lies below a file: set MUNINN_HOME to a folder"):
        Home(tmp_path / "file" / "home").prepare()


@pytest.mark.skipif(AS_ROOT, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(Misconfigured, match=r"cannot be written \(Permission denied\): set MUNINN_HOME"):
        Home(tmp_path / "home").prepare()


def test_a_folder_that_cannot_be_written_even_by_root() -> None:
    with pytest.raises(Misconfigured, match=r"/proc/muninn cannot be written \(.+\): set MUNINN_HOME"):
        Home(Path("/proc/muninn")).prepare()


@pytest.mark.skipif(not AS_ROOT, reason="only root can give a folder away")
def test_a_folder_of_somebody_else(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    os.chown(home.run, 65534, 65534)
    with pytest.raises(Misconfigured, match="belongs to user nobody: run Muninn as that user, or set MUNINN_HOME"):
        home.prepare()


def test_the_lock_is_for_one(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    assert not home.is_locked()
    with home.locked():
        assert home.is_locked()
        with pytest.raises(Misconfigured, match="is starting or ending on"), Home(tmp_path).locked():
            pass
        home.write(some_state())
        with (
            pytest.raises(Misconfigured, match=r"already runs .+ \(pid 4242\): open http://127.0.0.1:8501"),
            home.locked(),
        ):
            pass
        assert home.running() == some_state()
    assert not home.is_locked()
    assert home.running() is None


def test_the_lock_falls_with_its_holder(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    hold = (
        "import sys, time, pathlib\nfrom muninn.home import Home\n"
        "with Home(pathlib.Path(sys.argv[1])).locked():\n    print('held', flush=True)\n    time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert home.is_locked()
        assert not home.wait_unlocked(0.1)
        holder.kill()
    assert home.wait_unlocked(5)


def test_who_only_asks_whether_it_is_locked_keeps_nobody_out(tmp_path: Path) -> None:
    """Asking takes the lock for an instant."""
    home = Home(tmp_path)
    home.prepare()
    descriptor = os.open(home.run / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    asking = threading.Timer(0.1, os.close, (descriptor,))
    asking.start()
    with home.locked():
        assert home.is_locked()
    asking.join()


def test_the_state_survives_its_file(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    assert home.read() is None
    home.write(some_state())
    assert home.read() == some_state()
    assert (home.run / "state.json").stat().st_mode & 0o077 == 0
    home.forget()
    assert home.read() is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": 1}', '{"processes": [{"name": "x"}]}'])
def test_a_damaged_state_file_is_no_state(tmp_path: Path, text: str) -> None:
    home = Home(tmp_path)
    home.prepare()
    (home.run / "state.json").write_text(text)
    assert home.read() is None


RUNNING = {"MUNINN_HOME": "/elsewhere", "MUNINN_STORE_RAW_DAYS": "400", "MUNINN_COLD_FOLDER": "/big/disk"}


def test_settings_are_those_of_the_muninn_that_runs(tmp_path: Path) -> None:
    """Also what retention takes: a shell that does not know of 400 days must not drop after 90."""
    home = Home(tmp_path / "home")
    home.prepare()
    environ = {"MUNINN_HOME": str(home.path), "MUNINN_COLD_HOT_DAYS": "5", "MUNINN_STORE_CHUNK_HOURS": " "}
    with home.locked():
        with pytest.raises(Misconfigured, match=r"starting or ending: wait a moment"):
            reached(environ)
        home.write(some_state(database_url="postgresql://@/muninn?host=/sockets", settings=RUNNING))
        found = reached(environ)
        assert found.require_database_url() == "postgresql://@/muninn?host=/sockets"
        assert found.require_redis_url() == "redis://h/0"
        assert (found.home, found.cold_folder) == (home.path, Path("/big/disk"))
        assert (found.store.raw_days, found.cold.hot_days) == (400, 5)
        named = reached({**environ, "MUNINN_DATABASE_URL": "postgresql://other/d"})
        assert named.require_database_url() == "postgresql://other/d"
        assert named.store.raw_days == 90, "another database is not that Muninn's"
        home.write(some_state())
        with pytest.raises(Misconfigured, match=r"uses postgresql://u:\*\*\*@h/d.*set MUNINN_DATABASE_URL"):
            reached(environ)
        home.write(some_state(database_url="postgresql://u@h/d?password=***"))
        with pytest.raises(Misconfigured, match=r"whose password is not kept there: set MUNINN_DATABASE_URL"):
            reached(environ)
    with pytest.raises(Misconfigured, match=rf"no Muninn runs on {home.path}.*`make up`.*MUNINN_HOME"):
        reached(environ)
