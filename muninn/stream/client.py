"""A client of the stream: what a viewer keeps, and a connection to keep it fresh.

Belongs here: applying frames (without I/O), and a small asyncio client for programs, tests and measurements.
Does not: drawing; the browser's client is streamlit_app/components/live_board/stream.js and does the same.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from muninn.errors import Unavailable
from muninn.model import SeriesKey
from muninn.stream.protocol import Position

CONNECT_S = 5.0


@dataclass
class ChannelView:
    """A channel as its client knows it: points by series and time, so that what comes twice counts once."""

    window_s: int = 0
    position: Position | None = None
    at_ms: int = 0
    left_out: int = 0
    keys: dict[int, SeriesKey] = field(default_factory=dict)
    points: dict[int, dict[int, float]] = field(default_factory=dict)

    def snapshot(self, frame: dict[str, Any]) -> None:
        """Everything anew."""
        self.window_s = frame["window_s"]
        self.keys, self.points = {}, {}
        self._take(frame, Position(frame["epoch"], frame["offset"]))

    def delta(self, frame: dict[str, Any]) -> bool:
        """What changed; False where a delta before it is missing: subscribe again, with `since`."""
        if self.position is None or frame["offset"] > self.position.offset + 1:
            return False
        if frame["offset"] == self.position.offset + 1:
            self._take(frame, Position(self.position.epoch, frame["offset"]))
        return True

    def series(self, **labels: str) -> dict[SeriesKey, dict[int, float]]:
        """Points (at_ms -> value, in order of time) of the series that have these labels."""
        return {
            self.keys[ref]: dict(sorted(points.items()))
            for ref, points in self.points.items()
            if labels.items() <= dict(self.keys[ref].labels).items()
        }

    def _take(self, frame: dict[str, Any], position: Position) -> None:
        for row in frame.get("series", ()):
            key = SeriesKey.of(row["metric"], row["labels"], row["source_agent_id"], row["instance_id"])
            self.keys[row["ref"]] = key
            self.points.setdefault(row["ref"], {})
        for ref in frame.get("gone", ()):
            self.keys.pop(ref, None)
            self.points.pop(ref, None)
        for ref, ages, values in frame["points"]:
            self.points[ref].update((frame["at_ms"] - age, value) for age, value in zip(ages, values, strict=True))
        self.position, self.at_ms = position, frame["at_ms"]
        self.left_out = frame.get("left_out", 0)
        oldest_ms = self.at_ms - self.window_s * 1000
        for points in self.points.values():
            for at_ms in [at_ms for at_ms in points if at_ms < oldest_ms]:
                del points[at_ms]


class _Listener(WSListener):
    def __init__(self) -> None:
        self.frames: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.close_code: int | None = None
        self.close_reason = ""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            for said in orjson.loads(frame.get_payload_as_bytes()):
                self.frames.put_nowait(said)
        elif frame.msg_type == WSMsgType.CLOSE:
            self.close_code = frame.get_close_code().value
            self.close_reason = frame.get_close_reason() or ""
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        self.frames.put_nowait(None)


class StreamClient:
    """An open connection: `subscribe`, then `receive` frame by frame; `views` hold what they add up to."""

    def __init__(self, transport: WSTransport, listener: _Listener):
        self._transport = transport
        self._listener = listener
        self._names: dict[int, str] = {}
        self.views: dict[str, ChannelView] = {}

    @property
    def closed(self) -> tuple[int, str] | None:
        """The close code and reason, once the sidecar closed the connection."""
        code = self._listener.close_code
        return None if code is None else (code, self._listener.close_reason)

    def say(self, message: object) -> None:
        """Send any JSON."""
        self._transport.send(WSMsgType.TEXT, orjson.dumps(message))

    def subscribe(self, name: str, metric: str | None, labels: Mapping[str, str] | None = None) -> None:
        """Watch a metric (None: the overview) under `name`; again under the same name: go on where it was."""
        channel: object = "overview" if metric is None else {"metric": metric, "labels": dict(labels or {})}
        view = self.views.setdefault(name, ChannelView())
        message: dict[str, object] = {"op": "subscribe", "id": name, "channel": channel}
        if view.position is not None:
            message["since"] = {"epoch": view.position.epoch, "offset": view.position.offset}
        self.say(message)

    async def receive(self, timeout_s: float = 10.0) -> dict[str, Any]:
        """The next frame, already applied to its view; Unavailable when the connection ended or nothing came."""
        try:
            frame = await asyncio.wait_for(self._listener.frames.get(), timeout_s)
        except TimeoutError as error:
            raise Unavailable(f"the stream sent nothing for {timeout_s:g} s") from error
        if frame is None:
            raise Unavailable(f"the stream ended: {self.closed or 'connection lost'}")
        self._apply(frame)
        return frame

    async def receive_op(self, op: str, timeout_s: float = 10.0) -> dict[str, Any]:
        """The next frame with this `op`; those before it are applied and passed over."""
        async with asyncio.timeout(timeout_s):
            while True:
                frame = await self.receive(timeout_s)
                if frame["op"] == op:
                    return frame

    def close(self) -> None:
        """Close the connection."""
        self._transport.disconnect()

    def _apply(self, frame: dict[str, Any]) -> None:
        if frame["op"] == "subscribed":
            self._names[frame["ch"]] = frame["id"]
        view = self.views.get(self._names.get(frame.get("ch", 0), ""))
        if view is not None and frame["op"] == "snapshot":
            view.snapshot(frame)
        elif view is not None and frame["op"] == "delta":
            view.delta(frame)


@asynccontextmanager
async def connect(url: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[StreamClient]:
    """Connect to `ws://host:port/`; Unavailable where nothing answers or the sidecar turns us away."""
    try:
        async with asyncio.timeout(CONNECT_S):
            transport, listener = await ws_connect(_Listener, url, extra_headers=dict(headers or {}))
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"no stream at {url}: {error or 'no answer'}") from error
    assert isinstance(listener, _Listener)
    client = StreamClient(transport, listener)
    try:
        yield client
    finally:
        client.close()
