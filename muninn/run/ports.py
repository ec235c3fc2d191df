"""Whether the addresses that we are to listen on are free, and who has them if not.

Belongs here: asking before anything is started, to say it in one sentence. Does not: listening.
"""

import contextlib
import errno
import socket
from dataclasses import dataclass

import psutil

from muninn.errors import Misconfigured
from muninn.settings import Settings


@dataclass(frozen=True)
class Listener:
    """An address to listen on, TCP or UDP, and the setting that moves it (MUNINN_<SECTION>_PORT or _HOST)."""

    section: str
    host: str
    port: int
    field: str = "PORT"
    udp: bool = False

    @property
    def setting(self) -> str:
        """The variable that holds the port."""
        return f"MUNINN_{self.section}_{self.field}"


def listeners(settings: Settings) -> list[Listener]:
    """What `muninn up` will listen on."""
    statsd = settings.statsd
    return [
        Listener("GATEWAY", settings.gateway.host, settings.gateway.port),
        Listener("SIDECAR", settings.sidecar.host, settings.sidecar.port),
        Listener("STREAMLIT", settings.streamlit.host, settings.streamlit.port),
        Listener("DAGSTER", settings.dagster.host, settings.dagster.port),
        Listener("DAGSTER", "127.0.0.1", settings.dagster.code_port, "CODE_PORT"),
        *([Listener("STATSD", statsd.host, statsd.port, udp=True)] if statsd.port is not None else []),
    ]


def check(wanted: list[Listener]) -> None:
    """Misconfigured for the first address that two settings share or that cannot be listened on."""
    seen: dict[tuple[bool, int], Listener] = {}
    for listener in wanted:
        other = seen.setdefault((listener.udp, listener.port), listener)
        if other is not listener:
            raise Misconfigured(
                f"{other.setting} and {listener.setting} are both {listener.port}: give one of them another port"
            )
    for listener in wanted:
        _check_free(listener)


def _check_free(listener: Listener) -> None:
    try:
        wanted = socket.SOCK_DGRAM if listener.udp else socket.SOCK_STREAM
        found = socket.getaddrinfo(listener.host, listener.port, type=wanted, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise Misconfigured(
            f"MUNINN_{listener.section}_HOST is {listener.host!r}, which is no address of this machine: "
            f"{error.strerror}"
        ) from error
    for family, kind, protocol, _, address in found:
        with contextlib.closing(socket.socket(family, kind, protocol)) as probe:
            try:
                if listener.udp:
                    probe.bind(address)
                    continue
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen(1)
            except OSError as error:
                raise _explained(listener, error) from error


def _explained(listener: Listener, error: OSError) -> Misconfigured:
    where = f"{listener.host}:{listener.port}"
    if error.errno == errno.EADDRINUSE:
        return Misconfigured(
            f"port {where} is taken{_by_whom(listener)}: set {listener.setting} to another, or end that program"
        )
    if error.errno == errno.EACCES:
        return Misconfigured(f"port {where} needs more rights than we have: set {listener.setting} to one above 1023")
    return Misconfigured(
        f"cannot listen on {where} ({error.strerror}): set MUNINN_{listener.section}_HOST to an address of this machine"
    )


def _by_whom(listener: Listener) -> str:
    """How to name the program that listens: " by NAME (pid N)" where the system tells, else nothing."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("udp" if listener.udp else "tcp"):
            ours = connection.laddr and connection.laddr.port == listener.port
            if ours and (listener.udp or connection.status == psutil.CONN_LISTEN) and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""
