"""Requests as agents send them, made before the clock starts.

Belongs here: bodies. Does not: sending them.
"""

import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

WRITE_HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
ARROW_HEADERS = {"Content-Type": "application/vnd.apache.arrow.stream"}


@dataclass(frozen=True)
class Request:
    """One POST: where to, what, and how many samples it holds."""

    path: str
    body: bytes
    samples: int
    headers: dict[str, str] = field(default_factory=dict)


def remote_write(
    series: int,
    rounds: int,
    per_request: int = 4_000,
    name: str = "bench_write",
    seed: int | None = None,
    step_ms: int = 250,
) -> Iterator[Request]:
    """Prometheus remote write: each round one sample of every series, `per_request` series in a request.

    seed: the series in another order, five minutes later. step_ms: from one round to the next.
    """
    base_ms = time.time_ns() // 1_000_000 - (600_000 if seed is None else 300_000)
    numbers = range(series) if seed is None else np.random.default_rng(seed).permutation(series).tolist()
    labels = [_labels(name, number) for number in numbers]
    for turn in range(rounds):
        stamp = b"\x10" + varint(base_ms + turn * step_ms)
        for start in range(0, series, per_request):
            some = labels[start : start + per_request]
            body = b"".join(
                delimited(1, each + delimited(2, b"\x09" + struct.pack("<d", (n * 7 + turn) % 1000 / 10) + stamp))
                for n, each in enumerate(some)
            )
            yield Request("/api/v1/write", pa.compress(body, codec="snappy", asbytes=True), len(some), WRITE_HEADERS)


def _labels(name: str, number: int) -> bytes:
    pairs = ((b"__name__", name.encode()), (b"instance", b"host-%d:9100" % number), (b"job", b"node"))
    return b"".join(delimited(1, delimited(1, label) + delimited(2, value)) for label, value in pairs)


def arrow(series: int, requests: int, samples: int = 100_000) -> Iterator[Request]:
    """Arrow streams: in each request every series several times, host names as labels."""
    base_ms = time.time_ns() // 1_000_000 - 600_000
    per_series = samples // series
    hosts = pa.array([f"host-{n}" for n in range(series)])
    index = pa.array(np.tile(np.arange(series, dtype=np.int32), per_series))
    random = np.random.default_rng(1)
    for number in range(requests):
        at = base_ms + (number * per_series + np.repeat(np.arange(per_series), series)) * 500
        table = pa.table(
            {
                "metric": pa.DictionaryArray.from_arrays(
                    pa.array(np.zeros(len(at), np.int32)), pa.array(["bench_arrow"])
                ),
                "timestamp": pa.array(at, pa.timestamp("ms", tz="UTC")),
                "value": np.round(random.normal(50, 10, len(at)), 1),
                "label.host": pa.DictionaryArray.from_arrays(index, hosts),
            }
        )
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        yield Request("/api/v1/metrics", sink.getvalue().to_pybytes(), len(at), ARROW_HEADERS)


def delimited(number: int, payload: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def varint(number: int) -> bytes:
    """A protobuf varint."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
