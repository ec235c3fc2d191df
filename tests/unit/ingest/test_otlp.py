"""OTLP: what the SDK encodes is what we read, as protobuf and as JSON."""

import itertools
import json

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from muninn.errors import Invalid
from muninn.ingest.decode.otlp import decode
from muninn.ingest.validate import Decoded, Rules

NOW_US = 1_790_000_000_000_000
AT_NS = NOW_US * 1000
REQUEST = {
    "resourceMetrics": [
        {
            "resource": {
                "attributes": [
                    {"key": "service.name", "value": {"stringValue": "huginn"}},
                    {"key": "service.instance.id", "value": {"stringValue": "web-1"}},
                ]
            },
            "scopeMetrics": [
                {
                    "metrics": [
                        {"name": "queue.depth", "gauge": {"dataPoints": [{"timeUnixNano": AT_NS, "asInt": "7"}]}},
                        {
                            "name": "requests",
                            "sum": {
                                "isMonotonic": True,
                                "aggregationTemporality": 2,
                                "dataPoints": [
                                    {
                                        "timeUnixNano": AT_NS,
                                        "asDouble": 2.5,
                                        "attributes": [{"key": "code", "value": {"intValue": "200"}}],
                                    }
                                ],
                            },
                        },
                        {
                            "name": "latency",
                            "histogram": {
                                "aggregationTemporality": 2,
                                "dataPoints": [
                                    {
                                        "timeUnixNano": AT_NS,
                                        "count": "6",
                                        "sum": 12.5,
                                        "bucketCounts": ["1", "2", "3"],
                                        "explicitBounds": [0.5, 10],
                                    }
                                ],
                            },
                        },
                        {"name": "absent", "gauge": {"dataPoints": [{"timeUnixNano": AT_NS, "flags": 1}]}},
                    ]
                }
            ],
        }
    ]
}
EXPECTED = {
    ("queue.depth", ()): 7.0,
    ("requests", (("code", "200"),)): 2.5,
    ("latency_count", ()): 6.0,
    ("latency_sum", ()): 12.5,
    ("latency_bucket", (("le", "0.5"),)): 1.0,
    ("latency_bucket", (("le", "10"),)): 3.0,
    ("latency_bucket", (("le", "+Inf"),)): 6.0,
}


def as_json() -> bytes:
    return json.dumps(REQUEST).encode()


def as_protobuf() -> bytes:
    return json_format.ParseDict(REQUEST, ExportMetricsServiceRequest()).SerializeToString()


@pytest.mark.parametrize(
    ("body", "content_type"), [(as_json(), "application/json"), (as_protobuf(), "application/x-protobuf")]
)
def test_every_kind_of_point(body: bytes, content_type: str) -> None:
    counted: dict[str, int] = {}
    decoded = decode(body, content_type, Rules(), NOW_US, lambda kind, by: counted.update({kind: by}))
    batch = decoded.batch
    service = {"service.name": "huginn", "service.instance.id": "web-1"}
    got = {}
    for k, value in zip(batch.key_index, batch.value, strict=True):
        key = batch.keys[k]
        assert (key.source_agent_id, key.instance_id) == ("huginn", "web-1")
        labels = dict(key.labels)
        assert service.items() <= labels.items()
        got[key.metric, tuple(sorted(labels.items() - service.items()))] = float(value)
    assert got == EXPECTED
    assert set(batch.at_us.tolist()) == {NOW_US}
    assert counted == {"no_recorded_value": 1}


@given(st.binary(max_size=100), st.sampled_from(["application/json", "application/x-protobuf"]))
def test_garbage_is_invalid_and_nothing_worse(body: bytes, content_type: str) -> None:
    try:
        decode(body, content_type, Rules(), NOW_US, lambda kind, by: None)
    except Invalid:
        return


def test_a_bad_point_is_named_and_the_others_count() -> None:
    request = json_format.ParseDict(REQUEST, ExportMetricsServiceRequest())
    request.resource_metrics[0].scope_metrics[0].metrics[0].name = "no good name"
    decoded = decode(request.SerializeToString(), "application/x-protobuf", Rules(), NOW_US, lambda kind, by: None)
    assert decoded.rejected == 1
    assert decoded.errors[0].index == 0
    assert "metric" in decoded.errors[0].reason
    assert len(decoded.batch) == len(EXPECTED) - 1


