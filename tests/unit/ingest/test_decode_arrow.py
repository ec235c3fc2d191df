"""Arrow equals JSON; hostile bodies are invalid and bounded."""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muninn.clock import SECOND_US
from muninn.errors import Invalid
from muninn.ingest.body import TooLarge
from muninn.ingest.decode import codes
from muninn.ingest.decode.arrow import decode_arrow_file, decode_arrow_stream, decode_table
from muninn.ingest.decode.json import decode_json
from muninn.ingest.validate import Decoded, Rules
from muninn.model import SeriesKey

NOW_US = 1_700_000_000 * SECOND_US
NOW_MS = NOW_US // 1000
RULES = Rules(max_errors=10_000)
LIMIT = 1 << 24
Row = tuple[SeriesKey, int, float]


def rows(decoded: Decoded) -> list[Row]:
    batch = decoded.batch
    columns = zip(batch.key_index.tolist(), batch.at_us.tolist(), batch.value.tolist(), strict=True)
    return [(batch.keys[key], at, value) for key, at, value in columns]


def stream(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=3)
    return sink.getvalue()


def file(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    unified = table.unify_dictionaries()  # a file holds one dictionary a column
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(unified, max_chunksize=3)
    return sink.getvalue()


def table_of(samples: list[dict[str, Any]], labels: str = "map") -> pa.Table:
    found = [one.get("labels") for one in samples]
    kinds: dict[str, Callable[[], pa.Array]] = {
        "map": lambda: pa.array(
            [None if one is None else list(one.items()) for one in found], pa.map_(pa.string(), pa.string())
        ),
        "json": lambda: pa.array([None if one is None else json.dumps(one) for one in found], pa.string()),
        "dictionary": lambda: kinds["json"]().dictionary_encode(),
        "struct": lambda: pa.array(found, pa.struct([(name, pa.string()) for name in ("host", "cpu", "zone")])),
        "view": lambda: kinds["json"]().cast(pa.string_view()),
    }
    return pa.table(
        {
            "metric": pa.array([one.get("metric") for one in samples], pa.string()),
            "timestamp": pa.array([one.get("timestamp") for one in samples], pa.int64()),
            "value": pa.array([one.get("value") for one in samples], pa.float64()),
            "labels": kinds[labels](),
            "source_agent_id": pa.array(
                [one.get("source_agent_id") for one in samples], pa.string()
            ).dictionary_encode(),
            "instance_id": pa.array([one.get("instance_id") for one in samples], pa.large_string()),
        }
    )


SAMPLES = st.lists(
    st.fixed_dictionaries(
        {
            "metric": st.sampled_from(["cpu", "mem", "no good", None]),
            "timestamp": st.sampled_from([NOW_MS, NOW_MS - 1, 5, None]),
            "value": st.sampled_from([0.0, -1.5, 1e289, 1e300, None]),
        },
        optional={
            "labels": st.none()
            | st.dictionaries(st.sampled_from(["host", "cpu", "zone"]), st.sampled_from(["a", "b", "", "é", "\0"])),
            "source_agent_id": st.sampled_from(["x", "y", None]),
            "instance_id": st.sampled_from(["", "i"]),
        },
    ),
    max_size=25,
)


@given(samples=SAMPLES, labels=st.sampled_from(["map", "json", "dictionary", "struct", "view"]))
def test_arrow_equals_json(samples: list[dict[str, Any]], labels: str) -> None:
    expected = decode_json(orjson.dumps(samples), RULES, NOW_US)
    table = table_of(samples, labels)
    for decoded in (
        decode_arrow_stream(stream(table), RULES, NOW_US, LIMIT),
        decode_arrow_file(file(table), RULES, NOW_US, LIMIT),
        decode_arrow_stream(stream(table, compression="zstd"), RULES, NOW_US, LIMIT),
        decode_arrow_file(file(table, compression="lz4"), RULES, NOW_US, LIMIT),
        decode_table(table.slice(0), RULES, NOW_US),
    ):
        assert rows(decoded) == rows(expected)
        assert decoded.rejected == expected.rejected
        assert [bad.index for bad in decoded.errors] == [bad.index for bad in expected.errors]
        assert len(set(decoded.batch.keys)) == len(decoded.batch.keys)


def small(**columns: pa.Array) -> pa.Table:
    base = {"metric": pa.array(["cpu", "cpu"]), "timestamp": pa.array([NOW_MS, NOW_MS]), "value": pa.array([1.0, 2.0])}
    return pa.table({**base, **columns})


def test_a_sliced_table_decodes_its_own_rows() -> None:
    samples = [{"metric": "cpu", "timestamp": NOW_MS, "value": float(i), "labels": {"host": str(i)}} for i in range(9)]
    for labels in ("map", "json", "struct"):
        decoded = decode_table(table_of(samples, labels).slice(4, 3), RULES, NOW_US, first_index=4)
        assert rows(decoded) == rows(decode_json(orjson.dumps(samples[4:7]), RULES, NOW_US))


@pytest.mark.parametrize(
    "timestamps",
    [
        pa.array([NOW_US * 1000 + 999, NOW_US * 1000], pa.timestamp("ns", "UTC")),
        pa.array([NOW_US, NOW_US], pa.timestamp("us")),
        pa.array([NOW_MS, NOW_MS], pa.timestamp("ms", "Europe/Berlin")),
        pa.array([NOW_US // SECOND_US] * 2, pa.timestamp("s")),
        pa.array([float(NOW_MS)] * 2),
        pa.array([NOW_MS] * 2, pa.uint64()),
        pa.array(["2023-11-14T22:13:20Z", "2023-11-14T23:13:20.000000999+01:00"]),
        pa.array(["2023-11-14T22:13:20Z"] * 2).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
def test_every_kind_of_timestamp_means_the_same(timestamps: pa.Array) -> None:
    decoded = decode_table(small(timestamp=timestamps), RULES, NOW_US)
    assert decoded.batch.at_us.tolist() == [NOW_US, NOW_US]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([3, 4], pa.int8()),
        pa.array([3, 4], pa.uint64()),
        pa.array([3, 4], pa.float32()),
        pa.array(np.array([3, 4], np.float16)),
        pa.array([Decimal("3.0"), Decimal("4.0")]),
    ],
    ids=lambda column: str(column.type),
)
def test_every_kind_of_number_is_a_value(values: pa.Array) -> None:
    assert decode_table(small(value=values), RULES, NOW_US).batch.value.tolist() == [3.0, 4.0]


def test_bad_rows_are_named_and_the_rest_counts() -> None:
    table = pa.table(
        {
            "metric": ["cpu", "cpu", None, "9", "cpu"],
            "timestamp": [NOW_MS, None, NOW_MS, NOW_MS, NOW_MS],
            "value": [1.0, 2.0, 3.0, 4.0, float("nan")],
            "labels": ["{}", None, "", '{"a": 1}', '{"a": "b"}'],
        }
    )
    decoded = decode_table(table, RULES, NOW_US)
    assert rows(decoded) == [(SeriesKey.of("cpu"), NOW_US, 1.0)]
    assert {bad.index: bad.reason for bad in decoded.errors} == {
        1: "timestamp: missing",
        2: "metric: missing",
        3: "metric: '9' is not a name ([a-zA-Z_:][a-zA-Z0-9_:.-/]*)",
        4: "value: must be finite",
    }


def test_labels_that_are_no_json_object_are_refused() -> None:
    texts = ["nope", "[1]", '{"a":' * 300 + "1" + "}" * 300, '{"a": "b"}']
    table = pa.table({"metric": ["cpu"] * 4, "timestamp": [NOW_MS] * 4, "value": [1.0] * 4, "labels": texts})
    decoded = decode_table(table, RULES, NOW_US)
    assert [bad.index for bad in decoded.errors] == [0, 1, 2]
    assert all("labels: " in bad.reason and "not a JSON object" in bad.reason for bad in decoded.errors)
    assert decoded.batch.keys == (SeriesKey.of("cpu", {"a": "b"}),)


def test_label_columns_add_to_the_labels() -> None:
    table = small(
        labels=pa.array(['{"host": "x"}', None]),
        **{"label.cpu": pa.array(["0", "1"]), "label.host": pa.array([None, "y"])},
    )
    assert [dict(key.labels) for key in decode_table(table, RULES, NOW_US).batch.keys] == [
        {"cpu": "0", "host": "x"},
        {"cpu": "1", "host": "y"},
    ]


def test_numbers_as_agent_ids_and_null_columns_as_nothing() -> None:
    nothing = pa.nulls(2)
    table = small(source_agent_id=pa.array([7, 8]), instance_id=nothing, labels=nothing)
    assert [key.source_agent_id for key in decode_table(table, RULES, NOW_US).batch.keys] == ["7", "8"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"metric": ["a"], "value": [1.0]}), "no column `timestamp`; the columns are metric, value"),
        (pa.Table.from_arrays([pa.array(["a"])] * 2, ["metric", "metric"]), "2 columns `metric`"),
        (small(metric=pa.array([1.5, 2.5])), "column `metric` must hold text, not double"),
        (small(value=pa.array(["1", "2"])), "column `value` must hold numbers, not string"),
        (small(value=pa.array([True, False])), "column `value` must hold numbers, not bool"),
        (small(timestamp=pa.array([datetime.now(UTC).date()] * 2)), "must hold timestamps"),
        (small(labels=pa.array([1, 2]).cast(pa.float64())), "column `labels` must hold text"),
    ],
)
def test_missing_or_wrong_columns_are_invalid(table: pa.Table, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        decode_table(table, RULES, NOW_US)


def test_polars_writes_what_we_read() -> None:
    frame = pl.DataFrame(
        {
            "metric": ["cpu", "mem"],
            "timestamp": [datetime.fromtimestamp(NOW_MS / 1000, UTC)] * 2,
            "value": [1.5, 2],
            "labels": [{"host": "a", "cpu": None}, {"host": "b", "cpu": "0"}],
        }
    )
    for compression in ("uncompressed", "lz4", "zstd"):
        whole, parts = io.BytesIO(), io.BytesIO()
        frame.write_ipc(whole, compression=compression)
        frame.write_ipc_stream(parts, compression=compression)
        for decoded in (
            decode_arrow_file(whole.getvalue(), RULES, NOW_US, LIMIT),
            decode_arrow_stream(parts.getvalue(), RULES, NOW_US, LIMIT),
        ):
            assert rows(decoded) == [
                (SeriesKey.of("cpu", {"host": "a"}), NOW_US, 1.5),
                (SeriesKey.of("mem", {"host": "b", "cpu": "0"}), NOW_US, 2.0),
            ]


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_a_compressed_body_is_bounded_by_what_it_unpacks_to(compression: str) -> None:
    n = 2_000_000
    table = pa.table(
        {"metric": pa.array(["cpu"] * n).dictionary_encode(), "timestamp": np.full(n, NOW_MS), "value": np.zeros(n)}
    )
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    body = sink.getvalue()
    assert len(body) < 1 << 20
    before = pa.default_memory_pool().max_memory()
    with pytest.raises(TooLarge, match="unpacks to more than 16777216 bytes"):
        decode_arrow_stream(body, RULES, NOW_US, LIMIT)
    assert pa.default_memory_pool().max_memory() - before < LIMIT
    assert decode_arrow_stream(body, RULES, NOW_US, 1 << 27).batch.value.sum() == 0


def test_more_rows_than_can_be_meant_are_refused_before_anything_is_made() -> None:
    table = pa.table({"metric": pa.nulls(50_000_000), "timestamp": pa.nulls(50_000_000), "value": pa.nulls(50_000_000)})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    assert len(sink.getvalue()) < 10_000
    with pytest.raises(TooLarge):
        decode_arrow_stream(sink.getvalue(), RULES, NOW_US, LIMIT)


GOOD = table_of(
    [{"metric": "cpu", "timestamp": NOW_MS, "value": 1.5, "labels": {"host": str(i % 3)}} for i in range(7)], "map"
)
BODIES = [
    (decode, write(GOOD, **options))
    for decode, write in ((decode_arrow_stream, stream), (decode_arrow_file, file))
    for options in ({}, {"compression": "zstd"})
]


@given(body=st.binary(max_size=300))
def test_garbage_is_invalid(body: bytes) -> None:
    for decode in (decode_arrow_stream, decode_arrow_file):
        for candidate in (body, b"ARROW1\0\0" + body + b"ARROW1"):
            with pytest.raises(Invalid):
                decode(candidate, RULES, NOW_US, LIMIT)


@given(
    which=st.integers(0, 3),
    patches=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4),
)
@settings(max_examples=4 * settings.default.max_examples)
def test_a_damaged_body_is_invalid_or_refused_and_nothing_else(which: int, patches: list[tuple[int, int]]) -> None:
    decode, good = BODIES[which]
    body = bytearray(good)
    for place, byte in patches:
        body[place % len(body)] = byte
    try:
        decoded = decode(bytes(body), RULES, NOW_US, LIMIT)
    except Invalid:
        return
    assert len(decoded.batch) == len(rows(decoded))


