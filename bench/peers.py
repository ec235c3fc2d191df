"""VictoriaMetrics or Prometheus beside Muninn, where MUNINN_BENCH_PEERS names a folder with their binaries.

Both run on loopback in temporary folders, get the same samples, and are asked the same questions over HTTP with their
response caches off. Belongs here: starting, filling and asking them. Does not: Muninn's own figures (queries).
"""

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import numpy as np
import orjson
import pyarrow as pa

from bench import cpu
from bench.running import answers, free_port, wait_until
from bench.traffic import delimited

FOLDER = "MUNINN_BENCH_PEERS"
# By the question's name.
Ours = Mapping[str, Callable[[], object]]
# Asked before timing begins, as Muninn is: statements are prepared, pages read.
WARMING = 10
REPEATS = 60
METRIC = cpu.METRICS[0]
_HOSTS = "|".join(f"host-{number:03d}" for number in range(8))
_EVERY = "|".join(cpu.METRICS)
# Question -> PromQL, hours and step in seconds (0: at one instant).
ASKED = {
    "one series, 1 h by 1 min": (f'avg_over_time({METRIC}{{host="host-007"}}[1m])', 1, 60),
    "8 hosts, 24 h by 5 min": (f'avg_over_time({METRIC}{{host=~"{_HOSTS}"}}[5m])', 24, 300),
    "100 hosts by region, 24 h by 1 h": (f"avg by (region) (avg_over_time({METRIC}[1h]))", 24, 3600),
    "p95 per host, 7 d by 1 h": (f"quantile_over_time(0.95, {METRIC}[1h])", 168, 3600),
    "last value of 1,000 series": (f'{{__name__=~"{_EVERY}"}}', 0, 0),
    "top 10 hosts over 24 h": (f"topk(10, avg_over_time({METRIC}[24h]))", 0, 0),
    # Prometheus refuses avg_over_time of several names at once: the sample at each step is asked for instead.
    "10 metrics of a host, 12 h by 1 min": (f'{{__name__=~"{_EVERY}", host="host-007"}}', 12, 60),
}
# A sample in remote write's protobuf: a field of 16 bytes; a double, and milliseconds as a varint of six bytes.
_SAMPLE = np.dtype([("head", "S2"), ("double", "u1"), ("value", "<f8"), ("varint", "u1"), ("at", "u1", 6)])


def run(workload: cpu.Workload, ours: Ours) -> dict[str, object]:
    """Figures of each peer that is there, by its name; nothing without a folder.

    ours: each question asked of Muninn, in turn with the peer: what else the machine does meets both.
    """
    folder = os.environ.get(FOLDER)
    if folder is None:
        return {}
    found: dict[str, object] = {}
    for name in ("victoria-metrics", "prometheus"):
        binary = Path(folder) / name
        if binary.exists():
            with victoria(binary) if name == "victoria-metrics" else prometheus(binary) as address:
                found[name] = measure(name, address, workload, ours)
    return found


@contextlib.contextmanager
def victoria(binary: Path) -> Iterator[str]:
    """A VictoriaMetrics without response cache."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="muninn-bench-") as folder:
        argv = [
            str(binary),
            f"-storageDataPath={folder}",
            f"-httpListenAddr=127.0.0.1:{port}",
            "-retentionPeriod=100y",
            "-search.disableCache",
            "-search.maxUniqueTimeseries=100000",
        ]
        with _running(argv, f"http://127.0.0.1:{port}", "/health") as address:
            yield address


@contextlib.contextmanager
def prometheus(binary: Path) -> Iterator[str]:
    """A Prometheus that takes remote writes."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="muninn-bench-") as folder:
        config = Path(folder) / "prometheus.yml"
        config.write_text("global: {}\n", encoding="utf-8")
        argv = [
            str(binary),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-remote-write-receiver",
            "--storage.tsdb.retention.time=100y",
        ]
        with _running(argv, f"http://127.0.0.1:{port}", "/-/ready") as address:
            yield address


@contextlib.contextmanager
def _running(argv: list[str], address: str, ready: str) -> Iterator[str]:
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: process.poll() is not None or answers(f"{address}{ready}"), 60)
            yield address
        finally:
            process.terminate()
            process.wait(60)


