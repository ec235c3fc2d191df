"""The whole way of a sample, from bytes on the socket to a committed row, against what COPY alone can do.

One client sends as fast as the gateway answers, on the same machine; the clock stops when every row is in the store.
The limit is a binary COPY of the same rows into a table like raw_samples on the same server, in the same run.
"""

import struct
import time
from collections.abc import Callable, Iterator

import httpx
import numpy as np
import psycopg
import pyarrow as pa

from bench.running import Running, running, status, wait_until
from muninn.clock import SECOND_US
from muninn.model import SampleBatch, SeriesKey
from muninn.store import binary_copy

SERIES = 4_000
ARROW_REQUESTS, ARROW_SAMPLES = 30, 100_000
WRITE_REQUESTS = 150
COPIED = 2_000_000


def run() -> dict[str, object]:
    """Measure each protocol on a fresh stack, then the limit on the last one's server."""
    figures: dict[str, object] = {}
    with running(COLLECTOR_ENABLED="false", LOADER_COUNT="1") as stack:
        url = str(status(stack.environ)["database_url"])
        limit = copy_limit(url)
        figures["binary COPY alone, samples/s"] = limit
        for name, send in (("arrow", arrow), ("remote write, one sample a series a request", remote_write)):
            figures[name] = whole_path(stack, url, send, limit)
    return figures


def whole_path(
    stack: Running, url: str, requests: Callable[[], Iterator[tuple[bytes, dict[str, str], str, int]]], limit: float
) -> dict[str, float]:
    """Samples per second until all are answered, and until all are rows; and the share of the limit."""
    made = list(requests())
    total = sum(samples for *_, samples in made)
    gateway = f"http://127.0.0.1:{stack.environ['MUNINN_GATEWAY_PORT']}"
    with psycopg.connect(url, autocommit=True) as store, httpx.Client(timeout=60) as client:
        before = count(store)
        send(client, gateway, *made[0][:3])  # compiled, connected, registered
        wait_until(lambda: count(store) == before + made[0][3], 60)
        started = time.monotonic()
        for body, headers, path, _ in made[1:]:
            send(client, gateway, body, headers, path)
        answered = time.monotonic() - started
        wait_until(lambda: count(store) >= before + total, 300, step_s=0.05)
        stored = time.monotonic() - started
    sent = total - made[0][3]
    return {
        "samples": float(sent),
        "bytes a sample on the wire": sum(len(body) for body, *_ in made[1:]) / sent,
        "answered, samples/s": sent / answered,
        "stored, samples/s": sent / stored,
        "stored, share of COPY alone": sent / stored / limit,
    }


def send(client: httpx.Client, gateway: str, body: bytes, headers: dict[str, str], path: str) -> None:
    """Send one request, again where the buffer is full."""
    while (answer := client.post(gateway + path, content=body, headers=headers)).status_code == 429:
        time.sleep(0.2)
    answer.raise_for_status()


def count(store: psycopg.Connection[tuple[int]]) -> int:
    """Rows in the store."""
    found = store.execute("select count(*) from raw_samples").fetchone()
    return found[0] if found else 0


def arrow() -> Iterator[tuple[bytes, dict[str, str], str, int]]:
    """Requests of ARROW_SAMPLES samples over SERIES series, host names as labels."""
    base_ms = time.time_ns() // 1_000_000 - 600_000
    per_series = ARROW_SAMPLES // SERIES
    hosts = pa.array([f"host-{n}" for n in range(SERIES)])
    index = pa.array(np.tile(np.arange(SERIES, dtype=np.int32), per_series))
    rng = np.random.default_rng(1)
    for request in range(ARROW_REQUESTS):
        at = base_ms + (request * per_series + np.repeat(np.arange(per_series), SERIES)) * 500
        columns = {
            "metric": pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(at), np.int32)), pa.array(["bench_arrow"])),
            "timestamp": pa.array(at, pa.timestamp("ms", tz="UTC")),
            "value": np.round(rng.normal(50, 10, len(at)), 1),
            "label.host": pa.DictionaryArray.from_arrays(index, hosts),
        }
        table = pa.table(columns)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        headers = {"content-type": "application/vnd.apache.arrow.stream"}
        yield sink.getvalue().to_pybytes(), headers, "/api/v1/metrics", len(at)


def remote_write() -> Iterator[tuple[bytes, dict[str, str], str, int]]:
    """Requests as agents send them: each series with one sample."""
    base_ms = time.time_ns() // 1_000_000 - 600_000
    labels = [
        b"".join(
            delimited(1, delimited(1, name) + delimited(2, value))
            for name, value in ((b"__name__", b"bench_write"), (b"instance", b"host-%d:9100" % n), (b"job", b"node"))
        )
        for n in range(SERIES)
    ]
    headers = {"content-type": "application/x-protobuf", "content-encoding": "snappy"}
    for request in range(WRITE_REQUESTS):
        stamp = b"\x10" + varint(base_ms + request * 1000)
        series = (
            delimited(1, each + delimited(2, b"\x09" + struct.pack("<d", (n * 7 + request) % 1000 / 10) + stamp))
            for n, each in enumerate(labels)
        )
        yield pa.compress(b"".join(series), codec="snappy", asbytes=True), headers, "/api/v1/write", SERIES


def delimited(field: int, payload: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return varint(field << 3 | 2) + varint(len(payload)) + payload


def varint(number: int) -> bytes:
    """A protobuf varint."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def copy_limit(url: str) -> float:
    """Samples per second of one binary COPY into a table like raw_samples, BRIN index included."""
    at_us = time.time_ns() // 1000 + np.arange(COPIED // SERIES).repeat(SERIES) * SECOND_US
    batch = SampleBatch(
        at_us,
        np.round(np.random.default_rng(2).normal(50, 10, COPIED), 1),
        np.tile(np.arange(SERIES, dtype=np.int32), COPIED // SERIES),
        (SeriesKey("bench"),),
    )
    with psycopg.connect(url) as store:
        store.execute(
            "create table bench_copy (at timestamptz not null, series_id int4 not null, value float8 not null)"
        )
        store.execute("create index on bench_copy using brin (at) with (pages_per_range = 32)")
        store.commit()
        started = time.monotonic()
        data = binary_copy.encode((binary_copy.timestamptz(batch.at_us), batch.key_index, batch.value))
        with store.cursor() as cursor, cursor.copy("copy bench_copy from stdin (format binary)") as copy:
            copy.write(data)
        store.commit()
        took = time.monotonic() - started
        store.execute("drop table bench_copy")
    return COPIED / took
