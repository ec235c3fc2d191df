"""The state folder: its layout, its lock, and the file that says what runs.

Belongs here: MUNINN_HOME and what may be wrong with it, the settings of what runs there. Does not: the servers' own
folders (run.embedded).

    HOME/run/        lock, state.json, sockets      HOME/logs/     one log a program
    HOME/postgres/   HOME/valkey/                   data of the embedded servers
    HOME/dagster/    HOME/landing/
"""

import contextlib
import fcntl
import os
import pwd
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from muninn.errors import Misconfigured
from muninn.settings import PREFIX, Settings, load

FOLDERS = ("run", "logs", "valkey", "dagster")
_ASKING_S = 0.5


@dataclass(frozen=True)
class Process:
    """One process under the supervisor.

    state: starting, running, backoff (waits for the next try), stopping, stopped.
    restarts: how often it came back by itself; last_end: how it ended last, "" if it never did.
    next_try_s: seconds since the epoch, 0 unless in backoff.
    """

    name: str
    program: str
    pid: int
    state: str
    started_s: float
    restarts: int
    last_end: str
    next_try_s: float


@dataclass(frozen=True)
class State:
    """What runs: `pid` is the one to signal, `control` the supervisor's socket.

    settings: as environment variables, without secrets; URLs are for people, their passwords masked.
    """

    pid: int
    supervisor_pid: int
    started_s: float
    database_url: str
    redis_url: str
    dashboard_url: str
    control: str
    settings: dict[str, str]
    processes: tuple[Process, ...] = ()

    def dumps(self) -> bytes:
        """As JSON."""
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2)

    @classmethod
    def loads(cls, text: bytes) -> "State":
        """From JSON; ValueError or TypeError where it is not a state."""
        found: dict[str, Any] = orjson.loads(text)
        processes = tuple(Process(**process) for process in found.pop("processes"))
        return cls(**found, processes=processes)


class Home:
    """The folder MUNINN_HOME."""

    def __init__(self, path: Path):
        self.path = path.expanduser().absolute()

    @property
    def logs(self) -> Path:
        """Where each program's log is."""
        return self.path / "logs"

    @property
    def run(self) -> Path:
        """Lock, state and sockets."""
        return self.path / "run"

    @property
    def dagster(self) -> Path:
        """DAGSTER_HOME."""
        return self.path / "dagster"

    @property
    def _state_file(self) -> Path:
        return self.run / "state.json"

    def prepare(self, *others: Path) -> None:
        """Make the folders, and those in `others`; Misconfigured says what to change where that cannot be."""
        self._make(self.path, "MUNINN_HOME")
        owner = self.run.stat().st_uid if self.run.is_dir() else os.geteuid()
        if owner != os.geteuid():
            raise Misconfigured(
                f"the state folder {self.path} belongs to {_user(owner)}: run Muninn as that user, "
                "or set MUNINN_HOME to a folder of your own"
            )
        for name in FOLDERS:
            self._make(self.path / name, "MUNINN_HOME")
        for folder in others:
            self._make(folder, "MUNINN_LANDING")

    def _make(self, folder: Path, setting: str) -> None:
        """The folder exists and we can write in it, proved by doing so."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except FileExistsError as error:
            raise Misconfigured(f"{folder} is a file, a folder is needed there: move it, or set {setting}") from error
        except NotADirectoryError as error:
            raise Misconfigured(f"{folder} lies below a file: set {setting} to a folder") from error
        except OSError as error:
            raise Misconfigured(
                f"the folder {folder} cannot be written ({error.strerror}): set {setting} to one that can"
            ) from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process and the children it forks; Misconfigured where another has it."""
        descriptor = os.open(self.run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _lock(descriptor):
                raise Misconfigured(self._who_has_it())
            yield
        finally:
            os.close(descriptor)

    def _who_has_it(self) -> str:
        state = self.read()
        if state is None:
            return f"Muninn is starting or ending on {self.path} already: wait a moment, or set MUNINN_HOME elsewhere"
        return (
            f"Muninn already runs on {self.path} (pid {state.pid}): open {state.dashboard_url}, "
            "or end it with `muninn down`"
        )

    def is_locked(self) -> bool:
        """Whether a Muninn runs (or starts, or ends) on this folder."""
        try:
            descriptor = os.open(self.run / "lock", os.O_RDWR | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except PermissionError as error:
            raise Misconfigured(f"{self.run} belongs to another user: run this as that user") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def write(self, state: State) -> None:
        """Replace the state file in one step."""
        fresh = self._state_file.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_bytes(state.dumps())
        fresh.replace(self._state_file)

    def read(self) -> State | None:
        """What runs, as last written; None where there is no (readable) state."""
        try:
            return State.loads(self._state_file.read_bytes())
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def forget(self) -> None:
        """Nothing runs any more."""
        self._state_file.unlink(missing_ok=True)

    def running(self) -> State | None:
        """The state of the Muninn that runs here now, or None."""
        return self.read() if self.is_locked() else None

    def wait_unlocked(self, timeout_s: float) -> bool:
        """Whether the one that runs has ended within `timeout_s` seconds."""
        deadline = time.monotonic() + timeout_s
        while self.is_locked():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def _lock(descriptor: int) -> bool:
    """Whether the lock is ours now. It is tried for a moment: who only asks whether somebody has it takes it, too."""
    deadline = time.monotonic() + _ASKING_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        else:
            return True


def _user(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"


def reached(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of the environment, with a database: where it names none, that of the Muninn on its MUNINN_HOME.

    All settings are then those of that Muninn, but for what the environment says otherwise. Misconfigured where none
    runs there, or its server needs a password, which the state folder does not keep.
    """
    environ = os.environ if environ is None else environ
    given = load(environ)
    if given.database.url is not None:
        return given
    home = Home(given.home)
    state = home.running()
    if state is None:
        raise Misconfigured(_nothing_runs(home))
    if _is_masked(state.database_url):
        raise Misconfigured(
            f"the Muninn on {home.path} uses {state.database_url}, whose password is not kept there:"
            " set MUNINN_DATABASE_URL"
        )
    own = {name: text for name, text in environ.items() if name.startswith(PREFIX) and text.strip()}
    urls = {"MUNINN_DATABASE_URL": state.database_url}
    if given.redis.url is None and not _is_masked(state.redis_url):
        urls["MUNINN_REDIS_URL"] = state.redis_url
    return load({**state.settings, **own, **urls})


def _nothing_runs(home: Home) -> str:
    if home.is_locked():
        return f"a Muninn on {home.path} is starting or ending: wait a moment"
    return (
        f"no database: MUNINN_DATABASE_URL is not set, and no Muninn runs on {home.path}. Start it with `make up`, set"
        " MUNINN_HOME to the folder of one that runs, or MUNINN_DATABASE_URL to a server"
    )


def _is_masked(url: str) -> bool:
    """Whether `settings.without_password` took one out."""
    return ":***@" in url or "password=***" in url
