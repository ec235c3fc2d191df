"""Passes over the minutes of many series, compiled.

Belongs here: loops over arrays. Does not: what they mean (changes).
"""

import math
from typing import Any

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def lay_out(series: Any, minute: Any, amounts: Any, place: Any, largest: float, table: Any) -> None:
    """Minutes into a table by series and minute: counts, totals, lows (float64[3, series, minutes], zeros).

    series, minute: int64[n]. amounts: float64[3, n]: counts, totals, lows. place: int64[most series + 1], where each
    series is in the table, -1: nowhere. What is too large to be squared is left out.
    """
    for i in range(len(series)):
        at, now = place[series[i]], minute[i]
        if at >= 0 and 0 <= now < table.shape[2] and abs(amounts[1, i]) < largest and abs(amounts[2, i]) < largest:
            for kind in range(3):
                table[kind, at, now] = amounts[kind, i]


@numba.njit(cache=True, nogil=True)
def compare(table: Any, counter: Any, split: int, width_s: float, times: Any, means: Any, spread: Any) -> None:
    """Each series' minutes from `split` on against those before; a counter (bool[series]) by its growth.

    times: how many minutes count before and from then on, int64[2, series], zeros. means: float64[2, series], zeros,
    by sample or by second. spread: float64[series], the standard deviation of the minutes before.
    """
    rates = np.empty(table.shape[2])
    for s in range(len(counter)):
        weights = np.zeros(2)
        last = -1
        for minute in range(table.shape[2]):
            if table[0, s, minute] == 0:
                continue
            at, amount, weight = minute, table[1, s, minute], table[0, s, minute]
            if counter[s]:
                at, last = last, minute
                if at < 0:
                    continue
                amount, weight = table[2, s, minute] - table[2, s, at], (minute - at) * width_s
                if amount < 0:  # it began anew
                    continue
            half = 1 if at >= split else 0
            if half == 0:
                rates[times[0, s]] = amount / weight
            times[half, s] += 1
            means[half, s] += amount
            weights[half] += weight
        for half in range(2):
            means[half, s] = means[half, s] / weights[half] if weights[half] else math.nan
        # Around the mean of the minutes, as a standard deviation is.
        before = rates[: times[0, s]]
        spread[s] = (
            math.sqrt(((before - before.mean()) ** 2).sum() / (len(before) - 1)) if len(before) > 1 else math.nan
        )
