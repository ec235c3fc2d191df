"""The ingest door, from request to answer."""

import asyncio
import gzip
import io
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import orjson
import pyarrow as pa
import pytest
from starlette.applications import Starlette

from muninn.clock import SECOND_US, ManualClock
from muninn.errors import Rejected, Unavailable
from muninn.guard.roll import Caller
from muninn.guard.tokens import Token
from muninn.ingest.buffer.contract import BufferLimits
from muninn.ingest.buffer.memory import MemoryBroker
from muninn.ingest.callers import CALLER
from muninn.ingest.decode.arrow_bounds import unpacked_bytes
from muninn.ingest.http import _LARGE_BYTES, DoorLimits, IngestDoor
from muninn.ingest.protocols import OWN, protocols
from muninn.meter import Meter
from muninn.model import SeriesKey

NOW_MS = 1_700_000_000_000


def ask(door: IngestDoor, body: Any, headers: dict[str, str]) -> httpx.Response:
    """One request to the door's routes, without a socket."""

    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=door.routes()))
        async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
            return await client.post(OWN.path, content=body, headers=headers)

    return asyncio.run(request())


class Door:
    def __init__(self) -> None:
        self.clock = ManualClock(NOW_MS * 1000)
        self.broker = MemoryBroker(limits=BufferLimits(max_bytes=1 << 20), clock=self.clock)
        self.meter = Meter()
        self.door = IngestDoor(
            self.broker, limits=DoorLimits(max_body_bytes=1 << 16), clock=self.clock, meter=self.meter
        )

    def post(self, body: Any, content_type: str = "application/json", **headers: str) -> httpx.Response:
        data = orjson.dumps(body) if isinstance(body, dict | list) else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.door, data, {"content-type": content_type, **named})

    def kept(self) -> list[tuple[SeriesKey, int, float]]:
        found = []
        for handle in self.broker.follow("0-0", 0):
            batch = handle.batch
            for key, at, value in zip(batch.key_index, batch.at_us, batch.value, strict=True):
                found.append((batch.keys[key], int(at), float(value)))
        return found

    def counted(self) -> dict[str, float]:
        return {name: value for name, labels, value in self.meter.snapshot() if "stage" not in labels}


@pytest.fixture
def door() -> Door:
    return Door()


def sample(value: Any = 1.5, **parts: Any) -> dict[str, Any]:
    return {"metric": "cpu", "timestamp": NOW_MS, "value": value, **parts}


KEPT = [(SeriesKey.of("cpu"), NOW_MS * 1000, 1.5)]


