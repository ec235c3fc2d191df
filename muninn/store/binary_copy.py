"""PostgreSQL's binary COPY format, built as one big-endian structured array: no Python code per row.

Belongs here: the bytes. Does not: which rows, which table.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
# PostgreSQL counts from 2000-01-01.
PG_EPOCH_US = 946_684_800_000_000


def encode(columns: Sequence[NDArray[Any]]) -> bytes:
    """Columns of equal length n (int32, int64 or float64) as a COPY of n rows, in the columns' order."""
    fields: list[tuple[str, str]] = [("columns", ">i2")]
    for place, column in enumerate(columns):
        fields += [(f"length{place}", ">i4"), (f"value{place}", column.dtype.newbyteorder(">").str)]
    rows = np.empty(len(columns[0]) if columns else 0, np.dtype(fields))
    rows["columns"] = len(columns)
    for place, column in enumerate(columns):
        rows[f"length{place}"] = column.dtype.itemsize
        rows[f"value{place}"] = column
    return b"".join((_SIGNATURE, rows.tobytes(), _TRAILER))


def timestamptz(at_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Microseconds since 1970 as timestamptz holds them."""
    return at_us - PG_EPOCH_US
