"""The Arrow column `distribution` says what the JSON member says, and bad ones are told by row."""

from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_distributions import batch_of

from muninn.clock import SECOND_US
from muninn.errors import Invalid
from muninn.ingest.decode.arrow import decode_arrow_stream, decode_table
from muninn.ingest.decode.json import decode_json
from muninn.ingest.validate import Decoded, Rules
from muninn.model import SeriesKey
from muninn.sources.wire import to_arrow

NOW_US = 1_700_000_000 * SECOND_US
NOW_MS = NOW_US // 1000
KIND = pa.struct(
    [
        ("values", pa.list_(pa.float64())),
        ("counts", pa.list_(pa.int64())),
        ("sum", pa.float64()),
        ("min", pa.float64()),
        ("max", pa.float64()),
    ]
)
NUMBERS = st.floats(-1e12, 1e12).filter(lambda value: value == 0 or abs(value) > 1e-12)
MEMBERS = st.lists(st.tuples(NUMBERS, st.integers(1, 5)), min_size=1, max_size=6).map(
    lambda pairs: {"values": [value for value, _ in pairs], "counts": [times for _, times in pairs]}
)
WIDE = MEMBERS.map(lambda one: {**one, "min": min(one["values"]) - 1, "max": max(one["values"]) + 1, "sum": 0.5})


def table_of(members: list[Any], kind: pa.DataType = KIND, value: list[float | None] | None = None) -> pa.Table:
    columns: dict[str, Any] = {
        "metric": [f"m{place}" for place in range(len(members))],
        "timestamp": [NOW_MS] * len(members),
        "distribution": pa.array(members, kind),
    }
    return pa.table(columns if value is None else {**columns, "value": pa.array(value, pa.float64())})


def json_of(members: list[Any]) -> bytes:
    return orjson.dumps(
        [
            {"metric": f"m{place}", "timestamp": NOW_MS, **({"value": 7.0} if one is None else {"distribution": one})}
            for place, one in enumerate(members)
        ]
    )


def assert_same(one: Decoded, other: Decoded) -> None:
    assert [bad.index for bad in one.errors] == [bad.index for bad in other.errors]
    assert one.batch.value.tolist() == pytest.approx(other.batch.value.tolist(), rel=1e-12, abs=1e-12)
    left, right = one.batch.distributions, other.batch.distributions
    if left is None or right is None:
        assert left is right
        return
    for name in ("rows", "count", "low", "high", "lengths", "bins"):
        assert getattr(left, name).tolist() == getattr(right, name).tolist(), name


@given(st.lists(st.none() | MEMBERS | WIDE, min_size=1, max_size=8), st.integers(1, 3))
def test_arrow_says_what_json_says(members: list[Any], chunk: int) -> None:
    table = table_of(members, value=[7.0 if one is None else None for one in members])
    chunked = pa.Table.from_batches(table.to_batches(max_chunksize=chunk))
    assert_same(decode_table(chunked, Rules(), NOW_US), decode_json(json_of(members), Rules(), NOW_US))


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        ({"values": None}, "values must be a list of 1 to"),
        ({"values": []}, "values must be a list of 1 to"),
        ({"values": [0.5] * 10_001}, "values must be a list of 1 to 10000"),
        ({"values": [1.0, None]}, "values must be 0 or between"),
        ({"values": [float("nan")]}, "values must be 0 or between"),
        ({"values": [1e300]}, "between 1e-290 and 1e+290"),
        ({"values": [1.0], "counts": [0]}, "counts must be from 1"),
        ({"values": [1.0], "counts": [None]}, "counts must be from 1"),
        ({"values": [1.0], "counts": [1 << 32]}, "counts must be from 1"),
        ({"values": [1.0], "counts": [1, 2]}, "as many as there are values"),
        ({"values": [1.0], "min": float("inf")}, "min must be a finite number"),
        ({"values": [1.0], "min": 2.0}, "min is above max"),
    ],
)
def test_a_bad_one_is_named_and_the_others_count(member: Any, reason: str) -> None:
    good = {"values": [1.0, 2.0]}
    found = decode_table(table_of([good, member, good]), Rules(), NOW_US)
    assert [(bad.index, bad.reason.startswith("distribution: ")) for bad in found.errors] == [(1, True)]
    assert reason in found.errors[0].reason
    assert found.batch.value.tolist() == [1.5, 1.5]
    assert found.batch.distributions is not None
    assert found.batch.distributions.count.tolist() == [2, 2]


