"""What fuzzing aims at: every decoder of the door, files, rules, bodies of the alert API, tickets, a client's messages.

A target takes any bytes. It may raise Invalid (TooLarge, Rejected) with a message of bounded length, and nothing else;
what it decodes must hold together. SEEDS are good inputs to start from.

No target: Parquet files. Arrow's reader ends the process over some damaged ones, which is not ours to mend, and which
only those meet who may write into a folder that is read.
"""

import gzip
import io
import os
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import text_targets

from muninn.alerting.book import maintenance_of, rule_of
from muninn.alerting.matchers import Matchers, alertmanager_matcher
from muninn.clock import SECOND_US, ManualClock
from muninn.errors import Invalid, Rejected
from muninn.guard import tickets
from muninn.ingest.body import gunzip
from muninn.ingest.buffer.codec import VERSION, Decoder, encode
from muninn.ingest.buffer.memory import MemoryBroker
from muninn.ingest.decode import otlp
from muninn.ingest.decode.arrow import decode_arrow_file, decode_arrow_stream
from muninn.ingest.decode.form import decode_form
from muninn.ingest.decode.influx import InfluxDecoder
from muninn.ingest.decode.json import decode_json, decode_ndjson
from muninn.ingest.decode.remote_write import RemoteWriteDecoder
from muninn.ingest.files import read_samples
from muninn.ingest.gate.rules import parse as parse_rules
from muninn.ingest.tallies import Accountant
from muninn.ingest.validate import Decoded, Rules
from muninn.model import SampleBatch, SeriesKey
from muninn.numerics.distributions import columns, of_values
from muninn.operations.alerts.alertmanager import outside_alert
from muninn.operations.alerts.api import parse_json, silence_from
from muninn.stream import protocol

ENTRY_FIELDS = (
    *(b"at0", b"dt", b"value", b"fp", b"named", b"keys", b"key"),
    *(b"d_rows", b"d_count", b"d_low", b"d_high", b"d_lengths", b"d_bins"),
)
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


def _otlp_door(data: bytes, content_type: str) -> Decoded:
    """Running totals as well, before a buffer that has remembered them for an hour."""
    decoded = otlp.decode(data, content_type, RULES, NOW_US, nothing)
    broker = MemoryBroker(clock=ManualClock(NOW_US - 3_600 * SECOND_US))
    return Accountant(broker, None, RULES, ManualClock(NOW_US), 86_400).append(decoded, None, nothing)[0]


def _influx(data: bytes) -> Decoded:
    precision = ("ns", "us", "ms", "s", "m", "h")[len(data) % 6]
    return _INFLUX.decode(data, RULES, NOW_US, precision, nothing)


def _buffer_entry(data: bytes) -> None:
    """The fields of an entry, cut out of the bytes by lengths that they hold."""
    fields: dict[bytes, bytes] = {b"v": VERSION}
    at = 0
    for name in ENTRY_FIELDS:
        if at + 2 <= len(data):
            (length,) = struct.unpack_from("<H", data, at)
            if length or name in (b"dt", b"keys"):
                fields[name] = data[at + 2 : at + 2 + length % 512]
            at += 2 + length % 512
    Decoder().decode(fields)


def _rules(data: bytes) -> None:
    rules = parse_rules(_json_of(data, dict))
    for metric in ("m", "abc"):
        rules.apply(SeriesKey.of(metric, {"a": "b"}))


def _file(ending: str) -> Target:
    """A file of the landing folder, or of `muninn import`, piece by piece."""
    path = Path(tempfile.gettempdir()) / f"muninn-fuzz-{os.getpid()}{ending}"

    def target(data: bytes) -> None:
        path.write_bytes(data)
        try:
            for decoded in read_samples(path, RULES, NOW_US, rows=100):
                check(decoded)
        except (Invalid, Rejected) as error:
            check_said(error)
        finally:
            path.unlink(missing_ok=True)

    return target


def _alerts(data: bytes) -> None:
    """Alerts that fire or are over, as Prometheus sends them."""
    for each in _json_of(data, list):
        alert = outside_alert(each, {}, NOW_US)
        if alert is not None:
            orjson.dumps([alert.all_labels, alert.summary, alert.description, alert.runbook])
            assert alert.is_open or alert.resolved_us is not None


def _matchers(data: bytes) -> None:
    """Matchers of a silence, as amtool sends them."""
    Matchers(tuple(map(alertmanager_matcher, _json_of(data, list)))).holds({"a": "b"})


def _silence(data: bytes) -> None:
    silence = silence_from(_json_of(data, dict), NOW_US, "somebody")
    silence.matchers.holds({"a": "b"})
    assert silence.is_on(silence.starts_us)


def _ticket(data: bytes) -> None:
    found = tickets.read(_TICKET_KEY, data.decode("latin-1"), NOW_US)
    assert found in (None, 7), "nobody makes one without the key"


def _maintenance(data: bytes) -> None:
    window = maintenance_of(_json_of(data, dict))
    orjson.dumps(window.plain())
    window.ends_us(NOW_US)
    window.begins_us(NOW_US)


