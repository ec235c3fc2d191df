"""Counters among the series: found by their behaviour, watched as their rate, their restarts forgiven.

Belongs here: telling a counter from a gauge, the rate. Does not: metric names and registries.

A series that in its first warm_up_rows never fell, and rose in at least half of them, is a counter: it is
learned anew as its rise per second. When it falls below half it was restarted: that sample says nothing. When
it falls, but less deep, it was no counter: it is learned anew as it comes.
Fails: a gauge that only grows (a leak) is watched as its rate until it falls for the first time.
"""

from dataclasses import dataclass

import numpy as np

from muninn.detection.state import Floats, Ints, Rows
from muninn.detection.tuning import Tuning
from muninn.detection.views import Bools

UNDECIDED, GAUGE, COUNTER = 0, 1, 2
_RESTART_SHARE = 0.5
_RISING_SHARE = 0.5


@dataclass(frozen=True)
class Reading:
    """value: float64[m], what is watched. silent: there is nothing to watch in this sample.

    relearn: the series turned out to be of another kind, and starts anew with this sample.
    """

    value: Floats
    silent: Bools
    relearn: Bools


def read(rows: Rows, at_us: Ints, raw: Floats, tuning: Tuning) -> Reading:
    """Decide what m series are and what m new samples show; keeps `rows.raw`, `rows.kind`, `rows.rises`."""
    first = rows.seen == 0
    counts = rows.kind == COUNTER
    known = ~first | counts
    fell, rose = known & (raw < rows.raw), known & (raw > rows.raw)
    interval_s = (at_us - rows.at_us) / 1e6
    dated = counts & ~fell & (interval_s > 0)
    rate = np.where(dated, (raw - rows.raw) / np.where(dated, interval_s, 1.0), 0.0)
    restarted = counts & fell & (raw < _RESTART_SHARE * rows.raw)
    back_to_gauge = counts & fell & ~restarted

    rows.rises += rose
    undecided = rows.kind == UNDECIDED
    old_enough = undecided & (rows.seen >= tuning.warm_up_rows)
    is_counter = old_enough & ~fell & (rows.rises >= _RISING_SHARE * tuning.warm_up_rows)
    is_gauge = (undecided & fell) | back_to_gauge | (old_enough & ~is_counter)
    rows.kind[:] = np.where(is_counter, COUNTER, np.where(is_gauge, GAUGE, rows.kind))
    rows.raw[:] = raw
    silent = (counts & ~dated & ~back_to_gauge) | is_counter
    return Reading(np.where(counts & ~back_to_gauge, rate, raw), silent, back_to_gauge | is_counter)


def rate(at_us: Ints, raw: Floats, before_us: Ints, before: Floats) -> Floats:
    """float64[m]: how much counters rose a second since the sample before; NaN where none was, or they began anew."""
    dated = (before_us > 0) & (at_us > before_us) & (raw >= before)
    found: Floats = np.divide(raw - before, (at_us - before_us) / 1e6, out=np.full(len(raw), np.nan), where=dated)
    return found
