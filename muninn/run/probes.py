"""Does it answer? Questions that are asked again and again while something starts, and for `muninn status`.

Belongs here: asking, with short limits, and never raising. Does not: what an answer means for the whole.
"""

import http.client
import math
import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from muninn import cache
from muninn.cache.board import Board
from muninn.cache.client import translated
from muninn.errors import Unavailable
from muninn.home import Process

# Given a program's processes: whether it answers.
Probe = Callable[[Sequence[Process]], bool]

_LOADED = "{workspaceOrError{...on Workspace{locationEntries{loadStatus locationOrLoadError{__typename}}}}}"
_DAEMONS = "{instance{daemonHealth{allDaemonStatuses{required healthy lastHeartbeatTime}}}}"


def fetch(url: str, body: bytes | None = None, timeout_s: float = 2.0) -> tuple[int, bytes]:
    """Status and body of a GET, or of a POST of JSON; (0, reason) where nobody answers in time."""
    parts = urlsplit(url)
    connection = _connection(parts.scheme, parts.hostname or "", parts.port, timeout_s)
    try:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request("GET" if body is None else "POST", parts.path or "/", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error).encode()
    finally:
        connection.close()


def _connection(scheme: str, host: str, port: int | None, timeout_s: float) -> http.client.HTTPConnection:
    if scheme == "https":
        # Whether it answers is asked, on this machine; whose certificate it shows is not.
        context = ssl._create_unverified_context()  # noqa: S323
        return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
    return http.client.HTTPConnection(host, port, timeout=timeout_s)


def tcp(host: str, port: int) -> Probe:
    """Somebody listens on the port."""

    def ask(_: Sequence[Process]) -> bool:
        try:
            socket.create_connection((host, port), timeout=1.0).close()
        except OSError:
            return False
        return True

    return ask


def http_ok(url: str) -> Probe:
    """A GET of `url` is answered 200."""
    return lambda _: fetch(url)[0] == 200


def unknown(_: Sequence[Process]) -> bool:
    """Nobody can be asked: True."""
    return True


def heartbeat(board: Board, program: str, *, unknown: bool = False) -> Probe:
    """Every process of the program has told the board how it is; `unknown` where there is no board to look at."""

    def ask(processes: Sequence[Process]) -> bool:
        try:
            told = {entry.pid for entry in board.read_all() if entry.program == program}
        except Unavailable:
            return unknown
        return bool(processes) and {process.pid for process in processes} <= told

    return ask


def both(first: Probe, second: Probe) -> Probe:
    """The one and then the other."""
    return lambda processes: first(processes) and second(processes)


def postmaster(data: Path) -> Probe:
    """An embedded PostgreSQL takes connections: its pid file says so, in its eighth line."""

    def ask(processes: Sequence[Process]) -> bool:
        try:
            lines = (data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        pids = {str(process.pid) for process in processes}
        return len(lines) >= 8 and lines[0].strip() in pids and lines[7].strip() == "ready"

    return ask


def redis(url: str) -> Probe:
    """A Redis or Valkey at `url` answers."""

    def ask(_: Sequence[Process]) -> bool:
        try:
            ping(url)
        except Unavailable:
            return False
        return True

    return ask


def ping(url: str) -> None:
    """Return where the Redis at `url` answers; Unavailable or Misconfigured say why not."""
    client = cache.connect(url, timeout_s=2.0, max_connections=1)
    try:
        with translated():
            client.ping()
    finally:
        client.close()


def dagster_loaded(url: str) -> Probe:
    """The Dagster UI at `url` answers, and has loaded the code."""

    def ask(_: Sequence[Process]) -> bool:
        found = _graphql(url, _LOADED)
        entries = (found.get("workspaceOrError") or {}).get("locationEntries") or []
        loaded = [(entry.get("locationOrLoadError") or {}).get("__typename") for entry in entries]
        return bool(loaded) and all(kind == "RepositoryLocation" for kind in loaded)

    return ask


def dagster_daemons(url: str) -> Probe:
    """Every daemon that Dagster's configuration requires has told that it is well, since its process runs.

    Dagster keeps the last heartbeat of each, and holds it fresh for half an hour: also one of before a restart.
    """

    def ask(processes: Sequence[Process]) -> bool:
        found = _graphql(url, _DAEMONS)
        daemons = ((found.get("instance") or {}).get("daemonHealth") or {}).get("allDaemonStatuses") or []
        since_s = max((process.started_s for process in processes), default=math.inf)
        return bool(daemons) and all(_beats(daemon, since_s) for daemon in daemons if daemon["required"])

    return ask


def _beats(daemon: dict[str, Any], since_s: float) -> bool:
    return bool(daemon["healthy"]) and (daemon["lastHeartbeatTime"] or 0.0) >= since_s


def _graphql(url: str, query: str) -> dict[str, Any]:
    status, body = fetch(f"{url}/graphql", orjson.dumps({"query": query}), timeout_s=5.0)
    if status != 200:
        return {}
    try:
        data = orjson.loads(body).get("data")
    except (ValueError, AttributeError):
        return {}
    return data if isinstance(data, dict) else {}
