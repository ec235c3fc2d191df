"""The cold tier's file: every double comes back bit for bit, and it is small."""

from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from muninn.analytics import cold_file
from muninn.analytics.cold_file import Columns, overlaid, read, write
from muninn.analytics.session import VALUE
from muninn.errors import Invalid
from muninn.model import Distributions, Window
from muninn.numerics.dyadic import dyadic
from muninn.numerics.scaled import scale, unscale

DOUBLES = st.one_of(st.floats(width=64), st.sampled_from([0.0, -0.0, 5e-324, 1.7976931348623157e308]))
DECIMALS = st.builds(lambda m, e: m / 10.0**e, st.integers(-(10**9), 10**9), st.integers(0, 9))


def columns_of(rows: list[tuple[int, int, float]]) -> Columns:
    return Columns(
        np.array([row[0] for row in rows], np.int32),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float64),
    )


@given(hnp.arrays(np.float64, st.integers(0, 50), elements=st.one_of(DOUBLES, DECIMALS)), st.data())
def test_scaling_is_bit_for_bit(value: np.ndarray, data: st.DataObject) -> None:
    cuts = data.draw(st.sets(st.integers(1, max(1, len(value) - 1)))) if len(value) > 1 else set()
    starts = np.array(sorted({0} | cuts), np.intp)
    scaled = scale(value, starts)
    kept = np.where(scaled.exact, 0.0, value)
    assert np.array_equal(unscale(scaled, kept).view(np.int64), value.view(np.int64))


@given(st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=50), st.integers(0, 6))
def test_decimals_are_scaled_with_the_fewest_digits(mantissas: list[int], exponent: int) -> None:
    value = np.array(mantissas) / 10.0**exponent
    scaled = scale(value, np.array([0]))
    assert scaled.exact.all()
    assert scaled.exponent.max() <= exponent


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 2**50), st.one_of(DOUBLES, DECIMALS)),
        unique_by=lambda row: row[:2],
        max_size=40,
    )
)
def test_a_file_gives_every_sample_back(tmp_path: Path, rows: list[tuple[int, int, float]]) -> None:
    columns = columns_of(rows)
    write(tmp_path / "day.parquet", columns)
    back = read(tmp_path / "day.parquet")
    assert back.checksum() == columns.checksum()
    expected = sorted((s, at, np.float64(v).tobytes()) for s, at, v in rows)
    got = zip(back.series_id.tolist(), back.at_us.tolist(), [v.tobytes() for v in back.value], strict=True)
    assert list(got) == expected


@given(st.permutations([(1, 10, 1.5), (1, 20, -0.0), (2, 10, 1e300), (3, 5, 0.1)]))
def test_the_checksum_ignores_order_and_sees_every_bit(rows: list[tuple[int, int, float]]) -> None:
    reference = columns_of([(1, 10, 1.5), (1, 20, -0.0), (2, 10, 1e300), (3, 5, 0.1)]).checksum()
    assert columns_of(rows).checksum() == reference
    for index in range(len(rows)):
        series, at, value = rows[index]
        for changed in ((series + 1, at, value), (series, at + 1, value), (series, at, np.nextafter(value, 2e300))):
            assert columns_of([*rows[:index], changed, *rows[index + 1 :]]).checksum() != reference


NEAR = st.tuples(st.floats(-1e6, 1e6), st.floats(0, 1e-3), st.integers(0, 2**32)).map(
    lambda drawn: drawn[0] + np.random.default_rng(drawn[2]).normal(0, drawn[1], 60)
)
SHORT = hnp.arrays(np.float32, 60, elements=st.floats(width=32, allow_nan=False)).map(lambda value: value.astype(float))
SIZES = hnp.arrays(np.int64, 60, elements=st.integers(0, 2**40)).map(lambda value: value / 2.0**30)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(NEAR, SHORT, SIZES), min_size=1, max_size=4), st.lists(DOUBLES, max_size=3))
def test_what_is_kept_by_powers_of_two_comes_back_bit_for_bit_in_duckdb_too(
    tmp_path: Path, series: list[np.ndarray], odd: list[float]
) -> None:
    values = [np.concatenate([value, odd]) for value in series]
    rows = [(number, at, each) for number, value in enumerate(values) for at, each in enumerate(value)]
    columns = columns_of(rows)
    write(tmp_path / "day.parquet", columns)
    back = read(tmp_path / "day.parquet")
    assert back.value.tobytes() == columns.value.tobytes()
    asked = duckdb.sql(f"select {VALUE} as value from '{tmp_path}/day.parquet' order by series_id, \"at\"")
    assert asked is not None
    assert asked.fetchnumpy()["value"].tobytes() == columns.value.tobytes()


