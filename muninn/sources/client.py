"""Sends batches to a gateway: queued, in order, again until the gateway has them.

Belongs here: the queue, retries, what is given up and counted. Does not: encoding (wire), sources.
"""

import http.client
import logging
import random
import ssl
import threading
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import orjson

from muninn.clock import SECOND_US, Clock, SystemClock
from muninn.errors import Misconfigured
from muninn.meter import Meter
from muninn.model import SampleBatch
from muninn.settings import without_password
from muninn.sources.wire import ARROW_TYPE, JSON_TYPE, to_arrow, to_json

log = logging.getLogger(__name__)

PATH = "/api/v1/metrics"
# From here on Arrow takes less time than JSON, also with the memory of pyarrow counted.
_ARROW_ROWS = 5_000
_MAX_REQUEST_ROWS = 50_000
_FIRST_BACKOFF_S, _MAX_BACKOFF_S = 0.2, 30.0
_AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))


@dataclass(frozen=True)
class Reply:
    """What the gateway said: HTTP status (0: it was not reached), seconds to wait, and the body's members."""

    status: int
    retry_after_s: float | None
    body: dict[str, object]


class GatewayClient:
    """Keeps batches until the gateway has them, at most `max_rows` samples; the oldest are dropped beyond that.

    `send` never blocks on the network and never raises for it: a thread of its own delivers. A batch keeps its
    Idempotency-Key through all retries, so it is in the store once. Batches of `arrow_rows` samples go as Arrow.
    token: sent with each request. certificate: the gateway's own, trusted whatever name it is reached under.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        certificate: Path | None = None,
        max_rows: int = 200_000,
        arrow_rows: int = _ARROW_ROWS,
        timeout_s: float = 15.0,
        clock: Clock | None = None,
        meter: Meter | None = None,
    ):
        self._post = Poster(url, timeout_s, token, certificate)
        self._max_rows, self._arrow_rows = max_rows, arrow_rows
        self._clock = clock or SystemClock()
        self._meter = meter or Meter()
        self._queue: deque[SampleBatch] = deque()
        self._rows = 0
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._busy = self._dropping = False
        self._thread = threading.Thread(target=self._run, name="gateway-client", daemon=True)
        self._thread.start()

    def send(self, batch: SampleBatch) -> None:
        """Queue a batch."""
        if not len(batch):
            return
        with self._changed:
            self._queue.append(batch)
            self._rows += len(batch)
            self._shed()
            self._meter.gauge("muninn_client_queue_samples", self._rows)
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was sent is delivered or given up; False if that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queue and not self._busy, timeout_s)

    def close(self, timeout_s: float = 2.0) -> None:
        """Deliver what can be delivered within `timeout_s`, then end."""
        self.flush(timeout_s)
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(timeout_s)
        self._post.close()

    def _shed(self) -> None:
        while self._rows > self._max_rows and len(self._queue) > 1:
            dropped = self._queue.popleft()
            self._rows -= len(dropped)
            self._meter.count("muninn_client_dropped_total", len(dropped))
            if not self._dropping:
                self._dropping = True
                log.warning("the queue is full (%d samples): the oldest batches are dropped", self._max_rows)

    def _run(self) -> None:
        while not self._stop.is_set():
            batch = self._take()
            if batch is not None:
                self._deliver(batch)
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()

    def _take(self) -> SampleBatch | None:
        """What waits, as one batch of a bounded size; None when stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._stop.is_set())
            if not self._queue:
                return None
            self._busy = True
            chosen = [self._queue.popleft()]
            rows = len(chosen[0])
            while self._queue and rows + len(self._queue[0]) <= _MAX_REQUEST_ROWS:
                chosen.append(self._queue.popleft())
                rows += len(chosen[-1])
            self._rows -= rows
            self._dropping = False
            self._meter.gauge("muninn_client_queue_samples", self._rows)
            return SampleBatch.concat(chosen)

    def _deliver(self, batch: SampleBatch) -> None:
        """Send until there is an answer that is final."""
        arrow = len(batch) >= self._arrow_rows
        kind, body = (ARROW_TYPE, to_arrow(batch)) if arrow else (JSON_TYPE, to_json(batch))
        key, backoff_s = uuid.uuid4().hex, _FIRST_BACKOFF_S
        told = False
        while not self._stop.is_set():
            reply = self._post(body, kind, key)
            if reply.status and reply.status not in _AGAIN:
                self._settle(batch, reply)
                return
            if not told:
                told = True
                log.warning("the gateway does not take samples now, trying again: %s", _reason(reply))
            self._meter.count("muninn_client_retries_total")
            wait_s = backoff_s * random.uniform(0.5, 1.0)  # noqa: S311
            self._clock.wait(max(wait_s, reply.retry_after_s or 0.0), self._stop)
            backoff_s = min(backoff_s * 2, _MAX_BACKOFF_S)

    def _settle(self, batch: SampleBatch, reply: Reply) -> None:
        """The gateway has decided: count what it took and what it did not."""
        if reply.status == 413 and len(batch) > 1:
            middle = len(batch) // 2
            for rows in np.split(np.arange(len(batch)), [middle]):
                self._deliver(batch.take(rows))
            return
        # What rules at the door leave out was taken, and is nobody's fault.
        taken = sum(_whole(reply.body.get(each)) for each in ("accepted", "left_out")) if reply.status == 200 else 0
        self._meter.count("muninn_client_sent_total", taken)
        if taken < len(batch):
            self._meter.count("muninn_client_refused_total", len(batch) - taken)
            log.warning("the gateway refused %d of %d samples: %s", len(batch) - taken, len(batch), _reason(reply))


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _reason(reply: Reply) -> str:
    errors = reply.body.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return f"status {reply.status}, {errors[0].get('reason')}"
    return (
        f"status {reply.status}, {reply.body.get('detail', reply.body)}" if reply.status else str(reply.body["detail"])
    )


