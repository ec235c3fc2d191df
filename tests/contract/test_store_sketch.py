"""The sketch in SQL is the sketch in numpy: entry by entry, and the same quantiles."""

from typing import Any

import numpy as np
import pytest
import stores
from hypothesis import given, settings
from hypothesis import strategies as st

from muninn.numerics import sketch
from muninn.reads.quantiles import SketchSet

doubles = st.floats(allow_nan=False, allow_infinity=False)
samples = st.lists(st.one_of(doubles, st.integers(-20, 20).map(float)), min_size=1, max_size=60)


@pytest.fixture
def connection(any_store: stores.Postgres) -> Any:
    return any_store.connection


def test_the_same_keys_sketches_and_quantiles(connection: Any) -> None:
    @settings(max_examples=300, deadline=None)
    @given(samples, st.floats(0, 1))
    def property(values: list[float], q: float) -> None:
        array = np.array(values)
        made = sketch.sketch_of(array)
        row = connection.execute(
            """select sketch_of(v), array(select sketch_key(x) from unnest(v) with ordinality as s (x, n) order by n),
                      sketch_quantile(sketch_of(v), %s, %s, %s),
                      sketch_of(array(select x from unnest(v) as x order by x))
               from (select %s::float8[] as v) given""",
            (q, array.min(), array.max(), values),
        ).fetchone()
        assert row is not None
        assert row[0] == made.tolist()
        assert row[3] == made.tolist()
        assert row[1] == sketch.key_of(array).tolist()
        assert row[2] == pytest.approx(sketch.quantile(made, q, array.min(), array.max()), rel=1e-14)

    property()


def test_the_same_merge(connection: Any) -> None:
    @settings(max_examples=150, deadline=None)
    @given(st.lists(samples, min_size=1, max_size=6))
    def property(groups: list[list[float]]) -> None:
        sketches = [sketch.sketch_of(np.array(values)) for values in groups]
        row = connection.execute(
            "select sketch_merge(sketch::int8[]) from unnest(%s::text[]) as given (sketch)",
            (["{" + ",".join(map(str, each.tolist())) + "}" for each in sketches],),
        ).fetchone()
        assert row == (sketch.merge(sketches).tolist(),)

    property()


def test_every_bin_stands_for_the_same_value(connection: Any) -> None:
    keys = np.arange(sketch.OFFSET - 37_600, sketch.OFFSET + 35_849)
    keys = np.concatenate([-keys[::-1], [0], keys])
    rows = connection.execute("select sketch_value(k) from unnest(%s::int8[]) as k", (keys.tolist(),)).fetchall()
    np.testing.assert_allclose([value for (value,) in rows], sketch.value_of(keys), rtol=1e-14, atol=5e-324)


def test_counts_stop_at_the_same_place(connection: Any) -> None:
    full = (sketch.key_of(np.array([7.0])) << 32) + 0xFFFF_FFFF
    row = connection.execute(
        "select sketch_compact(%s::int8[] || %s::int8[])", (full.tolist(), full.tolist())
    ).fetchone()
    assert row == (sketch.merge([full, full]).tolist(),)


@pytest.mark.parametrize("empty", ["null", "'{}'"])
def test_an_empty_sketch_has_no_quantile(connection: Any, empty: str) -> None:
    assert connection.execute(f"select sketch_quantile({empty}::int8[], 0.5, 0, 1)".encode()).fetchone() == (None,)
    assert connection.execute(f"select sketch_merge({empty}::int8[])".encode()).fetchone() == (None,)
    assert connection.execute(f"select sketch_of({empty}::float8[])".encode()).fetchone() == (None,)


def test_the_functions_may_stand_in_a_continuous_aggregate(connection: Any) -> None:
    """What TimescaleDB asks of them: immutable and parallel safe."""
    found = connection.execute(
        "select proname, provolatile, proparallel from pg_proc where proname like 'sketch%' order by proname"
    ).fetchall()
    assert {name for name, _, _ in found} >= {
        "sketch_key",
        "sketch_of",
        "sketch_merge",
        "sketch_quantile",
        "sketch_value",
    }
    assert {(volatility, parallel) for _, volatility, parallel in found} == {("i", "s")}


def test_words_say_what_the_sketch_says(connection: Any) -> None:
    """Of every key that a double has, and of counts that take several words."""
    keys = np.array([-sketch.OFFSET - 35_848, -sketch.OFFSET + 37_600, -1, 0, 1, sketch.OFFSET + 35_848])
    counts = (1, 8191, 8192, 8193, 8191 << 13, 8192 << 13, (1 << 32) - 1)
    for count in counts:
        made = (keys << 32) + count
        (words,) = connection.execute("select sketch_packed(%s::int8[])", (made.tolist(),)).fetchone()
        read = SketchSet.of_words(np.array([len(words) // 4], ">i4").tobytes(), words)
        whole = read.merged(np.zeros(1, np.int64), 1)
        assert (whole.keys.tolist(), whole.counts.tolist()) == (keys.tolist(), [count] * len(keys))
        assert len(words) <= 4 * len(keys) * 66
