"""How large an Arrow IPC body becomes when it is unpacked, told from its metadata before anything is allocated.

Arrow compresses each buffer on its own and writes its unpacked size in front, and a batch states its row count;
both can be made up. This reads just enough of the flatbuffers (format/Message.fbs, format/File.fbs) to add them up.

Belongs here: sizes. Does not: values.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from muninn.errors import Invalid
from muninn.ingest.body import TooLarge

MAGIC = b"ARROW1"
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
# Even the narrowest sample (a metric code, an instant, a value) takes more than this.
_MIN_ROW_BYTES = 8
_MAX_BLOCKS = 1 << 16


@dataclass(frozen=True)
class _Table:
    """A flatbuffer table at `place` of `data`; reading beyond the data raises struct.error."""

    data: memoryview
    place: int

    def field(self, number: int) -> int | None:
        """Where the field lies; None if it is left out."""
        vtable = self.place - self._read("<i", self.place)
        if 4 + 2 * number >= self._read("<H", vtable):
            return None
        offset = self._read("<H", vtable + 4 + 2 * number)
        return self.place + offset if offset else None

    def number(self, number: int, code: str) -> int:
        """A scalar field; 0 if it is left out."""
        place = self.field(number)
        return 0 if place is None else self._read(code, place)

    def table(self, number: int) -> "_Table | None":
        """A table field."""
        place = self.field(number)
        return None if place is None else _Table(self.data, place + self._read("<I", place))

    def structs(self, number: int, code: str) -> list[tuple[int, ...]]:
        """A field that is a vector of structs of this layout; [] if it is left out."""
        place = self.field(number)
        if place is None:
            return []
        start = place + self._read("<I", place)
        count = self._read("<I", start)
        if count * struct.calcsize(code) > len(self.data):
            raise struct.error("a vector is longer than its message")
        return [self._unpack(code, start + 4 + i * struct.calcsize(code)) for i in range(count)]

    def _read(self, code: str, place: int) -> int:
        return int(self._unpack(code, place)[0])

    def _unpack(self, code: str, place: int) -> tuple[int, ...]:
        if place < 0:
            raise struct.error("a place before the message")
        return struct.unpack_from(code, self.data, place)


def root(data: memoryview) -> _Table:
    """The root table of a flatbuffer."""
    return _Table(data, struct.unpack_from("<I", data)[0])


def unpacked_bytes(body: bytes) -> int:
    """What an Arrow body says that it becomes; its own size where that is more, or where it is damaged."""
    try:
        if body.startswith(MAGIC):
            messages = _blocks(memoryview(body))
        else:
            reader = pa.ipc.MessageReader.open_stream(pa.BufferReader(body))
            messages = ((memoryview(m.metadata), memoryview(m.body or b"")) for m in reader)
        found = [_unpacked(root(metadata), part) for metadata, part in messages]
    except (Invalid, pa.ArrowException, OSError, ValueError, TypeError, IndexError, struct.error):
        return len(body)
    return max(len(body), sum(size for _, size in found), sum(rows for rows, _ in found) * _MIN_ROW_BYTES)


def check_stream(body: pa.Buffer, max_bytes: int) -> None:
    """TooLarge if a stream's batches unpack to more than `max_bytes`, or to more rows than can be meant."""
    reader = pa.ipc.MessageReader.open_stream(pa.BufferReader(body))
    _check(((memoryview(m.metadata), memoryview(m.body or b"")) for m in reader), max_bytes)


def check_file(body: pa.Buffer, max_bytes: int) -> None:
    """The same for a file, whose batches are listed in its footer."""
    _check(_blocks(memoryview(body)), max_bytes)


def _blocks(data: memoryview) -> Iterator[tuple[memoryview, memoryview]]:
    """(metadata, body) of each dictionary and record batch of a file."""
    size = struct.unpack_from("<i", data, len(data) - 10)[0]
    end = len(data) - 10
    if not 0 < size <= end:
        raise Invalid("not an Arrow file: its footer is damaged")
    footer = root(data[end - size : end])
    blocks = footer.structs(2, "<qi4xq") + footer.structs(3, "<qi4xq")
    if len(blocks) > _MAX_BLOCKS:
        raise Invalid(f"an Arrow file of {len(blocks)} batches; at most {_MAX_BLOCKS} are taken")
    for offset, metadata_size, body_size in blocks:
        if min(offset, metadata_size, body_size) < 0:
            raise Invalid("not an Arrow file: its footer is damaged")
        # A message starts with its length, since 0.15 after a continuation marker.
        prefix = 8 if bytes(data[offset : offset + 4]) == b"\xff\xff\xff\xff" else 4
        start = offset + metadata_size
        yield data[offset + prefix : start], data[start : start + body_size]


def _check(messages: Iterator[tuple[memoryview, memoryview]], max_bytes: int) -> None:
    total_bytes = total_rows = 0
    for metadata, body in messages:
        rows, size = _unpacked(root(metadata), body)
        total_rows += rows
        total_bytes += size
        if total_bytes > max_bytes or total_rows > max_bytes // _MIN_ROW_BYTES:
            raise TooLarge(f"the body unpacks to more than {max_bytes} bytes")


def _unpacked(message: _Table, body: memoryview) -> tuple[int, int]:
    """Rows and bytes of a message's batch."""
    kind, batch = message.number(1, "<B"), message.table(2)
    if kind == _DICTIONARY_BATCH and batch is not None:
        batch = batch.table(1)
    if batch is None or kind not in (_DICTIONARY_BATCH, _RECORD_BATCH):
        return 0, 0
    rows = batch.number(0, "<q")
    if rows < 0:
        raise struct.error("a negative row count")
    buffers = batch.structs(2, "<qq")
    if batch.table(3) is None:
        return rows, sum(length for _, length in buffers)
    return rows, sum(_unpacked_buffer(body, offset, length) for offset, length in buffers)


def _unpacked_buffer(body: memoryview, offset: int, length: int) -> int:
    if length == 0:
        return 0
    if offset < 0:
        raise struct.error("a place before the body")
    size = int(struct.unpack_from("<q", body, offset)[0])
    if size < -1:
        raise struct.error("a negative size")
    return length if size == -1 else size
