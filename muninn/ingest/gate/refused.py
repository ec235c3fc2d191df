"""Samples of series that the gate refused, among what else is wrong with their request.

Belongs here: where they stood in it. Does not: why (gate).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from muninn.ingest.validate import BadSample, Decoded


def with_errors(decoded: Decoded, refused: Mapping[int, str], max_errors: int) -> Decoded:
    """The same with the samples of these series named as bad, each by its place in the request."""
    batch = decoded.batch
    bad = np.zeros(len(batch.keys), np.bool_)
    bad[[*refused]] = True
    rows = np.flatnonzero(bad[batch.key_index])
    places = _places_in_request(decoded)
    more = [BadSample(int(places[row]), refused[int(batch.key_index[row])]) for row in rows[:max_errors]]
    errors = sorted([*decoded.errors, *more], key=lambda each: each.index)[:max_errors]
    by_reason = decoded.by_reason + Counter(too_many_series=len(rows))
    return replace(decoded, errors=errors, rejected=decoded.rejected + len(rows), by_reason=by_reason)


def _places_in_request(decoded: Decoded) -> NDArray[np.intp]:
    """intp[n]: where each sample stood in its request; as far as can be told where many were bad."""
    count = len(decoded.batch) + decoded.rejected
    if len(decoded.errors) != decoded.rejected:
        return np.arange(len(decoded.batch))
    bad = [bad.index for bad in decoded.errors if bad.index < count]
    return np.delete(np.arange(count), bad) if len(bad) == decoded.rejected else np.arange(len(decoded.batch))
