"""Requests that are small, or of a size that is allowed, and would take far more than that: refused before they do."""

import numpy as np
import orjson
import pyarrow as pa
import pytest

from muninn.ingest.body import TooLarge
from muninn.ingest.decode import otlp
from muninn.ingest.decode.arrow import decode_table
from muninn.ingest.decode.influx import MAX_FIELDS, InfluxDecoder
from muninn.ingest.decode.json import MAX_OBJECTS, decode_json, decode_ndjson
from muninn.ingest.decode.label_table import MAX_REQUEST_BYTES
from muninn.ingest.decode.remote_write import MAX_SAMPLES, RemoteWriteDecoder
from muninn.ingest.validate import MAX_LABEL_VALUE_BYTES, MAX_LABELS, Decoded, Rules

NOW_US = 1_790_000_000_000_000
RULES = Rules()
# As long as labels may be; so many series that share it have too much to say.
SHARED = {f"label_{number}": "v" * MAX_LABEL_VALUE_BYTES for number in range(MAX_LABELS - 4)}
TOO_MANY = MAX_REQUEST_BYTES // (len(SHARED) * MAX_LABEL_VALUE_BYTES) + 1


def varint(number: int) -> bytes:
    more = number >> 7
    return bytes([number & 127 | 128 * bool(more)]) + (varint(more) if more else b"")


def delimited(field: int, payload: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(payload)) + payload


def pair(name: bytes, value: bytes) -> bytes:
    """A label of a write request."""
    return delimited(1, delimited(1, name) + delimited(2, value))


SAMPLE = delimited(2, b"\x09" + b"\0" * 8 + b"\x10" + varint(NOW_US // 1000))


def remote_write(message: bytes) -> Decoded:
    packed = bytes(pa.compress(message, codec="snappy", asbytes=True))
    return RemoteWriteDecoder().decode(packed, RULES, NOW_US, 32 << 20, lambda _kind, _by: None)


def influx(body: bytes) -> Decoded:
    return InfluxDecoder().decode(body, RULES, NOW_US, "ns", lambda _kind, _by: None)


def otlp_metrics(points: bytes, attributes: bytes = b"") -> Decoded:
    """A request of one gauge; attributes: of its resource."""
    gauge = delimited(2, delimited(1, b"m") + delimited(5, points))
    body = delimited(1, delimited(1, attributes) + delimited(2, gauge))
    return otlp.decode(body, "application/x-protobuf", RULES, NOW_US, lambda _kind, _by: None)


def otlp_attribute(field: int, name: bytes, value: bytes) -> bytes:
    return delimited(field, delimited(1, name) + delimited(2, delimited(1, value)))


def otlp_point(series: int = 0) -> bytes:
    said = b"\x19" + (NOW_US * 1000).to_bytes(8, "little") + b"\x21" + np.float64(1.0).tobytes()
    return delimited(1, said + otlp_attribute(7, b"n", str(series).encode()))


def test_an_influx_line_of_millions_of_fields() -> None:
    with pytest.raises(TooLarge, match="fields"):
        influx(b"m " + b"f=1," * MAX_FIELDS + b"f=1")


def test_influx_fields_that_share_long_tags() -> None:
    tags = ",".join(f"{name}={value}" for name, value in SHARED.items())
    fields = ",".join(f"f{number}=1" for number in range(TOO_MANY))
    with pytest.raises(TooLarge, match="names and labels"):
        influx(f"m,{tags} {fields}".encode())


def test_many_influx_fields_that_share_a_tag_as_long_as_a_body_are_refused_at_the_price_of_one() -> None:
    body = b"m,a=" + b"v" * 2_000_000 + b" " + b"f=1," * 200_000 + b"g=1"
    assert influx(body).rejected == 200_001


def test_a_write_request_of_empty_samples() -> None:
    with pytest.raises(TooLarge, match="samples"):
        remote_write(delimited(1, b"\x12\x00" * (MAX_SAMPLES + 1)))


def test_a_write_request_may_have_samples_between_labels() -> None:
    """Nobody sends this; it is one series all the same."""
    decoded = remote_write(delimited(1, pair(b"__name__", b"m") + SAMPLE + pair(b"a", b"v")))
    assert [dict(key.labels) for key in decoded.batch.keys] == [{"a": "v"}]


def test_a_label_that_is_there_twice_makes_no_series() -> None:
    decoded = remote_write(delimited(1, pair(b"__name__", b"m") + pair(b"a", b"1") + pair(b"a", b"2") + SAMPLE))
    assert decoded.rejected == 1
    assert decoded.errors[0].reason == "labels: 'a' is there twice"


@pytest.mark.parametrize("content_type", ["application/x-protobuf", "application/json"])
def test_an_otlp_request_of_empty_messages(content_type: str) -> None:
    if content_type == "application/json":
        body = b'{"resourceMetrics":[' + b"{}," * otlp.MAX_OBJECTS + b"{}]}"
    else:
        body = delimited(1, delimited(2, delimited(2, delimited(5, b"\x0a\x00" * otlp.MAX_MESSAGES))))
    with pytest.raises(TooLarge, match="messages within messages"):
        otlp.decode(body, content_type, RULES, NOW_US, lambda _kind, _by: None)


def test_otlp_points_that_share_long_attributes() -> None:
    shared = b"".join(otlp_attribute(1, name.encode(), value.encode()) for name, value in SHARED.items())
    points = b"".join(otlp_point(number) for number in range(TOO_MANY))
    with pytest.raises(TooLarge, match="names and labels"):
        otlp_metrics(points, shared)
    assert len(otlp_metrics(otlp_point(), shared).batch) == 1


def test_otlp_points_that_share_an_attribute_as_long_as_a_body_are_refused_at_the_price_of_one() -> None:
    decoded = otlp_metrics(otlp_point() * 50_000, otlp_attribute(1, b"a", b"v" * 8_000_000))
    assert decoded.rejected == 50_000
    assert "labels.a: 8000000 bytes" in decoded.errors[0].reason


def test_otlp_points_that_share_attributes_without_number() -> None:
    shared = b"".join(otlp_attribute(1, str(number).encode(), b"v") for number in range(200_000))
    assert otlp_metrics(otlp_point() * 20_000, shared).rejected == 20_000


def test_too_many_otlp_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "MAX_SAMPLES", 10)
    assert len(otlp_metrics(otlp_point() * 10).batch) == 10
    with pytest.raises(TooLarge, match="10 samples"):
        otlp_metrics(otlp_point() * 11)


@pytest.mark.parametrize("decode", [decode_json, decode_ndjson])
def test_json_of_empty_arrays(decode) -> None:
    with pytest.raises(TooLarge, match="objects and arrays"):
        decode(b'{"labels":[' + b"[]," * MAX_OBJECTS + b"[]]}", RULES, NOW_US)


def test_arrow_rows_that_share_long_labels() -> None:
    said = pa.DictionaryArray.from_arrays(np.zeros(TOO_MANY, np.int32), [orjson.dumps(SHARED).decode()])
    columns = {
        "metric": pa.array([f"m{number}" for number in range(TOO_MANY)]),
        "timestamp": pa.array(np.full(TOO_MANY, NOW_US // 1000)),
        "value": pa.array(np.ones(TOO_MANY)),
        "labels": said,
    }
    with pytest.raises(TooLarge, match="names and labels"):
        decode_table(pa.table(columns), RULES, NOW_US)
    assert len(decode_table(pa.table(columns).slice(0, 10), RULES, NOW_US).batch) == 10
