"""What fuzzing aims at: every decoder of the door, the rules at the door, tickets, and a client's messages.

A target takes any bytes. It may raise Invalid (TooLarge, Rejected) with a message of bounded length, and nothing else;
what it decodes must hold together. SEEDS are good inputs to start from.
"""

import gzip
import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from muninn.errors import Invalid, Rejected
from muninn.ingest.body import gunzip
from muninn.ingest.buffer.codec import Decoder, encode
from muninn.ingest.decode import otlp
from muninn.ingest.decode.arrow import decode_arrow_file, decode_arrow_stream
from muninn.ingest.decode.form import decode_form
from muninn.ingest.decode.influx import InfluxDecoder
from muninn.ingest.decode.json import decode_json, decode_ndjson
from muninn.ingest.decode.remote_write import RemoteWriteDecoder
from muninn.ingest.gate.rules import parse as parse_rules
from muninn.ingest.validate import Decoded, Rules
from muninn.model import SampleBatch, SeriesKey
from muninn.sources.scrape import exposition
from muninn.sources.statsd import lines as statsd
from muninn.stream import protocol

DATA = Path(__file__).parents[1] / "data"
NOW_US = 1_790_000_000_000_000
NOW_MS = NOW_US // 1000
MAX_BYTES = 1 << 20
RULES = Rules(max_errors=20)
MAX_SAID = 4_000

Target = Callable[[bytes], None]


def nothing(kind: str, by: int) -> None:
    assert kind
    assert by > 0


def check(decoded: Decoded) -> None:
    """What every decoder promises of what it returns."""
    batch = decoded.batch
    assert np.isfinite(batch.value).all()
    window = RULES.window(NOW_US)
    assert ((batch.at_us >= window.since_us) & (batch.at_us < window.until_us)).all()
    if len(batch):
        assert 0 <= batch.key_index.min() <= batch.key_index.max() < len(batch.keys)
    assert decoded.rejected >= 0
    assert bool(decoded.errors) == bool(decoded.rejected)
    assert len(decoded.errors) <= RULES.max_errors
    for bad in decoded.errors:
        assert bad.index >= 0
        assert 0 < len(bad.reason) < MAX_SAID
    for key in batch.keys[:5]:
        assert SeriesKey.parse(key.canonical) == key
    if len(batch):
        fields = encode(batch)
        assert len(Decoder().decode(fields)) == len(batch)


def check_said(error: Exception) -> None:
    """What is said to a client is something, and not too much."""
    assert 0 < len(str(error)) < MAX_SAID


def answers(decode: Callable[[bytes], Decoded]) -> Target:
    """A target that decodes."""

    def target(data: bytes) -> None:
        try:
            decoded = decode(data)
        except (Invalid, Rejected) as error:
            check_said(error)
        else:
            check(decoded)

    return target


def says(parse: Callable[[bytes], Any]) -> Target:
    """A target that only has to raise nothing but Invalid."""

    def target(data: bytes) -> None:
        try:
            parse(data)
        except (Invalid, Rejected) as error:
            check_said(error)

    return target


def _remote_write(data: bytes) -> Decoded:
    return _REMOTE_WRITE.decode(
        bytes(pa.compress(data, codec="snappy", asbytes=True)), RULES, NOW_US, MAX_BYTES, nothing
    )


def _influx(data: bytes) -> Decoded:
    precision = ("ns", "us", "ms", "s", "m", "h")[len(data) % 6]
    return InfluxDecoder().decode(data, RULES, NOW_US, precision, nothing)


def _buffer_entry(data: bytes) -> None:
    """The fields of an entry, cut out of the bytes by lengths that they hold."""
    fields: dict[bytes, bytes] = {b"v": b"1"}
    at = 0
    for name in (b"at0", b"dt", b"value", b"fp", b"named", b"keys", b"key"):
        if at + 2 <= len(data):
            (length,) = struct.unpack_from("<H", data, at)
            fields[name] = data[at + 2 : at + 2 + length % 512]
            at += 2 + length % 512
    Decoder().decode(fields)


def _rules(data: bytes) -> None:
    try:
        found = orjson.loads(data)
    except ValueError:
        return
    if isinstance(found, dict):
        parse_rules(found).apply(SeriesKey.of("m", {"a": "b"}))


def _statsd(data: bytes) -> None:
    try:
        line = statsd.parse_line(data.replace(b"\n", b""))
    except statsd.BadLineError as error:
        check_said(error)
        return
    if line is not None:
        assert all(isinstance(value, bytes) or np.isfinite(value) for value in line.values)


