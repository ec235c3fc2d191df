"""Every decoder over bytes of any kind and over damaged good inputs: Invalid or a sound answer, nothing else."""

from collections.abc import Callable

import pytest
import targets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from targets import FORMATS, SEEDS, TARGETS

from muninn.ingest.protocols import OWN, protocols

# Bytes that mean something to some format, and lengths that promise more than there is.
TOKENS = st.sampled_from(
    [b"", b"\0", b"\xff" * 4, b"\xff\xff\xff\xff\x0f", b"\x80" * 10, b"[" * 300, b'{"a":' * 120, b"9" * 400,
     b"1e999", b"-", b"NaN", b'"', b"\\", b"\n", b",", b"=", b" ", b"\xc3\x28", b"ARROW1", b"\x1f\x8b", b"null",
     b"\xf0\x9f\x92\xa9"]
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A good input with some pieces cut out, put in twice, or overwritten."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 24)))
        piece = draw(st.one_of(TOKENS, st.binary(max_size=12), st.just(bytes(data[start:end]) * 2)))
        data[start:end] = piece
    return bytes(data)


def run(target: Callable[[bytes], None], data: st.SearchStrategy[bytes], examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=[*HealthCheck])
    @given(data)
    def check(found: bytes) -> None:
        target(found)

    check()


def test_every_format_of_the_door_has_a_target() -> None:
    taken = {(protocol.path, media_type) for protocol in (OWN, *protocols()) for media_type in protocol.formats}
    assert taken == FORMATS.keys()
    assert set(FORMATS.values()) <= TARGETS.keys()


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_good(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Exception] = []
    monkeypatch.setattr(targets, "check_said", said.append)
    for seed in SEEDS[name]:
        TARGETS[name](seed)
    assert said == []


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes(name: str) -> None:
    run(TARGETS[name], st.one_of(st.binary(max_size=300), st.lists(TOKENS, max_size=8).map(b"".join)), 60)


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_inputs(name: str) -> None:
    run(TARGETS[name], damaged(SEEDS[name]), 120)
