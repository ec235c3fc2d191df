"""Which samples the store takes: finite, of a size that sums can hold, at a time that has or may have a partition.

Belongs here: the last check before rows are written. Does not: what the door says to a client (ingest).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from muninn.ingest.validate import without_unused_keys
from muninn.model import SampleBatch, SeriesKey, Window
from muninn.numerics import distributions
from muninn.numerics.sketch import LARGEST, SMALLEST
from muninn.store.series_index import UNKEEPABLE


@dataclass(frozen=True)
class Refused:
    """`samples` samples that can never be kept, for one reason; `key` and `at_us` are of the first of them.

    batch: the samples themselves, which lie at `rows` of the batch that was given.
    """

    reason: str
    samples: int
    key: SeriesKey
    at_us: int
    batch: SampleBatch = field(default_factory=SampleBatch.empty, compare=False, repr=False)
    rows: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp), compare=False, repr=False)

    def by_entry(self, entry: NDArray[np.intp]) -> Iterator[tuple[int, SampleBatch]]:
        """The samples of each entry by its place; entry: intp[n], which each sample of the given batch came in."""
        came_in = entry[self.rows]
        for place in np.unique(came_in).tolist():
            yield place, without_unused_keys(self.batch.take(came_in == place))


def admit(
    batch: SampleBatch, window: Window, series_ids: NDArray[np.int32]
) -> tuple[NDArray[np.bool_], tuple[Refused, ...]]:
    """bool[n]: what may be written; and what may not, by reason.

    window: the times that can be kept. series_ids: int32[k], the ids of the batch's keys.
    """
    size = np.abs(batch.value)
    faults = {
        "names and labels must not hold a NUL character": (series_ids == UNKEEPABLE)[batch.key_index],
        "value must be finite": ~np.isfinite(batch.value),
        f"value must be 0 or between {SMALLEST:g} and {LARGEST:g} in size": (size > LARGEST)
        | ((size < SMALLEST) & (size > 0)),
        "older than what is kept": batch.at_us < window.since_us,
        "too far in the future": batch.at_us >= window.until_us,
    }
    if batch.distributions is not None:
        for wrong, what in distributions.faults(batch.distributions):
            faults[f"distribution: {what}"] = np.zeros(len(batch), bool)
            faults[f"distribution: {what}"][batch.distributions.rows[wrong]] = True
    good = np.ones(len(batch), bool)
    refused = []
    for reason, fault in faults.items():
        rows = np.flatnonzero(fault & good)
        if len(rows):
            good[rows] = False
            first = rows[0]
            key = batch.keys[batch.key_index[first]]
            kept = without_unused_keys(batch.take(rows))
            refused.append(Refused(reason, len(rows), key, int(batch.at_us[first]), kept, rows))
    return good, tuple(refused)
