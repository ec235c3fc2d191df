"""Fan-out: what a viewer costs the sidecar, and how late frames are; the clients share the machine with it.

The sidecar runs in a process of its own on samples made here in it; the viewers are connections of this process.
"""

import asyncio
import itertools
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from urllib.request import urlopen

import numpy as np
import orjson
import psutil
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from muninn import settings
from muninn.clock import SystemClock
from muninn.meter import Meter
from muninn.model import BatchHandle, SampleBatch, SeriesKey
from muninn.stream.server import Sidecar

VIEWERS = 2_000
STALLED = 100
MEASURED_S = 5.0
SERIES = 20
SUBSCRIBE = b'{"op":"subscribe","id":"c","channel":{"metric":"bench"}}'


class MadeSource:
    """A reading of SERIES series each second."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._keys = tuple(SeriesKey.of("bench", {"n": str(n)}) for n in range(SERIES))

    def follow(self, after_id: str, block_ms: int) -> Sequence[BatchHandle]:  # noqa: ARG002
        """One batch, a second after the one before."""
        time.sleep(1.0)
        now_us, number = SystemClock().now_us(), next(self._numbers)
        value = np.round(50 + 10 * np.sin(number / 9 + np.arange(SERIES)), 2)
        index = np.arange(SERIES, dtype=np.int32)
        batch = SampleBatch(np.full(SERIES, now_us), value, index, self._keys)
        return [BatchHandle("bench", f"{now_us // 1000}-0", batch)]


class Viewer(WSListener):
    """Subscribes, and notes how late each delta comes, in ms after its samples were made."""

    def __init__(self, late_ms: list[float], sizes: list[int]):
        self._late_ms = late_ms
        self._sizes = sizes
        self.ready = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.TEXT, SUBSCRIBE)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: ARG002
        if frame.msg_type != WSMsgType.TEXT:
            return
        now_ms, text = time.time() * 1000, frame.get_payload_as_bytes()
        for said in orjson.loads(text):
            if said["op"] == "delta":
                self._late_ms.append(now_ms - said["at_ms"] + said["points"][0][1][-1])
                self._sizes.append(len(text))
            self.ready = self.ready or said["op"] == "snapshot"


def serve(port: int) -> None:
    """The sidecar's process."""
    config = settings.Sidecar(port=port, max_clients=VIEWERS + STALLED + 10)
    Sidecar(config, MadeSource(), None, SystemClock(), Meter()).run(threading.Event())


def run() -> dict[str, object]:
    """CPU and memory of the sidecar per viewer, and the delay of frames, without and with stalled viewers."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    child = subprocess.Popen([sys.executable, "-m", "bench.fanout", str(port)])
    try:
        _await_health(port)
        return asyncio.run(_measure(port, psutil.Process(child.pid)))
    finally:
        child.kill()
        child.wait()


def _await_health(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


async def _measure(port: int, sidecar: psutil.Process) -> dict[str, object]:
    late_ms: list[float] = []
    sizes: list[int] = []
    empty = sidecar.memory_info().rss
    url = f"ws://127.0.0.1:{port}/stream"
    viewers = [await ws_connect(lambda: Viewer(late_ms, sizes), url) for _ in range(VIEWERS)]
    while not all(isinstance(viewer, Viewer) and viewer.ready for _, viewer in viewers):
        await asyncio.sleep(0.05)
    alone = await _watch(sidecar, late_ms)
    held = sidecar.memory_info().rss
    stalled = [_stalled_viewer(port) for _ in range(STALLED)]
    beside = await _watch(sidecar, late_ms)
    for wire in stalled:
        wire.close()
    for transport, _ in viewers:
        transport.disconnect()
    return {
        "viewers": VIEWERS,
        "message_bytes": round(float(np.mean(sizes))),
        "memory_bytes_per_viewer": round((held - empty) / VIEWERS),
        "alone": alone,
        f"beside_{STALLED}_stalled_viewers": beside,
        "p99_ratio_stalled_to_alone": round(float(beside["late_ms_p99"] / alone["late_ms_p99"]), 2),
    }


async def _watch(sidecar: psutil.Process, late_ms: list[float]) -> dict[str, float]:
    """Figures over MEASURED_S; whole readings, so that each viewer counts alike."""
    await asyncio.sleep(1.0)
    late_ms.clear()
    before, started = sidecar.cpu_times(), time.monotonic()
    await asyncio.sleep(MEASURED_S)
    after, seconds = sidecar.cpu_times(), time.monotonic() - started
    cpu_s = after.user + after.system - before.user - before.system
    p50, p99 = np.percentile(late_ms, [50, 99])
    return {
        "messages_per_viewer_and_s": round(len(late_ms) / VIEWERS / seconds, 3),
        "cpu_us_per_viewer_and_s": round(cpu_s / seconds / VIEWERS * 1e6, 2),
        "late_ms_p50": round(float(p50), 1),
        "late_ms_p99": round(float(p99), 1),
    }


def _stalled_viewer(port: int) -> socket.socket:
    """A connection that subscribes and never reads."""
    wire = socket.create_connection(("127.0.0.1", port))
    lines = (
        "GET /stream HTTP/1.1",
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
    )
    head = "\r\n".join([*lines, "", ""]).encode()
    # A mask of noughts leaves the payload as it is.
    wire.sendall(head + bytes([0x81, 0x80 | len(SUBSCRIBE)]) + bytes(4) + SUBSCRIBE)
    return wire


if __name__ == "__main__":
    serve(int(sys.argv[1]))