class Poster:
    """One connection that is kept open; used by one thread."""

    def __init__(self, url: str, timeout_s: float, token: str | None = None, certificate: Path | None = None):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Misconfigured(f"the gateway's address {without_password(url)!r} is not http://host:port")
        if parts.username or parts.password:
            raise Misconfigured(
                f"the gateway's address {without_password(url)!r} holds a user: give the token apart from it"
            )
        host, port = parts.hostname, parts.port
        context = trusting(certificate) if parts.scheme == "https" else None
        self._open: Callable[[], http.client.HTTPConnection] = lambda: (
            http.client.HTTPConnection(host, port, timeout=timeout_s)
            if context is None
            else http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
        )
        self._authorization = {"Authorization": f"Bearer {token}"} if token else {}
        self._path = parts.path.rstrip("/") + PATH
        self._connection: http.client.HTTPConnection | None = None

    def __call__(self, body: bytes, content_type: str, key: str) -> Reply:
        """Send a body; a connection that was kept open and has died meanwhile is tried anew once."""
        fresh = self._connection is None
        try:
            return self._request(body, content_type, key)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if fresh or isinstance(error, TimeoutError):
                return Reply(0, None, {"detail": f"{type(error).__name__}: {error}"})
        return self(body, content_type, key)

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _request(self, body: bytes, content_type: str, key: str) -> Reply:
        if self._connection is None:
            self._connection = self._open()
        headers = {"Content-Type": content_type, "Idempotency-Key": key, **self._authorization}
        self._connection.request("POST", self._path, body, headers)
        response = self._connection.getresponse()
        raw = response.read()
        if response.will_close:
            self.close()
        try:
            members = orjson.loads(raw)
        except orjson.JSONDecodeError:
            members = {"detail": raw[:200].decode("utf-8", "replace")}
        found = members if isinstance(members, dict) else {}
        return Reply(response.status, _seconds(response.getheader("Retry-After")), found)


def trusting(certificate: Path | None) -> ssl.SSLContext:
    """A context that trusts the machine's authorities, or exactly one certificate, whatever name it is for."""
    if certificate is None:
        return ssl.create_default_context()
    try:
        context = ssl.create_default_context(cafile=certificate)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(f"the certificate {certificate} cannot be read: {error.strerror or error}") from error
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After as seconds, at most five minutes: it may be a number or a date."""
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - SystemClock().now_us() / SECOND_US
        except ValueError:
            return None
    return min(max(seconds, 0.0), 300.0)
