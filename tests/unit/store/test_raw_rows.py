"""How samples become rows: each once, bit for bit, at a scale that a series keeps."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from muninn.store.binary_copy import PG_EPOCH_US
from muninn.store.lanes import Rows
from muninn.store.raw_rows import Plain, RawRows, ScaledIntegers

DECIMALS = st.builds(lambda mantissa, digits: mantissa / 10**digits, st.integers(-(10**15), 10**15), st.integers(0, 14))
VALUES = DECIMALS | st.floats(allow_nan=False, allow_infinity=False)
LOADS = st.lists(st.lists(st.tuples(st.integers(1, 4), VALUES), min_size=1, max_size=20), min_size=1, max_size=4)


def rows_of(samples: list[tuple[int, float]]) -> Rows:
    """Samples (series, value), a second apart, in the order of a load."""
    ordered = sorted(enumerate(samples), key=lambda each: (each[1][0], each[0]))
    series, at, values = zip(*((series, place * 1_000_000, value) for place, (series, value) in ordered), strict=True)
    return Rows(np.array(series, np.int32), np.array(at, np.int64), np.array(values, np.float64))


def read_back(kept: RawRows, rows: Rows) -> list[tuple[int, int, bytes]]:
    """(series, at_us, the double's bytes) as the database shows the rows that are copied."""
    found: list[tuple[int, int, bytes]] = []
    for query, columns in kept.copies(rows):
        at_us, series = columns[0] + PG_EPOCH_US, columns[1]
        value = columns[2] if query != "timescale_copy_scaled" else columns[3] / powers(columns[2])
        found += zip(series.tolist(), at_us.tolist(), [each.tobytes() for each in value], strict=True)
    return sorted(found)


def powers(exponent: NDArray[np.int16]) -> NDArray[np.float64]:
    return np.array([float(f"1e{each}") for each in exponent.tolist()])


def expected(rows: Rows) -> list[tuple[int, int, bytes]]:
    values = [value.tobytes() for value in rows.value]
    return sorted(zip(rows.series_id.tolist(), rows.at_us.tolist(), values, strict=True))


@given(LOADS)
def test_every_double_comes_back_bit_for_bit(loads: list[list[tuple[int, float]]]) -> None:
    scaled, plain = ScaledIntegers(), Plain()
    for load in loads:
        rows = rows_of(load)
        assert read_back(scaled, rows) == expected(rows)
        assert read_back(plain, rows) == expected(rows)


def exponents(kept: ScaledIntegers, samples: list[tuple[int, float]]) -> list[int]:
    (copied,) = [columns for query, columns in kept.copies(rows_of(samples)) if query == "timescale_copy_scaled"]
    return [int(each) for each in copied[2]]


def test_a_series_keeps_the_largest_scale_it_needed() -> None:
    kept = ScaledIntegers()
    assert exponents(kept, [(1, 5.0), (2, 7.0)]) == [0, 0]
    assert exponents(kept, [(1, 5.0), (1, 5.25), (2, 7.0)]) == [2, 2, 0]
    assert exponents(kept, [(1, 6.0), (2, 7.5)]) == [2, 1]


def test_a_value_too_large_for_the_scale_of_its_series_has_one_of_its_own() -> None:
    kept = ScaledIntegers()
    assert exponents(kept, [(1, 0.000000000001), (1, 9e12), (1, 3.5)]) == [12, 0, 12]


def test_what_no_integer_holds_stays_a_double() -> None:
    copied = dict(ScaledIntegers().copies(rows_of([(1, 0.1 + 0.2), (1, -0.0), (1, 0.3)])))
    assert copied["timescale_copy_doubles"][2].tolist() == [0.1 + 0.2, -0.0]
    assert copied["timescale_copy_scaled"][3].tolist() == [3]
