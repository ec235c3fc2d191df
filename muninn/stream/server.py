"""The sidecar's server: WebSocket connections on picows, the tick, and the feed's and seeder's threads.

Belongs here: sockets, waiting and threads. Does not: what is sent (hub, session).
"""

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol

import orjson
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from muninn import settings
from muninn.clock import SECOND_US, Clock
from muninn.errors import Misconfigured, MuninnError
from muninn.guard import origin
from muninn.guard.judge import Judge, Refusal
from muninn.meter import Meter
from muninn.model import BatchHandle, BatchSource, Window
from muninn.reads.values import Recent, RecentSeries, UnknownMetric
from muninn.stream.channel import Channel, Limits
from muninn.stream.entry import Entry
from muninn.stream.feed import Feed
from muninn.stream.hub import Hub
from muninn.stream.protocol import MAX_MESSAGE_BYTES
from muninn.stream.session import NOT_ALLOWED, Session

log = logging.getLogger(__name__)

TICK_S = 1.0
# Sources send once a second, each in its own moment, a little early or late. A tick waits for a fresh arrival
# from a little before its second is over to a little after: so it stays just behind the readings, not before them.
EARLY_S = 0.1
LATE_S = 0.2
# Batches of one moment (a collector's reading, the platform's own figures) go into one frame.
COALESCE_S = 0.03
CHECK_EVERY_TICKS = 5
YIELD_EVERY = 500
SEND_BUFFER_BYTES = 64 * 1024
HIGH_WATER_BYTES = 64 * 1024
READ_BUFFER_BYTES = 1024
BACKLOG = 1024
TRY_AGAIN_LATER = WSCloseCode.TRY_AGAIN_LATER


class Seeder(Protocol):
    """Where a channel's stored points come from: muninn.reads.Reads is one."""

    def recent(self, metric: str, labels: Mapping[str, str] | None, window: Window, max_series: int = 50) -> Recent:
        """The raw samples of a short window."""
        ...


class Connection(WSListener):
    """One client's socket: picows' listener and the session's Wire."""

    def __init__(self, sidecar: "Sidecar", headers: Mapping[str, str]):
        self._sidecar = sidecar
        self.headers = headers
        self._transport: WSTransport | None = None
        self._session: Session | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done: a session begins, unless the house is full."""
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self._session = self._sidecar.admit(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame came in; pings are answered by picows."""
        session = self._session
        if session is None:
            return
        kind = frame.msg_type
        if kind in (WSMsgType.TEXT, WSMsgType.CONTINUATION):
            session.receive(frame.get_payload_as_bytes(), bool(frame.fin))
        elif kind == WSMsgType.BINARY:
            session.receive_binary()
        elif kind == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        else:
            session.heard()

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        """The socket is closed."""
        if self._session is not None:
            self._session.close()
            self._sidecar.waiting.discard(self._session)
            self._session = None  # they name each other: do not leave them to the garbage collector

    def pause_writing(self) -> None:
        """The write buffer passed its high-water mark."""
        if self._session is not None:
            self._session.blocked()

    def resume_writing(self) -> None:
        """The write buffer has drained."""
        if self._session is not None:
            self._session.drained()

    @property
    def peer(self) -> str | None:
        """The address of the other end; None for a Unix socket."""
        found = self._transport and self._transport.underlying_transport.get_extra_info("peername")
        return str(found[0]) if isinstance(found, tuple) else None

    def send(self, message: bytes) -> None:
        """See Wire."""
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, message)

    def queued(self) -> int:
        """See Wire."""
        return 0 if self._transport is None else int(self._transport.underlying_transport.get_write_buffer_size())

    def ping(self) -> None:
        """See Wire."""
        if self._transport is not None:
            self._transport.send_ping()

    def read(self, on: bool) -> None:
        """See Wire."""
        if self._transport is not None:
            socket_transport = self._transport.underlying_transport
            if on:
                socket_transport.resume_reading()
            else:
                socket_transport.pause_reading()

    def close(self, code: int, reason: str) -> None:
        """See Wire."""
        if self._transport is not None:
            self._transport.send_close(WSCloseCode(code), reason.encode()[:120])
            self._transport.disconnect()

    def abort(self) -> None:
        """See Wire."""
        if self._transport is not None:
            self._transport.disconnect(False)


