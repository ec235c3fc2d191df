"""Label sets by their bytes: each parsed once, exact, bounded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.ingest.body import TooLarge
from muninn.ingest.decode.label_table import LabelTable
from muninn.model import SeriesKey


class Parser:
    """Bytes to series named after them; those that begin with "!" are none."""

    def __init__(self) -> None:
        self.parsed: list[bytes] = []

    def __call__(self, raw: bytes) -> SeriesKey | str:
        self.parsed.append(raw)
        return f"no {raw!r}" if raw.startswith(b"!") else SeriesKey.of("m", {"raw": raw.hex()})


def resolve(table: LabelTable, sets: list[bytes]) -> list[SeriesKey | str]:
    """Each set's series, or why it is none."""
    ends = np.cumsum([0, *map(len, sets)], dtype=np.int64)
    found = table.resolve(b"".join(sets), ends[:-1], ends[1:])
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
    table = LabelTable(parser, max_sets=1000, max_bytes=10_000)
    for sets in requests:
        assert resolve(table, sets) == [Parser()(raw) for raw in sets]
    assert sorted(parser.parsed) == sorted({raw for sets in requests for raw in sets})


def test_a_flood_of_label_sets_leaves_it_within_its_bounds() -> None:
    parser = Parser()
    table = LabelTable(parser, max_sets=1000, max_bytes=20_000)
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
    assert table.held_bytes < 200 + sum(map(len, sets))


def test_more_than_can_be_remembered_at_once_is_too_large() -> None:
    table = LabelTable(Parser(), max_sets=10, max_bytes=100)
    with pytest.raises(TooLarge, match="11 series; at most 10"):
        resolve(table, [b"%d" % number for number in range(11)])
    with pytest.raises(TooLarge):
        resolve(table, [b"x" * 101])
