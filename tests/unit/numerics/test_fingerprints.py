"""The table of fingerprints does what a dictionary does."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from muninn.model.series_set import Fingerprints, fingerprints_of
from muninn.numerics.fingerprints import FingerprintTable

# Few distinct first bytes: they collide in the table.
DIGESTS = st.builds(
    lambda low, high: bytes([low, 0, 0, 0, 0, 0, 0, 0]) + bytes([high]) * 8, st.integers(0, 3), st.integers(0, 255)
)
STEPS = st.lists(st.lists(DIGESTS, max_size=20), max_size=5)


@given(steps=STEPS, wanted=st.lists(DIGESTS, max_size=30), data=st.data())
def test_it_does_what_a_dictionary_does(steps: list[list[bytes]], wanted: list[bytes], data: st.DataObject) -> None:
    table, expected = FingerprintTable(), dict[bytes, int]()
    for step in steps:
        numbers = [expected.setdefault(digest, len(expected)) for digest in step]
        assert table.add(fingerprints_of(step)).tolist() == numbers
        assert table.fingerprints.tolist() == [*expected]
    assert table.find(fingerprints_of(wanted)).tolist() == [expected.get(digest, -1) for digest in wanted]
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=len(expected), max_size=len(expected))), np.bool_)
    table.keep(kept)
    expected = {digest: place for place, digest in enumerate(np.array([*expected], object)[kept])}
    assert table.find(fingerprints_of(wanted)).tolist() == [expected.get(digest, -1) for digest in wanted]
    assert len(table) == len(expected)


def many(count: int) -> Fingerprints:
    data = np.random.default_rng(0).bytes(16 * count)
    return fingerprints_of([data[at : at + 16] for at in range(0, len(data), 16)])


def test_it_grows_and_forgets() -> None:
    wanted = many(5_000)
    numbers = np.arange(5_000, dtype=np.int32)
    table = FingerprintTable()
    for start in range(0, 5_000, 777):
        assert np.array_equal(table.add(wanted[start : start + 777]), numbers[start : start + 777])
    assert np.array_equal(table.find(wanted), numbers)
    table.clear()
    assert len(table) == 0
    assert (table.find(wanted) == -1).all()


def test_the_order_of_asking_does_not_matter() -> None:
    wanted = many(3_000)
    table = FingerprintTable()
    table.add(wanted[:2_000])
    order = np.random.default_rng(1).permutation(3_000)
    assert np.array_equal(table.find(wanted[order]), np.where(order < 2_000, order, -1))