@given(which=st.integers(0, 3), keep=st.integers(0, 10_000))
def test_a_body_cut_short_is_invalid_or_holds_only_whole_batches(which: int, keep: int) -> None:
    decode, good = BODIES[which]
    try:
        decoded = decode(good[: keep % len(good)], RULES, NOW_US, LIMIT)
    except Invalid:
        return
    assert len(decoded.batch) in (0, 3, 6, 7)


RUNS = st.lists(st.lists(st.integers(0, 3), max_size=4), max_size=12)


@given(runs=RUNS, collide=st.booleans())
def test_distinct_runs_are_told_apart_even_when_hashes_collide(runs: list[list[int]], collide: bool) -> None:
    entries = np.array([entry for run in runs for entry in run], np.int64)
    length = np.array([len(run) for run in runs], np.int64)
    start = np.cumsum(length) - length
    with pytest.MonkeyPatch.context() as patch:
        if collide:
            patch.setattr(codes, "_mixed", lambda entries, place: np.zeros(len(entries), np.uint64))
        found, size = codes._distinct_runs(entries, start, length)
    same = {(a, b): runs[a] == runs[b] for a in range(len(runs)) for b in range(len(runs))}
    assert {(a, b): bool(found[a] == found[b]) for a, b in same} == same
    assert size == len({tuple(run) for run in runs})


@given(
    columns=st.lists(st.lists(st.integers(0, 4), min_size=6, max_size=6), min_size=1, max_size=4), wide=st.booleans()
)
def test_combined_codes_tell_combinations_apart(columns: list[list[int]], wide: bool) -> None:
    size = 1 << 40 if wide else 5
    coded = [codes.Coded(np.array(column, np.int64), size, lambda row: row) for column in columns]
    combined = codes.combine(coded, 6)
    combinations = list(zip(*columns, strict=True))
    first = codes.first_rows(combined.codes, combined.size)
    assert [combinations[first[code]] for code in combined.codes] == combinations
    assert combined.size == len(set(combinations))
    assert first.tolist() == sorted(combinations.index(one) for one in set(combinations))
