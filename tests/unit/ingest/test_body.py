"""Bodies: bounded as sent and unpacked."""

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muninn.errors import Invalid, Rejected
from muninn.ingest.body import TooLarge, gunzip, read


def taken(chunks: list[bytes], declared: str | None, limit: int) -> bytes:
    async def source() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return asyncio.run(read(source(), declared, limit, lambda size: None))


def test_a_body_is_read_up_to_its_limit() -> None:
    assert taken([b"ab", b"", b"cd"], "4", 4) == b"abcd"
    assert taken([b"ab", b"cd"], None, 4) == b"abcd"
    with pytest.raises(TooLarge, match="has 5 bytes; at most 4"):
        taken([], "5", 4)
    with pytest.raises(TooLarge, match="more than 4 bytes"):
        taken([b"abc", b"de"], "4", 4)


def test_reading_stops_when_there_is_no_room_to_hold_more() -> None:
    seen = []

    def hold(size: int) -> None:
        seen.append(size)
        if sum(seen) > 3:
            raise Rejected("full")

    async def source() -> AsyncIterator[bytes]:
        for chunk in (b"ab", b"cd", b"ef"):
            yield chunk

    with pytest.raises(Rejected):
        asyncio.run(read(source(), None, 100, hold))
    assert seen == [2, 2]


@given(parts=st.lists(st.binary(max_size=2000), min_size=1, max_size=4))
def test_members_are_joined_and_the_limit_is_exact(parts: list[bytes]) -> None:
    body, plain = b"".join(map(gzip.compress, parts)), b"".join(parts)
    assert gunzip(body, len(plain)) == plain
    if plain:
        with pytest.raises(TooLarge):
            gunzip(body, len(plain) - 1)


def test_more_than_one_step_is_unpacked_whole() -> None:
    plain = bytes(range(256)) * 20_000
    assert gunzip(gzip.compress(plain), len(plain)) == plain


@given(st.binary(max_size=100))
def test_garbage_is_invalid(body: bytes) -> None:
    if body:
        with pytest.raises(Invalid):
            gunzip(b"x" + body, 1000)
    good = gzip.compress(b"hello" * 10)
    with pytest.raises(Invalid):
        gunzip(good + b"x" + body, 1000)
    with pytest.raises(Invalid, match="too early"):
        gunzip(good[:-1], 1000)


def test_a_bomb_is_stopped_at_the_limit() -> None:
    bomb = gzip.compress(bytes(200 << 20), 9)
    assert len(bomb) < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            gunzip(bomb, 4 << 20)
        assert tracemalloc.get_traced_memory()[1] < 12 << 20
    finally:
        tracemalloc.stop()
