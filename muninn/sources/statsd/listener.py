"""The UDP socket: packets in, a batch out at each flush.

Belongs here: the socket, the times of flushes, counting what is bad. Does not: lines, arithmetic.
"""

import logging
import math
import socket
import threading
from collections.abc import Callable

import numpy as np

from muninn.clock import SECOND_US, Clock, SystemClock
from muninn.errors import Misconfigured
from muninn.meter import Meter
from muninn.model import SampleBatch, SeriesKey
from muninn.names import STATSD_AGENT
from muninn.numerics.distributions import Distribution, columns
from muninn.sources.statsd.aggregate import Aggregate, Bounds
from muninn.sources.statsd.lines import BadLineError, parse_line

log = logging.getLogger(__name__)

_MAX_PACKET_BYTES = 65_535
# A burst waits here while a flush is made; the system may give less.
_RECEIVE_BUFFER_BYTES = 4 << 20
_LOOK_S = 0.5
# Packets that are still taken when the listener is to end: a flood must not keep it.
_MAX_DRAINED = 10_000


class StatsdListener:
    """Listens from the start; `run` takes packets until stopped, and then flushes once more.

    send: takes a batch at each flush. instance: what series are told apart by from those of another listener.
    """

    def __init__(
        self,
        address: tuple[str, int],
        send: Callable[[SampleBatch], None],
        *,
        instance: str,
        flush_s: float = 10.0,
        bounds: Bounds | None = None,
        clock: Clock | None = None,
        meter: Meter | None = None,
    ):
        self._send, self._instance, self._flush_us = send, instance, round(flush_s * SECOND_US)
        self._clock, self._meter = clock or SystemClock(), meter or Meter()
        self._aggregate = Aggregate(bounds)
        self._dropped = 0
        self._told: set[str] = set()
        self._socket = _bound(address)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    def run(self, stop: threading.Event) -> None:
        """Take packets until `stop` is set."""
        due_us = self._next_us()
        with self._socket:
            while not stop.is_set():
                left_us = due_us - self._clock.now_us()
                if left_us <= 0:
                    self.flush()
                    due_us = self._next_us()
                    continue
                self._socket.settimeout(min(left_us / SECOND_US, _LOOK_S))
                try:
                    packet = self._socket.recv(_MAX_PACKET_BYTES)
                except TimeoutError:
                    continue
                self.take(packet)
            self._drain()
            self.flush()

    def take(self, packet: bytes) -> None:
        """Take a packet of one or more lines; a bad line is counted, the others of the packet count."""
        good = other = 0
        for text in packet.split(b"\n"):
            if not (text := text.strip()):
                continue
            try:
                line = parse_line(text)
            except BadLineError as error:
                self._bad(str(error), text)
                continue
            if line is None:
                other += 1
            else:
                good += 1
                self._aggregate.add(line)
        self._meter.count("muninn_statsd_lines_total", good, result="taken")
        if other:
            self._meter.count("muninn_statsd_lines_total", other, result="no_metric")

    def flush(self) -> None:
        """Send what the interval came to."""
        at_us = self._clock.now_us()
        figures = self._aggregate.flush()
        rows: list[tuple[SeriesKey, int, float]] = []
        some: dict[int, Distribution] = {}
        for metric, labels, value in figures:
            mean = value.mean if isinstance(value, Distribution) else value
            if not math.isfinite(mean):  # sums may overflow
                continue
            if isinstance(value, Distribution):
                some[len(rows)] = value
            rows.append((SeriesKey.of(metric, labels, STATSD_AGENT, self._instance), at_us, mean))
        self._meter.gauge("muninn_statsd_series", self._aggregate.series)
        dropped = self._aggregate.dropped - self._dropped
        self._meter.count("muninn_statsd_dropped_total", dropped + len(figures) - len(rows))
        if dropped and not self._dropped:
            log.warning("more series or values than MUNINN_STATSD_MAX_SERIES and _MAX_VALUES: new ones are dropped")
        self._dropped += dropped
        batch = SampleBatch.of(rows)
        made = columns(np.array([*some], np.int64), [*some.values()])
        self._send(SampleBatch(batch.at_us, batch.value, batch.key_index, batch.keys, made))

    def _drain(self) -> None:
        """Take what has arrived by now."""
        self._socket.setblocking(False)
        try:
            for _ in range(_MAX_DRAINED):
                self.take(self._socket.recv(_MAX_PACKET_BYTES))
        except BlockingIOError:
            pass

    def _bad(self, reason: str, text: bytes) -> None:
        self._meter.count("muninn_statsd_lines_total", result="bad")
        if reason not in self._told:
            self._told.add(reason)
            log.warning("bad lines are left out, such as %r: %s", text[:80], reason)

    def _next_us(self) -> int:
        """The next multiple of the interval."""
        return (self._clock.now_us() // self._flush_us + 1) * self._flush_us


def _bound(address: tuple[str, int]) -> socket.socket:
    host, port = address
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        made.bind(where)
    except OSError as error:
        raise Misconfigured(
            f"cannot listen for StatsD on {host}:{port}/udp ({error.strerror}): "
            "set MUNINN_STATSD_PORT or MUNINN_STATSD_HOST to what is free on this machine"
        ) from error
    return made
