"""Prometheus remote write: every message gives its samples, and garbage gives a clear Invalid."""

import math
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.errors import Invalid
from muninn.ingest.decode import _wire
from muninn.ingest.decode.remote_write import STALE_MARKER, RemoteWriteDecoder
from muninn.ingest.validate import Rules

NOW_US = 1_790_000_000_000_000
NOW_MS = NOW_US // 1000
RULES = Rules()
Series = tuple[dict[str, str], list[tuple[int, float]]]


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def delimited(field: int, payload: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(payload)) + payload


def sample(at_ms: int, bits: bytes) -> bytes:
    return delimited(2, b"\x09" + bits + b"\x10" + varint(at_ms))


def time_series(labels: dict[str, str], samples: list[tuple[int, float]], extra: bytes = b"") -> bytes:
    pairs = [delimited(1, delimited(1, name.encode()) + delimited(2, value.encode())) for name, value in labels.items()]
    points = [sample(at_ms, struct.pack("<d", value)) for at_ms, value in samples]
    return delimited(1, b"".join(pairs) + b"".join(points) + extra)


def snap(message: bytes) -> bytes:
    return bytes(pa.compress(message, codec="snappy", asbytes=True))


def decode(message: bytes, counted: dict[str, int] | None = None):
    def count(kind: str, by: int) -> None:
        if counted is not None:
            counted[kind] = counted.get(kind, 0) + by

    return RemoteWriteDecoder().decode(snap(message), RULES, NOW_US, 1 << 20, count)


NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
LABELS = st.dictionaries(NAMES, VALUES, max_size=4)
POINTS = st.lists(
    st.tuples(
        st.integers(NOW_MS - 10**9, NOW_MS),
        st.floats(-1e290, 1e290).filter(lambda value: value == 0 or abs(value) >= 1e-290),
    ),
    max_size=4,
)


@given(st.lists(st.tuples(NAMES, LABELS, POINTS), max_size=6))
def test_every_sample_arrives_with_its_labels(parts: list[tuple[str, dict[str, str], list[tuple[int, float]]]]) -> None:
    series: list[Series] = [({"__name__": metric, **labels}, points) for metric, labels, points in parts]
    decoded = decode(b"".join(time_series(*one) for one in series))
    batch = decoded.batch
    got = [
        (batch.keys[k].metric, dict(batch.keys[k].labels), int(at), float(value))
        for k, at, value in zip(batch.key_index, batch.at_us, batch.value, strict=True)
    ]
    expected = [
        (labels["__name__"], {n: v for n, v in labels.items() if n != "__name__"}, at_ms * 1000, value)
        for labels, points in series
        for at_ms, value in points
    ]
    assert got == expected
    assert decoded.rejected == 0
    assert len(set(batch.keys)) == len(batch.keys)


@given(st.binary(max_size=200))
def test_garbage_is_invalid_and_nothing_worse(body: bytes) -> None:
    decoder = RemoteWriteDecoder()
    for wire in (body, snap(body)):
        try:
            decoder.decode(wire, RULES, NOW_US, 1 << 16, lambda kind, by: None)
        except Invalid:
            continue


@given(st.integers(0, 300))
def test_a_message_cut_short_never_invents_a_sample(cut: int) -> None:
    message = b"".join(time_series({"__name__": f"m{i}"}, [(NOW_MS, float(i))]) for i in range(5))
    whole = [float(i) for i in range(5)]
    try:
        got = decode(message[:cut]).batch.value.tolist()
    except Invalid:
        return
    assert got == whole[: len(got)]


def test_job_and_instance_name_the_source() -> None:
    key = decode(time_series({"__name__": "up", "job": "node", "instance": "a:9100"}, [(NOW_MS, 1.0)])).batch.keys[0]
    assert (key.source_agent_id, key.instance_id) == ("node", "a:9100")
    assert dict(key.labels) == {"job": "node", "instance": "a:9100"}


def test_what_is_no_sample_is_counted_and_left() -> None:
    stale = delimited(
        1,
        delimited(1, delimited(1, b"__name__") + delimited(2, b"gone"))
        + sample(NOW_MS, struct.pack("<Q", STALE_MARKER)),
    )
    exemplar_and_histogram = delimited(3, b"") + delimited(4, b"")
    no_value = time_series({"__name__": "quantile"}, [(NOW_MS, math.nan), (NOW_MS, math.inf)])
    message = (
        stale
        + no_value
        + time_series({"__name__": "here"}, [(NOW_MS, 2.0)], exemplar_and_histogram)
        + delimited(3, b"")
    )
    counted: dict[str, int] = {}
    decoded = decode(message, counted)
    assert decoded.batch.value.tolist() == [2.0]
    assert decoded.rejected == 0
    assert counted == {"stale_marker": 1, "not_finite": 2, "exemplar": 1, "native_histogram": 1, "metadata": 1}


