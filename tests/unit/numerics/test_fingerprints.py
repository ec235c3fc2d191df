"""The table of fingerprints does what a dictionary does."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from muninn.model.series_set import fingerprints_of
from muninn.numerics.fingerprints import FingerprintTable

# Few distinct first bytes: they collide in the table.
DIGESTS = st.builds(
    lambda low, high: bytes([low, 0, 0, 0, 0, 0, 0, 0]) + bytes([high]) * 8, st.integers(0, 3), st.integers(0, 255)
)
STEPS = st.lists(st.dictionaries(DIGESTS, st.integers(0, 2**31 - 1), max_size=20), max_size=5)


@given(steps=STEPS, wanted=st.lists(DIGESTS, max_size=30))
def test_it_does_what_a_dictionary_does(steps: list[dict[bytes, int]], wanted: list[bytes]) -> None:
    table, expected = FingerprintTable(), {}
    for step in steps:
        table.put(fingerprints_of([*step]), np.array([*step.values()], np.int32))
        expected |= step
    assert table.find(fingerprints_of(wanted)).tolist() == [expected.get(digest, -1) for digest in wanted]
    assert len(table) == len(expected)


def test_it_grows_and_forgets() -> None:
    random = np.random.default_rng(0)
    wanted = fingerprints_of([random.bytes(16) for _ in range(50_000)])
    numbers = np.arange(50_000, dtype=np.int32)
    table = FingerprintTable()
    for start in range(0, 50_000, 777):
        table.put(wanted[start : start + 777], numbers[start : start + 777])
    assert np.array_equal(table.find(wanted), numbers)
    table.clear()
    assert len(table) == 0
    assert (table.find(wanted) == -1).all()
