"""The view of departures: a trend that leaves its past further and further is not taken in while it does.

Belongs here: what is particular to that view: its delayed memory, its bar, where it counts. Does not: the trend
(views), ranges in general (ranges).

Other ranges take in most of what exceeds them with each sample, so that each next step of a leak is a small one. This
view looks at the trend, too (the fast mean less the slow one), and remembers how far it went in the past, but learns
that only after `departure_rows`: what a leak did since its beginning is compared with what the series did in spans as
long as that before. It counts while the sample is at the edge of the remembered range of values, towards which the
trend goes: what leaves a range has to get there.
Fails: for leaks that take longer than the slow mean follows (some 240 samples), and for those that are no faster than
the series has moved before.
"""

import numpy as np

from muninn.detection.state import Floats, Rows
from muninn.detection.tuning import Tuning
from muninn.detection.views import VALUE, Bools


def bar_times(rows: Rows, tuning: Tuning) -> Floats:
    """float64[m]: how much higher this bar is than that of other views: more, while few such spans have been seen.

    A wandering series has few separate trends in a day, and the next one may be the steepest yet.
    """
    spans = np.maximum(1, rows.seen) / tuning.slow_rows
    return tuning.departure_bar * (1.0 + tuning.young_departure_spans / spans)


def at_edge(rows: Rows, value: Floats, upwards: Bools, tuning: Tuning) -> Floats:
    """float64[m], 0..1: how far the sample is where a trend that leaves the range of values would have it."""
    high, low = rows.high[VALUE], rows.low[VALUE]
    width = np.where(high > low, high - low, 1.0)
    off = np.where(upwards, high - value, value - low) / width
    found: Floats = np.clip(2.0 - off / tuning.departure_edge, 0.0, 1.0)
    return found


def learn(
    rows: Rows, number: Floats, sunk: tuple[Floats, Floats], peace: Bools, fresh: Bools, tuning: Tuning
) -> tuple[Floats, Floats]:
    """The remembered range (high, low) after this sample, and in `rows` what will be learned later.

    number: float64[m], the trend. sunk: high and low after forgetting. peace: the series learns from this sample.
    fresh: it begins with it, or takes it in whole; so it does with what follows, while the trend is on its way.
    """
    rows.departure_row[:] = np.where(fresh, -tuning.departure_rows, rows.departure_row)
    at_once = peace & (rows.departure_row < 0)
    turns = peace & (rows.departure_row >= tuning.departure_rows)
    grown = []
    for sunk_range, now, before, pick in (
        (sunk[0], rows.departed_high_now, rows.departed_high_before, np.maximum),
        (sunk[1], rows.departed_low_now, rows.departed_low_before, np.minimum),
    ):
        reached = pick(sunk_range, before)
        taken = np.where(at_once, pick(sunk_range, number), sunk_range + tuning.absorb * (reached - sunk_range))
        grown.append(np.where(turns | at_once, taken, sunk_range))
        before[:] = np.where(fresh | at_once, number, np.where(turns, now, before))
        now[:] = np.where(fresh | at_once | turns, number, np.where(peace, pick(now, number), now))
    rows.departure_row[:] = np.where(turns, 0, rows.departure_row + peace)
    return grown[0], grown[1]
