"""Raw label bytes to 128 bits that stand for them: SipHash-1-3 with a secret key, compiled; no object per series.

Belongs here: hashing, and numbers to places. Does not: what the bytes mean, and the memory of them (label_table).

SipHash (Aumasson and Bernstein, with 128 bits of output) is what Python and Rust guard their dictionaries with. Who
does not know the key cannot make two label sets that collide, and by chance two of 2^32 do with a probability of
2^-65: the bytes themselves need not be kept.
"""

from typing import Any

import numba
import numpy as np

from muninn.ingest.decode._octets import eight

_8, _FF, _EE, _DD = np.uint64(8), np.uint64(0xFF), np.uint64(0xEE), np.uint64(0xDD)
_V0, _V1 = np.uint64(0x736F6D6570736575), np.uint64(0x646F72616E646F6D)
_V2, _V3 = np.uint64(0x6C7967656E657261), np.uint64(0x7465646279746573)
_13, _16, _17, _21, _32 = (np.uint64(bits) for bits in (13, 16, 17, 21, 32))
_64, _56 = np.uint64(64), np.uint64(56)


@numba.njit(cache=True, inline="always")
def _turned(word: Any, bits: Any) -> Any:
    return (word << bits) | (word >> (_64 - bits))


@numba.njit(cache=True, inline="always")
def _round(v0: Any, v1: Any, v2: Any, v3: Any) -> Any:
    v0 += v1
    v1 = _turned(v1, _13) ^ v0
    v0 = _turned(v0, _32)
    v2 += v3
    v3 = _turned(v3, _16) ^ v2
    v0 += v3
    v3 = _turned(v3, _21) ^ v0
    v2 += v1
    v1 = _turned(v1, _17) ^ v2
    v2 = _turned(v2, _32)
    return v0, v1, v2, v3


@numba.njit(cache=True, inline="always")
def _last(octets: Any, at: Any, end: Any, length: Any) -> Any:
    """What is left of fewer than eight bytes, and the length in the highest byte."""
    word = np.uint64(length) << _56
    shift = np.uint64(0)
    for place in range(at, end):
        word |= np.uint64(octets[place]) << shift
        shift += _8
    return word


@numba.njit(cache=True, inline="always")
def _hash(octets: Any, start: Any, end: Any, key0: Any, key1: Any) -> Any:
    """What stands for the bytes [start, end) under this key: two uint64."""
    v0, v1, v2, v3 = key0 ^ _V0, key1 ^ _V1 ^ _EE, key0 ^ _V2, key1 ^ _V3
    at = start
    while at + 8 <= end:
        word = eight(octets, at)
        v3 ^= word
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0 ^= word
        at += 8
    word = _last(octets, at, end, end - start)
    v3 ^= word
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0 ^= word
    v2 ^= _EE
    for _ in range(3):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    first = v0 ^ v1 ^ v2 ^ v3
    v1 ^= _DD
    for _ in range(3):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return first, v0 ^ v1 ^ v2 ^ v3


@numba.njit(cache=True, nogil=True)
def hashes(octets: Any, start: Any, end: Any, key: Any, out: Any) -> None:
    """out, uint64[s, 2]: what stands for the bytes [start[i], end[i]). key: uint64[2]."""
    for place in range(len(start)):
        out[place, 0], out[place, 1] = _hash(octets, start[place], end[place], key[0], key[1])


@numba.njit(cache=True, nogil=True)
def pair_hashes(octets: Any, ranges: Any, key: Any, out: Any) -> None:
    """out, uint64[n, 2]: what stands for the bytes [a, b) and [c, d) together, (a, b, c, d) = ranges[i, :4].

    The second is hashed with what stands for the first as the key. A first one that is that of the row before costs
    nothing again, however long it is.
    """
    before = np.int64(-1)
    first, other = key[0], key[1]
    for place in range(len(ranges)):
        if ranges[place, 0] != before:
            before = ranges[place, 0]
            first, other = _hash(octets, before, ranges[place, 1], key[0], key[1])
        out[place, 0], out[place, 1] = _hash(octets, ranges[place, 2], ranges[place, 3], first, other)


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
