"""Label sets by their bytes: each parsed once, exact, bounded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.ingest.body import TooLarge
from muninn.ingest.decode import _labels
from muninn.ingest.decode.label_table import Labels, LabelTable
from muninn.model import SeriesKey


class Parser:
    """Bytes to series named after them; those that begin with "!" are none."""

    def __init__(self) -> None:
        self.parsed: list[bytes] = []

    def __call__(self, raw: bytes) -> SeriesKey | str:
        self.parsed.append(raw)
        return f"no {raw!r}" if raw.startswith(b"!") else SeriesKey.of("m", {"raw": raw.hex()})


def learn(table: LabelTable, sets: list[bytes]) -> Labels:
    ends = np.cumsum([0, *map(len, sets)], dtype=np.int64)
    return table.resolve(b"".join(sets), ends[:-1], ends[1:])


def resolve(table: LabelTable, sets: list[bytes]) -> list[SeriesKey | str]:
    """Each set's series, or why it is none."""
    found = learn(table, sets)
    return [
        found.keys[ordinal] if ordinal >= 0 else found.reasons[place]
        for place, ordinal in enumerate(found.ordinal.tolist())
    ]


# Sets that differ in one byte only, of every length around that of a machine word.
SETS = st.lists(
    st.builds(lambda size, end: b"x" * size + end, st.integers(0, 18), st.sampled_from([b"", b"a", b"b", b"!"]))
    | st.binary(max_size=20),
    max_size=40,
)


@given(requests=st.lists(SETS, max_size=4))
def test_every_set_is_the_series_of_its_very_bytes_and_parsed_once(requests: list[list[bytes]]) -> None:
    parser = Parser()
    table = LabelTable(parser, max_sets=1000)
    for sets in requests:
        assert resolve(table, sets) == [Parser()(raw) for raw in sets]
    assert sorted(parser.parsed) == sorted({raw for sets in requests for raw in sets})


def test_a_flood_of_label_sets_leaves_it_within_its_bounds() -> None:
    parser = Parser()
    table = LabelTable(parser, max_sets=1000)
    for number in range(50):
        flood = [b"set %d of %d" % (each, number) for each in range(300)]
        assert resolve(table, flood) == [SeriesKey.of("m", {"raw": raw.hex()}) for raw in flood]
        assert len(table) <= 1000
    parser.parsed.clear()
    assert resolve(table, flood) == [SeriesKey.of("m", {"raw": raw.hex()}) for raw in flood]
    assert parser.parsed == [], "what came last is still known"


def test_a_name_that_was_let_go_is_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muninn.ingest.decode.label_table._NAMES_BYTES", 200)
    table = LabelTable(Parser())
    sets = [b"a set %d" % number for number in range(50)]
    assert resolve(table, sets) == resolve(table, sets)
    assert table.names_bytes <= 200


def test_more_than_can_be_remembered_at_once_is_too_large() -> None:
    table = LabelTable(Parser(), max_sets=10)
    with pytest.raises(TooLarge, match="11 series; at most 10"):
        resolve(table, [b"%d" % number for number in range(11)])


def test_of_sets_that_do_not_all_fit_most_are_still_known() -> None:
    parser = Parser()
    table = LabelTable(parser, max_sets=1000)
    fleet = [b"set %d" % number for number in range(1200)]
    for _ in range(20):
        parser.parsed.clear()
        for start in range(0, 1200, 100):
            learn(table, fleet[start : start + 100])
    assert 0 < len(parser.parsed) < 900, "of those asked for in turn, the oldest would always be gone"


def test_a_flood_of_impossible_sets_does_not_push_out_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muninn.ingest.decode.label_table._MAX_REASONS", 50)
    parser = Parser()
    table = LabelTable(parser, max_sets=1000)
    fleet = [b"set %d" % number for number in range(400)]
    resolve(table, fleet)
    for number in range(50):
        flood = [b"!%d of %d" % (each, number) for each in range(40)]
        assert resolve(table, flood) == [f"no {raw!r}" for raw in flood]
        assert len(table) <= 400 + 50 + 40
    parser.parsed.clear()
    learn(table, fleet)
    assert parser.parsed == []


def _siphash_1_3(key: bytes, message: bytes) -> bytes:
    """SipHash with 128 bits of output, as its authors' reference code has it, with one and three rounds."""
    k0, k1 = (int.from_bytes(key[at : at + 8], "little") for at in (0, 8))
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D ^ 0xEE, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def turned(word: int, bits: int) -> int:
        return (word << bits | word >> (64 - bits)) & (2**64 - 1)

    def rounds(count: int) -> None:
        for _ in range(count):
            v[0] = (v[0] + v[1]) % 2**64
            v[1] = turned(v[1], 13) ^ v[0]
            v[0] = turned(v[0], 32)
            v[2] = (v[2] + v[3]) % 2**64
            v[3] = turned(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) % 2**64
            v[3] = turned(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) % 2**64
            v[1] = turned(v[1], 17) ^ v[2]
            v[2] = turned(v[2], 32)

    padded = message + bytes(7 - len(message) % 8) + bytes([len(message) % 256])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v[3] ^= word
        rounds(1)
        v[0] ^= word
    v[2] ^= 0xEE
    rounds(3)
    low = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xDD
    rounds(3)
    return low.to_bytes(8, "little") + (v[0] ^ v[1] ^ v[2] ^ v[3]).to_bytes(8, "little")


@given(key=st.binary(min_size=16, max_size=16), messages=st.lists(st.binary(max_size=40), min_size=1, max_size=5))
def test_the_hash_is_siphash(key: bytes, messages: list[bytes]) -> None:
    ends = np.cumsum([0, *map(len, messages)], dtype=np.int64)
    found = np.empty((len(messages), 2), np.uint64)
    octets = np.frombuffer(b"".join(messages), np.uint8)
    _labels.hashes(octets, ends[:-1], ends[1:], np.frombuffer(key, np.uint64), found)
    assert [row.tobytes() for row in found] == [_siphash_1_3(key, message) for message in messages]