def test_series_that_drift_are_kept_by_powers_of_two() -> None:
    """Else the test above would show nothing."""
    rng = np.random.default_rng(5)
    drifting = 40 + rng.normal(0, 1e-4, 500)
    bits, mantissa, exact = dyadic(drifting) or (0, None, None)
    assert (bits, exact is not None and exact.all()) == (47, True)
    assert (np.asarray(mantissa) / 2.0**47).tobytes() == drifting.tobytes()
    assert dyadic(rng.integers(1 << 52, 2047 << 52, 500).view(np.float64)) is None
    assert dyadic(np.arange(500.0)) is None, "whole numbers are decimals"
    assert dyadic(np.full(5, np.nan)) is None


def test_decimal_readings_take_less_than_a_byte_a_sample(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    series, points = 100, 8640
    walk = 50 + np.cumsum(rng.normal(0, 0.5, (series, points)), axis=1)
    value = np.round(np.abs((walk % 200) - 100), 1).ravel()
    at = np.tile(1_700_000_000_000_000 + np.arange(points, dtype=np.int64) * 10_000_000, series)
    columns = Columns(np.repeat(np.arange(series, dtype=np.int32), points), at, value)
    assert write(tmp_path / "day.parquet", columns) / len(value) <= 0.8


# What a sample takes as a row of PostgreSQL, its share of the BRIN index included, is 52 bytes.
ROW_BYTES = 52


@pytest.mark.parametrize(
    ("kind", "at_most"),
    [
        ("three decimals", ROW_BYTES / 10),
        ("a counter", ROW_BYTES / 10),
        ("bytes", ROW_BYTES / 10),
        ("a constant", 0.1),
        ("32-bit floats", ROW_BYTES / 10),
        ("a measurement that drifts", ROW_BYTES / 10),
        ("shares of ticks", ROW_BYTES / 10),
        ("sizes by 1,024", ROW_BYTES / 10),
        ("jittered", ROW_BYTES / 10),
        # 64 bits of which none can be foretold: no encoding makes less of them, and ours makes no more.
        ("any doubles", 8.1),
    ],
)
def test_a_day_takes_a_tenth_of_its_rows_and_what_can_not_be_packed_no_more_than_itself(
    tmp_path: Path, kind: str, at_most: float
) -> None:
    rng, shape = np.random.default_rng(1), (20, 8640)
    value: np.ndarray = {
        "three decimals": np.round(50 + np.cumsum(rng.normal(0, 0.5, shape), axis=1), 3),
        "a counter": np.cumsum(rng.integers(0, 1000, shape), axis=1).astype(float),
        "bytes": rng.integers(0, 1 << 34, shape).astype(float),
        "a constant": np.full(shape, 3.25),
        "32-bit floats": np.cumsum(rng.normal(0, 0.5, shape), axis=1).astype(np.float32).astype(float),
        "a measurement that drifts": 50 + np.cumsum(rng.normal(0, 5e-4, shape), axis=1) + rng.normal(0, 5e-4, shape),
        "shares of ticks": 100 * (1 - rng.integers(0, 1000, shape) / rng.integers(995, 1006, shape)),
        "sizes by 1,024": np.cumsum(rng.integers(-3000, 3000, shape), axis=1) * 4096 / 1024**3 + 9,
        "jittered": np.round(50 + np.cumsum(rng.normal(0, 0.5, shape), axis=1), 1),
        "any doubles": rng.integers(1 << 52, 2047 << 52, shape).view(np.float64),
    }[kind]
    at = np.tile(1_700_000_000_000_000 + np.arange(shape[1], dtype=np.int64) * 10_000_000, shape[0])
    if kind == "jittered":
        at = at + rng.normal(0, 20_000, at.size).astype(np.int64)
    columns = Columns(
        np.repeat(np.arange(shape[0], dtype=np.int32), shape[1]), at, np.asarray(value.ravel(), np.float64)
    )
    assert write(tmp_path / "day.parquet", columns) / value.size <= at_most


def test_an_unfinished_file_never_bears_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", fails)
    with pytest.raises(OSError, match="disk full"):
        write(tmp_path / "day.parquet", columns_of([(1, 1, 1.0)]))
    assert not (tmp_path / "day.parquet").exists()


def test_a_question_reads_the_series_and_the_time_that_it_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cold_file, "_ROW_GROUP", 100)
    at = np.tile(np.arange(50, dtype=np.int64) * 1_000_000, 20)
    columns = Columns(np.repeat(np.arange(20, dtype=np.int32), 50), at, np.arange(1000.0))
    write(tmp_path / "day.parquet", columns)
    read_groups: list[int] = []
    whole = pq.ParquetFile.read_row_group

    def counted(self: pq.ParquetFile, number: int) -> object:
        read_groups.append(number)
        return whole(self, number)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    found = read(tmp_path / "day.parquet", np.array([3, 7], np.int32), Window(10_000_000, 12_000_000))
    assert found.value.tolist() == [160.0, 161.0, 360.0, 361.0]
    assert read_groups == [1, 3]
    assert len(read(tmp_path / "day.parquet", window=Window(60_000_000, 61_000_000))) == 0
    assert read_groups == [1, 3]


