"""PostgreSQL's binary COPY format, built as one big-endian structured array: no Python code per row.

Belongs here: the bytes. Does not: which rows, which table.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
# An int8[] of one dimension: its length in bytes, and its header up to the first element.
_ARRAY = tuple((name, ">i4") for name in ("array", "dimensions", "nulls", "oid", "elements", "lower"))
_ELEMENT = np.dtype([("bytes", ">i4"), ("value", ">i8")])
_HEADER_BYTES = 20
_INT8_OID = 20
# PostgreSQL counts from 2000-01-01.
PG_EPOCH_US = 946_684_800_000_000


def encode(columns: Sequence[NDArray[Any]]) -> bytes:
    """Columns of equal length n (int32, int64 or float64) as a COPY of n rows, in the columns' order."""
    return b"".join((_SIGNATURE, _rows(columns, ()).tobytes(), _TRAILER))


def encode_with_arrays(
    columns: Sequence[NDArray[Any]], lengths: NDArray[np.int64], elements: NDArray[np.int64]
) -> bytes:
    """As `encode`, with an int8[] of `lengths[row]` (> 0) of the elements as the last column of each row."""
    rows = _rows(columns, _ARRAY)
    rows["columns"] += 1
    rows["array"] = _HEADER_BYTES + _ELEMENT.itemsize * lengths
    rows["dimensions"], rows["nulls"], rows["oid"], rows["lower"] = 1, 0, _INT8_OID, 1
    rows["elements"] = lengths
    body = np.empty(len(elements), _ELEMENT)
    body["bytes"], body["value"] = 8, elements
    # Every row is as long as its array: fixed parts and elements are laid at the places where they begin.
    ends = np.cumsum(rows.itemsize + _ELEMENT.itemsize * lengths)
    starts = ends - rows.itemsize - _ELEMENT.itemsize * lengths
    placed = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
    placed[starts[:, None] + np.arange(rows.itemsize)] = rows.view(np.uint8).reshape(len(rows), -1)
    inside = np.arange(len(elements)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    first = np.repeat(starts + rows.itemsize, lengths) + _ELEMENT.itemsize * inside
    placed[first[:, None] + np.arange(_ELEMENT.itemsize)] = body.view(np.uint8).reshape(len(body), -1)
    return b"".join((_SIGNATURE, placed.tobytes(), _TRAILER))


def _rows(columns: Sequence[NDArray[Any]], more: Sequence[tuple[str, str]]) -> NDArray[np.void]:
    fields: list[tuple[str, str]] = [("columns", ">i2")]
    for place, column in enumerate(columns):
        fields += [(f"length{place}", ">i4"), (f"value{place}", column.dtype.newbyteorder(">").str)]
    rows = np.empty(len(columns[0]) if columns else 0, np.dtype([*fields, *more]))
    rows["columns"] = len(columns)
    for place, column in enumerate(columns):
        rows[f"length{place}"] = column.dtype.itemsize
        rows[f"value{place}"] = column
    return rows


def timestamptz(at_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Microseconds since 1970 as timestamptz holds them."""
    return at_us - PG_EPOCH_US
