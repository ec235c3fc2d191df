"""How many messages a protobuf body holds, told before it is parsed: each becomes an object, however few its bytes.

Belongs here: counting, along a message type's own descriptor. Does not: what the messages mean.
"""

import numba
import numpy as np
from google.protobuf.descriptor import Descriptor
from numpy.typing import NDArray

from muninn.ingest.decode._wire import _field

# The parser itself goes no deeper than 100.
_DEPTH = 128


def table_of(root: Descriptor) -> NDArray[np.int16]:
    """int16[types, fields]: the number of the type that a field holds, -1 where it holds no message; the root is 0."""
    known: dict[str, int] = {}
    types: list[Descriptor] = []

    def number(kind: Descriptor) -> int:
        if kind.full_name not in known:
            known[kind.full_name] = len(types)
            types.append(kind)
            for field in kind.fields:
                if field.message_type is not None:
                    number(field.message_type)
        return known[kind.full_name]

    number(root)
    fields = [(known[kind.full_name], field) for kind in types for field in kind.fields if field.message_type]
    table = np.full((len(types), max(field.number for _, field in fields) + 1), -1, np.int16)
    for kind, field in fields:
        table[kind, field.number] = known[field.message_type.full_name]
    return table


@numba.njit(cache=True, nogil=True)
def _count(body, table, most):  # type: ignore[no-untyped-def]
    """How many there are, up to `most` and one more, or up to where the body stops making sense."""
    ends, kinds = np.empty(_DEPTH, np.int64), np.empty(_DEPTH, np.int16)
    ends[0], kinds[0] = len(body), 0
    count = depth = at = 0
    while count <= most:
        while at >= ends[depth]:
            if depth == 0:
                return count
            depth -= 1
        number, kind, start, stop = _field(body, at, ends[depth])
        if stop < 0:
            return count
        at = stop
        if kind == 2 and 0 <= number < table.shape[1] and depth < _DEPTH - 1:
            inner = table[kinds[depth], number]
            if inner >= 0:
                count += 1
                depth += 1
                ends[depth], kinds[depth] = stop, inner
                at = start
    return count


def messages(body: bytes, table: NDArray[np.int16], most: int) -> int:
    """How many messages lie in `body`, at all depths; more than `most` are not counted to the end."""
    return int(_count(np.frombuffer(body, np.uint8), table, most))
