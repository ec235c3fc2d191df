"""Features that no series shows itself, made of what series do show: a mean of a sum and a count, CPU of its idleness.

Belongs here: that arithmetic, over all places at a time. Does not: which metric is what (features), minutes (places).
"""

import numpy as np

from muninn.detection.features import MODELLED, PARTS
from muninn.detection.state import Floats

COLUMNS = (*MODELLED, *PARTS)


def complete(found: Floats) -> Floats:
    """float64[places, len(MODELLED)] of float64[places, len(COLUMNS)]: what is missing is made of parts."""
    part = {name: found[:, place] for place, name in enumerate(COLUMNS)}
    made = (
        ("response_mean", _ratio(part["response_sum"], part["response_count"])),
        ("db_time", _ratio(part["db_sum"], part["db_count"])),
        ("cache_hit", 100.0 * _ratio(part["cache_hits"], part["cache_hits"] + part["cache_misses"])),
        ("cpu", 100.0 * (1.0 - part["idle_share"])),
        ("cpu", 100.0 - part["idle_pct"]),
        ("cpu", part["process_cpu"]),
        ("memory", 100.0 * (1.0 - _ratio(part["memory_left"], part["memory_all"]))),
        ("memory", part["process_memory"]),
        ("request_rate", part["response_count"]),
        ("query_rate", part["db_count"]),
    )
    for name, figures in made:
        np.copyto(part[name], figures, where=np.isnan(part[name]))
    return found[:, : len(MODELLED)].copy()


def _ratio(part: Floats, whole: Floats) -> Floats:
    """NaN where there is nothing to divide by."""
    found: Floats = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return found
