"""The optional section of an entry that holds distributions: little-endian columns, all of them or none.

d_rows, d_count, d_lengths, d_bins int64; d_low, d_high float64: see muninn.model.Distributions.

Belongs here: that section and its check. Does not: the rest of the entry (codec).
"""

from collections.abc import Mapping

import numpy as np

from muninn.errors import Invalid
from muninn.model import Distributions
from muninn.numerics.distributions import faults

_ROWS = b"d_rows"


def encode(some: Distributions | None) -> dict[bytes, bytes]:
    """The section's fields; none where there are no distributions."""
    if some is None:
        return {}
    return {
        _ROWS: some.rows.astype("<i8", copy=False).tobytes(),
        b"d_count": some.count.astype("<i8", copy=False).tobytes(),
        b"d_low": some.low.astype("<f8", copy=False).tobytes(),
        b"d_high": some.high.astype("<f8", copy=False).tobytes(),
        b"d_lengths": some.lengths.astype("<i8", copy=False).tobytes(),
        b"d_bins": some.bins.astype("<i8", copy=False).tobytes(),
    }


def decode(fields: Mapping[bytes, bytes], samples: int) -> Distributions | None:
    """The distributions of an entry of so many samples; Invalid, KeyError, ValueError: it is damaged."""
    if _ROWS not in fields:
        return None
    some = Distributions(
        np.frombuffer(fields[_ROWS], "<i8"),
        np.frombuffer(fields[b"d_count"], "<i8"),
        np.frombuffer(fields[b"d_low"], "<f8"),
        np.frombuffer(fields[b"d_high"], "<f8"),
        np.frombuffer(fields[b"d_lengths"], "<i8"),
        np.frombuffer(fields[b"d_bins"], "<i8"),
    )
    outside = len(some) and (some.rows[0] < 0 or some.rows[-1] >= samples or (np.diff(some.rows) <= 0).any())
    wrong = [what for mask, what in faults(some) if mask.any()]
    if outside or wrong or not len(some):
        raise Invalid(f"damaged entry: distributions: {wrong[0] if wrong else 'they belong to no sample'}")
    return some
