"""The ingest door over HTTP: POST /api/v1/metrics.

Belongs here: content types, status codes, what a client is told. Does not: formats (decode), durability (buffer).
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from muninn.clock import Clock, SystemClock
from muninn.errors import Invalid, MuninnError, Rejected
from muninn.ingest.body import TooLarge, gunzip, read
from muninn.ingest.buffer.contract import MAX_KEY_CHARS
from muninn.ingest.decode.json import decode_json, decode_ndjson
from muninn.ingest.decode.keys import KeyTable
from muninn.ingest.problem import answer_to, problem
from muninn.ingest.validate import Decoded, Rules
from muninn.meter import Meter
from muninn.model import Broker

log = logging.getLogger(__name__)

PATH = "/api/v1/metrics"
# Larger bodies are decoded one at a time: they take many times their size while they are Python objects.
_LARGE_BYTES = 1 << 20
_MAX_HELD_BODIES = 4

Decode = Callable[[bytes, Rules, int, int, KeyTable], Decoded]


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
        limits: DoorLimits | None = None,
        clock: Clock | None = None,
        meter: Meter | None = None,
    ):
        self._broker = broker
        self._rules = rules or Rules()
        self._max_bytes = (limits or DoorLimits()).max_body_bytes
        self._clock = clock or SystemClock()
        self._meter = meter or Meter()
        self._keys = KeyTable()
        self._one_large = threading.Lock()
        self._held_bytes = 0

    def routes(self) -> list[Route]:
        """The routes to mount."""
        return [Route(PATH, self.post, methods=["POST"])]

    async def post(self, request: Request) -> Response:
        """Take a body of samples; answers 200 only when the good ones are durable in the buffer."""
        try:
            response = await self._post(request)
        except TooLarge as error:
            response = problem(413, str(error))
        except ClientDisconnect:
            response = problem(400, "the client went away before its body was complete")
        except MuninnError as error:
            response = answer_to(error)
        self._meter.count("muninn_ingest_requests_total", status=str(response.status_code))
        return response

    async def _post(self, request: Request) -> Response:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        decode = _DECODERS.get(media_type)
        if decode is None:
            shown = f"'{media_type[:80]}' is not" if media_type else "no content type is given;"
            return problem(415, f"{shown} one of {', '.join(_DECODERS)}", {"Accept-Post": ", ".join(_DECODERS)})
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip", "x-gzip"):
            return problem(415, f"Content-Encoding '{encoding[:40]}' is not gzip", {"Accept-Encoding": "gzip"})
        key = _idempotency_key(request.headers.get("idempotency-key"))
        with self._holding() as hold:
            body = await read(request.stream(), request.headers.get("content-length"), self._max_bytes, hold)
            self._meter.count("muninn_ingest_bytes_total", len(body))
            return await run_in_threadpool(self._take, body, encoding != "identity", decode, key)

    def _take(self, body: bytes, packed: bool, decode: Decode, key: str | None) -> Response:
        decoded = self._decoded(body, packed, decode)
        entry_id = None
        if len(decoded.batch):
            with self._stage("buffer"):
                entry_id = self._broker.append(decoded.batch, key)
        self._meter.count("muninn_ingest_samples_total", len(decoded.batch))
        self._meter.count("muninn_ingest_rejected_total", decoded.rejected)
        return _answer(decoded, entry_id)

    def _decoded(self, body: bytes, packed: bool, decode: Decode) -> Decoded:
        with self._stage("decode"):
            if len(body) <= _LARGE_BYTES and not packed:
                return decode(body, self._rules, self._clock.now_us(), self._max_bytes, self._keys)
            with self._one_large:
                plain = gunzip(body, self._max_bytes) if packed else body
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


def _answer(decoded: Decoded, entry_id: str | None) -> Response:
    counts = {
        "accepted": len(decoded.batch),
        "rejected": decoded.rejected,
        "errors": [{"index": bad.index, "reason": bad.reason} for bad in decoded.errors],
    }
    if decoded.rejected and not len(decoded.batch):
        first = decoded.errors[0]
        return problem(400, f"none of the samples is good; sample {first.index}: {first.reason}", more=counts)
    return Response(orjson.dumps({**counts, "entry_id": entry_id}), media_type="application/json")


def _idempotency_key(header: str | None) -> str | None:
    if header is None:
        return None
    key = header.strip()
    if not 1 <= len(key) <= MAX_KEY_CHARS or not key.isprintable():
        raise Invalid(f"Idempotency-Key must have 1 to {MAX_KEY_CHARS} printable characters", "Idempotency-Key")
    return key


def _json(body: bytes, rules: Rules, now_us: int, _: int, keys: KeyTable) -> Decoded:
    return decode_json(body, rules, now_us, keys)


def _ndjson(body: bytes, rules: Rules, now_us: int, _: int, keys: KeyTable) -> Decoded:
    return decode_ndjson(body, rules, now_us, keys)


# pyarrow takes memory: it is loaded when the first Arrow body comes.
def _arrow_stream(body: bytes, rules: Rules, now_us: int, max_bytes: int, keys: KeyTable) -> Decoded:
    from muninn.ingest.decode.arrow import decode_arrow_stream

    return decode_arrow_stream(body, rules, now_us, max_bytes, keys)


def _arrow_file(body: bytes, rules: Rules, now_us: int, max_bytes: int, keys: KeyTable) -> Decoded:
    from muninn.ingest.decode.arrow import decode_arrow_file

    return decode_arrow_file(body, rules, now_us, max_bytes, keys)


_DECODERS: dict[str, Decode] = {
    "application/json": _json,
    "application/x-ndjson": _ndjson,
    "text/x-ndjson": _ndjson,
    "application/vnd.apache.arrow.stream": _arrow_stream,
    "application/vnd.apache.arrow.file": _arrow_file,
}
