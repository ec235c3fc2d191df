"""JSON and NDJSON by column against a plain decoder, sample by sample."""

import json
import math
import re
import tracemalloc
from datetime import datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.clock import DAY_US, SECOND_US
from muninn.errors import Invalid
from muninn.ingest.decode.json import decode_json, decode_ndjson
from muninn.ingest.decode.keys import KeyTable
from muninn.ingest.validate import Decoded, Rules
from muninn.model import SeriesKey
from muninn.model.window import as_us

NOW_US = 1_700_000_000 * SECOND_US
RULES = Rules(future_s=600, raw_days=90, max_errors=10_000)
Row = tuple[SeriesKey, int, float]


def reference(sample: Any) -> Row | None:
    """One sample the slow way; None if it is bad."""
    if not isinstance(sample, dict):
        return None
    metric, value = sample.get("metric"), sample.get("value")
    if not isinstance(metric, str) or not re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:.\-/]*", metric) or len(metric) > 200:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(float(value)):
        return None
    if value != 0 and not 1e-290 <= abs(value) <= 1e290:
        return None
    labels = _labels(sample.get("labels"))
    at_us = _instant(sample.get("timestamp"))
    agent, instance = (_text(sample.get(name, "")) for name in ("source_agent_id", "instance_id"))
    if labels is None or at_us is None or agent is None or instance is None:
        return None
    if not NOW_US - 90 * DAY_US <= at_us <= NOW_US + 600 * SECOND_US:
        return None
    return SeriesKey.of(metric, labels, agent, instance), at_us, float(value)


def _text(value: Any) -> str | None:
    if value is None:
        return ""
    if isinstance(value, str):
        return value if "\0" not in value else None
    return orjson.dumps(value).decode() if isinstance(value, bool | int | float) else None


def _labels(labels: Any) -> dict[str, str] | None:
    if labels is None:
        return {}
    if not isinstance(labels, dict):
        return None
    found = {}
    for name, value in labels.items():
        text = _text(value)
        if not name or "\0" in name or value is None or text is None:
            return None
        if text:
            found[name] = text
    return found


