"""Columns of an Arrow table as integer codes, so that distinct rows are found without a Python object per row.

Belongs here: dictionary-encoding text, maps and structs, and combining codes. Does not: what the text means.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Codes = NDArray[np.int64]
_WIDEST = 1 << 62


@dataclass(frozen=True)
class Coded:
    """A column of n rows: `codes` int64[n], each in [0, size); `at(row)` is what the row holds."""

    codes: Codes
    size: int
    at: Callable[[int], Any]


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text, dictionary-encoded or not."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def text(column: pa.ChunkedArray | pa.Array) -> Coded:
    """A text column; null is a value of its own."""
    found = _one_dictionary(column)
    values = found.dictionary.to_pylist()
    codes = found.indices.cast(pa.int64()).fill_null(len(values)).to_numpy(zero_copy_only=False)
    values.append(None)
    return Coded(codes, len(values), lambda row: values[codes[row]])


def _one_dictionary(column: pa.ChunkedArray | pa.Array) -> pa.DictionaryArray:
    chunked = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    if pa.types.is_dictionary(chunked.type):
        chunked = chunked.unify_dictionaries()
    else:
        if pa.types.is_string_view(chunked.type):
            chunked = chunked.cast(pa.large_string())
        chunked = pc.dictionary_encode(chunked)
    found = chunked.combine_chunks()
    return found.chunk(0) if isinstance(found, pa.ChunkedArray) else found


def struct(fields: dict[str, Coded], rows: int) -> Coded:
    """Several columns as one: each row is an object of the fields that are not null there."""
    combined = combine(list(fields.values()), rows)

    def at(row: int) -> dict[str, Any]:
        return {name: value for name, field in fields.items() if (value := field.at(row)) is not None}

    return Coded(combined.codes, combined.size, at)


def combine(columns: list[Coded], rows: int) -> Coded:
    """One code per distinct combination; `at` is not of use here."""
    codes, size = np.zeros(rows, np.int64), 1
    for column in columns:
        if size * column.size >= _WIDEST:
            codes, size = dense(codes)
        codes, size = codes * column.size + column.codes, size * column.size
    codes, size = dense(codes)
    return Coded(codes, size, lambda _: None)


def dense(codes: Codes) -> tuple[Codes, int]:
    """The same distinctions with codes 0, 1, 2 … in order of appearance, and how many."""
    found = pc.dictionary_encode(pa.array(codes))
    return found.indices.cast(pa.int64()).to_numpy(zero_copy_only=False), len(found.dictionary)


def first_rows(codes: Codes, size: int) -> NDArray[np.int64]:
    """For each code the first row that has it (int64[size])."""
    first = np.zeros(size, np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)  # of a repeated index the last assignment stays
    return first


def text_map(column: pa.ChunkedArray) -> Coded:
    """A map column with text keys and values; null is the empty map. Other item types are cast to text."""
    found = column.combine_chunks()
    maps = found.chunk(0) if isinstance(found, pa.ChunkedArray) else found
    bounds = maps.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
    start = bounds[:-1]
    length = np.where(maps.is_null().to_numpy(zero_copy_only=False), 0, np.diff(bounds))
    names, values = text(_as_text(maps.keys)), text(_as_text(maps.items))
    entries = names.codes * values.size + values.codes
    codes, size = _distinct_runs(entries, start, length)

    def at(row: int) -> dict[str, Any]:
        return {names.at(i): values.at(i) for i in range(start[row], start[row] + length[row])}

    return Coded(codes, size, at)


def _as_text(array: pa.Array) -> pa.Array:
    return array if is_text(array.type) else array.cast(pa.string())


def _distinct_runs(entries: Codes, start: Codes, length: Codes) -> tuple[Codes, int]:
    """A code for each distinct run entries[start:start+length].

    By a 64-bit hash of each run, then checked entry by entry: a collision falls back to comparing the bytes.
    """
    row = np.repeat(np.arange(len(start)), length)
    place = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
    own = entries[start[row] + place]
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_mixed(own, place))])
    ends = np.cumsum(length)
    codes, size = dense((sums[ends] - sums[ends - length] + length.astype(np.uint64)).view(np.int64))
    model = first_rows(codes, size)[codes]
    if (length == length[model]).all() and (own == entries[start[model[row]] + place]).all():
        return codes, size
    runs = [entries[begin : begin + count].tobytes() for begin, count in zip(start, length, strict=True)]
    index = {run: number for number, run in enumerate(dict.fromkeys(runs))}
    return np.fromiter(map(index.__getitem__, runs), np.int64, len(runs)), len(index)


def _mixed(entries: Codes, place: Codes) -> NDArray[np.uint64]:
    """A well-spread 64-bit hash of each (entry, place): splitmix64's finaliser."""
    mixed = entries.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + place.astype(np.uint64)
    mixed *= np.uint64(0xD1342543DE82EF95)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
