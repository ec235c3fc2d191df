"""An entry's layout: there and back, and never anything but Invalid."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_distributions import batch_of

from muninn.errors import Invalid
from muninn.ingest.buffer.codec import Decoder, encode, size_of
from muninn.model import SampleBatch, SeriesKey

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
KEYS = st.builds(SeriesKey.of, TEXT, st.dictionaries(TEXT, TEXT, max_size=3), TEXT, TEXT)
ROWS = st.tuples(KEYS, st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))


@given(rows=st.lists(ROWS, min_size=1, max_size=10))
def test_there_and_back(rows: list[tuple[SeriesKey, int, float]]) -> None:
    batch = SampleBatch.of(rows)
    found = Decoder().decode(encode(batch))
    assert found.keys == batch.keys
    assert found.at_us.tolist() == batch.at_us.tolist()
    assert found.value.tobytes() == batch.value.tobytes()
    assert found.key_index.tolist() == batch.key_index.tolist()


LISTS = st.lists(st.integers(-9, 9).map(float), min_size=1, max_size=3)


@settings(max_examples=30)
@given(st.lists(st.tuples(KEYS, st.integers(0, 9), LISTS), min_size=1, max_size=6))
def test_distributions_there_and_back(rows: list[tuple[SeriesKey, int, list[float]]]) -> None:
    batch = batch_of([*rows, (SeriesKey.of("plain"), 1, 2.0)])
    fields = encode(batch)
    found, some = Decoder().decode(fields).distributions, batch.distributions
    assert found is not None
    assert some is not None
    for name in ("rows", "count", "low", "high", "lengths", "bins"):
        assert getattr(found, name).tolist() == getattr(some, name).tolist()
    for name in (b"d_rows", b"d_count", b"d_lengths", b"d_bins"):
        for damaged in (b"", fields[name][:-1], fields[name][:-8] + b"\xff" * 8):
            with pytest.raises(Invalid):
                Decoder().decode({**fields, name: damaged})


@given(
    fields=st.dictionaries(
        st.sampled_from([b"v", b"at", b"at0", b"dt", b"value", b"key", b"fp", b"named", b"keys", b"x"]),
        st.sampled_from([b"", b"2"]) | st.binary(max_size=24),
    )
)
def test_anything_else_is_invalid(fields: dict[bytes, bytes]) -> None:
    with pytest.raises(Invalid):
        Decoder().decode({b"v": b"2", **fields, b"keys": b"x" + fields.get(b"keys", b"")})
    with pytest.raises(Invalid):
        Decoder().decode(fields)


def test_the_size_counts_names_and_values() -> None:
    assert size_of({b"ab": b"c", b"": b"defg"}) == 7


def test_a_decoder_hands_out_the_same_key_again_and_forgets_in_time() -> None:
    decoder = Decoder(max_bytes=2 * len(SeriesKey.of("a").canonical))
    entries = [encode(SampleBatch.of([(SeriesKey.of(name), 1, 1.0)])) for name in "aab"]
    first, again, _ = (decoder.decode(entry).keys[0] for entry in entries)
    assert first is again
    assert decoder.decode(encode(SampleBatch.of([(SeriesKey.of("c"), 1, 1.0)]))).keys[0] == SeriesKey.of("c")
    found = decoder.decode(entries[0]).keys[0]
    assert found == first
    assert found is not first


def test_columns_need_not_be_contiguous_or_native() -> None:
    batch = SampleBatch(
        np.arange(6, dtype=">i8")[::2], np.arange(6, dtype=">f8")[::2], np.zeros(3, ">i4"), (SeriesKey.of("a"),)
    )
    found = Decoder().decode(encode(batch))
    assert found.at_us.tolist() == [0, 2, 4]
    assert found.value.tolist() == [0.0, 2.0, 4.0]