def _instant(raw: Any) -> int | None:
    if isinstance(raw, str):
        if not re.fullmatch(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", raw, re.ASCII):
            return None
        try:
            return as_us(datetime.fromisoformat(raw))
        except ValueError:
            return None
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return None
    return round(raw * 1000)


def rows(decoded: Decoded) -> list[Row]:
    batch = decoded.batch
    columns = zip(batch.key_index.tolist(), batch.at_us.tolist(), batch.value.tolist(), strict=True)
    return [(batch.keys[key], at, value) for key, at, value in columns]


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), st.text())
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
IN_TIME_MS = st.integers(NOW_US // 1000 - 90 * 86_400_000 - 2000, NOW_US // 1000 + 602_000)
TIMES = st.one_of(
    IN_TIME_MS,
    IN_TIME_MS.map(lambda ms: ms + 0.125),
    IN_TIME_MS.map(lambda ms: datetime.fromtimestamp(ms / 1000).astimezone().isoformat()),
    st.sampled_from(["2024-13-01", "2023-11-14T22:13:20Z", "2023-11-14T22:13:20.1234567+01:00"]),
)
NAMES = st.sampled_from(["cpu", "memory.used", "a:b/c-d", "9x", "a b", ""])
LABELS = st.dictionaries(
    st.sampled_from(["host", "cpu", ""]), st.sampled_from(["a", "", "é", "x\0"]) | SCALARS, max_size=3
)


def sample(part: st.SearchStrategy[Any] | None = None) -> st.SearchStrategy[dict[str, Any]]:
    loose = st.nothing() if part is None else part
    return st.fixed_dictionaries(
        {
            "metric": NAMES | loose,
            "timestamp": TIMES | loose,
            "value": st.floats(allow_nan=False) | st.integers() | loose,
        },
        optional={
            "labels": LABELS | loose,
            "source_agent_id": st.sampled_from(["agent", 7, None]) | loose,
            "instance_id": st.sampled_from(["i-1", "", "x\0"]) | loose,
            "unknown": ANYTHING,
        },
    )


GOOD = st.lists(sample(), max_size=12)
MIXED = st.lists(sample(ANYTHING) | sample() | ANYTHING, max_size=12)


def _sendable(samples: list[Any]) -> list[Any]:
    """What survives a trip through JSON (infinities become null)."""
    kept: list[Any] = json.loads(json.dumps(samples).replace("-Infinity", "null").replace("Infinity", "null"))
    return [one for one in kept if _fits(one)]


def _fits(value: Any) -> bool:
    """Python's json keeps integers of any size, orjson reads those beyond 64 bits as doubles."""
    if isinstance(value, dict):
        return all(map(_fits, value.values()))
    if isinstance(value, list):
        return all(map(_fits, value))
    return not isinstance(value, int) or -(2**63) <= value < 2**64


@given(samples=GOOD | MIXED)
def test_json_equals_the_reference(samples: list[Any]) -> None:
    samples = _sendable(samples)
    expected = [reference(one) for one in samples]
    decoded = decode_json(json.dumps(samples).encode(), RULES, NOW_US)
    assert rows(decoded) == [row for row in expected if row is not None]
    assert [bad.index for bad in decoded.errors] == [i for i, row in enumerate(expected) if row is None]
    assert decoded.rejected == len(decoded.errors)
    assert len(set(decoded.batch.keys)) == len(decoded.batch.keys)
    assert set(decoded.batch.key_index.tolist()) == set(range(len(decoded.batch.keys)))


@given(samples=GOOD | MIXED, blanks=st.lists(st.sampled_from([b"", b" ", b"\r"]), max_size=3))
def test_ndjson_equals_json(samples: list[Any], blanks: list[bytes]) -> None:
    samples = _sendable(samples)
    lines = [json.dumps(one).encode() for one in samples]
    decoded = decode_ndjson(b"\n".join([*blanks, *lines, *blanks]), RULES, NOW_US)
    whole = decode_json(json.dumps(samples).encode(), RULES, NOW_US)
    assert rows(decoded) == rows(whole)
    assert decoded.errors == whole.errors


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_garbage_is_invalid_or_refused_and_nothing_else(body: bytes) -> None:
    for decode in (decode_json, decode_ndjson):
        try:
            decoded = decode(body, RULES, NOW_US)
        except Invalid:
            continue
        assert len(decoded.batch) == 0


BASE = orjson.dumps([{"metric": "cpu", "timestamp": NOW_US // 1000, "value": 1.5, "labels": {"a": "b"}}] * 3)


@given(st.integers(0, len(BASE) - 1), st.binary(min_size=1, max_size=3))
def test_a_damaged_body_is_invalid_or_refused_and_nothing_else(place: int, patch: bytes) -> None:
    body = BASE[:place] + patch + BASE[place + len(patch) :]
    try:
        decoded = decode_json(body, RULES, NOW_US)
    except Invalid:
        return
    assert len(decoded.batch) + decoded.rejected >= 1


def one(**parts: Any) -> bytes:
    return orjson.dumps({"metric": "cpu", "timestamp": NOW_US // 1000, "value": 1, **parts})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (one(timestamp="2024-13-01"), "timestamp: 2024-13-01 is not RFC 3339"),
        (one(timestamp=None), "timestamp: missing"),
        (one(timestamp=True), "timestamp: must be epoch milliseconds or RFC 3339, not a boolean"),
        (one(timestamp=[1]), "timestamp: must be epoch milliseconds or RFC 3339, not an array"),
        (one(timestamp=NOW_US), f"timestamp: {NOW_US} is not in epoch milliseconds (microseconds or nanoseconds?)"),
        (one(value=None), "value: missing"),
        (one(value="one"), "value: 'one' is not a number"),
        (one(value=True), "value: must be a number, not a boolean"),
        (one(metric="no good"), "metric: 'no good' is not a name ([a-zA-Z_:][a-zA-Z0-9_:.-/]*)"),
        (one(labels={"a": ["b"]}), "labels.a: must be a string, not an array"),
        (b"[17]", "must be an object, not a number"),
        (b"[null]", "must be an object, not null"),
    ],
)
def test_reasons_name_the_part_and_the_fault(body: bytes, reason: str) -> None:
    decoded = decode_json(body, RULES, NOW_US)
    assert [bad.reason for bad in decoded.errors] == [reason]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b'[{"metric":\n nope}]', "line 2, column 2"),
        (b'[{"value": NaN}]', "not JSON"),
        (b'[{"metric": "\xff"}]', "not JSON"),
        (b"17", "not as a number"),
        (b'{"metrics": {}}', "not as an object"),
        (b"[" * 5000, "not JSON"),
    ],
)
def test_a_body_that_is_no_list_of_samples_is_invalid_and_says_where(body: bytes, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        decode_json(body, RULES, NOW_US)


def test_the_three_shapes_of_a_json_body_are_one() -> None:
    found = [
        rows(decode_json(body, RULES, NOW_US)) for body in (one(), b"[" + one() + b"]", b'{"metrics":[' + one() + b"]}")
    ]
    assert found[0] == found[1] == found[2] == [(SeriesKey.of("cpu"), NOW_US, 1.0)]


def test_a_bad_line_is_told_with_its_column_and_the_others_count() -> None:
    decoded = decode_ndjson(one() + b'\n{"metric": oops}\n' + one(value=2), RULES, NOW_US, first_index=10)
    assert [row[2] for row in rows(decoded)] == [1.0, 2.0]
    (bad,) = decoded.errors
    assert bad.index == 11
    assert "column 12" in bad.reason


def test_labels_nested_deeper_than_can_be_written_are_refused() -> None:
    deep = b'{"metric":"cpu","timestamp":1,"value":1,"labels":' + b'{"a":' * 400 + b"1" + b"}" * 400 + b"}"
    decoded = decode_json(b"[" + deep + b"," + one() + b"]", RULES, NOW_US)
    assert [row[2] for row in rows(decoded)] == [1.0]
    assert "labels" in decoded.errors[0].reason


def test_label_order_makes_no_new_series() -> None:
    body = orjson.dumps(
        [{"metric": "a", "timestamp": NOW_US // 1000, "value": 1, "labels": labels} for labels in _ORDERS]
    )
    decoded = decode_json(body, RULES, NOW_US)
    assert len(decoded.batch.keys) == 1
    assert decoded.batch.key_index.tolist() == [0, 0]


_ORDERS = ({"x": "1", "y": "2"}, {"y": "2", "x": "1"})


def test_a_key_table_stays_within_its_bytes_and_right() -> None:
    table = KeyTable(max_bytes=500)
    for number in range(100):
        decoded = decode_json(one(labels={"n": str(number)}), RULES, NOW_US, table)
        assert decoded.batch.keys == (SeriesKey.of("cpu", {"n": str(number)}),)
        assert table.held_bytes <= 500
    assert decode_json(one(metric="b d"), RULES, NOW_US, table).rejected == 1
    assert decode_json(one(metric="b d"), RULES, NOW_US, table).rejected == 1


AWKWARD = st.sampled_from(["},{", "}, {", '"', "\\", "]", "[", "}", '\\"},{'])
CUTTABLE = st.lists(
    st.fixed_dictionaries(
        {"metric": NAMES, "timestamp": TIMES, "value": st.integers(0, 9)},
        optional={
            "labels": st.dictionaries(st.sampled_from("ab"), AWKWARD),
            "unknown": ANYTHING | st.just([{}, {}, {"a": [{}, {}]}]),
        },
    ),
    max_size=8,
)


@given(samples=CUTTABLE, wrapped=st.booleans(), indent=st.sampled_from([None, 1]), size=st.integers(0, 60))
def test_a_body_in_pieces_is_the_body_whole(samples: list[Any], wrapped: bool, indent: int | None, size: int) -> None:
    samples = _sendable(samples)
    body = json.dumps({"metrics": samples} if wrapped else samples, indent=indent).encode()
    lines = b"\n".join(json.dumps(one).encode() for one in samples)
    whole, whole_lines = decode_json(body, RULES, NOW_US), decode_ndjson(lines, RULES, NOW_US)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("muninn.ingest.decode.pieces.PIECE_BYTES", size)
        patch.setattr("muninn.ingest.decode.json.PIECE_BYTES", size)
        cut, cut_lines = decode_json(body, RULES, NOW_US), decode_ndjson(lines, RULES, NOW_US)
    assert rows(cut) == rows(whole)
    assert cut.errors == whole.errors
    assert rows(cut_lines) == rows(whole_lines)
    assert cut_lines.errors == whole_lines.errors


@pytest.mark.parametrize(
    "body", [b'[{"a":1},{"a":2}', b'[{"a":1},{"a":2}]]', b'[{"a":1},{"a":2}],[]', b'{"metrics":[{},{}],"metrics":[]}']
)
def test_cutting_makes_nothing_valid_that_is_not(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muninn.ingest.decode.pieces.PIECE_BYTES", 1)
    monkeypatch.setattr("muninn.ingest.decode.json.PIECE_BYTES", 1)
    try:
        expected = [reference(one) for one in orjson.loads(body)["metrics"]]
    except orjson.JSONDecodeError:
        with pytest.raises(Invalid, match="not JSON"):
            decode_json(body, RULES, NOW_US)
    else:
        assert decode_json(body, RULES, NOW_US).rejected == len(expected)


def test_only_a_piece_at_a_time_is_objects() -> None:
    body = b"[" + b",".join([one(labels={"host": "some-name"}, instance_id="instance")] * 60_000) + b"]"
    tracemalloc.start()
    try:
        assert len(decode_json(body, RULES, NOW_US).batch) == 60_000
        # The whole would take some 200 MB, a piece takes 40.
        assert tracemalloc.get_traced_memory()[1] < 80e6
    finally:
        tracemalloc.stop()