def test_distributions_come_back_bin_for_bin(tmp_path: Path) -> None:
    some = Distributions(
        np.array([0, 2], np.int64),
        np.array([5, 70], np.int64),
        np.array([-1.5, 0.0]),
        np.array([9.25, 1e300]),
        np.array([2, 3], np.int64),
        np.array([1 << 40, (1 << 41) + 4, -5, 0, 7], np.int64),
    )
    plain = columns_of([(2, 1, 1.5), (1, 1, 2.5), (1, 5, 3.5), (1, 6, 4.5)])
    columns = Columns(plain.series_id, plain.at_us, plain.value, some)
    write(tmp_path / "day.parquet", columns)
    back = read(tmp_path / "day.parquet")
    assert back.value.tolist() == [2.5, 3.5, 4.5, 1.5]
    assert back.distributions is not None
    assert back.distributions.rows.tolist() == [1, 3]
    assert back.distributions.count.tolist() == [70, 5]
    assert back.distributions.high.tolist() == [1e300, 9.25]
    assert back.distributions.bins.tolist() == [-5, 0, 7, 1 << 40, (1 << 41) + 4]
    assert back.checksum() == columns.checksum()
    assert (len(back), back.samples) == (4, 2 + 75)
    bent = Columns(back.series_id, back.at_us, back.value, replace(back.distributions, bins=some.bins))
    assert bent.checksum() != back.checksum()
    one = read(tmp_path / "day.parquet", np.array([2], np.int32))
    assert one.distributions is not None
    assert one.distributions.bins.tolist() == [1 << 40, (1 << 41) + 4]


def test_of_the_same_instant_the_newer_value_stands() -> None:
    old, new = columns_of([(1, 1, 1.0), (1, 2, 2.0), (2, 1, 3.0)]), columns_of([(2, 1, -3.0), (1, 3, 9.0)])
    both = overlaid(old, new)
    assert list(zip(both.series_id.tolist(), both.at_us.tolist(), both.value.tolist(), strict=True)) == [
        (1, 1, 1.0),
        (1, 2, 2.0),
        (1, 3, 9.0),
        (2, 1, -3.0),
    ]


def test_a_file_that_is_not_ours_is_invalid(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"not parquet")
    with pytest.raises(Invalid, match=r"x\.parquet"):
        read(tmp_path / "x.parquet")
