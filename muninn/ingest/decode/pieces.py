"""Large bodies in pieces, so that only one piece at a time is Python objects (which take thirty times its bytes).

An array is cut where it looks like `}, {`. A cut within a string or a nested value leaves a piece that is not JSON,
so pieces that all parse are exactly the array's elements; otherwise the caller parses the whole.

Belongs here: where to cut. Does not: what the pieces mean.
"""

import re
from collections.abc import Iterator

PIECE_BYTES = 1 << 20

_START = re.compile(rb'\s*(?:\{\s*"metrics"\s*:\s*)?\[')
_CUT = re.compile(rb"\}\s*,\s*\{")
_ENDS = {False: re.compile(rb"\]\s*\Z"), True: re.compile(rb"\]\s*\}\s*\Z")}
_TAIL_BYTES = 256


def array_pieces(body: bytes) -> Iterator[bytes]:
    """The elements of a JSON array, or of the array under `metrics`, as smaller arrays; nothing if it is neither."""
    start = _START.match(body)
    if start is None:
        return
    end = _ENDS[b"{" in start.group()].search(body, max(start.end(), len(body) - _TAIL_BYTES))
    if end is None:
        return
    begin = start.end()
    while (cut := _CUT.search(body, begin + PIECE_BYTES, end.start())) is not None:
        yield b"[" + body[begin : cut.start() + 1] + b"]"
        begin = cut.end() - 1
    yield b"[" + body[begin : end.start()] + b"]"


def line_pieces(body: bytes) -> Iterator[bytes]:
    """The body cut at ends of lines."""
    begin = 0
    while (cut := body.find(b"\n", begin + PIECE_BYTES)) >= 0:
        yield body[begin:cut]
        begin = cut + 1
    yield body[begin:]
