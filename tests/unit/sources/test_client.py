"""The gateway client against a real HTTP server that answers as told."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.clock import ManualClock
from muninn.errors import Misconfigured
from muninn.ingest.decode.arrow import decode_arrow_stream
from muninn.ingest.decode.json import decode_json
from muninn.ingest.validate import Rules
from muninn.meter import Meter
from muninn.model import SampleBatch, SeriesKey
from muninn.sources import client as client_module
from muninn.sources.client import GatewayClient, Poster
from muninn.sources.wire import ARROW_TYPE, JSON_TYPE, to_arrow, to_json

NOW_US = 1_700_000_000_000_000
KEY = SeriesKey.of("cpu", {"host": "a"}, "agent", "i-1")


def batch(*values: float) -> SampleBatch:
    return SampleBatch.of([(KEY, NOW_US, value) for value in values])


@dataclass
class Gateway:
    """Answers with the statuses it is given, then 200; keeps what it took, once per Idempotency-Key."""

    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)
    taken: dict[str, SampleBatch] = field(default_factory=dict)
    connections: list[socket.socket] = field(default_factory=list)
    server: ThreadingHTTPServer | None = None

    def start(self, port: int = 0) -> "Gateway":
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                gateway.connections.append(self.request)
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers, answer = gateway.answer(self.headers, body)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def answer(self, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        key, kind = headers["Idempotency-Key"], headers["Content-Type"]
        self.requests.append((key, kind, body))
        status, extra = self.answers.pop(0) if self.answers else (200, {})
        if status != 200:
            return status, extra, b'{"detail": "as told"}'
        decoded = (
            decode_arrow_stream(body, Rules(), NOW_US, 1 << 26)
            if kind == ARROW_TYPE
            else decode_json(body, Rules(), NOW_US)
        )
        self.taken[key] = decoded.batch
        errors = [{"index": bad.index, "reason": bad.reason} for bad in decoded.errors]
        counts = {"accepted": len(decoded.batch), "rejected": decoded.rejected, "errors": errors}
        return 200, extra, orjson.dumps(counts)

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def stop(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def values(self) -> list[float]:
        return [value for one in self.taken.values() for value in one.value.tolist()]


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway().start()
    yield made
    made.stop()


@pytest.fixture
def open_client() -> Iterator[Callable[..., GatewayClient]]:
    made: list[GatewayClient] = []

    def make(url: str, **options: Any) -> GatewayClient:
        made.append(GatewayClient(url, **options))
        return made[-1]

    yield make
    for client in made:
        client.close(0.1)


def counted(meter: Meter) -> dict[str, float]:
    return {name: value for name, _, value in meter.snapshot()}


def test_batches_arrive_in_order_over_one_connection(
    gateway: Gateway, open_client: Callable[..., GatewayClient]
) -> None:
    meter = Meter()
    client = open_client(gateway.url, meter=meter)
    for value in range(5):
        client.send(batch(float(value)))
        assert client.flush(10)
    assert gateway.values() == [0, 1, 2, 3, 4]
    assert len(gateway.connections) == 1
    assert len({key for key, _, _ in gateway.requests}) == 5
    assert counted(meter)["muninn_client_sent_total"] == 5


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_sent_again_with_the_same_key(
    gateway: Gateway, open_client: Callable[..., GatewayClient], status: int
) -> None:
    gateway.answers = [(status, {}), (status, {})]
    meter = Meter()
    client = open_client(gateway.url, clock=ManualClock(), meter=meter)
    client.send(batch(1.0, 2.0))
    assert client.flush(10)
    assert gateway.values() == [1.0, 2.0]
    assert len(gateway.requests) == 3
    assert len({key for key, _, _ in gateway.requests}) == 1
    assert counted(meter)["muninn_client_retries_total"] == 2


def test_retry_after_is_waited_for(gateway: Gateway, open_client: Callable[..., GatewayClient]) -> None:
    gateway.answers = [(429, {"Retry-After": "40"}), (503, {"Retry-After": "nonsense"})]
    clock = ManualClock()
    before = clock.monotonic()
    client = open_client(gateway.url, clock=clock)
    client.send(batch(1.0))
    assert client.flush(10)
    assert 40 <= clock.monotonic() - before < 42


def test_a_gateway_that_comes_back_gets_everything_once(open_client: Callable[..., GatewayClient]) -> None:
    first = Gateway().start()
    client = open_client(first.url, timeout_s=2)
    client.send(batch(1.0))
    assert client.flush(10)
    assert first.server is not None
    port = first.server.server_address[1]
    first.stop()
    for value in (2.0, 3.0, 4.0):
        client.send(batch(value))
    assert not client.flush(0.3)
    second = Gateway().start(port)
    try:
        assert client.flush(20)
        assert second.values() == [2.0, 3.0, 4.0]
    finally:
        second.stop()


def test_a_full_queue_drops_the_oldest_and_says_so_once(
    open_client: Callable[..., GatewayClient], caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Gateway().start()
    url = gateway.url
    gateway.stop()
    meter = Meter()
    client = open_client(url, max_rows=10, meter=meter)
    client.send(batch(-1.0))
    deadline = time.monotonic() + 10
    while counted(meter).get("muninn_client_retries_total", 0) < 1:  # the first batch is under way, not in the queue
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for value in range(30):
        client.send(batch(float(value)))
    found = counted(meter)
    assert found["muninn_client_dropped_total"] == 20
    assert found["muninn_client_queue_samples"] == 10
    assert len([record for record in caplog.records if "queue is full" in record.message]) == 1
    again = Gateway().start(int(url.rpartition(":")[2]))
    try:
        assert client.flush(20)
        assert again.values() == [-1.0, *map(float, range(20, 30))]
    finally:
        again.stop()


def test_bad_samples_are_counted_and_not_sent_again(
    gateway: Gateway, open_client: Callable[..., GatewayClient], caplog: pytest.LogCaptureFixture
) -> None:
    meter = Meter()
    client = open_client(gateway.url, meter=meter)
    client.send(SampleBatch.of([(KEY, NOW_US, 1.0), (SeriesKey.of("no good"), NOW_US, 2.0)]))
    gateway.answers = []
    assert client.flush(10)
    found = counted(meter)
    assert (found["muninn_client_sent_total"], found["muninn_client_refused_total"]) == (1, 1)
    assert "is not a name" in caplog.text
    gateway.answers = [(400, {})]
    client.send(batch(3.0))
    assert client.flush(10)
    assert counted(meter)["muninn_client_refused_total"] == 2
    assert len(gateway.requests) == 2


def test_a_request_that_is_too_large_is_halved(gateway: Gateway, open_client: Callable[..., GatewayClient]) -> None:
    gateway.answers = [(413, {}), (413, {}), (200, {}), (413, {}), (200, {})]
    meter = Meter()
    client = open_client(gateway.url, meter=meter)
    client.send(batch(1.0, 2.0, 3.0))
    assert client.flush(10)
    # [1 2 3] -> [1] and [2 3]; [1] alone is too large as well and given up; [2 3] is taken.
    assert gateway.values() == [2.0, 3.0]
    assert counted(meter)["muninn_client_refused_total"] == 1


def test_large_batches_go_as_arrow(gateway: Gateway, open_client: Callable[..., GatewayClient]) -> None:
    client = open_client(gateway.url)
    client.send(batch(*map(float, range(6000))))
    assert client.flush(20)
    assert [kind for _, kind, _ in gateway.requests] == [ARROW_TYPE]
    assert gateway.values() == list(map(float, range(6000)))


def test_what_waits_is_sent_together_up_to_a_bound(
    gateway: Gateway, open_client: Callable[..., GatewayClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_MAX_REQUEST_ROWS", 4)
    gateway.answers = [(503, {})]
    clock = ManualClock()
    started, go_on = threading.Event(), threading.Event()

    def wait(seconds: float, stop: threading.Event) -> bool:
        started.set()
        go_on.wait(10)
        return False

    monkeypatch.setattr(clock, "wait", wait)
    client = open_client(gateway.url, clock=clock)
    client.send(batch(0.0))
    assert started.wait(10)
    for value in range(1, 7):
        client.send(batch(float(value)))
    go_on.set()
    assert client.flush(10)
    assert [orjson.loads(body)[0]["value"] for _, _, body in gateway.requests] == [0, 0, 1, 5]
    assert gateway.values() == list(map(float, range(7)))


def test_an_address_that_is_none_is_told_at_once() -> None:
    for url in ("gateway:8480", "ftp://x", "http://"):
        with pytest.raises(Misconfigured, match="http://host:port"):
            Poster(url, 1.0)


def test_closing_does_not_wait_for_a_gateway_that_is_away() -> None:
    gateway = Gateway().start()
    url = gateway.url
    gateway.stop()
    client = GatewayClient(url)
    client.send(batch(1.0))
    started = time.monotonic()
    client.close(0.2)
    assert time.monotonic() - started < 5


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=4)
KEYS = st.builds(
    SeriesKey.of, st.sampled_from(["cpu", "mem"]), st.dictionaries(TEXT, TEXT, max_size=2), TEXT, st.just("")
)
ROWS = st.lists(
    st.tuples(
        KEYS,
        st.integers(NOW_US - 10**12, NOW_US),
        st.floats(-1e290, 1e290).filter(lambda value: value == 0 or abs(value) >= 1e-290),
    ),
    max_size=12,
)


@given(rows=ROWS)
def test_both_encodings_come_back_as_they_were(rows: list[tuple[SeriesKey, int, float]]) -> None:
    sent = SampleBatch.of(rows)
    for decoded in (
        decode_json(to_json(sent), Rules(), NOW_US),
        decode_arrow_stream(to_arrow(sent), Rules(), NOW_US, 1 << 26),
    ):
        found = decoded.batch
        assert decoded.rejected == 0
        assert [found.keys[key] for key in found.key_index] == [sent.keys[key] for key in sent.key_index]
        assert found.at_us.tolist() == sent.at_us.tolist()
        assert found.value.tolist() == sent.value.tolist()


def test_whole_milliseconds_are_sent_as_integers() -> None:
    sent = SampleBatch.of([(KEY, NOW_US, 1.0), (KEY, NOW_US + 1, 1.0)])
    assert [one["timestamp"] for one in orjson.loads(to_json(sent))] == [NOW_US // 1000, NOW_US / 1000 + 0.001]
    assert JSON_TYPE == "application/json"