def _json_of(data: bytes, kind: type[Any]) -> Any:
    """What a body holds where it holds such a thing, else an empty one."""
    found = parse_json(data)
    return found if isinstance(found, kind) else kind()


_TICKET_KEY = b"k" * 32
_REMOTE_WRITE, _INFLUX = RemoteWriteDecoder(), InfluxDecoder()
TARGETS: dict[str, Target] = {
    "json": answers(lambda data: decode_json(data, RULES, NOW_US)),
    "ndjson": answers(lambda data: decode_ndjson(data, RULES, NOW_US)),
    "form": answers(lambda data: decode_form(data, RULES, NOW_US)),
    "arrow_stream": answers(lambda data: decode_arrow_stream(data, RULES, NOW_US, MAX_BYTES)),
    "arrow_file": answers(lambda data: decode_arrow_file(data, RULES, NOW_US, MAX_BYTES)),
    "remote_write": answers(_remote_write),
    "remote_write_snappy": answers(lambda data: _REMOTE_WRITE.decode(data, RULES, NOW_US, MAX_BYTES, nothing)),
    "influx": answers(_influx),
    "otlp_protobuf": answers(lambda data: _otlp_door(data, "application/x-protobuf")),
    "otlp_json": answers(lambda data: _otlp_door(data, "application/json")),
    "exposition": text_targets.exposition_target,
    "statsd": text_targets.statsd_target,
    "gzip": says(lambda data: gunzip(data, MAX_BYTES)),
    "buffer_entry": says(_buffer_entry),
    "stream_message": says(protocol.parse),
    "ticket": says(_ticket),
    "door_rules": says(_rules),
    "file_csv": _file(".csv"),
    "alertmanager": says(_alerts),
    "alertmanager_matchers": says(_matchers),
    "alert_rule": says(lambda data: rule_of(_json_of(data, dict))),
    "silence": says(_silence),
    "maintenance": says(_maintenance),
}


_SAMPLE = {"metric": "cpu", "timestamp": NOW_MS, "value": 1.5, "labels": '{"host": "a"}'}
_MANY = {"values": [1.0, 2.5], "counts": [3, 4], "sum": 13.0, "min": 1.0, "max": 2.5}


# (path, media type) that the door takes -> its target.
FORMATS = {
    ("/api/v1/metrics", "application/json"): "json",
    ("/api/v1/metrics", "application/x-ndjson"): "ndjson",
    ("/api/v1/metrics", "text/x-ndjson"): "ndjson",
    ("/api/v1/metrics", "application/x-www-form-urlencoded"): "form",
    ("/api/v1/metrics", "application/vnd.apache.arrow.stream"): "arrow_stream",
    ("/api/v1/metrics", "application/vnd.apache.arrow.file"): "arrow_file",
    ("/api/v1/write", "application/x-protobuf"): "remote_write",
    ("/v1/metrics", "application/x-protobuf"): "otlp_protobuf",
    ("/v1/metrics", "application/json"): "otlp_json",
    ("/write", "text/plain"): "influx",
    ("/api/v2/write", "text/plain"): "influx",
}


def _arrow(kind: str, *samples: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    table = pa.Table.from_pylist([*(samples or (_SAMPLE,))])
    with getattr(pa.ipc, f"new_{kind}")(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _otlp(as_json: bool) -> bytes:
    point = {
        "timeUnixNano": str(NOW_US * 1000),
        "asDouble": 1.5,
        "attributes": [{"key": "a", "value": {"intValue": "1"}}],
    }
    metrics: list[dict[str, object]] = [{"name": "m", "gauge": {"dataPoints": [point]}}]
    for temporality in (1, 2):
        shared = {"timeUnixNano": str(NOW_US * 1000), "startTimeUnixNano": str((NOW_US - SECOND_US) * 1000), "sum": 5}
        bounds = [
            {**shared, "count": "3", "bucketCounts": ["1", "2"], "explicitBounds": [1], "max": 4},
            {**shared, "count": "4", "bucketCounts": ["1", "3"], "explicitBounds": [1], "max": 4},
        ]
        sides = {"positive": {"offset": 3, "bucketCounts": ["1", "2"]}, "negative": {"bucketCounts": ["1"]}}
        coarser = {"positive": {"offset": 1, "bucketCounts": ["1", "4"]}, "negative": {"bucketCounts": ["1"]}}
        exponents = [
            {**shared, "count": "4", "scale": 1, **sides},
            {**shared, "count": "7", "scale": 0, "zeroCount": "1", **coarser},
        ]
        for place, each in enumerate((*bounds, *exponents)):
            each["timeUnixNano"] = str((NOW_US + place) * 1000)
        given = {"aggregationTemporality": temporality}
        metrics.append({"name": "h", "histogram": {"dataPoints": bounds, **given}})
        metrics.append({"name": "e", "exponentialHistogram": {"dataPoints": exponents, **given}})
    body = orjson.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]})
    return body if as_json else bytes(otlp._parse(body, "application/json").SerializeToString())


def _cut(batch: SampleBatch) -> bytes:
    """An entry as _buffer_entry reads it."""
    entry = encode(batch)
    return b"".join(struct.pack("<H", len(entry.get(name, b""))) + entry.get(name, b"") for name in ENTRY_FIELDS)