class Sidecar:
    """The streaming sidecar of one process.

    source: every batch, in order. seeder: stored points for a channel that opens; None: charts start empty.
    judge: who may watch; None: everybody. tls: what to encrypt with; None: nothing is.
    """

    def __init__(
        self,
        config: settings.Sidecar,
        source: BatchSource,
        seeder: Seeder | None,
        clock: Clock,
        meter: Meter,
        limits: Limits | None = None,
        judge: Judge | None = None,
        tls: ssl.SSLContext | None = None,
    ):
        self._tls = tls
        self._entry = Entry(judge, clock)
        self.waiting: set[Session] = set()
        self._config = config
        self._clock = clock
        self._meter = meter
        self._seeder = seeder
        self._limits = limits or Limits(window_s=config.window_s, points_per_series=4 * config.window_s)
        self._hub = Hub(clock, self._seed, self._limits, meter)
        self._feed = Feed(source, self._hand_over, self._tell_status, clock)
        self._origins = origin.parse_origins(config.origins)
        self._seeding = ThreadPoolExecutor(2, thread_name_prefix="seed")
        self._stop = threading.Event()
        self._ticks = 0

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set; Misconfigured where the address cannot be had."""
        self._stop = stop
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._stopping = asyncio.Event()
        server = await self._listen()
        threading.Thread(target=self._await_stop, name="stop", daemon=True).start()
        feeding = threading.Thread(target=self._feed.run, args=(self._stop,), name="feed", daemon=True)
        feeding.start()
        log.info("streaming on ws://%s:%d", self._config.host, self._config.port)
        try:
            while not self._stopping.is_set():
                await self._tick()
        finally:
            server.close()
            await asyncio.to_thread(feeding.join, 5.0)
            self._seeding.shutdown(wait=False, cancel_futures=True)
            for session in self._hub.subscribers():
                if isinstance(session, Session):
                    session.go_away()
            await asyncio.sleep(0.1)  # for the close frames to leave

    def _await_stop(self) -> None:
        """In a thread of its own: wake the loop when it is to end."""
        self._stop.wait()
        with suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def _listen(self) -> asyncio.Server:
        logging.getLogger("picows").setLevel(logging.ERROR)  # it logs every connection
        host, port = self._config.host, self._config.port
        try:
            server = await ws_create_server(
                self._answer,
                host,
                port,
                max_frame_size=MAX_MESSAGE_BYTES,
                read_buffer_init_size=READ_BUFFER_BYTES,
                backlog=BACKLOG,
                start_serving=False,
                ssl=self._tls,
            )
        except OSError as error:
            raise Misconfigured(
                f"cannot listen on {host}:{port} ({error.strerror or error}): set MUNINN_SIDECAR_HOST or "
                "MUNINN_SIDECAR_PORT to an address that is free"
            ) from error
        for listening in server.sockets:  # what it accepts inherits this: a stalled client fills no more
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        await server.start_serving()
        return server

    def _answer(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener:
        """A request before its upgrade: health as plain HTTP, pages from elsewhere turned away."""
        path = request.path.partition(b"?")[0]
        if path == b"/healthz":
            headers = {"Content-Type": "application/json"}
            body = orjson.dumps(self.health())
            return WSUpgradeResponseWithListener(WSUpgradeResponse.create_ok_response(body, headers), None)
        if path not in (b"/", b"/stream"):
            return _refusal(404, "the stream is at / and the health at /healthz\n")
        page = request.headers.get("Origin")
        if not origin.allowed(page, request.headers.get("Host"), self._origins):
            self._meter.count("muninn_stream_refused_total", reason="origin")
            return _refusal(403, f"pages of {page} may not read this stream: add it to MUNINN_SIDECAR_ORIGINS\n")
        return Connection(self, {name.lower(): value for name, value in request.headers.items()})

    def admit(self, wire: Connection) -> Session | None:
        """A session for a new connection; None where there are too many: it is closed with 1013."""
        if self._hub.viewers + len(self.waiting) >= self._config.max_clients:
            self._count_waiting()
        if self._hub.viewers + len(self.waiting) >= self._config.max_clients:
            self._meter.count("muninn_stream_refused_total", reason="full")
            wire.close(TRY_AGAIN_LATER.value, f"this sidecar takes {self._config.max_clients} viewers: try again later")
            return None
        who = self._entry.knock(wire.peer, wire.headers)
        if isinstance(who, Refusal):
            self._meter.count("muninn_stream_refused_total", reason=who.reason)
            wire.close(NOT_ALLOWED, who.detail)
            return None
        session = Session(wire, self._hub, self._clock, self._entry, who)
        if session.waits:
            self.waiting.add(session)
        session.open(round(TICK_S * 1000))
        return session

    def health(self) -> dict[str, object]:
        """What /healthz says."""
        hub = self._hub
        return {
            "status": "ok",
            "live": hub.live,
            "reason": hub.reason,
            "viewers": hub.viewers,
            "channels": hub.channel_count,
            "series": hub.series_count,
            "ticks": self._ticks,
        }

    async def _tick(self) -> None:
        """Wait for the moment, then send what changed."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), TICK_S - EARLY_S)
            return
        self._arrived.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), EARLY_S + LATE_S)
            await asyncio.sleep(COALESCE_S)
        started = self._clock.monotonic()
        await self._send()
        self._ticks += 1
        if self._ticks % CHECK_EVERY_TICKS == 0:
            await self._check()
        self._measure(self._clock.monotonic() - started)

    async def _send(self) -> None:
        sent = held = sent_bytes = count = 0
        for delivery in self._hub.tick():
            for subscriber in delivery.subscribers:
                if subscriber.deliver(delivery.message, delivery.channels):
                    sent += 1
                    sent_bytes += len(delivery.message)
                else:
                    held += 1
                count += 1
                if count % YIELD_EVERY == 0:
                    await asyncio.sleep(0)
        self._meter.count("muninn_stream_frames_total", sent)
        self._meter.count("muninn_stream_sent_bytes_total", sent_bytes)
        self._meter.count("muninn_stream_dropped_total", held)

    async def _check(self) -> None:
        self._count_waiting()
        for count, subscriber in enumerate((*self.waiting, *self._hub.subscribers()), 1):
            why = subscriber.check()
            if why is not None:
                self._meter.count("muninn_stream_cut_total", reason=why)
            if count % YIELD_EVERY == 0:
                await asyncio.sleep(0)

    def _count_waiting(self) -> None:
        """Who has said who it is is a viewer, and no longer counts among those who wait."""
        self.waiting = {session for session in self.waiting if session.waits}

    def _measure(self, seconds: float) -> None:
        self._meter.duration("muninn_stream_tick", seconds)
        self._meter.gauge("muninn_viewers", self._hub.viewers)
        self._meter.gauge("muninn_stream_channels", self._hub.channel_count)
        self._meter.gauge("muninn_stream_series", self._hub.series_count)

    def _hand_over(self, handles: Sequence[BatchHandle]) -> None:
        """In the feed's thread: give entries to the loop and wait until it has taken them."""
        taken = threading.Event()

        def take() -> None:
            try:
                for handle in handles:
                    self._hub.ingest(handle.batch)
                self._arrived.set()
            finally:
                taken.set()  # or the feed would wait for ever for a batch that nobody can read

        self._loop.call_soon_threadsafe(take)
        while not taken.wait(1.0) and not self._stop.is_set():
            pass
        behind_ms = self._clock.now_us() // 1000 - int(handles[-1].entry_id.partition("-")[0])
        self._meter.gauge("muninn_stream_lag_ms", behind_ms)

    def _tell_status(self, live: bool, reason: str) -> None:
        """In the feed's thread."""
        if (live, reason) != (self._hub.live, self._hub.reason) and not self._stop.is_set():
            self._loop.call_soon_threadsafe(self._hub.set_status, live, reason)

    def _seed(self, channel: Channel) -> None:
        """Ask for a channel's stored points, in a thread."""
        if self._seeder is None:
            self._loop.call_soon(self._hub.seeded, channel, ())
            return
        loop = self._loop

        def answer() -> None:
            found = self._stored(channel)
            loop.call_soon_threadsafe(self._hub.seeded, channel, found)

        self._seeding.submit(answer)

    def _stored(self, channel: Channel) -> Sequence[RecentSeries]:
        spec, now_us = channel.spec, self._clock.now_us()
        window = Window(now_us - self._limits.window_s * SECOND_US, now_us)
        if self._seeder is None or spec.metric is None:
            return ()
        try:
            labels = dict(spec.labels)
            return self._seeder.recent(spec.metric, labels, window, self._limits.series_per_channel).series
        except UnknownMetric:
            return ()
        except MuninnError as error:
            log.warning("no stored points for %s: %s", spec, error)
        except Exception:
            log.exception("reading stored points for %s failed", spec)
        return ()


def _refusal(status: int, text: str) -> WSUpgradeResponseWithListener:
    return WSUpgradeResponseWithListener(WSUpgradeResponse.create_error_response(status, text.encode()), None)