def test_a_sample_needs_a_value_or_a_distribution() -> None:
    found = decode_table(table_of([{"values": [1.0]}, None]), Rules(), NOW_US)
    assert [(bad.index, bad.reason) for bad in found.errors] == [(1, "value: missing, and no distribution")]
    plain = decode_table(table_of([None, None], value=[1.0, 2.0]), Rules(), NOW_US)
    assert (plain.batch.distributions, plain.batch.value.tolist()) == (None, [1.0, 2.0])


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.struct([("counts", pa.list_(pa.int64()))]),
        pa.struct([("values", pa.list_(pa.string()))]),
        pa.struct([("values", pa.list_(pa.float64())), ("counts", pa.list_(pa.float64()))]),
        pa.struct([("values", pa.list_(pa.float64())), ("sum", pa.string())]),
    ],
)
def test_a_column_of_another_type_is_named(kind: pa.DataType) -> None:
    member = {field.name: None for field in kind} if pa.types.is_struct(kind) else "x"
    with pytest.raises(Invalid, match="distribution"):
        decode_table(table_of([member], kind), Rules(), NOW_US)


def test_what_the_client_sends_comes_back_bin_by_bin() -> None:
    values = np.array([0.0, -3.25, 1e-9, 7.0, 7.0, 1e12])
    sent = batch_of([(SeriesKey.of("m"), NOW_US, values.tolist()), (SeriesKey.of("plain"), NOW_US, 1.5)])
    found = decode_arrow_stream(to_arrow(sent), Rules(), NOW_US, 1 << 26).batch
    assert found.value.tolist() == pytest.approx(sent.value.tolist())
    one, other = found.distributions, sent.distributions
    assert one is not None
    assert other is not None
    for name in ("rows", "count", "low", "high", "lengths", "bins"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist(), name


def test_a_member_of_a_type_that_cannot_be_read_is_invalid() -> None:
    """Where all are null Arrow builds a struct of its type, which it cannot of every one."""
    odd = pa.sparse_union([pa.field("a", pa.int64())])
    kind = pa.struct([("values", pa.list_(pa.float64())), ("more", odd)])
    table = table_of([{"values": [1.0]}])
    empty = pa.chunked_array([], kind)
    table = table.slice(0, 0).set_column(2, "distribution", empty)
    with pytest.raises(Invalid, match="cannot be read"):
        decode_table(table, Rules(), NOW_US)


@pytest.mark.parametrize("name", [b"counts", b"distribution", b"metric"])
def test_names_that_are_no_text_are_invalid(name: bytes) -> None:
    """Of a member (where all are null Arrow makes a struct by its name), and of a column."""
    kind = pa.struct([("values", pa.list_(pa.float64())), ("counts", pa.list_(pa.int64()))])
    table, sink = table_of([None], kind), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    body = sink.getvalue().to_pybytes()
    assert name in body
    with pytest.raises(Invalid, match=r"no UTF-8|not an Arrow IPC stream"):
        decode_arrow_stream(body.replace(name, b"\xff" + name[1:]), Rules(), NOW_US, 1 << 20)


def test_counts_that_nobody_gives_may_be_of_no_type() -> None:
    """As writers make a column of nothing but nulls."""
    kind = pa.struct([("values", pa.list_(pa.float64())), ("counts", pa.null()), ("sum", pa.null())])
    found = decode_table(table_of([{"values": [1.0, 3.0], "counts": None, "sum": None}], kind), Rules(), NOW_US)
    assert (found.errors, found.batch.value.tolist()) == ([], [2.0])
