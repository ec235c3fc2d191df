"""The ingest doors over HTTP: POST /api/v1/metrics and those of other protocols (protocols).

Belongs here: bodies, bounds, the way into the buffer. Does not: formats (decode), durability (buffer).
"""

import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from muninn.clock import Clock, SystemClock
from muninn.errors import Invalid, MuninnError, Rejected
from muninn.ingest.about import described
from muninn.ingest.body import TooLarge, gunzip, read
from muninn.ingest.buffer.contract import MAX_KEY_CHARS
from muninn.ingest.callers import caller_of
from muninn.ingest.decode import Count
from muninn.ingest.decode.keys import KeyTable
from muninn.ingest.gate.gate import Gate
from muninn.ingest.problem import answer_to, problem
from muninn.ingest.protocols import OWN, Decode, Protocol, protocols
from muninn.ingest.tallies import Accountant
from muninn.ingest.validate import Decoded, Rules
from muninn.meter import Meter
from muninn.model import Broker

log = logging.getLogger(__name__)

# Larger bodies are decoded one at a time: they take many times their size while they are Python objects.
_LARGE_BYTES = 1 << 20
_MAX_HELD_BODIES = 4


@dataclass(frozen=True)
class DoorLimits:
    """max_body_bytes: of one body, as sent and unpacked. Bodies of four times that may be held at once."""

    max_body_bytes: int = 32 << 20


class IngestDoor:
    """Takes requests into the buffer. Safe for many requests at once."""

    def __init__(
        self,
        broker: Broker,
        *,
        rules: Rules | None = None,
        gate: Gate | None = None,
        limits: DoorLimits | None = None,
        clock: Clock | None = None,
        meter: Meter | None = None,
        tally_s: float = 86_400,
    ):
        self._broker = broker
        self._rules = rules or Rules()
        self._gate = gate
        self._max_bytes = (limits or DoorLimits()).max_body_bytes
        self._clock = clock or SystemClock()
        self._meter = meter or Meter()
        self._keys = KeyTable()
        self._accountant = Accountant(broker, gate, self._rules, self._clock, tally_s)
        self._one_large = threading.Lock()
        self._held_bytes = 0

    def routes(self) -> list[Route]:
        """The routes to mount: our own format's, then one for each protocol's path."""
        return [
            described(Route(protocol.path, self._endpoint(protocol), methods=["POST"]), protocol.about)
            for protocol in (OWN, *protocols())
        ]

    def paths(self) -> frozenset[str]:
        """Where samples are sent to."""
        return frozenset(protocol.path for protocol in (OWN, *protocols()))

    def _endpoint(self, protocol: Protocol) -> Callable[[Request], Awaitable[Response]]:
        """Takes a body of samples; answers success only when the good ones are durable in the buffer."""

        async def post(request: Request) -> Response:
            try:
                response = await self._post(request, protocol)
            except TooLarge as error:
                response = problem(413, str(error))
            except ClientDisconnect:
                response = problem(400, "the client went away before its body was complete")
            except MuninnError as error:
                response = answer_to(error)
            except Exception:
                log.exception("%s failed", request.url.path)
                response = problem(500, "the request failed; the log of the gateway says why")
            self._meter.count("muninn_ingest_requests_total", protocol=protocol.name, status=str(response.status_code))
            return response

        return post

    async def _post(self, request: Request, protocol: Protocol) -> Response:
        decode = protocol.decoder(request, self._left_out(protocol))
        if isinstance(decode, Response):
            return decode
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in protocol.encodings:
            accepted = ", ".join(each for each in protocol.encodings if each != "identity")
            detail = f"Content-Encoding '{encoding[:40]}' is not {accepted}"
            return problem(415, detail, {"Accept-Encoding": accepted})
        key = _idempotency_key(request)
        with self._holding() as hold:
            body = await read(request.stream(), request.headers.get("content-length"), self._max_bytes, hold)
            self._meter.count("muninn_ingest_bytes_total", len(body))
            unpacked = None if encoding in ("gzip", "x-gzip") else protocol.unpacked
            decoded, entry_id = await run_in_threadpool(
                self._take, body, unpacked, decode, key, self._left_out(protocol)
            )
        self._charge(request, decoded)
        return protocol.answer(request, decoded, entry_id)

    def _take(
        self, body: bytes, unpacked: Callable[[bytes], int] | None, decode: Decode, key: str | None, left_out: Count
    ) -> tuple[Decoded, str | None]:
        decoded = self._decoded(body, unpacked, decode)
        if self._gate is not None:
            with self._stage("gate"):
                decoded = self._gate.admit(decoded, self._rules.max_errors)
        entry_id = None
        if decoded.running:
            with self._stage("buffer"):
                decoded, entry_id = self._accountant.append(decoded, key, left_out)
        elif len(decoded.batch):
            with self._stage("buffer"):
                entry_id = self._broker.append(decoded.batch, key)
        self._meter.count("muninn_ingest_samples_total", len(decoded.batch))
        self._meter.count("muninn_ingest_rejected_total", decoded.rejected)
        if decoded.rejected:
            rest = decoded.rejected - sum(decoded.by_reason.values())
            for reason, count in (*decoded.by_reason.items(), ("malformed", rest)):
                if count > 0:
                    self._meter.count("muninn_ingest_refused_total", count, reason=reason)
        return decoded, entry_id

    def _charge(self, request: Request, decoded: Decoded) -> None:
        """Count a request's samples against the rate of its token."""
        caller, samples = caller_of(request), len(decoded.batch) + decoded.rejected
        if caller is not None:
            caller.spend(samples)
            self._meter.count("muninn_token_samples_total", samples, token=caller.token.name)

    def _left_out(self, protocol: Protocol) -> Count:
        def count(kind: str, by: int) -> None:
            self._meter.count("muninn_ingest_left_out_total", by, protocol=protocol.name, kind=kind)

        return count

    def _decoded(self, body: bytes, unpacked: Callable[[bytes], int] | None, decode: Decode) -> Decoded:
        """unpacked: how many bytes the body becomes; None: gzip, which does not say."""
        with self._stage("decode"):
            if unpacked is not None and max(len(body), unpacked(body)) <= _LARGE_BYTES:
                return decode(body, self._rules, self._clock.now_us(), self._max_bytes, self._keys)
            with self._one_large:
                plain = gunzip(body, self._max_bytes) if unpacked is None else body
                return decode(plain, self._rules, self._clock.now_us(), self._max_bytes, self._keys)

    @contextmanager
    def _holding(self) -> Iterator[Callable[[int], None]]:
        """Counts what a request adds to the bytes held by all; on the event loop's thread only, so without a lock."""
        mine = 0

        def hold(size: int) -> None:
            nonlocal mine
            others = self._held_bytes - mine
            if others and self._held_bytes + size > _MAX_HELD_BODIES * self._max_bytes:
                raise Rejected("too many large requests at once", 1.0)
            mine += size
            self._held_bytes += size

        try:
            yield hold
        finally:
            self._held_bytes -= mine

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._meter.duration("muninn_ingest_stage", time.perf_counter() - started, stage=name)


def _idempotency_key(request: Request) -> str | None:
    """The request's key; each token has keys of its own, so that nobody's "1" is another's."""
    header = request.headers.get("idempotency-key")
    if header is None:
        return None
    key = header.strip()
    if not 1 <= len(key) <= MAX_KEY_CHARS or not key.isprintable():
        raise Invalid(f"Idempotency-Key must have 1 to {MAX_KEY_CHARS} printable characters", "Idempotency-Key")
    caller = caller_of(request)
    return key if caller is None else f"{caller.token.token_id}:{key}"