@pytest.mark.parametrize("stray", [b"\x10\x09", b"\x08\x09", b"\x11" + b"\0" * 8, b"\x18\x01", b"\x25\0\0\0\0"])
def test_fields_of_our_numbers_and_other_types_are_none_of_ours(stray: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room is made for what is counted, so nothing else may be written; as Python, where bounds are checked."""
    monkeypatch.setattr(_wire, "_fill", _wire._fill.py_func)
    counted: dict[str, int] = {}
    decoded = decode(time_series({"__name__": "here"}, [(NOW_MS, 2.0)], stray * 3), counted)
    assert decoded.batch.value.tolist() == [2.0]
    assert ([key.metric for key in decoded.batch.keys], decoded.rejected, counted) == (["here"], 0, {})


def test_no_more_is_scanned_than_is_asked_for() -> None:
    body = b"".join(time_series({"__name__": f"m{number}"}, [(NOW_MS, 1.0)] * 2) for number in range(5))
    for series, samples, found in ((2, 100, (3, 6)), (100, 3, (2, 4)), (5, 10, (5, 10)), (0, 0, (0, 1))):
        scanned = _wire.scan(body, series, samples)
        assert (len(scanned.label_start), len(scanned.value), scanned.fault) == (*found, -1)


@given(st.lists(st.sampled_from([b"\x0a", b"\x12", b"\x0a\x02\x12\x00", b"\x00", b"\x80", b"\xff" * 9, b"\x7f",
       time_series({"__name__": "m"}, [(NOW_MS, 1.0), (-1, math.nan)], b"\x1a\x00\x22\x00"),
       sample(NOW_MS, b"\1" * 8), b"\x09" + b"\2" * 8, b"\x10"]) | st.binary(max_size=3), max_size=12).map(b"".join),
       st.integers(0, 3), st.integers(0, 3))  # fmt: skip
def test_compiled_or_not_it_finds_the_same(body: bytes, series: int, samples: int) -> None:
    """As Python, bounds are checked: nothing is read or written beyond them."""
    compiled = _wire.scan(body, series, samples)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_wire, "_fill", _wire._fill.py_func)
        plain = _wire.scan(body, series, samples)
    for one, other in zip(compiled, plain, strict=True):
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


@pytest.mark.parametrize(
    ("labels", "point", "reason"),
    [
        ({"job": "x"}, (NOW_MS, 1.0), "metric: missing"),
        ({"__name__": "9x"}, (NOW_MS, 1.0), "metric"),
        ({"__name__": "m"}, (1000, 1.0), "older"),
        ({"__name__": "m"}, (2**62, 1.0), "ahead"),
        ({"__name__": "m"}, (-(2**62), 1.0), "older"),
    ],
)
def test_a_bad_sample_is_named_and_the_others_count(
    labels: dict[str, str], point: tuple[int, float], reason: str
) -> None:
    good = time_series({"__name__": "good"}, [(NOW_MS, 7.0)])
    decoded = decode(good + time_series(labels, [point]))
    assert decoded.batch.value.tolist() == [7.0]
    assert decoded.rejected == 1
    assert decoded.errors[0].index == 1
    assert reason in decoded.errors[0].reason


def test_a_body_that_would_unpack_too_large_is_refused_before_it_is_unpacked() -> None:
    with pytest.raises(Invalid, match="at most"):
        RemoteWriteDecoder().decode(snap(b"\0" * 10_000), RULES, NOW_US, 1000, lambda kind, by: None)


def test_a_request_of_a_real_prometheus() -> None:
    """Recorded from Prometheus 2.42 in agent mode, scraping itself."""
    body = (Path(__file__).parents[2] / "data" / "prometheus-2.42-remote-write.snappy").read_bytes()
    counted: dict[str, int] = {}
    recorded_us = 1_795_463_932_000_000
    decoded = RemoteWriteDecoder().decode(
        body, RULES, recorded_us, 1 << 20, lambda kind, by: counted.update({kind: by})
    )
    assert (len(decoded.batch), decoded.rejected, counted) == (234, 0, {"not_finite": 6})
    assert {(key.source_agent_id, key.instance_id) for key in decoded.batch.keys} == {("prometheus", "127.0.0.1:19998")}
    up = next(place for place, key in enumerate(decoded.batch.keys) if key.metric == "up")
    assert decoded.batch.value[decoded.batch.key_index == up].tolist() == [1.0]


def test_an_impossible_series_without_samples_harms_nobody() -> None:
    good = time_series({"__name__": "up"}, [(NOW_MS, 1.0)])
    found = decode(time_series({"no_name": "x"}, []) + good)
    assert [key.metric for key in found.batch.keys] == ["up"]
    assert (len(found.batch), found.rejected) == (1, 0)