def measure(name: str, address: str, workload: cpu.Workload, ours: Ours) -> dict[str, object]:
    """Fill it, wait until it shows all, and time each question over one connection."""
    prefix = "/prometheus" if name == "victoria-metrics" else ""
    with httpx.Client(base_url=address, timeout=120) as client:
        started = time.monotonic()
        for body in requests(workload):
            client.post("/api/v1/write", content=body, headers=_HEADERS).raise_for_status()
        wait_until(lambda: _last(client, prefix, workload), 120, step_s=0.5)
        filled_s = time.monotonic() - started
        return {
            "version": str(client.get("/api/v1/status/buildinfo").json().get("data", {}).get("version", "")),
            "samples/s taken in": len(workload.keys) * workload.steps / filled_s,
            "questions, ms": {question: _timed(client, prefix, question, ours[question]) for question in ASKED},
        }


_HEADERS = {"content-type": "application/x-protobuf", "content-encoding": "snappy"}


def requests(workload: cpu.Workload) -> Iterator[bytes]:
    """Remote writes of an hour of all series each."""
    labels = [
        b"".join(
            delimited(1, delimited(1, name.encode()) + delimited(2, value.encode()))
            for name, value in sorted([("__name__", key.metric), *key.labels])
        )
        for key in workload.keys
    ]
    for first in range(0, workload.steps, 360):
        some = workload.tenths[:, first : first + 360] / 10.0
        at_ms = (workload.start_us + (first + np.arange(some.shape[1])) * cpu.STEP_US) // 1000
        rows = np.empty(some.shape, _SAMPLE)
        rows["head"], rows["double"], rows["varint"] = b"\x12\x10", 0x09, 0x10
        rows["value"], rows["at"] = some, varints(at_ms)
        series = (delimited(1, label + row.tobytes()) for label, row in zip(labels, rows, strict=True))
        yield pa.compress(b"".join(series), codec="snappy", asbytes=True)


def varints(numbers: np.ndarray) -> np.ndarray:
    """uint8[n, 6]: each number below 2^42 and from 2^35 on."""
    groups = numbers[:, None] >> (7 * np.arange(6))
    found: np.ndarray = (groups & 0x7F | np.array([0x80] * 5 + [0])).astype(np.uint8)
    return found


def _last(client: httpx.Client, prefix: str, workload: cpu.Workload) -> bool:
    """Whether the last sample of every series is there."""
    at_s = (cpu.END_US - cpu.STEP_US) / 1e6
    found = client.get(f"{prefix}/api/v1/query", params={"query": ASKED["last value of 1,000 series"][0], "time": at_s})
    values = {
        (row["metric"]["__name__"], row["metric"]["host"]): float(row["value"][1])
        for row in orjson.loads(found.content)["data"]["result"]
    }
    expected = {
        (key.metric, dict(key.labels)["host"]): float(last)
        for key, last in zip(workload.keys, workload.tenths[:, -1] / 10.0, strict=True)
    }
    return values == expected


def _timed(client: httpx.Client, prefix: str, question: str, ours: Callable[[], object]) -> dict[str, float]:
    query, hours, step_s = ASKED[question]
    until_s = cpu.END_US / 1e6
    if step_s:
        address, params = (
            "query_range",
            {"query": query, "start": until_s - hours * 3600, "end": until_s, "step": step_s},
        )
    else:
        address, params = "query", {"query": query, "time": until_s - 1}
    took, own = [], []
    for _ in range(WARMING + REPEATS):
        started = time.perf_counter()
        answer = client.get(f"{prefix}/api/v1/{address}", params=params)
        took.append(time.perf_counter() - started)
        assert orjson.loads(answer.content)["data"]["result"], question
        started = time.perf_counter()
        ours()
        own.append(time.perf_counter() - started)
    each = {"": took[WARMING:], "Muninn in turn, ": own[WARMING:]}
    return {
        f"{who}p{percent}": round(float(np.percentile(seconds, percent)) * 1000, 3)
        for who, seconds in each.items()
        for percent in (50, 95)
    }