def arrow(kind: str) -> bytes:
    sink = io.BytesIO()
    table = pa.table({"metric": ["cpu"], "timestamp": [NOW_MS], "value": [1.5]})
    with getattr(pa.ipc, f"new_{kind}")(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (orjson.dumps(sample()), "application/json"),
        (orjson.dumps([sample()]), "Application/JSON; charset=utf-8"),
        (orjson.dumps({"metrics": [sample()]}), "application/json"),
        (orjson.dumps(sample()) + b"\n", "application/x-ndjson"),
        (orjson.dumps(sample()) + b"\r\n\r\n", "text/x-ndjson"),
        (arrow("stream"), "application/vnd.apache.arrow.stream"),
        (arrow("file"), "application/vnd.apache.arrow.file"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_every_format_ends_in_the_buffer(door: Door, body: bytes, content_type: str, packed: bool) -> None:
    headers = {"content_encoding": "gzip"} if packed else {}
    answer = door.post(gzip.compress(body) if packed else body, content_type, **headers)
    assert answer.status_code == 200
    assert answer.json() == {"accepted": 1, "rejected": 0, "errors": [], "entry_id": door.broker.last_id()}
    assert door.kept() == KEPT


def test_bad_samples_are_told_and_the_good_ones_count(door: Door) -> None:
    answer = door.post([sample(), sample(timestamp="2024-13-01"), sample(2.5), {}])
    assert answer.status_code == 200
    found = answer.json()
    assert (found["accepted"], found["rejected"]) == (2, 2)
    assert found["errors"] == [
        {"index": 1, "reason": "timestamp: 2024-13-01 is not RFC 3339"},
        {"index": 3, "reason": "metric: missing"},
    ]
    assert [value for _, _, value in door.kept()] == [1.5, 2.5]
    counted = door.counted()
    assert (counted["muninn_ingest_samples_total"], counted["muninn_ingest_rejected_total"]) == (2, 2)
    assert counted["muninn_ingest_requests_total"] == 1


def test_only_bad_samples_are_a_problem_with_all_reasons_up_to_a_hundred(door: Door) -> None:
    answer = door.post([sample(None)] * 150)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert (found["status"], found["accepted"], found["rejected"], len(found["errors"])) == (400, 0, 150, 100)
    assert "sample 0: value: missing" in found["detail"]
    assert door.broker.depth() == 0


def test_no_samples_are_no_entry(door: Door) -> None:
    assert door.post([]).json() == {"accepted": 0, "rejected": 0, "errors": [], "entry_id": None}
    assert door.broker.depth() == 0


@pytest.mark.parametrize(
    ("body", "content_type", "headers", "status", "detail"),
    [
        (b"{oops", "application/json", {}, 400, "line 1, column 2"),
        (b"oops", "application/json", {"content_encoding": "gzip"}, 400, "not gzip"),
        (b"oops", "application/vnd.apache.arrow.stream", {}, 400, "not an Arrow IPC stream"),
        (b"x=1", "text/plain", {}, 415, "'text/plain' is not one of"),
        (b"x=1", "", {}, 415, "no content type is given; one of application/json"),
        (b"[]", "application/json", {"content_encoding": "br"}, 415, "Content-Encoding 'br' is not gzip"),
        (b"[]", "application/json", {"idempotency_key": "x" * 201}, 400, "Idempotency-Key must have 1 to 200"),
        (b"[]", "application/json", {"idempotency_key": " "}, 400, "Idempotency-Key must have 1 to 200"),
        (b" " * 65_537, "application/json", {}, 413, "65537 bytes; at most 65536"),
        (
            gzip.compress(b" " * 65_537),
            "application/json",
            {"content_encoding": "gzip"},
            413,
            "unpacks to more than 65536",
        ),
    ],
)
def test_what_cannot_be_taken_is_a_problem_that_says_why(
    door: Door, body: bytes, content_type: str, headers: dict[str, str], status: int, detail: str
) -> None:
    answer = door.post(body, content_type, **headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert detail in answer.json()["detail"]
    assert answer.json()["status"] == status
    assert door.broker.depth() == 0


def test_a_body_without_a_length_is_counted_as_it_comes(door: Door) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b" " * 40_000
        yield b" " * 40_000

    assert door.post(pieces()).status_code == 413


def test_a_retry_with_the_same_key_is_kept_once(door: Door) -> None:
    first = door.post([sample()], idempotency_key="k-1").json()
    again = door.post([sample()], idempotency_key="k-1").json()
    assert first == again
    assert door.broker.depth() == 1
    assert door.post([sample()], idempotency_key="k-2").json()["entry_id"] != first["entry_id"]


def test_each_token_has_keys_of_its_own(door: Door) -> None:
    """The same key of two tokens is two requests; of one token it is one, whatever its secret was."""

    def as_caller(token_id: int) -> str:
        token = Token(token_id, "t", b"d", frozenset({"ingest"}))

        async def request() -> httpx.Response:
            routes = Starlette(routes=door.door.routes())

            async def judged(scope: Any, receive: Any, send: Any) -> None:
                scope.setdefault("state", {})[CALLER] = Caller(token)
                await routes(scope, receive, send)

            async with httpx.AsyncClient(transport=httpx.ASGITransport(judged), base_url="http://door") as client:
                return await client.post(OWN.path, json=[sample()], headers={"idempotency-key": "1"})

        return str(asyncio.run(request()).json()["entry_id"])

    plain = door.post([sample()], idempotency_key="1").json()["entry_id"]
    assert len({plain, as_caller(7), as_caller(8), as_caller(7)}) == 3
    assert door.broker.depth() == 3


def test_a_full_buffer_says_when_to_come_again(door: Door) -> None:
    large = [sample(float(i)) for i in range(1000)]
    answers = [door.post(large) for _ in range(120)]
    assert answers[0].status_code == 200
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert "buffer is full" in answers[-1].json()["detail"]
    while handles := door.broker.read("loader", 1000, 0):
        door.broker.acknowledge(handles)
    assert door.post(large).status_code == 200


class Broken(MemoryBroker):
    def __init__(self, error: Exception):
        super().__init__()
        self._error = error

    def append(self, *_: object, **__: object) -> str:
        raise self._error


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (Unavailable("Valkey is away"), 503, "2"),
        (Rejected("slow down", 3.2), 429, "4"),
        (Rejected("slow", 0.1), 429, "1"),
    ],
)
def test_trouble_of_the_buffer_is_told_with_when_to_retry(error: Exception, status: int, retry_after: str) -> None:
    door = IngestDoor(Broken(error), clock=ManualClock(NOW_MS * 1000))
    answer = ask(door, orjson.dumps(sample()), {"content-type": "application/json"})
    assert (answer.status_code, answer.headers["retry-after"]) == (status, retry_after)
    assert answer.json()["detail"] == str(error)


def test_a_bug_is_a_problem_too_and_lies_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    meter = Meter()
    door = IngestDoor(Broken(ZeroDivisionError("a bug")), clock=ManualClock(NOW_MS * 1000), meter=meter)
    answer = ask(door, orjson.dumps(sample()), {"content-type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "a bug" in caplog.text
    counted = [labels for name, labels, _ in meter.snapshot() if name == "muninn_ingest_requests_total"]
    assert counted == [{"protocol": "muninn", "status": "500"}]


def test_limits_of_time_come_from_the_clock(door: Door) -> None:
    assert door.post(sample(timestamp=NOW_MS + 700_000)).status_code == 400
    door.clock.advance(200)
    assert door.post(sample(timestamp=NOW_MS + 700_000)).status_code == 200
    assert door.kept()[0][1] == NOW_MS * 1000 + 700 * SECOND_US


def test_what_is_refused_is_counted_by_reason(door: Door) -> None:
    hour_ms = 3_600_000
    good, old, new = sample(), sample(timestamp=NOW_MS - 91 * 24 * hour_ms), sample(timestamp=NOW_MS + hour_ms)
    answer = door.post([good, old, old, new, sample(1e300), sample("x"), {"metric": "cpu"}, 7])
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (1, 7)
    found = {labels["reason"]: value for name, labels, value in door.meter.snapshot() if name.endswith("refused_total")}
    assert found == {"too_old": 2, "too_new": 1, "value": 1, "malformed": 3}


def arrow(rows: int, compression: str | None) -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table(
        {
            "metric": pa.DictionaryArray.from_arrays(np.zeros(rows, np.int8), ["m"]),
            "timestamp": pa.array(np.full(rows, NOW_MS)),
            "value": pa.array(np.ones(rows)),
        }
    )
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


class Lock:
    """Counts how often it is taken."""

    def __init__(self) -> None:
        self.taken = 0

    def __enter__(self) -> None:
        self.taken += 1

    def __exit__(self, *_: object) -> None:
        pass


def test_what_becomes_large_is_decoded_one_at_a_time_however_small_it_comes() -> None:
    door = Door()
    door.door._max_bytes = 32 << 20
    lock = door.door._one_large = Lock()
    arrow_type = "application/vnd.apache.arrow.stream"
    small, bomb = arrow(100, None), arrow(200_000, "zstd")
    assert len(bomb) < _LARGE_BYTES < unpacked_bytes(bomb)
    assert door.post(small, arrow_type).status_code == 200
    assert lock.taken == 0
    assert door.post(bomb, arrow_type).status_code == 429  # the buffer of this door is small
    assert lock.taken == 1
    write = next(protocol for protocol in protocols() if protocol.name == "prometheus")
    bomb = bytes(pa.compress(b"\0" * 3_000_000, codec="snappy", asbytes=True))
    assert write.unpacked(bomb) == 3_000_000
    assert write.unpacked(b"") == 0
    assert door.post(gzip.compress(orjson.dumps([])), "application/json", content_encoding="gzip").status_code == 200
    assert lock.taken == 2


@pytest.mark.parametrize("body", [b"ARROW1", b"\xff\xff\xff\xff\x10", b"abc\0", b"[]", b"", arrow(3, None)[:-40]])
def test_what_is_damaged_says_nothing_of_its_size(body: bytes) -> None:
    assert OWN.unpacked(body) >= len(body)
