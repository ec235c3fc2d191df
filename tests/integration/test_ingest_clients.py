"""Real clients of other systems send to the door; what they sent is in the buffer."""

import math
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from influxdb_client import InfluxDBClient, Point, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from servers import free_port

from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.model import SeriesKey
from muninn.numerics import sketch

Kept = Callable[[], dict[SeriesKey, list[float]]]


def wait_for(condition: Callable[[], object], what: str, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)  # between two looks


def test_the_sdk_of_opentelemetry(door: tuple[str, Kept]) -> None:
    url, kept = door
    exporter = OTLPMetricExporter(endpoint=f"{url}/v1/metrics")
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=60_000)
    resource = Resource({"service.name": "huginn", "service.instance.id": "web-1"})
    provider = MeterProvider([reader], resource)
    meter = provider.get_meter("test")
    meter.create_counter("jobs").add(5, {"queue": "mail"})
    meter.create_gauge("queue.depth").set(3.5)
    histogram = meter.create_histogram("latency", explicit_bucket_boundaries_advisory=[1.0, 10.0])
    for value in (0.5, 5.0, 50.0):
        histogram.record(value)
    assert provider.force_flush()
    provider.shutdown()
    found = {(key.metric, dict(key.labels).get("le")): values[0] for key, values in kept().items()}
    assert found[("jobs", None)] == 5.0
    assert found[("queue.depth", None)] == 3.5
    assert [found[("latency_bucket", bound)] for bound in ("1", "10", "+Inf")] == [1.0, 2.0, 3.0]
    assert (found[("latency_count", None)], found[("latency_sum", None)]) == (3.0, 55.5)
    assert {(key.source_agent_id, key.instance_id) for key in kept()} == {("huginn", "web-1")}


def test_histograms_of_opentelemetry_become_distributions(door: tuple[str, Kept], redis_url: str) -> None:
    """By its own exporter, of delta temporality: with bounds, and exponential."""
    exporter = OTLPMetricExporter(
        endpoint=f"{door[0]}/v1/metrics", preferred_temporality={Histogram: AggregationTemporality.DELTA}
    )
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=60_000)
    exponential = View(instrument_name="fine", aggregation=ExponentialBucketHistogramAggregation())
    provider = MeterProvider([reader], Resource({"service.name": "huginn"}), views=[exponential])
    meter = provider.get_meter("test")
    bounds = [0.0, 20.0, 50.0, 100.0]
    coarse = meter.create_histogram("coarse", explicit_bucket_boundaries_advisory=bounds)
    fine = meter.create_histogram("fine")
    values = np.random.default_rng(3).uniform(1, 200, 500)
    for value in values.tolist():
        coarse.record(value)
        fine.record(value)
    assert provider.force_flush()
    provider.shutdown()
    assert {key.metric for key in door[1]()} == {"coarse", "fine"}
    broker = ValkeyBroker(redis_url)
    batch = broker.follow("0-0", 0)[0].batch
    broker.close()
    ordered = np.sort(values)
    for row in range(len(batch)):
        some = batch.take(np.array([row])).distributions
        assert some is not None
        assert (int(some.count[0]), float(some.low[0]), float(some.high[0])) == (500, values.min(), values.max())
        assert batch.value[row] == pytest.approx(values.mean())
        for q in (0.5, 0.95, 0.99):
            exact = ordered[math.ceil(q * 500) - 1]
            estimate = sketch.quantile(some.bins, q, some.low[0], some.high[0])
            if batch.keys[batch.key_index[row]].metric == "fine":
                assert estimate == pytest.approx(exact, rel=0.05)  # 160 buckets for eight octaves: 2^(1/16) each
            else:
                edges = [*bounds, values.max()]
                place = int(np.searchsorted(edges, exact))
                assert edges[place - 1] * 0.99 <= estimate <= edges[place] * 1.01


@pytest.mark.parametrize("gzip", [False, True])
def test_the_client_of_influxdb(door: tuple[str, Kept], gzip: bool) -> None:
    url, kept = door
    at = time.time_ns()
    with InfluxDBClient(url, token="any", org="any", enable_gzip=gzip) as client:
        point = Point("cpu").tag("host", "web 1").field("usage", 12.5).field("busy", True).field("note", "x, y=z")
        client.write_api(write_options=SYNCHRONOUS).write("any", record=point.time(at, WritePrecision.NS))
    found = {(key.metric, key.labels): values for key, values in kept().items()}
    assert found == {("cpu_usage", (("host", "web 1"),)): [12.5], ("cpu_busy", (("host", "web 1"),)): [1.0]}


def test_telegraf_as_its_influxdb_output_sends(door: tuple[str, Kept]) -> None:
    """The body and parameters of `outputs.influxdb` (Telegraf 1.x), one line of it broken."""
    url, kept = door
    lines = f"mem,host=a used_percent=41.5,total=8i {time.time_ns()}\nmem,host=a broken\n"
    answer = httpx.post(
        f"{url}/write?db=telegraf", content=lines, headers={"content-type": "text/plain; charset=utf-8"}
    )
    assert answer.status_code == 400
    assert "line 2: a field without '='" in answer.json()["message"]
    assert {key.metric: values for key, values in kept().items()} == {"mem_used_percent": [41.5], "mem_total": [8.0]}


def test_remote_write_2_is_declined_as_its_specification_says(door: tuple[str, Kept]) -> None:
    content_type = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
    answer = httpx.post(f"{door[0]}/api/v1/write", content=b"", headers={"content-type": content_type})
    assert answer.status_code == 415


def test_a_real_prometheus(door: tuple[str, Kept], prometheus: str, tmp_path: Path) -> None:
    url, kept = door
    own = f"127.0.0.1:{free_port()}"
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: self, static_configs: [{{targets: ['{own}']}}]}}]\n"
        f"remote_write: [{{url: '{url}/api/v1/write', queue_config: {{batch_send_deadline: 1s}}}}]\n"
    )
    command = [prometheus, "--enable-feature=agent", f"--config.file={tmp_path / 'prometheus.yml'}"]
    command += [f"--storage.agent.path={tmp_path / 'data'}", f"--web.listen-address={own}"]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_for(lambda: len(kept().get(up(own), [])) >= 3, "three scrapes arrive")
        finally:
            process.terminate()
    found = kept()
    assert set(found[up(own)]) == {1.0}
    assert len(found) > 100
    assert next(values for key, values in found.items() if key.metric == "go_info")[0] == 1.0


def up(target: str) -> SeriesKey:
    return SeriesKey.of("up", {"job": "self", "instance": target}, "self", target)