def delta(kind: str, *points: dict[str, object]) -> bytes:
    data_points = [{"timeUnixNano": AT_NS, **point} for point in points]
    metric = {"name": "m", kind: {"aggregationTemporality": 1, "dataPoints": data_points}}
    return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).encode()


def decoded(body: bytes) -> Decoded:
    return decode(body, "application/json", Rules(), NOW_US, lambda kind, by: None)


def test_exponential_buckets_of_both_signs_and_zero() -> None:
    sides = {"positive": {"offset": 0, "bucketCounts": ["1", "2"]}, "negative": {"offset": 1, "bucketCounts": ["4"]}}
    found = decoded(delta("exponentialHistogram", {"scale": 0, "zeroCount": "3", "count": "10", "sum": -6, **sides}))
    some = found.batch.distributions
    assert (found.errors, found.batch.value.tolist()) == ([], [-0.6])
    assert some is not None
    assert (some.count.tolist(), some.low.tolist(), some.high.tolist()) == ([10], [-4.0], [4.0])
    keys, counts = some.bins >> 32, some.bins & 0xFFFF_FFFF
    assert [int(counts[mask].sum()) for mask in (keys < 0, keys == 0, keys > 0)] == [4, 3, 3]


@pytest.mark.parametrize(
    ("kind", "point"),
    [
        ("histogram", {"bucketCounts": ["1"], "explicitBounds": [1, 2], "count": "1"}),
        ("histogram", {"bucketCounts": ["1", "1"], "explicitBounds": ["NaN"], "count": "2"}),
        ("histogram", {"bucketCounts": ["1", "1"], "explicitBounds": [1], "sum": "Infinity", "count": "2"}),
        ("histogram", {"bucketCounts": [str(2**64 - 1), "1"], "explicitBounds": [1], "count": "2"}),
        ("histogram", {"bucketCounts": ["1"] * 1001, "explicitBounds": [*range(1000)], "count": "1001"}),
        ("exponentialHistogram", {"scale": -(2**31), "positive": {"bucketCounts": ["1"]}, "count": "1"}),
        ("exponentialHistogram", {"scale": 2**31 - 1, "positive": {"bucketCounts": ["1"]}, "count": "1"}),
        ("exponentialHistogram", {"scale": 0, "positive": {"bucketCounts": ["1"]}, "min": "NaN", "count": "1"}),
    ],
)
def test_a_histogram_that_is_none_is_refused(kind: str, point: dict[str, object]) -> None:
    found = decoded(delta(kind, point))
    assert (found.rejected, len(found.batch)) == (1, 0)


def test_each_histogram_is_judged_by_itself() -> None:
    none = {"bucketCounts": ["1"], "explicitBounds": [1, 2], "count": "1"}
    far_too_many = {"bucketCounts": ["1", str(2**47)], "explicitBounds": [1], "count": "4", "max": 4}
    good = {"bucketCounts": ["1", "2"], "explicitBounds": [1], "count": "3", "max": 4}
    for order in itertools.permutations([none, far_too_many, good]):
        found = decoded(delta("histogram", *order))
        some = found.batch.distributions
        assert some is not None
        assert (found.rejected, some.count.tolist()) == (2, [3])


def test_a_histogram_that_counted_nothing_is_no_sample() -> None:
    for kind in ("histogram", "exponentialHistogram"):
        found = decoded(delta(kind, {"count": "0"}))
        assert (found.rejected, len(found.batch)) == (0, 0)


def cumulative(counts: list[str], bounds: list[float]) -> Decoded:
    point = {"timeUnixNano": AT_NS, "count": "3", "bucketCounts": counts, "explicitBounds": bounds}
    metric = {"name": "h", "histogram": {"aggregationTemporality": 2, "dataPoints": [point]}}
    body = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).encode()
    return decode(body, "application/json", Rules(), NOW_US, lambda _kind, _by: None)


def test_bounds_that_differ_little_are_buckets_of_their_own() -> None:
    keys = cumulative(["1", "1", "1", "0"], [1.0000001, 1.0000002, 1234567]).batch.keys
    assert [dict(key.labels).get("le") for key in keys] == [None, "1.0000001", "1.0000002", "1234567", "+Inf"]


def test_buckets_that_do_not_fit_their_bounds_are_not_guessed() -> None:
    for counts, bounds in ((["1", "1", "1", "0"], [1.0]), (["1"], [1.0, 2.0]), (["1"], [1.0])):
        assert [key.metric for key in cumulative(counts, bounds).batch.keys] == ["h_count"]
