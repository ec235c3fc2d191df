"""Growth of counters: exact on the samples, whatever buckets they were in.

Belongs here: the rule for resets, and sums over samples and over buckets. Does not: which buckets (reads), SQL
(sql/idempotent/032_counters.sql is the same there; tests hold the two together).

A counter grows by what a sample is above the one before it. A sample below the one before it is a reset: the
counter began again at zero and has grown to the new value since. Nothing is assumed between, before or after
samples.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def steps(before: Floats, after: Floats) -> Floats:
    """float64[n]: growth from each of n samples to the one after it."""
    grown: Floats = np.where(after >= before, after - before, after)
    return grown


def increase(samples: Floats) -> float:
    """Growth over samples in order of time; 0 for one."""
    return float(steps(samples[:-1], samples[1:]).sum())
