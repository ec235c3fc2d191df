"""Faults on purpose, on this machine only, each bounded in time and size, and over by itself.

Belongs here: making a fault and taking it back, whatever ends it. Does not: finding it (detection).

Load is real: processes that burn CPU, memory that is held, a file that grows. What ails a service is told by the
rehearsal service (`muninn inject service`), which sends figures to the gateway and reads in HOME/inject what it
shall suffer from, and until when; where no such service runs, nothing happens.
"""

import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from muninn.clock import SECOND_US, SystemClock
from muninn.errors import Misconfigured
from muninn.settings import Settings
from muninn.sources.client import GatewayClient
from muninn.sources.rehearsal import ILLS, Service

MAX_SECONDS = 3_600.0
MAX_SERVICE_SECONDS = 7 * 86_400.0
MAX_MEMORY_BYTES = 8 << 30
MAX_DISK_BYTES = 20 << 30
# What the machine needs for itself: a fault takes at most what is beyond it.
_LEFT_FREE_BYTES = 1 << 30
_CHUNK = 4 << 20
_BEAT_S = 0.25


def folder(settings: Settings) -> Path:
    """Where faults lie while they last."""
    path = settings.home / "inject"
    path.mkdir(parents=True, exist_ok=True)
    return path


def burn_cpu(seconds: float, cores: int, stop: threading.Event) -> None:
    """Keep so many cores busy."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_spin, args=(seconds,), daemon=True) for _ in range(cores)]
    for worker in workers:
        worker.start()
    try:
        stop.wait(seconds)
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _spin(seconds: float) -> None:
    ends = time.monotonic() + seconds
    parent = os.getppid()
    while time.monotonic() < ends and os.getppid() == parent:
        sum(range(100_000))


def leak_memory(seconds: float, most_bytes: int, stop: threading.Event) -> int:
    """Hold ever more memory, up to `most_bytes` at the end; how much it came to."""
    import psutil

    held: list[bytearray] = []

    def grow(share: float) -> None:
        room = psutil.virtual_memory().available - _LEFT_FREE_BYTES
        while len(held) * _CHUNK < share * most_bytes and room > _CHUNK:
            # Zeros would be one shared page.
            held.append(bytearray(os.urandom(4096)) * (_CHUNK // 4096))
            room -= _CHUNK

    _gradually(seconds, stop, grow)
    return len(held) * _CHUNK


def fill_disk(seconds: float, most_bytes: int, where: Path, stop: threading.Event) -> int:
    """Let a file grow up to `most_bytes`, and remove it at the end; how large it became."""
    path = where / f"fill-{os.getpid()}"
    piece = os.urandom(_CHUNK)
    try:
        with path.open("wb") as file:

            def grow(share: float) -> None:
                while file.tell() < share * most_bytes and shutil.disk_usage(where).free > _LEFT_FREE_BYTES + _CHUNK:
                    file.write(piece)

            _gradually(seconds, stop, grow)
            return file.tell()
    finally:
        path.unlink(missing_ok=True)


def _gradually(seconds: float, stop: threading.Event, grow: Callable[[float], None]) -> None:
    started = time.monotonic()
    while not stop.is_set() and (spent := time.monotonic() - started) < seconds:
        grow(min(1.0, spent / seconds))
        stop.wait(_BEAT_S)


def ail(settings: Settings, ill: str, seconds: float, stop: threading.Event) -> None:
    """Let the rehearsal service suffer from one of ILLS; Misconfigured where none runs."""
    where = folder(settings)
    if not _alive(where / "service"):
        raise Misconfigured("no rehearsal service runs: start one first with `muninn inject service`")
    path = where / ill
    path.write_text(f"{time.time() + seconds}\n")
    try:
        stop.wait(seconds)
    finally:
        path.unlink(missing_ok=True)


def serve(settings: Settings, seconds: float, stop: threading.Event) -> None:
    """Be the rehearsal service: send its figures each second, ill as HOME/inject says."""
    where, service, clock = folder(settings), Service(), SystemClock()
    beat, ends = where / "service", time.monotonic() + seconds
    token = settings.access.token
    client = GatewayClient(
        settings.gateway_url,
        token=token.get_secret_value() if token else None,
        certificate=settings.access.tls_certificate,
    )
    try:
        while time.monotonic() < ends and not stop.wait(1.0 - time.time() % 1.0):
            beat.write_text(f"{time.time() + 5.0}\n")
            client.send(service.read(clock.now_us() // SECOND_US * SECOND_US, ills_now(where)))
    finally:
        beat.unlink(missing_ok=True)
        client.close()


def ills_now(where: Path) -> frozenset[str]:
    """What the service shall suffer from now; an ill whose end has passed is none, though its file was left."""
    return frozenset(ill for ill in ILLS if _alive(where / ill))


def _alive(path: Path) -> bool:
    try:
        return float(path.read_text()) > time.time()
    except (OSError, ValueError):
        return False


def check(kind: str, kinds: tuple[str, ...], seconds: float, megabytes: int) -> None:
    """Misconfigured for what is no fault, or one without bounds."""
    if kind not in kinds:
        raise Misconfigured(f"{kind!r} is no fault: choose one of {', '.join(kinds)}")
    most = MAX_SERVICE_SECONDS if kind == "service" else MAX_SECONDS
    if not 0 < seconds <= most:
        raise Misconfigured(f"--seconds must be more than 0 and at most {most:.0f} for {kind}")
    limit = {"memory": MAX_MEMORY_BYTES, "disk": MAX_DISK_BYTES}.get(kind)
    if limit is not None and megabytes * 1_000_000 > limit:
        raise Misconfigured(f"--megabytes must be at most {limit // 1_000_000} for {kind}")


def run(settings: Settings, kind: str, seconds: float, cores: int, megabytes: int, stop: threading.Event) -> str:
    """Make a fault until it is over or `stop`; what to say of it."""
    if kind == "cpu":
        burn_cpu(seconds, min(cores, os.cpu_count() or 1), stop)
    elif kind == "memory":
        return f"over: {leak_memory(seconds, megabytes * 1_000_000, stop) / 1e6:.0f} MB were held"
    elif kind == "disk":
        return f"over: the file was {fill_disk(seconds, megabytes * 1_000_000, folder(settings), stop) / 1e6:.0f} MB"
    elif kind == "service":
        serve(settings, seconds, stop)
    else:
        ail(settings, kind, seconds, stop)
    return "over"
