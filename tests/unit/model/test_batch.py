"""SampleBatch and SeriesKey: identity, joining, taking."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.errors import Invalid
from muninn.model import SampleBatch, SeriesKey

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
KEYS = st.builds(SeriesKey.of, TEXT, st.dictionaries(TEXT, TEXT, max_size=4), TEXT, TEXT)
ROWS = st.lists(st.tuples(KEYS, st.integers(-(2**60), 2**60), st.floats(allow_nan=False)), max_size=20)


def rows_of(batch: SampleBatch) -> list[tuple[SeriesKey, int, float]]:
    return [
        (batch.keys[k], int(at), float(value))
        for at, value, k in zip(batch.at_us, batch.value, batch.key_index, strict=True)
    ]


@given(KEYS)
def test_a_key_survives_its_canonical_form(key: SeriesKey) -> None:
    assert SeriesKey.parse(key.canonical) == key


@given(KEYS, KEYS)
def test_fingerprints_are_equal_exactly_when_keys_are(one: SeriesKey, other: SeriesKey) -> None:
    assert (one.fingerprint == other.fingerprint) == (one == other)


def test_the_order_of_labels_does_not_matter() -> None:
    assert SeriesKey.of("m", {"a": "1", "b": "2"}) == SeriesKey.of("m", {"b": "2", "a": "1"})


@pytest.mark.parametrize("text", [b"", b"[]", b'"m"', b'["m",[],"",""]', b"\xff"])
def test_a_broken_canonical_form_is_invalid(text: bytes) -> None:
    with pytest.raises(Invalid):
        SeriesKey.parse(text)


@given(st.lists(ROWS, max_size=5))
def test_concat_keeps_every_row_in_order_and_each_key_once(parts: list[list[tuple[SeriesKey, int, float]]]) -> None:
    joined = SampleBatch.concat([SampleBatch.of(rows) for rows in parts])
    assert rows_of(joined) == [row for rows in parts for row in rows]
    assert len(set(joined.keys)) == len(joined.keys)


def test_take_by_mask() -> None:
    batch = SampleBatch.of([(SeriesKey("a"), 1, 1.0), (SeriesKey("b"), 2, 2.0)])
    assert rows_of(batch.take(np.array([False, True]))) == [(SeriesKey("b"), 2, 2.0)]


def test_columns_of_different_length_are_invalid() -> None:
    with pytest.raises(Invalid, match="differ in length"):
        SampleBatch(np.zeros(2, np.int64), np.zeros(1), np.zeros(2, np.int32), (SeriesKey("a"),))
