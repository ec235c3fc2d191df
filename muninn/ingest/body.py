"""A request's body, bounded: as sent, and unpacked.

Belongs here: reading and gunzipping with a limit. Does not: formats.
"""

import zlib
from collections.abc import AsyncIterator, Callable

from muninn.errors import Invalid

_GZIP = 16 + zlib.MAX_WBITS
_STEP = 1 << 20


class TooLarge(Invalid):
    """The body is larger than it may be."""


async def read(
    chunks: AsyncIterator[bytes], declared: str | None, max_bytes: int, hold: Callable[[int], None]
) -> bytes:
    """The whole body; TooLarge as soon as it is known to be, from Content-Length (`declared`) or by counting.

    `hold` is told of each piece before it is kept, and may raise.
    """
    if declared is not None and declared.isdigit() and int(declared) > max_bytes:
        raise TooLarge(f"the body has {declared} bytes; at most {max_bytes} are taken")
    parts, size = [], 0
    async for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise TooLarge(f"the body has more than {max_bytes} bytes")
        hold(len(chunk))
        parts.append(chunk)
    return b"".join(parts)


def gunzip(body: bytes, max_bytes: int) -> bytes:
    """The body unpacked, members joined; Invalid if it is not gzip, TooLarge beyond `max_bytes`.

    Never holds much more than `max_bytes`, whatever the body claims to hold.
    """
    parts, size = [], 0
    while body:
        unpacker = zlib.decompressobj(_GZIP)
        rest = body
        while not unpacker.eof:
            if not rest:
                raise Invalid("the body is not gzip: it ends too early")
            part = _unpack(unpacker, rest, min(_STEP, max_bytes - size + 1))
            rest = unpacker.unconsumed_tail
            size += len(part)
            if size > max_bytes:
                raise TooLarge(f"the body unpacks to more than {max_bytes} bytes")
            parts.append(part)
        body = unpacker.unused_data
    return b"".join(parts)


def _unpack(unpacker: "zlib._Decompress", data: bytes, at_most: int) -> bytes:
    try:
        return unpacker.decompress(data, at_most)
    except zlib.error as error:
        raise Invalid(f"the body is not gzip: {error}") from None
