"""numpy arrays in PostgreSQL's binary format, both ways."""

from datetime import UTC, datetime

import numpy as np
import psycopg
import pytest

from muninn.store import arrays


@pytest.mark.parametrize(
    ("values", "dtype"), [([1, -2, 2**31 - 1], np.int32), ([2**62, -1], np.int64), ([0.1, -1e300, 5e-324], np.float64)]
)
def test_what_is_sent_is_received(values: list[float], dtype: type) -> None:
    array = np.array(values, dtype)
    assert arrays.received(arrays.sent(array), dtype).tolist() == values
    assert arrays.received(arrays.sent(array[:0]), dtype).tolist() == []
    assert arrays.received(arrays.sent(array[::-1]), dtype).tolist() == values[::-1]


def test_null_is_no_elements() -> None:
    assert arrays.received(None, np.int64).tolist() == []


def test_the_layout_is_that_of_the_server() -> None:
    assert arrays.sent(np.array([7, -1], np.int32)) == bytes.fromhex(
        "00000001 00000000 00000017 00000002 00000001 00000004 00000007 00000004 ffffffff"
    )


def test_the_server_reads_and_writes_them(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        row = connection.execute(
            """select %(a)s::int4[], %(b)s::int8[], %(c)s::float8[], %(d)s::uuid[]::text[], %(e)s::int8[],
                      array_send(%(b)s::int8[])""",
            {
                "a": np.array([1, -2], np.int32),
                "b": np.array([2**62, -5], np.int64),
                "c": np.array([0.1, -1e300], np.float64),
                "d": np.frombuffer(bytes(range(32)), "V16"),
                "e": np.array([], np.int64),
            },
        ).fetchone()
    assert row is not None
    assert row[:5] == (
        [1, -2],
        [2**62, -5],
        [0.1, -1e300],
        ["00010203-0405-0607-0809-0a0b0c0d0e0f", "10111213-1415-1617-1819-1a1b1c1d1e1f"],
        [],
    )
    assert arrays.received(row[5], np.int64).tolist() == [2**62, -5]


def test_the_server_reads_literals_as_they_were_meant(postgres_url: str) -> None:
    texts = ["plain", "", "NULL", 'a "quoted" one', "back\\slash", "{brace,comma}", "  space ", "snow\u2603man", "'"]
    at = [datetime(2026, 11, 5, 10, 17, 31, 5, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)]
    with psycopg.connect(postgres_url) as connection:
        connection.execute("set timezone = 'UTC'")
        row = connection.execute(
            "select %(texts)s::text[], %(at)s::timestamptz[], %(none)s::text[]",
            {"texts": arrays.text_literal(texts), "at": arrays.instants_literal(at), "none": arrays.text_literal([])},
        ).fetchone()
    assert row == (texts, at, [])
