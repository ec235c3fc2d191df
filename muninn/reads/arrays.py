"""PostgreSQL's binary arrays as numpy arrays.

A query that says array_send(array_agg(x)) answers one byte string per series, and no point passes through
Python one by one. Belongs here: that wire format. Does not: what the arrays mean.
"""

import numpy as np
from numpy.typing import NDArray

# Of a one-dimensional array: dimensions, null flag, element type, length, lower bound; 4 bytes each.
HEADER_BYTES = 20
POSTGRES_EPOCH_US = 946_684_800_000_000


def int64s(sent: bytes) -> NDArray[np.int64]:
    """From array_send(int8[]) without nulls."""
    return _elements(sent, ">i8").astype(np.int64)


def float64s(sent: bytes) -> NDArray[np.float64]:
    """From array_send(float8[]) without nulls."""
    return _elements(sent, ">f8").astype(np.float64)


def instants_us(sent: bytes) -> NDArray[np.int64]:
    """From array_send(timestamptz[]) without nulls or infinities: microseconds since 1970."""
    return int64s(sent) + POSTGRES_EPOCH_US


def _elements(sent: bytes, kind: str) -> NDArray[np.void]:
    """Each element is preceded by its length in bytes."""
    if len(sent) < HEADER_BYTES:
        return np.empty(0, kind)
    return np.frombuffer(sent, [("bytes", ">u4"), ("value", kind)], offset=HEADER_BYTES)["value"]
