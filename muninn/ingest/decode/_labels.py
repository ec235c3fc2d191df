"""Raw label bytes to small numbers, byte for byte: an open-addressing table, compiled; no Python object per series.

Belongs here: hashing, comparing and keeping bytes. Does not: what the bytes mean (label_table).
"""

from typing import Any

import numba
import numpy as np

from muninn.ingest.decode._octets import eight

_M1, _M2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_32, _29 = np.uint64(32), np.uint64(29)


@numba.njit(cache=True, inline="always")
def _tail(octets: Any, at: Any, end: Any) -> Any:
    """Fewer than eight bytes as a number."""
    word = np.uint64(0)
    for place in range(at, end):
        word = (word << np.uint64(8)) | np.uint64(octets[place])
    return word


@numba.njit(cache=True, inline="always")
def _hash(octets: Any, start: Any, end: Any, seed: Any) -> Any:
    """64 bits, never 0; the seed keeps others from choosing bytes that collide."""
    state = seed ^ (np.uint64(end - start) * _M1)
    at = start
    while at + 8 <= end:
        state = (state ^ eight(octets, at)) * _M1
        state ^= state >> _32
        at += 8
    state = (state ^ _tail(octets, at, end)) * _M2
    state ^= state >> _29
    state *= _M1
    state ^= state >> _32
    return state | np.uint64(1)


@numba.njit(cache=True, inline="always")
def _same(arena: Any, kept: Any, octets: Any, start: Any, length: Any) -> Any:
    at = 0
    while at + 8 <= length:
        if eight(arena, kept + at) != eight(octets, start + at):
            return False
        at += 8
    while at < length:
        if arena[kept + at] != octets[start + at]:
            return False
        at += 1
    return True


@numba.njit(cache=True)
def find(slots: Any, refs: Any, seed: Any, bounds: Any, arena: Any, octets: Any, start: Any, end: Any, out: Any) -> Any:
    """out[i]: the number of the bytes [start[i], end[i]), or -1; how many are -1.

    slots: uint64[m] hashes; refs: int32[m] numbers, -1 where free; bounds: int64[r + 1], where a number's bytes lie.
    """
    mask = np.uint64(len(slots) - 1)
    missing = 0
    for place in range(len(start)):
        length = end[place] - start[place]
        code = _hash(octets, start[place], end[place], seed)
        slot = (code >> np.uint64(8)) & mask
        out[place] = -1
        while refs[slot] >= 0:
            ref = refs[slot]
            if (
                slots[slot] == code
                and bounds[ref + 1] - bounds[ref] == length
                and _same(arena, bounds[ref], octets, start[place], length)
            ):
                out[place] = ref
                break
            slot = (slot + np.uint64(1)) & mask
        if out[place] < 0:
            missing += 1
    return missing


@numba.njit(cache=True)
def put(slots: Any, refs: Any, seed: Any, bounds: Any, arena: Any, octets: Any, start: Any, end: Any, ref: Any) -> None:
    """Keep bytes that are not there yet as number `ref`, the next one; there is room."""
    mask = np.uint64(len(slots) - 1)
    code = _hash(octets, start, end, seed)
    slot = (code >> np.uint64(8)) & mask
    while refs[slot] >= 0:
        slot = (slot + np.uint64(1)) & mask
    slots[slot], refs[slot] = code, ref
    kept = bounds[ref]
    for at in range(end - start):
        arena[kept + at] = octets[start + at]
    bounds[ref + 1] = kept + end - start


@numba.njit(cache=True)
def put_back(slots: Any, refs: Any, codes: Any, numbers: Any) -> None:
    """Hashes and their numbers into a larger table."""
    mask = np.uint64(len(slots) - 1)
    for place in range(len(codes)):
        slot = (codes[place] >> np.uint64(8)) & mask
        while refs[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot], refs[slot] = codes[place], numbers[place]


@numba.njit(cache=True)
def distinct(found: Any, stamps: Any, stamp: Any, places: Any, out: Any, first: Any) -> Any:
    """out[i]: the place of found[i] among the distinct numbers, in order of appearance; first[j]: where j first is.

    stamps, places: scratch room of one entry a number. Returns how many are distinct.
    """
    count = 0
    for i in range(len(found)):
        ref = found[i]
        if stamps[ref] != stamp:
            stamps[ref] = stamp
            places[ref] = count
            first[count] = i
            count += 1
        out[i] = places[ref]
    return count
