"""numpy arrays as query parameters and results, in PostgreSQL's binary format: no Python object per element.

Belongs here: that format. Does not: COPY (binary_copy), what the arrays mean.
A query takes an array as `%(name)s::int4[]`, and gives one as `array_send(array_agg(column))`.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import abc, adapters
from psycopg.adapt import Dumper, PyFormat
from psycopg.pq import Format

# dtype.type -> (oid of the array, oid of the element)
_OIDS: dict[type, tuple[int, int]] = {
    np.int32: (1007, 23),
    np.int64: (1016, 20),
    np.float64: (1022, 701),
    np.void: (2951, 2950),  # 16 bytes each: uuid
}
# Stands for "not there" in an array of ids.
MISSING = -2
# Dimensions, a flag for nulls, the element's oid, its count, where counting starts.
_HEADER_BYTES = 20


class _ArrayDumper(Dumper):
    """int32[n], int64[n], float64[n] and V16[n]."""

    format = Format.BINARY

    def get_key(self, obj: NDArray[Any], format: PyFormat) -> abc.DumperKey:  # noqa: ARG002
        return (self.cls, obj.dtype.type)

    def upgrade(self, obj: NDArray[Any], format: PyFormat) -> "_ArrayDumper":  # noqa: ARG002
        made = _ArrayDumper(self.cls)
        made.oid = _OIDS[obj.dtype.type][0]
        return made

    def dump(self, obj: NDArray[Any]) -> bytes:
        return sent(obj)


adapters.register_dumper(np.ndarray, _ArrayDumper)


def sent(array: NDArray[Any]) -> bytes:
    """A one-dimensional array as array_send() gives it and a binary parameter takes it."""
    element = _OIDS[array.dtype.type][1]
    if not len(array):
        return np.array([0, 0, element], ">i4").tobytes()
    kind = array.dtype.newbyteorder(">")
    body = np.empty(len(array), [("bytes", ">i4"), ("value", kind)])
    body["bytes"] = kind.itemsize
    body["value"] = array
    return np.array([1, 0, element, len(array), 1], ">i4").tobytes() + body.tobytes()


def text_literal(values: Iterable[str]) -> str:
    """An array of texts as PostgreSQL writes it, for `%(name)s::text[]`: adapting a list costs more than sending it."""
    quoted = ('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    return "{" + ",".join(quoted) + "}"


def instants_literal(values: Iterable[datetime]) -> str:
    """The same of instants, for `%(name)s::timestamptz[]`."""
    return "{" + ",".join(value.isoformat() for value in values) + "}"


def received(data: bytes | None, dtype: type[np.generic] | np.dtype[Any]) -> NDArray[Any]:
    """The array behind array_send(), without nulls; empty for null, which is what array_agg() makes of no rows."""
    kind = np.dtype(dtype)
    if data is None or len(data) < _HEADER_BYTES:
        return np.empty(0, kind)
    body = np.frombuffer(data, [("bytes", ">i4"), ("value", kind.newbyteorder(">"))], offset=_HEADER_BYTES)
    return body["value"].astype(kind)


def received_joined(data: bytes, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The elements of arrays behind string_agg(array_send(int8[]), ''), in order; lengths int64[k] are > 0."""
    words = np.frombuffer(data, ">u4")
    header, element = _HEADER_BYTES // 4, 3
    starts = np.concatenate(([0], np.cumsum(header + element * lengths)[:-1]))
    body = np.ones(len(words), np.bool_)
    body[(starts[:, None] + np.arange(header)).ravel()] = False
    pairs = words[body].reshape(-1, element)[:, 1:]
    return np.ascontiguousarray(pairs).view(">i8").ravel().astype(np.int64)