_REMOTE_WRITE = RemoteWriteDecoder()
TARGETS: dict[str, Target] = {
    "json": answers(lambda data: decode_json(data, RULES, NOW_US)),
    "ndjson": answers(lambda data: decode_ndjson(data, RULES, NOW_US)),
    "form": answers(lambda data: decode_form(data, RULES, NOW_US)),
    "arrow_stream": answers(lambda data: decode_arrow_stream(data, RULES, NOW_US, MAX_BYTES)),
    "arrow_file": answers(lambda data: decode_arrow_file(data, RULES, NOW_US, MAX_BYTES)),
    "remote_write": answers(_remote_write),
    "remote_write_snappy": answers(lambda data: _REMOTE_WRITE.decode(data, RULES, NOW_US, MAX_BYTES, nothing)),
    "influx": answers(_influx),
    "otlp_protobuf": answers(lambda data: otlp.decode(data, "application/x-protobuf", RULES, NOW_US, nothing)),
    "otlp_json": answers(lambda data: otlp.decode(data, "application/json", RULES, NOW_US, nothing)),
    "exposition": says(lambda data: exposition.parse(data, openmetrics=len(data) % 2 == 0)),
    "statsd": says(_statsd),
    "gzip": says(lambda data: gunzip(data, MAX_BYTES)),
    "buffer_entry": says(_buffer_entry),
    "stream_message": says(protocol.parse),
    "door_rules": says(_rules),
}


def _arrow(kind: str) -> bytes:
    sink = io.BytesIO()
    table = pa.table({"metric": ["cpu"], "timestamp": [NOW_MS], "value": [1.5], "labels": ['{"host": "a"}']})
    with getattr(pa.ipc, f"new_{kind}")(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _otlp(as_json: bool) -> bytes:
    point = {
        "timeUnixNano": str(NOW_US * 1000),
        "asDouble": 1.5,
        "attributes": [{"key": "a", "value": {"intValue": "1"}}],
    }
    histogram = {
        "dataPoints": [
            {
                "timeUnixNano": str(NOW_US * 1000),
                "count": "3",
                "sum": 5,
                "bucketCounts": ["1", "2"],
                "explicitBounds": [1],
            }
        ],
        "aggregationTemporality": 2,
    }
    metrics = [{"name": "m", "gauge": {"dataPoints": [point]}}, {"name": "h", "histogram": histogram}]
    body = orjson.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]})
    return body if as_json else bytes(otlp._parse(body, "application/json").SerializeToString())


def _seeds() -> dict[str, list[bytes]]:
    sample = {"metric": "m", "timestamp": NOW_MS, "value": 1.5, "labels": {"a": "b"}, "source_agent_id": "s"}
    recorded = (DATA / "prometheus-2.42-remote-write.snappy").read_bytes()
    entry = encode(SampleBatch.of([(SeriesKey.of("m"), NOW_US, 1.0)]))
    cut = b"".join(
        struct.pack("<H", len(entry.get(name, b""))) + entry.get(name, b"")
        for name in (b"at0", b"dt", b"value", b"fp", b"named", b"keys", b"key")
    )
    return {
        "json": [orjson.dumps([sample, {**sample, "timestamp": "2026-09-21T14:13:20Z"}]), b'{"metrics":[]}'],
        "ndjson": [orjson.dumps(sample) + b"\n" + orjson.dumps(sample)],
        "form": [b"metric=m&timestamp=1790000000000&value=1&labels%5Ba%5D=b"],
        "arrow_stream": [_arrow("stream")],
        "arrow_file": [_arrow("file")],
        "remote_write": [
            b"\x0a\x1d\x0a\x0d\x0a\x08__name__\x12\x01m\x12\x0c\x09" + struct.pack("<d", 1.0) + b"\x10\x01"
        ],
        "remote_write_snappy": [recorded],
        "influx": [b'cpu,host=a usage=1.5,idle=98i,ok=t,text="x" 1790000000000000000\n# c\nm value=1\n'],
        "otlp_protobuf": [_otlp(False)],
        "otlp_json": [_otlp(True)],
        "exposition": [b'# TYPE a counter\na{b="c"} 1 1790000000000\na_bucket{le="+Inf"} 2 # {x="y"} 1\n# EOF\n'],
        "statsd": [b"orders:1|c|@0.1|#shop:berlin,x", b"t:1:2:3|ms", b"g:-3|g", b"s:ann|s"],
        "gzip": [gzip.compress(b"hello"), gzip.compress(b"\0" * 5_000_000)],
        "buffer_entry": [cut],
        "stream_message": [b'{"op":"subscribe","id":"c","channel":{"metric":"m","labels":{"a":"b"}}}'],
        "door_rules": [
            b'{"rule":[{"action":"rename","metric":"/a(.*)/","to":"b\\\\1"}],"limit":[{"metric":"a","series":1}]}'
        ],
    }


SEEDS = _seeds()
assert SEEDS.keys() == TARGETS.keys()


def everything(data: bytes) -> None:
    """All targets in one: the first byte says which."""
    if data:
        names = [*TARGETS]
        TARGETS[names[data[0] % len(names)]](data[1:])


TARGETS_BY_NAME = {**TARGETS, "all": everything}
SEEDS_BY_NAME = {
    **SEEDS,
    "all": [bytes([number]) + seed for number, name in enumerate(TARGETS) for seed in SEEDS[name]],
}