def _varint(number: int) -> bytes:
    more = number >> 7
    return bytes([number & 127 | 128 * bool(more)]) + (_varint(more) if more else b"")


def _seeds() -> dict[str, list[bytes]]:
    sample = {"metric": "m", "timestamp": NOW_MS, "value": 1.5, "labels": {"a": "b"}, "source_agent_id": "s"}
    recorded = (DATA / "prometheus-2.42-remote-write.snappy").read_bytes()
    plain = SampleBatch.of([(SeriesKey.of("m"), NOW_US, 1.0), (SeriesKey.of("n"), NOW_US + 5, 2.0)])
    some = columns(np.array([1]), [of_values(np.array([1.0, 3.0]), np.array([1, 1]))])
    counted = SampleBatch(plain.at_us, plain.value, plain.key_index, plain.keys, some)
    many = {"metric": "ms", "timestamp": NOW_MS, "distribution": _MANY}
    alert = {"labels": {"alertname": "Up", "severity": "critical"}, "annotations": {"summary": "s"}}
    times = {"startsAt": "2026-09-21T14:13:20Z", "endsAt": "0001-01-01T00:00:00Z"}
    matcher = {"name": "a", "value": "b.*", "isRegex": True, "isEqual": False}
    return {
        "json": [
            orjson.dumps([sample, {**sample, "timestamp": "2026-09-21T14:13:20Z"}]),
            b'{"metrics":[]}',
            orjson.dumps(many),
        ],
        "ndjson": [orjson.dumps(sample) + b"\n" + orjson.dumps(sample)],
        "form": [b"metric=m&timestamp=1790000000000&value=1&labels%5Ba%5D=b"],
        "arrow_stream": [_arrow("stream"), _arrow("stream", many, {**many, "distribution": None, "value": 1.0})],
        "arrow_file": [_arrow("file"), _arrow("file", many)],
        "remote_write": [
            b"\x0a\x21\x0a\x0d\x0a\x08__name__\x12\x01m\x12\x10\x09"
            + struct.pack("<d", 1.0)
            + b"\x10"
            + _varint(NOW_MS)
        ],
        "remote_write_snappy": [recorded],
        "influx": [b'cpu,host=a usage=1.5,idle=98i,ok=t,text="x" 1790000000000000000\n# c\nm value=1\n'],
        "otlp_protobuf": [_otlp(False)],
        "otlp_json": [_otlp(True)],
        **text_targets.SEEDS,
        "gzip": [gzip.compress(b"hello")],
        "buffer_entry": [_cut(plain), _cut(counted)],
        "ticket": [tickets.issue(_TICKET_KEY, 7, NOW_US + SECOND_US).encode()],
        "stream_message": [b'{"op":"subscribe","id":"c","channel":{"metric":"m","labels":{"a":"b"}}}'],
        "file_csv": [b'metric,timestamp,value,label.host\ncpu,1790000000000,1.5,a\ncpu,2026-09-21T14:13:20Z,"2",b\n'],
        "alertmanager": [orjson.dumps([{**alert, **times}, alert])],
        "alertmanager_matchers": [orjson.dumps([matcher, {"name": "a", "value": "b"}])],
        "alert_rule": [
            b'{"name":"long","metric":"q","match":{"a":"=~b"},"levels":[{"severity":"warning","above":"1e3","for":"5m"}]}',
            b'{"name":"burn","kind":"slo","metric":"r","objective":{"target":99.9,"bad":{"code":"=~5.."}},'
            b'"levels":[{"severity":"critical","burn":14.4,"long":"1h","short":"5m"}]}',
        ],
        "silence": [b'{"match":{"host":"web1","rule":"=~.+"},"until":"+2h","since":"now","comment":"c"}'],
        "maintenance": [
            b'{"name":"night","match":{"env":"prod"},"at":"02:00","duration":"90m","timezone":"Europe/Berlin",'
            b'"days":["sat"],"since":"2026-01-01","until":"2027-01-01"}'
        ],
        "door_rules": [
            b'{"rule":[{"action":"rename","metric":"/a(.*)/","to":"b\\\\1"}],"limit":[{"metric":"a","series":1}]}'
        ],
    }


SEEDS = _seeds()
# Bad on purpose, and worth starting from.
BAD_SEEDS = {"gzip": [gzip.compress(b"\0" * 5_000_000)]}
assert SEEDS.keys() == TARGETS.keys()


def everything(data: bytes) -> None:
    """All targets in one: the first byte says which."""
    if data:
        names = [*TARGETS]
        TARGETS[names[data[0] % len(names)]](data[1:])


TARGETS_BY_NAME = {**TARGETS, "all": everything}
_ALL_SEEDS = {name: seeds + BAD_SEEDS.get(name, []) for name, seeds in SEEDS.items()}
SEEDS_BY_NAME = {
    **_ALL_SEEDS,
    "all": [bytes([number]) + seed for number, name in enumerate(TARGETS) for seed in _ALL_SEEDS[name]],
}
