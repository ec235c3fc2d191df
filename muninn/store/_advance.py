"""Passes over the samples of a load, compiled.

Belongs here: loops over arrays. Does not: what they mean to a load (loading, latest).
"""

from typing import Any

import numba


@numba.njit(cache=True)
def distinct(slot: Any, stamps: Any, stamp: Any, out: Any) -> int:
    """The distinct slots in order of appearance into `out`; how many. stamps: scratch room of one entry a slot."""
    count = 0
    for i in range(len(slot)):
        s = slot[i]
        if stamps[s] != stamp:
            stamps[s] = stamp
            out[count] = s
            count += 1
    return count


@numba.njit(cache=True)
def advance(slot: Any, at_us: Any, bound: Any, row: Any, fast: Any) -> int:
    """fast[i]: sample i is later than all of its series before it; how many are not.

    bound: the newest instant of each slot so far, moved on; row: the last fast sample of each slot that has one.
    """
    slow = 0
    for i in range(len(slot)):
        s = slot[i]
        fast[i] = at_us[i] > bound[s]
        if fast[i]:
            bound[s] = at_us[i]
            row[s] = i
        else:
            slow += 1
    return slow
