"""A sidecar in a thread, for tests: started on a free port, ended with the block; and a client made of bare bytes."""

import base64
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import orjson
from servers import eventually, free_port

from muninn import settings
from muninn.clock import Clock, SystemClock
from muninn.guard.judge import Judge
from muninn.meter import Meter
from muninn.model import BatchSource
from muninn.stream.channel import Limits
from muninn.stream.server import Seeder, Sidecar


class RunningSidecar:
    """A sidecar that answers; `url` is its stream's address."""

    def __init__(self, config: settings.Sidecar, meter: Meter, stop: threading.Event):
        self.stop = stop
        self.port = config.port
        self.meter = meter
        self.url = f"ws://127.0.0.1:{config.port}/stream"

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """A plain HTTP GET: status and body."""
        try:
            with urlopen(Request(f"http://127.0.0.1:{self.port}{path}", headers=headers or {}), timeout=5) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            return error.code, error.read()

    def answers(self) -> bool:
        try:
            return self.get("/healthz")[0] == 200
        except OSError:
            return False

    def metered(self, name: str, **labels: str) -> float:
        """A counter or gauge of the sidecar's meter; 0.0 while there is none."""
        return next((value for key, has, value in self.meter.snapshot() if key == name and has == labels), 0.0)


@contextmanager
def running(
    source: BatchSource,
    seeder: Seeder | None = None,
    clock: Clock | None = None,
    limits: Limits | None = None,
    judge: Judge | None = None,
    **config: object,
) -> Iterator[RunningSidecar]:
    """Run a sidecar on `source`; `config` are fields of settings.Sidecar."""
    section = settings.Sidecar.model_validate({"port": free_port(), **config})
    meter, stop = Meter(), threading.Event()
    sidecar = Sidecar(section, source, seeder, clock or SystemClock(), meter, limits, judge)
    thread = threading.Thread(target=sidecar.run, args=(stop,), name="sidecar")
    thread.start()
    handle = RunningSidecar(section, meter, stop)
    try:
        eventually(handle.answers, 10, "the sidecar answers /healthz")
        yield handle
    finally:
        stop.set()
        thread.join(15)
        assert not thread.is_alive(), "the sidecar did not end"


@contextmanager
def raw_client(port: int, receive_buffer: int | None = None) -> Iterator[socket.socket]:
    """A TCP connection to the sidecar; `receive_buffer`: bytes that its kernel takes while nobody reads."""
    with socket.socket() as wire:
        wire.settimeout(10)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer is not None:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        wire.connect(("127.0.0.1", port))
        yield wire


def messages_of(wire: socket.socket) -> Iterator[list[dict[str, Any]]]:
    """The upgrade's answer is passed over, then every text message as its frames."""
    received = wire.makefile("rb")
    while received.readline() not in (b"\r\n", b""):
        pass
    while head := received.read(2):
        size = head[1]
        if size == 126:
            (size,) = struct.unpack(">H", received.read(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", received.read(8))
        payload = received.read(size)
        if head[0] & 0x0F == 1:
            yield orjson.loads(payload)


def handshake(port: int) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        "GET /stream HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def client_frame(payload: bytes, opcode: int, fin: bool) -> bytes:
    """A masked frame as a client sends it."""
    mask = os.urandom(4)
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes([(0x80 if fin else 0) | opcode]) + length + mask + masked
